#include <fmt/format.h>

#include "lifecycle/trustpoint.h"
#include "server/impl.h"

/// A server that is no root lives by the trustpoint of its own name: that one asks the upper CA,
/// and keeps what was granted in the store; here it is taken over. The store is all they share, so
/// that whoever dies in between finds both where they were.
namespace umbra::server {

Result<std::optional<x509::Certificate>> certificate_of_column(const Bytes& der) {
  if (der.empty()) return std::nullopt;
  UMBRA_TRY(auto certificate, x509::Certificate::from_der(der));
  return certificate;
}

namespace {

bool holds(const Generations& all, const x509::Certificate& certificate) {
  const auto is_it = [&](const ca::Authority& one) { return one.certificate == certificate; };
  return (all.active && is_it(*all.active)) || (all.rollover && is_it(*all.rollover)) ||
         std::any_of(all.retired.begin(), all.retired.end(), is_it);
}

}  // namespace

void CertificateServer::upstream_changed() {
  ++impl_->upstream_changes;
  impl_->upstream_moved = true;
}

Result<void> CertificateServer::Impl::adopt(Time now) {
  // Lowered first: what changes from here on is looked at again.
  upstream_moved = false;
  const auto taken = [&]() -> Result<void> {
    UMBRA_TRY(const auto row, environment.store.trustpoint(configuration.name));
    {
      const std::lock_guard lock(state_mutex);
      upstream = row;
    }
    if (!row) return {};
    if (is_ra()) return adopt_ra(*row, now);
    // In this order: the identity is the older of the two.
    for (const Bytes* der : {&row->identity, &row->rollover_identity}) {
      UMBRA_TRY(const auto certificate, certificate_of_column(*der));
      if (certificate) UMBRA_CHECK(adopt_one(*certificate, *row, now));
    }
    return {};
  };
  auto result = taken();
  if (!result) upstream_moved = true;
  return result;
}

/// The next certificate is taken when there is room for it: one active, one rollover. What waits is
/// found again after the switch-over.
Result<void> CertificateServer::Impl::adopt_one(const x509::Certificate& certificate,
                                                const store::TrustpointRow& row, Time now) {
  const auto all = generations();
  if (holds(*all, certificate)) return {};
  const bool first = !all->active;
  if (!first &&
      (all->rollover || certificate.not_after() <= all->active->certificate.not_after())) {
    return {};
  }
  UMBRA_TRY(const auto name, x509::Name::from_ios(configuration.issuer_name));
  if (!certificate.is_ca() || !(certificate.subject() == name)) {
    log(Severity::error, "CS_UPPER",
        fmt::format("the certificate that the upper CA granted to {} is not a CA's under the name "
                    "{}; it is not used",
                    configuration.name, name.joined()));
    return {};
  }
  for (const Bytes* sealed : {&row.sealed_key, &row.sealed_shadow_key}) {
    if (sealed->empty()) continue;
    UMBRA_TRY(const auto key, x509::PrivateKey::unseal(*sealed, environment.key_passphrase));
    if (!(key.public_key() == certificate.public_key())) continue;
    const std::uint32_t generation =
        std::max(all->next_number(), ledger->row().last_generation + 1);
    const ca::Authority authority{generation, certificate, key};
    UMBRA_CHECK(archive(authority));
    UMBRA_CHECK(ledger->commit(
        {store::PutGeneration{
            {configuration.name, authority.generation,
             first ? store::GenerationStatus::active : store::GenerationStatus::rollover,
             to_bytes(certificate.der()), *sealed, now}}},
        [generation](store::ServerRow& counters) { counters.last_generation = generation; }));
    const auto followed = follow_store();
    log(Severity::notice, first ? "CS_CERTIFIED" : "CS_ROLLOVER",
        first
            ? fmt::format("The upper CA has made {} a subordinate CA until {}.", configuration.name,
                          to_rfc3339(certificate.not_after()))
            : fmt::format("Rollover CA certificate {} of {} is available; it becomes active at {}.",
                          certificate.serial().to_hex_octets(), configuration.name,
                          to_rfc3339(all->active->certificate.not_after())));
    return followed;
  }
  return fail(Errc::conflict, "the key of the certificate that the upper CA granted is not stored");
}

void CertificateServer::Impl::set_pending() {
  serving = false;
  const std::lock_guard lock(state_mutex);
  status =
      upstream && !upstream->ca_certificate.empty() ? "disabled" : "disabled, Fingerprint pending";
  state = "pending";
}

UpperCa CertificateServer::Impl::upper_ca(const std::optional<x509::Certificate>& own) const {
  std::optional<store::TrustpointRow> row;
  {
    const std::lock_guard lock(state_mutex);
    row = upstream;
  }
  UpperCa upper;
  if (!row || row->ca_certificate.empty()) {
    upper.waiting = "not authenticated";
    return upper;
  }
  for (const Bytes* der : {&row->ca_certificate, &row->rollover_ca_certificate}) {
    const auto candidate = certificate_of_column(*der);
    if (!candidate || !*candidate) continue;
    const bool issued_it = own && (*candidate)->subject() == own->issuer() &&
                           own->verify_signed_by((*candidate)->public_key());
    if (issued_it || (!own && !upper.certificate)) upper.certificate = **candidate;
  }
  switch (static_cast<lifecycle::Phase>(row->phase)) {
    case lifecycle::Phase::idle:
      break;
    case lifecycle::Phase::fetching_next_ca:
      upper.waiting = row->failing ? "has no rollover certificate yet; asked again"
                                   : "asked for its rollover certificate";
      break;
    case lifecycle::Phase::requesting:
      upper.waiting = row->failing ? "does not answer; asked again" : "request sent";
      break;
    case lifecycle::Phase::polling:
      upper.waiting = "request pending";
      break;
    case lifecycle::Phase::stopped:
      upper.waiting = "request rejected; asked again by \"crypto pki server " + configuration.name +
                      " rollover\"";
      break;
  }
  return upper;
}

}  // namespace umbra::server
