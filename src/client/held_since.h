#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"

namespace umbra::client {

struct State;

/// Since when a trustpoint has each of its certificates and keys, for the screens: by SHA-256 of
/// the certificate or of the key's SubjectPublicKeyInfo.
using HeldSince = std::map<Bytes, Time>;

/// From the row's text: `HEX SECONDS`, a line each. What is no such line is left out: lineage.h,
/// before_switch.h and announcement.h have some of their own there.
[[nodiscard]] HeldSince read_held_since(std::string_view text);
[[nodiscard]] std::string to_text(const HeldSince& held);
/// What `state` holds: as `before` says, and what it does not know from `now` on.
[[nodiscard]] HeldSince held_now(const HeldSince& before, const State& state, Time now);

}  // namespace umbra::client
