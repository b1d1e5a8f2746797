#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/http.h"
#include "base/log.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace umbra::io {

struct HttpLimits {
  std::size_t header_octets = 80 * 1024;  ///< certmonger puts whole requests into the URL
  std::size_t body_octets = 64 * 1024;
  int request_seconds =
      15;  ///< for a whole request to arrive, and for an idle connection to say something
  int reply_seconds = 30;
  std::size_t connections = 4096;
  std::size_t connections_per_address = 1024;
};
using HttpHandler = std::function<void(const HttpRequest&, HttpDone)>;

/// HTTP/1.1 (and 1.0) on one port: bounded in size, time and number. The network is one loop;
/// handlers run on the worker pool, and their replies may come from any thread.
class HttpServer {
 public:
  /// In:     address: dotted or IPv6; empty = all. port 0 = any free one.
  /// Errors: storage (the port is taken, or may not be had), with what to do.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> listen(
      boost::asio::io_context& loop, boost::asio::thread_pool& workers, const std::string& address,
      std::uint16_t port, HttpLimits limits, HttpHandler handler);
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
