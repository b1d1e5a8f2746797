#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace umbra {

/// What `show crypto pki counters` shows, counted where it happens, since the start of the process.
struct Counters {
  using Count = std::atomic<std::uint64_t>;
  Count sessions_started = 0;  ///< SCEP exchanges: answered as a server, or begun as a client
  Count sessions_ended = 0;
  Count validated = 0;  ///< messages of peers whose signature and signer were found good
  Count refused = 0;    ///< and those where they were not
  Count bypassed = 0;   ///< signers taken without a CRL, as configured
  Count pending = 0;    ///< being checked against a CRL that is awaited
  Count crls_checked = 0;
  Count crl_fetches = 0;
  Count crl_failures = 0;  ///< fetched in vain
  Count crl_busy = 0;      ///< not fetched: too much is asked of that CA already
  Count put_off = 0;       ///< requests answered 503 with Retry-After: too many waited already
};

/// One exchange: it ends with the last copy of this.
[[nodiscard]] inline std::shared_ptr<void> counted_session(Counters* counters) {
  if (counters == nullptr) return nullptr;
  ++counters->sessions_started;
  return {counters, [](Counters* one) { ++one->sessions_ended; }};
}

}  // namespace umbra
