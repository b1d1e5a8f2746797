#include <fmt/format.h>

#include <algorithm>

#include "server/impl.h"

namespace umbra::server {
namespace {

bool by_serial(const x509::RevokedEntry& a, const x509::RevokedEntry& b) {
  return a.serial < b.serial;
}

}  // namespace

Result<void> CertificateServer::Impl::publish_crl(Time now) {
  UMBRA_TRY(auto revoked,
            environment.store.revoked(configuration.name, generations()->active->generation, now));
  return publish_crl(now, std::move(revoked), {});
}

/// The CRL and what it follows from are one commit: who restarts has both or neither.
Result<void> CertificateServer::Impl::publish_crl(Time now, std::vector<x509::RevokedEntry> revoked,
                                                  store::Batch cause) {
  const auto all = generations();
  const ca::Authority& active = *all->active;
  const std::uint64_t number = ledger->row().crl_number + 1;
  const Time next_update = lifecycle::ends_at(now, configuration.lifetime_crl);
  UMBRA_TRY(Bytes crl, ca::make_crl(active, {number, now, next_update}, revoked, digest()));
  cause.emplace_back(store::PutCrl{
      {configuration.name, active.generation, number, now, next_update, std::move(crl)}});
  UMBRA_CHECK(ledger->commit(std::move(cause),
                             [number](store::ServerRow& row) { row.crl_number = number; }));
  debug("updated crl in memory ..");
  const std::lock_guard lock(state_mutex);
  crl_next_update = next_update;
  return {};
}

/// Somebody's certificate, not a CA's own. Errors: not_found, conflict, storage.
Result<store::IssuedCertificate> CertificateServer::Impl::revocable(
    const x509::Serial& serial) const {
  const auto all = generations();
  if (!all->active || !all->active->key)
    return fail(Errc::conflict, "the certificate server is not enabled");
  UMBRA_TRY(const auto found, environment.store.certificate(configuration.name, serial));
  if (!found)
    return fail(Errc::not_found, "no certificate with serial number 0x" + serial.to_hex());
  if (found->certificate.empty()) return *found;  // an import knows it by its number alone
  UMBRA_TRY(const auto certificate, x509::Certificate::from_der(found->certificate));
  if (all->find(found->generation) == nullptr) {
    return fail(Errc::conflict, "0x" + serial.to_hex() +
                                    " was issued by a rollover CA that has been cancelled; it is "
                                    "revoked for good");
  }
  if (certificate.is_ca() && certificate.self_issued()) {
    return fail(Errc::conflict, "0x" + serial.to_hex() +
                                    " is a CA certificate of this server; it cannot revoke itself");
  }
  return *found;
}

Result<void> CertificateServer::revoke(const x509::Serial& serial, x509::RevocationReason reason) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  UMBRA_TRY(const auto issued, impl_->revocable(serial));
  if (issued.revoked_at)
    return fail(Errc::conflict, "0x" + serial.to_hex() + " is revoked already");
  const Time now = to_time(impl_->environment.clock.now());
  const auto& active = *impl_->generations()->active;
  store::Batch batch = {store::RevokeCertificate{impl_->configuration.name, serial, now, reason}};
  if (issued.generation == active.generation) {
    UMBRA_TRY(auto revoked,
              impl_->environment.store.revoked(impl_->configuration.name, active.generation, now));
    const x509::RevokedEntry entry{serial, now, reason};
    revoked.insert(std::upper_bound(revoked.begin(), revoked.end(), entry, &by_serial), entry);
    UMBRA_CHECK(impl_->publish_crl(now, std::move(revoked), std::move(batch)));
  } else {
    // A shadow certificate: it is on the first CRL of its CA, which is made at the switch-over.
    UMBRA_CHECK(impl_->environment.store.commit(std::move(batch)));
  }
  impl_->log(
      Severity::notice, "CS_REVOKED",
      fmt::format("certificate 0x{} of {} is revoked", serial.to_hex(), impl_->configuration.name));
  return {};
}

Result<void> CertificateServer::unrevoke(const x509::Serial& serial) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  UMBRA_TRY(const auto issued, impl_->revocable(serial));
  if (!issued.revoked_at) return fail(Errc::conflict, "0x" + serial.to_hex() + " is not revoked");
  const Time now = to_time(impl_->environment.clock.now());
  const auto& active = *impl_->generations()->active;
  store::Batch batch = {store::RestoreCertificate{impl_->configuration.name, serial}};
  if (issued.generation == active.generation) {
    UMBRA_TRY(auto revoked,
              impl_->environment.store.revoked(impl_->configuration.name, active.generation, now));
    std::erase_if(revoked, [&](const auto& entry) { return entry.serial == serial; });
    UMBRA_CHECK(impl_->publish_crl(now, std::move(revoked), std::move(batch)));
  } else {
    UMBRA_CHECK(impl_->environment.store.commit(std::move(batch)));
  }
  impl_->log(Severity::notice, "CS_UNREVOKED",
             fmt::format("certificate 0x{} of {} is no longer revoked", serial.to_hex(),
                         impl_->configuration.name));
  return {};
}

Result<CrlView> CertificateServer::crl() const {
  const auto all = impl_->generations();
  if (!all->active) return fail(Errc::not_found, "there is no CRL yet");
  UMBRA_TRY(const auto row,
            impl_->environment.store.crl(impl_->configuration.name, all->active->generation));
  if (!row) return fail(Errc::not_found, "there is no CRL yet");
  UMBRA_TRY(auto facts, x509::parse_crl(row->crl));
  return CrlView{facts.issuer.joined(), row->this_update, row->next_update, row->crl.size(),
                 std::move(facts.revoked)};
}

}  // namespace umbra::server
