#include "io/http_server.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
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
using ReplyBody = http::span_body<const std::uint8_t>;

constexpr std::chrono::seconds linger{2};
constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";

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

/// What the listener and its sessions share. A session may outlive the listener.
struct House {
  asio::thread_pool& workers;
  const HttpLimits limits;
  const HttpHandler handler;
  Census census{};
  std::atomic<bool> stopping = false;
};

/// An IPv4 peer of a socket for both families looks like ::ffff:192.0.2.1.
std::string shown(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  return address.to_string();
}

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, asio::ip::address address, std::shared_ptr<House> house)
      : stream_(std::move(socket)),
        address_(std::move(address)),
        house_(std::move(house)),
        // What the parser does not count (chunk extensions, trailers) ends with the buffer.
        buffer_(house_->limits.header_octets + house_->limits.body_octets) {
    house_->census.enter(address_);
  }
  ~Session() { house_->census.leave(address_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void read() {
    if (house_->stopping) return close();
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(house_->limits.header_octets));
    parser_->body_limit(house_->limits.body_octets);
    // One bound for the whole request: who sends an octet a second is cut off like who sends
    // nothing.
    stream_.expires_after(std::chrono::seconds(house_->limits.request_seconds));
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = shared_from_this()](beast::error_code error, std::size_t) {
                              self->on_header(error);
                            });
  }

 private:
  void on_header(beast::error_code error) {
    if (error || parser_->is_done()) return on_read(error);
    const bool asks = beast::iequals(parser_->get()[http::field::expect], "100-continue");
    if (!asks || parser_->get().version() < 11 || buffer_.size() > 0) return read_body();
    // RFC 9110 10.1.1: who asks whether to send a body waits for the answer.
    asio::async_write(stream_, asio::buffer(go_on),
                      [self = shared_from_this()](beast::error_code failed, std::size_t) {
                        if (!failed) self->read_body();
                      });
  }

  void read_body() {
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](beast::error_code error, std::size_t) {
                       self->on_read(error);
                     });
  }

  void on_read(beast::error_code error) {
    if (error == http::error::end_of_stream) return;  // nothing more to say on either side
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
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
    request->address = shown(address_);
    request->method = std::string(message.method_string());
    request->target = std::string(message.target());
    request->body = std::move(message.body());
    stream_.expires_never();  // the peer waits for us now
    asio::post(house_->workers, [self = shared_from_this(), request] {
      self->house_->handler(*request, [self](HttpReply reply) {
        asio::post(self->stream_.get_executor(), [self, reply = std::move(reply)]() mutable {
          self->answer(std::move(reply), self->keep_alive_);
        });
      });
    });
  }

  void answer(HttpReply reply, bool keep_alive) {
    keep_alive = keep_alive && !house_->stopping;
    response_.emplace(http::int_to_status(reply.status), version_);
    response_->set(http::field::content_type, reply.content_type);
    response_->keep_alive(keep_alive);
    reply_ = std::move(reply);
    const Bytes& content = reply_.content();
    if (!head_) response_->body() = {content.data(), content.size()};
    response_->content_length(content.size());
    serializer_.emplace(*response_);
    stream_.expires_after(std::chrono::seconds(house_->limits.reply_seconds));
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

  /// Closing a socket with unread octets resets the connection, and the reset may overtake the
  /// reply: 413 would never be seen by who is still sending. So the rest is read, and dropped, for
  /// a moment.
  void close() {
    beast::error_code error;
    stream_.socket().shutdown(tcp::socket::shutdown_send, error);
    if (error) return;
    buffer_.clear();
    stream_.expires_after(linger);
    drop();
  }

  void drop() {
    stream_.async_read_some(buffer_.prepare(std::min<std::size_t>(buffer_.max_size(), 4096)),
                            [self = shared_from_this()](beast::error_code error, std::size_t) {
                              if (!error) self->drop();
                            });
  }

  beast::tcp_stream stream_;
  asio::ip::address address_;
  std::shared_ptr<House> house_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<Body>> parser_;
  HttpReply reply_;  ///< what `response_` points into
  std::optional<http::response<ReplyBody>> response_;
  std::optional<http::response_serializer<ReplyBody>> serializer_;
  bool keep_alive_ = false;
  bool head_ = false;
  unsigned version_ = 11;
};

}  // namespace

class HttpServer::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(asio::io_context& loop, std::shared_ptr<House> house)
      : acceptor_(loop), retry_(loop), house_(std::move(house)) {}

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
    if (!error) port_ = acceptor_.local_endpoint(error).port();
    if (error) return failed("listen on");
    return {};
  }

  void accept() {
    if (house_->stopping) return;
    acceptor_.async_accept(
        [self = shared_from_this()](beast::error_code error, tcp::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (error) return self->pause();
          self->admit(std::move(socket));
          self->accept();
        });
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  void stop() {
    house_->stopping = true;
    // At once on the loop itself: the port may be opened anew, at another address, in its next turn.
    asio::dispatch(acceptor_.get_executor(), [self = shared_from_this()] {
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
    if (house_->census.full(peer.address(), house_->limits)) return;
    socket.set_option(tcp::no_delay(true), error);
    std::make_shared<Session>(std::move(socket), peer.address(), house_)->read();
  }

  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::shared_ptr<House> house_;
  std::uint16_t port_ = 0;
};

Result<std::unique_ptr<HttpServer>> HttpServer::listen(asio::io_context& loop,
                                                       asio::thread_pool& workers,
                                                       const std::string& address,
                                                       std::uint16_t port, HttpLimits limits,
                                                       HttpHandler handler) {
  auto listener = std::make_shared<Listener>(
      loop, std::shared_ptr<House>(
                new House{.workers = workers, .limits = limits, .handler = std::move(handler)}));
  UMBRA_CHECK(listener->open(address, port));
  listener->accept();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(listener)));
}

HttpServer::~HttpServer() { stop(); }
std::uint16_t HttpServer::port() const { return listener_->port(); }
void HttpServer::stop() { listener_->stop(); }

}  // namespace umbra::io
