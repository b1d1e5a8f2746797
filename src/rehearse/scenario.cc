#include "rehearse/scenario.h"

#include <fmt/format.h>

#include <map>
#include <tuple>

namespace umbra::rehearse {
namespace {

auto settings_key(const config::Trustpoint& t, std::size_t server) {
  return std::tuple(server, t.auto_enroll, t.retry_count, t.retry_period, !t.fingerprint.empty(),
                    t.password, t.modulus);
}

Authority authority_of(const plan::ServerAt& at, const plan::Pairing& pairing) {
  const config::Server& server = *at.server;
  Authority authority;
  authority.name = server.name;
  // The same reading as the proof's: a subordinate CA lives as long as the one above lets it.
  authority.ca = plan::question_of(at, {}, pairing, {}).ca;
  authority.lifetime = server.lifetime_certificate;
  authority.request_lifetime = server.lifetime_enrollment_request;
  authority.renewal_grace = server.renewal_grace;
  authority.rules = config::grant_rules(server);
  authority.vouches_for_its_own = plan::vouches_for(at, server, pairing);
  return authority;
}

Kind kind_of(const config::Trustpoint& trustpoint, std::size_t authority, const std::string& host) {
  Kind kind;
  kind.authority = authority;
  kind.settings = config::trustpoint_settings(trustpoint);
  kind.facts.subject_matches_signer = true;
  kind.facts.key_bits = trustpoint.modulus;
  kind.facts.challenge = trustpoint.password;
  kind.name = fmt::format("trustpoint {} of {}", trustpoint.name, host);
  return kind;
}

}  // namespace

Result<Scenario> scenario_of(const std::vector<plan::Source>& sources,
                             const std::vector<plan::ServerUrl>& urls) {
  const plan::Pairing pairing(sources, urls);
  Scenario scenario;
  for (const plan::ServerAt& at : pairing.servers()) {
    scenario.authorities.push_back(authority_of(at, pairing));
    if (at.server->mode == config::ServerMode::subordinate) {
      scenario.notes.push_back(
          fmt::format("{} is played as a root whose certificates live as long as the CA above lets "
                      "them; what goes wrong between the two is not played",
                      at.server->name));
    }
  }
  if (scenario.authorities.empty())
    return fail(Errc::not_found, "no certificate server is among the files");

  std::map<decltype(settings_key({}, 0)), std::size_t> seen;
  std::size_t without = 0;
  std::size_t registration = 0;
  for (const plan::Source& source : sources) {
    for (const config::Trustpoint& trustpoint : source.configuration().trustpoints) {
      if (trustpoint.enrollment_url.empty() || trustpoint.role != config::Role::device) continue;
      const auto pair = pairing.of(source, trustpoint.name, trustpoint.enrollment_url);
      if (pair.how == plan::Pairing::How::nowhere) {
        ++without;
        continue;
      }
      if (pair.through) {
        ++registration;
        continue;
      }
      const auto [at, fresh] =
          seen.emplace(settings_key(trustpoint, pair.server), scenario.kinds.size());
      if (fresh) {
        scenario.kinds.push_back(kind_of(trustpoint, pair.server, source.configuration().hostname));
      }
      ++scenario.kinds[at->second].trustpoints;
      ++scenario.authorities[pair.server].devices_read;
      scenario.order.push_back(static_cast<std::uint32_t>(at->second));
    }
  }
  if (without > 0) {
    scenario.notes.push_back(
        fmt::format("{} enrol at an address where no certificate server of the files answers, and "
                    "are left out (`--server-url NAME=URL` says which it is)",
                    plan::count(without) + (without == 1 ? " trustpoint" : " trustpoints")));
  }
  if (registration > 0) {
    scenario.notes.push_back(fmt::format(
        "{} enrol through a registration authority, and are left out",
        plan::count(registration) + (registration == 1 ? " trustpoint" : " trustpoints")));
  }
  if (scenario.order.empty()) {
    return fail(Errc::not_found,
                "no trustpoint among the files enrols with a certificate server among them");
  }
  scenario.devices = scenario.order.size();
  return scenario;
}

}  // namespace umbra::rehearse
