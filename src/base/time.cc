#include "base/time.h"

#include <array>
#include <charconv>

#include <fmt/format.h>

namespace umbra {
namespace {

using std::chrono::floor;
using std::chrono::hh_mm_ss;
using std::chrono::year_month_day;

constexpr std::array<const char*, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<const char*, 7> weekdays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

const char* month_name(const year_month_day& date) {
  return months[static_cast<unsigned>(date.month()) - 1];
}

Result<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  const char* const end = text.data() + at + count;
  const auto [stop, error] = std::from_chars(text.data() + at, end, value);
  if (error != std::errc{} || stop != end || text[at] == '-') {
    return fail(Errc::malformed, "expected digits in a time");
  }
  return value;
}

}  // namespace

std::string to_rfc3339(Time time) {
  const auto day = floor<Days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

Result<Time> from_rfc3339(std::string_view text) {
  constexpr std::string_view shape = "dddd-dd-ddTdd:dd:ddZ";
  if (text.size() != shape.size()) {
    return fail(Errc::malformed, "expected a time as 2017-10-08T12:14:16Z");
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 'd' && shape[i] != text[i]) {
      return fail(Errc::malformed, "expected a time as 2017-10-08T12:14:16Z");
    }
  }
  UMBRA_TRY(const int year, digits(text, 0, 4));
  UMBRA_TRY(const int month, digits(text, 5, 2));
  UMBRA_TRY(const int day, digits(text, 8, 2));
  UMBRA_TRY(const int hour, digits(text, 11, 2));
  UMBRA_TRY(const int minute, digits(text, 14, 2));
  UMBRA_TRY(const int second, digits(text, 17, 2));
  const year_month_day date{std::chrono::year{year},
                            std::chrono::month{static_cast<unsigned>(month)},
                            std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) {
    return fail(Errc::malformed, "no such date or time of day");
  }
  return Time{std::chrono::sys_days{date}} + std::chrono::hours{hour} +
         std::chrono::minutes{minute} + Seconds{second};
}

std::string to_ios_time(Time time, const TimeZone& zone) {
  const Time local = time + zone.offset;
  const auto day = floor<Days>(local);
  const year_month_day date{day};
  const hh_mm_ss clock{local - day};
  return fmt::format("{:02}:{:02}:{:02} {} {} {} {}", clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), zone.name, month_name(date),
                     static_cast<unsigned>(date.day()), static_cast<int>(date.year()));
}

std::string to_ios_clock(Instant instant, const TimeZone& zone) {
  const Instant local = instant + zone.offset;
  const auto day = floor<Days>(local);
  const year_month_day date{day};
  const hh_mm_ss clock{local - day};
  return fmt::format("{:02}:{:02}:{:02}.{:03} {} {} {} {} {}", clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count(),
                     zone.name, weekdays[std::chrono::weekday{day}.c_encoding()], month_name(date),
                     static_cast<unsigned>(date.day()), static_cast<int>(date.year()));
}

std::string to_ios_log_time(Instant instant, const TimeZone& zone) {
  const Instant local = instant + zone.offset;
  const auto day = floor<Days>(local);
  const year_month_day date{day};
  const hh_mm_ss clock{local - day};
  return fmt::format("{} {:2} {:02}:{:02}:{:02}.{:03}", month_name(date),
                     static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

std::string to_ios_span(std::chrono::milliseconds span) {
  if (span.count() < 0) span = std::chrono::milliseconds{0};
  const auto days = floor<Days>(span);
  const hh_mm_ss rest{span - days};
  const auto h = rest.hours().count();
  const auto m = rest.minutes().count();
  const auto s = rest.seconds().count();
  const auto ms = rest.subseconds().count();
  std::string text;
  if (days.count() > 0) {
    text = fmt::format("{}d{:2}:{:02}:{:02}.{:03}", days.count(), h, m, s, ms);
  } else if (h > 0) {
    text = fmt::format("{}:{:02}:{:02}.{:03}", h, m, s, ms);
  } else if (m > 0) {
    text = fmt::format("{}:{:02}.{:03}", m, s, ms);
  } else {
    text = fmt::format("{}.{:03}", s, ms);
  }
  return fmt::format("{:>16}", text);
}

}  // namespace umbra
