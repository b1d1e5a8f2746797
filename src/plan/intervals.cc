#include "plan/intervals.h"

#include <algorithm>

namespace umbra::plan {

void Intervals::add(Interval one) {
  if (one.last < one.first) return;
  // The first that `one` touches or overlaps, and all after it that it does.
  auto from = std::lower_bound(all_.begin(), all_.end(), one.first,
                               [](const Interval& i, Offset at) { return i.last + 1 < at; });
  auto to = from;
  while (to != all_.end() && to->first <= one.last + 1) {
    one.first = std::min(one.first, to->first);
    one.last = std::max(one.last, to->last);
    ++to;
  }
  all_.insert(all_.erase(from, to), one);
}

void Intervals::add_all(const Intervals& others) {
  for (const Interval& one : others.all_) add(one);
}

bool Intervals::contains(Offset at) const {
  return std::any_of(all_.begin(), all_.end(),
                     [at](const Interval& i) { return i.first <= at && at <= i.last; });
}

Intervals Intervals::within(Interval bounds) const {
  Intervals out;
  for (const Interval& i : all_)
    out.add({std::max(i.first, bounds.first), std::min(i.last, bounds.last)});
  return out;
}

Intervals Intervals::within(const Intervals& others) const {
  Intervals out;
  for (const Interval& i : others.all_) out.add_all(within(i));
  return out;
}

Intervals Intervals::without(const Intervals& others) const {
  Intervals out;
  for (const Interval& i : all_) {
    Offset from = i.first;
    for (const Interval& gone : others.all_) {
      if (gone.last < from || gone.first > i.last) continue;
      out.add({from, gone.first - 1});
      from = gone.last + 1;
    }
    out.add({from, i.last});
  }
  return out;
}

Intervals Intervals::moved(Offset from, Offset to) const {
  Intervals out;
  for (const Interval& i : all_) out.add({i.first + from, i.last + to});
  return out;
}

}  // namespace umbra::plan
