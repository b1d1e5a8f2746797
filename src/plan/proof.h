#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "lifecycle/ca.h"
#include "lifecycle/trustpoint.h"
#include "plan/intervals.h"

/// Whether devices go dark, for every second of first enrolment and every chain of renewals.
/// Nothing is sampled: when a certificate falls due is a function of its second of issue, monotone
/// on two pieces (full length, cut at the CA's end), so that the seconds with a bad outcome are
/// intervals whose ends are found exactly. The functions themselves are the daemon's own
/// (src/lifecycle).
namespace umbra::plan {

/// One kind of device under one CA. Day 0 is the beginning of the CA's certificate.
struct Question {
  lifecycle::CaSettings ca;
  Seconds lifetime{};  ///< `lifetime certificate`
  lifecycle::TrustpointSettings client;
  bool pends_first = false;  ///< a first enrolment waits for a person
  bool pends_again = false;  ///< so does a renewal and a shadow request
  Seconds grant_within{};    ///< the person acts at latest this long after the request
  Seconds request_lifetime = std::chrono::hours{168};  ///< then the request leaves the queue
  Seconds outage{};  ///< the server is out of reach once for this long, at the worst moment
  std::optional<Interval> enrolled;  ///< first certificates are issued then; nothing = whenever

  [[nodiscard]] Offset ca_end() const { return ca.lifetime_ca.count(); }
};

/// Tries after a beginning, as lifecycle spaces them: how long after it each comes, up to the CA's
/// life. `ends`: they are counted, and these are all.
struct Tries {
  std::vector<Offset> after;
  bool ends = false;
  /// The first one no earlier than `at`; nothing if all come before.
  [[nodiscard]] std::optional<std::size_t> first_from(Offset at) const;
};

/// What a wait for a grant comes to.
enum class Wait {
  fetched,
  given_up,       ///< POLL's count is used up before
  left_the_queue  ///< `lifetime enrollment-request` is over before the poll that would fetch it
};

struct Proof {
  // -- the last certificate of a chain: it ends with its CA --
  Offset rollover_at = 0;   ///< the next CA exists from then on; the CA's end if never
  Intervals last_issued;    ///< when last certificates are issued
  Offset shadow_first = 0;  ///< SHADOW falls between these two, over all of `last_issued`
  Offset shadow_last = 0;
  [[nodiscard]] Offset margin() const { return shadow_first - rollover_at; }

  Intervals early;             ///< issued then, SHADOW comes before there is a next CA
  Offset vain_most = 0;        ///< the longest that one of them asks in vain
  std::size_t vain_tries = 0;  ///< in so many tries
  Offset vain_until = 0;       ///< the latest moment at which one of them gets it
  Intervals gives_up;          ///< issued then, the retries are used up before there is a next CA

  Intervals dark;            ///< issued then, there is no next certificate at the CA's end
  Intervals dark_in_outage;  ///< the same with the outage at the worst moment; contains `dark`

  // -- renewals: the certificate ends before its CA --
  bool renews = false;       ///< there are any
  Offset renewal_after = 0;  ///< RENEW, after the issue
  Offset renewal_left = 0;   ///< from RENEW to the certificate's end
  Offset renewal_takes = 0;  ///< at worst, without an outage
  bool renewal_dark = false;
  bool renewal_dark_in_outage = false;

  Offset grant_takes = 0;  ///< from a request to its certificate, where a person grants
  Wait grant = Wait::fetched;
  /// The same where the outage covers the poll that would have fetched the certificate.
  Offset grant_takes_in_outage = 0;
  Wait grant_in_outage = Wait::fetched;

  /// Nobody goes dark, whoever enrols when, in the absence of an outage.
  [[nodiscard]] bool safe() const { return dark.empty() && !renewal_dark; }
};

/// In: a client with auto-enroll; a CA's life of a minute or more.
[[nodiscard]] Proof prove(const Question& question);

/// First certificates issued then lead, by whatever renewals, to a certificate issued in `last`:
/// which devices are concerned. Where renewals wait for a person, one of these may be lucky; nobody
/// else is concerned. Who holds a certificate from the switch-over on is as if issued at 0.
[[nodiscard]] Intervals leading_to(const Question& question, const Intervals& last);

/// CONNECT RETRY and POLL.
[[nodiscard]] Tries connect_retries(const Question& question);
[[nodiscard]] Tries polls(const Question& question);
/// When SHADOW falls for a certificate issued then; nothing if RENEW comes first.
[[nodiscard]] std::optional<Offset> shadow_of(const Question& question, Offset issued);
/// SHADOW of a client without auto-enroll: the CA's certificate alone.
[[nodiscard]] Offset shadow_of_ca_alone(const Question& question);

/// The shortest overlap with which no SHADOW comes early, and the lowest percentage, under which
/// besides nobody goes dark; nothing if there is none.
[[nodiscard]] Seconds overlap_needed(const Question& question);
[[nodiscard]] std::optional<int> percent_needed(const Question& question);

}  // namespace umbra::plan
