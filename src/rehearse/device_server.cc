#include <algorithm>

#include "rehearse/device.h"

/// What the certificate server does with what a device sends, from its line and its rules.
namespace umbra::rehearse {
namespace {

using lifecycle::RequestKind;
using lifecycle::Validity;

}  // namespace

Life::Way Life::exchange(Operation operation) {
  if (!around_.line.answers(now_)) {
    const bool ended = !around_.line.when(now_).serving;
    trouble(ended ? Cause::no_next_ca : Cause::outage, ended);
    ++tally_.unanswered;
    tell(ended ? "the server's CA has ended" : "the server cannot be reached");
    return Way::not_there;
  }
  const double loss = around_.scenario.faults.loss;
  const double dice = loss > 0 ? chance() : 1;
  if (dice < loss) {
    trouble(Cause::lost);
    ++tally_.lost;
    tell("no answer: lost on the way");
    if (dice < loss / 2) return Way::not_there;
  }
  tally_.count(operation, now_);
  return dice < loss ? Way::answer_lost : Way::there_and_back;
}

policy::Signer Life::signer() const {
  if (facts_.kind == RequestKind::initial || !facts_.identity) return policy::Signer::stranger;
  const Validity& identity = *facts_.identity;
  const Time now = at(now_);
  if (generation(d_.ca).cancelled != never) return policy::Signer::revoked;
  if (now < identity.not_before) return policy::Signer::not_yet_valid;
  if (now < identity.not_after) return policy::Signer::ours;
  return now < identity.not_after + around_.authority.renewal_grace ? policy::Signer::late
                                                                    : policy::Signer::expired;
}

/// What the server says to the request of this transaction.
Life::Answer Life::judge() {
  settle_queue();
  switch (static_cast<Entry>(d_.entry)) {
    case Entry::granted:
      return Answer::granted;
    case Entry::pending:
      return Answer::pending;
    case Entry::rejected:
      return Answer::refused;
    case Entry::none:
      break;
  }
  const Moment& moment = around_.line.when(now_);
  std::size_t issuer = facts_.kind == RequestKind::shadow ? d_.next_ca : d_.ca;
  using lifecycle::Addressee;
  using lifecycle::Reception;
  const Addressee addressee = issuer == moment.active                 ? Addressee::active
                              : issuer == moment.next                 ? Addressee::rollover
                              : generation(issuer).cancelled != never ? Addressee::nobody
                                                                      : Addressee::retired;
  policy::RequestFacts facts = kind_.facts;
  facts.signer = signer();
  facts.shadow = addressee == Addressee::rollover;
  facts.signer_trusted =
      around_.authority.vouches_for_its_own &&
      (facts.signer == policy::Signer::ours || facts.signer == policy::Signer::late);
  switch (lifecycle::reception(moment.facts, addressee, facts.signer == policy::Signer::late,
                               at(now_))) {
    case Reception::refused:
      return Answer::refused;
    case Reception::try_again:
      return Answer::try_again;
    case Reception::by_active:
      issuer = moment.active;
      break;
    case Reception::by_addressee:
      break;
  }
  const auto decision = policy::decide(facts, around_.authority.rules);
  if (std::holds_alternative<scep::Refusal>(decision)) return Answer::refused;
  d_.asked_ca = static_cast<std::uint16_t>(issuer);
  if (std::holds_alternative<policy::Pend>(decision)) {
    enter_queue();
    return Answer::pending;
  }
  const auto certificate = issue(issuer, now_);
  if (!certificate) return Answer::refused;
  d_.granted = narrow(offset(certificate->not_before));
  d_.entry = static_cast<std::uint8_t>(Entry::granted);
  ++tally_.certificates;
  return Answer::granted;
}

void Life::enter_queue() {
  const Faults& faults = around_.scenario.faults;
  const Offset spread = (faults.grant_most - faults.grant_least).count();
  const auto more = static_cast<Offset>(chance() * static_cast<double>(spread + 1));
  d_.asked = narrow(now_);
  d_.granted =
      narrow(around_.line.up_again(now_ + faults.grant_least.count() + std::min(more, spread)));
  d_.entry = static_cast<std::uint8_t>(Entry::pending);
  const auto hour = [&](Offset when) {
    return static_cast<std::size_t>(
        std::min<Offset>(when / hour_seconds, static_cast<Offset>(tally_.queue.size()) - 1));
  };
  ++tally_.queue[hour(now_)];
  --tally_.queue[hour(std::min<Offset>(d_.granted, leaves_queue()) + hour_seconds - 1)];
}

/// Expired, or refused with the CA it was made to.
Offset Life::leaves_queue() const {
  const Generation& issuer = generation(d_.asked_ca);
  return std::min(
      {d_.asked + around_.authority.request_lifetime.count(), issuer.retired, issuer.cancelled});
}

/// What has become of a request that waits.
void Life::settle_queue() {
  if (static_cast<Entry>(d_.entry) != Entry::pending) return;
  const Offset leaves = leaves_queue();
  const Generation& issuer = generation(d_.asked_ca);
  if (d_.granted < leaves && d_.granted <= now_) {
    if (const auto certificate = issue(d_.asked_ca, d_.granted)) {
      d_.granted = narrow(offset(certificate->not_before));
      d_.entry = static_cast<std::uint8_t>(Entry::granted);
      ++tally_.certificates;
      return;
    }
  }
  if (now_ < leaves) return;
  const bool with_its_ca = now_ >= std::min(issuer.retired, issuer.cancelled);
  d_.entry = static_cast<std::uint8_t>(with_its_ca ? Entry::rejected : Entry::none);
}

std::optional<Validity> Life::issue(std::size_t which, Offset when) const {
  const Moment& moment = around_.line.when(when);
  const Validity& ca = generation(which).validity;
  const Seconds lifetime = around_.authority.lifetime;
  const auto certificate = moment.next == which
                               ? std::optional(lifecycle::shadow_validity(lifetime, ca))
                               : lifecycle::issued_validity(at(when), lifetime, ca);
  if (certificate &&
      (certificate->not_before < ca.not_before || certificate->not_after > ca.not_after ||
       certificate->not_before >= certificate->not_after)) {
    tally_.broken.push_back({number_, now_, "a certificate outlives its issuer"});
  }
  return certificate;
}

}  // namespace umbra::rehearse
