#include "io/clock.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace umbra::io {
namespace {

using std::chrono::milliseconds;

double real_seconds() {
  return std::chrono::duration<double>(SystemClock(true).now().time_since_epoch()).count();
}

TEST(LapseClock, StandsStillUntilItsAnchor) {
  const auto clock =
      LapseClock::parse(fmt::format("2015-10-09T12:14:16Z@864000@{:.0f}", real_seconds() + 3600));
  ASSERT_TRUE(clock) << clock.error().detail;
  EXPECT_EQ(clock->now(), Instant{*from_rfc3339("2015-10-09T12:14:16Z")});
  EXPECT_TRUE(clock->authoritative());
  EXPECT_EQ(clock->source(), "time-lapse");
}

TEST(LapseClock, RunsAsFastAsItIsTold) {
  const double anchor = real_seconds() - 100;
  const auto clock =
      LapseClock::parse(fmt::format("2015-10-09T12:14:16Z@864000@{:.3f}", anchor)).value();
  // 100 real seconds are 1000 days; what passes while the test runs comes on top.
  const Instant at_least =
      Instant{*from_rfc3339("2015-10-09T12:14:16Z")} + Seconds{1000 * 86400} - milliseconds{864000};
  EXPECT_GE(clock.now(), at_least);
  EXPECT_LT(clock.now(), at_least + Seconds{600 * 86400});
}

TEST(LapseClock, TellsHowLongToWaitInRealTime) {
  const auto clock =
      LapseClock::parse(fmt::format("2015-10-09T00:00:00Z@86400@{:.0f}", real_seconds() + 3600))
          .value();
  const Instant tomorrow{*from_rfc3339("2015-10-10T00:00:00Z")};
  const auto wait = std::chrono::duration<double>(clock.real_time_until(tomorrow)).count();
  EXPECT_GT(wait, 3500) << "the anchor, and one second";
  EXPECT_LE(wait, 3602);
  EXPECT_EQ(clock.real_time_until(Instant{}).count(), 0) << "what is past is due";
}

TEST(LapseClock, EndsWithTheYear9999AndWaitsForNothingPastIt) {
  const auto fast = LapseClock::parse("2015-10-09T12:14:16Z@100000000@0").value();
  EXPECT_EQ(fast.now(), Instant{*from_rfc3339("9999-12-31T00:00:00Z")});
  const auto slow = LapseClock::parse("1970-01-01T00:00:00Z@0.001").value();
  const Instant never{*from_rfc3339("9999-12-31T23:59:59Z")};
  EXPECT_GT(slow.real_time_until(never), std::chrono::hours{24});
  EXPECT_EQ(slow.real_time_until(Instant{*from_rfc3339("0001-01-01T00:00:00Z")}).count(), 0);
}

TEST(SystemClock, WaitsForACertificateWithoutAnEnd) {
  // RFC 5280 4.1.2.5: 99991231235959Z; as nanoseconds it would be in the past.
  const Instant never{*from_rfc3339("9999-12-31T23:59:59Z")};
  EXPECT_GT(SystemClock(true).real_time_until(never), std::chrono::hours{24});
  EXPECT_EQ(
      SystemClock(true).real_time_until(Instant{*from_rfc3339("0001-01-01T00:00:00Z")}).count(), 0);
}

TEST(SystemClock, TellsHowLongToWait) {
  const SystemClock clock(true);
  const auto wait = clock.real_time_until(clock.now() + std::chrono::hours{1});
  EXPECT_GT(wait, std::chrono::minutes{59});
  EXPECT_LE(wait, std::chrono::hours{1} + milliseconds{1});
}

TEST(LapseClock, SaysWhatItExpects) {
  for (const char* wrong :
       {"", "now", "2015-10-09T12:14:16Z", "2015-10-09T12:14:16Z@", "2015-10-09T12:14:16Z@fast",
        "2015-10-09T12:14:16Z@0", "2015-10-09T12:14:16Z@-5", "2015-10-09T12:14:16Z@1e99",
        "2015-10-09T12:14:16Z@nan", "2015-02-30T00:00:00Z@10", "2015-10-09T12:14:16Z@10@never",
        "2015-10-09T12:14:16Z@10@1@2"}) {
    const auto clock = LapseClock::parse(wrong);
    ASSERT_FALSE(clock) << wrong;
    EXPECT_NE(clock.error().detail.find("START@SPEED"), std::string::npos) << wrong;
  }
}

TEST(SystemClock, IsAuthoritativeIfTheConfigurationSaysSo) {
  EXPECT_TRUE(SystemClock(true).authoritative());
  EXPECT_NE(SystemClock(true).source(), "unknown");
  EXPECT_EQ(SystemClock(true).real_time_until(Instant{}).count(), 0);
  EXPECT_GT(SystemClock(true).now(), Instant{*from_rfc3339("2024-01-01T00:00:00Z")});
}

}  // namespace
}  // namespace umbra::io
