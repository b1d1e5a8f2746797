#include "io/live_configuration.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "io/files.h"
#include "io/pem_directory.h"

namespace umbra::io {
namespace {

namespace asio = boost::asio;

constexpr std::size_t lines_one_by_one = 200;

std::size_t count_lines(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// The configuration with the first `count` lines of an edit behind it.
std::string candidate_text(const std::string& running, const console::Edit& edit,
                           std::size_t count) {
  std::string text = running;
  // Whatever section the running configuration ends with.
  text += "end\n";
  if (!edit.section.empty()) text += edit.section + "\n";
  for (std::size_t i = 0; i < count; ++i) text += edit.lines[i] + "\n";
  return text;
}

console::EditResult refused(std::vector<config::Fault> faults) {
  console::EditResult result;
  result.ok = false;
  for (const config::Fault& fault : faults) {
    result.output +=
        fault.line == 0 && !fault.text.empty()
            ? fmt::format("% {}: {}\n", fault.text.substr(fault.text.find_first_not_of(" \t")),
                          fault.what)
            : fmt::format("% {}\n", fault.what);
    if (!fault.hint.empty()) result.output += fmt::format("%  {}\n", fault.hint);
  }
  result.faults = std::move(faults);
  return result;
}

console::EditResult refused(std::size_t line, const std::string& text, std::string what,
                            std::string hint) {
  return refused({{line, 1, text, std::move(what), std::move(hint)}});
}

/// As IOS names the lock on its status screen.
console::EditResult locked(std::size_t line, const std::string& text, const std::string& server) {
  return refused(line, text, "Server's configuration is locked  (enter \"shut\" to unlock it)",
                 fmt::format("expected: \"shutdown\" in \"crypto pki server {}\" first, and \"no "
                             "shutdown\" behind the change",
                             server));
}

/// The first `no shutdown` of a root, which makes its CA certificate while whoever typed it waits.
std::string first_enable(const server::CertificateServer& server, const config::Server& wanted) {
  std::string out = "%Some server settings cannot be changed after CA certificate generation.\n";
  const server::Status now = server.status();
  if (now.ca && wanted.archive_password)
    out += "% Exporting Certificate Server signing certificate and keys...\n";
  out += now.status == "enabled"
             ? "\n% Certificate Server enabled.\n"
             : fmt::format("\n% The certificate server's status is: {}\n", now.status);
  return out;
}

/// The roots that have no CA certificate yet.
std::set<std::string> without_ca(const Roster& roster) {
  std::set<std::string> names;
  for (const auto& server : roster.servers) {
    const server::Status status = server->status();
    if (status.mode == config::ServerMode::root && !status.ca) names.insert(status.name);
  }
  return names;
}

/// What IOS says when servers are shut, opened, or their places move. `fresh`: without_ca before.
std::string remarks(const config::Difference& d, const config::Configuration& before,
                    const std::set<std::string>& fresh, const Roster& to) {
  const config::Configuration& after = to.configuration();
  std::string out;
  for (const std::string& name : d.servers_shut) {
    if (config::find_server(before, name))
      out += "Certificate server 'shut' event has been queued for processing.\n";
  }
  for (const std::string& name : d.servers_started) {
    const auto now = to.server(name);
    out += now && fresh.contains(name)
               ? first_enable(*now, *config::find_server(after, name))
               : "Certificate server 'no shut' event has been queued for processing.\n";
  }
  for (const std::string& name : d.servers_changed) {
    if (config::find_server(before, name)->database.url !=
        config::find_server(after, name)->database.url) {
      out +=
          "% Server database url was changed. You need to move the\n"
          "% existing database to the new location.\n";
    }
  }
  for (const std::string& name : d.servers_removed) {
    out += fmt::format(
        "% Certificate server {} is stopped and not configured any more; its CA keys, certificates "
        "and CRLs are kept (the exec command \"no crypto pki server {}\" deletes them)\n",
        name, name);
  }
  for (const std::string& name : d.trustpoints_removed) {
    if (config::find_server(after, name)) continue;  // a server's own now
    out += fmt::format(
        "% Trustpoint {} is not configured any more; its certificates and keys are kept, and are "
        "there again when it is\n",
        name);
  }
  return out;
}

/// As one spelling, however it is spelled; links are followed.
std::string one_name(const std::string& path) {
  std::error_code error;
  const auto name = std::filesystem::weakly_canonical(path, error);
  return error ? path : name.string();
}

std::vector<LeftPlaces> left_places(const Roster& from, const config::Configuration& to) {
  std::map<std::string_view, const config::Trustpoint*> by_name;
  for (const auto& one : to.trustpoints) by_name.emplace(one.name, &one);
  std::vector<LeftPlaces> all;
  for (const auto& was : from.configuration().trustpoints) {
    const auto found = by_name.find(was.name);
    const auto* const now = found == by_name.end() ? nullptr : found->second;
    const auto left = [&](config::Storage config::Trustpoint::*place) {
      return now && (now->*place).path == (was.*place).path ? std::string() : (was.*place).path;
    };
    LeftPlaces places{was.name,
                      left(&config::Trustpoint::storage_pem),
                      left(&config::Trustpoint::storage_pkcs12),
                      {},
                      {}};
    if (places.pem.empty() && places.pkcs12.empty()) continue;
    const auto trustpoint = from.trustpoint(was.name);
    const client::Status status = trustpoint->status();
    if (!status.keys_generated) continue;  // what is there is somebody else's
    places.made = trustpoint->made();
    // Of one that goes on, the key is in use; a certificate server's is not to be zeroized.
    if (!now && was.role == config::Role::device) places.zeroized_by = status.key_label;
    all.push_back(std::move(places));
  }
  return all;
}

bool has_archive(const std::string& path, const client::IsOurs& made) {
  constexpr std::size_t archive_max = 1U << 20;
  std::error_code error;
  if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(path, error))) return false;
  const auto content = read_file(path, archive_max);
  return content && made(*content);
}

/// Where keys lie that were written for others: those read them still, and nothing withdraws them.
/// A sentence for each trustpoint.
std::vector<std::string> left_behind(const std::vector<LeftPlaces>& left,
                                     const config::Configuration& to) {
  std::optional<std::set<std::string>> written;  // by anybody, from now on
  const auto is_written = [&](const std::string& path) {
    if (!written) {
      written.emplace();
      for (const auto& one : to.trustpoints) {
        for (const auto& place : {one.storage_pem.path, one.storage_pkcs12.path}) {
          if (!place.empty()) written->insert(one_name(place));
        }
      }
    }
    return written->contains(one_name(path));
  };
  std::vector<std::string> all;
  for (const auto& one : left) {
    std::string where;
    const auto add = [&](const std::string& path, bool ours) {
      if (ours && !is_written(path)) where += (where.empty() ? "" : " and ") + path;
    };
    add(one.pem, !one.pem.empty() && has_pem_key(one.pem));
    add(one.pkcs12, !one.pkcs12.empty() && has_archive(one.pkcs12, one.made));
    if (where.empty()) continue;
    all.push_back(
        fmt::format("key and certificate of trustpoint {} stay in {}, where it writes no "
                    "more: remove them by hand",
                    one.name, where));
    if (one.zeroized_by.empty()) continue;
    all.back() += fmt::format(
        ", or configure it again and say \"crypto key zeroize rsa {}\" before it is taken out",
        one.zeroized_by);
  }
  return all;
}

/// One line of the log for each thing that a file changes.
std::vector<std::string> summary(const config::Difference& d) {
  std::vector<std::string> all;
  const auto add = [&all](const char* kind, const std::vector<std::string>& names,
                          const char* what) {
    for (const auto& name : names) all.push_back(fmt::format("{} {} {}", kind, name, what));
  };
  add("certificate server", d.servers_added, "is new");
  add("certificate server", d.servers_changed, "is changed");
  add("certificate server", d.servers_shut, "is shut");
  add("certificate server", d.servers_started, "is started");
  add("certificate server", d.servers_removed, "is gone; what is kept of it is kept");
  add("trustpoint", d.trustpoints_added, "is new");
  add("trustpoint", d.trustpoints_changed, "is changed");
  add("trustpoint", d.trustpoints_removed, "is gone; what is kept of it is kept");
  if (d.listener) all.emplace_back("the HTTP server is changed");
  if (d.fqdn) all.emplace_back("the name of the system is changed");
  return all;
}

}  // namespace

