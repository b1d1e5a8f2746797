#include "lifecycle/trustpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace umbra::lifecycle {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;
using Kind = TrustpointEventKind;
using Action = TrustpointAction;

const Time zero = *from_rfc3339("2015-10-09T12:14:16Z");
Time day(int n) { return zero + Days{n}; }
double day_of(Time at) { return static_cast<double>((at - zero).count()) / 86400; }
const Validity guide_ca{day(0), day(730)};
const TrustpointSettings spoke{
    .auto_enroll = 80, .retry_count = 999, .retry_period = Seconds{60}, .pinned = false};

TrustpointFacts enrolled(Validity identity, Validity ca = guide_ca) {
  TrustpointFacts facts;
  facts.ca = ca;
  facts.identity = identity;
  facts.can_get_next_ca = true;
  return facts;
}
std::string armed(const TrustpointSettings& settings, const TrustpointFacts& facts) {
  const auto all = deadlines(settings, facts, "tp");
  return all.empty() ? "" : label(all.front()) + " " + to_rfc3339(all.front().at);
}

TEST(TrustpointTimers, RenewAtPercentOfTheIdentity) {
  const Time start = *from_rfc3339("2022-01-16T03:01:26Z");
  const auto facts = enrolled({start, start + Days{365}}, {start - Days{1}, start + Days{1094}});
  EXPECT_EQ(armed(spoke, facts), "RENEW tp 2022-11-04T03:01:26Z");
}

TEST(TrustpointTimers, ShadowAtNinetyPercentOfTheCaWithoutAutoEnroll) {
  TrustpointFacts facts;
  const Time start = *from_rfc3339("2022-01-15T08:48:17Z");
  facts.ca = {start, start + Days{1095}};
  facts.can_get_next_ca = true;
  EXPECT_EQ(armed({}, facts), "SHADOW tp 2024-09-26T20:48:17Z");
  facts.ca = guide_ca;
  EXPECT_EQ(armed({}, facts), "SHADOW tp 2017-07-27T12:14:16Z");
  facts.can_get_next_ca = false;
  EXPECT_EQ(armed({}, facts), "");
}

TEST(TrustpointTimers, ShadowIfTheIdentityEndsWithItsCaToTheSecond) {
  EXPECT_EQ(armed(spoke, enrolled({day(365), day(730)})).substr(0, 6), "SHADOW");
  EXPECT_EQ(armed(spoke, enrolled({day(365), day(730) - Seconds{1}})).substr(0, 5), "RENEW");
  auto cannot_roll = enrolled({day(365), day(730)});
  cannot_roll.can_get_next_ca = false;
  EXPECT_EQ(armed(spoke, cannot_roll).substr(0, 5), "RENEW");
}

TEST(TrustpointTimers, TheGuidesWorkedExampleRowByRow) {
  struct Row {
    int enrolled;
    std::vector<double> acts;  ///< RENEW days, then the SHADOW day
  };
  const std::vector<Row> rows = {{1, {293, 585, 701}}, {200, {492, 682.4}}, {365, {657}},
                                 {400, {664}},         {600, {704}},        {700, {724}}};
  for (const auto& row : rows) {
    auto facts = enrolled(*issued_validity(day(row.enrolled), Days{365}, guide_ca));
    for (std::size_t i = 0; i < row.acts.size(); ++i) {
      const auto all = deadlines(spoke, facts, "tp");
      ASSERT_EQ(all.size(), 1U);
      EXPECT_NEAR(day_of(all[0].at), row.acts[i], 0.001) << "enrolled on day " << row.enrolled;
      const bool last = i + 1 == row.acts.size();
      EXPECT_EQ(all[0].timer, last ? Timer::shadow : Timer::renew);
      facts.identity = issued_validity(all[0].at, Days{365}, guide_ca);
      // With auto-rollover 90 the rollover CA exists from day 640; with 60 only from day 670.
      if (last) {
        EXPECT_GE(day_of(all[0].at), 640);
        EXPECT_EQ(day_of(all[0].at) < 670, row.enrolled == 365 || row.enrolled == 400);
      }
    }
  }
}

