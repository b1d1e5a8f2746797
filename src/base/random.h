#pragma once

#include <cstdint>
#include <span>

namespace umbra {

/// Where chance comes from: nonces, one-time passwords, key salts. The operating system's in life,
/// a seeded one in the simulator. Keys and CMS content keys are drawn by OpenSSL's own generator.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;
};

}  // namespace umbra
