#include "base/time.h"

#include <gtest/gtest.h>

namespace umbra {
namespace {

using std::chrono::milliseconds;

TEST(IosTime, PrintsTheGuidesInstants) {
  const TimeZone cet{"CET", std::chrono::hours{1}};
  EXPECT_EQ(to_ios_time(*from_rfc3339("2015-10-09T12:14:16Z"), cet), "13:14:16 CET Oct 9 2015");
  EXPECT_EQ(to_ios_time(*from_rfc3339("2017-10-08T12:14:16Z"), cet), "13:14:16 CET Oct 8 2017");
  const Instant shown = *from_rfc3339("2017-07-10T12:14:46Z") + milliseconds{820};
  EXPECT_EQ(to_ios_clock(shown, cet), "13:14:46.820 CET Mon Jul 10 2017");
  EXPECT_EQ(to_ios_log_time(*from_rfc3339("2017-07-10T12:14:16Z") + milliseconds{510}, cet),
            "Jul 10 13:14:16.510");
}

TEST(IosTime, SpansAreRightAlignedInSixteenColumns) {
  const auto ms = [](long long value) { return milliseconds{value}; };
  EXPECT_EQ(to_ios_span(ms(48241)), "          48.241");
  EXPECT_EQ(to_ios_span(ms(7 * 60000 + 49003)), "        7:49.003");
  EXPECT_EQ(to_ios_span(ms(5 * 3600000 + 54 * 60000 + 17977)), "     5:54:17.977");
  EXPECT_EQ(to_ios_span(Days{639} + ms(23 * 3600000 + 54 * 60000 + 17977)), "639d23:54:17.977");
  EXPECT_EQ(to_ios_span(Days{3} + ms(7 * 3600000 + 5 * 60000 + 24003)), "  3d 7:05:24.003");
  EXPECT_EQ(to_ios_span(Days{1283} + ms(6 * 3600000 + 19 * 60000 + 2213)), "1283d 6:19:02.213");
  EXPECT_EQ(to_ios_span(ms(-5)), "           0.000");
}

TEST(Rfc3339, RoundTripsAndRefusesImpossibleDates) {
  for (const char* text :
       {"1970-01-01T00:00:00Z", "2016-02-29T23:59:59Z", "2099-12-31T00:00:00Z"}) {
    EXPECT_EQ(to_rfc3339(*from_rfc3339(text)), text);
  }
  for (const char* text : {"2015-02-29T00:00:00Z", "2015-01-01T24:00:00Z", "2015-1-1T00:00:00Z",
                           "2015-01-01 00:00:00Z", "2015-01-01T00:00:00", "-015-01-01T00:00:00Z"}) {
    EXPECT_FALSE(from_rfc3339(text)) << text;
  }
}

}  // namespace
}  // namespace umbra
