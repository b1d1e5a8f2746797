#pragma once

#include <string>

#include "x509/certificate.h"

namespace umbra::bench {

struct Filled {
  double seconds = 0;
  double gigabytes = 0;  ///< of the database
};
/// Certificates that the server BENCH has issued, as large as real ones and with the indices real
/// ones have, straight into its database, while nobody has it open. `revoked`: all of them are.
[[nodiscard]] Filled fill(const std::string& database, const x509::Certificate& ca,
                          std::size_t count, bool revoked);

}  // namespace umbra::bench