TEST(Trustpoint, EnrolsAtOnceWhenAuthenticatedAndRenewsInItsTime) {
  TrustpointFacts facts;
  auto done = step(spoke, facts, {Kind::ca_accepted, guide_ca}, zero);
  done.next.can_get_next_ca = true;
  done = step(spoke, done.next, {Kind::deadline, {}}, zero);
  EXPECT_THAT(done.actions, ElementsAre(Action::begin_request));
  EXPECT_EQ(done.next.kind, RequestKind::initial);
  done = step(spoke, done.next, {Kind::granted, {day(0), day(365)}}, zero);
  EXPECT_THAT(done.actions, ElementsAre(Action::install_identity));
  EXPECT_THAT(step(spoke, done.next, {Kind::deadline, {}}, day(292) - Seconds{1}).actions,
              IsEmpty());
  done = step(spoke, done.next, {Kind::deadline, {}}, day(292));
  EXPECT_THAT(done.actions, ElementsAre(Action::begin_request));
  EXPECT_EQ(done.next.kind, RequestKind::renew);
}

TEST(Trustpoint, ShadowFetchesTheNextCaThenAsksItForAnIdentity) {
  auto done = step(spoke, enrolled({day(365), day(730)}), {Kind::deadline, {}}, day(657));
  EXPECT_THAT(done.actions, ElementsAre(Action::fetch_next_ca));
  done = step(spoke, done.next, {Kind::next_ca_received, {day(730), day(1460)}}, day(657));
  EXPECT_THAT(done.actions, ElementsAre(Action::begin_request));
  EXPECT_EQ(done.next.kind, RequestKind::shadow);
  done = step(spoke, done.next, {Kind::granted, {day(730), day(1095)}}, day(657));
  EXPECT_THAT(done.actions, ElementsAre(Action::store_rollover_identity));
  EXPECT_EQ(done.next.identity, (Validity{day(365), day(730)}));
  const auto all = deadlines(spoke, done.next, "tp");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0], (Deadline{day(730), Timer::switch_over, "tp"}))
      << "no timer of IOS's is armed until the switch";
  done = step(spoke, done.next, {Kind::deadline, {}}, day(730));
  EXPECT_THAT(done.actions, ElementsAre(Action::promote));
  EXPECT_EQ(armed(spoke, done.next), "RENEW tp " + to_rfc3339(day(1022)));
}

TEST(Trustpoint, WithoutAutoEnrollShadowFetchesTheCaAlone) {
  auto facts = enrolled({day(365), day(730)});
  auto done = step({}, facts, {Kind::deadline, {}}, day(657));
  EXPECT_THAT(done.actions, ElementsAre(Action::fetch_next_ca));
  done = step({}, done.next, {Kind::next_ca_received, {day(730), day(1460)}}, day(657));
  EXPECT_THAT(done.actions, IsEmpty());
  done = step({}, done.next, {Kind::deadline, {}}, day(730));
  EXPECT_THAT(done.actions, ElementsAre(Action::promote));
  EXPECT_FALSE(done.next.identity) << "the dead identity goes with its CA";
}

TEST(Trustpoint, ARolloverCaWithoutIdentityAtTheSwitchEnrolsAnew) {
  auto facts = enrolled({day(365), day(730)});
  facts.rollover_ca = {day(730), day(1460)};
  facts.phase = Phase::polling;
  facts.kind = RequestKind::shadow;
  facts.since = day(700);
  facts.tries = 15;
  auto done = step(spoke, facts, {Kind::deadline, {}}, day(730));
  EXPECT_THAT(done.actions, ElementsAre(Action::promote));
  done = step(spoke, done.next, {Kind::deadline, {}}, day(730));
  EXPECT_THAT(done.actions, ElementsAre(Action::begin_request));
  EXPECT_EQ(done.next.kind, RequestKind::initial);
}

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

