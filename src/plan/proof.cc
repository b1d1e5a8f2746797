#include "plan/proof.h"

#include <algorithm>

namespace umbra::plan {
namespace {

using lifecycle::Phase;
using lifecycle::RequestKind;
using lifecycle::Timer;
using lifecycle::TrustpointFacts;
using lifecycle::Validity;
using EventKind = lifecycle::TrustpointEventKind;

constexpr Time day_zero{};
// Beyond every life there is: the spacing of tries is looked at where no end disturbs it.
constexpr Time far_away{Seconds{std::int64_t{1} << 50U}};
// Chains of more renewals than this are taken as reaching every second: never less than the truth.
constexpr int renewals_followed_max = 4000;

Time at(Offset offset) { return day_zero + Seconds{offset}; }
Offset offset(Time time) { return (time - day_zero).count(); }

Validity ca_of(const Question& q) { return {day_zero, day_zero + q.ca.lifetime_ca}; }

/// The tries that follow when each one brings `again`.
Tries tries_of(const Question& q, TrustpointFacts facts, EventKind again) {
  Tries tries;
  facts.ca = Validity{day_zero, far_away};
  facts.since = day_zero;
  for (;;) {
    facts = lifecycle::step(q.client, facts, {again, {}}, day_zero).next;
    const auto next = lifecycle::deadlines(q.client, facts, "");
    if (next.empty()) {
      tries.ends = true;
      return tries;
    }
    tries.after.push_back(offset(next.front().at));
    if (tries.after.back() >= q.ca_end()) return tries;
    facts = lifecycle::step(q.client, facts, {EventKind::deadline, {}}, next.front().at).next;
  }
}

/// The life of an identity issued then, with nothing under way.
lifecycle::Deadline next_of(const Question& q, Offset issued) {
  TrustpointFacts facts;
  facts.ca = ca_of(q);
  facts.can_get_next_ca = true;
  facts.identity = lifecycle::issued_validity(at(issued), q.lifetime, *facts.ca);
  return lifecycle::deadlines(q.client, facts, "").front();
}

/// How long after a request its certificate is fetched, where a person grants it `grant_within`
/// later.
struct Granting {
  Offset takes = 0;
  Offset takes_in_outage = 0;
  Wait result = Wait::fetched;
  Wait result_in_outage = Wait::fetched;
};

Granting granting(const Question& q) {
  Granting found;
  if (!q.pends_first && !q.pends_again) return found;
  const Tries poll = polls(q);
  const auto fetch = [&](Offset from, Offset& takes) {
    const auto which = poll.first_from(from);
    if (!which) return poll.ends ? Wait::given_up : Wait::left_the_queue;
    takes = poll.after[*which];
    return takes < q.request_lifetime.count() ? Wait::fetched : Wait::left_the_queue;
  };
  found.result = fetch(q.grant_within.count(), found.takes);
  found.takes_in_outage = found.takes;
  found.result_in_outage = found.result;
  // The outage strikes the very poll that would have fetched it.
  if (q.outage > Seconds{0} && found.result == Wait::fetched)
    found.result_in_outage = fetch(found.takes + q.outage.count(), found.takes_in_outage);
  return found;
}

/// The seconds of issue at which SHADOW falls into an interval: SHADOW never comes earlier for a
/// certificate that was issued later, so they are an interval too.
class LastCertificates {
 public:
  /// `lag`: as long after its issue a certificate may arrive; SHADOW cannot come before.
  LastCertificates(const Question& q, Offset lag)
      : q_(q),
        lag_(lag),
        from_(std::max<Offset>(0, q.ca_end() - q.lifetime.count())),
        end_(q.ca_end()) {}

  [[nodiscard]] Interval all() const { return {from_, end_ - 1}; }
  [[nodiscard]] Offset shadow(Offset issued) const {
    return shadow_of(q_, issued).value_or(q_.ca_end());
  }
  [[nodiscard]] Interval issued(Offset shadow_from, Offset shadow_to) const {
    const Offset arrives = std::max(from_, shadow_from - lag_);
    return {std::min(first_with(shadow_from), arrives), first_with(shadow_to + 1) - 1};
  }

