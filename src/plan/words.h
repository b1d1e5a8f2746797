#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "plan/intervals.h"

/// Days and spans as findings write them.
namespace umbra::plan {

/// Day 0 is the beginning of the CA's certificate; with its date, days are dates too.
struct Calendar {
  std::optional<Time> start;

  [[nodiscard]] std::string day(
      Offset at) const;  ///< "day 620.5", "day 620.5 (2017-06-21 00:14 UTC)"
  [[nodiscard]] std::string date(Offset at) const;  ///< "2017-06-21 00:14"; empty without a start
};

/// "day 730", "days 109.5 to 174.5 and 365 to 430"; of many intervals the first few.
[[nodiscard]] std::string days(const Intervals& set);
[[nodiscard]] std::string number_of_day(Offset at);  ///< "620.5", rounded to a hundredth
[[nodiscard]] std::string span(Offset seconds);      ///< "19.5 days", "8.5 hours", "4 minutes"
[[nodiscard]] std::string count(std::size_t n);      ///< "5,000"
/// DAYS [HOURS [MINUTES]] as IOS types it, rounded up to the minute.
[[nodiscard]] std::string ios_days(Seconds span);

}  // namespace umbra::plan
