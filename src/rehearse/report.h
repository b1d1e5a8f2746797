#pragma once

#include <string>

#include "rehearse/rehearsal.h"

/// An outcome for people, for programs, and as a page.
namespace umbra::rehearse {

struct Circumstances {
  plan::Calendar calendar;          ///< day 0's date
  std::vector<std::string> faults;  ///< what went wrong, as the command line said it
};

[[nodiscard]] std::string to_text(const Scenario& scenario, const Outcome& outcome,
                                  const Circumstances& circumstances);
/// The story of one device.
[[nodiscard]] std::string to_text(const Scenario& scenario, std::size_t device,
                                  const std::vector<Chapter>& story,
                                  const Circumstances& circumstances);

/// The server's queue holds so many requests; more are refused.
inline constexpr std::uint64_t queue_max = 10000;

}  // namespace umbra::rehearse
