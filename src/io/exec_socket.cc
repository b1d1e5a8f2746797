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

/// What the listener and its sessions share. A session may outlive the listener.
struct House {
  explicit House(ExecHandler h) : handler(std::move(h)) {}
  const ExecHandler handler;
  std::atomic<std::size_t> sessions = 0;
};

/// Who answers at a socket: nobody (connection_refused), a process (success, or would_block if its
/// backlog is full), or it may not be asked.
boost::system::error_code knock(const stream::endpoint& endpoint) {
  asio::io_context own;
  stream::socket socket(own);
  boost::system::error_code error;
  socket.open(stream(), error);
  if (!error) socket.non_blocking(true, error);
  if (!error) socket.connect(endpoint, error);
  return error;
}

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(stream::socket socket, std::shared_ptr<House> house)
      : socket_(std::move(socket)), house_(std::move(house)) {
    ++house_->sessions;
  }
  ~Session() { --house_->sessions; }
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
    ExecRequest asked{request["exec"].get<std::string>(), {}};
    if (request.contains("input") && request["input"].is_string())
      asked.input = request["input"].get<std::string>();
    house_->handler(std::move(asked), [self = shared_from_this()](ExecReply reply) {
      asio::post(self->socket_.get_executor(),
                 [self, reply = std::move(reply)] { self->answer(reply); });
    });
  }

  void answer(const ExecReply& reply) {
    json line = {{"status", reply.ok ? 0 : 1}, {"output", reply.output}};
    if (!reply.ask.empty()) line["ask"] = reply.ask;
    out_ = to_line(line);
    asio::async_write(socket_, asio::buffer(out_),
                      [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  stream::socket socket_;
  std::shared_ptr<House> house_;
  std::string text_;
  std::string out_;
};

}  // namespace

class ExecSocket::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(asio::io_context& loop, std::string path, ExecHandler handler)
      : acceptor_(loop),
        retry_(loop),
        path_(std::move(path)),
        house_(std::make_shared<House>(std::move(handler))) {}

  Result<void> open() {
    stream::endpoint endpoint;
    try {
      endpoint = stream::endpoint(path_);
    } catch (const std::exception& thrown) {  // a path longer than a socket's may be
      return fail(
          Errc::storage,
          fmt::format("cannot open the console's socket {}: {}; give a shorter path with --socket",
                      path_, thrown.what()));
    }
    boost::system::error_code error;
    struct stat found {};
    if (::lstat(path_.c_str(), &found) == 0) {
      if (!S_ISSOCK(found.st_mode)) {
        return fail(Errc::storage,
                    fmt::format("{} is there already and is no socket; give another path with "
                                "--socket, or remove it",
                                path_));
      }
      error = knock(endpoint);
      if (!error || error == asio::error::would_block) {
        return fail(Errc::conflict,
                    fmt::format("another process answers at {}; stop it, or give another path with "
                                "--socket",
                                path_));
      }
      if (error == asio::error::connection_refused) ::unlink(path_.c_str());
    }
    acceptor_.open(stream(), error);
    const mode_t old = ::umask(0117);
    if (!error) acceptor_.bind(endpoint, error);
    ::umask(old);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return fail(Errc::storage,
                  fmt::format("cannot open the console's socket {}: {}", path_, error.message()));
    ::lstat(path_.c_str(), &mine_);
    return {};
  }

  void accept() {
    if (stopping_) return;
    acceptor_.async_accept(
        [self = shared_from_this()](boost::system::error_code error, stream::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (error) return self->pause();
          if (self->house_->sessions < sessions_max)
            std::make_shared<Session>(std::move(socket), self->house_)->read();
          self->accept();
        });
  }

  void stop() {
    stopping_ = true;
    // Only its own: another process may have taken the path since.
    struct stat found {};
    if (::lstat(path_.c_str(), &found) == 0 && found.st_ino == mine_.st_ino &&
        found.st_dev == mine_.st_dev)
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
  std::shared_ptr<House> house_;
  std::atomic<bool> stopping_ = false;
  struct stat mine_ {};
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

Result<ExecReply> exec(const std::string& socket_path, const ExecRequest& request,
                       std::optional<std::chrono::milliseconds> patience) {
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
    json line = {{"exec", request.line}};
    if (request.input) line["input"] = *request.input;
    asio::write(socket, asio::buffer(to_line(line)));
    std::string text;
    // A daemon that is stuck takes the line in and says nothing; who watches it must be told.
    bool answered = false;
    asio::async_read_until(socket, asio::dynamic_buffer(text, reply_max), '\n',
                           [&](boost::system::error_code failure, std::size_t) {
                             answered = true;
                             error = failure;
                           });
    if (patience)
      loop.run_for(*patience);
    else
      loop.run();
    if (!answered) {
      return fail(Errc::unreachable,
                  fmt::format("umbrad at {} has not answered within {} s", socket_path,
                              std::chrono::duration<double>(*patience).count()));
    }
    if (error) throw boost::system::system_error(error);
    const json reply = json::parse(text, nullptr, false);
    if (!reply.is_object() || !reply.contains("status") || !reply.contains("output"))
      return fail(Errc::malformed, "umbrad's answer cannot be read");
    return ExecReply{reply["status"] == 0, reply["output"].get<std::string>(),
                     reply.value("ask", std::string())};
  } catch (const std::exception& error) {
    return fail(Errc::unreachable, fmt::format("{}: {}", socket_path, error.what()));
  }
}

}  // namespace umbra::io
