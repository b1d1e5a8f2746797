#include "spans.h"

#include <charconv>
#include <cmath>

namespace spans {

umbra::Seconds seconds(double number, double unit) {
  return umbra::Seconds{std::llround(number * unit)};
}

std::optional<double> number(const std::string& digits, double most) {
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool good =
      error == std::errc{} && end == digits.data() + digits.size() && value >= 0 && value <= most;
  return good ? std::optional(value) : std::nullopt;
}

std::optional<umbra::plan::Interval> days_between(const std::string& text) {
  const auto hyphen = text.find('-');
  const auto from = number(text.substr(0, hyphen));
  const auto to = hyphen == std::string::npos ? from : number(text.substr(hyphen + 1));
  if (!from || !to || *from > *to) return std::nullopt;
  return umbra::plan::Interval{seconds(*from, day).count(), seconds(*to, day).count()};
}

std::optional<umbra::plan::ServerUrl> server_url(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == 0 || equals == std::string::npos || text.find("://", equals) == std::string::npos)
    return std::nullopt;
  return umbra::plan::ServerUrl{text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace spans
