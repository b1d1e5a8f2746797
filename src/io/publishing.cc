#include "io/publishing.h"

#include <algorithm>

namespace umbra::io {
namespace {

// The clock may be set meanwhile, and disks fill up without telling.
constexpr std::chrono::nanoseconds wait_max = std::chrono::seconds{60};
// A clock in a hurry retries no faster than a peer can bear.
constexpr std::chrono::nanoseconds wait_min = std::chrono::milliseconds{100};

}  // namespace

void Publishing::start(const std::vector<server::CertificateServer*>& servers) {
  for (server::CertificateServer* const server : servers) {
    for (std::size_t place = 0; place < server->places(); ++place)
      threads_.emplace_back([this, server, place] { run(*server, place); });
  }
}

void Publishing::wake() {
  const std::lock_guard lock(mutex_);
  ++changes_;
  changed_.notify_all();
}

void Publishing::run(server::CertificateServer& server, std::size_t place) {
  for (std::uint64_t seen = 0;;) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      seen = changes_;
    }
    const auto next = server.publish(place);
    std::chrono::nanoseconds wait = wait_max;
    if (next) wait = std::clamp(clock_.real_time_until(*next), wait_min, wait_max);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, wait, [&] { return stopping_ || changes_ != seen; });
  }
}

void Publishing::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace umbra::io
