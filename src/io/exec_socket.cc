#include "io/exec_socket.h"

#include <fmt/format.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

namespace umbra::io {
namespace {

namespace asio = boost::asio;
using stream = asio::local::stream_protocol;
using nlohmann::json;

constexpr std::size_t line_max = 64 * 1024;
constexpr std::size_t reply_max = 256U << 20;
std::string to_line(const json& value) {
  // Peers' names may hold octets that are no UTF-8; they are shown as replacement characters.
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

/// What the listener and its sessions share. A session may outlive the listener, and end on any
/// thread.
class House {
 public:
  House(ExecDoor d, const ExecLimits& l) : door(std::move(d)), limits(l) {}
  const ExecDoor door;
  const ExecLimits limits;

  [[nodiscard]] bool enter(uid_t uid) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_of_.find(uid);
    const std::size_t own = found == sessions_of_.end() ? 0 : found->second;
    // Nobody can shut out root; the bound on its own is there for what has run wild.
    const bool room = uid == 0 ? own < limits.sessions
                               : own < limits.sessions_of_one_user && sessions_ < limits.sessions;
    if (!room) return false;
    ++sessions_of_[uid];
    ++sessions_;
    return true;
  }
  void leave(uid_t uid) {
    const std::lock_guard lock(mutex_);
    --sessions_;
    if (--sessions_of_[uid] == 0) sessions_of_.erase(uid);
  }

 private:
  std::mutex mutex_;
  std::size_t sessions_ = 0;
  std::map<uid_t, std::size_t> sessions_of_;
};

Result<Peer> peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return fail(Errc::storage, "the system does not say who connects");
  Peer peer{credentials.uid, credentials.gid, {}};
  socklen_t octets = 0;
  // Without room it says how much it wants.
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, nullptr, &octets) != 0 && errno == ERANGE) {
    peer.groups.resize(octets / sizeof(gid_t));
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &octets) != 0) octets = 0;
    peer.groups.resize(octets / sizeof(gid_t));
  }
  return peer;
}

Result<ExecReply> reply_of(const std::string& text) {
  const json reply = json::parse(text, nullptr, false);
  if (!reply.is_object() || !reply.contains("status") || !reply.contains("output"))
    return fail(Errc::malformed, "umbrad's answer cannot be read");
  if (reply.value("busy", false))
    return fail(Errc::unreachable, "umbrad has too many sessions open; end some, and try again");
  ExecReply out{reply["status"] == 0, reply["output"].get<std::string>(),
                reply.value("ask", std::string()), reply.value("prompt", std::string()),
                reply.value("over", false)};
  if (reply.contains("length")) out.length = reply["length"].get<int>();
  return out;
}

