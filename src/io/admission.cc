#include "io/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace umbra::io {
namespace {

// A worker that was held up once says nothing about the next request.
constexpr std::chrono::nanoseconds service_max = std::chrono::milliseconds{100};
constexpr int service_smoothing = 32;

}  // namespace

void Admission::set_wait_max(std::chrono::milliseconds longest) {
  const std::lock_guard lock(mutex_);
  longest_ = longest;
}

/// How long the last of so many waits.
std::chrono::nanoseconds Admission::wait_of(std::size_t waiting) const {
  return service_ * static_cast<std::int64_t>(waiting) / std::max(1U, in_.workers);
}

bool Admission::full() const {
  return costly_ >= in_.waiting_max ||
         (costly_ >= always_welcome && wait_of(costly_ + 1) > longest_);
}

void Admission::admit(std::shared_ptr<const HttpRequest> request, HttpDone done) {
  if (in_.at_hand) {
    if (auto reply = in_.at_hand(*request)) return done(*std::move(reply));
  }
  Waiting one{.request = std::move(request), .done = std::move(done)};
  one.costly = server::Router::costly(*one.request);
  one.sighting.urgency.rank = server::Urgency::Rank::at_once;
  bool look = false;
  {
    const std::lock_guard lock(mutex_);
    look = one.costly && costly_ >= short_line;
  }
  if (look) one.sighting = in_.look(*one.request);
  HttpDone too_many;
  std::pair<std::chrono::seconds, bool> moment;
  std::size_t waiting = 0;
  {
    const std::lock_guard lock(mutex_);
    one.number = ++arrived_;
    const Place place{one.sighting.urgency, one.number};
    if (look && full()) {
      waiting = costly_;
      moment = moment_of_one_more();
      const auto last = std::prev(line_.end());
      if (place < last->first) {
        too_many = std::move(last->second.done);
        line_.erase(last);
        line_.emplace(place, std::move(one));  // and his is the turn of the other
      } else {
        too_many = std::move(one.done);
      }
    } else {
      if (one.costly) ++costly_;
      line_.emplace(place, std::move(one));
      in_.under_way(costly_ + with_workers_);
    }
  }
  if (!too_many) return in_.post([this] { serve_one(); });
  turn_away(too_many, moment.first);
  if (!moment.second) return;
  in_.log.event({Severity::warning, "BUSY",
                 fmt::format("{} requests wait, as many as can be answered in time (ip http "
                             "max-wait): others are told to come again, first enrolments before "
                             "renewals",
                             waiting),
                 "UMBRA"});
  in_.after(quiet_after, [this] { see_whether_it_is_over(); });
}

/// Each is given a moment of his own, one service apart: they come back as fast as they can be
/// answered, and not all at once.
std::pair<std::chrono::seconds, bool> Admission::moment_of_one_more() {
  const auto now = in_.now();
  promised_ = std::max(promised_, now + longest_) + wait_of(1);
  // Who does come back does not wait for thousands who never will.
  if (promised_ > now + retry_after_max) promised_ = now + retry_after_max / 2;
  const auto after = std::chrono::ceil<std::chrono::seconds>(promised_ - now);
  const bool first = !busy_since_;
  if (first) busy_since_ = now;
  put_off_last_ = now;
  ++put_off_;
  return {std::max(after, std::chrono::seconds{1}), first};
}

void Admission::turn_away(const HttpDone& done, std::chrono::seconds retry_after) const {
  ++in_.counters.put_off;
  HttpReply reply{503, "text/plain",
                  to_bytes(as_bytes("too many requests wait already; come again later\n"))};
  reply.retry_after = retry_after;
  done(std::move(reply));
}

void Admission::see_whether_it_is_over() {
  std::string over;
  {
    const std::lock_guard lock(mutex_);
    if (!busy_since_) return;
    if (in_.now() - put_off_last_ >= quiet_after) {
      over = fmt::format(
          "{} requests were told to come again within {} seconds; nobody is now", put_off_,
          std::chrono::ceil<std::chrono::seconds>(put_off_last_ - *busy_since_).count());
      busy_since_.reset();
      put_off_ = 0;
    }
  }
  if (over.empty()) return in_.after(quiet_after, [this] { see_whether_it_is_over(); });
  in_.log.event({Severity::notice, "BUSY_OVER", over, "UMBRA"});
}

std::optional<Admission::Waiting> Admission::next() {
  const std::lock_guard lock(mutex_);
  if (line_.empty()) return std::nullopt;
  auto chosen = line_.begin();
  if (chosen->first.urgency.rank == server::Urgency::Rank::ending &&
      ++turns_ % turns_of_others == 0) {
    const auto other = line_.lower_bound({{server::Urgency::Rank::others, Time{}}, 0});
    if (other != line_.end()) chosen = other;
  }
  Waiting one = std::move(chosen->second);
  line_.erase(chosen);
  if (one.costly) {
    --costly_;
    ++with_workers_;
  }
  return one;
}

void Admission::put_back(Waiting one) {
  one.sighting = {};
  const std::lock_guard lock(mutex_);
  ++costly_;
  --with_workers_;
  line_.emplace(Place{one.sighting.urgency, one.number}, std::move(one));
}

void Admission::serve_one() {
  auto one = next();
  while (one && one->sighting.urgency.rank == server::Urgency::Rank::ending &&
         !in_.vouched(one->sighting)) {
    put_back(*std::move(one));
    one = next();
  }
  if (!one) return;
  const auto begun = in_.now();
  in_.handler(*one->request, std::move(one->done));
  if (one->costly) served(in_.now() - begun);
  in_.afterwards();
}

void Admission::served(std::chrono::nanoseconds one) {
  one = std::min(one, service_max);
  const std::lock_guard lock(mutex_);
  --with_workers_;
  in_.under_way(costly_ + with_workers_);
  service_ = service_ == std::chrono::nanoseconds{0}
                 ? one
                 : service_ + (one - service_) / service_smoothing;
}

}  // namespace umbra::io
