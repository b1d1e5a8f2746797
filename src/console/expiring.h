#pragma once

#include <string>
#include <vector>

#include "client/status.h"
#include "lifecycle/alert.h"
#include "server/status.h"

namespace umbra::console {

/// A certificate whose end an operator is told of in time, and what its alerts hang on.
struct Expiring {
  std::string timer;    ///< "ID(Root-CA)", "CA(Root-CA)", "CS(ROOTCA)": its name among the timers
  std::string what;     ///< "ID Certificate belonging to trustpoint Root-CA"
  std::string renewal;  ///< "Enabled", "Not Enabled"
  x509::Certificate certificate;
  lifecycle::ExpiringCertificate facts;
};
/// ID and CA of each trustpoint, the CA of each certificate server.
[[nodiscard]] std::vector<Expiring> expiring(const std::vector<server::Status>& servers,
                                             const std::vector<client::Status>& trustpoints);

}  // namespace umbra::console
