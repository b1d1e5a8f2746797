// The proof against the daemon's own state machine, played second by second: random configurations,
// every seed fixed. What the proof calls safe must be safe in every story; what it calls dark must
// be dark in the story of that very second.

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "plan/proof.h"
#include "plan/story.h"

namespace umbra::plan {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}
  Offset between(Offset low, Offset high) {
    return low + static_cast<Offset>(engine_() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool one_in(int n) { return between(1, n) == 1; }
  template <class T>
  T any(std::initializer_list<T> of) {
    return *(of.begin() + between(0, static_cast<Offset>(of.size()) - 1));
  }

 private:
  std::mt19937_64 engine_;
};

Question random_question(Dice& dice) {
  Question q;
  // From fleets that live for years to labs whose CA lives for hours.
  const Offset unit = dice.any<Offset>({60, 3600, 86400});
  q.ca.lifetime_ca = Seconds{unit * dice.between(100, 2000)};
  q.lifetime = Seconds{unit * dice.between(20, 2200)};
  const Offset end = q.ca_end();
  if (!dice.one_in(8)) q.ca.overlap = Seconds{dice.between(end / 50 / 60 + 1, end / 60 / 2) * 60};
  q.client.auto_enroll = static_cast<int>(dice.one_in(10) ? 100 : dice.between(10, 99));
  q.client.retry_count = static_cast<int>(dice.one_in(2) ? 999 : dice.between(0, 16));
  q.client.retry_period = minutes{dice.one_in(2) ? 1 : dice.between(1, 60)};
  if (dice.one_in(3)) {
    q.pends_first = true;
    q.pends_again = dice.one_in(2);
    q.grant_within = Seconds{dice.between(0, unit * 20)};
    q.request_lifetime = Seconds{unit * dice.between(2, 200)};
  }
  return q;
}

/// Seconds of issue worth a story: ends of the proof's intervals, their neighbours, and random
/// ones.
std::vector<Offset> worth_a_story(const Question& q, const Proof& proof, Dice& dice) {
  std::vector<Offset> all;
  for (const Intervals* set : {&proof.dark, &proof.dark_in_outage, &proof.early, &proof.gives_up}) {
    for (const Interval& i : set->all()) {
      for (const Offset offset :
           {i.first - 1, i.first, i.first + 1, i.last - 1, i.last, i.last + 1})
        all.push_back(offset);
    }
  }
  for (int i = 0; i < 20; ++i) all.push_back(dice.between(0, q.ca_end() - 1));
  std::erase_if(all, [&](Offset at) { return at < 0 || at >= q.ca_end(); });
  return all;
}

std::string describe(const Question& q, Offset issued) {
  return "CA " + std::to_string(q.ca_end()) + " L " + std::to_string(q.lifetime.count()) + " O " +
         std::to_string(q.ca.overlap.value_or(Seconds{0}).count()) + " P " +
         std::to_string(*q.client.auto_enroll) + " count " + std::to_string(q.client.retry_count) +
         " period " + std::to_string(q.client.retry_period.count()) + " pends " +
         std::to_string(q.pends_first) + std::to_string(q.pends_again) + " grant " +
         std::to_string(q.grant_within.count()) + " lives " +
         std::to_string(q.request_lifetime.count()) + " outage " +
         std::to_string(q.outage.count()) + " issued " + std::to_string(issued);
}

/// A device that has got a certificate at `issued`; every further grant takes as long as allowed.
Story story_of(const Question& q, Offset issued, std::optional<Interval> outage = {}) {
  Play how;
  how.enrols = issued;
  how.holds = true;
  how.until = q.ca_end() + 1;
  how.outage = outage;
  return play(q, how);
}

/// Dark in a story without an outage that begins at the first certificate.
bool dark_by_story(const Question& q, Offset issued) { return !story_of(q, issued).dark.empty(); }

TEST(Agreement, TheProofAndTheStoriesSayTheSame) {
  int dark = 0;
  int light = 0;
  for (unsigned seed = 1; seed <= 1500; ++seed) {
    Dice dice(seed);
    const Question q = random_question(dice);
    const Proof proof = prove(q);
    for (const Offset issued : worth_a_story(q, proof, dice)) {
      const bool last = issued + q.lifetime.count() >= q.ca_end();
      if (!last) continue;
      const bool expected = proof.dark.contains(issued);
      const bool lived = dark_by_story(q, issued);
      // What arrives after its own SHADOW: the proof counts with the latest arrival.
      const bool arrives_late = shadow_of(q, issued).value_or(issued) - issued < proof.grant_takes;
      ASSERT_TRUE(arrives_late ? expected || !lived : expected == lived)
          << "seed " << seed << ": " << describe(q, issued);
      ++(expected ? dark : light);
    }
  }
  EXPECT_GT(dark, 2000);
  EXPECT_GT(light, 2000);
}

TEST(Agreement, WhatIsSafeIsSafeThroughEveryChainOfRenewals) {
  int chains = 0;
  int concerned = 0;
  for (unsigned seed = 5001; seed <= 6200; ++seed) {
    Dice dice(seed);
    const Question q = random_question(dice);
    const Proof proof = prove(q);
    const Intervals leads = leading_to(q, proof.dark);
    for (int i = 0; i < 25; ++i) {
      const Offset issued = dice.between(0, q.ca_end() - 1);
      const bool renews = issued + q.lifetime.count() < q.ca_end();
      const bool dark = dark_by_story(q, issued);
      if (renews && proof.renewal_dark) {
        ASSERT_TRUE(dark || proof.grant_takes >= proof.renewal_after)
            << "seed " << seed << ": " << describe(q, issued);
        continue;
      }
      // Without waiting, the chain is one alone, and the proof is exact.
      if (!q.pends_first) {
        ASSERT_EQ(dark, leads.contains(issued)) << "seed " << seed << ": " << describe(q, issued);
      } else if (dark) {
        ASSERT_TRUE(leads.contains(issued)) << "seed " << seed << ": " << describe(q, issued);
      }
      chains += renews ? 1 : 0;
      concerned += dark ? 1 : 0;
    }
  }
  EXPECT_GT(chains, 3000);
  EXPECT_GT(concerned, 1000);
}

TEST(Agreement, EarlyShadowsAskInVainForAsLongAsTheProofSays) {
  int early = 0;
  for (unsigned seed = 7001; seed <= 8500; ++seed) {
    Dice dice(seed);
    Question q = random_question(dice);
    q.pends_first = q.pends_again = false;
    const Proof proof = prove(q);
    for (const Offset issued : worth_a_story(q, proof, dice)) {
      if (issued + q.lifetime.count() < q.ca_end()) continue;
      const Story story = story_of(q, issued);
      Offset shadow = -1;
      Offset got = -1;
      bool gave_up = false;
      std::size_t refused = 0;
      for (const Chapter& chapter : story.chapters) {
        if (chapter.what == Happening::shadow) shadow = chapter.at;
        if (chapter.what == Happening::next_ca) got = chapter.at;
        if (chapter.what == Happening::refused_next_ca) ++refused;
        if (chapter.what == Happening::gives_up) gave_up = true;
      }
      if (shadow < 0) continue;
      const bool in_vain = shadow < proof.rollover_at;
      ASSERT_EQ(in_vain, proof.early.contains(issued)) << describe(q, issued);
      ASSERT_GE(shadow, proof.shadow_first) << describe(q, issued);
      ASSERT_LE(shadow, proof.shadow_last) << describe(q, issued);
      if (!in_vain || got < 0) continue;
      ASSERT_FALSE(gave_up) << describe(q, issued);
      ASSERT_LE(got - shadow, proof.vain_most) << describe(q, issued);
      ASSERT_LE(got, proof.vain_until) << describe(q, issued);
      ASSERT_LE(refused, proof.vain_tries) << describe(q, issued);
      ++early;
    }
  }
  EXPECT_GT(early, 1000);
}

TEST(Agreement, ATimeOfEnrolmentReachesExactlyTheLastCertificatesOfItsStories) {
  int reached = 0;
  for (unsigned seed = 13001; seed <= 14000; ++seed) {
    Dice dice(seed);
    Question q = random_question(dice);
    q.enrolled = Interval{0, 0};
    q.enrolled->first = dice.between(0, q.ca_end() - 1);
    q.enrolled->last = dice.between(q.enrolled->first, q.ca_end() - 1);
    const Proof proof = prove(q);
    if (proof.renewal_dark) continue;  // such chains break off
    for (const Offset issued : {Offset{0}, q.enrolled->first, q.enrolled->last,
                                dice.between(q.enrolled->first, q.enrolled->last)}) {
      const Story story = story_of(q, issued);
      for (const Offset one : story.issued) {
        if (one >= q.ca_end() || one + q.lifetime.count() < q.ca_end()) continue;
        ASSERT_TRUE(proof.last_issued.contains(one)) << "seed " << seed << describe(q, issued);
        ++reached;
      }
    }
    // And nothing else, where nobody waits: each end is the certificate of some story.
    if (q.pends_first || proof.last_issued.empty()) continue;
    Question anytime = q;
    anytime.enrolled.reset();
    for (const Interval& i : proof.last_issued.all()) {
      const Intervals from = leading_to(anytime, Intervals(i.first, i.first));
      ASSERT_TRUE(from.contains(0) || !from.within(*q.enrolled).empty())
          << "seed " << seed << describe(q, i.first);
    }
  }
  EXPECT_GT(reached, 1000);
}

TEST(Agreement, NoOutageAnywhereMakesADeviceDarkThatTheProofCallsSafe) {
  int tried = 0;
  int shown = 0;
  for (unsigned seed = 9001; seed <= 9300; ++seed) {
    Dice dice(seed);
    Question q = random_question(dice);
    q.outage = Seconds{dice.between(60, q.ca_end() / 20)};
    const Proof proof = prove(q);
    for (const Offset issued : worth_a_story(q, proof, dice)) {
      const bool last = issued + q.lifetime.count() >= q.ca_end();
      const bool expected =
          last ? proof.dark_in_outage.contains(issued)
               : proof.renewal_dark_in_outage || leading_to(q, proof.dark).contains(issued);
      // Outages that begin with a try of the calm story, and some anywhere.
      std::vector<Offset> begins;
      for (int i = 0; i < 10; ++i) begins.push_back(dice.between(issued, q.ca_end()));
      if (!last) continue;
      for (const Chapter& chapter : story_of(q, issued).chapters) begins.push_back(chapter.at);
      const bool dark = std::any_of(begins.begin(), begins.end(), [&](Offset from) {
        return from > issued &&
               !story_of(q, issued, Interval{from, from + q.outage.count() - 1}).dark.empty();
      });
      ++tried;
      ASSERT_TRUE(expected || !dark) << "seed " << seed << ": " << describe(q, issued);
      const bool arrives_late = *shadow_of(q, issued) - issued < proof.grant_takes;
      if (expected && !proof.dark.contains(issued) && !arrives_late) {
        ASSERT_TRUE(dark) << "seed " << seed << ": " << describe(q, issued);
        ++shown;
      }
    }
  }
  EXPECT_GT(tried, 1500);
  EXPECT_GT(shown, 250);
}

TEST(Agreement, AnOutageDuringARenewalIsJudgedAsItIsLived) {
  int dark = 0;
  int light = 0;
  for (unsigned seed = 11001; seed <= 12500; ++seed) {
    Dice dice(seed);
    Question q = random_question(dice);
    if (q.lifetime * 3 >= q.ca.lifetime_ca) continue;
    q.outage = Seconds{dice.between(60, q.lifetime.count())};
    const Proof proof = prove(q);
    if (proof.renewal_dark || proof.grant_takes >= proof.renewal_after) continue;
    const Offset renew = proof.renewal_after;
    bool lived = false;
    for (const Offset from : {renew, renew + proof.renewal_takes}) {
      Play how;
      how.holds = true;
      how.until = std::min(renew + proof.renewal_left + proof.renewal_left / 2 + 1, q.ca_end());
      how.outage = Interval{from, from + q.outage.count() - 1};
      lived = lived || !play(q, how).dark.empty();
    }
    ASSERT_EQ(lived, proof.renewal_dark_in_outage) << "seed " << seed << ": " << describe(q, 0);
    ++(lived ? dark : light);
  }
  EXPECT_GT(dark, 50);
  EXPECT_GT(light, 50);
}

}  // namespace
}  // namespace umbra::plan
