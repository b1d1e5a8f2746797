#include "io/rate_limit.h"

#include <gtest/gtest.h>

namespace umbra::io {
namespace {

using namespace std::chrono_literals;
namespace ip = boost::asio::ip;

const auto a = ip::make_address("192.0.2.1");
const auto b = ip::make_address("192.0.2.2");
const RateLimit::Clock::time_point start{};

TEST(RateLimit, ABurstIsLetThroughAndThenSoManyASecond) {
  RateLimit limit(10, 3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.take(a, start));
  EXPECT_FALSE(limit.take(a, start));
  EXPECT_TRUE(limit.take(b, start)) << "each has its own";
  EXPECT_FALSE(limit.take(a, start + 99ms));
  EXPECT_TRUE(limit.take(a, start + 100ms));
  EXPECT_FALSE(limit.take(a, start + 100ms));
  EXPECT_TRUE(limit.take(a, start + 10s));
  EXPECT_TRUE(limit.take(a, start + 10s));
  EXPECT_TRUE(limit.take(a, start + 10s)) << "never more than the burst";
  EXPECT_FALSE(limit.take(a, start + 10s));
}

TEST(RateLimit, IsRememberedOfNoMorePeersThanThereIsRoomFor) {
  RateLimit limit(1, 1, 100);
  for (unsigned i = 0; i < 1000; ++i)
    EXPECT_TRUE(limit.take(ip::address(ip::address_v4(0x0A000000U + i)), start));
  EXPECT_EQ(limit.peers(), 100U);
  EXPECT_FALSE(limit.take(ip::make_address("10.0.3.231"), start)) << "the last is known";
  EXPECT_TRUE(limit.take(ip::make_address("10.0.0.0"), start)) << "the first is forgotten";
  EXPECT_TRUE(limit.take(b, start + 1s));
  EXPECT_EQ(limit.peers(), 1U) << "full buckets are not kept";
}

TEST(RateLimit, NoneIsNone) {
  RateLimit limit(0, 0);
  for (int i = 0; i < 100000; ++i) ASSERT_TRUE(limit.take(a, start));
  EXPECT_EQ(limit.peers(), 0U);
}

TEST(RateLimit, AHouseholdIsAnAddressOrASixtyFour) {
  EXPECT_EQ(household_of(a), a);
  EXPECT_EQ(household_of(ip::make_address("::ffff:192.0.2.1")), a);
  EXPECT_EQ(household_of(ip::make_address("2001:db8:1:2:3:4:5:6")),
            household_of(ip::make_address("2001:db8:1:2:ffff::1")));
  EXPECT_NE(household_of(ip::make_address("2001:db8:1:2::1")),
            household_of(ip::make_address("2001:db8:1:3::1")));
}

}  // namespace
}  // namespace umbra::io
