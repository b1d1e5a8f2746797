#include "plan/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "config/rules.h"
#include "plan/fleet.h"

namespace umbra::plan {
namespace {

using In = config::SettingLine::In;

/// Everything of a trustpoint that a finding may depend on.
auto kind_of(const config::Trustpoint& t, const Pairing::Pair& pair) {
  return std::tuple(pair.how, pair.server, pair.through, t.auto_enroll, t.retry_count,
                    t.retry_period, t.hash, t.modulus, t.allow_des, t.allow_md5, t.allow_rsa_1024,
                    t.allow_flat_next_ca, t.fingerprint.size(), t.revocation_check,
                    pair.how == Pairing::How::by_address ? "" : parts_of(t.enrollment_url).host);
}

std::vector<Fleet> fleets_of(const std::vector<Source>& sources, const Pairing& pairing) {
  std::vector<Fleet> fleets;
  std::map<decltype(kind_of({}, {})), std::size_t> seen;
  for (const Source& source : sources) {
    for (const config::Trustpoint& trustpoint : source.configuration().trustpoints) {
      if (trustpoint.enrollment_url.empty()) continue;
      // A subordinate CA's or an RA's own: it follows the server, not a percentage.
      if (trustpoint.role != config::Role::device) continue;
      const auto pair = pairing.of(source, trustpoint.name, trustpoint.enrollment_url);
      const auto [at, fresh] = seen.emplace(kind_of(trustpoint, pair), fleets.size());
      if (fresh) fleets.push_back({pair, {}});
      fleets[at->second].devices.push_back({&source, &trustpoint});
    }
  }
  return fleets;
}

std::string who_is(const Device& device) {
  return fmt::format("trustpoint {} of {}", device.trustpoint->name,
                     device.source->configuration().hostname);
}

/// A subordinate CA lives as long as the one above lets it.
Seconds life_of_ca(const ServerAt& at, const Pairing& pairing) {
  const Seconds own = at.server->lifetime_ca_certificate;
  if (at.server->mode != config::ServerMode::subordinate) return own;
  for (const config::Trustpoint& t : at.source->configuration().trustpoints) {
    if (t.name != at.server->name) continue;
    const auto pair = pairing.of(*at.source, t.name, t.enrollment_url);
    if (pair.how == Pairing::How::nowhere) return own;
    const config::Server& upper = *pairing.servers()[pair.server].server;
    if (&upper == at.server) return own;
    return std::min(upper.lifetime_subordinate_ca.value_or(upper.lifetime_certificate),
                    upper.lifetime_ca_certificate);
  }
  return own;
}

Fix fix_in(const Source& source, In in, const std::string& block, const std::string& key,
           const std::string& line) {
  Fix fix;
  fix.file = source.file;
  fix.text = line;
  const auto* const found = setting(source, in, block, key);
  fix.replaces = found != nullptr && !key.empty();
  fix.line = line_of(source, in, block, key);
  return fix;
}

void say_what_is_unpaired(const std::vector<Fleet>& fleets, const Pairing& pairing,
                          Findings& findings) {
  if (pairing.servers().empty() && !fleets.empty()) {
    findings.of_fleet(fleets.front(), Grade::warning, "no-server", "enrollment url",
                      "No certificate server is among the files, so that nothing can be said of "
                      "renewals and the rollover. Name the server's configuration as well.");
    return;
  }
  std::set<std::string> said;
  for (const Fleet& fleet : fleets) {
    const std::string& url = fleet.first().trustpoint->enrollment_url;
    if (fleet.pair.how == Pairing::How::by_address) continue;
    if (!said.insert(parts_of(url).host + ":" + parts_of(url).port).second) continue;
    if (fleet.pair.how == Pairing::How::assumed) {
      const std::string& name = pairing.servers()[fleet.pair.server].server->name;
      findings.of_fleet(
          fleet, Grade::note, "assumed-server", "enrollment url",
          fmt::format("{} is taken for the address of the certificate server {}, the only one "
                      "among the files. `--server-url {}={}` says that it is.",
                      url, name, name, url));
    } else if (fleet.pair.through) {
      findings.of_fleet(
          fleet, Grade::warning, "unknown-server", "enrollment url",
          fmt::format(
              "The CA above the registration authority {}, which answers at {}, is not among "
              "the files: these trustpoints are not checked against one.",
              pairing.servers()[*fleet.pair.through].server->name, url));
    } else {
      findings.of_fleet(
          fleet, Grade::warning, "unknown-server", "enrollment url",
          fmt::format("No certificate server among the files answers at {}: these trustpoints are "
                      "not checked against one. `--server-url NAME={}` says which it is.",
                      url, url));
    }
  }
}

}  // namespace

const char* to_string(Grade grade) {
  switch (grade) {
    case Grade::error:
      return "error";
    case Grade::warning:
      return "warning";
    case Grade::note:
      return "note";
  }
  return "";
}

std::string devices(std::size_t n) { return n == 1 ? "1 device" : count(n) + " devices"; }

Fix server_fix(const ServerAt& server, const std::string& key, const std::string& line) {
  return fix_in(*server.source, In::server, server.server->name, key, line);
}

Fix fleet_fix(const Fleet& fleet, const std::string& key, const std::string& line) {
  return fix_in(*fleet.first().source, In::trustpoint, fleet.first().trustpoint->name, key, line);
}

Fix global_fix(const Source& source, const std::string& key, const std::string& line) {
  Fix fix = fix_in(source, In::global, "", key, line);
  // Anywhere else it would end a block.
  if (!fix.replaces) fix.line = 0;
  return fix;
}

Finding& Findings::add(Finding finding) {
  findings_.push_back(std::move(finding));
  return findings_.back();
}

Finding& Findings::of_server(const ServerAt& server, Grade grade, const std::string& rule,
                             const std::string& key, std::string text) {
  const std::string& name = server.server->name;
  return add({grade,
              rule,
              {server.source->file, line_of(*server.source, In::server, name, key),
               "certificate server " + name},
              std::move(text),
              {},
              {}});
}

Finding& Findings::of_fleet(const Fleet& fleet, Grade grade, const std::string& rule,
                            const std::string& key, std::string text) {
  const auto place = [&](const Device& device) {
    return Place{device.source->file,
                 line_of(*device.source, In::trustpoint, device.trustpoint->name, key),
                 who_is(device)};
  };
  Finding finding{grade, rule, place(fleet.first()), std::move(text), {}, {}};
  for (std::size_t i = 1; i < fleet.devices.size(); ++i)
    finding.alike.push_back(place(fleet.devices[i]));
  return add(std::move(finding));
}

std::size_t Report::count(Grade grade) const {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [grade](const Finding& finding) { return finding.grade == grade; }));
}

