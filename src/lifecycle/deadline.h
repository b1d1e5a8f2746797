#pragma once

#include <compare>
#include <string>
#include <vector>

#include "base/time.h"

namespace umbra::lifecycle {

/// Timers as IOS names them, in the order that breaks ties.
enum class Timer {
  cs_cert_expire,
  cs_shadow_cert_generation,
  cs_crl_update,
  er_expire,
  renew,
  shadow,
  poll,
  connect_retry,
  expiry_alert,  ///< that something ends is said: acted on, not shown
  switch_over,   ///< a trustpoint's change to the next CA: acted on, not shown, as in IOS
  announce,      ///< files or command for other programs, tried again
};

/// Something that is to happen at a time; always derived from state and configuration, never
/// stored.
struct Deadline {
  Time at;
  Timer timer;
  std::string
      owner;  ///< the trustpoint, or the request's number for ER EXPIRE; empty for the server's own
  friend auto operator<=>(const Deadline&, const Deadline&) = default;
};
/// "CS CRL UPDATE", "RENEW Root-CA", "ER EXPIRE 3".
[[nodiscard]] std::string label(const Deadline& deadline);
[[nodiscard]] bool is_cs_timer(Timer timer);

}  // namespace umbra::lifecycle
