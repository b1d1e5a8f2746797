#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "x509/key.h"

namespace umbra::x509 {

/// One key pair of `show crypto key mypubkey`.
struct KeyLine {
  std::string label;
  PublicKey key;
  std::optional<Time> made_at;  ///< nothing: it was not recorded
  bool exportable = false;
};

}  // namespace umbra::x509
