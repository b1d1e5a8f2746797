#include "rehearse/rehearsal.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <thread>

namespace umbra::rehearse {
namespace {

// Short enough for its seconds to stay in the processor's cache.
constexpr Offset window = 4 * day_seconds;
// Devices that a thread takes at a time.
constexpr std::size_t share = 4096;
constexpr std::uint32_t no_event = std::numeric_limits<std::uint32_t>::max();

class Fleet {
 public:
  Fleet(const Scenario& scenario, std::size_t authority, unsigned threads)
      : scenario_(scenario),
        line_(scenario.authorities[authority], scenario.faults, scenario.until),
        around_{scenario, scenario.authorities[authority], line_} {
    for (std::size_t i = 0; i < scenario.devices; ++i) {
      if (scenario.kind_of(i).authority == authority)
        numbers_.push_back(static_cast<std::uint32_t>(i));
    }
    devices_.resize(numbers_.size());
    next_.resize(numbers_.size());
    tallies_.resize(threads);
    for (Tally& tally : tallies_) tally = Tally(scenario.until, window);
  }

  [[nodiscard]] bool empty() const { return numbers_.empty(); }

  AuthorityOutcome run(const Progress& progress, double from, double part) {
    for (Offset begin = 0; begin < scenario_.until; begin += window) {
      const Offset end = std::min(begin + window, scenario_.until);
      in_parallel(
          [&](Tally& tally, std::size_t i) {
            if (begin > 0 && (next_[i] == no_event || next_[i] >= end)) return;
            const Offset next = Life(around_, numbers_[i], devices_[i], tally).play(end);
            next_[i] = next >= scenario_.until ? no_event : static_cast<std::uint32_t>(next);
          },
          begin);
      note_seconds(begin);
      if (progress)
        progress(end,
                 from + part * static_cast<double>(end) / static_cast<double>(scenario_.until));
    }
    in_parallel(
        [&](Tally& tally, std::size_t i) {
          Life(around_, numbers_[i], devices_[i], tally).finish(scenario_.until);
        },
        scenario_.until);
    return outcome();
  }

  [[nodiscard]] const ServerLine& line() const { return line_; }

 private:
  template <class Work>
  void in_parallel(const Work& work, Offset begin) {
    std::atomic<std::size_t> taken = 0;
    const auto one = [&](Tally& tally) {
      tally.window_from = begin;
      for (;;) {
        const std::size_t first = taken.fetch_add(share);
        if (first >= numbers_.size()) return;
        const std::size_t last = std::min(first + share, numbers_.size());
        for (std::size_t i = first; i < last; ++i) work(tally, i);
      }
    };
    std::vector<std::thread> threads;
    const std::size_t useful = (numbers_.size() + share - 1) / share;
    for (std::size_t t = 1; t < std::min(tallies_.size(), useful); ++t)
      threads.emplace_back(one, std::ref(tallies_[t]));
    one(tallies_.front());
    for (std::thread& thread : threads) thread.join();
  }

  /// The window's busiest second, and an empty window for the next one.
  void note_seconds(Offset begin) {
    Tally& all = tallies_.front();
    for (std::size_t t = 1; t < tallies_.size(); ++t) {
      for (const std::uint32_t second : tallies_[t].touched) {
        std::uint32_t& count = tallies_[t].seconds[second];
        if (all.seconds[second] == 0) all.touched.push_back(second);
        all.seconds[second] += count;
        count = 0;
      }
      tallies_[t].touched.clear();
    }
    for (const std::uint32_t second : all.touched) {
      const std::uint32_t count = all.seconds[second];
      const Offset when = begin + second;
      if (count > second_.count || (count == second_.count && when < second_.at))
        second_ = {count, when};
      all.seconds[second] = 0;
    }
    all.touched.clear();
  }

  AuthorityOutcome outcome() {
    AuthorityOutcome out;
    out.name = around_.authority.name;
    out.generations = line_.generations();
    out.crl_stale = line_.crl_stale();
    out.cancelled_nothing = line_.cancelled_nothing();
    out.devices = devices_.size();
    out.second = second_;
    out.tally = std::move(tallies_.front());
    for (std::size_t t = 1; t < tallies_.size(); ++t) out.tally.add(tallies_[t]);
    count_dark(out);
    for (std::size_t h = 0; h < out.tally.hours.size(); ++h) {
      if (out.tally.hours[h] > out.hour.count)
        out.hour = {out.tally.hours[h], static_cast<Offset>(h) * hour_seconds};
    }
    std::int64_t waiting = 0;
    for (std::size_t h = 0; h < out.tally.queue.size(); ++h) {
      waiting += out.tally.queue[h];
      if (waiting > static_cast<std::int64_t>(out.waiting.count)) {
        out.waiting = {static_cast<std::uint64_t>(waiting), static_cast<Offset>(h) * hour_seconds};
      }
    }
    std::array<std::int64_t, states> now{};
    now[static_cast<std::size_t>(State::not_enrolled)] = static_cast<std::int64_t>(out.devices);
    const auto whole_days = static_cast<std::size_t>(scenario_.until / day_seconds);
    for (std::size_t day = 0; day <= whole_days; ++day) {
      for (std::size_t s = 0; s < states; ++s) now[s] += out.tally.days[day][s];
      out.days.push_back(now);
    }
    return out;
  }

