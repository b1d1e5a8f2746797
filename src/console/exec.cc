#include "console/exec.h"

#include <algorithm>

#include <fmt/format.h>

#include "console/exec_result.h"
#include "console/exec_table.h"
#include "console/filter.h"
#include "console/health.h"
#include "console/held_screens.h"
#include "console/reading.h"
#include "x509/name.h"

namespace umbra::console {
namespace {

using config::Match;
using config::Outcome;
using config::Verdict;

constexpr std::size_t line_max = 1024;

/// Those of this name, or all if there is none.
template <class Status>
std::vector<Status> of_name(std::vector<Status> all, const std::string& name) {
  if (!name.empty()) std::erase_if(all, [&](const Status& one) { return one.name != name; });
  return all;
}

/// Whether the end of the line is part of a filter's expression, where `?` is no question.
bool in_expression(std::string_view line) {
  const auto filter = split_filter(line).second;
  if (!filter) return false;
  const auto blank = filter->find_first_of(" \t");
  const auto last = line.size() - 2;
  return blank != std::string_view::npos && line[last] != ' ' && line[last] != '\t';
}

std::string clock_above(const ExecEnvironment& environment) {
  const Load load = environment.load ? environment.load() : Load{};
  return timestamp(load, environment.clock, environment.zone);
}

}  // namespace

std::pair<std::string_view, std::optional<std::string_view>> split_filter(std::string_view line) {
  const auto bar = line.find(" |");
  if (bar == std::string_view::npos) return {line, std::nullopt};
  std::string_view filter = line.substr(bar + 2);
  filter.remove_prefix(std::min(filter.find_first_not_of(' '), filter.size()));
  return {line.substr(0, bar), filter};
}

Choices exec_choices(const config::Grammar& grammar, std::string_view line) {
  const auto [command, filter] = split_filter(line);
  if (!filter) {
    Choices found = choices(grammar, line, 0, false);
    const auto words = config::tokenize(line);
    if (!found.all.empty() && found.all.back().text == "<cr>" &&
        std::string_view("show").starts_with(config::lower(words.front().text)))
      found.all.insert(found.all.end() - 1, {"|", "Chooses lines of it, or gives it as JSON"});
    return found;
  }
  Choices found;
  if (filter->find(' ') != std::string_view::npos) {
    found.all.push_back({"REGEX", "A regular expression"});
    return found;
  }
  found.begun = config::lower(*filter);
  for (const FilterHelp& one : filter_help) {
    if (one.name.starts_with(found.begun))
      found.all.push_back({std::string(one.name), std::string(one.help), true});
  }
  return found;
}

const ServerControl* Exec::server(std::string_view name) const {
  for (const ServerControl& one : environment_->servers) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

const TrustpointControl* Exec::trustpoint(std::string_view name) const {
  for (const TrustpointControl& one : environment_->trustpoints) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

std::vector<server::Status> Exec::server_statuses() const {
  std::vector<server::Status> all;
  for (const ServerControl& one : environment_->servers) all.push_back(one.status());
  return all;
}

std::vector<client::Status> Exec::trustpoint_statuses() const {
  std::vector<client::Status> all;
  for (const TrustpointControl& one : environment_->trustpoints) all.push_back(one.status());
  return all;
}

void Exec::execute(std::string_view line, const std::optional<std::string>& input,
                   const ExecDone& done) {
  if (source_) environment_ = source_();
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  const bool text = std::all_of(line.begin(), line.end(), [](char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  });
  if (line.size() > line_max || !text) {
    done(failed("% A command is one line of text, of at most 1024 characters\n"));
    return;
  }
  if (line.ends_with('?') && !in_expression(line)) {
    line.remove_suffix(1);
    const Choices found = exec_choices(exec_grammar(), line);
    done({!found.all.empty(), help_screen(found)});
    return;
  }
  const std::string spelled = in_todays_words(line);
  line = spelled;
  // Only `show` has a filter; a `|` elsewhere may be part of a name.
  const auto [command, filter] = split_filter(line);
  const std::vector<config::Token> tokens = config::tokenize(command);
  if (tokens.empty() || tokens.front().text.starts_with('!')) {
    done({});
    return;
  }
  const Outcome outcome = exec_grammar().match(command, tokens);
  if (outcome.verdict != Verdict::matched) {
    done(failed(misread(command, tokens, outcome)));
    return;
  }
  if (may_ && !may_(outcome.match)) {
    done(not_allowed());
    return;
  }
  if (!filter) {
    if (const auto told = tell(command, outcome.match); !told)
      return done(failed("% " + told.error().detail + "\n"));
    run(outcome.match, input, done);
    return;
  }
  if (!outcome.match.command->key.starts_with("show ")) {
    done(failed(invalid_at(line, command.size())));
    return;
  }
  const std::string word = config::lower(*filter);
  if (!word.empty() && std::string_view("json").starts_with(word)) {
    done(json(outcome.match));
    return;
  }
  auto chosen = Filter::parse(*filter);
  if (!chosen) {
    done(chosen.error().code == Errc::malformed
             ? failed(chosen.error().detail)
             : failed(invalid_at(line, static_cast<std::size_t>(filter->data() - line.data()))));
    return;
  }
  ExecResult result = show(outcome.match);
  if (result.ok) result.output = chosen->apply(result.output);
  // The clock stands above what is chosen, and is not chosen from.
  if (timestamps_ && result.ok) result.output = clock_above(*environment_) + result.output;
  done(std::move(result));
}

/// Screens and what is logged in detail change nothing.
Result<void> Exec::tell(std::string_view line, const Match& match) const {
  const std::string_view key = match.command->key;
  const bool looks = key.starts_with("show ") || key.starts_with("crypto pki server NAME info ") ||
                     key.find("debug ") != std::string_view::npos || key.starts_with("terminal ");
  if (looks || !environment_->audit) return {};
  std::string hidden;
  std::size_t at = 0;
  for (const config::Capture& one : match.captures) {
    if (one.word == nullptr || !one.word->is_secret() || one.offset < at) continue;
    hidden += line.substr(at, one.offset - at);
    hidden += '*';
    at = std::min(line.size(), one.offset + one.text.size());
  }
  hidden += line.substr(at);
  return environment_->audit(by_, x509::printable(hidden));
}

void Exec::run(const Match& match, const std::optional<std::string>& input, const ExecDone& done) {
  const std::string_view key = match.command->key;
  if (key.starts_with("show ") || key.starts_with("crypto pki server NAME info ")) {
    ExecResult result = show(match);
    if (timestamps_ && result.ok) result.output = clock_above(*environment_) + result.output;
    done(std::move(result));
  } else if (key == "no crypto pki server") {
    done(destroy_server(match.text("NAME"), input));
  } else if (key.starts_with("crypto pki server NAME ")) {
    server_command(match, input, done);
  } else if (trustpoint_command(match, input, done)) {
    return;
  } else if (key == "write" || key == "copy running-config startup-config") {
    save(done);
  } else if (key.starts_with("debug") || key.starts_with("undebug") ||
             key.starts_with("no debug")) {
    done(debug(match));
  } else if (key == "configure replace startup-config") {
    replace_configuration(done);
  } else {
    timestamps_ = key == "terminal exec prompt timestamp";
    done({});
  }
}

ExecResult Exec::show(const Match& match) const {
  const std::string_view key = match.command->key;
  const TimeZone& zone = environment_->zone;
  const std::string name = match.text("NAME");
  if (key == "show clock") {
    return {true, clock_screen(environment_->clock, zone, match.has("detail"))};
  }
  if (key == "show version") {
    return version();
  }
  if (key == "show crypto pki server NAME certificates") return issued(match);
  if (key == "show crypto key mypubkey") {
    const auto keys = held_keys(match);
    if (!keys) return failed(keys.error());
    const std::string label = match.text("LABEL");
    if (!label.empty() && keys->empty()) return unknown_key(label);
    return {true, keys_screen(*keys, zone, !label.empty())};
  }
  if (key == "show crypto pki crls") return {true, crls_screen(held_crls(), zone)};
  if (key == "show crypto pki counters") return {true, counters_screen(*environment_->counters)};
  if (key == "show logging") return {true, logging_screen(environment_->monitor->kept())};
  if (key == "show debugging") return {true, debugging_screen(*environment_->monitor)};
  if (key.ends_with("-config") || key == "show archive config differences")
    return show_configuration(key);
  if (key == "show crypto pki server NAME requests" ||
      key == "crypto pki server NAME info requests") {
    const ServerControl* const found = server(name);
    if (!found) return unknown_server(name);
    auto requests = found->requests();
    if (!requests) return failed(requests.error());
    return {true, requests_screen(*std::move(requests))};
  }
  if (key == "show crypto pki server NAME crl" || key == "crypto pki server NAME info crl") {
    const ServerControl* const found = server(name);
    if (!found) return unknown_server(name);
    const auto crl = found->crl();
    if (!crl) return failed(crl.error());
    return {true, crl_screen(*crl, zone)};
  }
  if (key == "show crypto pki server NAME rollover") {
    const ServerControl* const found = server(name);
    if (!found) return unknown_server(name);
    const auto report = found->overlap();
    if (!report) return failed(report.error());
    return {true, overlap_screen(*report, zone)};
  }
  if (key == "show crypto pki server") {
    if (name.empty()) return {true, server_screen(server_statuses(), zone)};
    const ServerControl* const found = server(name);
    if (!found) return unknown_server(name);
    return {true, server_screen({found->status()}, zone)};
  }
  if (key == "show crypto pki timers") {
    return {true, timers_screen(server_statuses(), trustpoint_statuses(), environment_->clock,
                                match.has("detail"), fetched_crls())};
  }
  if (key == "show crypto pki status") return status(match);
  if (key == "show crypto pki plan") return {true, environment_->plan};
  if (key == "show crypto pki trustpoints") {
    if (!name.empty() && !server(name) && !trustpoint(name)) return unknown_trustpoint(name);
    const auto servers = of_name(server_statuses(), name);
    const auto trustpoints = of_name(trustpoint_statuses(), name);
    return {true, match.has("status") ? trustpoints_status_screen(servers, trustpoints)
                                      : trustpoints_screen(servers, trustpoints)};
  }
  if (!name.empty() && !server(name) && !trustpoint(name)) return unknown_trustpoint(name);
  CertificatesOptions options;
  options.trustpoint = name;
  options.verbose = match.has("verbose");
  options.saved = [this](const x509::Certificate& c) { return environment_->saved->contains(c); };
  const auto trustpoints = trustpoint_statuses();
  if (options.verbose) options.installed = installed(trustpoints);
  return {true, certificates_screen(server_statuses(), trustpoints, zone, options)};
}

ExecResult Exec::status(const Match& match) const {
  const std::string name = match.text("NAME");
  std::vector<server::Status> servers;
  std::vector<client::Status> trustpoints;
  if (!match.has("trustpoint")) servers = server_statuses();
  if (!match.has("server")) trustpoints = trustpoint_statuses();
  if (!name.empty()) {
    std::erase_if(servers, [&](const auto& one) { return one.name != name; });
    std::erase_if(trustpoints, [&](const auto& one) { return one.name != name; });
    if (servers.empty() && trustpoints.empty())
      return match.has("server") ? unknown_server(name) : unknown_trustpoint(name);
  }
  return {true, status_screen(servers, trustpoints, environment_->clock)};
}

}  // namespace umbra::console
