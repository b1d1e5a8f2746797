#pragma once

#include "config/model.h"
#include "lifecycle/ca.h"
#include "lifecycle/trustpoint.h"
#include "policy/decide.h"

/// What a configuration means to the rules of certificate life and of granting: one reading of it
/// for the daemon, `umbra check` and `umbra rehearse`.
namespace umbra::config {

[[nodiscard]] lifecycle::TrustpointSettings trustpoint_settings(const Trustpoint& trustpoint);
/// A subordinate's next certificate comes from above: it has no overlap of its own.
[[nodiscard]] lifecycle::CaSettings ca_settings(const Server& server);
[[nodiscard]] policy::Rules grant_rules(const Server& server);

}  // namespace umbra::config
