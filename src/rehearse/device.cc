#include "rehearse/device.h"

#include <fmt/format.h>

#include <algorithm>

namespace umbra::rehearse {
namespace {

using lifecycle::Phase;
using lifecycle::RequestKind;
using lifecycle::TrustpointEvent;
using lifecycle::Validity;
using Action = lifecycle::TrustpointAction;
using EventKind = lifecycle::TrustpointEventKind;

// A person who stands before a device that cannot reach its server tries again after this long.
constexpr Offset person_again = 3600;
constexpr std::uint32_t hold_doublings_max = 10;

// What dice are thrown about; every throw in the course of a life has a number from `course` on.
constexpr std::uint64_t about_enrolment = 1;
constexpr std::uint64_t about_clock = 2;
constexpr std::uint64_t about_off = 3;
constexpr std::uint64_t about_off_at = 4;
constexpr std::uint64_t course = 16;

/// SplitMix64: every output of a counter is as good as a random number.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

double fraction(std::uint64_t random) { return static_cast<double>(random >> 11) * 0x1.0p-53; }

}  // namespace

Life::Life(const Surroundings& around, std::size_t number, Device& device, Tally& tally,
           std::vector<Chapter>* story)
    : around_(around),
      kind_(around.scenario.kind_of(number)),
      number_(number),
      d_(device),
      tally_(tally),
      story_(story) {
  const Faults& faults = around.scenario.faults;
  const Offset until = around.scenario.until;
  if (const Offset most = faults.clock_error.count(); most > 0) {
    skew_ =
        static_cast<Offset>(roll(about_clock) % static_cast<std::uint64_t>(2 * most + 1)) - most;
  }
  if (faults.switched_off > 0 && fraction(roll(about_off)) < faults.switched_off) {
    const Offset from = enrols_at();
    const auto span = static_cast<std::uint64_t>(std::max<Offset>(1, until - from));
    off_at_ = from + static_cast<Offset>(roll(about_off_at) % span);
    on_at_ = off_at_ + faults.off_for.count();
  }
  unpack();
}

std::uint64_t Life::roll(std::uint64_t about) const {
  return mixed(mixed(around_.scenario.seed ^ mixed(number_)) + about);
}

double Life::chance() { return fraction(roll(course + d_.rolls++)); }

Offset Life::enrols_at() const {
  const Scenario& scenario = around_.scenario;
  if (!scenario.enrol_at.empty()) return scenario.enrol_at[number_];
  const auto span =
      static_cast<std::uint64_t>(scenario.enrolled.last - scenario.enrolled.first + 1);
  return scenario.enrolled.first + static_cast<Offset>(roll(about_enrolment) % span);
}

void Life::unpack() {
  now_ = d_.last;
  const Seconds lifetime = around_.authority.lifetime;
  if (d_.has_ca) facts_.ca = generation(d_.ca).validity;
  if (d_.has_identity)
    facts_.identity = lifecycle::issued_validity(at(d_.issued), lifetime, *facts_.ca);
  if (d_.has_next_ca) facts_.rollover_ca = generation(d_.next_ca).validity;
  if (d_.has_next_identity) {
    facts_.rollover_identity =
        lifecycle::issued_validity(at(d_.follows), lifetime, *facts_.rollover_ca);
  }
  facts_.can_get_next_ca = d_.knows_caps;
  facts_.phase = static_cast<Phase>(d_.phase & 15U);
  facts_.kind = static_cast<RequestKind>(d_.phase >> 4U);
  if (d_.has_since) facts_.since = local(d_.since);
  facts_.tries = d_.tries;
  facts_.failing = d_.failing;
}

void Life::pack() {
  d_.has_ca = facts_.ca.has_value();
  d_.has_identity = facts_.identity.has_value();
  if (facts_.identity) d_.issued = narrow(offset(facts_.identity->not_before));
  d_.has_next_ca = facts_.rollover_ca.has_value();
  d_.has_next_identity = facts_.rollover_identity.has_value();
  if (facts_.rollover_identity) d_.follows = narrow(offset(facts_.rollover_identity->not_before));
  d_.phase = static_cast<std::uint8_t>(static_cast<unsigned>(facts_.phase) |
                                       static_cast<unsigned>(facts_.kind) << 4U);
  d_.has_since = facts_.since.has_value();
  if (facts_.since) d_.since = narrow(offset(*facts_.since) - skew_);
  d_.tries = static_cast<std::uint16_t>(facts_.tries);
  d_.failing = facts_.failing;
}

bool Life::drives_itself() const { return kind_.settings.auto_enroll && kind_.settings.pinned; }

Offset Life::next_event() const {
  if (!d_.begun) return enrols_at();
  if (d_.off) return on_at_;
  Offset next = never;
  if (facts_.ca ? !d_.knows_caps : !drives_itself()) {
    next = d_.held;
  } else {
    const auto all = lifecycle::deadlines(kind_.settings, facts_, "");
    if (!all.empty()) next = std::max<Offset>(offset(all.front().at) - skew_, d_.held);
  }
  next = std::max(next, now_);
  if (off_at_ >= now_ && off_at_ != never) next = std::min(next, off_at_);
  return next;
}

Offset Life::play(Offset until) {
  for (;;) {
    const Offset next = next_event();
    if (next >= until) {
      pack();
      return next;
    }
    account(next);
    now_ = next;
    ++tally_.events;
    wake();
    if (d_.off) continue;
    if (!d_.enrolled) {
      become(State::not_enrolled, now_);
    } else if (is_valid(now_)) {
      become(facts_.rollover_identity ? State::ready : State::valid, now_);
    }
  }
}

void Life::finish(Offset end) {
  account(end);
  pack();
}

void Life::wake() {
  if (!d_.off && off_at_ == now_) {
    d_.off = true;
    tell("is switched off");
    become(State::off, now_);
    return;
  }
  if (d_.off) {
    d_.off = false;
    off_at_ = never;
    tell("is switched on");
    const auto missed = lifecycle::deadlines(kind_.settings, facts_, "");
    if (!missed.empty() && missed.front().at < local(now_)) trouble(Cause::switched_off);
    take({EventKind::restarted, {}});
    return;
  }
  if (!d_.begun) {
    d_.begun = true;
    if (drives_itself()) return;
  }
  if (!facts_.ca && !drives_itself()) return authenticate();
  if (facts_.ca && !d_.knows_caps) return ask_capabilities();
  // Somebody's deadline has passed and stays: time must not stand still for it.
  if (!take({EventKind::deadline, {}}))
    d_.held = narrow(now_ + std::max<Offset>(1, kind_.settings.retry_period.count()));
}

bool Life::take(const TrustpointEvent& event) {
  const auto step = lifecycle::step(kind_.settings, facts_, event, local(now_));
  const auto& next = step.next;
  const bool changed = !step.actions.empty() || next.phase != facts_.phase ||
                       next.kind != facts_.kind || next.since != facts_.since ||
                       next.tries != facts_.tries || next.failing != facts_.failing;
  const auto before = facts_.ca;
  facts_ = next;
  for (const Action action : step.actions) {
    if (action == Action::promote && before && facts_.ca &&
        facts_.ca->not_before != before->not_after) {
      broken("the CA it switches to does not begin when the one before ends");
    }
    act(action);
  }
  return changed;
}

void Life::act(Action action) {
  switch (action) {
    case Action::fetch_ca:
      return authenticate();
    case Action::fetch_next_ca:
      if (facts_.tries == 0) tell("SHADOW: asks for the next CA");
      return fetch_next_ca();
    case Action::begin_request:
      d_.entry = static_cast<std::uint8_t>(Entry::none);
      if (facts_.kind != RequestKind::shadow)
        tell(facts_.kind == RequestKind::renew ? "RENEW" : "asks for its first certificate");
      return send();
    case Action::send_request:
      return send();
    case Action::send_poll:
      return poll();
    case Action::install_identity: {
      d_.enrolled = true;
      d_.trouble = 0;
      tell_of("has a certificate", *facts_.identity);
      const auto rest = lifecycle::rest_after_install(kind_.settings, facts_, local(now_));
      if (rest) d_.held = narrow(offset(*rest) - skew_);
      return;
    }
    case Action::store_rollover_identity:
      d_.trouble = 0;
      return tell_of("has its shadow certificate", *facts_.rollover_identity);
    case Action::promote:
      d_.ca = d_.next_ca;
      if (facts_.identity) {
        tell_of("switches to the next CA", *facts_.identity);
      } else {
        tell("switches to the next CA, and has no certificate of it");
      }
      return;
    case Action::give_up:
      return tell("gives up");
  }
}

void Life::authenticate() {
  const Moment& moment = around_.line.when(now_);
  if (exchange(Operation::get_ca) != Way::there_and_back) {
    if (!drives_itself()) d_.held = narrow(now_ + person_again);
    return;
  }
  d_.ca = static_cast<std::uint16_t>(moment.active);
  take({EventKind::ca_accepted, generation(moment.active).validity});
  facts_.can_get_next_ca = false;
  ask_capabilities();
}

void Life::ask_capabilities() {
  if (exchange(Operation::get_caps) != Way::there_and_back) {
    const std::uint32_t doublings = std::min<std::uint32_t>(d_.holds, hold_doublings_max);
    d_.held = narrow(now_ + kind_.settings.retry_period.count() * (Offset{1} << doublings));
    ++d_.holds;
    return;
  }
  d_.holds = 0;
  d_.knows_caps = true;
  facts_.can_get_next_ca = true;
  // A person enrols what does not enrol by itself.
  if (!kind_.settings.auto_enroll) take({EventKind::enroll, {}});
}

void Life::fetch_next_ca() {
  if (exchange(Operation::get_next_ca) != Way::there_and_back) return no_answer();
  const Moment& moment = around_.line.when(now_);
  // After the switch-over the answer is signed by a CA that this device does not know.
  if (!moment.next || moment.active != d_.ca) {
    const bool too_late = moment.active != d_.ca;
    trouble(too_late ? Cause::too_late : Cause::asked_in_vain, too_late);
    tell(too_late ? "there is another CA already" : "there is no next CA yet");
    return no_answer();
  }
  d_.next_ca = static_cast<std::uint16_t>(*moment.next);
  d_.trouble = 0;
  tell("has the next CA");
  take({EventKind::next_ca_received, generation(*moment.next).validity});
}

void Life::send() {
  const Way way = exchange(Operation::enroll);
  if (way == Way::not_there) return no_answer();
  const Answer answer = judge();
  if (way == Way::answer_lost) return no_answer();
  switch (answer) {
    case Answer::granted:
      return receive();
    case Answer::pending:
      trouble(Cause::slow_person);
      tell("waits for a person to grant it");
      take({EventKind::pending, {}});
      return;
    case Answer::try_again:
      return no_answer();
    case Answer::refused:
      return refused(Cause::refused);
  }
}

void Life::poll() {
  const Way way = exchange(Operation::poll);
  if (way == Way::not_there) return no_answer();
  settle_queue();
  if (way == Way::answer_lost) return no_answer();
  if (now_ >= d_.asked + around_.authority.request_lifetime.count())
    return refused(Cause::left_queue);
  switch (static_cast<Entry>(d_.entry)) {
    case Entry::pending:
      tell("POLL: still pending");
      take({EventKind::pending, {}});
      return;
    case Entry::granted:
      return receive();
    case Entry::rejected:
      return refused(generation(d_.asked_ca).cancelled != never ? Cause::cancelled
                                                                : Cause::refused);
    case Entry::none:
      return refused(Cause::left_queue);
  }
}

void Life::no_answer() { take({EventKind::no_answer, {}}); }

/// `follows`: it may be that what went wrong before has led to this; then that is the cause.
void Life::trouble(Cause cause, bool follows) {
  const auto before = static_cast<Cause>(d_.trouble);
  const bool led_here = before == Cause::switched_off || before == Cause::outage ||
                        before == Cause::lost || before == Cause::slow_person ||
                        before == Cause::asked_in_vain;
  if (!follows || !led_here) d_.trouble = static_cast<std::uint8_t>(cause);
}

void Life::refused(Cause cause) {
  trouble(cause, cause == Cause::refused);
  ++tally_.refusals;
  tell("is refused, and asks no more");
  take({EventKind::rejected, {}});
}

/// The certificate of its request has arrived.
void Life::receive() {
  const bool shadow = facts_.kind == RequestKind::shadow;
  const auto certificate = lifecycle::issued_validity(at(d_.granted), around_.authority.lifetime,
                                                      generation(d_.asked_ca).validity);
  // Signed by a CA that it does not know, or of no use: that is no answer.
  if (d_.asked_ca != (shadow ? d_.next_ca : d_.ca) || !certificate ||
      lifecycle::misfit(facts_.kind, *certificate, *facts_.ca, local(now_))) {
    return no_answer();
  }
  take({EventKind::granted, *certificate});
}

/// Its time up to `until`: dark where it holds no certificate valid then under the CA in force.
void Life::account(Offset until) {
  const Offset from = d_.last;
  d_.last = narrow(until);
  if (!d_.enrolled || d_.off || until <= from) return;
  if (!facts_.identity || generation(d_.ca).cancelled != never) return dark(from, until);
  const Offset begins = offset(facts_.identity->not_before);
  const Offset ends = offset(facts_.identity->not_after);
  if (begins > from) {
    dark(from, std::min(begins, until));
    if (begins < until && ends > begins) become(State::valid, begins);
  }
  if (ends < until) dark(std::max(from, ends), until);
}

bool Life::is_valid(Offset when) const {
  return facts_.identity && facts_.identity->not_before <= at(when) &&
         at(when) < facts_.identity->not_after && generation(d_.ca).cancelled == never;
}

void Life::dark(Offset from, Offset to) {
  if (from >= to) return;
  if (d_.state != static_cast<std::uint8_t>(State::dark)) {
    const Cause cause = cause_at(from);
    if (d_.episodes < 255) ++d_.episodes;
    if (d_.dark_for == 0) {
      d_.dark_from = narrow(from);
      d_.cause = static_cast<std::uint8_t>(cause);
    }
    if (story_ != nullptr) story_->push_back({from, fmt::format("DARK: {}", in_words(cause))});
    if (cause == Cause::unexplained) broken("dark, and nothing explains it");
    become(State::dark, from);
  }
  d_.dark_for += narrow(to - from);
}

Cause Life::cause_at(Offset when) const {
  if (generation(d_.ca).cancelled != never) return Cause::cancelled;
  if (facts_.identity && at(when) < facts_.identity->not_before) return Cause::clock;
  if (facts_.rollover_identity) {
    return generation(d_.next_ca).cancelled != never ? Cause::cancelled : Cause::clock;
  }
  if (!kind_.settings.auto_enroll) return Cause::no_auto_enroll;
  if (d_.trouble != 0) return static_cast<Cause>(d_.trouble);
  if (!around_.line.when(when).serving) return Cause::no_next_ca;
  if (skew_ != 0) return Cause::clock;
  // It was at rest after its certificate was installed.
  return d_.held > when ? Cause::too_late : Cause::unexplained;
}

void Life::become(State state, Offset when) {
  const auto old = static_cast<State>(d_.state);
  if (state == old) return;
  d_.state = static_cast<std::uint8_t>(state);
  // Who is dark for a second is dark on that day.
  const Offset day =
      state == State::dark ? when / day_seconds : (when + day_seconds - 1) / day_seconds;
  const auto bin =
      static_cast<std::size_t>(std::min<Offset>(day, static_cast<Offset>(tally_.days.size()) - 1));
  --tally_.days[bin][static_cast<std::size_t>(old)];
  ++tally_.days[bin][static_cast<std::size_t>(state)];
}

void Life::tell(std::string_view text) {
  if (story_ != nullptr) story_->push_back({now_, std::string(text)});
}

void Life::tell_of(std::string_view text, const Validity& certificate) {
  if (story_ == nullptr) return;
  story_->push_back({now_, fmt::format("{}, valid from day {} to day {}", text,
                                       plan::number_of_day(offset(certificate.not_before)),
                                       plan::number_of_day(offset(certificate.not_after)))});
}

void Life::broken(const std::string& what) {
  if (tally_.broken.size() < Tally::broken_max) tally_.broken.push_back({number_, now_, what});
}

}  // namespace umbra::rehearse
