#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "sim/virtual_clock.h"
#include "simulation/chance.h"

namespace umbra::simulation {

class World;

/// A machine as the world sees it: on or off, and with something to do at some time.
class Machine {
 public:
  Machine(World& world, std::string name) : world_(world), name_(std::move(name)) {}
  virtual ~Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// What was posted to a process that has ended is not run by the next one.
  [[nodiscard]] std::uint64_t process() const { return process_; }
  [[nodiscard]] bool runs() const { return runs_; }
  /// When its own timers go off next.
  [[nodiscard]] virtual std::optional<Instant> wakes() = 0;
  virtual void wake() = 0;
  /// What another thread of its process would do now; false: nothing.
  virtual bool idle() = 0;

 protected:
  World& world_;
  const std::string name_;
  std::uint64_t process_ = 0;
  bool runs_ = false;
};

/// Time, and what happens in it, in the order of a seed: one thread plays everything. A machine's
/// code runs in no time; what takes time is posted.
class World {
 public:
  World(Time start, std::uint64_t seed, bool tells);

  [[nodiscard]] sim::VirtualClock& clock() { return clock_; }
  [[nodiscard]] Instant now() const { return clock_.now(); }
  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  void add(Machine& machine) { machines_.push_back(&machine); }

  /// Runs after `delay`, if the machine's process is still the same by then. Null: nobody's.
  void post(Machine* machine, std::chrono::milliseconds delay, std::function<void()> task);
  /// The same, whether the machine runs or not: what a person or the power does there.
  void post_on(Machine& machine, std::chrono::milliseconds delay, std::function<void()> task);
  void run_until(Instant until);
  /// The story ends here: nobody does anything any more.
  void give_up() { given_up_ = true; }
  /// Nothing that was posted happens any more.
  void end() { queue_ = {}; }

  /// The story, kept if somebody wants to read it.
  [[nodiscard]] bool tells() const { return tells_; }
  void tell(const std::string& who, const std::string& what);
  [[nodiscard]] const std::vector<std::string>& story() const { return story_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  /// Differs if two runs of a seed did.
  [[nodiscard]] std::uint64_t digest() const { return digest_; }
  void mix(std::uint64_t value) { digest_ = (digest_ ^ value) * 0x0000'0100'0000'01B3U; }

 private:
  struct Event {
    Instant at;
    std::uint64_t number;
    Machine* machine;
    std::optional<std::uint64_t> process;  ///< of the machine: another one, or none, runs it not
    std::function<void()> task;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at != b.at ? a.at > b.at : a.number > b.number;
    }
  };
  /// With the machine's own other threads at hand.
  void run(Machine* machine, const std::function<void()>& task);

  const std::uint64_t seed_;
  const bool tells_;
  sim::VirtualClock clock_;
  std::priority_queue<Event, std::vector<Event>, Later> queue_;
  std::uint64_t numbers_ = 0;
  std::uint64_t events_ = 0;
  bool given_up_ = false;
  std::uint64_t digest_ = 0xCBF2'9CE4'8422'2325U;
  std::vector<Machine*> machines_;
  std::vector<std::string> story_;
};

}  // namespace umbra::simulation
