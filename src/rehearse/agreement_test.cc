// The check and the rehearsal say the same: random configurations, shrunk to the smallest that
// fails. A failure prints its RC_PARAMS; what was found once stands below as a case of its own.

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>
// RapidCheck's header takes GoogleTest's for granted.
#include <rapidcheck/gtest.h>

#include "plan/proof.h"
#include "rehearse/lab_test.h"

namespace umbra::rehearse {
namespace {

using std::chrono::minutes;

// The same thousand cases each time; RC_PARAMS in the environment tries others.
[[maybe_unused]] const int cases = ::setenv("RC_PARAMS", "seed=1 max_success=1000", 0);

/// Numbers that RapidCheck can shrink, each towards its least.
plan::Question question() {
  const auto in = [](int least, int most) {
    // The whole range from the first case on.
    return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(least, most + 1));
  };
  plan::Question q;
  // From fleets that live for years to labs whose CA lives for days.
  const Offset unit = *rc::gen::element<Offset>(86400, 3600);
  q.ca.lifetime_ca = Seconds{unit * in(100, 2000)};
  q.ca.lifetime_crl = q.ca.lifetime_ca;
  q.lifetime = Seconds{unit * in(20, 2200)};
  const auto overlap_most = static_cast<int>(q.ca_end() / 120);
  if (in(0, 7) != 7) q.ca.overlap = minutes{in(overlap_most / 50 + 1, overlap_most)};
  q.client.auto_enroll = in(10, 100);
  q.client.retry_count = in(0, 1) == 0 ? 999 : in(0, 16);
  q.client.retry_period = minutes{in(1, 60)};
  q.pends_first = q.pends_again = in(0, 2) == 2;
  if (q.pends_first) {
    q.grant_within = Seconds{unit * in(0, 20)};
    q.request_lifetime = Seconds{unit * in(2, 200)};
  }
  return q;
}

Scenario scenario_of(const plan::Question& q, std::size_t devices, Offset until) {
  Scenario s;
  Authority authority;
  authority.name = "CA";
  authority.ca = q.ca;
  authority.lifetime = q.lifetime;
  authority.request_lifetime = q.request_lifetime;
  authority.rules.grant = q.pends_first ? policy::GrantMode::manual : policy::GrantMode::automatic;
  authority.devices_read = 1;
  s.authorities.push_back(authority);
  Kind kind;
  kind.settings = q.client;
  kind.facts.subject_matches_signer = true;
  kind.name = "device";
  s.kinds.push_back(kind);
  s.order = {0};
  s.devices = devices;
  s.until = until;
  s.faults.grant_most = q.grant_within;
  s.enrolled = {0, std::min(q.ca_end(), until) - 1};
  return s;
}

RC_GTEST_PROP(Agreement, WhomTheCheckCallsSafeNoRehearsalMakesDark, ()) {
  plan::Question q = question();
  if (plan::prove(q).renewal_dark) {
    // The line that the check would have written.
    const auto percent = plan::percent_needed(q);
    RC_PRE(percent.has_value());
    q.client.auto_enroll = percent;
  }
  const plan::Proof proof = plan::prove(q);
  RC_PRE(!proof.renewal_dark);
  const plan::Intervals leads = plan::leading_to(q, proof.dark);
  // Who holds a certificate from the switch-over on is as if enrolled on day 0.
  const bool second_ca_too = !leads.contains(0);
  Scenario s = scenario_of(q, 0, second_ca_too ? q.ca_end() * 5 / 2 : q.ca_end() + 1);
  for (int i = 0; i < 60; ++i) {
    const auto enrols = static_cast<Offset>(
        *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<Offset>(0, q.ca_end())));
    // Its certificate is issued when the person grants it.
    const Interval issued{enrols, enrols + q.grant_within.count()};
    if (issued.last < q.ca_end() && leads.within(issued).empty()) s.enrol_at.push_back(enrols);
  }
  RC_PRE(!s.enrol_at.empty());
  s.devices = s.enrol_at.size();
  s.seed = *rc::gen::inRange<std::uint64_t>(1, 1000);
  const Outcome outcome = rehearse(s, 1);
  RC_ASSERT(outcome.sound());
  RC_CLASSIFY(second_ca_too, "through the second CA too");
  RC_ASSERT(outcome.dark() == 0U);
}

RC_GTEST_PROP(Agreement, TheDayThatTheCheckNamesIsDarkInTheRehearsal, ()) {
  plan::Question q = question();
  q.pends_first = q.pends_again = false;
  const plan::Proof proof = plan::prove(q);
  RC_PRE(!proof.dark.empty() && !proof.renewal_dark);
  // Both ends of the first and the last interval, and the devices whose renewals lead there.
  const plan::Intervals leads = plan::leading_to(q, proof.dark);
  Scenario s = scenario_of(q, 0, q.ca_end() + day_seconds);
  for (const plan::Intervals& set : {proof.dark, leads}) {
    for (const Interval& one : {set.all().front(), set.all().back()}) {
      s.enrol_at.push_back(one.first);
      s.enrol_at.push_back(one.last);
    }
  }
  s.devices = s.enrol_at.size();
  const Outcome outcome = rehearse(s, 1);
  RC_ASSERT(outcome.sound());
  RC_ASSERT(outcome.dark() == s.devices);
}

RC_GTEST_PROP(Agreement, TheSecondsBesideThoseDaysAreNot, ()) {
  plan::Question q = question();
  q.pends_first = q.pends_again = false;
  const plan::Proof proof = plan::prove(q);
  RC_PRE(!proof.dark.empty() && !proof.renewal_dark);
  const plan::Intervals leads = plan::leading_to(q, proof.dark);
  Scenario s = scenario_of(q, 0, q.ca_end() + 1);
  for (const Interval& one : leads.all()) {
    for (const Offset beside : {one.first - 1, one.last + 1}) {
      if (beside >= 0 && beside < q.ca_end() && !leads.contains(beside))
        s.enrol_at.push_back(beside);
    }
  }
  RC_PRE(!s.enrol_at.empty());
  s.devices = s.enrol_at.size();
  const Outcome outcome = rehearse(s, 1);
  RC_ASSERT(outcome.sound());
  RC_ASSERT(outcome.dark() == 0U);
}

}  // namespace
}  // namespace umbra::rehearse
