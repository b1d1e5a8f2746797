#include <fmt/format.h>

#include <algorithm>

#include "console/screens.h"

/// `show` in a submode: its settings as they are, a certificate server's with the defaults.
namespace umbra::console {
namespace {

/// The lines below `header`, without the blank in front of them.
std::vector<std::string_view> section_of(std::string_view running_config, std::string_view header) {
  std::vector<std::string_view> lines;
  bool inside = false;
  while (!running_config.empty()) {
    const std::size_t end = std::min(running_config.find('\n'), running_config.size());
    const std::string_view line = running_config.substr(0, end);
    running_config.remove_prefix(std::min(end + 1, running_config.size()));
    if (!line.starts_with(' '))
      inside = line == header;
    else if (inside)
      lines.push_back(line.substr(1));
  }
  return lines;
}

bool begins_with_words(std::string_view line, std::string_view words) {
  return line.starts_with(words) && (line.size() == words.size() || line[words.size()] == ' ');
}

}  // namespace

std::string settings_screen(std::string_view running_config, std::string_view header) {
  std::string out;
  for (const std::string_view line : section_of(running_config, header))
    out += fmt::format(" {}\n", line);
  return out;
}

std::string server_settings_screen(std::string_view running_config, std::string_view name,
                                   const x509::Serial& last_serial) {
  auto lines = section_of(running_config, fmt::format("crypto pki server {}", name));
  const auto leave_out = [&lines](std::string_view words) {
    std::erase_if(lines, [&](std::string_view line) { return begins_with_words(line, words); });
  };
  for (const char* const words : {"serial-number", "shutdown", "no shutdown"}) leave_out(words);
  std::string out = fmt::format(" serial-number 0x{}\n", last_serial.to_hex());
  // IOS's order of what it always prints; `grant` only if it is set.
  const std::pair<std::string_view, std::string> first[] = {
      {"database level", "database level minimum"},
      {"database archive", "no database archive"},
      {"issuer-name", fmt::format("issuer-name CN={}", name)},
      {"grant", ""},
      {"lifetime crl", "lifetime crl 6"},
      {"lifetime certificate", "lifetime certificate 365"},
      {"lifetime ca-certificate", "lifetime ca-certificate 1095"},
      {"lifetime enrollment-request", "lifetime enrollment-request 168"}};
  for (const auto& [words, otherwise] : first) {
    bool set = false;
    for (const std::string_view line : lines) {
      if (!begins_with_words(line, words)) continue;
      out += fmt::format(" {}\n", line);
      set = true;
    }
    leave_out(words);
    if (!set && !otherwise.empty()) out += fmt::format(" {}\n", otherwise);
  }
  for (const std::string_view line : lines) out += fmt::format(" {}\n", line);
  return out;
}

}  // namespace umbra::console
