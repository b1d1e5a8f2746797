#include "plan/proof.h"

#include <gtest/gtest.h>

#include "plan/story.h"

namespace umbra::plan {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr Offset day = 86400;

/// The guide's: a CA of 730 days, certificates of 365, auto-rollover 90, auto-enroll 80.
Question guide(int percent = 80, Days overlap = Days{90}) {
  Question q;
  q.ca = {.lifetime_ca = Days{730}, .lifetime_crl = hours{6}, .overlap = overlap};
  q.lifetime = Days{365};
  q.client.auto_enroll = percent;
  return q;
}

/// A device that gets its first certificate then, until the next CA has ended.
Story story_of(const Question& q, Offset enrols) {
  Play how;
  how.enrols = enrols;
  how.until = 2 * q.ca_end();
  return play(q, how);
}

TEST(Proof, TheGuidesConfigurationIsSafeBySeventeenDays) {
  const Proof proof = prove(guide());
  EXPECT_EQ(proof.rollover_at, 640 * day);
  EXPECT_EQ(proof.last_issued, Intervals(365 * day, 730 * day - 1));
  EXPECT_EQ(proof.shadow_first, 657 * day);
  EXPECT_EQ(proof.margin(), 17 * day);
  EXPECT_TRUE(proof.early.empty());
  EXPECT_EQ(proof.renewal_after, 292 * day);
  EXPECT_EQ(proof.renewal_left, 73 * day);
  EXPECT_EQ(overlap_needed(guide()), Days{73});
  EXPECT_EQ(percent_needed(guide()), 76);
}

TEST(Proof, ThreeSecondsBeforeTheEndIsTooLateForAnybody) {
  // 80 % of one second is none: what is due at once waits one period, and the CA has ended by then.
  EXPECT_EQ(prove(guide()).dark, Intervals(730 * day - 1, 730 * day - 1));
}

TEST(Proof, SeventyPercentAsksBeforeThereIsANextCa) {
  const Proof proof = prove(guide(70));
  EXPECT_EQ(proof.shadow_first, 620 * day + day / 2);
  EXPECT_EQ(proof.margin(), -(19 * day + day / 2));
  // issued + 0.7 (730 - issued) < 640  <=>  issued < 430
  EXPECT_EQ(proof.early, Intervals(365 * day, 430 * day - 1));
  // In vain for 28080 minutes, so that the try after 2^15 = 32768 minutes finds it.
  EXPECT_EQ(proof.vain_most, 32768 * 60);
  EXPECT_EQ(proof.vain_tries, 16U);
  // The worst of all: SHADOW just over 2^14 minutes before the next CA, found 2^14 minutes after
  // it.
  EXPECT_EQ(proof.vain_until, 640 * day + 16384 * 60 - 1);
  EXPECT_TRUE(proof.gives_up.empty());
  EXPECT_EQ(proof.dark, prove(guide()).dark);
  EXPECT_EQ(overlap_needed(guide(70)), Days{109} + hours{12});
  EXPECT_EQ(percent_needed(guide(70)), 76);
}

TEST(Proof, NamesTheDaysOfFirstEnrolmentThatLeadToAnEarlyShadow) {
  const Question q = guide(70);
  Intervals days(365 * day, 430 * day - 1);
  days.add({109 * day + day / 2, 174 * day + day / 2 - 1});  // one renewal of 255.5 days earlier
  EXPECT_EQ(leading_to(q, prove(q).early), days);
  // From the second CA on: 0, 255.5, 511, SHADOW on day 664.3.
  EXPECT_FALSE(days.contains(0));
}

TEST(Proof, ARetryCountThatEndsBeforeTheNextCaLeavesTheDeviceDark) {
  Question q = guide(70);
  q.client.retry_count = 10;  // the last try comes 512 minutes after SHADOW
  const Proof proof = prove(q);
  EXPECT_FALSE(proof.safe());
  // issued + 0.7 (730 - issued) + 512 min < 640 d
  ASSERT_FALSE(proof.gives_up.empty());
  EXPECT_EQ(proof.gives_up.first(), 365 * day);
  const Offset last = proof.gives_up.last();
  EXPECT_LT(*shadow_of(q, last), 640 * day - 512 * 60);
  EXPECT_GE(*shadow_of(q, last + 1), 640 * day - 512 * 60);
  EXPECT_FALSE(story_of(q, last).dark.empty());
  EXPECT_TRUE(story_of(q, last + 1).dark.within(Interval{0, 730 * day + 1}).empty());
}

TEST(Proof, WithoutAutoRolloverEverybodyEndsWithTheCa) {
  Question q = guide();
  q.ca.overlap.reset();
  const Proof proof = prove(q);
  EXPECT_EQ(proof.dark, Intervals(365 * day, 730 * day - 1));
  EXPECT_EQ(leading_to(q, proof.dark), Intervals(0, 730 * day - 1));
}

TEST(Proof, AutoEnrollAtAHundredPercentComesTooLateForTheShadow) {
  EXPECT_EQ(prove(guide(100)).dark, Intervals(365 * day, 730 * day - 1));
}

TEST(Proof, WhatAPersonGrantsInThreeDaysIsFetchedAfterUpToTwiceThat) {
  Question q = guide();
  q.pends_first = q.pends_again = true;
  q.grant_within = Days{3};
  q.request_lifetime = Days{30};
  const Proof proof = prove(q);
  EXPECT_EQ(proof.grant_takes, 8192 * 60);  // 4096 minutes are 2.84 days
  EXPECT_FALSE(proof.renewal_dark);
  // SHADOW + 8192 min must come before day 730: 0.2 (730 - issued) > 5.69
  EXPECT_EQ(proof.dark.first(), 730 * day - 8192 * 60 * 5);
}

TEST(Proof, AGrantAfterTheLastPollOfTheRequestsLifeComesTooLate) {
  Question q = guide();
  q.pends_first = q.pends_again = true;
  q.grant_within = Days{6};  // the next poll comes after 11.4 days, the request lives for 7
  const Proof proof = prove(q);
  EXPECT_EQ(proof.grant, Wait::left_the_queue);
  EXPECT_TRUE(proof.renewal_dark);
  EXPECT_EQ(proof.dark, Intervals(365 * day, 730 * day - 1));
}

TEST(Proof, AnOutageOfADayIsSurvivedUntilTheLastDays) {
  Question q = guide();
  q.outage = hours{24};
  const Proof proof = prove(q);
  EXPECT_FALSE(proof.renewal_dark_in_outage);
  // A last try comes one minute before the end: 0.2 (730 - issued) >= 24 h and a minute.
  EXPECT_EQ(proof.dark_in_outage.first(), 730 * day - 5 * (day + 59));
}

TEST(Proof, AnEnrolmentTimeNarrowsWhoIsConcerned) {
  Question q = guide(70);
  q.enrolled = Interval{0, 30 * day};
  const Proof proof = prove(q);
  EXPECT_TRUE(proof.early.empty());
  EXPECT_EQ(proof.last_issued, Intervals(511 * day, 541 * day));
}

TEST(Proof, ClientsWithoutAutoEnrollAskAtNinetyPercentOfTheCasLife) {
  EXPECT_EQ(shadow_of_ca_alone(guide()), 657 * day);
}

}  // namespace
}  // namespace umbra::plan
