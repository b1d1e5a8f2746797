#include "rehearse/tally.h"

#include <algorithm>

namespace umbra::rehearse {
namespace {

template <class T>
void add_each(std::vector<T>& to, const std::vector<T>& from) {
  for (std::size_t i = 0; i < from.size(); ++i) to[i] += from[i];
}

}  // namespace

Tally::Tally(Offset until, Offset window)
    : seconds(static_cast<std::size_t>(window)),
      hours(static_cast<std::size_t>(until / hour_seconds + 2)),
      days(static_cast<std::size_t>(until / day_seconds + 2)),
      queue(static_cast<std::size_t>(until / hour_seconds + 2)) {}

void Tally::count(Operation operation, Offset when) {
  const auto second = static_cast<std::uint32_t>(when - window_from);
  if (seconds[second]++ == 0) touched.push_back(second);
  ++hours[static_cast<std::size_t>(when / hour_seconds)];
  ++requests[static_cast<std::size_t>(operation)];
}

void Tally::add(const Tally& other) {
  add_each(hours, other.hours);
  add_each(queue, other.queue);
  for (std::size_t i = 0; i < other.days.size(); ++i) {
    for (std::size_t s = 0; s < states; ++s) days[i][s] += other.days[i][s];
  }
  for (std::size_t i = 0; i < operations; ++i) requests[i] += other.requests[i];
  certificates += other.certificates;
  unanswered += other.unanswered;
  lost += other.lost;
  refusals += other.refusals;
  events += other.events;
  broken.insert(broken.end(), other.broken.begin(), other.broken.end());
  std::sort(broken.begin(), broken.end());
  if (broken.size() > broken_max) broken.resize(broken_max);
}

const char* to_string(Operation operation) {
  switch (operation) {
    case Operation::get_ca:
      return "GetCACert";
    case Operation::get_caps:
      return "GetCACaps";
    case Operation::get_next_ca:
      return "GetNextCACert";
    case Operation::enroll:
      return "PKCSReq";
    case Operation::poll:
      return "CertPoll";
  }
  return "";
}

const char* to_string(State state) {
  switch (state) {
    case State::not_enrolled:
      return "not enrolled yet";
    case State::valid:
      return "valid";
    case State::ready:
      return "valid, and ready for the next CA";
    case State::dark:
      return "dark";
    case State::off:
      return "switched off";
  }
  return "";
}

const char* to_string(Cause cause) {
  switch (cause) {
    case Cause::none:
      return "none";
    case Cause::no_auto_enroll:
      return "no-auto-enroll";
    case Cause::no_next_ca:
      return "no-next-ca";
    case Cause::asked_in_vain:
      return "asked-in-vain";
    case Cause::too_late:
      return "too-late";
    case Cause::outage:
      return "outage";
    case Cause::lost:
      return "lost";
    case Cause::switched_off:
      return "switched-off";
    case Cause::slow_person:
      return "slow-person";
    case Cause::left_queue:
      return "left-queue";
    case Cause::refused:
      return "refused";
    case Cause::cancelled:
      return "cancelled";
    case Cause::clock:
      return "clock";
    case Cause::unexplained:
      return "unexplained";
  }
  return "";
}

const char* in_words(Cause cause) {
  switch (cause) {
    case Cause::none:
      return "";
    case Cause::no_auto_enroll:
      return "without auto-enroll nobody renewed its certificate";
    case Cause::no_next_ca:
      return "its CA ended, and none followed";
    case Cause::asked_in_vain:
      return "asked for the next CA before there was one, until its tries were used up";
    case Cause::too_late:
      return "its certificate came, or fell due, too shortly before the CA's end";
    case Cause::outage:
      return "the server was out of reach when it asked";
    case Cause::lost:
      return "its requests, or the answers, were lost on the way";
    case Cause::switched_off:
      return "switched off when it had to renew";
    case Cause::slow_person:
      return "nobody granted its request in time";
    case Cause::left_queue:
      return "its request left the queue before it was granted or fetched";
    case Cause::refused:
      return "its request was refused";
    case Cause::cancelled:
      return "its next CA was cancelled";
    case Cause::clock:
      return "its clock was wrong at the switch-over";
    case Cause::unexplained:
      return "nothing explains it: please report this, with the files and the seed";
  }
  return "";
}

}  // namespace umbra::rehearse
