#include "client/state.h"

namespace umbra::client {
namespace {

using lifecycle::Phase;
using lifecycle::RequestKind;

Result<std::optional<x509::Certificate>> certificate_in(const Bytes& der) {
  if (der.empty()) return std::nullopt;
  UMBRA_TRY(auto certificate, x509::Certificate::from_der(der));
  return certificate;
}

Result<std::optional<x509::PrivateKey>> key_in(const Bytes& sealed, std::string_view passphrase,
                                               const State* before) {
  if (sealed.empty()) return std::nullopt;
  if (before) {
    if (before->key && before->row.sealed_key == sealed) return before->key;
    if (before->shadow_key && before->row.sealed_shadow_key == sealed) return before->shadow_key;
  }
  UMBRA_TRY(auto key, x509::PrivateKey::unseal(sealed, passphrase));
  return key;
}

bool belongs(const std::optional<x509::PrivateKey>& key, const x509::PublicKey& to) {
  return key && key->public_key() == to;
}

Result<void> check_keys(const State& state) {
  if (state.identity && !belongs(state.key, state.identity->public_key()))
    return fail(Errc::crypto, "the identity's key is not the stored one");
  // A rollover identity is for LABEL# where there is one.
  const auto& next = state.shadow_key ? state.shadow_key : state.key;
  if (state.rollover_identity && !belongs(next, state.rollover_identity->public_key()))
    return fail(Errc::crypto, "the rollover identity's key is not the stored one");
  if (state.request && (!state.request_key() || !state.signer_key()))
    return fail(Errc::crypto, "the key of the request under way is not the stored one");
  return {};
}

lifecycle::Validity validity_of(const x509::Certificate& certificate) {
  return {certificate.not_before(), certificate.not_after()};
}
std::optional<lifecycle::Validity> validity_of(const std::optional<x509::Certificate>& some) {
  if (!some) return std::nullopt;
  return validity_of(*some);
}

// The store's numbers are the lifecycle's enumerators; one that is not came from somewhere else.
bool known_phase(std::uint8_t number) {
  for (const auto phase :
       {Phase::idle, Phase::fetching_next_ca, Phase::requesting, Phase::polling, Phase::stopped}) {
    if (static_cast<std::uint8_t>(phase) == number) return true;
  }
  return false;
}
bool known_kind(std::uint8_t number) {
  // 0 = nothing was ever asked for.
  return number <= static_cast<std::uint8_t>(RequestKind::shadow);
}

}  // namespace

Result<State> State::read(store::TrustpointRow row, std::string_view passphrase,
                          const State* before) {
  if (!known_phase(row.phase) || !known_kind(row.request_kind))
    return fail(Errc::malformed, "trustpoint " + row.name + " is stored in an unknown state");
  State state;
  UMBRA_TRY(state.ca, certificate_in(row.ca_certificate));
  UMBRA_TRY(state.ras, x509::Certificate::all_from_der(row.ra_certificates));
  UMBRA_TRY(state.rollover_ras, x509::Certificate::all_from_der(row.rollover_ra_certificates));
  UMBRA_TRY(state.previous_ca, certificate_in(row.previous_ca_certificate));
  UMBRA_TRY(state.identity, certificate_in(row.identity));
  UMBRA_TRY(state.rollover_ca, certificate_in(row.rollover_ca_certificate));
  UMBRA_TRY(state.rollover_identity, certificate_in(row.rollover_identity));
  UMBRA_TRY(state.key, key_in(row.sealed_key, passphrase, before));
  UMBRA_TRY(state.shadow_key, key_in(row.sealed_shadow_key, passphrase, before));
  if (!row.request.empty()) {
    UMBRA_TRY(state.request, x509::Request::from_der(row.request));
    UMBRA_TRY(state.request_signer, x509::Certificate::from_der(row.request_signer));
  }
  state.capabilities = scep::parse_capabilities(row.capabilities);
  state.row = std::move(row);
  UMBRA_CHECK(check_keys(state));
  return state;
}

lifecycle::TrustpointFacts State::facts(std::optional<Time> come_again) const {
  lifecycle::TrustpointFacts facts;
  facts.ca = validity_of(ca);
  facts.identity = validity_of(identity);
  facts.rollover_ca = validity_of(rollover_ca);
  facts.rollover_identity = validity_of(rollover_identity);
  facts.can_get_next_ca = capabilities.get_next_ca_cert;
  facts.phase = static_cast<Phase>(row.phase);
  facts.kind = kind();
  facts.since = row.since;
  facts.tries = row.tries;
  facts.failing = row.failing;
  facts.come_again = come_again;
  return facts;
}

RequestKind State::kind() const {
  return row.request_kind == 0 ? RequestKind::initial : static_cast<RequestKind>(row.request_kind);
}

const x509::PrivateKey* State::request_key() const {
  if (!request) return nullptr;
  if (belongs(shadow_key, request->public_key())) return &*shadow_key;
  if (belongs(key, request->public_key())) return &*key;
  return nullptr;
}

const x509::PrivateKey* State::signer_key() const {
  if (!request_signer) return nullptr;
  if (belongs(shadow_key, request_signer->public_key())) return &*shadow_key;
  if (belongs(key, request_signer->public_key())) return &*key;
  return nullptr;
}

const std::optional<x509::Certificate>& State::issuer() const {
  return kind() == RequestKind::shadow ? rollover_ca : ca;
}

void set_progress(store::TrustpointRow& row, const lifecycle::TrustpointFacts& facts) {
  row.phase = static_cast<std::uint8_t>(facts.phase);
  row.request_kind = static_cast<std::uint8_t>(facts.kind);
  row.since = facts.since;
  row.tries = facts.tries;
  row.failing = facts.failing;
}

Bytes joined(const std::vector<x509::Certificate>& certificates) {
  Bytes all;
  for (const auto& certificate : certificates)
    all.insert(all.end(), certificate.der().begin(), certificate.der().end());
  return all;
}

void clear_request(store::TrustpointRow& row) {
  row.transaction_id.clear();
  row.request.clear();
  row.request_signer.clear();
}

void promote(store::TrustpointRow& row) {
  row.previous_ca_certificate = std::move(row.ca_certificate);
  row.ca_certificate = std::move(row.rollover_ca_certificate);
  row.identity = std::move(row.rollover_identity);
  if (!row.sealed_shadow_key.empty()) row.sealed_key = std::move(row.sealed_shadow_key);
  row.rollover_ca_certificate.clear();
  row.rollover_identity.clear();
  row.sealed_shadow_key.clear();
  // The old CA's RAs end with it.
  row.ra_certificates = std::move(row.rollover_ra_certificates);
  row.rollover_ra_certificates.clear();
  clear_request(row);
}

}  // namespace umbra::client
