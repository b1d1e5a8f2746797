#include "io/http_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <iterator>
#include <optional>
#include <stdexcept>

namespace umbra::io {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using Body = http::vector_body<std::uint8_t>;
using Steady = std::chrono::steady_clock;

constexpr std::chrono::seconds linger{2};
constexpr std::chrono::seconds come_again{2};
/// After which an unhurried answer leaves: more than any request takes by itself.
constexpr std::chrono::milliseconds unhurried_time{50};
/// So many connections have something read before others are let in.
constexpr unsigned looked_after_between = 16;
/// What an empty connection is given to read into, and one that has begun to speak.
constexpr std::size_t first_octets = 512;
constexpr std::size_t more_octets = 8192;
/// A field that was parsed, with its place among the others, besides its text.
constexpr std::size_t field_octets = 96;
/// Of a chunk's line with its extensions, and of all that follows the last chunk.
constexpr std::size_t chunk_line_octets = 8192;
/// Such a request is let in however much the others have us remember.
constexpr std::size_t welcome_octets = 8192;
constexpr std::size_t counted_of_answer = std::size_t{1} << 20;
constexpr std::string_view continue_line = "HTTP/1.1 100 Continue\r\n\r\n";

HttpReply plain(unsigned status, const char* text) {
  return {status, "text/plain", to_bytes(as_bytes(text))};
}

HttpReply later(unsigned status, const char* text) {
  HttpReply reply = plain(status, text);
  reply.retry_after = come_again;
  return reply;
}

/// An IPv4 peer of a socket for both families looks like ::ffff:192.0.2.1.
std::string shown(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  return address.to_string();
}

class Session final : public Guest, public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, const asio::ip::address& address, std::shared_ptr<HttpHouse> house)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
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
    head_ = false;
    version_ = 11;
    seen_ = 0;
    lines_ = 0;
    bare_line_end_ = false;
    // One bound for the whole request: who sends an octet a second is cut off like who sends
    // nothing.
    within(std::chrono::seconds(house_->limits.request_seconds));
    parse();
  }

  void turn_away() { answer(later(503, "too many connections; try again\n"), false); }

  void give_way() override { leave(); }

  /// What is under way in the buffer comes to its end first.
  void shed() override {
    shed_ = true;
    beast::error_code ignored;
    socket_.cancel(ignored);
    // At once, and not when it comes to its turn among thousands: what is cancelled is read into no
    // more.
    parser_.reset();
    buffer_.clear();
    buffer_.shrink_to_fit();
  }

 private:
  /// From now on, and in place of what was said before. Costs no timer of its own: the one there is
  /// looks at it when it ends.
  void within(std::chrono::seconds time) {
    until_ = Steady::now() + time;
    if (!timer_ends_ || *timer_ends_ > until_) wait_until(until_);
  }
  void without_limit() { until_ = Steady::time_point::max(); }

  void wait_until(Steady::time_point end) {
    timer_ends_ = end;
    timer_.expires_at(end);
    // A session that has ended does not stay for it.
    timer_.async_wait([weak = weak_from_this()](beast::error_code error) {
      const auto self = weak.lock();
      if (error || !self) return;
      self->timer_ends_.reset();
      if (self->until_ == Steady::time_point::max()) return;
      if (self->until_ > Steady::now()) return self->wait_until(self->until_);
      self->leave();
    });
  }

  /// What is under way ends with an error.
  void leave() {
    gone_ = true;
    beast::error_code ignored;
    socket_.close(ignored);
  }

  /// What is in the buffer, as far as it goes. Not Beast's own loop, which does not come back
  /// before a header is whole: what all of them have sent until then is to be bounded. Nor is its
  /// parser given a part of a header: it would begin anew with each octet that comes, and takes
  /// lines away that the end of the header is known by.
  void parse() {
    while (buffer_.size() > 0) {
      if (!has_header_) {
        if (seen_ == 0 && skip_empty_line()) continue;
        const bool begins = seen_ == 0;
        const bool whole = look_for_end();
        // Before each field is given a place of its own.
        if (lines_ > house_->limits.header_fields) return on_read(http::error::header_limit);
        if (bare_line_end_) return on_read(http::error::bad_line_ending);
        if (!whole) {
          if (buffer_.size() > house_->limits.header_octets)
            return on_read(http::error::header_limit);
          if (begins) {
            if (const auto wrong = what_is_wrong()) return on_read(wrong);
          }
          break;
        }
      }
      beast::error_code error;
      const std::size_t used = put(*parser_, buffer_.data(), error);
      buffer_.consume(used);
      if (error == http::error::need_more) {
        // What is left then is a part of a chunk's line, or of what follows the last one.
        if (has_header_ && parser_->chunked() && buffer_.size() > chunk_line_octets)
          return on_read(http::error::header_limit);
        break;
      }
      if (error) return on_read(error);
      if (parser_->is_header_done() && !has_header_) {
        has_header_ = true;
        if (has_no_known_end()) return on_read(http::error::bad_transfer_encoding);
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

  /// Why the part of a header in the buffer cannot become one, if it cannot: who speaks something
  /// else is told at once.
  [[nodiscard]] beast::error_code what_is_wrong() const {
    http::request_parser<http::empty_body> trial;
    trial.header_limit(static_cast<std::uint32_t>(house_->limits.header_octets));
    beast::error_code error;
    static_cast<void>(put(trial, buffer_.data(), error));
    return error == http::error::need_more ? beast::error_code() : error;
  }

  /// Beast throws for a field's name or value beyond 65,533 octets.
  template <class Parser>
  static std::size_t put(Parser& parser, asio::const_buffer octets, beast::error_code& error) {
    try {
      return parser.put(octets, error);
    } catch (const std::length_error&) {
      error = http::error::header_limit;
      return 0;
    }
  }

  /// RFC 9112 2.2: an empty line before a request counts for nothing. Some send one behind a body.
  bool skip_empty_line() {
    const std::string_view text(static_cast<const char*>(buffer_.data().data()), buffer_.size());
    if (!text.starts_with("\r\n")) return false;
    buffer_.consume(2);
    ++lines_;
    return lines_ <= house_->limits.header_fields;
  }

  /// RFC 9112 6.1, 6.3: where the last coding is not chunked, or the peer cannot know of any,
  /// nobody can tell where the body ends and the next request begins.
  [[nodiscard]] bool has_no_known_end() const {
    const auto& head = parser_->get();
    constexpr unsigned knows_codings = 11;  // HTTP/1.1
    return head.count(http::field::transfer_encoding) > 0 &&
           (!parser_->chunked() || head.version() < knows_codings);
  }

  /// Whether the header in the buffer is whole; counts its lines on the way.
  bool look_for_end() {
    const auto octets = buffer_.data();
    const std::string_view text(static_cast<const char*>(octets.data()), octets.size());
    constexpr std::string_view end = "\r\n\r\n";
    const std::size_t found = text.find(end, seen_ - std::min(seen_, end.size() - 1));
    const std::string_view added = text.substr(0, found).substr(std::min(seen_, found));
    lines_ += static_cast<std::size_t>(std::count(added.begin(), added.end(), '\n'));
    for (std::size_t at = text.find('\n', seen_); at < found; at = text.find('\n', at + 1))
      bare_line_end_ = bare_line_end_ || at == 0 || text[at - 1] != '\r';
    seen_ = text.size();
    return found != std::string_view::npos;
  }

  [[nodiscard]] bool asks_to_go_on() const {
    return parser_->get().version() >= 11 && buffer_.size() == 0 &&
           beast::iequals(parser_->get()[http::field::expect], "100-continue");
  }

  /// RFC 9110 10.1.1: who asks whether to send a body waits for the answer.
  void go_on() {
    asio::async_write(socket_, asio::buffer(continue_line),
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
    socket_.async_read_some(into,
                            [self = shared_from_this()](beast::error_code error, std::size_t got) {
                              self->on_some(error, got);
                            });
  }

  void on_some(beast::error_code error, std::size_t got) {
    take(error, got);
    // Behind it: whoever is let in makes nobody go whose request has just been read.
    if (++house_->looked_after < looked_after_between) return;
    house_->looked_after = 0;
    house_->let_in();
  }

  void take(beast::error_code error, std::size_t got) {
    if (gone_) return;
    if (shed_) return come_again_later();
    if (error == asio::error::eof) {
      if (!parser_->got_some()) return;  // nothing more to say on either side
      beast::error_code end;
      parser_->put_eof(end);
      return on_read(end);
    }
    if (error) return;  // a reset: the socket closes with this object
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
    const bool is_http =
        error.category() == http::make_error_code(http::error::bad_method).category();
    if (error && (!is_http || error == http::error::partial_message)) return;
    // What is no request counts as one.
    if (!house_->rate.take(household_of(address_), RateLimit::Clock::now()))
      return answer(later(429, "too many requests from this address; try again\n"), false);
    if (error == http::error::header_limit || error == http::error::buffer_overflow ||
        too_many_fields())
      return answer(plain(431, "the request's header is too large\n"), false);
    if (error == http::error::body_limit)
      return answer(plain(413, "the request is too large\n"), false);
    if (error) return answer(plain(400, "not an HTTP request\n"), false);
    auto message = parser_->release();
    keep_alive_ = message.keep_alive();
    version_ = message.version();
    head_ = message.method() == http::verb::head;
    auto request = std::make_shared<HttpRequest>();
    request->address = shown_;
    request->method = std::string(message.method_string());
    request->target = std::string(in_origin_form(message.target()));
    request->body = std::move(message.body());
    // Of its header nothing else is kept.
    const std::size_t kept = request->body.capacity() + request->target.size();
    hold(buffer_.capacity() + kept);
    if (kept > welcome_octets && house_->guests.over())
      return answer(later(503, "too many requests at once; try again\n"), false);
    without_limit();  // the peer waits for us now
    came_at_ = Steady::now();
    house_->handler(std::move(request), [self = shared_from_this()](HttpReply reply) {
      asio::dispatch(self->socket_.get_executor(), [self, reply = std::move(reply)]() mutable {
        self->answer_in_time(std::move(reply));
      });
    });
  }

  /// Those that follow the last chunk, too.
  [[nodiscard]] bool too_many_fields() const {
    if (!parser_ || !parser_->is_header_done()) return false;
    const auto& fields = parser_->get().base();
    return static_cast<std::size_t>(std::distance(fields.begin(), fields.end())) >
           house_->limits.header_fields;
  }

  /// RFC 9112 3.2.2: `GET http://HOST/PATH`, as to a proxy, is `GET /PATH`.
  static std::string_view in_origin_form(std::string_view target) {
    constexpr std::string_view scheme = "http://";
    if (!beast::iequals(target.substr(0, scheme.size()), scheme)) return target;
    target.remove_prefix(scheme.size());
    const std::size_t path = target.find_first_of("/?");
    return path == std::string_view::npos || target[path] == '?' ? "/" : target.substr(path);
  }

  void answer_in_time(HttpReply reply) {
    if (!reply.unhurried) return answer(std::move(reply), keep_alive_);
    const auto timer =
        std::make_shared<asio::steady_timer>(socket_.get_executor(), came_at_ + unhurried_time);
    reply_ = std::move(reply);
    timer->async_wait([self = shared_from_this(), timer](beast::error_code) {
      self->answer(std::exchange(self->reply_, {}), self->keep_alive_);
    });
  }

  void answer(HttpReply reply, bool keep_alive) {
    keep_alive_ = keep_alive && !house_->stopping;
    // What a pipelining peer has sent beyond stays, if it is going to be read; an empty buffer is
    // not kept for the next hour.
    if (!keep_alive_) {
      parser_.reset();
      buffer_.clear();
    }
    if (buffer_.size() == 0) buffer_.shrink_to_fit();
    reply_ = std::move(reply);
    begin_answer();
    written_ = 0;
    write();
  }

  /// The head of an answer, with the connection's fate where its version does not say it.
  void begin_answer() {
    constexpr unsigned persistent = 11;  // HTTP/1.1
    head_text_.clear();
    fmt::format_to(std::back_inserter(head_text_), "HTTP/1.{} {} {}\r\nContent-Type: {}\r\n",
                   version_ >= persistent ? 1 : 0, reply_.status,
                   std::string_view(http::obsolete_reason(http::int_to_status(reply_.status))),
                   reply_.content_type);
    if (reply_.retry_after)
      fmt::format_to(std::back_inserter(head_text_), "Retry-After: {}\r\n",
                     reply_.retry_after->count());
    if (keep_alive_ != (version_ >= persistent))
      head_text_ += keep_alive_ ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
    fmt::format_to(std::back_inserter(head_text_), "Content-Length: {}\r\n\r\n",
                   reply_.content().size());
  }

  /// A large answer may take its time, as long as it is taken.
  void write() {
    house_->guests.waits(*ticket_);
    // An answer of its own is remembered for whoever does not take it; a very long one would never
    // leave if all of it counted.
    hold(buffer_.capacity() + std::min(reply_.body.capacity(), counted_of_answer));
    within(std::chrono::seconds(house_->limits.reply_seconds));
    const Bytes& content = reply_.content();
    const std::array<asio::const_buffer, 2> whole{
        asio::buffer(head_text_), head_ ? asio::const_buffer() : asio::buffer(content)};
    // One call to the system for both, and one packet where they are small.
    std::array<asio::const_buffer, 2> rest = whole;
    std::size_t skip = written_;
    for (auto& part : rest) {
      const std::size_t of_this = std::min(skip, part.size());
      part += of_this;
      skip -= of_this;
    }
    const std::size_t left = asio::buffer_size(rest);
    socket_.async_write_some(
        rest, [self = shared_from_this(), left](beast::error_code error, std::size_t size) {
          self->on_written(error, size, left);
        });
  }

  void on_written(beast::error_code error, std::size_t size, std::size_t left) {
    if (error || gone_) return;
    written_ += size;
    if (size < left) return write();
    reply_ = {};
    if (!keep_alive_) return close();
    read();
  }

  /// Closing a socket with unread octets resets the connection, and the reset may overtake the
  /// reply: 413 would never be seen by who is still sending. So the rest is read, and dropped, for
  /// a moment.
  void close() {
    beast::error_code error;
    socket_.shutdown(tcp::socket::shutdown_send, error);
    if (error) return;
    parser_.reset();
    buffer_.clear();
    buffer_.shrink_to_fit();
    hold(0);
    house_->guests.waits(*ticket_);
    within(linger);
    drop();
  }

  void drop() {
    socket_.async_read_some(asio::buffer(house_->dropped),
                            [self = shared_from_this()](beast::error_code error, std::size_t) {
                              if (!error && !self->gone_) self->drop();
                            });
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  std::optional<Steady::time_point> timer_ends_;  ///< if it runs
  Steady::time_point until_ = Steady::time_point::max();
  const asio::ip::address address_;
  const std::string shown_ = shown(address_);
  std::shared_ptr<HttpHouse> house_;
  std::optional<Guests::Ticket> ticket_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<Body>> parser_;
  HttpReply reply_;          ///< being written,
  std::string head_text_;    ///< with this in front,
  std::size_t written_ = 0;  ///< and so much of both has been
  Steady::time_point came_at_{};
  std::size_t seen_ = 0;   ///< of the buffer, while the header is looked for
  std::size_t lines_ = 0;  ///< of the header
  bool bare_line_end_ = false;
  bool has_header_ = false;
  bool gone_ = false;  ///< in favour of another
  bool shed_ = false;  ///< and so is what it has sent
  bool keep_alive_ = false;
  bool head_ = false;
  unsigned version_ = 11;
};

}  // namespace

HttpHouse::HttpHouse(const HttpLimits& bounds, HttpHandler answers)
    : limits(bounds),
      handler(std::move(answers)),
      guests({bounds.connections, bounds.connections_per_address, bounds.request_octets_in_all}),
      rate(bounds.requests_per_second, bounds.requests_burst) {}

void serve_http(tcp::socket socket, const asio::ip::address& peer, std::shared_ptr<HttpHouse> house,
                bool room) {
  const auto session = std::make_shared<Session>(std::move(socket), peer, std::move(house));
  session->enter();
  if (room)
    session->read();
  else
    session->turn_away();
}

}  // namespace umbra::io
