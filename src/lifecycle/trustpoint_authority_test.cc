// The trustpoints of subordinate CAs and registration authorities.

#include <gmock/gmock.h>

#include "lifecycle/lab_test.h"

namespace umbra::lifecycle {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = TrustpointEventKind;
using Action = TrustpointAction;

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

}  // namespace
}  // namespace umbra::lifecycle
