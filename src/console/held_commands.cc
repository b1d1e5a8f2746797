#include <fmt/format.h>

#include <algorithm>

#include "console/exec_result.h"
#include "console/held_screens.h"

/// What is held: certificates that were issued, keys, CRLs; and this program itself.
namespace umbra::console {
namespace {

constexpr std::size_t lines_max = 100000;

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
  std::vector<ShownKey> shown;
  for (const ServerControl& one : environment_->servers) {
    UMBRA_TRY(const auto keys, one.keys());
    for (const x509::KeyLine& key : keys) {
      const bool rsa = key.key.algorithm() == x509::KeyAlgorithm::rsa;
      if (match.has(rsa ? "ec" : "rsa")) continue;
      shown.push_back({key, environment_->saved->contains(key.key)});
    }
  }
  return shown;
}

std::vector<HeldCrl> Exec::held_crls() const {
  std::vector<HeldCrl> all;
  for (const ServerControl& one : environment_->servers) {
    if (const auto own = one.crl()) {
      all.push_back({own->issuer, own->this_update, own->next_update, own->octets, std::nullopt,
                     fmt::format("** Signed by certificate server {}", one.name)});
    }
    if (const auto above = one.crl_above()) {
      all.push_back({above->issuer, above->this_update, above->next_update, above->octets,
                     above->fetched_at, "** CDP Not Published - Retrieved via SCEP"});
    }
  }
  for (const TrustpointControl& one : environment_->trustpoints) {
    const client::Status status = one.status();
    if (!status.crl) continue;
    const client::HeldCrl& held = *status.crl;
    all.push_back(
        {held.issuer, held.this_update, held.next_update, held.octets, held.fetched_at,
         held.source.empty() ? "** CDP Not Published - Retrieved via SCEP" : held.source});
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
