// POLL and CONNECT RETRY: how often, how long, and what ends them.

#include <gmock/gmock.h>

#include "lifecycle/lab_test.h"

namespace umbra::lifecycle {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;
using Kind = TrustpointEventKind;
using Action = TrustpointAction;

std::vector<long> polls(const TrustpointSettings& settings, int limit) {
  TrustpointFacts facts;
  facts.ca = guide_ca;
  facts.phase = Phase::requesting;
  facts.since = zero;
  facts = step(settings, facts, {Kind::pending, {}}, zero).next;
  std::vector<long> at;
  while (static_cast<int>(at.size()) < limit) {
    const auto all = deadlines(settings, facts, "tp");
    if (all.empty() || all[0].timer != Timer::poll) break;
    const auto done = step(settings, facts, {Kind::deadline, {}}, all[0].at);
    EXPECT_THAT(done.actions, ElementsAre(Action::send_poll));
    at.push_back((all[0].at - zero) / minutes{1});
    facts = done.next;
  }
  return at;
}

TEST(TrustpointPoll, DoublesFromTheConfiguredPeriod) {
  EXPECT_THAT(polls(spoke, 5), ElementsAre(1, 2, 4, 8, 16));
  EXPECT_THAT(polls({.auto_enroll = 80, .retry_count = 999, .retry_period = minutes{5}}, 4),
              ElementsAre(5, 10, 20, 40));
}

TEST(TrustpointPoll, EndsWithItsCountAndWithTheCa) {
  EXPECT_EQ(polls({.auto_enroll = 80, .retry_count = 3, .retry_period = minutes{1}}, 100).size(),
            4U);
  const auto all = polls(spoke, 100);
  EXPECT_LT(all.size(), 25U);
  EXPECT_EQ(all.back(), Days{730} / minutes{1} - 1) << "the last one a period before the CA's end";
}

TEST(TrustpointPoll, UsedUpCountsAreSaidOnce) {
  TrustpointFacts facts;
  facts.ca = guide_ca;
  facts.phase = Phase::polling;
  facts.since = zero;
  facts.tries = 4;
  const auto done = step({.auto_enroll = {}, .retry_count = 3}, facts, {Kind::pending, {}}, zero);
  EXPECT_THAT(done.actions, ElementsAre(Action::give_up));
  EXPECT_EQ(done.next.phase, Phase::stopped);
}

TEST(TrustpointPoll, AClockThatJumpsAheadPollsOnce) {
  TrustpointFacts facts;
  facts.ca = guide_ca;
  facts.phase = Phase::polling;
  facts.since = zero;
  const auto done = step(spoke, facts, {Kind::deadline, {}}, zero + minutes{100});
  EXPECT_THAT(done.actions, ElementsAre(Action::send_poll));
  EXPECT_EQ(done.next.tries, 1U) << "what there was no time for is not counted";
  EXPECT_EQ(deadlines(spoke, done.next, "tp")[0].at, zero + minutes{101});
}

TEST(TrustpointPoll, AYearAheadOneTryIsCountedAndTheIntervalIsTheDoubledOne) {
  for (const Phase phase : {Phase::polling, Phase::requesting, Phase::fetching_next_ca}) {
    for (const bool dogged : {false, true}) {
      auto settings = spoke;
      settings.retry_count = 5;
      settings.is_ra = dogged;
      TrustpointFacts facts;
      facts.ca = guide_ca;
      facts.phase = phase;
      facts.failing = true;
      facts.since = zero;
      facts.tries = 3;  // the next one is due after 8 minutes
      auto done = step(settings, facts, {Kind::deadline, {}}, day(365));
      ASSERT_EQ(done.actions.size(), 1U);
      EXPECT_EQ(done.next.tries, 4U);
      done = step(settings, done.next, {Kind::no_answer, {}}, day(365));
      EXPECT_EQ(deadlines(settings, done.next, "tp")[0].at, day(365) + minutes{8});
      done = step(settings, done.next, {Kind::deadline, {}}, day(365) + minutes{8});
      EXPECT_EQ(done.next.tries, 5U);
      ASSERT_EQ(done.actions.size(), 1U);
      done = step(settings, done.next, {Kind::no_answer, {}}, day(365) + minutes{8});
      if (phase != Phase::polling) {
        EXPECT_THAT(done.actions, ElementsAre(Action::give_up));
        continue;
      }
      EXPECT_EQ(deadlines(settings, done.next, "tp")[0].at, day(365) + minutes{24});
    }
  }
}

TEST(TrustpointPoll, TheLastOneUnansweredIsTheEndOfIt) {
  auto settings = spoke;
  settings.retry_count = 1;
  TrustpointFacts facts;
  facts.ca = guide_ca;
  facts.phase = Phase::polling;
  facts.since = zero;
  facts = step(settings, facts, {Kind::deadline, {}}, zero + minutes{1}).next;
  const auto once = step(settings, facts, {Kind::no_answer, {}}, zero + minutes{1});
  EXPECT_THAT(once.actions, IsEmpty());
  facts = step(settings, once.next, {Kind::deadline, {}}, zero + minutes{2}).next;
  // A process that ends before the last answer asks for it again.
  EXPECT_THAT(step(settings, facts, {Kind::restarted, {}}, zero + minutes{3}).actions,
              ElementsAre(Action::send_poll));
  const auto last = step(settings, facts, {Kind::no_answer, {}}, zero + minutes{2});
  EXPECT_THAT(last.actions, ElementsAre(Action::give_up));
  EXPECT_EQ(last.next.phase, Phase::stopped);
}

TEST(TrustpointPoll, ABusyCaIsPolledOnceMoreThanTheCount) {
  auto settings = spoke;
  settings.retry_count = 1;
  TrustpointFacts facts;
  facts.ca = guide_ca;
  facts.phase = Phase::polling;
  facts.since = zero;
  facts.tries = 2;
  const Time said = zero + minutes{12};
  auto done = step(settings, facts, {Kind::no_answer, {}, said}, zero + minutes{2});
  EXPECT_THAT(done.actions, IsEmpty());
  EXPECT_EQ(armed(settings, done.next), "POLL tp " + to_rfc3339(said));
  done = step(settings, done.next, {Kind::deadline, {}}, said);
  EXPECT_THAT(done.actions, ElementsAre(Action::send_poll));
  EXPECT_THAT(step(settings, done.next, {Kind::pending, {}}, said).actions,
              ElementsAre(Action::give_up));
}

TEST(TrustpointConnectRetry, RepeatsTheSameRequestAtDoublingIntervals) {
  auto done = step(spoke, enrolled({day(0), day(365)}), {Kind::deadline, {}}, day(292));
  for (const int minute : {1, 2, 4, 8}) {
    done = step(spoke, done.next, {Kind::no_answer, {}}, day(292));
    EXPECT_EQ(armed(spoke, done.next),
              "CONNECT RETRY tp " + to_rfc3339(day(292) + minutes{minute}));
    done = step(spoke, done.next, {Kind::deadline, {}}, day(292) + minutes{minute});
    EXPECT_THAT(done.actions, ElementsAre(Action::send_request));
  }
}

TEST(TrustpointConnectRetry, ABusyCaIsAskedAgainWhenItSaysAndTheIntervalsBeginAnew) {
  auto facts = step(spoke, enrolled({day(0), day(365)}), {Kind::deadline, {}}, day(292)).next;
  facts = step(spoke, facts, {Kind::no_answer, {}}, day(292)).next;
  facts = step(spoke, facts, {Kind::deadline, {}}, day(292) + minutes{1}).next;
  EXPECT_EQ(facts.tries, 1U);
  const Time asked = day(292) + minutes{1};
  for (const Seconds wait : {Seconds{7}, Seconds{1800}}) {  // sooner than the period, and later
    const auto told = step(spoke, facts, {Kind::no_answer, {}, asked + wait}, asked).next;
    EXPECT_EQ(armed(spoke, told), "CONNECT RETRY tp " + to_rfc3339(asked + wait));
    const auto again = step(spoke, told, {Kind::deadline, {}}, asked + wait);
    EXPECT_THAT(again.actions, ElementsAre(Action::send_request));
    EXPECT_FALSE(again.next.come_again);
    const auto silent = step(spoke, again.next, {Kind::no_answer, {}}, asked + wait).next;
    EXPECT_EQ(armed(spoke, silent), "CONNECT RETRY tp " + to_rfc3339(asked + wait + minutes{1}));
  }
}

TEST(TrustpointConnectRetry, ABusyCaIsAskedOnceMoreBeforeTheCertificateEnds) {
  const Time asked = day(365) - minutes{10};
  auto facts = step(spoke, enrolled({day(0), day(365)}), {Kind::deadline, {}}, asked).next;
  facts = step(spoke, facts, {Kind::no_answer, {}, day(366)}, asked).next;
  EXPECT_EQ(armed(spoke, facts), "CONNECT RETRY tp " + to_rfc3339(day(365) - minutes{1}));
}

TEST(TrustpointConnectRetry, APollWaitsForItsTurnAndForABusyCa) {
  auto facts = step(spoke, enrolled({day(0), day(365)}), {Kind::deadline, {}}, day(292)).next;
  facts = step(spoke, facts, {Kind::pending, {}}, day(292)).next;
  const Time first = day(292) + minutes{1};
  facts = step(spoke, facts, {Kind::deadline, {}}, first).next;
  const auto soon = step(spoke, facts, {Kind::no_answer, {}, first + Seconds{5}}, first).next;
  EXPECT_EQ(armed(spoke, soon), "POLL tp " + to_rfc3339(day(292) + minutes{2}));
  const auto late = step(spoke, facts, {Kind::no_answer, {}, first + minutes{30}}, first).next;
  EXPECT_EQ(armed(spoke, late), "POLL tp " + to_rfc3339(first + minutes{30}));
  EXPECT_FALSE(step(spoke, late, {Kind::deadline, {}}, first + minutes{30}).next.come_again);
}

TEST(TrustpointConnectRetry, AnIdentityThatEndsMeanwhileIsEnrolledForAnew) {
  auto facts = enrolled({day(0), day(365)});
  facts.phase = Phase::requesting;
  facts.kind = RequestKind::renew;
  facts.since = day(292);
  facts.tries = 20;
  facts.failing = true;
  EXPECT_EQ(armed(spoke, facts), "RENEW tp " + to_rfc3339(day(365)));
  const auto done = step(spoke, facts, {Kind::deadline, {}}, day(365));
  EXPECT_THAT(done.actions, ElementsAre(Action::begin_request));
  EXPECT_EQ(done.next.kind, RequestKind::initial);
}

TEST(TrustpointConnectRetry, AsksForTheNextCaUntilThereIsOne) {
  auto done = step(spoke, enrolled({day(365), day(730)}), {Kind::deadline, {}}, day(657));
  for (const int minute : {1, 2, 4}) {
    done = step(spoke, done.next, {Kind::no_answer, {}}, day(657));
    done = step(spoke, done.next, {Kind::deadline, {}}, day(657) + minutes{minute});
    EXPECT_THAT(done.actions, ElementsAre(Action::fetch_next_ca)) << "and no PKCSReq before";
  }
}

TEST(TrustpointPoll, WhatWasCountedInATimeThatHasNotComeIsCountedNoMore) {
  TrustpointFacts facts;
  facts.ca = guide_ca;
  facts.phase = Phase::polling;
  facts.since = zero;
  // A jump of a month, one poll, and back to the third minute.
  auto done = step(spoke, facts, {Kind::deadline, {}}, day(30));
  ASSERT_GT(deadlines(spoke, done.next, "tp")[0].at, day(30));
  done = step(spoke, done.next, {Kind::deadline, {}}, zero + minutes{3});
  EXPECT_THAT(done.actions, IsEmpty());
  EXPECT_EQ(deadlines(spoke, done.next, "tp")[0].at, zero + minutes{4});
  done = step(spoke, done.next, {Kind::deadline, {}}, zero + minutes{4});
  EXPECT_THAT(done.actions, ElementsAre(Action::send_poll));
}

TEST(TrustpointPoll, TheLastOneBeforeTheEndIsNotMadeTwice) {
  TrustpointFacts facts;
  facts.ca = {day(0), day(0) + minutes{10}};
  facts.phase = Phase::polling;
  facts.since = zero;
  std::vector<Time> polls;
  for (int second = 0; second < 600; ++second) {
    const Time now = zero + Seconds{second};
    auto done = step(spoke, facts, {Kind::deadline, {}}, now);
    if (!done.actions.empty()) polls.push_back(now);
    facts = done.next;
  }
  EXPECT_THAT(polls, ElementsAre(zero + minutes{1}, zero + minutes{2}, zero + minutes{4},
                                 zero + minutes{8}, zero + minutes{9}));
}

}  // namespace
}  // namespace umbra::lifecycle
