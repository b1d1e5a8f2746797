#pragma once

#include <atomic>
#include <string>

#include "base/time.h"

namespace umbra::io {

/// The system's clock. Authoritative if the kernel says it is synchronised (NTP), or if `clock
/// calendar-valid` declares the hardware clock good enough.
class SystemClock final : public Clock {
 public:
  explicit SystemClock(bool calendar_valid) : calendar_valid_(calendar_valid) {}
  /// `clock calendar-valid` has come or gone.
  void set_calendar_valid(bool valid) { calendar_valid_ = valid; }
  [[nodiscard]] Instant now() const override;
  [[nodiscard]] bool authoritative() const override;
  [[nodiscard]] std::string source() const override;
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant at) const override;

 private:
  std::atomic<bool> calendar_valid_;
};

/// A time-lapse: `START@SPEED[@ANCHOR]`. Shows START until the real instant ANCHOR (seconds since
/// 1970, with a fraction; the moment of parsing if left out), and runs SPEED times as fast from
/// then on. Processes with the same ANCHOR share one time line, and one that is started again
/// continues on it. Always authoritative.
class LapseClock final : public Clock {
 public:
  /// Errors: malformed, with what was expected.
  [[nodiscard]] static Result<LapseClock> parse(const std::string& text);
  [[nodiscard]] Instant now() const override;
  [[nodiscard]] bool authoritative() const override { return true; }
  [[nodiscard]] std::string source() const override { return "time-lapse"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant at) const override;

 private:
  LapseClock(Time start, double speed, std::chrono::nanoseconds anchor)
      : start_(start), speed_(speed), anchor_(anchor) {}
  Time start_;
  double speed_;
  std::chrono::nanoseconds anchor_;  ///< since 1970
};

}  // namespace umbra::io
