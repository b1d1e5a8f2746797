#pragma once

#include <gtest/gtest.h>

#include <string>

#include "lifecycle/trustpoint.h"

namespace umbra::lifecycle {

/// The guide's CA: 730 days from here.
inline const Time zero = *from_rfc3339("2015-10-09T12:14:16Z");
inline Time day(int n) { return zero + Days{n}; }
inline double day_of(Time at) { return static_cast<double>((at - zero).count()) / 86400; }
inline const Validity guide_ca{day(0), day(730)};
inline const TrustpointSettings spoke{
    .auto_enroll = 80, .retry_count = 999, .retry_period = Seconds{60}, .pinned = false};

inline TrustpointFacts enrolled(Validity identity, Validity ca = guide_ca) {
  TrustpointFacts facts;
  facts.ca = ca;
  facts.identity = identity;
  facts.can_get_next_ca = true;
  return facts;
}
inline std::string armed(const TrustpointSettings& settings, const TrustpointFacts& facts) {
  const auto all = deadlines(settings, facts, "tp");
  return all.empty() ? "" : label(all.front()) + " " + to_rfc3339(all.front().at);
}

}  // namespace umbra::lifecycle
