#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "rehearse/scenario.h"

/// A certificate server's whole life, laid out before any device lives: no device can change it.
namespace umbra::rehearse {

inline constexpr Offset never = std::numeric_limits<Offset>::max();

[[nodiscard]] inline Time at(Offset offset) { return Time{Seconds{offset}}; }
[[nodiscard]] inline Offset offset(Time time) { return time.time_since_epoch().count(); }

struct Generation {
  lifecycle::Validity validity;
  Offset made = 0;
  Offset retired = never;    ///< it was active until then
  Offset cancelled = never;  ///< `rollover cancel`: all its certificates are revoked
};

/// What holds from `from` until the next one's.
struct Moment {
  Offset from = 0;
  std::size_t active = 0;           ///< of `generations()`
  std::optional<std::size_t> next;  ///< the rollover CA
  bool serving = true;              ///< false: the CA has ended, and nothing followed
  lifecycle::CaFacts facts;
};

class ServerLine {
 public:
  /// Runs lifecycle::due at every deadline, as the daemon does; a deadline within an outage is run
  /// at its end.
  ServerLine(const Authority& authority, const Faults& faults, Offset until);

  [[nodiscard]] const Moment& when(Offset now) const;
  /// It runs, and its CA has not ended.
  [[nodiscard]] bool answers(Offset now) const { return is_up(now) && when(now).serving; }
  [[nodiscard]] bool is_up(Offset now) const { return up_again(now) == now; }
  /// `now`, or the end of the outage that `now` lies in.
  [[nodiscard]] Offset up_again(Offset now) const;

  [[nodiscard]] const std::vector<Generation>& generations() const { return generations_; }
  [[nodiscard]] Offset crl_stale() const { return crl_stale_; }
  [[nodiscard]] const std::vector<std::string>& broken() const { return broken_; }
  [[nodiscard]] bool cancelled_nothing() const { return cancelled_nothing_; }

 private:
  void run_due(Offset now);
  void act(lifecycle::CaAction action, Offset now);
  void cancel(Offset now);
  void generate(Offset now);
  void note(Offset now);

  const Authority& authority_;
  const Faults& faults_;
  std::vector<Generation> generations_;
  std::vector<Moment> moments_;
  Moment now_;
  Offset crl_stale_ = 0;
  bool cancelled_nothing_ = false;
  std::vector<std::string> broken_;  ///< invariants that did not hold
};

}  // namespace umbra::rehearse
