#include "io/guests.h"

#include <algorithm>

namespace umbra::io {
namespace {

/// An honest request comes in a packet or two.
constexpr std::size_t few_octets = 4096;
constexpr std::size_t departures_max = 64;

}  // namespace

Guests::Welcome Guests::welcome(const boost::asio::ip::address& peer) {
  const std::lock_guard lock(mutex_);
  const auto own = households_.find(peer);
  if (own != households_.end() && own->second.count >= bounds_.connections_per_peer) {
    if (own->second.waiting.empty()) return {};
    return {true, send_away(*own->second.waiting.front())};
  }
  if (stays_.size() < bounds_.connections) return {true, nullptr};
  if (waiting_.empty()) return {};
  return {true, send_away(least_missed())};
}

/// All households are looked at for the first of a number of departures, and not for each.
Guests::Stay& Guests::least_missed() {
  if (good_for_ == 0) {
    const auto largest = std::max_element(
        households_.begin(), households_.end(), [](const auto& one, const auto& other) {
          return one.second.waiting.size() < other.second.waiting.size();
        });
    const std::size_t size = largest->second.waiting.size();
    crowd_.reset();
    if (size > 1) crowd_ = largest->first;
    good_for_ = std::clamp<std::size_t>(size / 2, 1, departures_max);
  }
  --good_for_;
  const auto crowd = crowd_ ? households_.find(*crowd_) : households_.end();
  if (crowd == households_.end() || crowd->second.waiting.empty()) return *waiting_.front();
  return *crowd->second.waiting.front();
}

Guests::Ticket Guests::enter(const boost::asio::ip::address& peer, std::weak_ptr<Guest> who) {
  const std::lock_guard lock(mutex_);
  ++households_[peer].count;
  Stay stay;
  stay.peer = peer;
  stay.who = std::move(who);
  return stays_.insert(stays_.end(), std::move(stay));
}

void Guests::leave(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  stop_waiting(*ticket);
  octets_ -= ticket->octets;
  const auto own = households_.find(ticket->peer);
  if (--own->second.count == 0) households_.erase(own);
  stays_.erase(ticket);
}

void Guests::waits(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  stop_waiting(*ticket);
  Stay& stay = *ticket;
  auto& own = households_.at(stay.peer).waiting;
  stay.among_all = waiting_.insert(waiting_.end(), &stay);
  stay.among_own = own.insert(own.end(), &stay);
  stay.waiting = true;
}

void Guests::is_served(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  stop_waiting(*ticket);
}

std::shared_ptr<Guest> Guests::holds(Ticket ticket, std::size_t octets) {
  const std::lock_guard lock(mutex_);
  Stay& stay = *ticket;
  octets_ += octets - stay.octets;
  stay.octets = octets;
  if (stay.waiting && !stay.with_much && octets > few_octets) {
    stay.among_those_with_much = waiting_with_much_.insert(waiting_with_much_.end(), &stay);
    stay.with_much = true;
  }
  if (octets_ <= bounds_.octets || waiting_with_much_.empty()) return nullptr;
  return send_away(*waiting_with_much_.front());
}

bool Guests::over() const {
  const std::lock_guard lock(mutex_);
  return octets_ > bounds_.octets;
}

std::size_t Guests::count() const {
  const std::lock_guard lock(mutex_);
  return stays_.size();
}

void Guests::stop_waiting(Stay& stay) {
  if (stay.waiting) {
    waiting_.erase(stay.among_all);
    households_.at(stay.peer).waiting.erase(stay.among_own);
    stay.waiting = false;
  }
  if (stay.with_much) {
    waiting_with_much_.erase(stay.among_those_with_much);
    stay.with_much = false;
  }
}

/// What he holds counts no more: it is freed as soon as his connection is closed.
std::shared_ptr<Guest> Guests::send_away(Stay& stay) {
  stop_waiting(stay);
  octets_ -= stay.octets;
  stay.octets = 0;
  return stay.who.lock();
}

}  // namespace umbra::io