  void count_dark(AuthorityOutcome& out) {
    std::array<CauseRow, causes> rows{};
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      const Device& device = devices_[i];
      out.enrolled += device.enrolled ? 1 : 0;
      if (device.dark_for == 0) continue;
      ++out.dark;
      const bool still = device.state == static_cast<std::uint8_t>(State::dark);
      out.still += still ? 1 : 0;
      CauseRow& row = rows[device.cause];
      row.cause = static_cast<Cause>(device.cause);
      if (row.devices == 0 || Offset{device.dark_from} < row.first) row.first = device.dark_from;
      ++row.devices;
      row.longest = std::max<Offset>(row.longest, device.dark_for);
      row.total += device.dark_for;
      keep_worst(out.worst, {numbers_[i], scenario_.order[numbers_[i] % scenario_.order.size()],
                             device.dark_from, device.dark_for, device.episodes, row.cause, still});
    }
    std::sort(out.worst.begin(), out.worst.end(), longer);
    if (out.worst.size() > worst_max) out.worst.resize(worst_max);
    for (const CauseRow& row : rows) {
      if (row.devices > 0) out.causes.push_back(row);
    }
    std::stable_sort(out.causes.begin(), out.causes.end(),
                     [](const CauseRow& a, const CauseRow& b) { return a.devices > b.devices; });
  }

  static bool longer(const DarkDevice& a, const DarkDevice& b) {
    return a.dark_for != b.dark_for ? a.dark_for > b.dark_for : a.number < b.number;
  }
  static void keep_worst(std::vector<DarkDevice>& worst, const DarkDevice& one) {
    worst.push_back(one);
    if (worst.size() < 2 * worst_max) return;
    std::nth_element(worst.begin(), worst.begin() + worst_max, worst.end(), longer);
    worst.resize(worst_max);
  }

  const Scenario& scenario_;
  ServerLine line_;
  Surroundings around_;
  std::vector<std::uint32_t> numbers_;
  std::vector<Device> devices_;
  std::vector<std::uint32_t> next_;
  std::vector<Tally> tallies_;
  Peak second_;
};

}  // namespace

std::size_t Outcome::dark() const {
  std::size_t all = 0;
  for (const AuthorityOutcome& one : authorities) all += one.dark;
  return all;
}

Outcome rehearse(const Scenario& scenario, unsigned threads, const Progress& progress) {
  Outcome outcome;
  double done = 0;
  for (std::size_t i = 0; i < scenario.authorities.size(); ++i) {
    Fleet fleet(scenario, i, std::max(1U, threads));
    if (fleet.empty()) continue;
    const double part = static_cast<double>(scenario.authorities[i].devices_read) /
                        static_cast<double>(scenario.order.size());
    outcome.authorities.push_back(fleet.run(progress, done, part));
    done += part;
    const AuthorityOutcome& last = outcome.authorities.back();
    outcome.broken.insert(outcome.broken.end(), last.tally.broken.begin(), last.tally.broken.end());
    outcome.broken_servers.insert(outcome.broken_servers.end(), fleet.line().broken().begin(),
                                  fleet.line().broken().end());
  }
  return outcome;
}

std::vector<Chapter> story_of(const Scenario& scenario, std::size_t device) {
  const Authority& authority = scenario.authorities[scenario.kind_of(device).authority];
  const ServerLine line(authority, scenario.faults, scenario.until);
  const Surroundings around{scenario, authority, line};
  std::vector<Chapter> story;
  Device one;
  Tally tally(scenario.until, window);
  Offset next = 0;
  while (next < scenario.until) {
    tally.window_from = next / window * window;
    const Offset end = std::min(tally.window_from + window, scenario.until);
    next = Life(around, device, one, tally, &story).play(end);
  }
  Life(around, device, one, tally, &story).finish(scenario.until);
  std::stable_sort(story.begin(), story.end(),
                   [](const Chapter& a, const Chapter& b) { return a.at < b.at; });
  return story;
}

}  // namespace umbra::rehearse
