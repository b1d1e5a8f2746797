// What goes wrong, one fault at a time, and what it comes to.

#include <gmock/gmock.h>

#include "rehearse/lab_test.h"

namespace umbra::rehearse {
namespace {

using lab::day;
using lab::days_of;
using lab::hub;
using lab::only;
using lab::scenario;
using lab::spoke;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

/// One device that enrols on a day.
Scenario one(const std::string& server, const std::string& device, double enrols = 0) {
  Scenario s = scenario({server, device}, 1);
  s.enrol_at = {day(enrols)};
  return s;
}
/// Of a rehearsal of one device that goes dark.
CauseRow row(const Scenario& s) {
  const Outcome outcome = rehearse(s, 1);
  const auto& of = only(outcome);
  EXPECT_THAT(of.causes, SizeIs(1));
  return of.causes.empty() ? CauseRow{} : of.causes.front();
}
std::size_t dark(const Scenario& s) { return rehearse(s, 1).dark(); }

TEST(Fault, AnOutageLongerThanWhatIsLeftMakesDark) {
  Scenario s = one(hub(), spoke());
  s.faults.outages = {{day(290), day(370) - 1}};
  const CauseRow found = row(s);
  EXPECT_EQ(found.cause, Cause::outage);
  EXPECT_EQ(found.first, day(365));
  // It enrols anew, but not before its next try.
  EXPECT_GE(found.longest, day(5));
  s.faults.outages = {{day(290), day(300) - 1}};
  EXPECT_EQ(dark(s), 0U);
}

TEST(Fault, AServerThatIsDownAtTheSwitchCatchesUp) {
  Scenario s = one(hub(), spoke());
  s.faults.outages = {{day(635), day(660) - 1}, {day(729), day(735) - 1}};
  const Outcome outcome = rehearse(s, 1);
  EXPECT_EQ(only(outcome).dark, 0U);
  EXPECT_EQ(only(outcome).generations[1].made, day(660)) << "made late, for the same day";
  EXPECT_EQ(only(outcome).generations[1].validity.not_before, at(day(730)));
  EXPECT_EQ(only(outcome).generations[0].retired, day(735));
  EXPECT_GT(only(outcome).crl_stale, 0);
}

TEST(Fault, WithoutAutoRolloverEverybodyGoesDarkWithTheCa) {
  const CauseRow found = row(one(hub(" grant auto\n"), spoke()));
  EXPECT_EQ(found.first, day(730));
}

TEST(Fault, WithoutAutoEnrollNobodyRenews) {
  const CauseRow found = row(one(hub(), spoke("")));
  EXPECT_EQ(found.cause, Cause::no_auto_enroll);
  EXPECT_EQ(found.first, day(365));
}

TEST(Fault, WhoIsSwitchedOffOverTheSwitchComesBackDark) {
  // Whose certificate alone has ended enrols anew at once; to whom the CA has become a stranger,
  // nobody answers.
  Scenario s = scenario({hub(), spoke()}, 400);
  s.faults.switched_off = 1;
  s.faults.off_for = Days{200};
  const Outcome outcome = rehearse(s, 1);
  ASSERT_THAT(only(outcome).causes, SizeIs(1));
  EXPECT_EQ(only(outcome).causes.front().cause, Cause::switched_off);
  EXPECT_GT(only(outcome).dark, 40U);
  EXPECT_LT(only(outcome).dark, 150U);
  s.faults.off_for = Days{7};
  EXPECT_LT(dark(s), only(outcome).dark / 4);
}

TEST(Fault, AWrongClockIsDarkAtTheSwitchForAsLongAsItIsWrong) {
  Scenario s = scenario({hub(), spoke()}, 100);
  s.enrolled = {0, 0};
  s.faults.clock_error = Seconds{300};
  const Outcome outcome = rehearse(s, 1);
  ASSERT_THAT(only(outcome).causes, SizeIs(1));
  EXPECT_EQ(only(outcome).causes.front().cause, Cause::clock);
  EXPECT_LE(only(outcome).causes.front().longest, 2 * 300) << "at two switches";
  EXPECT_EQ(only(outcome).still, 0U);
}

TEST(Fault, LossIsMadeUpForByTheTries) {
  Scenario s = scenario({hub(), spoke()}, 300);
  s.faults.loss = 0.2;
  const Outcome outcome = rehearse(s, 1);
  EXPECT_EQ(only(outcome).dark, 0U);
  EXPECT_GT(only(outcome).tally.lost, 300U);
  s.faults.loss = 1;
  const Outcome nothing = rehearse(s, 1);
  EXPECT_EQ(only(nothing).enrolled, 0U);
  EXPECT_EQ(only(nothing).tally.certificates, 0U) << "nobody knows the CA";
}

TEST(Fault, AnAnswerThatIsLostIsGivenAgainAndNotMadeAgain) {
  Scenario s = one(hub(), spoke());
  s.faults.loss = 0.5;
  std::size_t lost = 0;
  for (s.seed = 1; s.seed < 30; ++s.seed) {
    const Outcome outcome = rehearse(s, 1);
    const auto story = story_of(s, 0);
    const auto got = days_of(story, "has a certificate").size() +
                     days_of(story, "has its shadow certificate").size();
    EXPECT_GE(only(outcome).tally.certificates, got);
    EXPECT_LE(only(outcome).tally.certificates, got + 1) << "one may be on its way at the end";
    lost += only(outcome).tally.lost;
  }
  EXPECT_GT(lost, 100U);
}

TEST(Fault, ASlowPersonAndAQueueThatForgets) {
  Scenario s = one(hub(" auto-rollover 90\n"), spoke());
  s.faults.grant_least = s.faults.grant_most = Days{3};
  EXPECT_EQ(dark(s), 0U);
  EXPECT_FALSE(days_of(story_of(s, 0), "waits for a person").empty());
  s.faults.grant_least = s.faults.grant_most = Days{8};
  const Outcome outcome = rehearse(s, 1);
  EXPECT_EQ(only(outcome).enrolled, 0U) << "the queue keeps a request for a week";
  EXPECT_EQ(only(outcome).tally.refusals, 1U);
}

TEST(Fault, ACancelledRolloverLeavesThoseDarkWhoHaveItAlready) {
  Scenario s = scenario({hub(), spoke()}, 2);
  s.enrol_at = {day(0), day(365)};  // SHADOW on days 700.8 and 657
  s.faults.cancel = day(660);
  s.faults.again = day(661);
  const Outcome outcome = rehearse(s, 1);
  const auto& of = only(outcome);
  EXPECT_EQ(of.dark, 1U);
  ASSERT_THAT(of.worst, SizeIs(1));
  EXPECT_EQ(of.worst.front().number, 1U);
  EXPECT_EQ(of.worst.front().cause, Cause::cancelled);
  EXPECT_EQ(of.worst.front().from, day(730));
  s.faults.again.reset();
  EXPECT_EQ(dark(s), 2U) << "never made again: the CA ends";
}

TEST(Fault, CancelBeforeThereIsOneIsSaid) {
  Scenario s = one(hub(), spoke());
  s.faults.cancel = day(100);
  const Outcome outcome = rehearse(s, 1);
  EXPECT_TRUE(only(outcome).cancelled_nothing);
  EXPECT_EQ(only(outcome).dark, 0U);
}

TEST(Fault, GrantNoneRefusesEverybody) {
  Scenario s = one(hub(" grant none\n auto-rollover 90\n"), spoke());
  EXPECT_EQ(only(rehearse(s, 1)).enrolled, 0U);
}

}  // namespace
}  // namespace umbra::rehearse
