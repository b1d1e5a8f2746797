#include "io/expiry_watch.h"

#include <fmt/format.h>

#include <algorithm>

namespace umbra::io {
namespace {

constexpr Seconds look_again = std::chrono::hours{6};

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

void ExpiryWatch::say(const console::Expiring& one, Time now) {
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
    for (const console::Expiring& one : console::expiring(servers_(), trustpoints_())) {
      if (now >= one.facts.not_after) continue;
      const std::string key = one.what + to_hex(one.certificate.fingerprint(x509::Digest::sha256));
      const auto known = said_.find(key);
      std::optional<Time> last =
          known == said_.end() ? std::nullopt : std::optional<Time>(known->second);
      if (last && *last > now) last.reset();  // the clock has stepped back
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
