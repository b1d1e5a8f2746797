#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/log.h"
#include "config/model.h"
#include "io/http_server.h"

namespace umbra::io {

/// The HTTP server as the configuration wants it: on the port and address it names, or not at all.
class HttpDoor {
 public:
  HttpDoor(boost::asio::io_context& loop, Log& log, HttpHandler handler);
  ~HttpDoor();

  /// Before the loop runs. `wanted`: there is somebody to serve. Errors: storage, as
  /// HttpServer::listen.
  [[nodiscard]] Result<void> open(const config::Configuration& configuration, bool wanted);
  /// While the loop runs; from any other thread, and waits for it. The new door is open before the
  /// old one closes, unless both are on one port. What is under way on the old one is answered.
  /// Errors: storage; then the old one is as it was. conflict: the loop has ended.
  [[nodiscard]] Result<void> change(const config::Configuration& configuration, bool wanted);
  void stop();

 private:
  struct Address {
    bool open = false;
    std::string address;
    std::uint16_t port = 0;
    unsigned requests_per_second = 0;
    unsigned requests_burst = 0;
    friend bool operator==(const Address&, const Address&) = default;
  };
  [[nodiscard]] static Address address_of(const config::Configuration& configuration, bool wanted);
  [[nodiscard]] Result<std::unique_ptr<HttpServer>> listen(const Address& at);
  void opened(const Address& at);
  /// Runs `task` on the loop. False if that has ended.
  template <class Task>
  [[nodiscard]] bool on_loop(Task task);

  boost::asio::io_context& loop_;
  Log& log_;
  HttpHandler handler_;
  HttpLimits limits_;
  Address now_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace umbra::io
