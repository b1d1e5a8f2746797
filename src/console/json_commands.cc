#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "console/exec_result.h"
#include "console/health.h"
#include "console/held_screens.h"

/// `show ... | json`: what the screens show, from the same values, never from the screens' text.
/// Names are stable; times are RFC 3339 in UTC; numbers of certificates are hexadecimal digits;
/// null is what is not there. docs/JSON.md has the fields.
namespace umbra::console {
namespace {

using config::Match;
using Json = nlohmann::ordered_json;

constexpr std::size_t certificates_max = 100000;

Json time_of(const std::optional<Time>& time) {
  return time ? Json(to_rfc3339(*time)) : Json(nullptr);
}
Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json time_to_milliseconds(Instant at) {
  const Time second = to_time(at);
  std::string text = to_rfc3339(second);
  text.insert(text.size() - 1, fmt::format(".{:03}", (at - Instant(second)).count()));
  return text;
}

std::string_view algorithm_of(const x509::PublicKey& key) {
  return key.algorithm() == x509::KeyAlgorithm::rsa ? "rsa" : "ec";
}

Json json_of(const std::optional<x509::Certificate>& certificate) {
  if (!certificate) return nullptr;
  const x509::Certificate& c = *certificate;
  return {{"serial", c.serial().to_hex()},
          {"issuer", c.issuer().joined()},
          {"subject", c.subject().joined()},
          {"not_before", to_rfc3339(c.not_before())},
          {"not_after", to_rfc3339(c.not_after())},
          {"is_ca", c.is_ca()},
          {"key", {{"algorithm", algorithm_of(c.public_key())}, {"bits", c.public_key().bits()}}},
          {"crl_urls", c.crl_urls()},
          {"md5", to_hex(c.fingerprint(x509::Digest::md5))},
          {"sha1", to_hex(c.fingerprint(x509::Digest::sha1))},
          {"sha256", to_hex(c.fingerprint(x509::Digest::sha256))}};
}

Json json_of(const std::vector<lifecycle::Deadline>& deadlines, Instant now) {
  Json out = Json::array();
  for (const auto& deadline : deadlines) {
    out.push_back(
        {{"timer", lifecycle::label(deadline)},
         {"at", to_rfc3339(deadline.at)},
         {"milliseconds_left", std::chrono::milliseconds(Instant(deadline.at) - now).count()}});
  }
  return out;
}

Json json_of(const std::vector<ShownTimer>& timers, Instant now) {
  Json out = Json::array();
  for (const auto& timer : timers) {
    out.push_back(
        {{"timer", timer.label},
         {"at", to_rfc3339(timer.at)},
         {"milliseconds_left", std::chrono::milliseconds(Instant(timer.at) - now).count()}});
  }
  return out;
}

std::string_view word_for(config::ServerMode mode) {
  switch (mode) {
    case config::ServerMode::root:
      return "root";
    case config::ServerMode::subordinate:
      return "sub-cs";
    case config::ServerMode::ra:
      return "ra";
    case config::ServerMode::ra_transparent:
      return "ra transparent";
  }
  return "root";
}

Json json_of(const server::Status& s) {
  Json backlog = Json::array();
  for (const auto& one : s.backlog) {
    backlog.push_back({{"url", one.url},
                       {"waiting", one.waiting},
                       {"since", to_rfc3339(one.since)},
                       {"error", text_or_null(one.error)}});
  }
  Json urls = Json::object();
  for (const auto& [type, url] : s.database_urls_of) urls[type] = url;
  return {{"name", s.name},
          {"mode", word_for(s.mode)},
          {"status", s.status},
          {"state", s.state},
          {"shut", s.shut},
          {"issuer_name", s.issuer_name},
          {"granting", s.granting},
          {"last_serial", s.last_serial.to_hex()},
          {"database_level", s.database_level},
          {"database_url", text_or_null(s.database_url)},
          {"database_urls", urls},
          {"files_waiting", backlog},
          {"ca", json_of(s.ca)},
          {"rollover", json_of(s.rollover)},
          {"ra", json_of(s.ra)},
          {"ra_rollover", json_of(s.ra_rollover)},
          {"upper", json_of(s.upper)},
          {"awaited_of_upper", text_or_null(s.awaited)},
          {"crl_next_update", time_of(s.crl_next_update)},
          {"auto_rollover", text_or_null(s.auto_rollover_text)},
          {"auto_rollover_at", time_of(s.autorollover_at)},
          {"clock_authoritative", s.clock_authoritative}};
}

Json json_of(const client::Status& t) {
  Json pending = nullptr;
  if (t.pending) {
    pending = {{"subject", t.pending->subject().joined()},
               {"md5", to_hex(t.pending->fingerprint(x509::Digest::md5))},
               {"sha1", to_hex(t.pending->fingerprint(x509::Digest::sha1))}};
  }
  return {{"name", t.name},
          {"enrollment_url", text_or_null(t.enrollment_url)},
          {"keys_generated", t.keys_generated},
          {"exportable", t.exportable},
          {"by_hand", t.by_hand},
          {"fingerprint_contradicted", t.contradicts_pin},
          {"key_label", text_or_null(t.key_label)},
          {"last_enrollment_status", text_or_null(t.last_enrollment_status)},
          {"renew_at", time_of(t.renew_at)},
          {"pending_request", pending},
          {"ca", json_of(t.ca)},
          {"certificate", json_of(t.identity)},
          {"rollover_ca", json_of(t.rollover_ca)},
          {"rollover_certificate", json_of(t.rollover_identity)}};
}

Json json_of(const server::CrlView& crl) {
  Json revoked = Json::array();
  for (const auto& entry : crl.revoked) {
    revoked.push_back({{"serial", entry.serial.to_hex()},
                       {"revoked_at", to_rfc3339(entry.revoked_at)},
                       {"reason", entry.reason == x509::RevocationReason::none
                                      ? Json(nullptr)
                                      : Json(static_cast<int>(entry.reason))}});
  }
  return {{"issuer", crl.issuer},
          {"this_update", to_rfc3339(crl.this_update)},
          {"next_update", to_rfc3339(crl.next_update)},
          {"octets", crl.octets},
          {"revoked", revoked}};
}

Json json_of(const Counters& c) {
  return {{"sessions_started", c.sessions_started.load()},
          {"sessions_ended", c.sessions_ended.load()},
          {"validated", c.validated.load()},
          {"refused", c.refused.load()},
          {"bypassed", c.bypassed.load()},
          {"pending", c.pending.load()},
          {"crls_checked", c.crls_checked.load()},
          {"crl_fetches", c.crl_fetches.load()},
          {"crl_failures", c.crl_failures.load()},
          {"crl_busy", c.crl_busy.load()},
          {"put_off", c.put_off.load()}};
}

Json lines_of(std::string_view text) {
  Json out = Json::array();
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

ExecResult dumped(const Json& json) {
  // Peers' names may hold octets that are no UTF-8.
  return {true, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"};
}

template <class Judged>
Json json_of(const std::string& name, const Judged& judged) {
  return {{"name", name},
          {"health", to_string(judged.health)},
          {"text", judged.text},
          {"seconds_left", judged.time_left.count()}};
}

}  // namespace

ExecResult Exec::json_of_server(const Match& match) const {
  const std::string_view key = match.command->key;
  const std::string name = match.text("NAME");
  const ServerControl* const found = server(name);
  if (!found) return unknown_server(name);
  if (key.ends_with(" requests")) {
    const auto requests = found->requests();
    if (!requests) return failed(requests.error());
    Json all = Json::array();
    for (const auto& one : *requests) {
      all.push_back({{"id", one.id},
                     {"kind", one.request_class == 1   ? "subordinate_ca"
                              : one.request_class == 2 ? "ra"
                                                       : "router"},
                     {"state", one.state},
                     {"fingerprint", one.fingerprint},
                     {"subject", one.subject}});
    }
    return dumped({{"server", name}, {"requests", all}});
  }
  if (key.ends_with(" crl")) {
    const auto crl = found->crl();
    if (!crl) return failed(crl.error());
    return dumped({{"server", name}, {"crl", json_of(*crl)}});
  }
  if (key.ends_with(" rollover")) {
    const auto report = found->overlap();
    if (!report) return failed(report.error());
    return {true, overlap_json(*report)};
  }
  Json all = Json::array();
  bool more = false;
  const auto read = found->each_certificate([&](const server::CertificateLine& line) {
    more = all.size() == certificates_max;
    if (more) return false;
    all.push_back({{"serial", line.serial.to_hex()},
                   {"subject", line.subject},
                   {"not_before", to_rfc3339(line.not_before)},
                   {"not_after", to_rfc3339(line.not_after)},
                   {"revoked_at", time_of(line.revoked_at)}});
    return true;
  });
  if (!read) return failed(read.error());
  return dumped({{"server", name}, {"certificates", all}, {"truncated", more}});
}

ExecResult Exec::json_of_health(const Match& match) const {
  // What is wrong with the names is said by the screen's own code.
  if (ExecResult screen = status(match); !screen.ok) return screen;
  const std::string name = match.text("NAME");
  const Time now = to_time(environment_->clock.now());
  Json servers = Json::array();
  Json trustpoints = Json::array();
  const auto wanted = [&](const std::string& one) { return name.empty() || one == name; };
  if (!match.has("trustpoint")) {
    for (const auto& one : server_statuses())
      if (wanted(one.name)) servers.push_back(json_of(one.name, judge(one, now)));
  }
  if (!match.has("server")) {
    for (const auto& one : trustpoint_statuses())
      if (wanted(one.name))
        trustpoints.push_back(
            json_of(one.name, judge(one, now, environment_->clock.authoritative())));
  }
  return dumped({{"servers", servers}, {"trustpoints", trustpoints}});
}

ExecResult Exec::json_of_pki(const Match& match) const {
  const std::string_view key = match.command->key;
  const std::string name = match.text("NAME");
  if (key.starts_with("show crypto pki server NAME ")) return json_of_server(match);
  if (key == "show crypto pki status") return json_of_health(match);
  if (key == "show crypto pki plan")
    return {true, environment_->plan_json.empty() ? "{}\n" : environment_->plan_json};
  if (key == "show crypto pki counters") return dumped(json_of(*environment_->counters));
  if (key == "show crypto pki crls") {
    Json all = Json::array();
    for (const HeldCrl& crl : held_crls()) {
      all.push_back({{"issuer", crl.issuer},
                     {"this_update", to_rfc3339(crl.this_update)},
                     {"next_update", time_of(crl.next_update)},
                     {"octets", crl.octets},
                     {"fetched_at", time_of(crl.fetched_at)}});
    }
    return dumped({{"crls", all}});
  }
  Json servers = Json::array();
  Json trustpoints = Json::array();
  if (key == "show crypto pki timers") {
    const Instant now = environment_->clock.now();
    for (const auto& one : server_statuses())
      servers.push_back({{"name", one.name}, {"timers", json_of(one.deadlines, now)}});
    for (const auto& one : trustpoint_statuses())
      trustpoints.push_back({{"name", one.name}, {"timers", json_of(one.deadlines, now)}});
    return dumped({{"now", time_to_milliseconds(now)},
                   {"servers", servers},
                   {"trustpoints", trustpoints},
                   {"expiry_alerts", json_of(alert_timers(server_statuses(), trustpoint_statuses(),
                                                          environment_->clock),
                                             now)},
                   {"crls", json_of(crl_timers(fetched_crls(), environment_->clock), now)}});
  }
  if (key == "show crypto pki server") {
    if (!name.empty() && !server(name)) return unknown_server(name);
    for (const auto& one : server_statuses())
      if (name.empty() || one.name == name) servers.push_back(json_of(one));
    return dumped({{"servers", servers}});
  }
  if (key != "show crypto pki trustpoints" && key != "show crypto pki certificates")
    return failed("% This screen has no JSON form\n");
  if (!name.empty() && !server(name) && !trustpoint(name)) return unknown_trustpoint(name);
  const auto all = by_trustpoint(server_statuses(), trustpoint_statuses());
  for (const auto& one : all.servers) {
    if (!name.empty() && one.name != name) continue;
    servers.push_back(
        {{"name", one.name}, {"ca", json_of(one.ca)}, {"rollover", json_of(one.rollover)}});
  }
  for (const auto& one : all.trustpoints)
    if (name.empty() || one.name == name) trustpoints.push_back(json_of(one));
  return dumped({{"servers", servers}, {"trustpoints", trustpoints}});
}

ExecResult Exec::json(const Match& match) const {
  const std::string_view key = match.command->key;
  if (key.starts_with("show crypto pki ")) return json_of_pki(match);
  if (key == "show clock") {
    const Clock& clock = environment_->clock;
    return dumped({{"time", time_to_milliseconds(clock.now())},
                   {"authoritative", clock.authoritative()},
                   {"source", clock.source()},
                   {"zone", environment_->zone.name},
                   {"zone_offset_minutes", environment_->zone.offset.count()}});
  }
  if (key == "show version") {
    return dumped({{"version", environment_->version},
                   {"hostname", environment_->hostname},
                   {"started_at", time_of(environment_->started_at)},
                   {"config_file", text_or_null(environment_->config_file)}});
  }
  if (key == "show crypto key mypubkey") {
    const auto held = held_keys(match);
    if (!held) return failed(held.error());
    if (const std::string label = match.text("LABEL"); !label.empty() && held->empty())
      return unknown_key(label);
    Json keys = Json::array();
    for (const ShownKey& one : *held) {
      keys.push_back({{"label", one.line.label},
                      {"algorithm", algorithm_of(one.line.key)},
                      {"bits", one.line.key.bits()},
                      {"made_at", time_of(one.line.made_at)},
                      {"exportable", one.line.exportable},
                      {"saved", one.saved},
                      {"public_key", to_hex(one.line.key.spki())}});
    }
    return dumped({{"keys", keys}});
  }
  if (key == "show logging") {
    const Monitor::Kept kept = environment_->monitor->kept();
    return dumped({{"logged", kept.logged}, {"dropped", kept.dropped}, {"lines", kept.lines}});
  }
  if (key == "show debugging") {
    Json topics = Json::object();
    for (const DebugTopic topic : debug_topics)
      topics[std::string(to_string(topic))] = environment_->monitor->debugs(topic);
    return dumped({{"debugging", topics}});
  }
  if (key.ends_with("-config") || key == "show archive config differences") {
    const ExecResult text = show_configuration(key);
    if (!text.ok) return text;
    std::string_view body = text.output;
    // The size that IOS prints above it is none of its lines.
    if (const auto head = body.find("Current configuration : "); head != std::string_view::npos)
      body.remove_prefix(std::min(body.find('\n', head) + 1, body.size()));
    return dumped({{"lines", lines_of(body)}});
  }
  return failed("% This screen has no JSON form\n");
}

}  // namespace umbra::console