LiveConfiguration::LiveConfiguration(Site& site, Log& log, asio::thread_pool& life,
                                     std::string path, std::string file, OwnPlaces own,
                                     std::function<void(std::vector<RefusedPlace>)> refuse)
    : site_(site),
      log_(log),
      queue_(life.get_executor()),
      path_(std::move(path)),
      file_(std::move(file)),
      own_(std::move(own)),
      refuse_(std::move(refuse)) {}

std::string LiveConfiguration::running() const { return site_.roster()->parsed->running_config; }

void LiveConfiguration::edit(console::Edit edit, std::function<void(console::EditResult)> done) {
  asio::post(queue_,
             [this, edit = std::move(edit), done = std::move(done)] { done(carry_out(edit)); });
}

console::EditResult LiveConfiguration::carry_out(const console::Edit& edit) {
  for (std::size_t i = 0; i < edit.lines.size(); ++i) {
    if (edit.lines[i].find('\n') != std::string::npos)
      return refused(i + 1, "", "a line has an end within it", "expected: one command in a line");
  }
  if (edit.section.find('\n') != std::string::npos)
    return refused(0, "", "a section's name has an end within it", "expected: one line");

  const RosterPtr before = site_.roster();
  const std::string& running = before->parsed->running_config;
  const config::Configuration& from = before->configuration();
  // Entered again, a section that is there changes nothing.
  if (edit.section_was_there &&
      config::parse(candidate_text(running, edit, 0)).running_config != running) {
    return refused(0, "", fmt::format("\"{}\" is not configured any more", edit.section),
                   "expected: that line again first, if it is to be made anew");
  }
  config::Parsed candidate = config::parse(candidate_text(running, edit, edit.lines.size()));
  if (candidate.faults.empty()) {
    const auto places =
        look_at_places(std::make_shared<const config::Parsed>(candidate), before->parsed);
    if (places) candidate.faults = places->all();
  }
  if (!candidate.faults.empty()) {
    const std::size_t ahead = count_lines(running) + 1 + (edit.section.empty() ? 0 : 1);
    for (config::Fault& fault : candidate.faults)
      fault.line = fault.line > ahead ? fault.line - ahead : 0;
    return refused(std::move(candidate.faults));
  }
  if (const auto names = config::locked(from, candidate.configuration); !names.empty()) {
    // Lines that shut it first unlock it for those behind them.
    if (edit.lines.size() < 2 || edit.lines.size() > lines_one_by_one)
      return locked(edit.lines.empty() ? 0 : 1,
                    edit.lines.empty() ? "" : config::hide_secrets(edit.lines[0]), names.front());
    config::Configuration at = from;
    for (std::size_t i = 1; i <= edit.lines.size(); ++i) {
      config::Configuration next = config::parse(candidate_text(running, edit, i)).configuration;
      if (const auto still = config::locked(at, next); !still.empty())
        return locked(i, config::hide_secrets(edit.lines[i - 1]), still.front());
      at = std::move(next);
    }
  }
  // Lines of what is in force are those that `show running-config` numbers.
  config::Parsed normal = config::parse(candidate.running_config);
  if (normal.faults.empty() && normal.configuration == candidate.configuration)
    candidate = std::move(normal);
  const auto next = std::make_shared<const config::Parsed>(std::move(candidate));
  const std::set<std::string> fresh = without_ca(*before);
  auto elsewhere = left_places(*before, next->configuration);
  const auto changed = site_.change(next);
  if (!changed) return refused(0, "", changed.error().detail, "");

  const auto say = [&](const std::string& line) {
    log(Severity::notice, "CFGLOG_LOGGEDCMD",
        fmt::format("User:{}  logged command:{}", edit.by, config::hide_secrets(line)), "PARSER");
  };
  if (!edit.section.empty() && edit.lines.empty()) say(edit.section);
  for (const std::string& line : edit.lines)
    say(edit.section.empty() ? line : edit.section + ": " + line);
  console::EditResult result;
  result.output = remarks(*changed, from, fresh, *site_.roster());
  for (const std::string& one : keys_left_behind(std::move(elsewhere))) {
    log(Severity::warning, "STORAGE", one);
    result.output += "% " + one + "\n";
  }
  return result;
}