 private:
  [[nodiscard]] Offset first_with(Offset wanted) const {
    Offset low = from_;
    Offset high = end_;
    while (low < high) {
      const Offset middle = low + (high - low) / 2;
      if (shadow(middle) >= wanted) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  const Question& q_;
  Offset lag_;
  Offset from_;
  Offset end_;
};

/// How much later than RENEW the next certificate may be issued.
Offset renewed_late(const Question& q, const Granting& grant, Offset after) {
  const Offset granted = q.pends_again ? q.grant_within.count() : 0;
  return std::max<Offset>(0, grant.takes - after) + granted;
}

Intervals reachable(const Question& q, const Granting& grant, Offset late) {
  const Interval whole{0, q.ca_end() - 1};
  if (!q.enrolled) return {whole.first, whole.last};
  const Interval renewing{0, q.ca_end() - q.lifetime.count() - 1};
  // The second CA's devices all begin with it.
  Intervals all(0, 0);
  all.add_all(Intervals(q.enrolled->first, q.enrolled->last).within(whole));
  Intervals newest = all;
  for (int i = 0; i < renewals_followed_max; ++i) {
    newest = newest.within(renewing);
    if (newest.empty()) return all;
    const Offset after = offset(next_of(q, newest.first()).at) - newest.first();
    newest = newest.moved(after, after + renewed_late(q, grant, after) + late).within(whole);
    all.add_all(newest);
  }
  all.add({newest.first(), whole.last});
  return all;
}

/// Everything about last certificates, one piece of SHADOW at a time: within a piece the same try
/// is the first one that finds the next CA.
class Rollover {
 public:
  Rollover(const Question& q, const Granting& grant, Proof& proof)
      : q_(q),
        grant_(grant),
        proof_(proof),
        last_(q, grant.takes),
        tries_(connect_retries(q)),
        end_(q.ca_end()) {}

  void run(const Intervals& calm, const Intervals& with_outage) {
    const Intervals bounds(last_.all().first, last_.all().last);
    proof_.last_issued = calm.within(bounds);
    if (proof_.last_issued.empty()) return;
    proof_.shadow_first = last_.shadow(proof_.last_issued.first());
    proof_.shadow_last = last_.shadow(proof_.last_issued.last());
    const Offset ready = proof_.rollover_at;
    Intervals dark;
    Intervals dark_in_outage;
    // SHADOW at once, then the pieces in which the first, the second ... retry is the first in
    // time.
    in_time_at_once(ready, dark, dark_in_outage);
    Offset upper = ready - 1;  // SHADOW of the piece, at the latest
    for (std::size_t k = 0; upper >= 0 && k < tries_.after.size(); ++k) {
      const Offset lower = std::max<Offset>(0, ready - tries_.after[k]);
      if (lower <= upper) piece({lower, upper}, k, dark, dark_in_outage);
      upper = std::min(upper, lower - 1);
    }
    if (upper >= 0 && tries_.ends) {
      const Interval lost = last_.issued(0, upper);
      proof_.gives_up = proof_.last_issued.within(lost);
      dark.add(lost);
    }
    proof_.early = proof_.last_issued.within(last_.issued(0, ready - 1));
    proof_.dark = proof_.last_issued.within(dark);
    dark_in_outage.add_all(dark);
    proof_.dark_in_outage = with_outage.within(bounds).within(dark_in_outage);
    longest_in_vain();
  }

 private:
  [[nodiscard]] bool pends() const { return q_.pends_again; }

  /// SHADOW from `ready` on: the first try finds the next CA.
  void in_time_at_once(Offset ready, Intervals& dark, Intervals& dark_in_outage) const {
    const Offset none = end_ + q_.client.retry_period.count();  // later than any SHADOW
    dark.add(last_.issued(end_, none));
    if (pends()) dark.add(from_shadow(ready, end_ - grant_.takes, none, grant_.result));
    if (q_.outage > Seconds{0}) retry(ready, none, 0, dark_in_outage);
  }

  /// SHADOW in `piece`: try `k` is the first that finds it.
  void piece(Interval piece, std::size_t k, Intervals& dark, Intervals& dark_in_outage) const {
    const Offset after = tries_.after[k];
    const Offset period = q_.client.retry_period.count();
    // Where the try would come after the CA's end, a last one comes one period before it.
    const Offset cut = end_ - after;
    if (proof_.rollover_at > end_ - period)
      dark.add(last_.issued(std::max(piece.first, cut), piece.last));
    if (pends()) {
      dark.add(from_shadow(piece.first, cut - grant_.takes, std::min(piece.last, cut - 1),
                           grant_.result));
      if (grant_.takes >= period || grant_.result != Wait::fetched)
        dark.add(last_.issued(std::max(piece.first, cut), piece.last));
    }
    if (q_.outage > Seconds{0}) {
      retry(piece.first, std::min(piece.last, cut - 1), after, dark_in_outage);
      dark_in_outage.add(last_.issued(std::max(piece.first, cut), piece.last));
    }
  }

  /// SHADOW in [from, to], the try `after` seconds later falls into an outage that begins with it.
  void retry(Offset from, Offset to, Offset after, Intervals& dark) const {
    const Offset over = after + q_.outage.count();
    const Offset period = q_.client.retry_period.count();
    const auto next = tries_.first_from(over);
    if (!next && tries_.ends) {
      dark.add(last_.issued(from, to));
      return;
    }
    const Offset wait = pends() ? grant_.takes : 0;
    const Offset again = next ? tries_.after[*next] : end_;
    const Offset cut = end_ - again;  // SHADOW from then on: only the last try is left
    if (pends()) {
      dark.add(from_shadow(from, cut - wait, std::min(to, cut - 1), grant_.result));
      // Or the outage waits for the poll.
      dark.add(
          from_shadow(from, end_ - after - grant_.takes_in_outage, to, grant_.result_in_outage));
    }
    const Offset last_try_fails = end_ - period - over + 1;
    const bool too_late = pends() && (wait >= period || grant_.result != Wait::fetched);
    dark.add(last_.issued(std::max({from, cut, too_late ? from : last_try_fails}), to));
  }

  /// The seconds of issue whose SHADOW lies in [from, to] and no earlier than `bad`; all of them
  /// where nothing is ever fetched.
  [[nodiscard]] Interval from_shadow(Offset from, Offset bad, Offset to, Wait result) const {
    return last_.issued(result == Wait::fetched ? std::max(from, bad) : from, to);
  }

  /// On each piece the wait is the same, so that its latest SHADOW waits until the latest.
  void longest_in_vain() {
    const Offset ready = proof_.rollover_at;
    for (const Interval& issued : proof_.early.all()) {
      const Offset first = last_.shadow(issued.first);
      const Offset last = std::min(last_.shadow(issued.last), ready - 1);
      for (std::size_t k = 0; k < tries_.after.size(); ++k) {
        const Offset after = tries_.after[k];
        const Offset earlier = k == 0 ? 0 : tries_.after[k - 1];
        const Offset from = std::max(first, ready - after);
        const Offset to = std::min(last, ready - earlier - 1);
        if (from > to) continue;
        const Offset last_try = end_ - q_.client.retry_period.count();
        const auto found = [&](Offset shadow) {
          return shadow + after < end_ ? shadow + after : last_try;
        };
        const Offset before_cut = std::clamp(end_ - after - 1, from, to);
        proof_.vain_until =
            std::max({proof_.vain_until, found(from), found(to), found(before_cut)});
        proof_.vain_most = std::max(proof_.vain_most, found(from) - from);
        proof_.vain_tries = std::max(proof_.vain_tries, k + 1);
      }
    }
  }

  const Question& q_;
  const Granting& grant_;
  Proof& proof_;
  LastCertificates last_;
  Tries tries_;
  Offset end_;
};

/// How long a renewal takes at worst; nothing if it never comes.
std::optional<Offset> renewal_in_outage(const Question& q, const Granting& grant, Offset left) {
  const Tries tries = connect_retries(q);
  const Offset outage = q.outage.count();
  const Offset period = q.client.retry_period.count();
  const Offset wait = q.pends_again ? grant.takes : 0;
  const auto next = tries.first_from(outage);
  Offset again = left;
  if (next && tries.after[*next] < left) {
    again = tries.after[*next];
  } else if (!(tries.ends && !next) && left - period >= outage) {
    again = left - period;
  } else {
    // RENEW once more when the certificate has ended: an enrolment as at first.
    if (outage > left || q.pends_first || q.pends_again) return std::nullopt;
  }
  if (q.pends_again) return std::max(again + wait, grant.takes_in_outage);
  return again;
}

}  // namespace

std::optional<std::size_t> Tries::first_from(Offset at) const {
  const auto found = std::lower_bound(after.begin(), after.end(), at);
  if (found == after.end()) return std::nullopt;
  return static_cast<std::size_t>(found - after.begin());
}

Tries connect_retries(const Question& question) {
  TrustpointFacts facts;
  facts.phase = Phase::fetching_next_ca;
  facts.kind = RequestKind::shadow;
  return tries_of(question, facts, EventKind::no_answer);
}

Tries polls(const Question& question) {
  TrustpointFacts facts;
  facts.phase = Phase::requesting;
  facts.kind = RequestKind::initial;
  return tries_of(question, facts, EventKind::pending);
}

std::optional<Offset> shadow_of(const Question& question, Offset issued) {
  const auto next = next_of(question, issued);
  if (next.timer != Timer::shadow) return std::nullopt;
  const Offset due = offset(next.at);
  // What is due the moment it arrives waits one period, so that nobody asks in a loop.
  return due > issued ? due : issued + question.client.retry_period.count();
}

Offset shadow_of_ca_alone(const Question& question) {
  TrustpointFacts facts;
  facts.ca = ca_of(question);
  facts.can_get_next_ca = true;
  lifecycle::TrustpointSettings client = question.client;
  client.auto_enroll.reset();
  return offset(lifecycle::deadlines(client, facts, "").front().at);
}

Intervals leading_to(const Question& question, const Intervals& last) {
  const Interval whole{0, question.ca_end() - 1};
  const Interval renewing{0, question.ca_end() - question.lifetime.count() - 1};
  Intervals all = last;
  if (renewing.last >= 0) {
    const Offset after = offset(next_of(question, 0).at);
    const Offset late = renewed_late(question, granting(question), after);
    Intervals newest = last;
    for (int i = 0; i < renewals_followed_max && !newest.empty(); ++i) {
      newest = newest.moved(-after - late, -after).within(renewing);
      all.add_all(newest);
    }
    if (!newest.empty()) all.add({0, newest.last()});
  }
  return question.enrolled ? all.within(*question.enrolled) : all.within(whole);
}

Proof prove(const Question& question) {
  Proof proof;
  const Offset end = question.ca_end();
  const auto made = lifecycle::shadow_generation_at(
      question.ca, {.active = ca_of(question), .rollover = {}, .crl_next_update = {}});
  proof.rollover_at = made ? std::clamp<Offset>(offset(*made), 0, end) : end;
  const Granting grant = granting(question);
  proof.grant_takes = grant.takes;
  proof.grant = grant.result;
  proof.grant_takes_in_outage = grant.takes_in_outage;
  proof.grant_in_outage = grant.result_in_outage;

  const Intervals calm = reachable(question, grant, 0);
  Offset late = 0;
  if (question.outage > Seconds{0}) {
    const Tries tries = connect_retries(question);
    const auto next = tries.first_from(question.outage.count());
    late = next ? tries.after[*next] : end;
  }
  const Intervals with_outage = reachable(question, grant, late);

  const Interval renewing{0, end - question.lifetime.count() - 1};
  proof.renews = !calm.within(renewing).empty();
  if (proof.renews) {
    // What arrives after its own RENEW is renewed then.
    proof.renewal_after = std::max(offset(next_of(question, 0).at), grant.takes);
    proof.renewal_left = question.lifetime.count() - proof.renewal_after;
    proof.renewal_takes = question.pends_again ? grant.takes : 0;
    proof.renewal_dark =
        question.pends_again && (grant.result != Wait::fetched || grant.takes > proof.renewal_left);
    // At 100 % the certificate has ended: whoever asks then is a stranger again.
    if (proof.renewal_left <= 0 && question.pends_first) proof.renewal_dark = true;
    const auto takes = renewal_in_outage(question, grant, proof.renewal_left);
    proof.renewal_dark_in_outage =
        proof.renewal_dark || !takes || *takes > proof.renewal_left ||
        (question.pends_again && grant.result_in_outage != Wait::fetched);
  }
  Rollover(question, grant, proof).run(calm, with_outage);
  return proof;
}

Seconds overlap_needed(const Question& question) {
  const Proof proof = prove(question);
  return Seconds{question.ca_end() - proof.shadow_first};
}

std::optional<int> percent_needed(const Question& question) {
  for (int percent = 10; percent < 100; ++percent) {
    Question other = question;
    other.client.auto_enroll = percent;
    const Proof proof = prove(other);
    if (proof.last_issued.empty() || proof.margin() < 0) continue;
    // Who enrols in the CA's last days has too little time under any percentage.
    if (proof.renewal_dark_in_outage) return std::nullopt;
    if (!proof.dark_in_outage.empty() && proof.dark_in_outage.first() < proof.rollover_at) continue;
    return percent;
  }
  return std::nullopt;
}

}  // namespace umbra::plan
