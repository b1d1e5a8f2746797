#include "rehearse/rehearsal.h"

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
using testing::DoubleNear;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(Rehearsal, PlaysTheGuidesDays) {
  Scenario s = scenario({hub(), spoke()}, 1);
  s.enrol_at = {day(0)};
  const auto story = story_of(s, 0);
  EXPECT_THAT(days_of(story, "RENEW"), ElementsAre(292, 584, 1022, 1314, 1752));
  EXPECT_THAT(days_of(story, "SHADOW"),
              ElementsAre(DoubleNear(700.8, 0.001), DoubleNear(1430.8, 0.001)));
  EXPECT_THAT(days_of(story, "switches to the next CA"), ElementsAre(730, 1460));
  EXPECT_THAT(days_of(story, "DARK"), IsEmpty());
  const Outcome outcome = rehearse(s, 1);
  const auto& of = only(outcome);
  ASSERT_EQ(of.generations.size(), 3U);
  EXPECT_EQ(of.generations[1].made, day(640));
  EXPECT_EQ(of.generations[0].retired, day(730));
  EXPECT_EQ(of.tally.requests, (std::array<std::uint64_t, operations>{1, 1, 2, 8, 0}));
}

TEST(Rehearsal, IsTheSameBitForBitOnAnyNumberOfThreads) {
  Scenario s = scenario({hub(" auto-rollover 90\n"), spoke(" auto-enroll 70\n")}, 10000);
  s.seed = 7;
  s.faults.outages = {{day(600), day(614)}};
  s.faults.loss = 0.05;
  s.faults.switched_off = 0.1;
  s.faults.off_for = Days{60};
  s.faults.clock_error = Seconds{600};
  s.faults.grant_most = Days{9};
  const auto text = [&](unsigned threads) { return to_text(s, rehearse(s, threads), {}); };
  const std::string once = text(1);
  EXPECT_EQ(once, text(3));
  s.seed = 8;
  EXPECT_NE(once, text(1));
}

TEST(Rehearsal, TheStoryOfADeviceIsTheOneThatItLivesAmongAllOthers) {
  Scenario s = scenario({hub(), spoke(" enrollment retry count 10\n auto-enroll 70\n")}, 500);
  const Outcome outcome = rehearse(s, 2);
  const auto& of = only(outcome);
  ASSERT_GT(of.dark, 20U);
  std::size_t dark = 0;
  for (std::size_t i = 0; i < s.devices; ++i) {
    const auto story = story_of(s, i);
    dark += days_of(story, "DARK").empty() ? 0 : 1;
  }
  EXPECT_EQ(dark, of.dark);
  EXPECT_EQ(of.causes.front().cause, Cause::asked_in_vain);
  EXPECT_EQ(of.causes.front().first, day(730));
  EXPECT_EQ(of.still, of.dark);
}

TEST(Rehearsal, EveryDeviceIsInOneStateOnEveryDay) {
  Scenario s = scenario({hub(), spoke(" enrollment retry count 10\n auto-enroll 70\n")}, 300);
  s.faults.switched_off = 0.5;
  s.faults.off_for = Days{100};
  s.faults.loss = 0.3;
  const Outcome outcome = rehearse(s, 2);
  for (const auto& counts : only(outcome).days) {
    std::int64_t all = 0;
    for (const std::int64_t one : counts) {
      EXPECT_GE(one, 0);
      all += one;
    }
    EXPECT_EQ(all, 300);
  }
}

}  // namespace
}  // namespace umbra::rehearse
