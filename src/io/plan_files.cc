#include "io/plan_files.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>

#include "io/files.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

/// The files of a directory, by name.
std::vector<std::string> files_in(const fs::path& directory, std::string& complaints) {
  std::vector<std::string> found;
  std::error_code error;
  fs::recursive_directory_iterator at(directory, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (is_hidden(at->path())) {
      at.disable_recursion_pending();
      continue;
    }
    std::error_code ignored;
    if (at->is_regular_file(ignored)) found.push_back(at->path().string());
  }
  if (error) complaints += directory.string() + ": " + error.message() + "\n";
  std::sort(found.begin(), found.end());
  if (found.empty() && !error) complaints += directory.string() + ": no files in it\n";
  return found;
}

/// `show running-config` of a router: most of it is about other things than certificates.
bool is_of_a_router(std::string_view text) {
  return text.find("\ninterface ") != std::string_view::npos;
}

/// The text with every line empty that says nothing of certificates, HTTP or the time, so that the
/// others keep their numbers.
std::string about_certificates(std::string_view text) {
  std::string out;
  bool inside = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const bool indented = line.starts_with(' ') || line.starts_with('\t');
    const auto is_any = [&](std::initializer_list<std::string_view> commands) {
      return std::any_of(commands.begin(), commands.end(),
                         [&](std::string_view one) { return line.starts_with(one); });
    };
    if (!indented) {
      inside = is_any({"crypto pki server ", "crypto pki trustpoint ", "crypto ca trustpoint "});
    }
    const bool alone =
        is_any({"hostname ", "clock timezone ", "clock calendar-valid", "ip domain name ",
                "ip domain-name ", "ip http server", "ip http port ", "ntp server ", "ntp master"});
    if (inside || alone) out += line;
    out += '\n';
  }
  return out;
}

}  // namespace

PlanFiles read_plan_files(const std::vector<std::string>& paths) {
  PlanFiles read;
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) {
      files.push_back(path);
      continue;
    }
    for (std::string& file : files_in(path, read.complaints)) files.push_back(std::move(file));
  }
  read.sources.reserve(files.size());
  for (const std::string& file : files) {
    const auto text = read_file(file, config_octets_max);
    if (!text) {
      read.complaints += text.error().detail + "\n";
      continue;
    }
    const std::string_view whole = as_text(*text);
    config::Parsed parsed =
        config::parse(is_of_a_router(whole) ? about_certificates(whole) : std::string(whole));
    for (const config::Fault& fault : parsed.faults)
      read.complaints += config::to_string(fault, file);
    if (!parsed.faults.empty()) continue;
    // Not needed here, and many of them.
    parsed.running_config.clear();
    parsed.running_config.shrink_to_fit();
    parsed.chains.clear();
    read.sources.push_back({file, std::move(parsed)});
  }
  return read;
}

}  // namespace umbra::io
