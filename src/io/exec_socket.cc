#include "io/exec_socket.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <nlohmann/json.hpp>

namespace umbra::io {
namespace {

namespace asio = boost::asio;
using stream = asio::local::stream_protocol;
using nlohmann::json;

constexpr std::size_t line_max = 64 * 1024;
constexpr std::size_t reply_max = 256U << 20;
// People and scripts on this machine; more at once is a mistake or worse.
constexpr std::size_t sessions_max = 64;

std::string to_line(const json& value) {
  // Peers' names may hold octets that are no UTF-8; they are shown as replacement characters.
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(stream::socket socket, const ExecHandler& handler,
          std::shared_ptr<std::atomic<std::size_t>> sessions)
      : socket_(std::move(socket)), handler_(handler), sessions_(std::move(sessions)) {
    ++*sessions_;
  }
  ~Session() { --*sessions_; }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void read() {
    asio::async_read_until(
        socket_, asio::dynamic_buffer(text_, line_max), '\n',
        [self = shared_from_this()](boost::system::error_code error, std::size_t size) {
          if (!error) self->run(size);
        });
  }

 private:
  void run(std::size_t size) {
    const json request = json::parse(text_.substr(0, size), nullptr, false);
    text_.erase(0, size);
    if (!request.is_object() || !request.contains("exec") || !request["exec"].is_string()) {
      return answer({false, "expected one line of JSON: {\"exec\": \"COMMAND\"}\n"});
    }
    handler_(request["exec"].get<std::string>(), [self = shared_from_this()](ExecReply reply) {
      asio::post(self->socket_.get_executor(),
                 [self, reply = std::move(reply)] { self->answer(reply); });
    });
  }

  void answer(const ExecReply& reply) {
    out_ = to_line({{"status", reply.ok ? 0 : 1}, {"output", reply.output}});
    asio::async_write(socket_, asio::buffer(out_),
                      [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  stream::socket socket_;
  const ExecHandler& handler_;
  std::shared_ptr<std::atomic<std::size_t>> sessions_;
  std::string text_;
  std::string out_;
};

}  // namespace

class ExecSocket::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(asio::io_context& loop, std::string path, ExecHandler handler)
      : acceptor_(loop), retry_(loop), path_(std::move(path)), handler_(std::move(handler)) {}

  Result<void> open() {
    boost::system::error_code error;
    struct stat found {};
    if (::lstat(path_.c_str(), &found) == 0) {
      if (!S_ISSOCK(found.st_mode)) {
        return fail(Errc::storage,
                    fmt::format("{} is there already and is no socket; give another path with "
                                "--socket, or remove it",
                                path_));
      }
      ::unlink(path_.c_str());
    }
    acceptor_.open(stream(), error);
    const mode_t old = ::umask(0117);
    try {
      acceptor_.bind(stream::endpoint(path_), error);
    } catch (const std::exception& thrown) {  // a path longer than a socket's may be
      ::umask(old);
      return fail(
          Errc::storage,
          fmt::format("cannot open the console's socket {}: {}; give a shorter path with --socket",
                      path_, thrown.what()));
    }
    ::umask(old);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return fail(Errc::storage,
                  fmt::format("cannot open the console's socket {}: {}", path_, error.message()));
    return {};
  }

  void accept() {
    acceptor_.async_accept(
        [self = shared_from_this()](boost::system::error_code error, stream::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (error) return self->pause();
          if (*self->sessions_ < sessions_max)
            std::make_shared<Session>(std::move(socket), self->handler_, self->sessions_)->read();
          self->accept();
        });
  }

  void stop() {
    ::unlink(path_.c_str());
    asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
      boost::system::error_code ignored;
      self->acceptor_.close(ignored);
      self->retry_.cancel();
    });
  }

 private:
  /// Out of file descriptors, most likely.
  void pause() {
    retry_.expires_after(std::chrono::milliseconds(100));
    retry_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->accept();
    });
  }

  stream::acceptor acceptor_;
  asio::steady_timer retry_;
  std::string path_;
  ExecHandler handler_;
  std::shared_ptr<std::atomic<std::size_t>> sessions_ =
      std::make_shared<std::atomic<std::size_t>>(0);
};

ExecSocket::ExecSocket(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
ExecSocket::~ExecSocket() { listener_->stop(); }

Result<std::unique_ptr<ExecSocket>> ExecSocket::listen(asio::io_context& loop,
                                                       const std::string& path,
                                                       ExecHandler handler) {
  auto listener = std::make_shared<Listener>(loop, path, std::move(handler));
  UMBRA_CHECK(listener->open());
  listener->accept();
  return std::unique_ptr<ExecSocket>(new ExecSocket(std::move(listener)));
}

Result<ExecReply> exec(const std::string& socket_path, const std::string& line) {
  try {
    asio::io_context loop;
    stream::socket socket(loop);
    boost::system::error_code error;
    socket.connect(stream::endpoint(socket_path), error);
    if (error) {
      return fail(
          Errc::unreachable,
          fmt::format("no umbrad answers at {}: {}; is it running, and is --socket its socket?",
                      socket_path, error.message()));
    }
    asio::write(socket, asio::buffer(to_line({{"exec", line}})));
    std::string text;
    asio::read_until(socket, asio::dynamic_buffer(text, reply_max), '\n');
    const json reply = json::parse(text, nullptr, false);
    if (!reply.is_object() || !reply.contains("status") || !reply.contains("output"))
      return fail(Errc::malformed, "umbrad's answer cannot be read");
    return ExecReply{reply["status"] == 0, reply["output"].get<std::string>()};
  } catch (const std::exception& error) {
    return fail(Errc::unreachable, fmt::format("{}: {}", socket_path, error.what()));
  }
}

}  // namespace umbra::io
