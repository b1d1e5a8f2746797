#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rehearse/device.h"

/// The rehearsal: every device's whole life, window by window of virtual time.
namespace umbra::rehearse {

/// A count's greatest value, and when it was reached first.
struct Peak {
  std::uint64_t count = 0;
  Offset at = 0;
};

struct CauseRow {
  Cause cause{};
  std::uint64_t devices = 0;
  Offset first = 0;    ///< when the first of them went dark
  Offset longest = 0;  ///< the longest time that one of them was dark, all together
  double total = 0;    ///< of all of them, in seconds
};

struct DarkDevice {
  std::size_t number = 0;
  std::size_t kind = 0;
  Offset from = 0;
  Offset dark_for = 0;
  unsigned episodes = 0;
  Cause cause{};
  bool still = false;  ///< at the end
};

struct AuthorityOutcome {
  std::string name;
  std::vector<Generation> generations;
  Offset crl_stale = 0;
  bool cancelled_nothing = false;
  std::size_t devices = 0;
  std::size_t enrolled = 0;
  std::size_t dark = 0;   ///< ever
  std::size_t still = 0;  ///< at the end
  std::vector<CauseRow> causes;
  std::vector<DarkDevice> worst;  ///< the longest dark ones, by number among equals
  Tally tally;
  std::vector<std::array<std::int64_t, states>> days;  ///< how many are in a state on each day
  Peak second;
  Peak hour;
  Peak waiting;  ///< requests that wait for a person, to the hour
};

struct Outcome {
  std::vector<AuthorityOutcome> authorities;  ///< those with devices
  std::vector<Broken> broken;                 ///< invariants that did not hold
  std::vector<std::string> broken_servers;
  [[nodiscard]] std::size_t dark() const;
  [[nodiscard]] bool sound() const { return broken.empty() && broken_servers.empty(); }
};

inline constexpr std::size_t worst_max = 200;

/// Told at the end of each window: how far virtual time is, and how much is done of all.
using Progress = std::function<void(Offset now, double done)>;

/// The same scenario has the same outcome, on any number of threads.
[[nodiscard]] Outcome rehearse(const Scenario& scenario, unsigned threads,
                               const Progress& progress = {});

/// The story of one device, in order of time: it is the one that it lives in the rehearsal.
[[nodiscard]] std::vector<Chapter> story_of(const Scenario& scenario, std::size_t device);

}  // namespace umbra::rehearse
