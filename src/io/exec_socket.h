#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace boost::asio {
class io_context;
}

namespace umbra::io {

struct ExecReply {
  bool ok = true;
  std::string output;
};
/// Runs one command; `done` may be called later and from any thread.
using ExecHandler = std::function<void(std::string line, std::function<void(ExecReply)> done)>;

/// The console's door: a Unix socket, mode 0660, one JSON object a line each way: {"exec": "show
/// ..."} in,
/// {"status": 0, "output": "..."} out. Who may open the socket may command the daemon: its owner,
/// root, and its group.
class ExecSocket {
 public:
  /// A socket that nobody serves any more is replaced; anything else at `path` is left alone.
  /// Errors: conflict if another process serves it; storage.
  [[nodiscard]] static Result<std::unique_ptr<ExecSocket>> listen(boost::asio::io_context& loop,
                                                                  const std::string& path,
                                                                  ExecHandler handler);
  ~ExecSocket();

 private:
  class Listener;
  explicit ExecSocket(std::shared_ptr<Listener> listener);
  std::shared_ptr<Listener> listener_;
};

/// The other end: sends one command and waits for its answer.
/// Errors: unreachable (no daemon), malformed (not an answer).
[[nodiscard]] Result<ExecReply> exec(const std::string& socket_path, const std::string& line);

}  // namespace umbra::io
