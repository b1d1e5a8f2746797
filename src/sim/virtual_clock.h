#pragma once

#include <atomic>
#include <random>

#include "base/random.h"
#include "base/time.h"

namespace umbra::sim {

/// A clock that stands still until it is moved, and jumps when it is. Thread-safe.
class VirtualClock final : public Clock {
 public:
  explicit VirtualClock(Instant start) : now_(start.time_since_epoch().count()) {}
  [[nodiscard]] Instant now() const override { return Instant{std::chrono::milliseconds{now_}}; }
  [[nodiscard]] bool authoritative() const override { return authoritative_; }
  [[nodiscard]] std::string source() const override { return authoritative_ ? "NTP" : "unknown"; }
  /// Nobody sleeps on a virtual clock: whoever asks is to be moved there.
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant) const override {
    return std::chrono::nanoseconds{0};
  }
  void set(Instant now) { now_ = now.time_since_epoch().count(); }
  void set_authoritative(bool authoritative) { authoritative_ = authoritative; }

 private:
  std::atomic<Instant::rep> now_;
  std::atomic<bool> authoritative_ = true;
};

/// Chance that a seed repeats. Not thread-safe by itself: the world draws from it on its one
/// thread; servers' worker threads do not exist in a world.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::uint8_t> out) override {
    for (auto& octet : out) octet = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace umbra::sim
