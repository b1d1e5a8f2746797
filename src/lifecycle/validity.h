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