std::vector<std::string> LiveConfiguration::keys_left_behind(std::vector<LeftPlaces> left) const {
  if (left.empty()) return {};
  std::vector<std::string> unknown;
  for (const auto& one : left) {
    unknown.push_back(
        fmt::format("a place of storage does not answer: it was not looked at "
                    "whether keys of trustpoint {} stay in {}",
                    one.name, one.pem.empty() ? one.pkcs12 : one.pem));
  }
  return answered_within<std::vector<std::string>>(
             places_answer_within,
             [left = std::move(left), parsed = site_.roster()->parsed] {
               return left_behind(left, parsed->configuration);
             })
      .value_or(unknown);
}

std::optional<Misplaced> LiveConfiguration::look_at_places(
    const std::shared_ptr<const config::Parsed>& parsed,
    const std::shared_ptr<const config::Parsed>& before) {
  auto found = misplaced_within(places_answer_within, parsed, own_, before);
  if (!found) log(Severity::warning, "STORAGE", places_do_not_answer);
  return found;
}

void LiveConfiguration::left(const std::string& by) {
  log(Severity::notice, "CONFIG_I", "Configured from " + by, "SYS");
}

Result<std::string> LiveConfiguration::startup() const {
  UMBRA_TRY(const Bytes content, read_file(path_, config_octets_max));
  return std::string(as_text(content));
}

Result<std::string> LiveConfiguration::differences() const {
  UMBRA_TRY(const std::string text, startup());
  const config::Parsed parsed = config::parse(text);
  if (!parsed.faults.empty()) {
    return fail(Errc::malformed,
                fmt::format("{} has {} fault(s), and umbrad would not start with it:\n{}", path_,
                            parsed.faults.size(), config::to_string(parsed.faults.front(), path_)));
  }
  return config::contextual_differences(parsed.running_config, running());
}

