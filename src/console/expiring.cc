#include "console/expiring.h"

#include <fmt/format.h>

#include <algorithm>

namespace umbra::console {
namespace {

/// When the first of these timers fires, if it is armed.
std::optional<Time> soonest(const std::vector<lifecycle::Deadline>& deadlines,
                            lifecycle::Timer timer) {
  for (const auto& deadline : deadlines) {
    if (deadline.timer == timer) return deadline.at;
  }
  return std::nullopt;
}

}  // namespace

std::vector<Expiring> expiring(const std::vector<server::Status>& servers,
                               const std::vector<client::Status>& trustpoints) {
  using lifecycle::Timer;
  std::vector<Expiring> all;
  for (const auto& server : servers) {
    // An RA's certificates, and the CA's above it, are its trustpoint's.
    const bool is_ra =
        server.mode == config::ServerMode::ra || server.mode == config::ServerMode::ra_transparent;
    if (!server.ca || is_ra) continue;
    const auto made = soonest(server.deadlines, Timer::cs_shadow_cert_generation);
    all.push_back({fmt::format("CS({})", server.name),
                   fmt::format("CA Certificate of certificate server {}", server.name),
                   made || server.rollover ? "Enabled" : "Not Enabled",
                   *server.ca,
                   {server.ca->not_after(), made, server.rollover.has_value(), false}});
  }
  for (const auto& trustpoint : trustpoints) {
    // A request that has failed or waits to be granted is late already: RENEW or SHADOW has fired,
    // and is not armed.
    const auto renew = soonest(trustpoint.deadlines, Timer::renew);
    const auto shadow = soonest(trustpoint.deadlines, Timer::shadow);
    if (trustpoint.identity) {
      const bool automatic = trustpoint.renew_at.has_value();
      all.push_back(
          {fmt::format("ID({})", trustpoint.name),
           fmt::format("ID Certificate belonging to trustpoint {}", trustpoint.name),
           automatic ? "Enabled" : "Not Enabled",
           *trustpoint.identity,
           {trustpoint.identity->not_after(), automatic ? trustpoint.renew_at : std::nullopt,
            trustpoint.rollover_identity.has_value(), trustpoint.asking}});
    }
    if (trustpoint.ca) {
      // While RENEW is armed, SHADOW comes after it, and in time.
      const auto at =
          trustpoint.identity && renew ? std::optional<Time>(trustpoint.ca->not_after()) : shadow;
      all.push_back({fmt::format("CA({})", trustpoint.name),
                     fmt::format("CA Certificate belonging to trustpoint {}", trustpoint.name),
                     at || trustpoint.rollover_ca ? "Enabled" : "Not Enabled",
                     *trustpoint.ca,
                     {trustpoint.ca->not_after(), at, trustpoint.rollover_ca.has_value(),
                      trustpoint.asking}});
    }
  }
  return all;
}

}  // namespace umbra::console
