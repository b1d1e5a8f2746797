#pragma once

#include <vector>

#include "x509/key.h"

namespace umbra::bench {

/// What no server can do without: three RSA-2048 private operations for each enrolment (the
/// envelope opened, the certificate signed, the answer signed).
struct Floor {
  double cpu_ms = 0;     ///< of one such triple on one thread
  double one_core = 0;   ///< triples a second
  double all_cores = 0;  ///< on all of them at once
};

/// Measured again and again between the loads, since a machine that is shared is not always as
/// fast; the median counts.
class FloorGauge {
 public:
  FloorGauge();
  void measure();
  [[nodiscard]] Floor median() const;

 private:
  x509::PrivateKey key_;
  std::vector<double> cpu_ms_, one_core_, all_cores_;
};

}  // namespace umbra::bench
