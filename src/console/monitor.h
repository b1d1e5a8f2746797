#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace umbra::console {

/// What `debug crypto pki ...` switches on, for everybody, until `undebug` or the end of the
/// process.
enum class DebugTopic : std::uint8_t { messages, transactions, server, scep };
inline constexpr std::array debug_topics = {DebugTopic::messages, DebugTopic::transactions,
                                            DebugTopic::server, DebugTopic::scep};
[[nodiscard]] std::string_view to_string(DebugTopic topic);  ///< "messages" ...
/// The topic of a debug line, by the head it is logged with: CRYPTO_CS, CRYPTO_PKI,
/// CRYPTO_PKI_SCEP; CRYPTO_PKI/messages is printed as CRYPTO_PKI.
[[nodiscard]] DebugTopic topic_of(std::string_view category);

/// The newest lines of the log, bounded, for `show logging`; and all of them from now on for
/// sessions with `terminal monitor`. Thread-safe; nobody who logs waits for anybody who reads.
class Monitor : public std::enable_shared_from_this<Monitor> {
 public:
  static constexpr std::size_t octets_max = std::size_t{256} << 10U;
  static constexpr std::size_t waiting_max = 1000;  ///< lines of one session

  [[nodiscard]] static std::shared_ptr<Monitor> make() {
    return std::shared_ptr<Monitor>(new Monitor);
  }

  /// A whole line without its end, fit for a terminal.
  void add(std::string line);

  struct Kept {
    std::vector<std::string> lines;  ///< oldest first
    std::uint64_t logged = 0;        ///< since the start
    std::uint64_t dropped = 0;       ///< of those, no longer here
    std::uint64_t monitored = 0;     ///< lines that sessions were given
    std::size_t sessions = 0;
  };
  [[nodiscard]] Kept kept() const;

  /// `terminal monitor`: lines that are logged while this lives.
  class Subscription {
   public:
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;
    /// What came since the last call, oldest first. A session that does not keep up loses the
    /// oldest, and is told in a line how many.
    [[nodiscard]] std::vector<std::string> take();

   private:
    friend class Monitor;
    Subscription(std::shared_ptr<Monitor> monitor, std::function<void()> ready)
        : monitor_(std::move(monitor)), ready_(std::move(ready)) {}
    const std::shared_ptr<Monitor> monitor_;
    // Guarded by the monitor's mutex.
    std::function<void()> ready_;
    std::deque<std::string> waiting_;
    std::uint64_t lost_ = 0;
  };
  /// `ready` is called when lines are there after there were none: from any thread, with the
  /// monitor locked: quick, and never back into it (post it to a loop). Never after the end of the
  /// subscription.
  [[nodiscard]] std::unique_ptr<Subscription> subscribe(std::function<void()> ready);

  void set_debug(DebugTopic topic, bool on) { debug_[static_cast<std::size_t>(topic)] = on; }
  [[nodiscard]] bool debugs(DebugTopic topic) const {
    return debug_[static_cast<std::size_t>(topic)];
  }

 private:
  Monitor() = default;
  mutable std::mutex mutex_;
  std::deque<std::string> lines_;
  std::size_t octets_ = 0;
  std::uint64_t logged_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t monitored_ = 0;
  std::vector<Subscription*> subscriptions_;
  std::array<std::atomic<bool>, debug_topics.size()> debug_{};
};

/// `show logging`. In: whether debug lines may be among those kept.
[[nodiscard]] std::string logging_screen(const Monitor::Kept& kept);
/// `show debugging`: a line for each topic that is on, or nothing.
[[nodiscard]] std::string debugging_screen(const Monitor& monitor);

}  // namespace umbra::console