TEST(Trustpoint, ARejectStopsItUntilAnAdministratorActs) {
  auto facts = enrolled({day(0), day(365)});
  auto done = step(spoke, facts, {Kind::deadline, {}}, day(292));
  done = step(spoke, done.next, {Kind::rejected, {}}, day(292));
  EXPECT_EQ(done.next.phase, Phase::stopped);
  EXPECT_THAT(deadlines(spoke, done.next, "tp"), IsEmpty());
  EXPECT_EQ(done.next.identity, facts.identity) << "the old certificate stays in use";
  done = step(spoke, done.next, {Kind::enroll, {}}, day(293));
  EXPECT_THAT(done.actions, ElementsAre(Action::begin_request));
  EXPECT_EQ(done.next.kind, RequestKind::renew);
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

TEST(Trustpoint, UnauthenticatedItFiresAgainAndAgainAndAsksForNothing) {
  TrustpointFacts facts;
  Time now = zero;
  for (int i = 0; i < 30; ++i) {
    const auto all = deadlines(spoke, facts, "tp");
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].timer, Timer::renew);
    now = std::max(now, all[0].at);
    const auto done = step(spoke, facts, {Kind::deadline, {}}, now);
    EXPECT_THAT(done.actions, IsEmpty());
    facts = done.next;
    EXPECT_GT(deadlines(spoke, facts, "tp")[0].at, now);
  }
  auto pinned = spoke;
  pinned.pinned = true;
  EXPECT_THAT(step(pinned, {}, {Kind::deadline, {}}, zero).actions, ElementsAre(Action::fetch_ca));
}

TEST(Trustpoint, ARestartSendsWhatWasUnderWayOnceMore) {
  auto facts = enrolled({day(0), day(365)});
  EXPECT_THAT(step(spoke, facts, {Kind::restarted, {}}, day(1)).actions, IsEmpty());
  facts.phase = Phase::requesting;
  EXPECT_THAT(step(spoke, facts, {Kind::restarted, {}}, day(1)).actions,
              ElementsAre(Action::send_request));
  facts.phase = Phase::fetching_next_ca;
  EXPECT_THAT(step(spoke, facts, {Kind::restarted, {}}, day(1)).actions,
              ElementsAre(Action::fetch_next_ca));
  facts.phase = Phase::polling;
  EXPECT_THAT(step(spoke, facts, {Kind::restarted, {}}, day(1)).actions, IsEmpty());
}

TEST(Trustpoint, AnswersToNothingAreIgnored) {
  const auto facts = enrolled({day(0), day(365)});
  for (const auto kind :
       {Kind::granted, Kind::pending, Kind::rejected, Kind::no_answer, Kind::next_ca_received}) {
    const auto done = step(spoke, facts, {kind, {day(5), day(6)}}, day(1));
    EXPECT_THAT(done.actions, IsEmpty());
    EXPECT_EQ(done.next.identity, facts.identity);
    EXPECT_EQ(done.next.phase, Phase::idle);
  }
}

TEST(Trustpoint, AClockThatStepsBackDoesNothing) {
  const auto facts = enrolled({day(292), day(657)});
  EXPECT_THAT(step(spoke, facts, {Kind::deadline, {}}, day(100)).actions, IsEmpty());
}

TEST(Trustpoint, ATryThatIsCountedFromATimeThatHasNotComeIsMadeAfterAPeriod) {
  // Its clock was a year ahead, and the CA out of reach. It has no certificate yet.
  TrustpointFacts facts;
  facts.ca = guide_ca;
  auto done = step(spoke, facts, {Kind::deadline, {}}, day(400));
  ASSERT_THAT(done.actions, ElementsAre(Action::begin_request));
  done = step(spoke, done.next, {Kind::no_answer, {}}, day(400));
  ASSERT_EQ(deadlines(spoke, done.next, "tp")[0].at, day(400) + minutes{1});
  done = step(spoke, done.next, {Kind::deadline, {}}, day(35));
  EXPECT_THAT(done.actions, IsEmpty());
  EXPECT_EQ(armed(spoke, done.next), "CONNECT RETRY tp " + to_rfc3339(day(35) + minutes{1}));
}

