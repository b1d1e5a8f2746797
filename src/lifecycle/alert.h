#pragma once

#include <optional>

#include "base/time.h"

/// When an operator is told that a certificate is about to end (Cisco's "PKI Credentials Expiry
/// Alerts"): 60 days before, then every week until one week is left, then every day.
namespace umbra::lifecycle {

struct ExpiringCertificate {
  Time not_after;
  /// What will replace it by itself falls due then (RENEW, SHADOW, shadow generation): before that
  /// there is nothing to say. Nothing = nothing will.
  std::optional<Time> replaced_at;
  /// Its successor is there already, and begins no later than it ends.
  bool succeeded = false;
  /// It is being asked for at this moment, and nothing has failed.
  bool under_way = false;
};

/// The first alert after `last`, or the first of all. Nothing if none is left, or none is needed.
[[nodiscard]] std::optional<Time> next_alert(const ExpiringCertificate& certificate,
                                             std::optional<Time> last);
/// A week or less is left: an alert, and not a warning any more.
[[nodiscard]] bool is_urgent(Time not_after, Time now);

}  // namespace umbra::lifecycle
