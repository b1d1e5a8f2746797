#include "lifecycle/trustpoint.h"

#include <algorithm>

namespace umbra::lifecycle {
namespace {

constexpr int percent_of_ca_without_auto_enroll = 90;
// Certificates of a CA whose clock is ahead of ours are taken up to this far in the future.
constexpr Seconds not_before_ahead_max = Days{1};
// Doublings beyond this are longer than any certificate's life.
constexpr std::uint32_t doublings_max = 40;
// A trustpoint that waits for somebody to authenticate it looks again at least this often (2^10
// periods), and so does a server that waits for its own.
constexpr std::uint32_t doublings_unauthenticated_max = 10;
constexpr std::uint32_t doublings_dogged_max = 10;
// A CA's certificate that is due for replacement the moment it arrives is not replaced in a loop.
constexpr int percent_of_a_ca_min = 50;
// No CA is obeyed that asks for more patience than this.
constexpr Seconds come_again_max = std::chrono::hours{1};
// Clocks are set right by less all the time, and that explains no reject.
constexpr Seconds step_back_min = std::chrono::minutes{1};

bool dogged(const TrustpointSettings& settings) { return settings.is_ca || settings.is_ra; }

Time doubled(Time since, Seconds period, std::uint32_t doublings) {
  return since + period * (std::int64_t{1} << std::min(doublings, doublings_max));
}

/// When the try after `tries` of them is made. Who is `dogged` waits no longer than 2^10 periods.
Time try_at(const TrustpointSettings& settings, bool dogged, Time since, std::uint32_t tries) {
  if (!dogged || tries <= doublings_dogged_max) return doubled(since, settings.retry_period, tries);
  const Seconds longest = settings.retry_period * (std::int64_t{1} << doublings_dogged_max);
  return since + longest * (std::int64_t{tries} - doublings_dogged_max + 1);
}

/// The end of what the request under way is to be there for.
Time bound_of(const TrustpointFacts& facts) {
  if (facts.phase == Phase::polling) {
    if (facts.kind == RequestKind::shadow && facts.rollover_ca) return facts.rollover_ca->not_after;
    return facts.ca ? facts.ca->not_after : Time::max();
  }
  if (facts.phase == Phase::requesting && facts.kind == RequestKind::renew && facts.identity) {
    return facts.identity->not_after;
  }
  return facts.ca ? facts.ca->not_after : Time::max();
}

/// The CA had ended before it was asked, if the clock is right: only the clock being wrong explains
/// asking it at all, so its end bounds nothing, and it is asked until the clock is right again.
bool begun_too_late(const TrustpointFacts& facts) {
  const bool asks_for_anew = facts.phase == Phase::requesting && facts.kind != RequestKind::renew;
  const bool bound_by_ca = asks_for_anew || facts.phase == Phase::polling;
  return bound_by_ca && facts.since && *facts.since >= bound_of(facts);
}

Time try_at(const TrustpointSettings& settings, const TrustpointFacts& facts, std::uint32_t tries) {
  return try_at(settings, dogged(settings) || begun_too_late(facts), *facts.since, tries);
}

bool count_used_up(const TrustpointSettings& settings, const TrustpointFacts& facts) {
  if (settings.retry_count == 0) return false;
  const auto allowed =
      static_cast<std::uint32_t>(settings.retry_count) + (facts.phase == Phase::polling ? 1U : 0U);
  return facts.tries >= allowed;
}

/// POLL or CONNECT RETRY.
std::optional<Time> next_try(const TrustpointSettings& settings, const TrustpointFacts& facts) {
  // A CA that was busy has said nothing yet: it is asked the once more that it wants.
  const bool used_up = count_used_up(settings, facts);
  if (!facts.since || (used_up && !facts.come_again)) return std::nullopt;
  Time at = try_at(settings, facts, facts.tries);
  if (facts.come_again) {
    const bool in_turn = facts.phase == Phase::polling && !used_up;
    at = in_turn ? std::max(at, *facts.come_again) : *facts.come_again;
  }
  const Time bound = bound_of(facts);
  if (at < bound || begun_too_late(facts)) return at;
  // Doubling has grown past the end: one last try shortly before it, unless one was made that late
  // already.
  const Time last = bound - settings.retry_period;
  const Time previous = facts.tries == 0 ? *facts.since : try_at(settings, facts, facts.tries - 1);
  if (previous < last) return last;
  return std::nullopt;
}

/// After a try at `now`, one more is counted, and the next one lies in the future. If that was due
/// already, because the clock was set or nobody ran, the tries there was no time for are not
/// counted: the doubled interval begins now.
TrustpointFacts counted(const TrustpointSettings& settings, TrustpointFacts facts, Time now) {
  ++facts.tries;
  if (facts.since && try_at(settings, facts, facts.tries) <= now)
    *facts.since += now - try_at(settings, facts, facts.tries - 1);
  return facts;
}

bool usable(const std::optional<Validity>& certificate, Time now) {
  return certificate && certificate->not_before <= now && now < certificate->not_after;
}

TrustpointFacts at_rest(TrustpointFacts facts, Phase phase) {
  facts.phase = phase;
  facts.since.reset();
  facts.tries = 0;
  facts.failing = false;
  facts.come_again.reset();
  return facts;
}

/// Nothing more happens until an administrator acts, or the clock turns out to have been ahead:
/// `since` remembers when. An administrator's own word is given by at_rest.
TrustpointFacts stopped(TrustpointFacts facts, Time now) {
  facts = at_rest(std::move(facts), Phase::stopped);
  facts.since = now;
  return facts;
}

/// The clock may have stepped back since the last try, to before that or to before the first one:
/// what was counted in a time that has not come is not counted, or the next try would be that far
/// away. What was begun, or given up, because of it is not needed; and a CA that has rejected what
/// was asked then, too early or with a signer that seemed to have ended, has said nothing of now.
TrustpointFacts after_steps_back(const TrustpointSettings& settings, TrustpointFacts facts,
                                 Time now) {
  // Asked for because there was none: that one has not ended after all. Whoever began in its life
  // has begun a renewal.
  if (waiting(facts.phase) && facts.kind == RequestKind::initial && usable(facts.identity, now))
    return at_rest(std::move(facts), Phase::idle);
  if (facts.come_again && *facts.come_again > now + come_again_max) facts.come_again.reset();
  if (!facts.since) return facts;
  if (facts.phase == Phase::stopped) {
    if (*facts.since >= now + step_back_min) return at_rest(std::move(facts), Phase::idle);
    return facts;
  }
  if (*facts.since > now) {
    facts.since = now;
    facts.tries = 0;
  }
  if (facts.phase == Phase::idle) return facts;  // nobody to ask: its count is an interval alone
  const Time bound = bound_of(facts);
  const auto made_at = [&](std::uint32_t tries) {
    const Time at = try_at(settings, facts, tries - 1);
    return at < bound || begun_too_late(facts) ? at : bound - settings.retry_period;
  };
  while (facts.tries > 0 && made_at(facts.tries) > now) --facts.tries;
  return facts;
}

/// RENEW or SHADOW of a trustpoint with nothing under way.
std::optional<Deadline> life_deadline(const TrustpointSettings& settings,
                                      const TrustpointFacts& facts, const std::string& name) {
  if (!facts.ca) {
    if (!settings.auto_enroll && !settings.relays) return std::nullopt;
    if (!facts.since) return Deadline{Time{}, Timer::renew, name};
    return Deadline{doubled(*facts.since, settings.retry_period,
                            std::min(facts.tries, doublings_unauthenticated_max)),
                    Timer::renew, name};
  }
  if (facts.rollover_identity) return std::nullopt;
  if (!settings.auto_enroll) {
    if (!facts.can_get_next_ca || facts.rollover_ca) return std::nullopt;
    return Deadline{at_percent(*facts.ca, percent_of_ca_without_auto_enroll), Timer::shadow, name};
  }
  if (!facts.identity) return Deadline{facts.ca->not_before, Timer::renew, name};
  // An honest CA gives no certificate that outlives it; one that does is treated as ending with it.
  const bool ends_with_ca = facts.identity->not_after >= facts.ca->not_after;
  if (settings.is_ca) {
    if (!settings.overlap) return std::nullopt;
    const Time at = std::max(facts.identity->not_after - *settings.overlap,
                             at_percent(*facts.identity, percent_of_a_ca_min));
    return Deadline{at, ends_with_ca ? Timer::shadow : Timer::renew, name};
  }
  const Time at = at_percent(*facts.identity, *settings.auto_enroll);
  if (ends_with_ca && facts.can_get_next_ca) return Deadline{at, Timer::shadow, name};
  // Against a CA that cannot roll, every renewal ends with the CA and is shorter than the last:
  // stop at the period.
  if (ends_with_ca &&
      facts.identity->not_after - facts.identity->not_before <= settings.retry_period)
    return std::nullopt;
  return Deadline{at, Timer::renew, name};
}

TrustpointFacts begun(TrustpointFacts facts, Phase phase, RequestKind kind, Time now) {
  facts.phase = phase;
  facts.kind = kind;
  facts.since = now;
  facts.tries = 0;
  facts.failing = false;
  facts.come_again.reset();
  return facts;
}

TrustpointStep promoted(TrustpointFacts facts) {
  facts.ca = facts.rollover_ca;
  facts.identity = facts.rollover_identity;
  facts.rollover_ca.reset();
  facts.rollover_identity.reset();
  // A shadow request that was still under way named a CA that is the active one now: it starts over
  // as an initial one.
  return {at_rest(std::move(facts), Phase::idle), {TrustpointAction::promote}};
}

TrustpointStep on_life_deadline(const TrustpointSettings& settings, const TrustpointFacts& facts,
                                Timer timer, Time now) {
  if (!facts.ca) {
    TrustpointFacts next = facts;
    if (!next.since) {
      next.since = now;
      next.tries = 0;
    } else {
      next = counted(settings, std::move(next), now);
      next.tries = std::min(next.tries, doublings_unauthenticated_max);
      if (doubled(*next.since, settings.retry_period, next.tries) <= now) next.since = now;
    }
    if (!settings.pinned) return {next, {}};
    return {next, {TrustpointAction::fetch_ca}};
  }
  if (timer == Timer::shadow && !facts.rollover_ca) {
    return {begun(facts, Phase::fetching_next_ca, RequestKind::shadow, now),
            {TrustpointAction::fetch_next_ca}};
  }
  const RequestKind kind = timer == Timer::shadow        ? RequestKind::shadow
                           : usable(facts.identity, now) ? RequestKind::renew
                                                         : RequestKind::initial;
  return {begun(facts, Phase::requesting, kind, now), {TrustpointAction::begin_request}};
}

TrustpointStep on_deadline(const TrustpointSettings& settings, const TrustpointFacts& facts,
                           Time now) {
  if (facts.rollover_ca && facts.ca && now >= facts.ca->not_after) return promoted(facts);
  if (const auto next = after_steps_back(settings, facts, now);
      next.phase != facts.phase || next.since != facts.since || next.tries != facts.tries ||
      next.come_again != facts.come_again)
    return {next, {}};
  const auto all = deadlines(settings, facts, "");
  if (all.empty() || all.front().at > now) return {facts, {}};
  const Timer timer = all.front().timer;
  switch (facts.phase) {
    case Phase::idle:
      return on_life_deadline(settings, facts, timer, now);
    case Phase::stopped:
      return {facts, {}};
    case Phase::polling: {
      if (timer == Timer::renew) break;
      TrustpointFacts next = counted(settings, facts, now);
      next.come_again.reset();
      return {next, {TrustpointAction::send_poll}};
    }
    case Phase::fetching_next_ca:
    case Phase::requesting: {
      if (timer == Timer::renew) break;
      TrustpointFacts next = counted(settings, facts, now);
      if (facts.come_again) {
        // There is somebody, and he keeps order: what comes next is a first try.
        next.since = now;
        next.tries = 0;
        next.come_again.reset();
      }
      next.failing = false;
      return {next,
              {facts.phase == Phase::requesting ? TrustpointAction::send_request
                                                : TrustpointAction::fetch_next_ca}};
    }
  }
  // RENEW while a renewal is still under way: the identity it was to replace has ended. Begin as at
  // first.
  return {begun(facts, Phase::requesting, RequestKind::initial, now),
          {TrustpointAction::begin_request}};
}

TrustpointStep on_restart(const TrustpointSettings& settings, const TrustpointFacts& facts) {
  TrustpointFacts next = facts;
  switch (facts.phase) {
    case Phase::idle:
    case Phase::stopped:
      return {next, {}};
    case Phase::polling:
      // The answer to the last poll was not waited for.
      if (facts.since && deadlines(settings, facts, "").empty())
        return {next, {TrustpointAction::send_poll}};
      return {next, {}};
    case Phase::fetching_next_ca:
      next.failing = false;
      return {next, {TrustpointAction::fetch_next_ca}};
    case Phase::requesting:
      next.failing = false;
      return {next, {TrustpointAction::send_request}};
  }
  return {next, {}};
}

TrustpointStep on_no_answer(const TrustpointSettings& settings, const TrustpointFacts& facts,
                            std::optional<Time> come_again, Time now) {
  TrustpointFacts next = facts;
  next.come_again =
      waiting(facts.phase) || facts.phase == Phase::fetching_next_ca ? come_again : std::nullopt;
  switch (facts.phase) {
    case Phase::idle:
    case Phase::stopped:
      return {next, {}};
    case Phase::polling:  // the next POLL asks again, if there is one
    case Phase::fetching_next_ca:
    case Phase::requesting:
      next.failing = facts.phase != Phase::polling;
      if (deadlines(settings, next, "").empty())
        return {stopped(next, now), {TrustpointAction::give_up}};
      return {next, {}};
  }
  return {next, {}};
}

}  // namespace

std::vector<Deadline> deadlines(const TrustpointSettings& settings, const TrustpointFacts& facts,
                                const std::string& name) {
  std::vector<Deadline> all;
  if (facts.rollover_ca && facts.ca) all.push_back({facts.ca->not_after, Timer::switch_over, name});
  const auto add_try = [&](Timer timer) {
    if (const auto at = next_try(settings, facts)) {
      all.push_back({*at, timer, name});
    } else if (settings.auto_enroll && facts.kind == RequestKind::renew && facts.identity) {
      all.push_back({facts.identity->not_after, Timer::renew, name});
    }
  };
  switch (facts.phase) {
    case Phase::idle:
      if (const auto life = life_deadline(settings, facts, name)) all.push_back(*life);
      break;
    case Phase::fetching_next_ca:
    case Phase::requesting:
      if (facts.failing) add_try(Timer::connect_retry);
      break;
    case Phase::polling:
      add_try(Timer::poll);
      break;
    case Phase::stopped:
      break;
  }
  std::sort(all.begin(), all.end());
  return all;
}

TrustpointStep step(const TrustpointSettings& settings, const TrustpointFacts& facts,
                    const TrustpointEvent& event, Time now) {
  const bool waiting = facts.phase == Phase::requesting || facts.phase == Phase::polling;
  switch (event.kind) {
    case TrustpointEventKind::deadline:
      return on_deadline(settings, facts, now);
    case TrustpointEventKind::restarted:
      return on_restart(settings, facts);
    case TrustpointEventKind::enroll: {
      if (!facts.ca || waiting) return {facts, {}};
      if (settings.is_ca && facts.rollover_identity) return {facts, {}};
      if (settings.is_ca && usable(facts.identity, now)) {
        const bool ends_with_ca = facts.identity->not_after >= facts.ca->not_after;
        return on_life_deadline(settings, facts, ends_with_ca ? Timer::shadow : Timer::renew, now);
      }
      const bool with_rollover = facts.rollover_ca && usable(facts.identity, now) &&
                                 facts.identity->not_after >= facts.ca->not_after;
      const RequestKind kind = with_rollover                 ? RequestKind::shadow
                               : usable(facts.identity, now) ? RequestKind::renew
                                                             : RequestKind::initial;
      return {begun(facts, Phase::requesting, kind, now), {TrustpointAction::begin_request}};
    }
    case TrustpointEventKind::ca_accepted: {
      TrustpointFacts next = at_rest(facts, Phase::idle);
      next.ca = event.validity;
      return {next, {}};
    }
    case TrustpointEventKind::next_ca_received: {
      if (facts.phase != Phase::fetching_next_ca) return {facts, {}};
      TrustpointFacts next = facts;
      next.rollover_ca = event.validity;
      if (settings.auto_enroll && usable(facts.identity, now)) {
        return {begun(next, Phase::requesting, RequestKind::shadow, now),
                {TrustpointAction::begin_request}};
      }
      return {at_rest(next, Phase::idle), {}};
    }
    case TrustpointEventKind::granted: {
      if (!waiting) return {facts, {}};
      TrustpointFacts next = at_rest(facts, Phase::idle);
      if (facts.kind == RequestKind::shadow) {
        next.rollover_identity = event.validity;
        return {next, {TrustpointAction::store_rollover_identity}};
      }
      next.identity = event.validity;
      return {next, {TrustpointAction::install_identity}};
    }
    case TrustpointEventKind::pending: {
      if (facts.phase == Phase::requesting)
        return {begun(facts, Phase::polling, facts.kind, now), {}};
      if (facts.phase == Phase::polling && deadlines(settings, facts, "").empty()) {
        return {stopped(facts, now), {TrustpointAction::give_up}};
      }
      return {facts, {}};
    }
    case TrustpointEventKind::rejected:
      if (!waiting) return {facts, {}};
      return {stopped(facts, now), {}};
    case TrustpointEventKind::forgotten: {
      if (!waiting) return {facts, {}};
      if (!dogged(settings)) return {stopped(facts, now), {}};
      // Nobody looked at the request until it expired above. A server does not give up: the same
      // one again, or one that needs no signer of old if that has ended meanwhile.
      if (facts.kind != RequestKind::initial && !usable(facts.identity, now)) {
        return {begun(facts, Phase::requesting, RequestKind::initial, now),
                {TrustpointAction::begin_request}};
      }
      return {begun(facts, Phase::requesting, facts.kind, now), {TrustpointAction::send_request}};
    }
    case TrustpointEventKind::no_answer:
      return on_no_answer(settings, facts, event.come_again, now);
  }
  return {facts, {}};
}

std::optional<Misfit> misfit(RequestKind kind, const Validity& granted, const Validity& ca,
                             Time now) {
  if (granted.not_after <= granted.not_before || granted.not_after <= now) return Misfit::expired;
  if (kind == RequestKind::shadow) {
    if (granted.not_after <= ca.not_after) return Misfit::ends_with_active_ca;
    return std::nullopt;
  }
  if (granted.not_before > now + not_before_ahead_max) return Misfit::not_valid_yet;
  return std::nullopt;
}

std::optional<Time> rest_after_install(const TrustpointSettings& settings,
                                       const TrustpointFacts& facts, Time now) {
  const auto next = deadlines(settings, facts, "");
  if (next.empty() || next.front().at > now) return std::nullopt;
  return now + settings.retry_period;
}

}  // namespace umbra::lifecycle
