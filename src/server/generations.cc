#include <algorithm>

#include "server/impl.h"

namespace umbra::server {

const ca::Authority* Generations::find(std::uint32_t generation) const {
  if (active && active->generation == generation) return &*active;
  if (rollover && rollover->generation == generation) return &*rollover;
  for (const auto& one : retired) {
    if (one.generation == generation) return &one;
  }
  return nullptr;
}

std::vector<const ca::Authority*> Generations::authorities() const {
  std::vector<const ca::Authority*> all;
  if (active) all.push_back(&*active);
  if (rollover) all.push_back(&*rollover);
  for (const auto& one : retired) all.push_back(&one);
  return all;
}

std::optional<scep::Recipient> scep_party(const ca::Authority& authority) {
  if (!authority.key) return std::nullopt;
  if (authority.exchange)
    return scep::Recipient{authority.exchange->certificate, authority.exchange->key};
  return scep::Recipient{authority.certificate, *authority.key};
}

std::uint32_t Generations::next_number() const {
  std::uint32_t highest = 0;
  if (active) highest = std::max(highest, active->generation);
  if (rollover) highest = std::max(highest, rollover->generation);
  for (const auto& one : retired) highest = std::max(highest, one.generation);
  return highest + 1;
}

Result<GenerationsPtr> load_generations(const std::vector<store::CaGeneration>& rows,
                                        const std::string& passphrase) {
  auto all = std::make_shared<Generations>();
  const auto add_recipient = [&](const ca::Authority& authority) {
    auto party = scep_party(authority);
    if (!party) return;
    all->recipients.push_back(*std::move(party));
    all->recipient_generations.push_back(authority.generation);
  };
  for (const auto& row : rows) {
    UMBRA_TRY(auto certificate, x509::Certificate::from_der(row.certificate));
    ca::Authority authority{row.number, std::move(certificate), std::nullopt};
    if (!row.sealed_key.empty()) {
      UMBRA_TRY(auto key, x509::PrivateKey::unseal(row.sealed_key, passphrase));
      if (!(key.public_key() == authority.certificate.public_key())) {
        return fail(Errc::conflict,
                    "the stored key of " + row.server + " is not the one in its certificate");
      }
      authority.key = std::move(key);
    }
    if (!row.exchange_certificate.empty()) {
      UMBRA_TRY(auto exchange, x509::Certificate::from_der(row.exchange_certificate));
      UMBRA_TRY(auto key, x509::PrivateKey::unseal(row.sealed_exchange_key, passphrase));
      if (!(key.public_key() == exchange.public_key())) {
        return fail(Errc::conflict, "the stored exchange key of " + row.server +
                                        " is not the one in its certificate");
      }
      authority.exchange = ca::Exchange{std::move(exchange), std::move(key)};
    }
    switch (row.status) {
      case store::GenerationStatus::active:
        all->active = std::move(authority);
        break;
      case store::GenerationStatus::rollover:
        all->rollover = std::move(authority);
        break;
      case store::GenerationStatus::retired:
        all->retired.push_back(std::move(authority));
        break;
    }
  }
  if (all->active) add_recipient(*all->active);
  if (all->rollover) add_recipient(*all->rollover);
  // Newest first: a request enveloped for a CA that ended long ago is the rarest.
  std::reverse(all->retired.begin(), all->retired.end());
  for (const auto& one : all->retired) add_recipient(one);
  return GenerationsPtr(std::move(all));
}

}  // namespace umbra::server
