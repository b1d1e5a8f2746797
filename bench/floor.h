#pragma once

#include <vector>

#include "x509/key.h"

namespace umbra::bench {

/// What no server can do without: three RSA-2048 private operations for each enrolment (the
/// envelope opened, the certificate signed, the answer signed).
struct Floor {
  double cpu_ms = 0;            ///< of one such triple on one thread, the other cores at rest
  double one_core = 0;          ///< triples a second
  double cpu_ms_all_cores = 0;  ///< of one triple while every core computes them
  double all_cores = 0;         ///< triples a second on all of them at once
};

/// Measured before and after every load: a machine that is shared is not always as fast, and what
/// stands beside a load is what the same machine did in the same seconds.
class FloorGauge {
 public:
  FloorGauge();
  /// Takes about half a second.
  Floor measure();
  /// Of all that was measured.
  [[nodiscard]] Floor median() const;

 private:
  x509::PrivateKey key_;
  std::vector<double> cpu_ms_, one_core_, cpu_ms_all_cores_, all_cores_;
};

}  // namespace umbra::bench
