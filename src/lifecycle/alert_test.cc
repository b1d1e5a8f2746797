#include "lifecycle/alert.h"

#include <gtest/gtest.h>

#include <vector>

namespace umbra::lifecycle {
namespace {

const Time end = *from_rfc3339("2025-01-14T08:48:17Z");

/// Days before the end of every alert, each fired on its second.
std::vector<long> all_alerts(const ExpiringCertificate& certificate) {
  std::vector<long> days;
  std::optional<Time> last;
  while (const auto at = next_alert(certificate, last)) {
    days.push_back((certificate.not_after - *at) / Seconds{Days{1}});
    EXPECT_LT(days.size(), 100U);
    if (days.size() >= 100) break;
    EXPECT_TRUE(!last || *at > *last);
    last = at;
  }
  return days;
}

TEST(Alert, ComesSixtyDaysBeforeThenWeeklyThenDaily) {
  EXPECT_EQ(*next_alert({end, {}, false}, {}), *from_rfc3339("2024-11-15T08:48:17Z"))
      << "to the second, as a device showed it";
  EXPECT_EQ(all_alerts({end, {}, false}),
            (std::vector<long>{60, 53, 46, 39, 32, 25, 18, 11, 7, 6, 5, 4, 3, 2, 1}));
}

TEST(Alert, NothingIsSaidBeforeWhatReplacesItFallsDue) {
  EXPECT_EQ(next_alert({end, end - Days{30}, false}, {}), end - Days{30});
  EXPECT_EQ(next_alert({end, end - Days{73}, false}, {}), end - Days{60});
  EXPECT_EQ(all_alerts({end, end - Days{6}, false}), (std::vector<long>{6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(all_alerts({end, end - Days{9}, false}), (std::vector<long>{9, 7, 6, 5, 4, 3, 2, 1}));
}

TEST(Alert, NothingIsSaidOnceTheSuccessorIsThere) {
  EXPECT_FALSE(next_alert({end, {}, true}, {}));
  EXPECT_FALSE(next_alert({end, end - Days{10}, true}, end - Days{5}));
}

TEST(Alert, NothingIsSaidWhileTheSuccessorIsBeingAskedFor) {
  ExpiringCertificate certificate{end, {}, false, true};
  EXPECT_FALSE(next_alert(certificate, {}));
  certificate.under_way = false;  // that has failed
  EXPECT_EQ(next_alert(certificate, {}), end - Days{60}) << "said late, at once";
}

TEST(Alert, LateOnesAreNotRepeated) {
  const ExpiringCertificate certificate{end, {}, false};
  EXPECT_EQ(next_alert(certificate, end - Days{30}), end - Days{25}) << "said late, once";
  EXPECT_EQ(next_alert(certificate, end - Days{8} - Seconds{1}), end - Days{7});
  EXPECT_EQ(next_alert(certificate, end - Days{7} - Seconds{1}), end - Days{7});
  EXPECT_EQ(next_alert(certificate, end - Days{3} + Seconds{5}), end - Days{2});
  EXPECT_FALSE(next_alert(certificate, end - Days{1}));
  EXPECT_FALSE(next_alert(certificate, end + Days{1}));
}

TEST(Alert, IsUrgentInTheLastWeek) {
  EXPECT_FALSE(is_urgent(end, end - Days{7} - Seconds{1}));
  EXPECT_TRUE(is_urgent(end, end - Days{7}));
}

}  // namespace
}  // namespace umbra::lifecycle
