#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/proof.h"

/// What one device lives through, step by step on the daemon's own state machine: the
/// counter-example to a finding, and what `umbra check --timeline` prints. Answers take no time.
namespace umbra::plan {

struct Play {
  Offset enrols = 0;            ///< the day it asks for the first time
  bool holds = false;           ///< it has a certificate, issued at that moment, already
  Offset until = 0;             ///< the story's end
  std::vector<Seconds> grants;  ///< how long the person takes, each time; the last one from then on
  std::optional<Interval> outage;  ///< the server answers in no second of it
};

enum class Happening {
  asks_first,
  renew,
  shadow,           ///< GetNextCACert
  refused_next_ca,  ///< there is none yet
  unreachable,
  next_ca,
  pending,
  still_pending,
  granted,
  shadow_granted,
  refused,
  gives_up,
  rollover_made,
  switches,
  ends,  ///< the identity has ended, and nothing follows it
};
[[nodiscard]] std::string to_string(Happening happening);

struct Chapter {
  Offset at = 0;
  Happening what{};
  std::optional<lifecycle::Validity> certificate;  ///< of what was granted
};

struct Story {
  std::vector<Chapter> chapters;  ///< in order of time
  /// Without a valid certificate, from its first one on; the second that a certificate ends on is
  /// its own, so that one renewed on that second leaves no gap.
  Intervals dark;
  std::vector<Offset> issued;  ///< when each of its certificates begins
};
[[nodiscard]] Story play(const Question& question, const Play& how);

}  // namespace umbra::plan
