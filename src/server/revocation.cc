#include <fmt/format.h>

#include "server/impl.h"

namespace umbra::server {
namespace {

// A larger CRL is stored in pieces: nobody waits for more than one of them. Whole base64 groups.
constexpr std::size_t crl_part_octets = std::size_t{3} << 18;

}  // namespace

Result<void> CertificateServer::Impl::publish_crl(Time now) {
  const std::lock_guard making(crl_mutex);
  return publish_crl(now, {}, {});
}

/// The CRL and what it follows from are one commit: who restarts has both or neither.
Result<void> CertificateServer::Impl::publish_crl(Time now, const CrlChanges& changes,
                                                  store::Batch cause) {
  const auto all = generations();
  const Time next_update = lifecycle::ends_at(now, configuration.lifetime_crl);
  UMBRA_TRY(auto crl, make_crl(*all->active, now, {now, next_update}, changes));
  const std::uint64_t number = crl.row.number;
  cause.emplace_back(std::move(crl));
  UMBRA_CHECK(ledger->commit(std::move(cause),
                             [number](store::ServerRow& row) { row.crl_number = number; }));
  debug("updated crl in memory ..");
  const std::lock_guard lock(state_mutex);
  crl_next_update = next_update;
  ++crl_epoch;
  kept_crl.reset();
  return {};
}

Result<store::PutCrl> CertificateServer::Impl::make_crl(const ca::Authority& authority, Time now,
                                                        const lifecycle::Validity& validity,
                                                        const CrlChanges& changes) {
  // With crl_mutex held: the number is this CRL's alone, and nothing is revoked meanwhile.
  x509::CrlEntries entries;
  auto change = changes.begin();
  const auto changes_before = [&](const x509::Serial* serial) {
    for (; change != changes.end() && (serial == nullptr || change->first < *serial); ++change)
      if (change->second) entries.add(*change->second);
  };
  UMBRA_CHECK(environment.store.each_revoked(
      configuration.name, authority.generation, now, [&](const x509::RevokedEntry& entry) {
        changes_before(&entry.serial);
        const bool changed = change != changes.end() && change->first == entry.serial;
        if (!changed) entries.add(entry);
      }));
  changes_before(nullptr);
  const std::uint64_t number = ledger->row().crl_number + 1;
  UMBRA_TRY(Bytes crl, ca::make_crl(authority, {number, validity.not_before, validity.not_after},
                                    entries, digest()));
  entries = {};
  store::PutCrl put{{configuration.name,
                     authority.generation,
                     number,
                     validity.not_before,
                     validity.not_after,
                     {}},
                    0};
  ByteView rest = crl;
  for (; rest.size() > crl_part_octets; rest = rest.subspan(crl_part_octets), ++put.parts) {
    UMBRA_CHECK(environment.store.commit(
        {store::PutCrlPart{configuration.name, authority.generation, number, put.parts,
                           to_bytes(rest.first(crl_part_octets))}}));
  }
  put.row.crl = to_bytes(rest);
  return put;
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

/// Who comes while a CRL is made waits for the next one, together with all others who do.
Result<OnCrl> CertificateServer::Impl::change_revocation(const x509::Serial& serial,
                                                         std::optional<x509::RevocationReason> to) {
  const auto mine =
      std::make_shared<Revocation>(Revocation{.serial = serial, .to = to, .result = std::nullopt});
  {
    const std::lock_guard lock(state_mutex);
    revocations.push_back(mine);
  }
  const std::lock_guard making(crl_mutex);
  if (mine->result) return *mine->result;
  std::vector<std::shared_ptr<Revocation>> together;
  {
    const std::lock_guard lock(state_mutex);
    together.swap(revocations);
  }
  change_together(together);
  return *mine->result;
}

void CertificateServer::Impl::change_together(
    const std::vector<std::shared_ptr<Revocation>>& together) {
  const Time now = to_time(environment.clock.now());
  CrlChanges on_crl;
  std::set<x509::Serial> named;
  const auto all = generations();
  store::Batch batch;
  for (const auto& one : together) {
    const auto prepared = [&]() -> Result<void> {
      UMBRA_TRY(const auto issued, revocable(one->serial));
      const std::string name = "0x" + one->serial.to_hex();
      if (!named.insert(one->serial).second)
        return fail(Errc::conflict, name + " is being revoked or restored by somebody else");
      if (one->to && issued.revoked_at) return fail(Errc::conflict, name + " is revoked already");
      if (!one->to && !issued.revoked_at) return fail(Errc::conflict, name + " is not revoked");
      if (one->to) {
        batch.emplace_back(
            store::RevokeCertificate{configuration.name, one->serial, now, *one->to});
      } else {
        batch.emplace_back(store::RestoreCertificate{configuration.name, one->serial});
      }
      if (issued.generation != all->active->generation) {
        const bool next = all->rollover && issued.generation == all->rollover->generation;
        one->seen = next ? OnCrl::at_switch_over : OnCrl::never;
        return {};
      }
      on_crl.emplace(
          one->serial,
          one->to ? std::optional<x509::RevokedEntry>({one->serial, now, *one->to}) : std::nullopt);
      return {};
    }();
    if (!prepared) one->result = tl::unexpected(prepared.error());
  }
  Result<void> outcome;
  if (!on_crl.empty()) {
    outcome = publish_crl(now, on_crl, std::move(batch));
  } else if (!batch.empty()) {
    outcome = environment.store.commit(std::move(batch));
  }
  for (const auto& one : together) {
    if (one->result) continue;
    if (!outcome) {
      one->result = tl::unexpected(outcome.error());
      continue;
    }
    one->result = one->seen;
    log(Severity::notice, one->to ? "CS_REVOKED" : "CS_UNREVOKED",
        fmt::format("certificate 0x{} of {} is {}", one->serial.to_hex(), configuration.name,
                    one->to ? "revoked" : "no longer revoked"));
  }
}

Result<OnCrl> CertificateServer::revoke(const x509::Serial& serial, x509::RevocationReason reason) {
  UMBRA_CHECK(impl_->issues());
  return impl_->change_revocation(serial, reason);
}

Result<void> CertificateServer::unrevoke(const x509::Serial& serial) {
  UMBRA_CHECK(impl_->issues());
  UMBRA_CHECK(impl_->change_revocation(serial, std::nullopt));
  return {};
}

Result<CrlView> CertificateServer::crl() const {
  UMBRA_CHECK(impl_->issues());
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
