#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>

namespace boost::asio {
class io_context;
}

namespace umbra::io {

/// Gives the system back what nobody needs while the process waits: memory that the allocator keeps
/// for later, and pages of programs and libraries that were read in for the start or for the last
/// event. Whatever of them is used again comes back from the page cache, a minor fault for a
/// stretch of it. Until then it is the first that a host in want of memory does without. Does
/// nothing while the process is traced: breakpoints live in those pages.
/// Cost: two system calls for each library that is loaded, and the faults afterwards; for somebody
/// who is going to sleep. Any thread.
void give_back_memory();

/// Gives memory back when nothing has happened for two seconds. Waits for nothing while nothing
/// happens. On its loop.
class MemoryAtRest {
 public:
  explicit MemoryAtRest(boost::asio::io_context& loop) : timer_(loop) {}
  /// Something happens.
  void disturb();

 private:
  void wait();
  boost::asio::steady_timer timer_;
  bool waits_ = false;
  bool disturbed_ = false;  ///< since it began to wait
};

}  // namespace umbra::io
