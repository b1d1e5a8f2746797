#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "rehearse/scenario.h"

/// What is counted while devices live. Everything is a sum, so that the order of counting does not
/// matter.
namespace umbra::rehearse {

inline constexpr Offset hour_seconds = 3600;

enum class Operation : std::uint8_t { get_ca, get_caps, get_next_ca, enroll, poll };
inline constexpr std::size_t operations = 5;
[[nodiscard]] const char* to_string(Operation operation);

enum class State : std::uint8_t {
  not_enrolled,
  valid,
  ready,  ///< valid, and its certificate of the next CA is there
  dark,
  off,
};
inline constexpr std::size_t states = 5;
[[nodiscard]] const char* to_string(State state);

/// Why a device went dark.
enum class Cause : std::uint8_t {
  none,
  no_auto_enroll,
  no_next_ca,
  asked_in_vain,
  too_late,
  outage,
  lost,
  switched_off,
  slow_person,
  left_queue,
  refused,
  cancelled,
  clock,
  unexplained,  ///< a defect: of the configuration's proof, or of these rules
};
inline constexpr std::size_t causes = 14;
[[nodiscard]] const char* to_string(Cause cause);  ///< a word for programs: "asked-in-vain"
[[nodiscard]] const char* in_words(Cause cause);   ///< for people

/// An invariant that did not hold.
struct Broken {
  std::size_t device = 0;
  Offset at = 0;
  std::string what;
  friend auto operator<=>(const Broken&, const Broken&) = default;
};

struct Tally {
  static constexpr std::size_t broken_max = 20;

  Tally() = default;
  Tally(Offset until, Offset window);
  void add(const Tally& other);
  /// One request that the server answered.
  void count(Operation operation, Offset when);

  Offset window_from = 0;
  std::vector<std::uint32_t> seconds;  ///< requests answered, second by second of this window
  std::vector<std::uint32_t> touched;  ///< those of `seconds` that are not 0
  std::vector<std::uint32_t> hours;    ///< and hour by hour of all
  /// How many more are in a state from the beginning of this day on. Dark counts for a whole day
  /// each time.
  std::vector<std::array<std::int64_t, states>> days;
  std::vector<std::int64_t> queue;  ///< how many more wait for a person, from this hour on
  std::array<std::uint64_t, operations> requests{};
  std::uint64_t certificates = 0;
  std::uint64_t unanswered = 0;  ///< the server was out of reach
  std::uint64_t lost = 0;
  std::uint64_t refusals = 0;
  std::uint64_t events = 0;
  std::vector<Broken> broken;  ///< the first ones
};

}  // namespace umbra::rehearse
