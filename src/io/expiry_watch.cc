#include "io/expiry_watch.h"

#include <fmt/format.h>

#include <algorithm>

namespace umbra::io {
namespace {

constexpr Seconds look_again = std::chrono::hours{6};

/// When the first of these timers fires, if any is armed.
std::optional<Time> soonest(const std::vector<lifecycle::Deadline>& deadlines,
                            std::initializer_list<lifecycle::Timer> timers) {
  for (const auto& deadline : deadlines) {
    if (std::find(timers.begin(), timers.end(), deadline.timer) != timers.end()) return deadline.at;
  }
  return std::nullopt;
}

std::string span(Seconds left) {
  const auto days = std::chrono::duration_cast<Days>(left);
  left -= days;
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(left);
  left -= hours;
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(left);
  left -= minutes;
  return fmt::format("{} Days {} hours {} mins {} secs", days.count(), hours.count(),
                     minutes.count(), left.count());
}

}  // namespace

ExpiryWatch::ExpiryWatch(const Clock& clock, Log& log, Servers servers, Trustpoints trustpoints)
    : clock_(clock),
      log_(log),
      servers_(std::move(servers)),
      trustpoints_(std::move(trustpoints)) {}

Time ExpiryWatch::next() const {
  const std::lock_guard lock(mutex_);
  return next_;
}

std::vector<ExpiryWatch::Watched> ExpiryWatch::watched() const {
  using lifecycle::Timer;
  std::vector<Watched> all;
  for (const auto& server : servers_()) {
    // An RA's certificates, and the CA's above it, are its trustpoint's.
    const bool is_ra =
        server.mode == config::ServerMode::ra || server.mode == config::ServerMode::ra_transparent;
    if (!server.ca || is_ra) continue;
    const auto made = soonest(server.deadlines, {Timer::cs_shadow_cert_generation});
    all.push_back({fmt::format("CA Certificate of certificate server {}", server.name),
                   made || server.rollover ? "Enabled" : "Not Enabled",
                   *server.ca,
                   {server.ca->not_after(), made, server.rollover.has_value()}});
  }
  for (const auto& trustpoint : trustpoints_()) {
    // A request that is under way is late already: RENEW or SHADOW has fired, and is not armed.
    const auto renew = soonest(trustpoint.deadlines, {Timer::renew});
    const auto shadow = soonest(trustpoint.deadlines, {Timer::shadow});
    if (trustpoint.identity) {
      const bool automatic = trustpoint.renew_at.has_value();
      all.push_back(
          {fmt::format("ID Certificate belonging to trustpoint {}", trustpoint.name),
           automatic ? "Enabled" : "Not Enabled",
           *trustpoint.identity,
           {trustpoint.identity->not_after(), automatic ? trustpoint.renew_at : std::nullopt,
            trustpoint.rollover_identity.has_value()}});
    }
    if (trustpoint.ca) {
      // While RENEW is armed, SHADOW comes after it, and in time.
      const auto at =
          trustpoint.identity && renew ? std::optional<Time>(trustpoint.ca->not_after()) : shadow;
      all.push_back({fmt::format("CA Certificate belonging to trustpoint {}", trustpoint.name),
                     at || trustpoint.rollover_ca ? "Enabled" : "Not Enabled",
                     *trustpoint.ca,
                     {trustpoint.ca->not_after(), at, trustpoint.rollover_ca.has_value()}});
    }
  }
  return all;
}

void ExpiryWatch::say(const Watched& one, Time now) {
  const bool urgent = lifecycle::is_urgent(one.facts.not_after, now);
  log_.event({urgent ? Severity::alert : Severity::warning,
              urgent ? "CERT_EXPIRY_ALERT" : "CERT_EXPIRY_WARNING",
              fmt::format("{} will expire in {}. Issuer-name : {} Subject-name : {} "
                          "Serial-number : {} Auto-Renewal : {}",
                          one.what, span(one.facts.not_after - now),
                          one.certificate.issuer().joined(), one.certificate.subject().joined(),
                          one.certificate.serial().to_hex_octets(), one.renewal)});
}

void ExpiryWatch::run() {
  const std::lock_guard one_at_a_time(running_);
  const Time now = to_time(clock_.now());
  Time next = now + look_again;
  if (clock_.authoritative()) {
    std::map<std::string, Time> said;
    for (const Watched& one : watched()) {
      if (now >= one.facts.not_after) continue;
      const std::string key = one.what + to_hex(one.certificate.fingerprint(x509::Digest::sha256));
      const auto known = said_.find(key);
      std::optional<Time> last =
          known == said_.end() ? std::nullopt : std::optional<Time>(known->second);
      if (const auto at = lifecycle::next_alert(one.facts, last); at && *at <= now) {
        say(one, now);
        last = now;
      }
      if (last) said.emplace(key, *last);
      if (const auto at = lifecycle::next_alert(one.facts, last)) next = std::min(next, *at);
    }
    said_ = std::move(said);
  }
  const std::lock_guard lock(mutex_);
  next_ = next;
}

}  // namespace umbra::io