TEST(Trustpoint, WhatAnEndThatHasNotComeAskedForIsDroppedAndRenewComesInItsTime) {
  // Its clock was a year ahead, and its certificate over by that.
  const auto facts = enrolled({day(0), day(365)});
  const auto asked = step(spoke, facts, {Kind::deadline, {}}, day(400));
  ASSERT_THAT(asked.actions, ElementsAre(Action::begin_request));
  ASSERT_EQ(asked.next.kind, RequestKind::initial);
  for (const auto answer : {Kind::no_answer, Kind::pending}) {
    const auto told = step(spoke, asked.next, {answer, {}}, day(400));
    const auto back = step(spoke, told.next, {Kind::deadline, {}}, day(35));
    EXPECT_THAT(back.actions, IsEmpty());
    EXPECT_EQ(back.next.phase, Phase::idle);
    EXPECT_EQ(armed(spoke, back.next), "RENEW tp " + to_rfc3339(day(292)));
    const auto renewed = step(spoke, back.next, {Kind::deadline, {}}, day(292));
    EXPECT_EQ(renewed.next.kind, RequestKind::renew);
  }
}

TEST(Trustpoint, ACaThatHasEndedByTheClockIsAskedUntilTheClockIsRightAgain) {
  for (const bool has_identity : {true, false}) {
    auto facts = enrolled({day(0), day(365)});
    if (!has_identity) facts.identity.reset();
    Time now = day(1100);
    auto done = step(spoke, facts, {Kind::deadline, {}}, now);
    ASSERT_THAT(done.actions, ElementsAre(Action::begin_request));
    Seconds longest{};
    for (int i = 0; i < 40; ++i) {
      done = step(spoke, done.next, {Kind::no_answer, {}}, now);
      ASSERT_THAT(done.actions, IsEmpty());
      const auto all = deadlines(spoke, done.next, "tp");
      ASSERT_EQ(all.size(), 1U);
      ASSERT_GT(all[0].at, now);
      longest = std::max(longest, all[0].at - now);
      now = all[0].at;
      done = step(spoke, done.next, {Kind::deadline, {}}, now);
      ASSERT_THAT(done.actions, ElementsAre(Action::send_request));
    }
    EXPECT_EQ(longest, Seconds{60} * 1024);
    done = step(spoke, done.next, {Kind::no_answer, {}}, now);
    done = step(spoke, done.next, {Kind::deadline, {}}, day(10));
    EXPECT_EQ(armed(spoke, done.next),
              has_identity ? "RENEW tp " + to_rfc3339(day(292))
                           : "CONNECT RETRY tp " + to_rfc3339(day(10) + minutes{1}));
  }
}

