#include "io/clock.h"

#include <sys/timex.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace umbra::io {
namespace {

std::chrono::nanoseconds real_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::system_clock::now().time_since_epoch());
}

/// "No well-defined end" is the year 9999 (RFC 5280 4.1.2.5), which is past what nanoseconds count
/// to. Nobody waits for longer than this anyway.
constexpr std::chrono::days wait_max{3650};
/// The end of what a time-lapse shows: far past any certificate, and within every type used here.
constexpr Instant lapse_end = std::chrono::sys_days{std::chrono::year{9999} / 12 / 31};

bool kernel_synchronised() {
  timex state{};
  return ::adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

Result<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return fail(Errc::malformed, "\"" + std::string(text) + "\" is not a number");
  }
  return value;
}

}  // namespace

Instant SystemClock::now() const {
  return std::chrono::floor<std::chrono::milliseconds>(
      std::chrono::sys_time<std::chrono::nanoseconds>(real_now()));
}

bool SystemClock::authoritative() const { return calendar_valid_ || kernel_synchronised(); }

std::string SystemClock::source() const {
  if (kernel_synchronised()) return "NTP";
  return calendar_valid_ ? "hardware calendar" : "unknown";
}

std::chrono::nanoseconds SystemClock::real_time_until(Instant at) const {
  using std::chrono::milliseconds;
  return std::clamp<milliseconds>(at - now(), milliseconds{0}, wait_max);
}

Result<LapseClock> LapseClock::parse(const std::string& text) {
  constexpr const char* expected =
      "expected START@SPEED[@ANCHOR], such as 2015-10-09T12:14:16Z@864000";
  const std::size_t first = text.find('@');
  if (first == std::string::npos) return fail(Errc::malformed, expected);
  const std::size_t second = text.find('@', first + 1);
  const auto start = from_rfc3339(text.substr(0, first));
  if (!start)
    return fail(Errc::malformed, std::string(expected) + "; START: " + start.error().detail);
  const auto speed = number(std::string_view(text).substr(
      first + 1, second == std::string::npos ? second : second - first - 1));
  if (!speed || *speed <= 0 || *speed > 1e8)
    return fail(Errc::malformed,
                std::string(expected) + "; SPEED is 0 to 100000000 times real time");
  std::chrono::nanoseconds anchor = real_now();
  if (second != std::string::npos) {
    const auto seconds = number(std::string_view(text).substr(second + 1));
    if (!seconds || *seconds < 0 || *seconds > 1e11)
      return fail(Errc::malformed, std::string(expected) + "; ANCHOR is in seconds since 1970");
    anchor = std::chrono::nanoseconds(static_cast<std::int64_t>(*seconds * 1e9));
  }
  return LapseClock(*start, *speed, anchor);
}

Instant LapseClock::now() const {
  const auto elapsed = std::max(std::chrono::nanoseconds{0}, real_now() - anchor_);
  const double virtual_ms = static_cast<double>(elapsed.count()) * speed_ / 1e6;
  const Instant start{start_};
  if (virtual_ms >= static_cast<double>((lapse_end - start).count())) return lapse_end;
  return start + std::chrono::milliseconds{static_cast<std::int64_t>(virtual_ms)};
}

std::chrono::nanoseconds LapseClock::real_time_until(Instant at) const {
  // In nanoseconds of real time since the anchor, which is when START was shown.
  const double due = std::ceil(static_cast<double>((at - Instant{start_}).count()) / speed_ * 1e6);
  const double ahead = due - static_cast<double>((real_now() - anchor_).count());
  const std::chrono::nanoseconds most{wait_max};
  if (ahead >= static_cast<double>(most.count())) return most;
  // What is long past does not fit into an integer.
  return std::chrono::nanoseconds{static_cast<std::int64_t>(std::max(0.0, ahead))};
}

}  // namespace umbra::io
