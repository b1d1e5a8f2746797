#include "io/clock_steps.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

namespace umbra::io {

namespace asio = boost::asio;

struct ClockSteps::Impl {
  explicit Impl(asio::io_context& loop) : descriptor(loop) {
    const int fd = ::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd >= 0) descriptor.assign(fd);
  }
  asio::posix::stream_descriptor descriptor;
};

ClockSteps::ClockSteps(asio::io_context& loop) : impl_(std::make_unique<Impl>(loop)) {}
ClockSteps::~ClockSteps() = default;

void ClockSteps::wait(std::function<void()> stepped) {
  if (!impl_->descriptor.is_open()) return;
  // Armed for the year 2255: only a step ends the wait, with ECANCELED at the next read. The kernel
  // counts up to 2262.
  itimerspec never{};
  never.it_value.tv_sec = 9'000'000'000;
  constexpr int flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
  if (::timerfd_settime(impl_->descriptor.native_handle(), flags, &never, nullptr) != 0) return;
  impl_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                               [stepped = std::move(stepped)](boost::system::error_code error) {
                                 if (!error) stepped();
                               });
}

void ClockSteps::cancel() {
  boost::system::error_code ignored;
  impl_->descriptor.cancel(ignored);
}

}  // namespace umbra::io
