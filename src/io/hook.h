#pragma once

#include <functional>
#include <memory>

#include "client/outlet.h"

namespace boost::asio {
class io_context;
}

namespace umbra::io {

/// Runs the commands of `on change exec`: /bin/sh -c COMMAND in a process group of its own, without
/// the daemon's files, terminal and signals, and with the variables of the hook. A few at a time:
/// a switch of ten thousand trustpoints is no ten thousand shells.
class HookRunner {
 public:
  /// Children are waited for on `loop`, which must not run any more when this is destroyed.
  explicit HookRunner(boost::asio::io_context& loop, std::size_t at_once = 8);
  ~HookRunner();
  /// Thread-safe. `ended` is called on the loop, once: an error if the command could not be
  /// started, ended with another status than 0, or was ended because its time was over. Not at all
  /// for what has not ended when the loop stops.
  void run(client::Hook hook, std::function<void(Result<void>)> ended);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace umbra::io
