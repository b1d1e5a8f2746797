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

[[nodiscard]] std::string to_json(const Scenario& scenario, const Outcome& outcome,
                                  const Circumstances& circumstances);
/// One page that needs nothing else: no script, no font, no picture from elsewhere.
[[nodiscard]] std::string to_html(const Scenario& scenario, const Outcome& outcome,
                                  const Circumstances& circumstances);

/// "5 years", or days where they are no whole number of years.
[[nodiscard]] std::string years(Offset span);
/// "1 device", "5,000 devices".
[[nodiscard]] std::string counted(std::size_t n, const char* what);
[[nodiscard]] std::vector<std::uint64_t> requests_by_day(const AuthorityOutcome& of);

/// The server's queue holds so many requests; more are refused.
inline constexpr std::uint64_t queue_max = 10000;

}  // namespace umbra::rehearse
