#pragma once

#include <string>

#include <soci/soci.h>

#include "base/time.h"
#include "x509/serial.h"

/// How values stand in the columns of every table.
namespace umbra::store {

using Integer = long long;  // SOCI's

inline Integer seconds(Time at) { return at.time_since_epoch().count(); }
inline Time time(Integer value) { return Time{Seconds{value}}; }

/// What is in our tables we wrote: text that does not decode is a damaged database.
inline x509::Serial serial(const std::string& hex) {
  const auto parsed = x509::Serial::from_hex(hex);
  if (!parsed) throw soci::soci_error("a column is no serial number: the database is damaged");
  return *parsed;
}

}  // namespace umbra::store
