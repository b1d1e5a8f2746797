// What a trustpoint does without a clock it can trust, and with one that steps.

#include <gmock/gmock.h>

#include "client/lab_test.h"

namespace umbra::client {
namespace {

using scep::MessageType;
using std::chrono::minutes;
using testing::IsEmpty;

TEST_F(TrustpointTest, ARejectThatCameWhileTheClockWasAheadDoesNotOutliveIt) {
  enrolled();
  const auto before = *status().identity;
  ca.grant = config::Grant::none;
  start_server();
  clock.set(day(300));
  run_due();
  ASSERT_EQ(log.count("%PKI-6-CERTREJECT"), 1U);
  ASSERT_EQ(armed(), "");
  start_spoke();
  EXPECT_EQ(armed(), "") << "it is remembered";
  clock.set(day(10));
  run_due();
  EXPECT_EQ(log.count("%UMBRA-5-CLOCK_WAS_AHEAD: Trustpoint Root-CA was stopped at "), 1U);
  EXPECT_EQ(armed(), "RENEW Root-CA " + to_rfc3339(day(292)));
  EXPECT_EQ(*status().identity, before);
  // One that came by the right clock stays, whatever the clock does afterwards.
  run_until(day(292));
  EXPECT_EQ(log.count("%PKI-6-CERTREJECT"), 2U);
  clock.set(day(400));
  run_due();
  clock.set(day(292) + minutes{5});
  run_due();
  EXPECT_EQ(armed(), "");
}

TEST_F(TrustpointTest, WithoutAnAuthoritativeClockNothingIsArmedAndNothingIsSent) {
  enrolled();
  clock.good = false;
  const auto calls = sent.size();
  clock.set(day(300));
  run_due();
  run_due();
  EXPECT_THAT(trustpoint->deadlines(), IsEmpty());
  EXPECT_EQ(sent.size(), calls);
  EXPECT_EQ(log.count("%PKI-2-NON_AUTHORITATIVE_CLOCK"), 1U);
  clock.good = true;
  run_due();
  EXPECT_EQ(log.count("%PKI-6-AUTHORITATIVE_CLOCK"), 1U);
  EXPECT_GT(sent.size(), calls);
}

TEST_F(TrustpointTest, AClockThatStepsBackRenewsNothing) {
  enrolled();
  run_until(day(292));
  const auto calls = sent.size();
  clock.set(day(100));
  run_due();
  EXPECT_EQ(sent.size(), calls);
}

TEST_F(TrustpointTest, AFirstRequestOfATimeThatHasNotComeIsDroppedWithAllThatWasStoredForIt) {
  spoke.regenerate = true;
  enrolled();
  const auto before = *status().identity;
  const auto key = row().sealed_key;
  hold_answers = true;
  clock.set(day(400));  // the certificate has ended by that clock, the CA has not
  run_due();
  ASSERT_EQ(held.size(), 1U);
  ASSERT_TRUE(status().pending);
  EXPECT_EQ(sent.back().envelope->type, MessageType::pkcs_req);
  EXPECT_NE(row().request, Bytes{});
  EXPECT_NE(row().transaction_id, "");
  EXPECT_NE(row().sealed_shadow_key, Bytes{});
  clock.set(day(10));
  run_due();
  const auto dropped = [&] {
    EXPECT_FALSE(status().pending);
    EXPECT_EQ(row().request, Bytes{});
    EXPECT_EQ(row().request_signer, Bytes{});
    EXPECT_EQ(row().transaction_id, "");
    EXPECT_EQ(row().sealed_shadow_key, Bytes{}) << "its key is gone with it";
    EXPECT_EQ(row().sealed_key, key);
    EXPECT_EQ(status().last_enrollment_status, "Granted");
    EXPECT_EQ(*status().identity, before);
    EXPECT_EQ(armed(), "RENEW Root-CA " + to_rfc3339(day(292)));
  };
  dropped();
  // Its answer is nobody's any more, and a restart finds nothing of it.
  const auto calls = sent.size();
  hold_answers = false;
  for (const auto& answer : std::exchange(held, {})) answer();
  settle();
  dropped();
  start_spoke();
  dropped();
  EXPECT_EQ(sent.size(), calls);
  run_until(day(292));
  EXPECT_FALSE(*status().identity == before);
}

TEST_F(TrustpointTest, AFirstRequestThatWaitsForAPersonIsDroppedTheSameWay) {
  enrolled();
  ca.grant = config::Grant::manual;
  start_server();
  clock.set(day(400));
  run_due();
  ASSERT_EQ(status().last_enrollment_status, "Pending");
  clock.set(day(10));
  run_due();
  EXPECT_FALSE(status().pending);
  EXPECT_EQ(status().last_enrollment_status, "Granted");
  EXPECT_EQ(armed(), "RENEW Root-CA " + to_rfc3339(day(292)));
}

TEST_F(TrustpointTest, WhatWasPutOffByAClockThatWasAheadIsNotPutOffUntilThen) {
  enrolled();
  clock.set(day(364));
  cut = true;
  run_due();
  EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(day(364) + minutes{1}));
  outlet.failing = true;
  clock.set(day(10));
  run_due();
  EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(day(10) + minutes{1}));
  cut = false;
  run_until(day(10) + minutes{1});
  EXPECT_EQ(status().identity->not_before(), day(10) + minutes{1});
  // The command failed then, and the store refuses, while the clock is ahead again.
  clock.set(day(300));
  run_due();
  store->refuse = true;
  run_until(day(303));
  store->refuse = false;
  outlet.failing = false;
  clock.set(day(10) + minutes{2});
  const auto hooks = outlet.hooks.size();
  run_due();
  EXPECT_GT(outlet.hooks.size(), hooks) << "ANNOUNCE";
  EXPECT_EQ(armed().substr(0, 5), "RENEW");
  EXPECT_LT(trustpoint->deadlines().front().at, day(303)) << "nor held until then";
}

}  // namespace
}  // namespace umbra::client
