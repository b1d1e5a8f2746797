#include "x509/weak_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vectors.h"

namespace umbra::x509 {
namespace {

using ::testing::HasSubstr;

std::string weakness_in(const std::string& file) {
  const auto key = PrivateKey::from_pem(vectors::text("weak_keys/" + file + ".pem"));
  EXPECT_TRUE(key) << key.error().detail;
  return weakness_of(key->public_key()).value_or("none");
}

TEST(WeakKey, EachFaultIsNamed) {
  EXPECT_THAT(weakness_in("roca"), HasSubstr("ROCA"));
  EXPECT_THAT(weakness_in("close_primes"), HasSubstr("close to each other"));
  EXPECT_THAT(weakness_in("neighbours"), HasSubstr("close to each other"));
  EXPECT_THAT(weakness_in("small_factor"), HasSubstr("small factor"));
  EXPECT_THAT(weakness_in("exponent_3"), HasSubstr("exponent"));
}

TEST(WeakKey, HonestKeysHaveNone) {
  for (const int bits : {1024, 2048, 3072}) {
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(weakness_of(PrivateKey::generate_rsa(bits)->public_key()), std::nullopt);
  }
  EXPECT_EQ(weakness_of(PrivateKey::generate_ec(256)->public_key()), std::nullopt);
}

}  // namespace
}  // namespace umbra::x509
