#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/rules.h"
#include "plan/check.h"

/// What `umbra rehearse` plays: certificate servers, kinds of devices, and what goes wrong.
namespace umbra::rehearse {

/// Seconds since day 0, on which every certificate server is enabled for the first time.
using Offset = plan::Offset;
using plan::Interval;

/// In IOS a year is not a unit; here it is what people mean by "five years".
inline constexpr Offset day_seconds = 86400;
inline constexpr Offset year_seconds = day_seconds * 1461 / 4;
/// Times of a device are kept in 32 bits.
inline constexpr int years_max = 100;
/// And its CA's generation in 16; one that is cancelled and made again counts twice.
inline constexpr Offset generations_max = 30000;

struct Faults {
  std::vector<Interval> outages;  ///< no server answers in any second of them; in order, disjoint
  double loss = 0;                ///< this part of all exchanges gets no answer
  double switched_off = 0;        ///< this part of the devices is switched off once
  Seconds off_for{};
  Seconds clock_error{};  ///< each device's clock is wrong by up to this, either way
  Seconds grant_least{};  ///< a person who grants by hand takes at least so long
  Seconds grant_most{};
  std::optional<Offset> cancel;  ///< `rollover cancel force` on that day
  std::optional<Offset> again;   ///< and `rollover` by hand
};

struct Authority {
  std::string name;
  lifecycle::CaSettings ca;
  Seconds lifetime{};  ///< `lifetime certificate`
  Seconds request_lifetime{};
  Seconds renewal_grace{};
  policy::Rules rules;
  bool vouches_for_its_own = false;
  std::size_t devices_read = 0;  ///< trustpoints that enrol here
};

/// Devices with the same settings.
struct Kind {
  std::size_t authority = 0;
  lifecycle::TrustpointSettings settings;
  policy::RequestFacts facts;  ///< of its requests; signer and recipient are filled in each time
  std::string name;            ///< of the first one: "trustpoint Root-CA of spoke-1"
  std::size_t trustpoints = 0;
};

struct Scenario {
  std::vector<Authority> authorities;
  std::vector<Kind> kinds;
  std::vector<std::uint32_t> order;  ///< device i is of kind order[i % size]
  std::vector<std::string> notes;    ///< what is left out, and what was taken for granted

  std::size_t devices = 0;
  Offset until = 5 * year_seconds;
  Interval enrolled{0, 365 * day_seconds};  ///< first enrolments, evenly by chance
  std::vector<Offset> enrol_at;             ///< instead of chance: of device i; for tests
  std::uint64_t seed = 1;
  Faults faults;

  [[nodiscard]] const Kind& kind_of(std::size_t device) const {
    return kinds[order[device % order.size()]];
  }
};

/// Reads servers and devices. `devices` is the number of trustpoints read.
/// Errors: not_found if there is no certificate server, or no device enrols with one.
[[nodiscard]] Result<Scenario> scenario_of(const std::vector<plan::Source>& sources,
                                           const std::vector<plan::ServerUrl>& urls);

}  // namespace umbra::rehearse