/// Without the places in headers that Boost adds.
std::string why(const std::exception& thrown) {
  const auto* const error = dynamic_cast<const boost::system::system_error*>(&thrown);
  return error ? error->code().message() : thrown.what();
}

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

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(stream::socket socket, std::shared_ptr<House> house, uid_t uid)
      : socket_(std::move(socket)),
        patience_(socket_.get_executor()),
        write_patience_(socket_.get_executor()),
        house_(std::move(house)),
        uid_(uid) {}
  ~Connection() { house_->leave(uid_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start(const Peer& peer) {
    auto session = house_->door(peer);
    if (session)
      session_ = *std::move(session);
    else
      refusal_ = session.error().detail;
    if (session_) watch();
    read(house_->limits.first_line);
  }

 private:
  /// Closes if what is being done is not done in time.
  void within(asio::steady_timer& patience, std::chrono::milliseconds time) {
    patience.expires_after(time);
    patience.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      const auto self = weak.lock();
      boost::system::error_code ignored;
      if (!error && self) self->socket_.close(ignored);
    });
  }

  void read(std::chrono::milliseconds time) {
    within(patience_, time);
    asio::async_read_until(
        socket_, asio::dynamic_buffer(text_, line_max), '\n',
        [self = shared_from_this()](boost::system::error_code error, std::size_t size) {
          self->patience_.cancel();
          if (!error) self->run(size);
        });
  }

  void run(std::size_t size) {
    if (!session_) {
      ExecReply refused{false, refusal_};
      refused.over = true;
      return answer(refused);
    }
    const json request = json::parse(text_.substr(0, size), nullptr, false);
    text_.erase(0, size);
    using What = ExecRequest::What;
    static constexpr std::pair<const char*, What> kinds[] = {{"exec", What::exec},
                                                             {"say", What::say},
                                                             {"help", What::help},
                                                             {"complete", What::complete}};
    for (const auto& [name, what] : kinds) {
      if (!request.is_object() || !request.contains(name) || !request[name].is_string()) continue;
      ExecRequest asked{request[name].get<std::string>(), {}, what};
      if (request.contains("input") && request["input"].is_string())
        asked.input = request["input"].get<std::string>();
      session_->ask(std::move(asked), [self = shared_from_this()](ExecReply reply) {
        asio::post(self->socket_.get_executor(),
                   [self, reply = std::move(reply)] { self->answer(reply); });
      });
      return;
    }
    answer({false, "expected one line of JSON: {\"exec\": \"COMMAND\"}\n"});
  }

  void answer(const ExecReply& reply) {
    json line = {{"status", reply.ok ? 0 : 1}, {"output", reply.output}};
    if (!reply.ask.empty()) line["ask"] = reply.ask;
    if (!reply.prompt.empty()) line["prompt"] = reply.prompt;
    if (reply.over) line["over"] = true;
    if (reply.length) line["length"] = *reply.length;
    last_ = last_ || reply.over;
    answer_ = to_line(line);
    // Nobody is cut off for the log alone: who monitors may look at one page for an hour.
    within(write_patience_, house_->limits.reading);
    write();
  }

  /// Has what is logged while the session monitors written between answers, never more at once than
  /// the peer has read.
  void watch() {
    session_->log_lines([weak = weak_from_this()](const std::vector<std::string>& lines) {
      const auto self = weak.lock();
      if (!self) return;
      std::string text;
      for (const std::string& line : lines) text += line + "\n";
      asio::post(self->socket_.get_executor(), [self, text = std::move(text)] {
        self->log_ = to_line({{"log", text}});
        self->write();
      });
    });
  }

  void write() {
    if (!out_.empty()) return;  // one at a time
    const bool logs = !log_.empty();
    out_ = std::exchange(logs ? log_ : answer_, {});
    if (out_.empty()) return;
    asio::async_write(
        socket_, asio::buffer(out_),
        [self = shared_from_this(), logs](boost::system::error_code error, std::size_t) {
          if (!logs) self->write_patience_.cancel();
          self->out_ = {};
          if (error) return;
          if (logs)
            self->watch();
          else if (!self->last_)
            self->read(self->house_->limits.idle);
          if (logs || !self->last_) self->write();
        });
  }

  stream::socket socket_;
  asio::steady_timer patience_;        ///< for what is read
  asio::steady_timer write_patience_;  ///< for what is written
  std::shared_ptr<House> house_;
  const uid_t uid_;
  std::shared_ptr<ExecSession> session_;
  std::string refusal_;  ///< if there is no session
  std::string text_;
  std::string out_;     ///< being written
  std::string answer_;  ///< to be written
  std::string log_;     ///< to be written
  bool last_ = false;
};

}  // namespace

struct ExecLink::Wire {
  asio::io_context loop;
  stream::socket socket{loop};
  std::string text;
};

class ExecSocket::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(asio::io_context& loop, std::string path, ExecDoor door, const ExecLimits& limits)
      : acceptor_(loop),
        retry_(loop),
        path_(std::move(path)),
        house_(std::make_shared<House>(std::move(door), limits)) {}

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
    const mode_t old = ::umask(0111);
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
          self->open_for(std::move(socket));
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
  void open_for(stream::socket socket) const {
    const auto peer = peer_of(socket.native_handle());
    if (!peer) return;
    if (!house_->enter(peer->uid)) {
      // As much as goes at once: nobody waits for whom there is no room for.
      boost::system::error_code ignored;
      socket.non_blocking(true, ignored);
      socket.send(
          asio::buffer(to_line(
              {{"status", 1}, {"output", "% Too many sessions are open\n"}, {"busy", true}})),
          0, ignored);
      return;
    }
    std::make_shared<Connection>(std::move(socket), house_, peer->uid)->start(*peer);
  }

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
                                                       const std::string& path, ExecDoor door,
                                                       const ExecLimits& limits) {
  auto listener = std::make_shared<Listener>(loop, path, std::move(door), limits);
  UMBRA_CHECK(listener->open());
  listener->accept();
  return std::unique_ptr<ExecSocket>(new ExecSocket(std::move(listener)));
}

