#include "lifecycle/ca.h"

#include <algorithm>

namespace umbra::lifecycle {

bool can_be_followed(const Validity& active) { return active.not_after < end_of_time; }

std::optional<Time> shadow_generation_at(const CaSettings& settings, const CaFacts& facts) {
  if (!settings.overlap || !can_be_followed(facts.active) || facts.rollover ||
      facts.rollover_cancelled)
    return std::nullopt;
  return facts.active.not_after - *settings.overlap;
}

std::vector<Deadline> deadlines(const CaSettings& settings, const CaFacts& facts) {
  std::vector<Deadline> all;
  all.push_back(
      {facts.crl_next_update.value_or(facts.active.not_before), Timer::cs_crl_update, ""});
  if (const auto at = shadow_generation_at(settings, facts))
    all.push_back({*at, Timer::cs_shadow_cert_generation, ""});
  all.push_back({facts.active.not_after, Timer::cs_cert_expire, ""});
  std::sort(all.begin(), all.end());
  return all;
}

std::optional<CaAction> due(const CaSettings& settings, const CaFacts& facts, Time now) {
  // A shadow generation that was missed comes before the switch-over it prepares, however late both
  // are.
  const auto generation = shadow_generation_at(settings, facts);
  if (generation && now >= *generation) return CaAction::generate_rollover;
  if (now >= facts.active.not_after)
    return facts.rollover ? CaAction::switch_over : CaAction::stop_expired;
  if (!facts.crl_next_update || now >= *facts.crl_next_update) return CaAction::publish_crl;
  return std::nullopt;
}

Reception reception(const CaFacts& facts, Addressee addressee, bool signer_late, Time now) {
  const bool between = facts.rollover && now >= facts.active.not_after;
  switch (addressee) {
    case Addressee::active:
      return between ? Reception::try_again : Reception::by_addressee;
    case Addressee::rollover:
      return Reception::by_addressee;
    case Addressee::retired:
      if (!signer_late) return Reception::refused;
      return between ? Reception::try_again : Reception::by_active;
    case Addressee::nobody:
      return Reception::refused;
  }
  return Reception::refused;
}

}  // namespace umbra::lifecycle
