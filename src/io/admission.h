#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/counters.h"
#include "base/http.h"
#include "base/log.h"
#include "server/router.h"

namespace umbra::io {

/// Requests on their way to the workers, and who of them goes first. Up to `short_line` nothing is
/// looked at, and first come is first served. Beyond what can be answered in time, whoever matters
/// least is told at once when to come again (503, Retry-After), before anything was spent on him.
///
/// Who goes first in a longer line: what costs nothing; then requests that are signed by a
/// certificate of ours, that which ends first before the others; then first enrolments in the order
/// they came, and these have every fourth turn in any case, so that nobody keeps them out for good.
/// That a certificate is ours is verified before it is given a turn for it: who forges one is put
/// behind.
class Admission {
 public:
  using Steady = std::chrono::steady_clock;
  using Handler = std::function<void(const HttpRequest&, HttpDone)>;
  using Task = std::function<void()>;

  static constexpr std::size_t short_line = 64;
  /// However slow the last ones were: a small installation is never turned away.
  static constexpr std::size_t always_welcome = 128;
  /// So many turns after the last one the first of `others` has his, whoever else waits.
  static constexpr std::uint64_t turns_of_others = 4;
  /// Who waits longer than this before he asks again has forgotten what he was told.
  static constexpr std::chrono::seconds retry_after_max{120};
  /// It is over when nobody was put off for so long.
  static constexpr std::chrono::seconds quiet_after{10};

  struct Surroundings {
    unsigned workers = 1;                                   ///< that run what `post` is given
    std::function<void(Task)> post;                         ///< to one of them, whenever it is free
    std::function<void(std::chrono::seconds, Task)> after;  ///< runs it then
    Handler handler;                                        ///< runs on a worker
    /// What is answered where it was asked, without a turn. May be empty: nothing is.
    std::function<std::optional<HttpReply>(const HttpRequest&)> at_hand = {};
    /// As server::Router has them.
    std::function<server::Sighting(const HttpRequest&)> look;
    std::function<bool(const server::Sighting&)> vouched;
    /// Told how many costly requests are in the line or with a worker. Any thread.
    std::function<void(std::size_t)> under_way = [](std::size_t) {};
    /// Runs on the worker after each request, and counts for nobody's: how long the disk takes says
    /// nothing of how many requests can be answered.
    std::function<void()> afterwards = [] {};
    Log& log;
    Counters& counters;
    std::size_t waiting_max = 2048;  ///< a share of the connections, so that others can be told
    std::function<Steady::time_point()> now = [] { return Steady::now(); };
  };

  explicit Admission(Surroundings surroundings) : in_(std::move(surroundings)) {}
  /// `ip http max-wait`: how long the last of those that wait should have to. Any thread.
  void set_wait_max(std::chrono::milliseconds longest);
  /// Does not block. `done` is called once, from any thread, perhaps at once.
  void admit(std::shared_ptr<const HttpRequest> request, HttpDone done);

 private:
  struct Place {
    server::Urgency urgency;
    std::uint64_t number = 0;  ///< in the order they came
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  struct Waiting {
    std::shared_ptr<const HttpRequest> request{};
    HttpDone done{};
    server::Sighting sighting{};
    bool costly = false;
    std::uint64_t number = 0;
  };

  void serve_one();
  [[nodiscard]] std::optional<Waiting> next();
  void put_back(Waiting one);
  [[nodiscard]] bool full() const;
  [[nodiscard]] std::chrono::nanoseconds wait_of(std::size_t waiting) const;
  /// With mutex_ held: counts one, and gives him his moment. Out: and whether he is the first.
  [[nodiscard]] std::pair<std::chrono::seconds, bool> moment_of_one_more();
  void turn_away(const HttpDone& done, std::chrono::seconds retry_after) const;
  void served(std::chrono::nanoseconds one);
  void see_whether_it_is_over();

  const Surroundings in_;
  std::mutex mutex_;  ///< guards what follows
  std::map<Place, Waiting> line_;
  std::size_t costly_ = 0;        ///< of those in the line
  std::size_t with_workers_ = 0;  ///< costly ones
  std::uint64_t arrived_ = 0;
  std::uint64_t turns_ = 0;
  std::chrono::nanoseconds longest_{std::chrono::seconds{2}};
  std::chrono::nanoseconds service_{0};  ///< of one costly request on a worker, smoothed
  Steady::time_point promised_{};        ///< the moment that was given last
  std::optional<Steady::time_point> busy_since_;
  Steady::time_point put_off_last_{};
  std::uint64_t put_off_ = 0;  ///< since busy_since_
};

}  // namespace umbra::io
