#include "io/http_server.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <map>
#include <mutex>
#include <optional>

namespace umbra::io {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using Body = http::vector_body<std::uint8_t>;

HttpReply plain(unsigned status, const char* text) {
  return {status, "text/plain", to_bytes(as_bytes(text))};
}

/// Who is connected. A session ends on whichever thread lets go of it last.
class Census {
 public:
  void enter(const asio::ip::address& address) {
    const std::lock_guard lock(mutex_);
    ++all_;
    ++by_address_[address];
  }
  void leave(const asio::ip::address& address) {
    const std::lock_guard lock(mutex_);
    --all_;
    const auto same = by_address_.find(address);
    if (--same->second == 0) by_address_.erase(same);
  }
  [[nodiscard]] bool full(const asio::ip::address& address, const HttpLimits& limits) const {
    const std::lock_guard lock(mutex_);
    const auto same = by_address_.find(address);
    return all_ >= limits.connections ||
           (same != by_address_.end() && same->second >= limits.connections_per_address);
  }

 private:
  mutable std::mutex mutex_;
  std::size_t all_ = 0;
  std::map<asio::ip::address, std::size_t> by_address_;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, asio::ip::address address, asio::thread_pool& workers,
          const HttpLimits& limits, const HttpHandler& handler, std::shared_ptr<Census> census)
      : stream_(std::move(socket)),
        address_(std::move(address)),
        workers_(workers),
        limits_(limits),
        handler_(handler),
        census_(std::move(census)) {
    census_->enter(address_);
  }
  ~Session() { census_->leave(address_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void read() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(limits_.header_octets));
    parser_->body_limit(limits_.body_octets);
    // One bound for the whole request: who sends an octet a second is cut off like who sends
    // nothing.
    stream_.expires_after(std::chrono::seconds(limits_.request_seconds));
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](beast::error_code error, std::size_t) {
                       self->on_read(error);
                     });
  }

 private:
  void on_read(beast::error_code error) {
    if (error == http::error::end_of_stream) return close();
    if (error == http::error::header_limit)
      return answer(plain(431, "the request's header is too large\n"), false);
    if (error == http::error::body_limit)
      return answer(plain(413, "the request is too large\n"), false);
    if (error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::partial_message) {
      return answer(plain(400, "not an HTTP request\n"), false);
    }
    if (error) return;  // time-out or reset: the socket closes with this object
    auto message = parser_->release();
    keep_alive_ = message.keep_alive();
    version_ = message.version();
    head_ = message.method() == http::verb::head;
    auto request = std::make_shared<HttpRequest>();
    request->method = std::string(message.method_string());
    request->target = std::string(message.target());
    request->body = std::move(message.body());
    stream_.expires_never();  // the peer waits for us now
    asio::post(workers_, [self = shared_from_this(), request] {
      self->handler_(*request, [self](HttpReply reply) {
        asio::post(self->stream_.get_executor(), [self, reply = std::move(reply)]() mutable {
          self->answer(std::move(reply), self->keep_alive_);
        });
      });
    });
  }

  void answer(HttpReply reply, bool keep_alive) {
    response_.emplace(http::int_to_status(reply.status), version_);
    response_->set(http::field::content_type, reply.content_type);
    response_->keep_alive(keep_alive);
    const std::size_t length = reply.body.size();
    if (!head_) response_->body() = std::move(reply.body);
    response_->content_length(length);
    serializer_.emplace(*response_);
    stream_.expires_after(std::chrono::seconds(limits_.reply_seconds));
    const auto written = [self = shared_from_this(), keep_alive](beast::error_code error,
                                                                 std::size_t) {
      if (error) return;
      if (!keep_alive) return self->close();
      self->read();
    };
    if (head_) {
      http::async_write_header(stream_, *serializer_, written);
    } else {
      http::async_write(stream_, *serializer_, written);
    }
  }

  void close() {
    beast::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  beast::tcp_stream stream_;
  asio::ip::address address_;
  asio::thread_pool& workers_;
  const HttpLimits& limits_;
  const HttpHandler& handler_;
  std::shared_ptr<Census> census_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<Body>> parser_;
  std::optional<http::response<Body>> response_;
  std::optional<http::response_serializer<Body>> serializer_;
  bool keep_alive_ = false;
  bool head_ = false;
  unsigned version_ = 11;
};

}  // namespace

class HttpServer::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(asio::io_context& loop, asio::thread_pool& workers, HttpLimits limits,
           HttpHandler handler)
      : acceptor_(loop),
        retry_(loop),
        workers_(workers),
        limits_(limits),
        handler_(std::move(handler)),
        census_(std::make_shared<Census>()) {}

  Result<void> open(const std::string& address, std::uint16_t port) {
    beast::error_code error;
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
    if (error) return failed("listen on");
    return {};
  }

  void accept() {
    acceptor_.async_accept(
        [self = shared_from_this()](beast::error_code error, tcp::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (error) return self->pause();
          self->admit(std::move(socket));
          self->accept();
        });
  }

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void stop() {
    asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
      beast::error_code ignored;
      self->acceptor_.close(ignored);
      self->retry_.cancel();
    });
  }

 private:
  /// Out of file descriptors, most likely: breathe, instead of spinning on the same error.
  void pause() {
    retry_.expires_after(std::chrono::milliseconds(100));
    retry_.async_wait([self = shared_from_this()](beast::error_code error) {
      if (!error) self->accept();
    });
  }

  void admit(tcp::socket socket) {
    beast::error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    if (census_->full(peer.address(), limits_)) return;
    socket.set_option(tcp::no_delay(true), error);
    std::make_shared<Session>(std::move(socket), peer.address(), workers_, limits_, handler_,
                              census_)
        ->read();
  }

  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  asio::thread_pool& workers_;
  HttpLimits limits_;
  HttpHandler handler_;
  std::shared_ptr<Census> census_;
};

Result<std::unique_ptr<HttpServer>> HttpServer::listen(asio::io_context& loop,
                                                       asio::thread_pool& workers,
                                                       const std::string& address,
                                                       std::uint16_t port, HttpLimits limits,
                                                       HttpHandler handler) {
  auto listener = std::make_shared<Listener>(loop, workers, limits, std::move(handler));
  UMBRA_CHECK(listener->open(address, port));
  listener->accept();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(listener)));
}

HttpServer::~HttpServer() { stop(); }
std::uint16_t HttpServer::port() const { return listener_->port(); }
void HttpServer::stop() { listener_->stop(); }

}  // namespace umbra::io
