#include <fmt/format.h>

#include <algorithm>

#include "plan/fleet.h"

/// How many devices act at once, and CAs under CAs.
namespace umbra::plan {
namespace {

using In = config::SettingLine::In;

bool is_subordinate(const ServerAt& at) {
  const auto* const mode = setting(*at.source, In::server, at.server->name, "mode");
  return mode && mode->text.starts_with("mode sub-cs");
}

std::string upper_url(const ServerAt& at) {
  constexpr std::string_view command = "enrollment url ";
  const auto* const url = setting(*at.source, In::trustpoint, at.server->name, "enrollment url");
  if (!url || !url->text.starts_with(command)) return "";
  const std::string rest = url->text.substr(command.size());
  return rest.substr(0, rest.find(' '));
}

}  // namespace

void check_storm(const ServerAt& server, const std::vector<const Fleet*>& fleets,
                 const Pairing& pairing, std::size_t clients, Findings& findings) {
  constexpr std::size_t worth_a_word = 100;
  constexpr Offset hour = 3600;
  if (clients < worth_a_word || !server.server->auto_rollover) return;
  std::size_t read = 0;
  for (const Fleet* const fleet : fleets) read += fleet->devices.size();
  // Fleets whose RENEW falls into the same hour act together.
  const Fleet* biggest = nullptr;
  std::size_t together = 0;
  Offset renew = 0;
  for (const Fleet* const fleet : fleets) {
    const Question q = question_of(server, *fleet->first().trustpoint, pairing, findings.options(),
                                   fleet->pair.through);
    if (!q.client.auto_enroll || *q.client.auto_enroll >= 100) continue;
    const Proof proof = prove(q);
    const Offset at = proof.renews ? proof.renewal_after : proof.shadow_first;
    std::size_t same = 0;
    for (const Fleet* const other : fleets) {
      const auto percent = other->first().trustpoint->auto_enroll;
      if (!percent) continue;
      const Offset theirs = q.lifetime.count() * *percent / 100;
      const Offset ours = q.lifetime.count() * *q.client.auto_enroll / 100;
      if (std::abs(theirs - ours) < hour) same += other->devices.size();
    }
    if (same <= together) continue;
    together = same;
    biggest = fleet;
    renew = at;
  }
  if (!biggest || read == 0) return;
  const std::size_t at_once = clients * together / read;
  if (at_once < worth_a_word) return;
  const Offset spread = std::max<Offset>(1, renew / hour);
  const std::size_t per_hour = std::max<std::size_t>(1, at_once / static_cast<std::size_t>(spread));
  findings.of_fleet(
      *biggest, Grade::note, "renewals-at-once", "auto-enroll",
      fmt::format(
          "{} of {} act in one and the same hour: every certificate under the second CA "
          "begins on the second that CA does, so that {} after it RENEW comes to all of them "
          "on one second. Enrolled at once, they do so under the first CA as well; enrolled "
          "evenly over {}, {} an hour. Different percentages spread them: one per cent more "
          "or less is {}.",
          count(at_once), devices(clients), span(renew), span(renew), count(per_hour),
          span(server.server->lifetime_certificate.count() / 100)));
}

void check_ra(const ServerAt& ra, const Pairing& pairing, Findings& findings) {
  const config::Server& r = *ra.server;
  if (r.mode == config::ServerMode::ra && r.grant == config::Grant::none) {
    Finding& finding = findings.of_server(
        ra, Grade::error, "grants-nothing", "grant",
        "`grant none` refuses every request: devices behind this RA are neither enrolled nor "
        "renewed.");
    finding.fixes.push_back(server_fix(ra, "grant", " grant auto"));
  }
  const auto pair = pairing.of(*ra.source, r.name, r.upstream->url);
  if (pair.how == Pairing::How::nowhere) {
    findings.of_server(ra, Grade::warning, "unknown-upper-ca", "mode",
                       "The CA above this RA is not among the files: nothing can be said of the "
                       "devices behind it.");
    return;
  }
  const ServerAt& upper = pairing.servers()[pair.server];
  const config::Server& u = *upper.server;
  if (r.mode != config::ServerMode::ra) return;
  if (u.grant != config::Grant::automatic && !u.grant_ra_auto) {
    Finding& finding = findings.of_server(
        upper, Grade::warning, "ra-requests-wait", "grant",
        fmt::format("What the RA {} has granted waits here once more for a person.", r.name));
    finding.fixes.push_back(server_fix(upper, "grant", " grant ra-auto"));
  }
  if (!u.grant_rollover_ra_cert && u.auto_rollover) {
    Finding& finding = findings.of_server(
        upper, Grade::warning, "ra-waits", "",
        fmt::format("The RA {} asks for its certificate of the next CA from {} on, which waits for "
                    "a person: until it is granted, the devices behind it find no next CA.",
                    r.name, findings.day((u.lifetime_ca_certificate - *u.auto_rollover).count())));
    finding.fixes.push_back(server_fix(upper, "", " grant auto rollover ra-cert"));
  }
}

void check_hierarchy(const Pairing& pairing, Findings& findings) {
  for (const ServerAt& lower : pairing.servers()) {
    if (!is_subordinate(lower)) continue;
    const std::string url = upper_url(lower);
    const auto pair = pairing.of(*lower.source, lower.server->name, url);
    if (url.empty() || pair.how == Pairing::How::nowhere ||
        pairing.servers()[pair.server].server == lower.server) {
      findings.of_server(lower, Grade::warning, "unknown-upper-ca", "mode",
                         "The CA above this one is not among the files: whether its rollover comes "
                         "before this one's is not checked.");
      continue;
    }
    const ServerAt& upper = pairing.servers()[pair.server];
    const config::Server& u = *upper.server;
    const config::Server& l = *lower.server;
    const Offset end = u.lifetime_ca_certificate.count();
    if (!l.auto_rollover) continue;  // said of the server itself
    if (!u.auto_rollover || *l.auto_rollover > *u.auto_rollover) {
      const Offset asks = end - l.auto_rollover->count();
      const Offset made = end - u.auto_rollover.value_or(Seconds{0}).count();
      Finding& finding = findings.of_server(
          lower, u.auto_rollover ? Grade::warning : Grade::error, "upper-ca-later", "auto-rollover",
          fmt::format("This CA ends with the one above it, {}, on {}, and asks it for its next "
                      "certificate on {} (auto-rollover {}); {} makes its own next CA {}. Until "
                      "then it asks in vain, and its own devices find no next CA.",
                      u.name, findings.day(end), findings.day(asks), l.auto_rollover_text, u.name,
                      u.auto_rollover ? "on " + findings.day(made) : "never"));
      const Days overlap = std::chrono::floor<Days>(*l.auto_rollover) + Days{1};
      finding.fixes.push_back(
          server_fix(upper, "auto-rollover", fmt::format(" auto-rollover {}", overlap.count())));
    }
    if (!u.grant_rollover_ca_cert) {
      Finding& finding = findings.of_server(
          upper, Grade::warning, "subordinate-waits", "grant",
          fmt::format(
              "The rollover request of the CA {} under this one waits for a person, from {} "
              "on: until it is granted, the devices of {} find no next CA.",
              l.name, findings.day(end - l.auto_rollover->count()), l.name));
      finding.fixes.push_back(server_fix(upper, "", " grant auto rollover ca-cert"));
    }
    const Seconds lifetime = u.lifetime_subordinate_ca.value_or(u.lifetime_certificate);
    if (lifetime < l.lifetime_certificate) {
      Finding& finding = findings.of_server(
          upper, Grade::warning, "subordinate-short", "lifetime subordinate-ca",
          fmt::format("The CA {} under this one gets a certificate of {}, and issues certificates "
                      "of {}: all of them end with it.",
                      l.name, span(lifetime.count()), span(l.lifetime_certificate.count())));
      const Seconds wanted = std::min(2 * l.lifetime_certificate, u.lifetime_ca_certificate);
      finding.fixes.push_back(server_fix(upper, "lifetime subordinate-ca",
                                         " lifetime subordinate-ca " + ios_days(wanted)));
    }
  }
}

}  // namespace umbra::plan