TEST(Trustpoint, WhoGaveUpOrWasRejectedInATimeThatHasNotComeBeginsAgain) {
  auto settings = spoke;
  settings.retry_count = 1;
  const auto facts = enrolled({day(0), day(365)});
  const auto begun = step(settings, facts, {Kind::deadline, {}}, day(1100));
  auto done = step(settings, begun.next, {Kind::no_answer, {}}, day(1100));
  done = step(settings, done.next, {Kind::deadline, {}}, day(1100) + minutes{1});
  done = step(settings, done.next, {Kind::no_answer, {}}, day(1100) + minutes{1});
  ASSERT_THAT(done.actions, ElementsAre(Action::give_up));
  const auto later = step(settings, done.next, {Kind::deadline, {}}, day(1101));
  EXPECT_EQ(later.next.phase, Phase::stopped);
  const auto back = step(settings, done.next, {Kind::deadline, {}}, day(10));
  EXPECT_EQ(armed(settings, back.next), "RENEW tp " + to_rfc3339(day(292)));
  // The SHADOW of a CA that has ended by that clock.
  auto shadow = step(spoke, enrolled({day(365), day(730)}), {Kind::deadline, {}}, day(1100));
  ASSERT_THAT(shadow.actions, ElementsAre(Action::fetch_next_ca));
  shadow = step(spoke, shadow.next, {Kind::no_answer, {}}, day(1100));
  ASSERT_THAT(shadow.actions, ElementsAre(Action::give_up));
  shadow = step(spoke, shadow.next, {Kind::deadline, {}}, day(400));
  EXPECT_EQ(armed(spoke, shadow.next), "SHADOW tp " + to_rfc3339(day(657)));

  // Too early, or as if the certificate had ended: the CA has said nothing of now.
  for (const auto no : {Kind::rejected, Kind::forgotten}) {
    const auto rejected = step(settings, begun.next, {no, {}}, day(1100));
    EXPECT_EQ(rejected.next.phase, Phase::stopped);
    const auto again = step(settings, rejected.next, {Kind::deadline, {}}, day(10));
    EXPECT_EQ(armed(settings, again.next), "RENEW tp " + to_rfc3339(day(292)));
    EXPECT_FALSE(again.next.since);
    // What sets a clock right every day explains no reject.
    for (const Time now : {day(1101), day(1100), day(1100) - Seconds{59}}) {
      EXPECT_EQ(step(settings, rejected.next, {Kind::deadline, {}}, now).next.phase,
                Phase::stopped);
    }
    EXPECT_EQ(
        step(settings, rejected.next, {Kind::deadline, {}}, day(1100) - minutes{1}).next.phase,
        Phase::idle);
  }
  // Nobody's first certificate either: it is asked for at once.
  TrustpointFacts first;
  first.ca = Validity{day(0), day(3000)};
  first = step(spoke, first, {Kind::deadline, {}}, day(1100)).next;
  first = step(spoke, first, {Kind::rejected, {}}, day(1100)).next;
  first = step(spoke, first, {Kind::deadline, {}}, day(10)).next;
  EXPECT_THAT(step(spoke, first, {Kind::deadline, {}}, day(10)).actions,
              ElementsAre(Action::begin_request));
}

TEST(Trustpoint, AnAdministratorsWordOutlivesEveryStepOfTheClock) {
  auto facts = enrolled({day(0), day(365)});
  facts.phase = Phase::stopped;
  for (const Time now : {day(1), day(300), day(3000)})
    EXPECT_EQ(step(spoke, facts, {Kind::deadline, {}}, now).next.phase, Phase::stopped);
}

TEST(Trustpoint, ACaThatWasBusyInATimeThatHasNotComeIsNotWaitedForUntilThen) {
  auto facts = enrolled({day(0), day(365)});
  facts = step(spoke, facts, {Kind::deadline, {}}, day(292)).next;
  facts = step(spoke, facts, {Kind::no_answer, {}}, day(292)).next;
  facts.come_again = day(600);
  const auto done = step(spoke, facts, {Kind::deadline, {}}, day(292) + Seconds{10});
  EXPECT_THAT(done.actions, IsEmpty());
  EXPECT_FALSE(done.next.come_again);
  EXPECT_EQ(armed(spoke, done.next), "CONNECT RETRY tp " + to_rfc3339(day(292) + minutes{1}));
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

TrustpointSettings of_a_ca(std::optional<Seconds> overlap = Days{90}) {
  TrustpointSettings settings;
  settings.auto_enroll = 100;
  settings.is_ca = true;
  settings.overlap = overlap;
  return settings;
}
TrustpointFacts certified(const Validity& ca, const Validity& identity) {
  TrustpointFacts facts;
  facts.ca = ca;
  facts.identity = identity;
  return facts;
}

TEST(ACasTrustpoint, FollowsItsOverlapAndNotAPercentage) {
  const Validity root{zero, zero + Days{1000}};
  auto facts = certified(root, {zero, zero + Days{400}});
  auto all = deadlines(of_a_ca(), facts, "SUB");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all.front(), (Deadline{zero + Days{310}, Timer::renew, "SUB"}));
  facts.identity = root;
  all = deadlines(of_a_ca(), facts, "SUB");
  EXPECT_EQ(all.front(), (Deadline{zero + Days{910}, Timer::shadow, "SUB"}))
      << "whatever the upper CA announces";
  EXPECT_TRUE(deadlines(of_a_ca(std::nullopt), facts, "SUB").empty()) << "by hand alone";
}

