#include "io/rate_limit.h"

#include <algorithm>

namespace umbra::io {

namespace ip = boost::asio::ip;

ip::address household_of(const ip::address& address) {
  if (address.is_v4()) return address;
  const ip::address_v6 wide = address.to_v6();
  if (wide.is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, wide);
  auto octets = wide.to_bytes();
  std::fill(octets.begin() + 8, octets.end(), std::uint8_t{0});
  return ip::address_v6(octets);
}

RateLimit::RateLimit(unsigned per_second, unsigned burst, std::size_t peers_max)
    : step_(per_second == 0 ? Clock::duration::zero()
                            : Clock::duration(std::chrono::seconds(1)) / per_second),
      depth_(step_ * std::max(burst, 1U)),
      peers_max_(peers_max) {}

bool RateLimit::take(const ip::address& peer, Clock::time_point now) {
  if (step_ == Clock::duration::zero()) return true;
  const auto known = full_at_.find(peer);
  if (known != full_at_.end()) {
    Bucket& bucket = known->second;
    const auto full_at = std::max(bucket.full_at, now) + step_;
    if (full_at - now > depth_) return false;
    bucket.full_at = full_at;
    turns_.splice(turns_.end(), turns_, bucket.turn);
    return true;
  }
  // A full bucket is as good as none.
  while (!turns_.empty() &&
         (full_at_.size() >= peers_max_ || full_at_.at(turns_.front()).full_at <= now)) {
    full_at_.erase(turns_.front());
    turns_.pop_front();
  }
  turns_.push_back(peer);
  full_at_.emplace(peer, Bucket{now + step_, std::prev(turns_.end())});
  return true;
}

}  // namespace umbra::io
