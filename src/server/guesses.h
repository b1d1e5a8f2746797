#pragma once

#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "base/time.h"

namespace umbra::server {

/// Tries of the static challenge password that were wrong: of one address, and of all together.
/// Where there were too many, none is looked at until some time has passed, be it right or wrong:
/// so many in a day are all that anybody can try. An address that has had it right lately is not
/// held up by what others try. Thread-safe. Nothing is kept across a restart.
class Guesses {
 public:
  struct Bounds {
    int of_one = 10;             ///< at once, from one address (of IPv6: from one /64)
    Seconds one_comes_back{60};  ///< one more
    int of_all = 1000;
    Seconds all_come_back{10};
    std::size_t addresses = 4096;  ///< that are remembered
  };
  enum class Verdict {
    look,
    locked,  ///< not to be looked at
  };
  Guesses() : Guesses(Bounds{}) {}
  explicit Guesses(const Bounds& bounds) : bounds_(bounds) {}

  /// A try comes, and counts as wrong until `right` is told of it.
  [[nodiscard]] Verdict begin(const std::string& address, Time now);
  void right(const std::string& address, Time now);
  /// It was wrong. Out: what is locked from now on because of it; for the log.
  enum class Locks { nothing, address, all };
  [[nodiscard]] Locks wrong(const std::string& address, Time now) const;

 private:
  struct Bucket {
    Time full_at{};  ///< when all tries have come back
  };
  [[nodiscard]] static bool empty(const Bucket& bucket, int depth, Seconds step, Time now);

  const Bounds bounds_;
  mutable std::mutex mutex_;
  Bucket all_;
  std::map<std::string, Bucket> of_;
  std::list<std::string> known_in_turn_;
  std::set<std::string> known_;  ///< have had it right
};

}  // namespace umbra::server
