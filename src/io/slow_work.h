#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace umbra::io {

/// Work that may wait for a file server for as long as that likes. What has the same name is done
/// one after the other, in the order it came; what has another name does not wait for it, as long
/// as there are threads: they come when there is work, and go when there is none.
class SlowWork {
 public:
  explicit SlowWork(std::size_t threads_max = 64);
  /// Waits until all is done.
  ~SlowWork();
  SlowWork(const SlowWork&) = delete;
  SlowWork& operator=(const SlowWork&) = delete;
  /// Thread-safe. Done here and now where the system has no thread for it.
  void run(const std::string& name, std::function<void()> work);
  /// Begins nothing more, drops what waits, here and now, and waits for what is under way.
  /// Out: whether all of that has ended.
  [[nodiscard]] bool finish_within(std::chrono::milliseconds grace);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// What `work` comes to, if that does not take longer, and the system has a thread for it. In:
/// `work` owns whatever it uses: where it takes longer, it goes on for as long as it likes.
template <class T>
[[nodiscard]] std::optional<T> answered_within(std::chrono::milliseconds limit,
                                               std::function<T()> work) {
  std::packaged_task<T()> task(std::move(work));
  std::future<T> answer = task.get_future();
  try {
    std::thread(std::move(task)).detach();
  } catch (const std::system_error&) {
    return std::nullopt;
  }
  if (answer.wait_for(limit) != std::future_status::ready) return std::nullopt;
  return answer.get();
}

}  // namespace umbra::io
