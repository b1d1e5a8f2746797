#include "console/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "console/screens.h"

namespace umbra::console {
namespace {

using lifecycle::Timer;

constexpr Days urgent{7};
constexpr Days near{60};

std::optional<Time> armed(const std::vector<lifecycle::Deadline>& deadlines,
                          std::initializer_list<Timer> timers) {
  for (const auto& deadline : deadlines) {
    if (std::find(timers.begin(), timers.end(), deadline.timer) != timers.end()) return deadline.at;
  }
  return std::nullopt;
}

/// How bad it is that nothing is on its way to replace what ends then.
Health unreplaced(Seconds left) {
  return left <= Seconds{urgent} ? Health::critical : Health::warning;
}

}  // namespace

std::string_view to_string(Health health) {
  switch (health) {
    case Health::ok:
      return "OK";
    case Health::warning:
      return "WARNING";
    case Health::critical:
      return "CRITICAL";
    case Health::unknown:
      return "UNKNOWN";
  }
  return "UNKNOWN";
}

namespace {

Judgement judge_certificate(const client::Status& trustpoint, Time now, bool clock_authoritative) {
  if (!trustpoint.ca) return {Health::critical, "the CA is not authenticated", {}};
  if (trustpoint.contradicts_pin) {
    const Time end = trustpoint.identity ? trustpoint.identity->not_after() : now;
    return {
        Health::critical,
        "the configured fingerprint is another CA's than the one it has: nothing is asked of that "
        "one until `crypto pki authenticate`, or until the fingerprint is corrected",
        std::max(Seconds{0}, Seconds{end - now})};
  }
  if (!trustpoint.identity) {
    return {Health::critical,
            trustpoint.pending ? "no certificate; a request is under way" : "no certificate",
            {}};
  }
  const Seconds left = trustpoint.identity->not_after() - now;
  const std::string ends = to_rfc3339(trustpoint.identity->not_after());
  if (left <= Seconds{0}) return {Health::critical, "the certificate ended at " + ends, {}};
  if (trustpoint.identity->not_before() > now)
    return {Health::critical, "the certificate is not valid yet", left};
  if (!clock_authoritative) return {Health::warning, "the clock is not authoritative", left};
  if (trustpoint.rollover_identity)
    return {Health::ok, fmt::format("ready for the next CA at {}", ends), left};
  if (const auto at = armed(trustpoint.deadlines, {Timer::connect_retry})) {
    return {unreplaced(left),
            fmt::format("{}, next try at {}; the certificate ends at {}",
                        trustpoint.awaits_next_ca ? "there is no next CA certificate yet"
                                                  : "the CA gives no usable answer",
                        to_rfc3339(*at), ends),
            left};
  }
  if (armed(trustpoint.deadlines, {Timer::poll})) {
    return {unreplaced(left),
            fmt::format("the renewal waits to be granted; the certificate ends at {}", ends), left};
  }
  if (trustpoint.asking)
    return {Health::ok, fmt::format("is being renewed, ends at {}", ends), left};
  const auto renewal = armed(trustpoint.deadlines, {Timer::renew, Timer::shadow});
  // However often it is renewed, nothing outlives the CA.
  const Seconds ca_left = trustpoint.ca->not_after() - now;
  const bool own_ca = *trustpoint.ca == *trustpoint.identity;
  const bool follows = trustpoint.rollover_ca || trustpoint.ca_tells_next || own_ca;
  if (trustpoint.renew_at && renewal && !follows && ca_left <= Seconds{near}) {
    return {unreplaced(ca_left),
            fmt::format("the CA ends at {} and names no next one: authenticate what follows it",
                        to_rfc3339(trustpoint.ca->not_after())),
            left};
  }
  if (trustpoint.renew_at && renewal && trustpoint.pending &&
      *renewal >= trustpoint.identity->not_after()) {
    return {unreplaced(left),
            fmt::format("the renewal was tried as often as it is to be, and the certificate ends "
                        "at {}; `crypto pki enroll` asks anew",
                        ends),
            left};
  }
  if (trustpoint.renew_at && renewal)
    return {Health::ok, fmt::format("renewed at {}, ends at {}", to_rfc3339(*renewal), ends), left};
  if (trustpoint.last_enrollment_status == "Rejected") {
    return {unreplaced(left),
            fmt::format("the CA refused the renewal, `crypto pki enroll` tries again; the "
                        "certificate ends at {}",
                        ends),
            left};
  }
  if (trustpoint.auto_enroll) {
    return {unreplaced(left),
            fmt::format("nothing renews it until `crypto pki enroll`, though auto-enroll is "
                        "configured; the certificate ends at {}",
                        ends),
            left};
  }
  if (left > Seconds{near}) return {Health::ok, fmt::format("ends at {}", ends), left};
  return {unreplaced(left), fmt::format("nothing renews it, and it ends at {}", ends), left};
}

}  // namespace

Judgement judge(const client::Status& trustpoint, Time now, bool clock_authoritative) {
  Judgement judged = judge_certificate(trustpoint, now, clock_authoritative);
  const auto& at = trustpoint.announced_again_at;
  const auto& outdated = trustpoint.outdated;
  if ((!at && !outdated) || judged.health == Health::critical) return judged;
  const std::string failed =
      fmt::format("files or \"on change exec\" failed, {}",
                  at ? "next try at " + to_rfc3339(*at) : "and are tried again now");
  const bool known = outdated && outdated->known;
  if (known && outdated->anothers) {
    return {Health::critical,
            fmt::format("the certificate that other programs have is another's, none of this "
                        "trustpoint's keys is in it: {}",
                        failed),
            {}};
  }
  // Peers see what other programs have, however good the trustpoint's own is.
  if (known && (!outdated->not_after || *outdated->not_after <= now)) {
    return {Health::critical,
            fmt::format("{}: {}",
                        outdated->not_after
                            ? fmt::format("the certificate that other programs have ended at {}",
                                          to_rfc3339(*outdated->not_after))
                            : "other programs have no certificate",
                        failed),
            {}};
  }
  judged.text +=
      fmt::format("; other programs do not have {}: {}",
                  judged.health == Health::ok ? "it" : "the certificate there is", failed);
  judged.health = Health::warning;
  if (known) {
    judged.text += fmt::format("; the one they have ends at {}", to_rfc3339(*outdated->not_after));
    judged.time_left = std::min(judged.time_left, Seconds{*outdated->not_after - now});
  }
  return judged;
}

namespace {

/// An RA is as good as its certificate, and as the CA above it.
Judgement judge_ra(const server::Status& server, Time now) {
  const bool transparent = server.mode == config::ServerMode::ra_transparent;
  const auto& own = transparent ? server.ca : server.ra;
  if (!own) return {server.shut ? Health::warning : Health::critical, server.status, {}};
  const Seconds left = std::max(Seconds{0}, own->not_after() - now);
  const std::string ends = to_rfc3339(own->not_after());
  if (server.shut) return {Health::warning, "shut down", left};
  if (server.status != "enabled") return {Health::critical, server.status, left};
  const bool follows = transparent ? server.rollover.has_value() : server.ra_rollover.has_value();
  if (server.above_is_silent) return {Health::warning, "the CA above does not answer", left};
  if (!follows && left <= Seconds{near}) {
    return {unreplaced(left),
            fmt::format("{} ends at {}, and nothing follows it yet{}{}",
                        transparent ? "the CA above" : "the RA certificate", ends,
                        server.awaited.empty() ? "" : ": ", server.awaited),
            left};
  }
  return {
      Health::ok,
      fmt::format("enabled, {} ends at {}{}", transparent ? "the CA above" : "the RA certificate",
                  ends, follows ? ", its successor is there" : ""),
      left};
}

}  // namespace

Judgement judge(const server::Status& server, Time now) {
  if (server.mode == config::ServerMode::ra || server.mode == config::ServerMode::ra_transparent)
    return judge_ra(server, now);
  if (!server.ca) return {server.shut ? Health::warning : Health::critical, server.status, {}};
  const Seconds left = std::max(Seconds{0}, server.ca->not_after() - now);
  const std::string ends = to_rfc3339(server.ca->not_after());
  if (server.shut) return {Health::warning, "shut down", left};
  if (server.status != "enabled") return {Health::critical, server.status, left};
  if (server.crl_next_update && *server.crl_next_update < now) {
    return {
        Health::critical,
        fmt::format("the CRL has been out of date since {}", to_rfc3339(*server.crl_next_update)),
        left};
  }
  const bool follows =
      server.rollover || armed(server.deadlines, {Timer::cs_shadow_cert_generation});
  if (!follows && left <= Seconds{near})
    return {unreplaced(left), fmt::format("nothing follows the CA, which ends at {}", ends), left};
  if (!server.backlog.empty()) {
    const auto& worst = server.backlog.front();
    return {Health::warning,
            fmt::format("{} files wait for {} since {}{}{}", worst.waiting, worst.url,
                        to_rfc3339(worst.since), worst.error.empty() ? "" : ": ", worst.error),
            left};
  }
  if (!server.scarce.empty()) {
    return {Health::warning,
            fmt::format("{} is nearly full: {} octets are left", server.scarce.front().url,
                        server.scarce.front().octets),
            left};
  }
  return {Health::ok,
          fmt::format("enabled, the CA ends at {}{}", ends,
                      server.rollover ? ", its successor is there"
                      : follows       ? ", its successor is made in time"
                                      : ""),
          left};
}

std::string status_screen(const std::vector<server::Status>& servers,
                          const std::vector<client::Status>& trustpoints, const Clock& clock) {
  const Time now = to_time(clock.now());
  std::string out;
  for (const auto& one : servers) out += judgement_line("server", one.name, judge(one, now));
  for (const auto& one : trustpoints) {
    // A server's own trustpoint is judged with the server, which does not know of this.
    if (one.role != config::Role::device && !one.contradicts_pin) continue;
    out += judgement_line("trustpoint", one.name, judge(one, now, clock.authoritative()));
  }
  return out;
}

Health worst_of(std::string_view screen) {
  Health worst = Health::unknown;
  while (!screen.empty()) {
    const std::string_view line = screen.substr(0, screen.find('\n'));
    screen.remove_prefix(std::min(line.size() + 1, screen.size()));
    for (const Health one : {Health::ok, Health::warning, Health::critical}) {
      if (!line.starts_with(fmt::format("{} - ", to_string(one)))) continue;
      if (worst == Health::unknown || one > worst) worst = one;
    }
  }
  return worst;
}

std::string judgement_line(std::string_view kind, std::string_view name, const Judgement& judged) {
  return fmt::format("{} - {} {}: {} | days_left={}\n", to_string(judged.health), kind, name,
                     printable(judged.text), std::chrono::floor<Days>(judged.time_left).count());
}

}  // namespace umbra::console
