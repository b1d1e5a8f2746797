#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.h"

namespace umbra::plan {

/// Seconds since the beginning of a CA's certificate.
using Offset = std::int64_t;

/// Both ends belong to it; never empty.
struct Interval {
  Offset first = 0;
  Offset last = 0;
  friend auto operator<=>(const Interval&, const Interval&) = default;
};

/// A set of whole seconds as disjoint intervals in order, none touching the next.
/// Cost of each operation: linear in the number of intervals.
class Intervals {
 public:
  Intervals() = default;
  /// Nothing if `last` lies before `first`.
  Intervals(Offset first, Offset last) { add(Interval{first, last}); }

  void add(Interval one);
  void add_all(const Intervals& others);
  [[nodiscard]] bool empty() const { return all_.empty(); }
  [[nodiscard]] bool contains(Offset at) const;
  [[nodiscard]] Intervals within(Interval bounds) const;
  [[nodiscard]] Intervals within(const Intervals& others) const;
  [[nodiscard]] Intervals without(const Intervals& others) const;
  /// Each interval moved by `from` at its first and by `to` at its last second.
  [[nodiscard]] Intervals moved(Offset from, Offset to) const;
  [[nodiscard]] const std::vector<Interval>& all() const { return all_; }
  [[nodiscard]] Offset first() const { return all_.front().first; }  ///< of a set that is not empty
  [[nodiscard]] Offset last() const { return all_.back().last; }
  friend bool operator==(const Intervals&, const Intervals&) = default;

 private:
  std::vector<Interval> all_;
};

}  // namespace umbra::plan
