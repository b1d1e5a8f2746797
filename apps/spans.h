#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/check.h"

/// Days and hours as command lines write them.
namespace spans {

inline constexpr double day = 86400;
inline constexpr double hour = 3600;
inline constexpr double minute = 60;
/// Longer than any CA: the arithmetic of seconds stays far from its limits.
inline constexpr double days_max = 40000;

[[nodiscard]] umbra::Seconds seconds(double number, double unit);
/// A number from 0 to `most`, and nothing but a number.
[[nodiscard]] std::optional<double> number(const std::string& digits, double most = days_max);
/// "30" or "10-40", in days.
[[nodiscard]] std::optional<umbra::plan::Interval> days_between(const std::string& text);
/// NAME=http://HOST[:PORT]
[[nodiscard]] std::optional<umbra::plan::ServerUrl> server_url(const std::string& text);

}  // namespace spans
