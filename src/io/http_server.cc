#include "io/http_server.h"

#include <fmt/format.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>

#include "io/http_session.h"

namespace umbra::io {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

/// Told that there is no room, at once; who comes beyond is not told.
constexpr std::size_t turned_away_max = 64;
constexpr int let_in_at_once = 16;

}  // namespace

class HttpServer::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(asio::io_context& loop, std::shared_ptr<HttpHouse> house)
      : acceptor_(loop), retry_(loop), house_(std::move(house)) {}

  Result<void> open(const std::string& address, std::uint16_t port) {
    boost::system::error_code error;
    const auto ip = address.empty() ? asio::ip::address(asio::ip::address_v6::any())
                                    : asio::ip::make_address(address, error);
    if (error) return fail(Errc::malformed, fmt::format("\"{}\" is no IP address", address));
    const auto failed = [&](const char* what) {
      return fail(
          Errc::storage,
          fmt::format(
              "cannot {} {} port {}: {}; choose another with `ip http port` or `ip http address`",
              what, address.empty() ? "all addresses," : address, port, error.message()));
    };
    tcp::endpoint endpoint(ip, port);
    acceptor_.open(endpoint.protocol(), error);
    if (error && address.empty()) {  // no IPv6 here
      endpoint = tcp::endpoint(asio::ip::address_v4::any(), port);
      acceptor_.open(endpoint.protocol(), error);
    }
    if (error) return failed("open a socket for");
    acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (endpoint.address().is_v6() && address.empty())
      acceptor_.set_option(asio::ip::v6_only(false), error);
    acceptor_.bind(endpoint, error);
    if (error) return failed("bind");
    acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) acceptor_.non_blocking(true, error);
    // Else who has gone again before he was let in would be waited for, and all the others with
    // him.
    if (!error) acceptor_.set_option(asio::socket_base::enable_connection_aborted(true), error);
    if (!error) port_ = acceptor_.local_endpoint(error).port();
    if (error) return failed("listen on");
    return {};
  }

  void open_door() {
    house_->let_in = [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->let_in();
    };
    accept();
  }

  void accept() {
    if (house_->stopping) return;
    acceptor_.async_accept(
        [self = shared_from_this()](boost::system::error_code error, tcp::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (error == asio::error::connection_aborted) return self->accept();
          if (error) return self->pause();
          self->admit(std::move(socket));
          self->let_in();
          self->accept();
        });
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  void stop() {
    house_->stopping = true;
    // At once on the loop itself: the port may be opened anew, at another address, in its next
    // turn.
    asio::dispatch(acceptor_.get_executor(), [self = shared_from_this()] {
      boost::system::error_code ignored;
      self->acceptor_.close(ignored);
      self->retry_.cancel();
    });
  }

 private:
  /// Out of file descriptors, most likely: breathe, instead of spinning on the same error.
  void pause() {
    retry_.expires_after(std::chrono::milliseconds(100));
    retry_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->accept();
    });
  }

  /// Who has come meanwhile, as far as that goes without waiting.
  void let_in() {
    for (int i = 0; i < let_in_at_once && !house_->stopping; ++i) {
      boost::system::error_code error;
      tcp::socket socket(acceptor_.get_executor());
      acceptor_.accept(socket, error);
      if (error) return;  // nobody; anything else the next turn is told
      admit(std::move(socket));
    }
  }

  void admit(tcp::socket socket) {
    boost::system::error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    const auto [room, leaves] = house_->guests.welcome(household_of(peer.address()));
    if (leaves) leaves->give_way();
    // All of them wait for us, and not we for them.
    if (!room && house_->guests.count() >= house_->limits.connections + turned_away_max) return;
    socket.set_option(tcp::no_delay(true), error);
    serve_http(std::move(socket), peer.address(), house_, room);
  }

  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::shared_ptr<HttpHouse> house_;
  std::uint16_t port_ = 0;
};

Result<std::unique_ptr<HttpServer>> HttpServer::listen(asio::io_context& loop,
                                                       const std::string& address,
                                                       std::uint16_t port, HttpLimits limits,
                                                       HttpHandler handler) {
  auto listener =
      std::make_shared<Listener>(loop, std::make_shared<HttpHouse>(limits, std::move(handler)));
  UMBRA_CHECK(listener->open(address, port));
  listener->open_door();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(listener)));
}

HttpServer::~HttpServer() { stop(); }
std::uint16_t HttpServer::port() const { return listener_->port(); }
void HttpServer::stop() { listener_->stop(); }

}  // namespace umbra::io
