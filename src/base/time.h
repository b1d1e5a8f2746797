#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace umbra {

/// UTC in whole seconds: RFC 5280 4.1.2.5 has no finer step, and every rule of certificate life is
/// written on it.
using Time = std::chrono::sys_seconds;
/// UTC in milliseconds: what clocks read and screens show; never what a rule decides on.
using Instant = std::chrono::sys_time<std::chrono::milliseconds>;
using Seconds = std::chrono::seconds;
using Days = std::chrono::days;

[[nodiscard]] inline Time to_time(Instant instant) {
  return std::chrono::floor<std::chrono::seconds>(instant);
}

/// Where the time comes from. Three real kinds: the system's, a time-lapse of it, and the
/// simulator's that jumps.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant now() const = 0;
  /// IOS starts no certificate server and arms no PKI timer before its clock is authoritative:
  /// synchronised by NTP, or declared so with `clock calendar-valid`.
  [[nodiscard]] virtual bool authoritative() const = 0;
  /// Why it is or is not, in IOS's words: "NTP", "hardware calendar", "user configuration", or
  /// "unknown".
  [[nodiscard]] virtual std::string source() const = 0;
  /// How long a waiter must really sleep until this clock shows `at`; zero if it already does. A
  /// time-lapse clock divides by its speed.
  [[nodiscard]] virtual std::chrono::nanoseconds real_time_until(Instant at) const = 0;
};

/// RFC 3339 in UTC, whole seconds: 2017-10-08T12:14:16Z. For logs, JSON and tests.
[[nodiscard]] std::string to_rfc3339(Time time);
/// Errors: malformed unless exactly YYYY-MM-DDTHH:MM:SSZ and a real date.
[[nodiscard]] Result<Time> from_rfc3339(std::string_view text);

/// `clock timezone NAME HOURS MINUTES`: display only; certificates and CRLs are always UTC.
struct TimeZone {
  std::string name = "UTC";
  std::chrono::minutes offset{0};
  friend bool operator==(const TimeZone&, const TimeZone&) = default;
};
/// 13:14:16 CET Oct 9 2015, the day not padded: the time form of IOS's certificate and server
/// screens.
[[nodiscard]] std::string to_ios_time(Time time, const TimeZone& zone);
/// 13:14:46.820 CET Mon Jul 10 2017: the form of `show clock` and of the line above timestamped
/// screens.
[[nodiscard]] std::string to_ios_clock(Instant instant, const TimeZone& zone);
/// Jul 10 13:14:16.510: the head of IOS log lines.
[[nodiscard]] std::string to_ios_log_time(Instant instant, const TimeZone& zone);
/// `[DDDDd]HH:MM:SS.mmm` right-aligned in 16 columns, leading zero fields suppressed: the column of
/// `show crypto pki timers`. A negative span prints as 0.000.
[[nodiscard]] std::string to_ios_span(std::chrono::milliseconds span);

}  // namespace umbra
