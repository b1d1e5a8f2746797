#include "lifecycle/trustpoint.h"

#include <gmock/gmock.h>

#include "lifecycle/lab_test.h"

namespace umbra::lifecycle {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;
using Kind = TrustpointEventKind;
using Action = TrustpointAction;

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
