#pragma once

#include <sys/types.h>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace boost::asio {
class io_context;
}

namespace umbra::io {

struct ExecRequest {
  std::string line;
  std::optional<std::string> input = {};  ///< what an earlier reply asked for
  /// A command on its own; a line typed in a session; `?` and Tab with `line` left of the cursor.
  enum class What { exec, say, help, complete } what = What::exec;
};
struct ExecReply {
  bool ok = true;
  std::string output;
  /// "line", "text", "configuration": `output` is a question; the command is to be said again with
  /// input.
  std::string ask = {};
  // Of a session:
  std::string prompt = {};         ///< of the next line
  bool over = false;               ///< there is none
  std::optional<int> length = {};  ///< lines of a page, if the session has set it
};

/// Who is at the other end of the socket, as the kernel says.
struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};
};
/// `alice`, or `uid 1234` if the system has no name for it.
[[nodiscard]] std::string name_of(const Peer& peer);

/// One connection's counterpart in the daemon. One request at a time; `done` is called once, from
/// any thread.
class ExecSession {
 public:
  virtual ~ExecSession() = default;
  virtual void ask(ExecRequest request, std::function<void(ExecReply)> done) = 0;
  /// `terminal monitor`: `done` is called once, from any thread, when the log has lines for this
  /// session; ask again for those behind them. Never, if the session monitors nothing.
  virtual void log_lines(std::function<void(std::vector<std::string>)> /*done*/) {}
};
/// Errors: what the peer is told before the connection is closed.
using ExecDoor = std::function<Result<std::shared_ptr<ExecSession>>(const Peer&)>;

/// How much one is let do to the socket. Root is let in whatever others have open: for it,
/// `sessions` bounds its own alone.
struct ExecLimits {
  std::size_t sessions = 256;
  std::size_t sessions_of_one_user = 64;
  std::chrono::milliseconds first_line{30'000};  ///< from opening it to the end of the first line
  std::chrono::milliseconds idle{3'600'000};
  std::chrono::milliseconds reading{60'000};  ///< of an answer
};

/// The console's door: a Unix socket, one JSON object a line each way: {"exec": "show ..."} in,
/// with "input" if the command asked for some; {"status": 0, "output": "..."} out, with "ask" if it
/// does. "say" in place of "exec" is a line of a session, which lasts as long as the connection;
/// "help" and "complete" are `?` and Tab; answers to these have the next "prompt". After `terminal
/// monitor`, {"log": "..."} comes unasked between answers. Anybody may connect: whom the door
/// refuses is told so, and has no more of it.
class ExecSocket {
 public:
  /// A socket that nobody serves any more is replaced; anything else at `path` is left alone.
  /// Errors: conflict if another process serves it; storage.
  [[nodiscard]] static Result<std::unique_ptr<ExecSocket>> listen(boost::asio::io_context& loop,
                                                                  const std::string& path,
                                                                  ExecDoor door,
                                                                  const ExecLimits& limits = {});
  ~ExecSocket();

 private:
  class Listener;
  explicit ExecSocket(std::shared_ptr<Listener> listener);
  std::shared_ptr<Listener> listener_;
};

/// The other end of a session.
class ExecLink {
 public:
  /// Errors: unreachable.
  [[nodiscard]] static Result<std::unique_ptr<ExecLink>> open(const std::string& socket_path);
  ~ExecLink();
  /// Errors: conflict if `interrupted` said so meanwhile: the answer is lost, and with it the link;
  /// unreachable (the daemon has gone); malformed.
  [[nodiscard]] Result<ExecReply> ask(const ExecRequest& request,
                                      const std::function<bool()>& interrupted = {});
  /// Lines of the log that come unasked, once `terminal monitor` was said: while an answer is
  /// waited for, or with it, or read by `take_log`.
  void on_log(std::function<void(const std::string&)> take) { log_ = std::move(take); }
  /// For poll: something has come if it can be read.
  [[nodiscard]] int descriptor() const;
  /// Reads what has come while nothing was asked. Errors: unreachable (the daemon has gone).
  [[nodiscard]] Result<void> take_log();

 private:
  struct Wire;
  ExecLink() = default;
  void read_some();
  [[nodiscard]] std::optional<std::string> next_reply();
  std::function<void(const std::string&)> log_;
  std::unique_ptr<Wire> socket_;
};

/// The other end: sends one command and waits for its answer, for ever without `patience`.
/// Errors: unreachable (no daemon, or none that answers in time), malformed (not an answer).
[[nodiscard]] Result<ExecReply> exec(
    const std::string& socket_path, const ExecRequest& request,
    std::optional<std::chrono::milliseconds> patience = std::nullopt);

}  // namespace umbra::io
