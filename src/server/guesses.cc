#include "server/guesses.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace umbra::server {
namespace {

/// Whoever has one IPv6 address has 2^64 of them.
std::string household(const std::string& address) {
  std::array<unsigned char, 16> octets{};
  if (::inet_pton(AF_INET6, address.c_str(), octets.data()) != 1) return address;
  return to_hex(ByteView(octets).first(8));
}

}  // namespace

bool Guesses::empty(const Bucket& bucket, int depth, Seconds step, Time now) {
  return bucket.full_at > now + step * (depth - 1);
}

Guesses::Verdict Guesses::begin(const std::string& address, Time now) {
  const std::string who = household(address);
  const std::lock_guard lock(mutex_);
  const auto take = [&](Bucket& bucket, int depth, Seconds step) {
    // A clock that was put back locks nobody for years.
    bucket.full_at = std::min(std::max(bucket.full_at, now), now + step * depth) + step;
  };
  const auto own = of_.find(who);
  if (own != of_.end() && empty(own->second, bounds_.of_one, bounds_.one_comes_back, now) &&
      own->second.full_at <= now + bounds_.one_comes_back * (bounds_.of_one + 1)) {
    return Verdict::locked;
  }
  const bool all_empty = empty(all_, bounds_.of_all, bounds_.all_come_back, now) &&
                         all_.full_at <= now + bounds_.all_come_back * (bounds_.of_all + 1);
  if (all_empty && !known_.contains(who)) return Verdict::locked;
  if (own == of_.end() && of_.size() >= bounds_.addresses) {
    // Of those whose tries have all come back nothing need be known; else the least is lost with
    // him whose tries are back first.
    std::erase_if(of_, [&](const auto& one) { return one.second.full_at <= now; });
    if (of_.size() >= bounds_.addresses) {
      of_.erase(std::min_element(of_.begin(), of_.end(), [](const auto& a, const auto& b) {
        return a.second.full_at < b.second.full_at;
      }));
    }
  }
  take(of_[who], bounds_.of_one, bounds_.one_comes_back);
  take(all_, bounds_.of_all, bounds_.all_come_back);
  return Verdict::look;
}

void Guesses::right(const std::string& address, Time now) {
  const std::string who = household(address);
  const std::lock_guard lock(mutex_);
  const auto own = of_.find(who);
  if (own != of_.end()) {
    own->second.full_at -= bounds_.one_comes_back;
    if (own->second.full_at <= now) of_.erase(own);
  }
  all_.full_at -= bounds_.all_come_back;
  if (known_.contains(who)) return;
  if (known_in_turn_.size() >= bounds_.addresses) {
    known_.erase(known_in_turn_.front());
    known_in_turn_.pop_front();
  }
  known_in_turn_.push_back(who);
  known_.insert(who);
}

Guesses::Locks Guesses::wrong(const std::string& address, Time now) const {
  const std::lock_guard lock(mutex_);
  if (empty(all_, bounds_.of_all, bounds_.all_come_back, now)) return Locks::all;
  const auto own = of_.find(household(address));
  return own != of_.end() && empty(own->second, bounds_.of_one, bounds_.one_comes_back, now)
             ? Locks::address
             : Locks::nothing;
}

}  // namespace umbra::server