TEST(ACasTrustpoint, IsNotReplacedInTheFirstHalfOfItsLife) {
  const auto facts = certified({zero, zero + Days{1000}}, {zero, zero + Days{60}});
  EXPECT_EQ(deadlines(of_a_ca(), facts, "SUB").front().at, zero + Days{30});
}

TEST(ACasTrustpoint, AsksAtLeastEvery1024Periods) {
  auto facts = certified({zero, zero + Days{1000}}, {zero, zero + Days{1000}});
  Time now = zero + Days{910};
  auto step_now = step(of_a_ca(), facts, {TrustpointEventKind::deadline, {}}, now);
  ASSERT_EQ(step_now.actions, std::vector{TrustpointAction::fetch_next_ca});
  Time last = now;
  Seconds longest{};
  for (int i = 0; i < 60; ++i) {
    facts = step(of_a_ca(), step_now.next, {TrustpointEventKind::no_answer, {}}, now).next;
    const auto all = deadlines(of_a_ca(), facts, "SUB");
    ASSERT_FALSE(all.empty());
    now = all.front().at;
    longest = std::max(longest, now - last);
    last = now;
    step_now = step(of_a_ca(), facts, {TrustpointEventKind::deadline, {}}, now);
    ASSERT_EQ(step_now.actions, std::vector{TrustpointAction::fetch_next_ca});
  }
  EXPECT_EQ(longest, Seconds{60} * 1024);
  EXPECT_GT(now, zero + Days{940});
}

TEST(ACasTrustpoint, SendsAgainWhatItsCaHasForgottenAndADeviceDoesNot) {
  auto facts = certified({zero, zero + Days{1000}}, {zero, zero + Days{400}});
  facts.phase = Phase::polling;
  facts.kind = RequestKind::renew;
  facts.since = zero + Days{310};
  const TrustpointEvent forgotten{TrustpointEventKind::forgotten, {}};
  const auto again = step(of_a_ca(), facts, forgotten, zero + Days{317});
  EXPECT_EQ(again.next.phase, Phase::requesting);
  EXPECT_EQ(again.actions, std::vector{TrustpointAction::send_request});
  const auto late = step(of_a_ca(), facts, forgotten, zero + Days{401});
  EXPECT_EQ(late.next.kind, RequestKind::initial) << "nothing is signed with what has ended";
  EXPECT_EQ(late.actions, std::vector{TrustpointAction::begin_request});
  TrustpointSettings device;
  device.auto_enroll = 80;
  EXPECT_EQ(step(device, facts, forgotten, zero + Days{317}).next.phase, Phase::stopped);
}

TEST(ACasTrustpoint, ByHandFollowsTheSameRules) {
  const Validity root{zero, zero + Days{1000}};
  const TrustpointEvent by_hand{TrustpointEventKind::enroll, {}};
  auto facts = certified(root, {zero, zero + Days{400}});
  EXPECT_EQ(step(of_a_ca(std::nullopt), facts, by_hand, zero + Days{10}).next.kind,
            RequestKind::renew);
  facts.identity = root;
  EXPECT_EQ(step(of_a_ca(std::nullopt), facts, by_hand, zero + Days{10}).actions,
            std::vector{TrustpointAction::fetch_next_ca})
      << "what ends with its CA needs the next one's";
  facts.rollover_ca = Validity{root.not_after, root.not_after + Days{1000}};
  facts.rollover_identity = facts.rollover_ca;
  EXPECT_TRUE(step(of_a_ca(), facts, by_hand, zero + Days{10}).actions.empty());
}