std::string name_of(const Peer& peer) {
  passwd found{};
  passwd* result = nullptr;
  std::array<char, 16384> room{};
  if (::getpwuid_r(peer.uid, &found, room.data(), room.size(), &result) == 0 && result)
    return result->pw_name;
  return fmt::format("uid {}", peer.uid);
}

Result<std::unique_ptr<ExecLink>> ExecLink::open(const std::string& socket_path) {
  try {
    auto link = std::unique_ptr<ExecLink>(new ExecLink);
    link->socket_ = std::make_unique<Wire>();
    boost::system::error_code error;
    link->socket_->socket.connect(stream::endpoint(socket_path), error);
    if (error) {
      return fail(
          Errc::unreachable,
          fmt::format("no umbrad answers at {}: {}; is it running, and is --socket its socket?",
                      socket_path, error.message()));
    }
    return link;
  } catch (const std::exception& error) {
    return fail(Errc::unreachable, fmt::format("{}: {}", socket_path, error.what()));
  }
}

ExecLink::~ExecLink() = default;

Result<ExecReply> ExecLink::ask(const ExecRequest& request,
                                const std::function<bool()>& interrupted) {
  static constexpr const char* names[] = {"exec", "say", "help", "complete"};
  constexpr int look_every_milliseconds = 200;
  try {
    json line = {{names[static_cast<std::size_t>(request.what)], request.line}};
    if (request.input) line["input"] = *request.input;
    // Whom there is no room for is told so before anything is taken from him.
    boost::system::error_code unsaid;
    asio::write(socket_->socket, asio::buffer(to_line(line)), unsaid);
    for (;;) {
      if (const auto reply = next_reply()) return reply_of(*reply);
      if (interrupted && interrupted()) return fail(Errc::conflict, "interrupted");
      pollfd ready{socket_->socket.native_handle(), POLLIN, 0};
      if (::poll(&ready, 1, look_every_milliseconds) > 0) read_some();
      if (socket_->text.size() > reply_max)
        return fail(Errc::malformed, "umbrad's answer has no end");
    }
  } catch (const std::exception& error) {
    return fail(Errc::unreachable, fmt::format("umbrad has gone: {}", why(error)));
  }
}

int ExecLink::descriptor() const { return socket_->socket.native_handle(); }

void ExecLink::read_some() {
  std::array<char, 65536> chunk{};
  socket_->text.append(chunk.data(), socket_->socket.read_some(asio::buffer(chunk)));
}

std::optional<std::string> ExecLink::next_reply() {
  std::string& text = socket_->text;
  std::optional<std::string> reply;
  // To the end of what has come, as whoever waits at the descriptor hears of no more: lines of the
  // log that came behind the reply too.
  for (;;) {
    const auto end = text.find('\n');
    if (end == std::string::npos) return reply;
    const bool logged = text.starts_with("{\"log\":");
    if (!logged && reply) return reply;
    std::string line = text.substr(0, end + 1);
    text.erase(0, end + 1);
    if (!logged) {
      reply = std::move(line);
      continue;
    }
    const json pushed = json::parse(line, nullptr, false);
    if (log_ && pushed.is_object() && pushed["log"].is_string())
      log_(pushed["log"].get<std::string>());
  }
}

Result<void> ExecLink::take_log() {
  try {
    read_some();
    if (next_reply()) return fail(Errc::malformed, "umbrad answers what was not asked");
    if (socket_->text.size() > reply_max) return fail(Errc::malformed, "the log has no end");
    return {};
  } catch (const std::exception& error) {
    return fail(Errc::unreachable, fmt::format("umbrad has gone: {}", why(error)));
  }
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
    // Whom there is no room for is told so before anything is taken from him.
    asio::write(socket, asio::buffer(to_line(line)), error);
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
    return reply_of(text);
  } catch (const std::exception& error) {
    return fail(Errc::unreachable, fmt::format("{}: {}", socket_path, why(error)));
  }
}

}  // namespace umbra::io
