#pragma once

#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace umbra::io {

/// Tells when the system's clock was set: by an administrator, by NTP in a step, or by a machine
/// that wakes from suspension. Costs nothing until then (timerfd, TFD_TIMER_CANCEL_ON_SET).
class ClockSteps {
 public:
  explicit ClockSteps(boost::asio::io_context& loop);
  ~ClockSteps();
  /// Calls `stepped` at the next step, once.
  void wait(std::function<void()> stepped);
  void cancel();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace umbra::io