TEST(AnRasTrustpoint, LivesAsADevicesAndIsAskedForAsDoggedlyAsACas) {
  TrustpointSettings ra;
  ra.auto_enroll = 50;
  ra.is_ra = true;
  auto facts = certified({day(0), day(730)}, {day(0), day(365)});
  facts.can_get_next_ca = true;
  EXPECT_EQ(deadlines(ra, facts, "RA").front(),
            (Deadline{at_percent(*facts.identity, 50), Timer::renew, "RA"}));
  facts.identity = Validity{day(365), day(730)};
  const Time asks = at_percent(*facts.identity, 50);
  EXPECT_EQ(deadlines(ra, facts, "RA").front(), (Deadline{asks, Timer::shadow, "RA"}));
  auto asked = step(ra, facts, {Kind::deadline, {}}, asks).next;
  for (int i = 0; i < 40; ++i) {
    asked = step(ra, asked, {Kind::no_answer, {}}, asks).next;
    const auto next = deadlines(ra, asked, "RA");
    ASSERT_FALSE(next.empty());
    asked = step(ra, asked, {Kind::deadline, {}}, next.front().at).next;
    const auto later = step(ra, asked, {Kind::no_answer, {}}, asks).next;
    EXPECT_LE(deadlines(ra, later, "RA").front().at - next.front().at, Seconds{60 * 1024});
  }
  facts.phase = Phase::polling;
  facts.kind = RequestKind::renew;
  EXPECT_THAT(step(ra, facts, {Kind::forgotten, {}}, day(400)).actions,
              ElementsAre(Action::send_request));
}

TEST(AnRasTrustpoint, OfATransparentOneAuthenticatesItsCaAndEnrolsNever) {
  TrustpointSettings relay;
  relay.is_ra = relay.relays = relay.pinned = true;
  EXPECT_THAT(step(relay, {}, {Kind::deadline, {}}, zero).actions, ElementsAre(Action::fetch_ca));
  TrustpointFacts facts;
  facts.ca = Validity{day(0), day(730)};
  EXPECT_THAT(deadlines(relay, facts, "RA"), IsEmpty());
  facts.can_get_next_ca = true;
  EXPECT_EQ(deadlines(relay, facts, "RA").front(), (Deadline{day(657), Timer::shadow, "RA"}));
}

TEST(Trustpoint, ACertificateThatDoesNotFitIsNoAnswer) {
  const auto of = [](RequestKind kind, const Validity& granted, Time now) {
    return misfit(kind, granted, guide_ca, now);
  };
  EXPECT_FALSE(of(RequestKind::renew, {day(292), day(657)}, day(292)));
  EXPECT_EQ(of(RequestKind::renew, {day(0), day(292)}, day(292)), Misfit::expired);
  EXPECT_EQ(of(RequestKind::initial, {day(5), day(5)}, day(4)), Misfit::expired);
  EXPECT_FALSE(of(RequestKind::initial, {day(3), day(300)}, day(2)));
  EXPECT_EQ(of(RequestKind::initial, {day(3) + Seconds{1}, day(300)}, day(2)),
            Misfit::not_valid_yet);
  EXPECT_FALSE(of(RequestKind::shadow, {day(730), day(1095)}, day(700)));
  EXPECT_EQ(of(RequestKind::shadow, {day(700), day(730)}, day(700)), Misfit::ends_with_active_ca);
}

TEST(Trustpoint, RestsAfterACertificateThatIsDueTheMomentItArrives) {
  EXPECT_FALSE(rest_after_install(spoke, enrolled({day(0), day(365)}), day(0)));
  const auto late = enrolled({day(730) - Seconds{1}, day(730)});
  EXPECT_EQ(rest_after_install(spoke, late, day(730) - Seconds{1}),
            day(730) - Seconds{1} + spoke.retry_period);
}

}  // namespace
}  // namespace umbra::lifecycle
