#pragma once

#include <optional>
#include <vector>

#include "lifecycle/deadline.h"
#include "lifecycle/validity.h"

/// The certificate server's rollover, as pure functions of facts and time.
namespace umbra::lifecycle {

struct CaSettings {
  Seconds lifetime_ca{};
  Seconds lifetime_crl{};
  std::optional<Seconds> overlap;  ///< auto-rollover; nothing = off
};

struct CaFacts {
  Validity active;
  std::optional<Validity> rollover;
  std::optional<Time> crl_next_update;  ///< of the active CA's newest CRL; nothing = none made yet
  bool rollover_cancelled =
      false;  ///< `rollover cancel`: not made again until a manual `rollover` or `no shutdown`
};

/// False for a CA that ends with the end of time: there is no second its successor could hold.
[[nodiscard]] bool can_be_followed(const Validity& active);
/// The active CA's end minus the overlap.
[[nodiscard]] std::optional<Time> shadow_generation_at(const CaSettings& settings,
                                                       const CaFacts& facts);
/// CS CRL UPDATE, CS SHADOW CERT GENERATION (until there is a rollover), CS CERT EXPIRE; soonest
/// first, ties by Timer.
[[nodiscard]] std::vector<Deadline> deadlines(const CaSettings& settings, const CaFacts& facts);

enum class CaAction {
  generate_rollover,  ///< key NAME#, certificate from the active CA's end, archive
  switch_over,        ///< rollover becomes active, key renamed, new CRL
  publish_crl,
  stop_expired,  ///< the active CA has ended and nothing follows: nothing more may be issued
};
/// The one thing that is due now, or nothing. The driver carries it out, stores it, and asks again
/// with the new facts, so that a process that was down for years catches up step by step, in the
/// order of the deadlines: a shadow generation that was missed is made up for before the
/// switch-over it prepares.
[[nodiscard]] std::optional<CaAction> due(const CaSettings& settings, const CaFacts& facts,
                                          Time now);

/// Whom a request was enveloped for.
enum class Addressee {
  active,
  rollover,
  retired,
  nobody,  ///< a CA that is not here: never was, or was cancelled
};
enum class Reception {
  by_addressee,
  by_active,  ///< a device that slept through the switch gets the CA there is now
  try_again,  ///< the moment between the CA's end and the switch-over: a refusal would stop it for
              ///< good
  refused,
};
/// Who judges a request. `signer_late`: it is signed by a certificate that has ended within the
/// renewal grace.
[[nodiscard]] Reception reception(const CaFacts& facts, Addressee addressee, bool signer_late,
                                  Time now);

}  // namespace umbra::lifecycle
