#pragma once

#include <compare>
#include <optional>

#include "base/time.h"

namespace umbra::lifecycle {

/// notBefore and notAfter of a certificate, both inclusive to the second (RFC 5280 4.1.2.5).
struct Validity {
  Time not_before;
  Time not_after;
  friend auto operator<=>(const Validity&, const Validity&) = default;
};

/// The last second an X.509 certificate or CRL can name; as notAfter it means "does not end" (RFC
/// 5280 4.1.2.5). No certificate or CRL ends later.
inline constexpr Time end_of_time = std::chrono::sys_days{std::chrono::year{9999} / 12 / 31} +
                                    std::chrono::hours{23} + std::chrono::minutes{59} +
                                    std::chrono::seconds{59};
/// `from` and a lifetime later, at most the end of time.
[[nodiscard]] Time ends_at(Time from, Seconds lifetime);

/// A certificate issued `now` by the active CA: `lifetime` long, cut at the CA's end. Nothing if
/// the CA's own validity does not hold now. Source: guide (no certificate outlives its CA).
[[nodiscard]] std::optional<Validity> issued_validity(Time now, Seconds lifetime,
                                                      const Validity& ca);
/// A shadow certificate: begins on the second the rollover CA's validity begins, cut at its end.
[[nodiscard]] Validity shadow_validity(Seconds lifetime, const Validity& rollover_ca);
/// The next CA certificate: begins on the second the active one ends.
[[nodiscard]] Validity rollover_ca_validity(Seconds lifetime_ca, const Validity& active_ca);
/// notBefore + (notAfter - notBefore) x percent / 100, integer division down.
[[nodiscard]] Time at_percent(const Validity& validity, int percent);

}  // namespace umbra::lifecycle
