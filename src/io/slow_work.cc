#include "io/slow_work.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace umbra::io {

struct SlowWork::State {
  explicit State(std::size_t max) : threads_max(max) {}

  const std::size_t threads_max;
  std::mutex mutex;
  std::condition_variable ended;  ///< a thread has
  /// By name: what waits, while anything of that name waits or is under way.
  std::map<std::string, std::deque<std::function<void()>>> waiting;
  std::deque<std::string> ready;  ///< names of which something waits, and nothing is under way
  std::size_t threads = 0;
  bool closed = false;

  /// Whatever there is to do, until there is nothing.
  void work_off() {
    std::unique_lock lock(mutex);
    while (!ready.empty() && !closed) {
      const std::string name = std::move(ready.front());
      ready.pop_front();
      std::function<void()> work = std::move(waiting[name].front());
      waiting[name].pop_front();
      lock.unlock();
      work();
      work = nullptr;  // what it holds may call us
      lock.lock();
      const auto left = waiting.find(name);
      if (left == waiting.end()) continue;  // dropped
      if (left->second.empty())
        waiting.erase(left);
      else
        ready.push_back(name);
    }
    --threads;
    ended.notify_all();
  }
};

SlowWork::SlowWork(std::size_t threads_max) : state_(std::make_shared<State>(threads_max)) {}

SlowWork::~SlowWork() {
  std::unique_lock lock(state_->mutex);
  state_->ended.wait(lock, [this] { return state_->threads == 0; });
}

void SlowWork::run(const std::string& name, std::function<void()> work) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->closed) return;
    const auto [at, first] = state_->waiting.try_emplace(name);
    at->second.push_back(std::move(work));
    if (!first) return;
    state_->ready.push_back(name);
    if (state_->threads == state_->threads_max) return;
    ++state_->threads;
  }
  try {
    std::thread([state = state_] { state->work_off(); }).detach();
  } catch (const std::system_error&) {
    state_->work_off();
  }
}

bool SlowWork::finish_within(std::chrono::milliseconds grace) {
  // What it holds may call us, and whoever is still there.
  std::map<std::string, std::deque<std::function<void()>>> dropped;
  std::unique_lock lock(state_->mutex);
  state_->closed = true;
  state_->ready.clear();
  dropped.swap(state_->waiting);
  lock.unlock();
  dropped.clear();
  lock.lock();
  return state_->ended.wait_for(lock, grace, [this] { return state_->threads == 0; });
}

}  // namespace umbra::io
