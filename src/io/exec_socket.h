#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"

namespace boost::asio {
class io_context;
}

namespace umbra::io {

struct ExecRequest {
  std::string line;
  std::optional<std::string> input;  ///< what an earlier reply asked for
};
struct ExecReply {
  bool ok = true;
  std::string output;
  /// "line" or "text": `output` is a question; the command is to be said again with input.
  std::string ask = {};
};
/// Runs one command; `done` may be called later and from any thread.
using ExecHandler = std::function<void(ExecRequest request, std::function<void(ExecReply)> done)>;

/// The console's door: a Unix socket, mode 0660, one JSON object a line each way: {"exec": "show
/// ..."} in, with "input" if the command asked for some; {"status": 0, "output": "..."} out, with
/// "ask" if it does. Who may open the socket may command the daemon: its owner,
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

/// The other end: sends one command and waits for its answer, for ever without `patience`.
/// Errors: unreachable (no daemon, or none that answers in time), malformed (not an answer).
[[nodiscard]] Result<ExecReply> exec(
    const std::string& socket_path, const ExecRequest& request,
    std::optional<std::chrono::milliseconds> patience = std::nullopt);

}  // namespace umbra::io
