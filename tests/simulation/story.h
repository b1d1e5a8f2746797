#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simulation/disk.h"

namespace umbra::simulation {

/// What was counted in stories.
struct Figures {
  std::uint64_t stories = 0, events = 0, starts = 0, crashes = 0, torn = 0, restarts = 0;
  std::uint64_t changes = 0, syncs = 0, last_changes = 0, disk_full = 0;
  std::uint64_t failed_reads = 0, failed_writes = 0, failed_syncs = 0, failed_others = 0;
  std::uint64_t ras = 0, by_ras = 0;
  std::uint64_t clock_steps = 0, clocks_unknown = 0, cancelled = 0;
  std::uint64_t messages = 0, lost = 0, doubled = 0, damaged = 0, late = 0;
  std::uint64_t certificates = 0, cas = 0, revoked = 0, granted = 0, days = 0;
  void add(const Figures& other);
};

struct Outcome {
  std::vector<std::string> violations;
  std::vector<std::string> story;  ///< if it was asked for
  std::uint64_t digest = 0;        ///< the same for the same seed
  Figures figures;
};

/// Plays what the seed says: a certificate server and its clients, faults for some days, and none
/// after. In: `directory` = of this process alone; `fresh` = a disk on which the tables are.
[[nodiscard]] Outcome play(std::uint64_t seed, const std::string& directory,
                           const Disk::Image& fresh, bool tells);

}  // namespace umbra::simulation
