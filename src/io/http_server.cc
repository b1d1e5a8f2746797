#include "io/http_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <optional>

#include "io/guests.h"
#include "io/rate_limit.h"

namespace umbra::io {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using Body = http::vector_body<std::uint8_t>;
using ReplyBody = http::span_body<const std::uint8_t>;

constexpr std::chrono::seconds linger{2};
constexpr std::chrono::seconds come_again{2};
/// After which an unhurried answer leaves: more than any request takes by itself.
constexpr std::chrono::milliseconds unhurried_time{50};
/// What an empty connection is given to read into, and one that has begun to speak.
constexpr std::size_t first_octets = 512;
constexpr std::size_t more_octets = 8192;
/// A field that was parsed, with its place among the others, besides its text.
constexpr std::size_t field_octets = 96;
/// Told that there is no room, at once; who comes beyond is not told.
constexpr std::size_t turned_away_max = 64;
constexpr std::string_view continue_line = "HTTP/1.1 100 Continue\r\n\r\n";

HttpReply plain(unsigned status, const char* text) {
  return {status, "text/plain", to_bytes(as_bytes(text))};
}

HttpReply later(unsigned status, const char* text) {
  HttpReply reply = plain(status, text);
  reply.retry_after = come_again;
  return reply;
}

/// What the listener and its sessions share. A session may outlive the listener.
struct House {
  House(const HttpLimits& bounds, HttpHandler answers)
      : limits(bounds),
        handler(std::move(answers)),
        guests({bounds.connections, bounds.connections_per_address, bounds.request_octets_in_all}),
        rate(bounds.requests_per_second, bounds.requests_burst) {}
  const HttpLimits limits;
  const HttpHandler handler;
  Guests guests;
  RateLimit rate;  ///< the loop's
  std::atomic<bool> stopping = false;
};

/// An IPv4 peer of a socket for both families looks like ::ffff:192.0.2.1.
std::string shown(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  return address.to_string();
}

class Session final : public Guest, public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, const asio::ip::address& address, std::shared_ptr<House> house)
      : stream_(std::move(socket)),
        address_(address),
        house_(std::move(house)),
        // What the parser does not count (chunk extensions, trailers) ends with the buffer.
        buffer_(house_->limits.header_octets + house_->limits.body_octets) {}
  ~Session() override {
    if (ticket_) house_->guests.leave(*ticket_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void enter() { ticket_ = house_->guests.enter(household_of(address_), weak_from_this()); }

  void read() {
    if (house_->stopping) return close();
    house_->guests.waits(*ticket_);
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(house_->limits.header_octets));
    parser_->body_limit(house_->limits.body_octets);
    has_header_ = false;
    seen_ = 0;
    lines_ = 0;
    // One bound for the whole request: who sends an octet a second is cut off like who sends
    // nothing.
    stream_.expires_after(std::chrono::seconds(house_->limits.request_seconds));
    parse();
  }

  void turn_away() { answer(later(503, "too many connections; try again\n"), false); }

  void give_way() override {
    gone_ = true;
    stream_.close();
  }

  /// What is under way in the buffer comes to its end first.
  void shed() override {
    shed_ = true;
    stream_.cancel();
  }

 private:
  /// What is in the buffer, as far as it goes. Not Beast's own loop, which does not come back
  /// before a header is whole: what all of them have sent until then is to be bounded.
  void parse() {
    while (buffer_.size() > 0) {
      if (!has_header_) {
        // At its beginning, to see whether it is HTTP at all, and when it is whole: in between the
        // parser would begin anew with each octet that comes.
        const bool begins = seen_ == 0 && lines_ == 0;
        const bool whole = look_for_end();
        // Before each field is given a place of its own.
        if (lines_ > house_->limits.header_fields) return on_read(http::error::header_limit);
        if (!whole && !begins) {
          if (buffer_.size() > house_->limits.header_octets)
            return on_read(http::error::header_limit);
          break;
        }
      }
      beast::error_code error;
      const std::size_t used = parser_->put(buffer_.data(), error);
      buffer_.consume(used);
      seen_ -= std::min(seen_, used);
      if (error == http::error::need_more) break;
      if (error) return on_read(error);
      if (parser_->is_header_done() && !has_header_) {
        has_header_ = true;
        if (parser_->is_done()) return on_read({});
        parser_->eager(true);
        if (asks_to_go_on()) return go_on();
        continue;
      }
      if (parser_->is_done()) return on_read({});
      if (used == 0) break;
    }
    read_more();
  }

  /// Whether the header in the buffer is whole; counts its lines on the way.
  bool look_for_end() {
    const auto octets = buffer_.data();
    const std::string_view text(static_cast<const char*>(octets.data()), octets.size());
    constexpr std::string_view end = "\r\n\r\n";
    const std::size_t found = text.find(end, seen_ - std::min(seen_, end.size() - 1));
    const std::string_view added = text.substr(0, found).substr(std::min(seen_, found));
    lines_ += static_cast<std::size_t>(std::count(added.begin(), added.end(), '\n'));
    seen_ = text.size();
    return found != std::string_view::npos;
  }

  [[nodiscard]] bool asks_to_go_on() const {
    return parser_->get().version() >= 11 && buffer_.size() == 0 &&
           beast::iequals(parser_->get()[http::field::expect], "100-continue");
  }

  /// RFC 9110 10.1.1: who asks whether to send a body waits for the answer.
  void go_on() {
    asio::async_write(stream_, asio::buffer(continue_line),
                      [self = shared_from_this()](beast::error_code failed, std::size_t) {
                        if (self->shed_) return self->come_again_later();
                        if (!failed && !self->gone_) self->read_more();
                      });
  }

  void read_more() {
    const std::size_t room = buffer_.max_size() - buffer_.size();
    if (room == 0) return on_read(http::error::buffer_overflow);
    // By as much again as there is: what is long comes in a few pieces.
    const std::size_t size =
        buffer_.capacity() == 0 ? first_octets : std::max(more_octets, buffer_.size());
    const auto into = buffer_.prepare(std::min(room, size));
    hold();
    if (shed_) return come_again_later();
    stream_.async_read_some(into,
                            [self = shared_from_this()](beast::error_code error, std::size_t got) {
                              self->on_some(error, got);
                            });
  }

  void on_some(beast::error_code error, std::size_t got) {
    if (gone_) return;
    if (shed_) return come_again_later();
    if (error == asio::error::eof) {
      if (!parser_->got_some()) return;  // nothing more to say on either side
      beast::error_code end;
      parser_->put_eof(end);
      return on_read(end);
    }
    if (error) return;  // time-out or reset: the socket closes with this object
    buffer_.commit(got);
    parse();
  }

  /// Tells what this one has us remember, and makes room for it, be it by going.
  void hold() {
    std::size_t octets = buffer_.capacity();
    if (has_header_) {
      const auto& fields = parser_->get().base();
      octets += parser_->get().body().capacity();
      for (const auto& field : fields)
        octets += field_octets + field.name_string().size() + field.value().size();
      octets += fields.target().size();
    }
    hold(octets);
  }
  void hold(std::size_t octets) {
    while (const auto other = house_->guests.holds(*ticket_, shed_ ? 0 : octets)) other->shed();
  }

  void come_again_later() {
    shed_ = false;
    head_ = false;
    parser_.reset();
    buffer_.clear();
    answer(later(503, "too many requests at once; try again\n"), false);
  }

  void on_read(beast::error_code error) {
    hold();
    if (shed_) return come_again_later();
    house_->guests.is_served(*ticket_);
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
      return answer(plain(431, "the request's header is too large\n"), false);
    if (error == http::error::body_limit)
      return answer(plain(413, "the request is too large\n"), false);
    if (error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::partial_message) {
      return answer(plain(400, "not an HTTP request\n"), false);
    }
    if (error) return;
    auto message = parser_->release();
    keep_alive_ = message.keep_alive();
    version_ = message.version();
    head_ = message.method() == http::verb::head;
    if (!house_->rate.take(household_of(address_), RateLimit::Clock::now()))
      return answer(later(429, "too many requests from this address; try again\n"), false);
    if (house_->guests.over())
      return answer(later(503, "too many requests at once; try again\n"), false);
    auto request = std::make_shared<HttpRequest>();
    request->address = shown(address_);
    request->method = std::string(message.method_string());
    request->target = std::string(message.target());
    request->body = std::move(message.body());
    stream_.expires_never();  // the peer waits for us now
    came_at_ = std::chrono::steady_clock::now();
    house_->handler(std::move(request), [self = shared_from_this()](HttpReply reply) {
      asio::post(self->stream_.get_executor(), [self, reply = std::move(reply)]() mutable {
        self->answer_in_time(std::move(reply));
      });
    });
  }

  void answer_in_time(HttpReply reply) {
    if (!reply.unhurried) return answer(std::move(reply), keep_alive_);
    const auto timer =
        std::make_shared<asio::steady_timer>(stream_.get_executor(), came_at_ + unhurried_time);
    reply_ = std::move(reply);
    timer->async_wait([self = shared_from_this(), timer](beast::error_code) {
      self->answer(std::exchange(self->reply_, {}), self->keep_alive_);
    });
  }

  void answer(HttpReply reply, bool keep_alive) {
    keep_alive_ = keep_alive && !house_->stopping;
    // What a pipelining peer has sent beyond stays; an empty buffer is not kept for the next hour.
    if (buffer_.size() == 0) buffer_.shrink_to_fit();
    hold(buffer_.capacity());
    response_.emplace(http::int_to_status(reply.status), version_);
    response_->set(http::field::content_type, reply.content_type);
    if (reply.retry_after)
      response_->set(http::field::retry_after, std::to_string(reply.retry_after->count()));
    response_->keep_alive(keep_alive_);
    reply_ = std::move(reply);
    const Bytes& content = reply_.content();
    if (!head_) response_->body() = {content.data(), content.size()};
    response_->content_length(content.size());
    serializer_.emplace(*response_);
    serializer_->split(head_);
    write();
  }

  /// A large answer may take its time, as long as it is taken.
  void write() {
    house_->guests.waits(*ticket_);
    stream_.expires_after(std::chrono::seconds(house_->limits.reply_seconds));
    http::async_write_some(stream_, *serializer_,
                           [self = shared_from_this()](beast::error_code error, std::size_t) {
                             self->on_written(error);
                           });
  }

  void on_written(beast::error_code error) {
    if (error || gone_) return;
    if (head_ ? !serializer_->is_header_done() : !serializer_->is_done()) return write();
    serializer_.reset();
    response_.reset();
    reply_ = {};
    if (!keep_alive_) return close();
    read();
  }

  /// Closing a socket with unread octets resets the connection, and the reset may overtake the
  /// reply: 413 would never be seen by who is still sending. So the rest is read, and dropped, for
  /// a moment.
  void close() {
    beast::error_code error;
    stream_.socket().shutdown(tcp::socket::shutdown_send, error);
    if (error) return;
    buffer_.clear();
    house_->guests.waits(*ticket_);
    stream_.expires_after(linger);
    drop();
  }

  void drop() {
    stream_.async_read_some(buffer_.prepare(std::min<std::size_t>(buffer_.max_size(), 4096)),
                            [self = shared_from_this()](beast::error_code error, std::size_t) {
                              if (!error && !self->gone_) self->drop();
                            });
  }

  beast::tcp_stream stream_;
  asio::ip::address address_;
  std::shared_ptr<House> house_;
  std::optional<Guests::Ticket> ticket_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<Body>> parser_;
  HttpReply reply_;  ///< what `response_` points into
  std::optional<http::response<ReplyBody>> response_;
  std::optional<http::response_serializer<ReplyBody>> serializer_;
  std::chrono::steady_clock::time_point came_at_{};
  std::size_t seen_ = 0;   ///< of the buffer, while the header is looked for
  std::size_t lines_ = 0;  ///< of the header
  bool has_header_ = false;
  bool gone_ = false;  ///< in favour of another
  bool shed_ = false;  ///< and so is what it has sent
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
    // At once on the loop itself: the port may be opened anew, at another address, in its next
    // turn.
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
    const auto [room, leaves] = house_->guests.welcome(household_of(peer.address()));
    if (leaves) leaves->give_way();
    // All of them wait for us, and not we for them.
    if (!room && house_->guests.count() >= house_->limits.connections + turned_away_max) return;
    socket.set_option(tcp::no_delay(true), error);
    const auto session = std::make_shared<Session>(std::move(socket), peer.address(), house_);
    session->enter();
    if (!room) return session->turn_away();
    session->read();
  }

  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::shared_ptr<House> house_;
  std::uint16_t port_ = 0;
};

Result<std::unique_ptr<HttpServer>> HttpServer::listen(asio::io_context& loop,
                                                       const std::string& address,
                                                       std::uint16_t port, HttpLimits limits,
                                                       HttpHandler handler) {
  auto listener =
      std::make_shared<Listener>(loop, std::make_shared<House>(limits, std::move(handler)));
  UMBRA_CHECK(listener->open(address, port));
  listener->accept();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(listener)));
}

HttpServer::~HttpServer() { stop(); }
std::uint16_t HttpServer::port() const { return listener_->port(); }
void HttpServer::stop() { listener_->stop(); }

}  // namespace umbra::io
