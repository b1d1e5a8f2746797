#include "rehearse/server_line.h"

#include <fmt/format.h>

#include <algorithm>

namespace umbra::rehearse {

using lifecycle::CaAction;

ServerLine::ServerLine(const Authority& authority, const Faults& faults, Offset until)
    : authority_(authority), faults_(faults) {
  now_.facts.active = {at(0), lifecycle::ends_at(at(0), authority.ca.lifetime_ca)};
  generations_.push_back({.validity = now_.facts.active});
  Offset cancel_at = faults.cancel.value_or(never);
  Offset again_at = faults.again.value_or(never);
  Offset now = 0;
  for (;;) {
    // Who types at the console sees what was due done first.
    run_due(now);
    if (now >= cancel_at) {
      cancel(now);
      cancel_at = never;
    }
    if (now >= again_at) {
      if (now_.serving && !now_.next && lifecycle::can_be_followed(now_.facts.active))
        generate(now);
      again_at = never;
    }
    note(now);
    Offset next = never;
    if (now_.serving) {
      const auto all = lifecycle::deadlines(authority.ca, now_.facts);
      if (!all.empty()) next = offset(all.front().at);
    }
    next = std::min({next, cancel_at, again_at});
    if (next >= until) break;
    now = up_again(std::max(next, now + 1));
    if (now >= until) break;
  }
}

void ServerLine::run_due(Offset now) {
  while (const auto action = lifecycle::due(authority_.ca, now_.facts, at(now))) {
    if (*action == CaAction::stop_expired) {
      now_.serving = false;
      return;
    }
    act(*action, now);
  }
}

void ServerLine::act(CaAction action, Offset now) {
  switch (action) {
    case CaAction::generate_rollover:
      generate(now);
      return;
    case CaAction::switch_over: {
      generations_[now_.active].retired = now;
      now_.active = *now_.next;
      now_.next.reset();
      now_.facts.active = *now_.facts.rollover;
      now_.facts.rollover.reset();
      now_.facts.rollover_cancelled = false;
      now_.facts.crl_next_update = lifecycle::ends_at(
          std::min(at(now), now_.facts.active.not_after), authority_.ca.lifetime_crl);
      return;
    }
    case CaAction::publish_crl: {
      if (now_.facts.crl_next_update)
        crl_stale_ += std::max<Offset>(0, now - offset(*now_.facts.crl_next_update));
      now_.facts.crl_next_update = lifecycle::ends_at(at(now), authority_.ca.lifetime_crl);
      return;
    }
    case CaAction::stop_expired:
      return;
  }
}

void ServerLine::generate(Offset now) {
  const auto validity =
      lifecycle::rollover_ca_validity(authority_.ca.lifetime_ca, now_.facts.active);
  if (validity.not_before != now_.facts.active.not_after) {
    broken_.push_back(fmt::format(
        "the next CA of {} begins on second {}, and not on {}, when the "
        "active one ends",
        authority_.name, offset(validity.not_before), offset(now_.facts.active.not_after)));
  }
  now_.next = generations_.size();
  now_.facts.rollover = validity;
  now_.facts.rollover_cancelled = false;
  generations_.push_back({.validity = validity, .made = now});
}

void ServerLine::cancel(Offset now) {
  if (!now_.next) {
    cancelled_nothing_ = true;
    return;
  }
  generations_[*now_.next].cancelled = now;
  now_.next.reset();
  now_.facts.rollover.reset();
  now_.facts.rollover_cancelled = true;
}

void ServerLine::note(Offset now) {
  const bool valid =
      now_.facts.active.not_before <= at(now) && at(now) < now_.facts.active.not_after;
  if (now_.serving && !valid) {
    broken_.push_back(
        fmt::format("the active CA of {} is not valid on second {}", authority_.name, now));
  }
  now_.from = now;
  // A CRL alone changes nothing for anybody who enrols.
  if (!moments_.empty()) {
    const Moment& last = moments_.back();
    if (last.active == now_.active && last.next == now_.next && last.serving == now_.serving)
      return;
  }
  moments_.push_back(now_);
}

const Moment& ServerLine::when(Offset now) const {
  const auto after =
      std::upper_bound(moments_.begin(), moments_.end(), now,
                       [](Offset t, const Moment& moment) { return t < moment.from; });
  return *std::prev(after);
}

Offset ServerLine::up_again(Offset now) const {
  const auto after =
      std::upper_bound(faults_.outages.begin(), faults_.outages.end(), now,
                       [](Offset t, const Interval& outage) { return t < outage.first; });
  if (after == faults_.outages.begin()) return now;
  const Interval& outage = *std::prev(after);
  return now <= outage.last ? outage.last + 1 : now;
}

}  // namespace umbra::rehearse
