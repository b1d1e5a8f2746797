#pragma once

#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <list>
#include <map>

namespace umbra::io {

/// Who counts as one peer: an IPv4 address, also where it comes mapped into IPv6; of IPv6 the /64,
/// since whoever has one address there has 2^64 of them.
[[nodiscard]] boost::asio::ip::address household_of(const boost::asio::ip::address& address);

/// So many requests a second from one peer, and a burst on top: a token bucket each, of which only
/// the moment is kept at which it will be full again. Not thread-safe.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;
  /// `per_second` 0: no limit. `peers_max`: who has asked least recently is forgotten beyond.
  RateLimit(unsigned per_second, unsigned burst, std::size_t peers_max = 16384);
  /// A request comes in. False: it is one too many. Cost: logarithmic in the peers remembered.
  [[nodiscard]] bool take(const boost::asio::ip::address& peer, Clock::time_point now);
  [[nodiscard]] std::size_t peers() const { return full_at_.size(); }

 private:
  struct Bucket {
    Clock::time_point full_at;
    std::list<boost::asio::ip::address>::iterator turn;
  };
  const Clock::duration step_;   ///< in which one request is made good; 0 = no limit
  const Clock::duration depth_;  ///< of an empty bucket
  const std::size_t peers_max_;
  std::map<boost::asio::ip::address, Bucket> full_at_;
  std::list<boost::asio::ip::address> turns_;  ///< who asked least recently is the first
};

}  // namespace umbra::io
