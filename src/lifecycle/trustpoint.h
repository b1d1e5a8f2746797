#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lifecycle/deadline.h"
#include "lifecycle/validity.h"

/// A trustpoint's life as a pure state machine: facts and an event in, facts and actions out.
/// Source: the guide; RFC 8894 2.5.1 for the states of a request.
namespace umbra::lifecycle {

struct TrustpointSettings {
  std::optional<int> auto_enroll;  ///< percent of the identity's life; nothing = off
  int retry_count = 999;           ///< 0 = no limit
  Seconds retry_period{60};
  bool pinned =
      false;  ///< a fingerprint is configured: the CA may be authenticated without a person
  /// The identity is a certificate server's own CA certificate (`mode sub-cs`). It is followed by
  /// another this long before its end, but in the second half of its life at the earliest, whatever
  /// the percent; without an overlap by hand alone. Its CA is asked for the next one however little
  /// it announces, and never less often than every 2^10 periods: much hangs on it.
  bool is_ca = false;
  std::optional<Seconds> overlap{};
  /// The identity is a registration authority's (`mode ra`): it lives as a device's does, and is
  /// asked for as doggedly as a CA's.
  bool is_ra = false;
  /// A transparent RA's: without auto-enroll, its pinned CA is authenticated all the same.
  bool relays = false;
};

// Stored numbers: never renumber.
enum class RequestKind : std::uint8_t { initial = 1, renew = 2, shadow = 3 };
enum class Phase : std::uint8_t {
  idle = 0,
  fetching_next_ca = 2,  ///< GetNextCACert under way, or to be repeated
  requesting = 3,        ///< a request is out, or to be repeated
  polling = 4,           ///< PENDING
  /// Rejected or given up: nothing more happens until an administrator acts. A clock that steps
  /// back by a minute or more to before that was ahead then, and it goes on as idle.
  stopped = 5,
};
/// A request is under way.
[[nodiscard]] constexpr bool waiting(Phase phase) {
  return phase == Phase::requesting || phase == Phase::polling;
}

struct TrustpointFacts {
  std::optional<Validity> ca;
  std::optional<Validity> identity;
  std::optional<Validity> rollover_ca;
  std::optional<Validity> rollover_identity;
  bool can_get_next_ca = false;  ///< the CA announces GetNextCACert
  Phase phase = Phase::idle;
  RequestKind kind = RequestKind::initial;
  /// When this attempt, or this polling, began; when it was stopped, if not by an administrator.
  std::optional<Time> since;
  std::uint32_t tries = 0;  ///< retries or polls made since then
  bool failing = false;     ///< the last exchange gave no usable answer: CONNECT RETRY runs
  /// When the CA, which was busy, has asked to be asked again. Known until the process ends.
  std::optional<Time> come_again{};
};

/// RENEW, SHADOW, POLL, CONNECT RETRY, and the switch-over; soonest first. What lies in the past is
/// due now.
///
/// RENEW:  auto-enroll percent of the identity's life; at once without an identity.
/// SHADOW: the same percent where the identity ends with its CA; without auto-enroll 90 % of the
/// CA's life. A subordinate CA's RENEW and SHADOW: its end minus the overlap. POLL:   period, 2 x,
/// 4 x ... after the first PENDING, retry_count + 1 times at most, until the issuing CA ends.
/// CONNECT RETRY: period, 2 x, 4 x ... after the first attempt, retry_count times at most, until
/// what is being replaced
///         ends; the last one at the latest one period before that. A CA that was busy and said
///         when to come again is asked then instead, by POLL not before, and the intervals begin
///         anew.
[[nodiscard]] std::vector<Deadline> deadlines(const TrustpointSettings& settings,
                                              const TrustpointFacts& facts,
                                              const std::string& name);

enum class TrustpointEventKind {
  deadline,          ///< the clock has moved
  restarted,         ///< the process has begun anew: what was under way is sent again
  enroll,            ///< `crypto pki enroll`; only with a CA, and no request under way
  ca_accepted,       ///< with its validity
  next_ca_received,  ///< with its validity; verified
  granted,           ///< with the validity of the certificate; checked
  pending,
  rejected,
  forgotten,  ///< a poll for which the CA knows no request (any more)
  no_answer,  ///< unreachable, not 200, not usable, not signed by the CA
};
struct TrustpointEvent {
  TrustpointEventKind kind = TrustpointEventKind::deadline;
  Validity validity{};
  std::optional<Time> come_again{};  ///< with no_answer: when the CA, which is busy, asks for it
};

enum class TrustpointAction {
  fetch_ca,  ///< GetCACert, accepted if the fingerprint is the pinned one
  fetch_next_ca,
  begin_request,  ///< a new transaction of facts.kind: key if needed, PKCS #10, stored, sent
  send_request,   ///< the stored one again, octet for octet
  send_poll,
  install_identity,         ///< replaces the active one at once
  store_rollover_identity,  ///< kept beside the active one until the switch
  promote,  ///< the rollover certificates become the active ones, LABEL# becomes LABEL
  give_up,  ///< counts used up: say so
};
struct TrustpointStep {
  TrustpointFacts next;
  std::vector<TrustpointAction> actions;
};
[[nodiscard]] TrustpointStep step(const TrustpointSettings& settings, const TrustpointFacts& facts,
                                  const TrustpointEvent& event, Time now);

/// What is wrong with the validity of a certificate received for a request; such a one is no
/// answer.
enum class Misfit {
  expired,
  ends_with_active_ca,  ///< a shadow certificate that is none
  not_valid_yet,        ///< by more than a day: a CA's clock may be ahead of ours
};
/// In: the CA that is active for the trustpoint.
[[nodiscard]] std::optional<Misfit> misfit(RequestKind kind, const Validity& granted,
                                           const Validity& ca, Time now);

/// After a certificate was installed: until when nothing is done. A CA whose certificates are due
/// for renewal the moment they arrive is not asked in a loop.
[[nodiscard]] std::optional<Time> rest_after_install(const TrustpointSettings& settings,
                                                     const TrustpointFacts& facts, Time now);

}  // namespace umbra::lifecycle
