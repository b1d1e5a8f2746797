#include <algorithm>

#include <fmt/format.h>

#include "server/publisher.h"

/// What an administrator is told of places: that they fail, lag behind, fill up, and are well
/// again.
namespace umbra::server {
namespace {

constexpr Seconds between_looks_at_room = std::chrono::minutes{1};

}  // namespace

/// Cost: reads all that waits.
std::uint64_t Publisher::waiting_at(const Place& place) const {
  std::uint64_t waiting = 0;
  {
    const std::lock_guard lock(state_mutex_);
    if (place.fate.failing()) waiting = place.fate.standing;
  }
  const auto size = environment_.store.outbox_size(configuration_.name);
  if (!size) return waiting;
  for (const Slot slot : place.is.slots) {
    const auto found = size->waiting.find(number_of(slot));
    if (found != size->waiting.end()) waiting += found->second;
  }
  return waiting;
}

void Publisher::note_failure(Place& place, const Error& error, Time now) {
  const std::uint64_t waiting = waiting_at(place);
  const bool originals = place.is.keeps_originals();
  bool first = false;
  bool another = false;
  bool grown = false;
  Time since;
  {
    const std::lock_guard lock(state_mutex_);
    PlaceFate& fate = place.fate;
    first = !fate.failing();
    another = fate.error != error.detail;
    if (!fate.behind_since) {
      fate.behind_since = now;
      fate.arrived = 0;
      fate.announced = 0;
    }
    ++fate.failures;
    fate.last_try = now;
    fate.error = error.detail;
    grown = backlog_step(waiting) > fate.announced;
    if (grown) fate.announced = backlog_step(waiting);
    since = *fate.behind_since;
    if (first && originals) ++blocked_;
  }
  const std::string& url = place.is.where.url;
  if (first || another) {
    log(Severity::error, "CS_PUBLISH",
        fmt::format("files of {} cannot be written to {}: {}; {}", configuration_.name, url,
                    error.detail,
                    strict_ && originals ? "it is tried again"
                                         : "they are kept, and sent when it can be reached again"));
  }
  if (first && strict_ && originals) {
    log(Severity::error, "CS_CRIT_STORAGE",
        fmt::format("Critical certificate server storage, {}, is inaccessible, server disabled.",
                    url));
  }
  if (grown) {
    log(Severity::error, "CS_BACKLOG",
        fmt::format("{} of {} wait for {} since {}", files(waiting), configuration_.name, url,
                    to_rfc3339(since)));
  }
}

void Publisher::note_success(Place& place, bool drained) {
  bool enabled = false;
  std::optional<PlaceFate> over;
  {
    const std::lock_guard lock(state_mutex_);
    PlaceFate& fate = place.fate;
    if (fate.failing()) {
      fate.failures = 0;
      fate.error.clear();
      if (place.is.keeps_originals()) enabled = --blocked_ == 0 && strict_;
    }
    if (drained && fate.behind_since) {
      over = fate;
      fate = PlaceFate{};
    }
  }
  if (enabled) log(Severity::informational, "CS_ENABLED", "Certificate server now enabled.");
  if (over) {
    log(Severity::notice, "CS_PUBLISHED",
        fmt::format("all that {} had kept for {} since {} has arrived: {}", configuration_.name,
                    place.is.where.url, to_rfc3339(*over->behind_since), files(over->arrived)));
  }
}

/// A place that can be reached, and is slower than the certificates come.
void Publisher::note_backlog(Place& place) {
  const std::uint64_t waiting = waiting_at(place);
  const std::uint64_t step = backlog_step(waiting);
  {
    const std::lock_guard lock(state_mutex_);
    PlaceFate& fate = place.fate;
    if (step <= fate.announced) return;
    fate.announced = step;
    if (!fate.behind_since) {
      fate.behind_since = to_time(environment_.clock.now());
      fate.arrived = 0;
    }
  }
  log(Severity::warning, "CS_BACKLOG",
      fmt::format("{} of {} wait for {}", files(waiting), configuration_.name, place.is.where.url));
}

std::vector<Backlog> Publisher::backlog() const {
  std::vector<Backlog> all;
  for (const auto& place : places_) {
    Backlog one;
    {
      const std::lock_guard lock(state_mutex_);
      if (!place->fate.behind_since) continue;
      one = {place->is.where.url, 0, *place->fate.behind_since, place->fate.error};
    }
    one.waiting = waiting_at(*place);
    all.push_back(std::move(one));
  }
  return all;
}

// -- room -----------------------------------------------------------------------------------------

void Publisher::watch_room(Place& place, Time now) {
  const auto& before = place.room_looked_at;
  if (before && now >= *before && now - *before < between_looks_at_room) return;
  place.room_looked_at = now;
  watch_room(place.is.where);
  // The data directory, where the database is.
  if (&place == places_.front().get() && place.is.where.url != config::FilePlace{}.url)
    watch_room(config::FilePlace{});
}

void Publisher::watch_room(const config::FilePlace& where) {
  const auto free = environment_.files.free_octets(where);
  if (!free) return;
  bool was_scarce = false;
  const bool is_scarce = *free < room_low;
  {
    const std::lock_guard lock(state_mutex_);
    was_scarce = scarce_.contains(where.url);
    if (is_scarce) {
      scarce_[where.url] = *free;
    } else {
      scarce_.erase(where.url);
    }
  }
  if (is_scarce && !was_scarce) {
    log(Severity::critical, "CS_ROOM",
        fmt::format("{} is nearly full: {} KiB are left where {} keeps its {}; when nothing is "
                    "left, nothing is issued that could not be kept",
                    where.url, *free / 1024, configuration_.name,
                    where.url == config::FilePlace{}.url ? "database" : "files"));
  } else if (was_scarce && !is_scarce) {
    log(Severity::notice, "CS_ROOM", fmt::format("{} has room again", where.url));
  }
}

std::vector<ScarceRoom> Publisher::scarce() const {
  const std::lock_guard lock(state_mutex_);
  std::vector<ScarceRoom> all;
  for (const auto& [url, octets] : scarce_) all.push_back({url, octets});
  return all;
}

}  // namespace umbra::server
