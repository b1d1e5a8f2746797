#include "server/guesses.h"

#include <gtest/gtest.h>

namespace umbra::server {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

const Time start = *from_rfc3339("2026-01-01T00:00:00Z");

/// Whether a wrong try is looked at.
bool looked_at(Guesses& guesses, const std::string& address, Time now) {
  return guesses.begin(address, now) == Guesses::Verdict::look;
}
int tries_in(Guesses& guesses, const std::string& address, Time from, Time to) {
  int count = 0;
  for (Time now = from; now < to; now += Seconds{1}) count += looked_at(guesses, address, now);
  return count;
}

TEST(Guesses, AnAddressHasTenAndThenOneAMinute) {
  Guesses guesses;
  EXPECT_EQ(tries_in(guesses, "192.0.2.1", start, start + Seconds{50}), 10);
  EXPECT_EQ(tries_in(guesses, "192.0.2.1", start + Seconds{50}, start + hours{1}), 59);
  EXPECT_TRUE(looked_at(guesses, "192.0.2.2", start + hours{1}));
}

TEST(Guesses, AllTogetherHaveAThousandAndThenOneInTenSeconds) {
  Guesses guesses;
  int count = 0;
  for (int i = 0; i < 3000; ++i)
    count += looked_at(guesses, "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250),
                       start);
  EXPECT_EQ(count, 1000);
  EXPECT_FALSE(looked_at(guesses, "10.1.0.1", start + Seconds{9}));
  EXPECT_TRUE(looked_at(guesses, "10.1.0.1", start + Seconds{10}));
}

TEST(Guesses, WhoHasHadItRightIsNotHeldUpByTheOthers) {
  Guesses guesses;
  EXPECT_TRUE(looked_at(guesses, "192.0.2.7", start));
  guesses.right("192.0.2.7", start);
  for (int i = 0; i < 2000; ++i)
    static_cast<void>(looked_at(guesses, "n" + std::to_string(i), start));
  EXPECT_FALSE(looked_at(guesses, "192.0.2.8", start));
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(looked_at(guesses, "192.0.2.7", start));
    guesses.right("192.0.2.7", start);
  }
  EXPECT_EQ(tries_in(guesses, "192.0.2.7", start, start + Seconds{30}), 10)
      << "but may not try more than anybody";
}

TEST(Guesses, RightOnesCostNothing) {
  Guesses guesses;
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(looked_at(guesses, "192.0.2.1", start));
    guesses.right("192.0.2.1", start);
  }
  EXPECT_TRUE(looked_at(guesses, "192.0.2.2", start));
}

TEST(Guesses, ManyIpv6AddressesOfOneNetworkAreOne) {
  Guesses guesses;
  int count = 0;
  for (int i = 0; i < 100; ++i)
    count += looked_at(guesses, "2001:db8:0:1::" + std::to_string(i), start);
  EXPECT_EQ(count, 10);
  EXPECT_TRUE(looked_at(guesses, "2001:db8:0:2::1", start));
}

TEST(Guesses, AClockThatIsPutBackLocksNobodyForGood) {
  Guesses guesses;
  EXPECT_EQ(tries_in(guesses, "192.0.2.1", start, start + Seconds{50}), 10);
  const Time before = start - Days{3650};
  EXPECT_GE(tries_in(guesses, "192.0.2.1", before, before + minutes{5}), 1);
}

TEST(Guesses, SaysWhenItLocks) {
  Guesses guesses({.of_one = 2, .of_all = 3});
  EXPECT_TRUE(looked_at(guesses, "a", start));
  EXPECT_EQ(guesses.wrong("a", start), Guesses::Locks::nothing);
  EXPECT_TRUE(looked_at(guesses, "a", start));
  EXPECT_EQ(guesses.wrong("a", start), Guesses::Locks::address);
  EXPECT_TRUE(looked_at(guesses, "b", start));
  EXPECT_EQ(guesses.wrong("b", start), Guesses::Locks::all);
}

}  // namespace
}  // namespace umbra::server
