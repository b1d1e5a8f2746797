#include "io/publishing.h"

#include <algorithm>

namespace umbra::io {
namespace {

// The clock may be set meanwhile, and disks fill up without telling.
constexpr std::chrono::nanoseconds wait_max = std::chrono::seconds{60};
// A clock in a hurry retries no faster than a peer can bear.
constexpr std::chrono::nanoseconds wait_min = std::chrono::milliseconds{100};

}  // namespace

void Publishing::start(const std::shared_ptr<server::CertificateServer>& server) {
  const std::lock_guard lock(crews_mutex_);
  Crew& crew = *crews_.emplace_back(std::make_unique<Crew>());
  crew.server = server;
  for (std::size_t place = 0; place < server->places(); ++place)
    crew.threads.emplace_back([this, &crew, place] { run(crew, place); });
}

void Publishing::wake() {
  const std::lock_guard lock(mutex_);
  ++changes_;
  changed_.notify_all();
}

void Publishing::run(Crew& crew, std::size_t place) {
  for (std::uint64_t seen = 0;;) {
    {
      const std::lock_guard lock(mutex_);
      if (crew.dismissed) return;
      seen = changes_;
    }
    const auto next = crew.server->publish(place);
    std::chrono::nanoseconds wait = wait_max;
    if (next) wait = std::clamp(clock_.real_time_until(*next), wait_min, wait_max);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, wait, [&] { return crew.dismissed || changes_ != seen; });
  }
}

void Publishing::dismiss(Crew& crew) {
  {
    const std::lock_guard lock(mutex_);
    crew.dismissed = true;
    changed_.notify_all();
  }
  for (auto& thread : crew.threads) thread.join();
}

void Publishing::stop(const std::shared_ptr<server::CertificateServer>& server) {
  std::unique_ptr<Crew> crew;
  {
    const std::lock_guard lock(crews_mutex_);
    const auto found = std::find_if(crews_.begin(), crews_.end(),
                                    [&](const auto& one) { return one->server == server; });
    if (found == crews_.end()) return;
    crew = std::move(*found);
    crews_.erase(found);
  }
  // Not as long as a place that hangs would have it.
  server->stop_publishing();
  dismiss(*crew);
}

void Publishing::stop() {
  std::vector<std::unique_ptr<Crew>> all;
  {
    const std::lock_guard lock(crews_mutex_);
    all.swap(crews_);
  }
  for (const auto& crew : all) dismiss(*crew);
}

}  // namespace umbra::io
