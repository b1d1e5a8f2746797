#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/http.h"
#include "base/log.h"

namespace boost::asio {
class io_context;
}  // namespace boost::asio

namespace umbra::io {

struct HttpLimits {
  std::size_t header_octets =
      std::size_t{80} * 1024;  ///< certmonger puts whole requests into the URL
  std::size_t header_fields = 100;
  std::size_t body_octets = std::size_t{64} * 1024;
  /// For a whole request to arrive, and for an idle connection to say something.
  int request_seconds = 12;
  int reply_seconds = 12;  ///< without taking any more of an answer
  std::size_t connections = 4096;
  std::size_t connections_per_address = 1024;  ///< of IPv6: per /64, here and below
  /// Of requests that have come, whole or in part, and are not answered yet.
  std::size_t request_octets_in_all = std::size_t{12} * 1024 * 1024;
  unsigned requests_per_second = 2000;  ///< of one address; 0 = no limit
  unsigned requests_burst = 20000;

  friend bool operator==(const HttpLimits&, const HttpLimits&) = default;
};
/// Called on the network's loop: it must not block.
using HttpHandler = std::function<void(std::shared_ptr<const HttpRequest>, HttpDone)>;

/// HTTP/1.1 (and 1.0) on one port: bounded in size, time, number and rate. Where there is no room
/// for a connection or for what has come, the one goes that has kept us waiting longest. The
/// network is one loop; replies may come from any thread.
class HttpServer {
 public:
  /// In:     address: dotted or IPv6; empty = all. port 0 = any free one.
  /// Errors: storage (the port is taken, or may not be had), with what to do.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> listen(boost::asio::io_context& loop,
                                                                  const std::string& address,
                                                                  std::uint16_t port,
                                                                  HttpLimits limits,
                                                                  HttpHandler handler);
  ~HttpServer();
  [[nodiscard]] std::uint16_t port() const;
  /// No new connections; those that are open end with their next reply or time-out.
  void stop();

 private:
  class Listener;
  explicit HttpServer(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
  std::shared_ptr<Listener> listener_;
};

}  // namespace umbra::io
