#include "simulation/world.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/assert.h"
#include "simulation/process.h"

namespace umbra::simulation {
namespace {

// No story has so many: somebody runs in a circle.
constexpr std::uint64_t events_max = 400'000;

}  // namespace

World::World(Time start, std::uint64_t seed, bool tells)
    : seed_(seed), tells_(tells), clock_(start) {}

void World::post(Machine* machine, std::chrono::milliseconds delay, std::function<void()> task) {
  std::optional<std::uint64_t> process;
  if (machine != nullptr) process = machine->process();
  queue_.push({now() + delay, ++numbers_, machine, process, std::move(task)});
}

void World::post_on(Machine& machine, std::chrono::milliseconds delay, std::function<void()> task) {
  queue_.push({now() + delay, ++numbers_, &machine, std::nullopt, std::move(task)});
}

void World::run(Machine* machine, const std::function<void()>& task) {
  set_idle([machine] { return machine != nullptr && machine->idle(); });
  task();
  set_idle({});
  ++events_;
  mix(static_cast<std::uint64_t>(now().time_since_epoch().count()));
  UMBRA_ENSURE(events_ < events_max, "a story ends");
}

void World::run_until(Instant until) {
  while (!given_up_) {
    Machine* soonest = nullptr;
    Instant at = until;
    for (Machine* machine : machines_) {
      if (!machine->runs()) continue;
      const auto wakes = machine->wakes();
      if (wakes && *wakes <= at && (soonest == nullptr || *wakes < at)) {
        soonest = machine;
        at = *wakes;
      }
    }
    if (!queue_.empty() && queue_.top().at <= at) {
      const Event event = queue_.top();
      queue_.pop();
      clock_.set(std::max(now(), event.at));
      if (event.process && (!event.machine->runs() || event.machine->process() != *event.process))
        continue;
      run(event.machine, event.task);
    } else if (soonest != nullptr) {
      clock_.set(std::max(now(), at));
      run(soonest, [soonest] { soonest->wake(); });
    } else {
      break;
    }
  }
  clock_.set(until);
}

void World::tell(const std::string& who, const std::string& what) {
  if (!tells_) return;
  story_.push_back(fmt::format("{}.{:03} {:<8} {}", to_rfc3339(to_time(now())),
                               now().time_since_epoch().count() % 1000, who, what));
}

}  // namespace umbra::simulation
