#pragma once

#include <string>

#include "base/time.h"
#include "x509/serial.h"

/// How values stand in the columns of every table.
namespace umbra::store {

using Integer = long long;  // SOCI's

inline Integer seconds(Time at) { return at.time_since_epoch().count(); }
inline Time time(Integer value) { return Time{Seconds{value}}; }

/// What is in our tables we wrote: text that does not decode is a damaged database.
[[nodiscard]] x509::Serial serial(const std::string& hex);

}  // namespace umbra::store
