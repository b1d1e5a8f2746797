#include <fmt/format.h>

#include <algorithm>

#include "client/agent.h"
#include "client/before_switch.h"
#include "client/lineage.h"

/// What an administrator does to a trustpoint by hand, beside authenticating and enrolling it over
/// the network.
namespace umbra::client {
namespace {

using lifecycle::Phase;
using lifecycle::RequestKind;
using EventKind = lifecycle::TrustpointEventKind;

constexpr std::size_t serial_octets = 8;
constexpr Days self_signed_life{3650};  // as IOS
constexpr std::uint8_t usage_self_signed = 0xA4;

/// Nothing is under way, and nothing is to be.
lifecycle::TrustpointFacts at_rest(const State& state, Phase phase) {
  auto facts = state.facts();
  facts.phase = phase;
  facts.since.reset();
  facts.tries = 0;
  facts.failing = false;
  return facts;
}

/// Who has issued `certificate`, among `candidates`.
const x509::Certificate* issuer_among(const x509::Certificate& certificate,
                                      const std::vector<x509::Certificate>& candidates) {
  for (const auto& candidate : candidates) {
    // A root of old has no extensions to say so with.
    const bool may_be_one = candidate.is_ca() || candidate.extensions().empty();
    if (may_be_one && candidate.subject() == certificate.issuer() &&
        certificate.verify_signed_by(candidate.public_key()))
      return &candidate;
  }
  return nullptr;
}

}  // namespace

Result<void> Trustpoint::Agent::no_server_of_ours() const {
  if (configuration_.role == config::Role::device) return {};
  return fail(Errc::conflict, "trustpoint " + configuration_.name +
                                  " is a certificate server's own, and lives with it");
}

Result<void> Trustpoint::Agent::cancel() {
  const auto phase = static_cast<Phase>(state_.row.phase);
  if (!state_.request && !waiting(phase) && phase != Phase::fetching_next_ca)
    return fail(Errc::not_found, "no enrollment request is under way");
  auto row = state_.row;
  // Not idle: with auto-enroll, that would ask again at once.
  set_progress(row, at_rest(state_, Phase::stopped));
  drop_attempt(row);
  row.last_status = "Cancelled";
  UMBRA_CHECK(commit(std::move(row)));
  forget_call();
  log(Severity::notice, "CANCELLED",
      fmt::format("Trustpoint {}: the enrollment request was cancelled; nothing more happens until "
                  "`crypto pki enroll`",
                  configuration_.name),
      "UMBRA");
  return {};
}

Result<x509::Request> Trustpoint::Agent::request_by_hand() {
  if (!state_.ca) return fail(Errc::conflict, "the CA is not authenticated");
  UMBRA_CHECK(trusted_ca(contradicts_pin_));
  if (!clock_is_set()) return fail(Errc::conflict, "the clock is not authoritative");
  const auto& identity = state_.identity;
  const bool usable = identity && identity->not_before() <= now() && now() < identity->not_after();
  const auto kind = usable ? RequestKind::renew : RequestKind::initial;
  auto row = state_.row;
  drop_attempt(row);
  UMBRA_CHECK(ask_for(row, kind));
  set_progress(row, at_rest(state_, Phase::idle));
  row.request_kind = static_cast<std::uint8_t>(kind);
  row.last_status = "Pending";
  UMBRA_CHECK(commit(std::move(row)));
  log(Severity::informational, "CERT_ENROLL_MANUAL",
      "Manual enrollment for trustpoint " + configuration_.name);
  return *state_.request;
}

Result<void> Trustpoint::Agent::import_certificate(const std::vector<x509::Certificate>& received) {
  if (!state_.request)
    return fail(Errc::not_found, "nothing was asked for; `crypto pki enroll " +
                                     configuration_.name + "` makes a request");
  UMBRA_CHECK(trusted_ca(contradicts_pin_));
  UMBRA_TRY(const auto granted, choose_granted(state_, received, configuration_.role, now()));
  if (waiting(static_cast<Phase>(state_.row.phase))) {
    if (take({EventKind::granted, {granted.not_before(), granted.not_after()}},
             {.certificate = granted}))
      return {};
    return fail(Errc::storage, "the certificate could not be stored");
  }
  auto row = state_.row;
  set_progress(row, at_rest(state_, Phase::idle));
  const Arrival arrival{.certificate = granted};
  UMBRA_CHECK(prepare(row, Action::install_identity, state_.kind(), arrival));
  UMBRA_CHECK(commit(std::move(row)));
  act(Action::install_identity, arrival);
  announce();
  return {};
}

Result<void> Trustpoint::Agent::import_archive(const x509::Archive& archive, bool exportable) {
  UMBRA_CHECK(no_server_of_ours());
  if (state_.key || state_.identity) {
    const std::string label = label_of(configuration_, device_);
    return fail(Errc::conflict, fmt::format("there is a key pair named {} already; `crypto key "
                                            "zeroize rsa {}` removes it and its certificates",
                                            label, label));
  }
  if (archive.key.public_key().algorithm() != x509::KeyAlgorithm::rsa &&
      !configuration_.enrollment_url.empty()) {
    return fail(Errc::unsupported,
                "its key is no RSA key, and SCEP envelopes its answers for those alone: nothing "
                "would renew it (enrollment url)");
  }
  const auto& certificate = archive.certificate;
  std::vector<x509::Certificate> candidates = archive.others;
  if (state_.ca) candidates = {*state_.ca};
  const auto* const ca = issuer_among(certificate, candidates);
  if (!ca && state_.ca)
    return fail(Errc::conflict, "the certificate is not one of this trustpoint's CA");
  if (!ca) {
    return fail(Errc::conflict,
                "the certificate of the CA that issued it is not there; authenticate the "
                "trustpoint first, or add it");
  }
  const auto& pin = configuration_.fingerprint;
  // The one that is held may have followed that of the fingerprint.
  if (state_.ca ? contradicts_pin_ : !pin.empty() && !has_fingerprint(*ca, pin))
    return fail(Errc::crypto, "its CA certificate has not the configured fingerprint");
  if (!clock_is_set()) return fail(Errc::conflict, "the clock is not authoritative");
  if (ca->not_after() <= now()) return fail(Errc::conflict, "its CA certificate has expired");
  if (certificate.not_after() <= now()) return fail(Errc::conflict, "the certificate has expired");
  auto row = state_.row;
  set_progress(row, at_rest(state_, Phase::idle));
  drop_attempt(row);
  if (!state_.ca) {
    row.ca_certificate = to_bytes(ca->der());
    row.ra_certificates.clear();
    row.capabilities.clear();
    row.capabilities_known = false;
    begin_lineage(row, *ca);
  }
  row.identity = to_bytes(certificate.der());
  UMBRA_TRY(row.sealed_key, archive.key.seal(environment_.key_passphrase));
  row.exportable = exportable;
  row.last_status = "Granted";
  UMBRA_CHECK(commit(std::move(row)));
  forget_call();
  log(Severity::informational, "IMPORT",
      fmt::format("Trustpoint {}: key and certificate {} were imported", configuration_.name,
                  certificate.serial().to_hex_octets()),
      "UMBRA");
  announce();
  run_due();
  return {};
}

Result<Exported> Trustpoint::Agent::exported() const {
  if (!state_.ca) return fail(Errc::not_found, "the CA is not authenticated");
  return Exported{.ca = *state_.ca,
                  .identity = state_.identity,
                  .key = state_.row.exportable ? state_.key : std::nullopt,
                  .label = label_of(configuration_, device_)};
}

Result<void> Trustpoint::Agent::forget_keys() {
  auto row = state_.row;
  set_progress(row, at_rest(state_, Phase::stopped));
  clear_request(row);
  row.identity.clear();
  row.rollover_identity.clear();
  row.sealed_key.clear();
  row.sealed_shadow_key.clear();
  row.exportable = false;
  row.last_status.clear();
  row.announced.clear();
  // The certificate may have gone with its CA: then nothing else tells that its key was put away.
  forget_before_switch(row);
  return commit(std::move(row));
}

Result<void> Trustpoint::Agent::ask_for(store::TrustpointRow& row, RequestKind kind) const {
  auto configuration = configuration_;
  if (!configuration.ip_interface.empty()) {
    // A renewal keeps its subject, though the address may be another by now: else the CA says no.
    if (kind != RequestKind::initial && state_.identity)
      configuration.ip_address = state_.identity->subject().first(x509::oid_unstructured_address);
    if (!configuration.ip_address && !environment_.address_of)
      return fail(Errc::unsupported, "there are no interfaces here (ip-address)");
    if (!configuration.ip_address) {
      UMBRA_TRY(configuration.ip_address, environment_.address_of(configuration.ip_interface));
    }
  }
  // A key that was made by `crypto key generate` becomes the first trustpoint's that names it.
  if (!state_.key && row.sealed_key.empty()) {
    UMBRA_TRY(const auto pairs, environment_.store.key_pairs());
    const std::string label = label_of(configuration_, device_);
    const auto own = std::find_if(pairs.begin(), pairs.end(),
                                  [&](const auto& pair) { return pair.label == label; });
    if (own != pairs.end() && configuration_.role == config::Role::device) {
      UMBRA_TRY(auto key, x509::PrivateKey::unseal(own->sealed_key, environment_.key_passphrase));
      if (key.public_key().algorithm() != x509::KeyAlgorithm::rsa &&
          !configuration_.enrollment_url.empty()) {
        return fail(Errc::unsupported,
                    fmt::format("the key named {} is no RSA key, and SCEP envelopes its answers "
                                "for those alone",
                                label));
      }
      State with_key = state_;
      with_key.key = std::move(key);
      row.sealed_key = own->sealed_key;
      row.exportable = own->exportable;
      return prepare_request(row, with_key, kind, configuration, device_,
                             environment_.key_passphrase, now());
    }
  }
  return prepare_request(row, state_, kind, configuration, device_, environment_.key_passphrase,
                         now());
}

void Trustpoint::Agent::sign_for_itself() {
  if (!state_.request || !waiting(static_cast<Phase>(state_.row.phase))) {
    auto row = state_.row;
    const auto& identity = state_.identity;
    const bool usable =
        identity && identity->not_before() <= now() && now() < identity->not_after();
    const auto kind = usable ? RequestKind::renew : RequestKind::initial;
    auto facts = at_rest(state_, Phase::requesting);
    facts.kind = kind;
    facts.since = now();
    set_progress(row, facts);
    drop_attempt(row);
    auto stored = ask_for(row, kind);
    if (stored) stored = commit(std::move(row));
    if (!stored) return hold(stored.error());
  }
  if (const auto done = install_self_signed(); !done) hold(done.error());
}

Result<void> Trustpoint::Agent::install_self_signed() {
  const auto& request = *state_.request;
  const auto* const key = state_.request_key();
  Bytes octets(serial_octets);
  environment_.random.fill(octets);
  octets.front() = static_cast<std::uint8_t>((octets.front() & 0x7FU) | 0x40U);
  UMBRA_TRY(const auto serial, x509::Serial::from_big_endian(octets));
  x509::CertificateTemplate wanted{.serial = serial,
                                   .issuer = request.subject(),
                                   .subject = request.subject(),
                                   .not_before = now(),
                                   .not_after = now() + self_signed_life,
                                   .spki = to_bytes(request.public_key().spki()),
                                   .extensions = {}};
  wanted.extensions = {x509::basic_constraints_ca(), x509::key_usage({usage_self_signed, true}),
                       x509::subject_key_id(request.public_key().key_identifier())};
  const auto usage = x509::key_usage({});
  for (const auto& extension : request.extensions()) {
    if (extension.oid != usage.oid) wanted.extensions.push_back(extension);
  }
  UMBRA_TRY(const auto certificate,
            x509::sign_certificate(wanted, *key, digest_of(configuration_.hash)));
  auto row = state_.row;
  const Arrival arrival{.certificate = certificate};
  UMBRA_CHECK(prepare(row, Action::install_identity, state_.kind(), arrival));
  set_progress(row, at_rest(state_, Phase::idle));
  row.ca_certificate = row.identity;
  row.capabilities.clear();
  row.capabilities_known = true;
  UMBRA_CHECK(commit(std::move(row)));
  act(Action::install_identity, arrival);
  announce();
  return {};
}

}  // namespace umbra::client
