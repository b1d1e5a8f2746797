#include "lifecycle/alert.h"

#include <algorithm>

namespace umbra::lifecycle {
namespace {

constexpr Days first_before{60};
constexpr Days week{7};
constexpr Days day{1};

}  // namespace

std::optional<Time> next_alert(const ExpiringCertificate& certificate, std::optional<Time> last) {
  if (certificate.succeeded || certificate.under_way) return std::nullopt;
  const Time end = certificate.not_after;
  Time first = end - first_before;
  if (certificate.replaced_at) first = std::max(first, *certificate.replaced_at);
  Time at = first;
  if (last && *last >= first) {
    // The next of the points 60, 53, ... 11 and 7, 6, ... 1 days before the end.
    const Seconds left = end - *last;
    if (left > week + day) {
      const auto weeks = (first_before - left) / Seconds{week} + 1;
      at = std::min(end - first_before + weeks * week, end - week);
    } else {
      at = end - ((left - Seconds{1}) / Seconds{day}) * day;
    }
  }
  return at < end ? std::optional<Time>(at) : std::nullopt;
}

bool is_urgent(Time not_after, Time now) { return not_after - now <= week; }

}  // namespace umbra::lifecycle
