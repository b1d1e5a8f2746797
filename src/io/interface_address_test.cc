#include "io/interface_address.h"

#include <gtest/gtest.h>

namespace umbra::io {
namespace {

TEST(InterfaceAddress, IsTheFirstOneOfTheInterface) {
  const auto found = ipv4_address_of("lo");
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_EQ(*found, "127.0.0.1");
}

TEST(InterfaceAddress, OfNoInterfaceIsNone) {
  const auto found = ipv4_address_of("Loopback7");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::not_found);
  EXPECT_EQ(found.error().detail, "there is no interface Loopback7 (ip-address)");
}

}  // namespace
}  // namespace umbra::io