bool vouches_for(const ServerAt& server, const config::Server& issuer, const Pairing& pairing) {
  const auto& own = server.source->configuration().trustpoints;
  const auto& names = server.server->grant_trustpoints;
  return std::any_of(own.begin(), own.end(), [&](const config::Trustpoint& t) {
    if (std::find(names.begin(), names.end(), t.name) == names.end()) return false;
    const auto pair = pairing.of(*server.source, t.name, t.enrollment_url);
    return pair.how != Pairing::How::nowhere && pairing.servers()[pair.server].server == &issuer;
  });
}

Question question_of(const ServerAt& server, const config::Trustpoint& trustpoint,
                     const Pairing& pairing, const Options& options,
                     std::optional<std::size_t> through) {
  const config::Server& s = *server.server;
  Question q;
  q.ca = {.lifetime_ca = life_of_ca(server, pairing),
          .lifetime_crl = s.lifetime_crl,
          .overlap = s.auto_rollover};
  // It is followed in the second half of its life at the earliest.
  if (s.mode == config::ServerMode::subordinate && q.ca.overlap)
    q.ca.overlap = std::min(*q.ca.overlap, q.ca.lifetime_ca / 2);
  q.lifetime = s.lifetime_certificate;
  q.client = config::trustpoint_settings(trustpoint);
  const bool automatic = s.grant == config::Grant::automatic;
  q.pends_first = !automatic;
  q.pends_again = !automatic && !vouches_for(server, s, pairing);
  q.request_lifetime = s.lifetime_enrollment_request;
  if (through && pairing.servers()[*through].server->mode == config::ServerMode::ra) {
    // Both are to grant it, the RA first.
    const ServerAt& ra = pairing.servers()[*through];
    const bool here = ra.server->grant == config::Grant::automatic;
    const bool above = automatic || s.grant_ra_auto;
    q.pends_first = !here || !above;
    q.pends_again = (!here && !vouches_for(ra, s, pairing)) || (!above && q.pends_again);
    q.request_lifetime = std::min(q.request_lifetime, ra.server->lifetime_enrollment_request);
  }
  q.grant_within = options.grant_within;
  q.outage = options.outage;
  q.enrolled = options.enrolled;
  return q;
}

Report check(const std::vector<Source>& sources, const Options& options) {
  const Pairing pairing(sources, options.server_urls);
  const std::vector<Fleet> fleets = fleets_of(sources, pairing);
  Findings findings(options);
  Report report;
  report.servers = pairing.servers().size();
  report.kinds = fleets.size();
  for (const Fleet& fleet : fleets) report.trustpoints += fleet.devices.size();

  say_what_is_unpaired(fleets, pairing, findings);
  for (std::size_t i = 0; i < pairing.servers().size(); ++i) {
    const ServerAt& server = pairing.servers()[i];
    std::vector<const Fleet*> own;
    std::size_t read = 0;
    for (const Fleet& fleet : fleets) {
      if (fleet.pair.how == Pairing::How::nowhere || fleet.pair.server != i) continue;
      own.push_back(&fleet);
      read += fleet.devices.size();
    }
    if (server.is_ra()) {
      check_ra(server, pairing, findings);
      continue;
    }
    check_server(server, own, pairing, findings);
    if (read > 0) check_storm(server, own, pairing, options.clients.value_or(read), findings);
    for (const Fleet* const fleet : own) {
      // `--clients` stands for the fleets in the proportion they were read.
      const std::size_t clients =
          options.clients
              ? std::max<std::size_t>(1, *options.clients * fleet->devices.size() / read)
              : fleet->devices.size();
      check_fleet(*fleet, pairing, clients, findings);
    }
  }
  for (const Fleet& fleet : fleets) check_device_settings(fleet, findings);
  check_hierarchy(pairing, findings);
  check_clocks(sources, findings);
  report.findings = findings.take();
  std::stable_sort(
      report.findings.begin(), report.findings.end(), [](const Finding& a, const Finding& b) {
        return std::tie(a.grade, a.at.file, a.at.line) < std::tie(b.grade, b.at.file, b.at.line);
      });
  return report;
}

}  // namespace umbra::plan
