#pragma once

#include <cstdint>
#include <random>

#include "base/random.h"

namespace umbra::simulation {

/// Chance of one seed and one purpose: a stream that the others do not move.
class Chance {
 public:
  Chance(std::uint64_t seed, std::uint64_t purpose)
      : engine_(seed * 0x9E37'79B9'7F4A'7C15U + purpose * 0xBF58'476D'1CE4'E5B9U + 1) {}

  /// 0 ... n - 1.
  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : engine_() % n; }
  [[nodiscard]] std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }
  [[nodiscard]] bool one_in(std::uint64_t n) { return below(n) == 0; }
  [[nodiscard]] bool per_mille(std::uint64_t chances) { return below(1000) < chances; }
  /// 1 ... 2^doublings, each power of two as likely as the other.
  [[nodiscard]] std::uint64_t of_any_size(unsigned doublings) {
    const std::uint64_t top = std::uint64_t{1} << below(doublings + 1);
    return top + below(top);
  }
  void fill(std::span<std::uint8_t> out) {
    for (auto& octet : out) octet = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace umbra::simulation
