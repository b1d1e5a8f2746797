#include <gmock/gmock.h>

#include "client/lab_test.h"

namespace umbra::client {
namespace {

class BeforeSwitchTest : public Lab {};

TEST_F(BeforeSwitchTest, ASwitchThatAClockAheadHasMadeIsUndoneWhenItIsRight) {
  spoke.regenerate = true;
  enrolled_on(365);
  run_until(day(700));
  const auto before = row();
  const auto old_identity = *status().identity;
  const auto shadow = *status().rollover_identity;
  clock.set(day(800));
  run_due();
  ASSERT_EQ(*status().identity, shadow);
  start_spoke();
  clock.set(day(701));
  run_due();
  EXPECT_EQ(log.count("%UMBRA-5-SWITCH_BACK"), 1U);
  EXPECT_EQ(*status().identity, old_identity);
  EXPECT_EQ(*status().rollover_identity, shadow);
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, old_identity.to_pem());
  const auto back = row();
  EXPECT_EQ(back.ca_certificate, before.ca_certificate);
  EXPECT_EQ(back.rollover_ca_certificate, before.rollover_ca_certificate);
  EXPECT_EQ(back.sealed_key, before.sealed_key);
  EXPECT_EQ(back.sealed_shadow_key, before.sealed_shadow_key);
  EXPECT_EQ(armed(), "SWITCH OVER Root-CA " + to_rfc3339(day(730)));
  run_until(day(731));
  EXPECT_EQ(*status().identity, shadow) << "in its time, for good";
  EXPECT_EQ(status().ca->not_before(), day(730));
  // What is renewed by then has nothing to go back to.
  run_until(day(1025));
  ASSERT_FALSE(*status().identity == shadow);
  EXPECT_EQ(row().held_since.find("before-switch"), std::string::npos);
  clock.set(day(720));
  run_due();
  EXPECT_FALSE(status().rollover_ca);
}

TEST_F(BeforeSwitchTest, WhatASwitchHasPutAwayGoesWithTheKeys) {
  enrolled_on(365);
  run_until(day(731));
  ASSERT_NE(row().held_since.find("before-switch"), std::string::npos);
  trustpoint->zeroize([](const auto& gone) { EXPECT_TRUE(gone); });
  settle();
  EXPECT_EQ(row().held_since.find("before-switch"), std::string::npos);
  clock.set(day(720));
  run_due();
  EXPECT_FALSE(status().identity);
}

/// The switch came without a shadow certificate: of the one before, the key alone is there.
class BareSwitchTest : public BeforeSwitchTest {
 protected:
  void switched() {
    enrolled_on(365);
    ca.grant = config::Grant::manual;
    start_server();
    run_until(day(660));
    ASSERT_TRUE(status().rollover_ca);
    cut = true;
    run_until(day(731));
    ASSERT_EQ(status().ca->not_before(), day(730));
    ASSERT_FALSE(status().identity);
    ASSERT_FALSE(row().sealed_key.empty());
    ASSERT_NE(row().held_since.find("before-switch"), std::string::npos);
  }
  void zeroize() {
    trustpoint->zeroize([](const auto& gone) { EXPECT_TRUE(gone); });
    settle();
  }
  void clock_steps_back() {
    clock.set(day(720));
    run_due();
  }
  void nothing_is_there() {
    EXPECT_FALSE(status().identity);
    EXPECT_TRUE(row().sealed_key.empty());
    EXPECT_TRUE(row().sealed_shadow_key.empty());
    EXPECT_EQ(log.count("%UMBRA-5-SWITCH_BACK"), 0U);
    EXPECT_FALSE(outlet.published.contains("/etc/spoke"));
  }
};

TEST_F(BareSwitchTest, TheKeyThatItHasPutAwayGoesWithTheKeys) {
  switched();
  zeroize();
  EXPECT_EQ(row().held_since.find("before-switch"), std::string::npos);
  clock_steps_back();
  nothing_is_there();
}

TEST_F(BareSwitchTest, AKeyThatAVersionOfBeforeLeftThereStaysZeroized) {
  switched();
  const std::string kept = row().held_since;
  zeroize();
  auto left = row();
  left.held_since = kept;
  ASSERT_TRUE(store->commit({store::PutTrustpoint{left}}));
  start_spoke();
  clock_steps_back();
  nothing_is_there();
}

TEST_F(BareSwitchTest, IsUndoneWithItsKeyAsLongAsThatIsThere) {
  switched();
  const auto key = row().sealed_key;
  clock_steps_back();
  EXPECT_TRUE(status().identity);
  EXPECT_EQ(row().sealed_key, key);
}

TEST_F(BareSwitchTest, AKeyThatCameAfterItIsStillTheKeyWhenItIsUndone) {
  spoke.auto_enroll.reset();
  start();
  authenticate();
  run_until(day(731));
  ASSERT_EQ(status().ca->not_before(), day(730));
  ca.grant = config::Grant::manual;
  start_server();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  const auto key = row().sealed_key;
  ASSERT_FALSE(key.empty());
  clock_steps_back();
  ASSERT_EQ(status().ca->not_after(), day(730));
  EXPECT_EQ(row().sealed_key, key);
  EXPECT_TRUE(row().sealed_shadow_key.empty());
}

TEST_F(BareSwitchTest, AnotherCaThatIsAcceptedEndsWhatItHasPutAway) {
  switched();
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  const auto other = *x509::self_signed_signer(*x509::Name::from_ios("CN=another"), day(731), key,
                                               x509::Digest::sha256);
  trustpoint->accept_ca(other, [](const auto&) {});
  settle();
  EXPECT_EQ(row().held_since.find("before-switch"), std::string::npos);
  clock_steps_back();
  EXPECT_FALSE(status().identity);
}

}  // namespace
}  // namespace umbra::client
