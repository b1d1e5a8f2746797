#include "plan/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace umbra::plan {
namespace {

constexpr Offset minute = 60;
constexpr Offset hour = 3600;
constexpr Offset day = 86400;
constexpr std::size_t intervals_shown = 4;

/// Without zeros at the end, and never rounded to something nearer than a hundredth.
std::string decimal(Offset seconds, Offset unit, int places) {
  std::string text =
      fmt::format("{:.{}f}", static_cast<double>(seconds) / static_cast<double>(unit), places);
  if (text.find('.') == std::string::npos) return text;
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string counted(const std::string& number, const char* unit) {
  return number + " " + unit + (number == "1" ? "" : "s");
}

}  // namespace

std::string number_of_day(Offset at) { return decimal(at, day, 2); }

std::string Calendar::date(Offset at) const {
  if (!start) return "";
  const std::string text = to_rfc3339(*start + Seconds{at});
  return fmt::format("{} {}", text.substr(0, 10), text.substr(11, 5));
}

std::string Calendar::day(Offset at) const {
  std::string text = "day " + number_of_day(at);
  if (start) text += " (" + date(at) + " UTC)";
  return text;
}

std::string days(const Intervals& set) {
  std::vector<std::string> parts;
  for (const Interval& i : set.all()) {
    // The last second of a day is that day's end.
    const std::string from = number_of_day(i.first);
    const std::string to = number_of_day(i.last + 1);
    parts.push_back(from == to ? from : from + " to " + to);
    if (parts.size() == intervals_shown && set.all().size() > intervals_shown) {
      parts.push_back(fmt::format("{} more times", set.all().size() - intervals_shown));
      break;
    }
  }
  const bool one = parts.size() == 1 && parts.front().find(' ') == std::string::npos;
  std::string text = one ? "day " : "days ";
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += i + 1 == parts.size() ? " and " : ", ";
    text += parts[i];
  }
  return text;
}

std::string span(Offset seconds) {
  if (seconds >= 2 * day || seconds % day == 0) return counted(decimal(seconds, day, 1), "day");
  if (seconds >= 2 * hour || seconds % hour == 0) return counted(decimal(seconds, hour, 1), "hour");
  if (seconds >= minute) return counted(decimal(seconds, minute, 1), "minute");
  return counted(fmt::format("{}", seconds), "second");
}

std::string count(std::size_t n) {
  constexpr std::size_t thousand = 1000;
  if (n < thousand) return fmt::format("{}", n);
  return fmt::format("{},{:03}", count(n / thousand), n % thousand);
}

std::string ios_days(Seconds span) {
  const Offset minutes = (span.count() + minute - 1) / minute;
  std::string text = fmt::format("{}", minutes * minute / day);
  const Offset hours = minutes * minute % day / hour;
  const Offset rest = minutes % 60;
  if (hours != 0 || rest != 0) text += fmt::format(" {}", hours);
  if (rest != 0) text += fmt::format(" {}", rest);
  return text;
}

}  // namespace umbra::plan
