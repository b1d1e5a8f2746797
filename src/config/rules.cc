#include "config/rules.h"

namespace umbra::config {

lifecycle::TrustpointSettings trustpoint_settings(const Trustpoint& trustpoint) {
  lifecycle::TrustpointSettings settings;
  // Without a URL there is nobody to ask by itself.
  if (!trustpoint.enrollment_url.empty() || trustpoint.selfsigned)
    settings.auto_enroll = trustpoint.auto_enroll;
  settings.retry_count = trustpoint.retry_count;
  settings.retry_period = trustpoint.retry_period;
  // What is its own CA is nobody to be asked about.
  settings.pinned = (!trustpoint.fingerprint.empty() && !trustpoint.authenticate_by_hand) ||
                    trustpoint.selfsigned;
  settings.is_ca = trustpoint.role == Role::subordinate_ca;
  settings.is_ra = trustpoint.role == Role::ra;
  settings.relays = trustpoint.relays;
  settings.overlap = trustpoint.overlap;
  return settings;
}

lifecycle::CaSettings ca_settings(const Server& server) {
  const bool root = server.mode == ServerMode::root;
  return {.lifetime_ca = server.lifetime_ca_certificate,
          .lifetime_crl = server.lifetime_crl,
          .overlap = root ? server.auto_rollover : std::nullopt};
}

policy::Rules grant_rules(const Server& server) {
  const bool is_ra = server.mode == ServerMode::ra || server.mode == ServerMode::ra_transparent;
  policy::Rules rules{.grant = policy::GrantMode::manual,
                      .ra_auto = server.grant_ra_auto,
                      .rollover_ca_cert = server.grant_rollover_ca_cert,
                      .rollover_ra_cert = server.grant_rollover_ra_cert,
                      .challenge = server.challenge_password,
                      .rsa_bits_min = server.allow_rsa_1024 ? 1024 : 2048,
                      .devices_only = is_ra};
  switch (server.grant) {
    case Grant::manual:
      break;
    case Grant::automatic:
      rules.grant = policy::GrantMode::automatic;
      break;
    case Grant::none:
      rules.grant = policy::GrantMode::none;
      break;
    case Grant::trustpoints:
      rules.grant = policy::GrantMode::trusted;
      break;
  }
  return rules;
}

}  // namespace umbra::config
