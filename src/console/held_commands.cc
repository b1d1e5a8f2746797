#include <fmt/format.h>

#include <algorithm>

#include "console/exec_result.h"
#include "console/held_screens.h"

/// What is held: certificates that were issued, keys, CRLs; and this program itself.
namespace umbra::console {
namespace {

constexpr std::size_t lines_max = 100000;
constexpr std::string_view by_scep = "** CDP Not Published - Retrieved via SCEP";

std::string span(Seconds up) {
  const auto days = std::chrono::duration_cast<Days>(up);
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(up - days);
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(up - days - hours);
  std::vector<std::string> parts;
  const auto add = [&parts](std::int64_t count, const char* unit) {
    if (count > 0) parts.push_back(fmt::format("{} {}{}", count, unit, count == 1 ? "" : "s"));
  };
  add(days.count(), "day");
  add(hours.count(), "hour");
  add(minutes.count(), "minute");
  return parts.empty() ? "0 minutes" : fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

ExecResult Exec::issued(const config::Match& match) const {
  const std::string name = match.text("NAME");
  const ServerControl* const found = server(name);
  if (!found) return unknown_server(name);
  std::string out = certificate_list_head();
  std::size_t lines = 0;
  const auto read = found->each_certificate([&](const server::CertificateLine& line) {
    if (++lines > lines_max) {
      out += fmt::format("% There are more: the first {} are shown\n", lines_max);
      return false;
    }
    out += certificate_list_line(line, environment_->zone);
    return true;
  });
  if (!read) return failed(read.error());
  return {true, out};
}

Result<std::vector<ShownKey>> Exec::held_keys(const config::Match& match) const {
  const std::string label = match.text("LABEL");
  std::vector<ShownKey> shown;
  // A subordinate CA's key is its trustpoint's too.
  const auto add = [&](const x509::KeyLine& key) {
    const bool rsa = key.key.algorithm() == x509::KeyAlgorithm::rsa;
    if (match.has(rsa ? "ec" : "rsa") || (!label.empty() && label != key.label)) return;
    for (const ShownKey& one : shown) {
      if (one.line.label == key.label && equal(one.line.key.spki(), key.key.spki())) return;
    }
    shown.push_back({key, environment_->saved->contains(key.key)});
  };
  for (const ServerControl& one : environment_->servers) {
    UMBRA_TRY(const auto keys, one.keys());
    for (const x509::KeyLine& key : keys) {
      add(key);
    }
  }
  for (const client::Status& one : trustpoint_statuses()) {
    for (const x509::KeyLine& key : one.keys) add(key);
  }
  if (environment_->keys) {
    UMBRA_TRY(const auto waiting, environment_->keys->lines());
    for (const x509::KeyLine& key : waiting) add(key);
  }
  return shown;
}

std::function<std::optional<Time>(const x509::Certificate&)> Exec::installed(
    const std::vector<client::Status>& trustpoints) const {
  std::map<Bytes, Time> since;
  for (const client::Status& one : trustpoints)
    since.insert(one.held_since.begin(), one.held_since.end());
  // A server's certificate came with its generation, when its key was made.
  for (const ServerControl& one : environment_->servers) {
    const auto keys = one.keys ? one.keys() : std::vector<x509::KeyLine>();
    if (!keys) continue;
    for (const x509::KeyLine& key : *keys) {
      if (key.made_at)
        since.emplace(x509::hash(x509::Digest::sha256, key.key.spki()), *key.made_at);
    }
  }
  return [since = std::move(since)](const x509::Certificate& c) -> std::optional<Time> {
    auto found = since.find(c.fingerprint(x509::Digest::sha256));
    if (found == since.end() && c.is_ca())
      found = since.find(x509::hash(x509::Digest::sha256, c.public_key().spki()));
    return found == since.end() ? std::nullopt : std::optional<Time>(found->second);
  };
}

std::vector<HeldCrl> Exec::held_crls() const {
  std::vector<HeldCrl> all;
  for (const ServerControl& one : environment_->servers) {
    if (const auto own = one.crl()) {
      all.push_back({own->issuer, own->this_update, own->next_update, own->octets, std::nullopt,
                     fmt::format("** Signed by certificate server {}", one.name)});
    }
  }
  for (HeldCrl& one : fetched_crls()) all.push_back(std::move(one));
  return all;
}

std::vector<HeldCrl> Exec::fetched_crls() const {
  std::vector<HeldCrl> all;
  for (const ServerControl& one : environment_->servers) {
    const auto above = one.crl_above ? one.crl_above() : std::nullopt;
    if (above) {
      all.push_back({above->issuer, above->this_update, above->next_update, above->octets,
                     above->fetched_at, std::string(by_scep)});
    }
  }
  for (const client::Status& one : trustpoint_statuses()) {
    if (!one.crl) continue;
    all.push_back({one.crl->issuer, one.crl->this_update, one.crl->next_update, one.crl->octets,
                   one.crl->fetched_at,
                   one.crl->source.empty() ? std::string(by_scep) : printable(one.crl->source)});
  }
  return all;
}

ExecResult Exec::version() const {
  std::string out =
      fmt::format("Umbra, certificate server and client, version {}\nSystem name is {}\n",
                  environment_->version, environment_->hostname);
  if (environment_->started_at) {
    const Time now = to_time(environment_->clock.now());
    out += fmt::format("{} uptime is {}\nSystem started at {}\n", environment_->hostname,
                       span(std::max(Seconds{0}, now - *environment_->started_at)),
                       to_ios_time(*environment_->started_at, environment_->zone));
  }
  if (!environment_->config_file.empty())
    out += fmt::format("Configuration file is \"{}\"\n", environment_->config_file);
  return {true, out};
}

}  // namespace umbra::console