void LiveConfiguration::reload(std::string by, std::function<void(Result<std::string>)> done) {
  asio::post(queue_, [this, by = std::move(by), done = std::move(done)] { done(read_again(by)); });
}

Result<std::string> LiveConfiguration::read_again(const std::string& by) {
  const auto unchanged = [this](Error error) -> Result<std::string> {
    log(Severity::error, "RELOAD", fmt::format("{}; nothing was changed", error.detail));
    return tl::unexpected(std::move(error));
  };
  auto text = startup();
  if (!text) return unchanged(text.error());
  auto parsed = std::make_shared<const config::Parsed>(config::parse(*text));
  if (parsed->faults.empty()) {
    const auto places = look_at_places(parsed, site_.roster()->parsed);
    if (places && !places->all().empty()) {
      config::Parsed faulty = *parsed;
      faulty.faults = places->all();
      parsed = std::make_shared<const config::Parsed>(std::move(faulty));
    }
  }
  if (!parsed->faults.empty()) {
    for (const config::Fault& fault : parsed->faults) {
      log(Severity::error, "RELOAD",
          fmt::format("{}:{}:{}: {} ({})", path_, fault.line, fault.column, fault.what,
                      fault.hint));
    }
    return unchanged(
        {Errc::malformed, fmt::format("{} fault(s) in {}", parsed->faults.size(), path_)});
  }
  auto elsewhere = left_places(*site_.roster(), parsed->configuration);
  const auto changed = site_.change(parsed);
  if (!changed) return unchanged(changed.error());
  file_ = *std::move(text);
  // What somebody has changed of the host, or of the files, since they were looked at.
  if (const auto places = look_at_places(parsed, nullptr)) {
    for (const config::Fault& fault : places->unusable) {
      log(Severity::warning, "STORAGE",
          fmt::format("{}:{}: {} ({})", path_, fault.line, fault.what, fault.hint));
    }
    if (refuse_) refuse_(places->refused);
  }
  for (const auto& trustpoint : site_.roster()->trustpoints) trustpoint->look_at_files();
  std::string said;
  for (const std::string& line : summary(*changed)) {
    log(Severity::notice, "RELOAD", line);
    said += line + "\n";
  }
  for (const std::string& one : keys_left_behind(std::move(elsewhere))) {
    log(Severity::warning, "STORAGE", one);
    said += one + "\n";
  }
  if (said.empty()) said = fmt::format("{} says what is in force\n", path_);
  left(fmt::format("{} by {}", path_, by));
  return said;
}

void LiveConfiguration::save(std::string by, std::function<void(Result<std::string>)> done) {
  asio::post(queue_, [this, by = std::move(by), done = std::move(done)] { done(write(by)); });
}

Result<std::string> LiveConfiguration::write(const std::string& by) {
  const std::string text = running() + "end\n";
  // What cannot be read back must not be what the next start reads.
  if (const config::Parsed parsed = config::parse(text);
      !parsed.faults.empty() || !(parsed.configuration == site_.roster()->configuration())) {
    return fail(Errc::conflict,
                "the running configuration does not read back as what is in force; nothing was "
                "written");
  }
  // A link stays a link: what it leads to is written.
  std::error_code error;
  const std::string path = std::filesystem::weakly_canonical(path_, error).string();
  if (error) return fail(Errc::storage, fmt::format("cannot find {}: {}", path_, error.message()));
  constexpr unsigned mode_bits = 07777;
  FileAccess access;
  std::string remark;
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0) {
    access.mode = found.st_mode & mode_bits;
    if (found.st_uid != ::geteuid()) access.owner = found.st_uid;
    if (found.st_gid != ::getegid()) access.group = found.st_gid;
    UMBRA_TRY(const Bytes old, read_file(path, config_octets_max));
    UMBRA_CHECK(write_file(path + "~", old, access));
    const std::string_view was = as_text(old);
    if (was != file_)
      remark += fmt::format("% {} had been changed since it was read; what it said is in {}~\n",
                            path, path);
    std::size_t comments = 0;
    for (std::string_view rest = was; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const std::size_t first = line.find_first_not_of(" \t");
      if (first != std::string_view::npos && line[first] == '!' &&
          line.find_first_not_of(" \t\r", first + 1) != std::string_view::npos)
        ++comments;
    }
    if (comments > 0) {
      remark += fmt::format("% {} line(s) of comment are not in the new {}; they are in {}~\n",
                            comments, path, path);
    }
  }
  UMBRA_CHECK(write_file(path, as_bytes(text), access));
  file_ = text;
  log(Severity::notice, "SAVED",
      fmt::format("the running configuration was written to {} from {}; what it was is in {}~",
                  path, by, path));
  return remark;
}

}  // namespace umbra::io
