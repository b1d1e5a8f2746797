#include "lifecycle/validity.h"

#include <algorithm>

namespace umbra::lifecycle {

Time ends_at(Time from, Seconds lifetime) {
  return from < end_of_time - lifetime ? from + lifetime : end_of_time;
}

std::optional<Validity> issued_validity(Time now, Seconds lifetime, const Validity& ca) {
  if (now < ca.not_before || now >= ca.not_after) return std::nullopt;
  return Validity{now, std::min(now + lifetime, ca.not_after)};
}

Validity shadow_validity(Seconds lifetime, const Validity& rollover_ca) {
  return {rollover_ca.not_before,
          std::min(rollover_ca.not_before + lifetime, rollover_ca.not_after)};
}

Validity rollover_ca_validity(Seconds lifetime_ca, const Validity& active_ca) {
  return {active_ca.not_after, ends_at(active_ca.not_after, lifetime_ca)};
}

Time at_percent(const Validity& validity, int percent) {
  return validity.not_before + (validity.not_after - validity.not_before) * percent / 100;
}

}  // namespace umbra::lifecycle
