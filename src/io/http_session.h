#pragma once

#include <array>
#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>

#include "io/guests.h"
#include "io/http_server.h"
#include "io/rate_limit.h"

/// The inside of HttpServer: what its listener and its sessions share.
namespace umbra::io {

/// A session may outlive the listener.
struct HttpHouse {
  HttpHouse(const HttpLimits& bounds, HttpHandler answers);
  const HttpLimits limits;
  const HttpHandler handler;
  Guests guests;
  RateLimit rate;  ///< the loop's
  /// Has some of those let in that have connected meanwhile; the listener's, on the loop. Not only
  /// its own turn's: each would wait until all who are in have been looked after.
  std::function<void()> let_in;
  unsigned looked_after = 0;  ///< since it was called
  /// Where what nobody wants to know is read into, by all of them.
  std::array<char, 16384> dropped{};
  std::atomic<bool> stopping = false;
};

/// Serves one connection until it ends; lives as long as something is under way on it. `room`:
/// false = its first and last answer is 503. On the loop.
void serve_http(boost::asio::ip::tcp::socket socket, const boost::asio::ip::address& peer,
                std::shared_ptr<HttpHouse> house, bool room);

}  // namespace umbra::io
