#pragma once

#include "base/random.h"

namespace umbra::io {

/// getrandom(2). Thread-safe.
class OsRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override;
};

}  // namespace umbra::io
