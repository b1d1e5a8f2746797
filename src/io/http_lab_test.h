#pragma once

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "io/http_client.h"
#include "io/http_server.h"

namespace umbra::io {

namespace asio = boost::asio;
using asio::ip::tcp;

/// A real server on loopback; its handler tells what it was asked.
class HttpTest : public testing::Test {
 protected:
  void serve(HttpLimits limits = {}) {
    auto listening = HttpServer::listen(
        loop, "127.0.0.1", 0, limits, [this](const auto& asked_for, HttpDone done) {
          const HttpRequest& request = *asked_for;
          if (request.target == "/shared") return done({200, "text/plain", {}, shared});
          if (request.target == "/unhurried") {
            HttpReply reply{200, "text/plain", {}};
            reply.unhurried = true;
            return done(std::move(reply));
          }
          if (request.target == "/busy") {
            HttpReply reply{503, "text/plain", {}};
            reply.retry_after = std::chrono::seconds{17};
            return done(std::move(reply));
          }
          if (request.target == "/later") {
            later = std::move(done);
            asked.set_value();
            return;
          }
          const std::string said =
              request.method + " " + request.target + " " + std::to_string(request.body.size());
          done(
              {request.target == "/missing" ? 404U : 200U, "text/plain", to_bytes(as_bytes(said))});
        });
    ASSERT_TRUE(listening) << listening.error().detail;
    server = *std::move(listening);
    port = server->port();
    thread = std::thread([this] { loop.run(); });
  }
  ~HttpTest() override {
    client.stop();
    if (server) server->stop();
    workers.join();
    loop.stop();
    if (thread.joinable()) thread.join();
  }

  [[nodiscard]] std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port) + path;
  }
  Result<HttpReply> call(HttpCall what) {
    std::promise<Result<HttpReply>> promise;
    auto future = promise.get_future();
    client.send(std::move(what),
                [&](Result<HttpReply> reply) { promise.set_value(std::move(reply)); });
    return future.get();
  }
  [[nodiscard]] tcp::socket connect() const {
    tcp::socket socket(raw);
    socket.connect({asio::ip::make_address("127.0.0.1"), port});
    return socket;
  }
  /// Everything the server says until it closes the connection.
  static std::string rest(tcp::socket& socket) {
    std::string all;
    std::array<char, 4096> chunk{};
    boost::system::error_code error;
    while (!error) {
      const std::size_t got = socket.read_some(asio::buffer(chunk), error);
      all.append(chunk.data(), got);
    }
    return all;
  }
  [[nodiscard]] std::string say(const std::string& text, bool then_shut = false) const {
    auto socket = connect();
    boost::system::error_code error;
    asio::write(socket, asio::buffer(text), error);
    if (then_shut) socket.shutdown(tcp::socket::shutdown_send, error);
    return rest(socket);
  }

  asio::io_context loop{1};
  asio::thread_pool workers{2};
  mutable asio::io_context raw;
  std::unique_ptr<HttpServer> server;
  std::uint16_t port = 0;
  std::thread thread;
  CurlTransport client;
  HttpDone later;
  const std::shared_ptr<const Bytes> shared = std::make_shared<Bytes>(1 << 18, std::uint8_t{0x5A});
  std::promise<void> asked;
};

}  // namespace umbra::io
