#include <fmt/format.h>

#include "server/impl.h"

/// From the rollover CA's making to its switch-over: who has it, who has a certificate of it, and
/// taking it back.
namespace umbra::server {
namespace {

// An address is kept for each; an attacker has as many as he likes.
constexpr std::size_t fetchers_max = 10000;

}  // namespace

/// GetNextCACert is signed by nobody: an address is all that is known of who asks.
void CertificateServer::Impl::note_fetch(const Generations& all, const std::string& address,
                                         Time now) const {
  if (address.empty()) return;
  {
    const std::lock_guard lock(state_mutex);
    if (fetchers.size() >= fetchers_max || !fetchers.insert(address).second) return;
  }
  environment.store.commit(
      {store::RequireGeneration{configuration.name, all.rollover->generation},
       store::PutNextCaFetch{{configuration.name, all.rollover->generation, address, now}}},
      [this](const Result<void>& committed) {
        if (!committed) debug("a GetNextCACert was not noted: " + committed.error().detail);
      });
}

std::optional<x509::Certificate> CertificateServer::Impl::next_ra(const Generations& all,
                                                                  const std::string& serial) const {
  if (serial.empty()) return std::nullopt;
  const auto number = x509::Serial::from_hex(serial);
  if (!number) return std::nullopt;
  const auto row = environment.store.certificate(configuration.name, *number);
  if (!row || !*row || (*row)->generation != all.rollover->generation || (*row)->revoked_at ||
      (*row)->granted_as != store::RequestClass::ra) {
    return std::nullopt;
  }
  auto certificate = x509::Certificate::from_der((*row)->certificate);
  return certificate ? std::optional(*std::move(certificate)) : std::nullopt;
}

HttpReply CertificateServer::Impl::get_next_ca_cert(const GenerationsPtr& generations,
                                                    const std::string& address,
                                                    const std::string& for_ra, Time now) const {
  const Generations& all = *generations;
  if (!all.rollover || !all.active->key)
    return text_reply(404, "there is no next CA certificate yet");
  if (for_ra.empty()) {
    if (auto kept_one = kept_next_ca(generations, now)) {
      note_fetch(all, address, now);
      return *std::move(kept_one);
    }
  }
  // Signed by the CA itself, whatever its key: no RA names the next CA.
  std::vector<x509::Certificate> next = {all.rollover->certificate};
  // Whoever asks through an RA envelopes for its next certificate, which the CA names then, as
  // draft-nourse-scep has it; all others for the CA.
  if (const auto ra = next_ra(all, for_ra)) {
    next.push_back(*ra);
  } else if (all.rollover->exchange) {
    next.push_back(all.rollover->exchange->certificate);
  }
  auto body = scep::next_ca_cert(next, {all.active->certificate, *all.active->key}, now);
  if (!body) return text_reply(500, "the next CA certificate could not be signed");
  note_fetch(all, address, now);
  auto shared = std::make_shared<const Bytes>(*std::move(body));
  if (for_ra.empty()) keep_next_ca(generations, shared, now);
  return {200, std::string(scep::type_next_ca_cert), {}, std::move(shared)};
}

Result<void> CertificateServer::Impl::load_fetchers() {
  const auto all = generations();
  std::set<std::string> known;
  if (all->rollover) {
    UMBRA_TRY(const auto rows,
              environment.store.next_ca_fetches(configuration.name, all->rollover->generation));
    for (const auto& row : rows) known.insert(row.address);
  }
  const std::lock_guard lock(state_mutex);
  fetchers = std::move(known);
  return {};
}

Result<OverlapReport> CertificateServer::Impl::overlap() const {
  UMBRA_CHECK(issues());
  const auto all = generations();
  if (!all->active) return fail(Errc::conflict, "the certificate server is not enabled");
  OverlapReport report;
  report.name = configuration.name;
  report.active = all->active->certificate;
  report.made_at = lifecycle::shadow_generation_at(settings, facts(*all));
  std::uint32_t next = 0;
  if (all->rollover) {
    next = all->rollover->generation;
    report.rollover = all->rollover->certificate;
    UMBRA_TRY(const auto rows, environment.store.next_ca_fetches(configuration.name, next));
    for (const auto& row : rows) report.fetches.push_back({row.address, row.first_at});
  }
  const Time now = to_time(environment.clock.now());
  UMBRA_TRY(const auto holders,
            environment.store.holders(configuration.name, all->active->generation, next, now));
  for (const auto& one : holders)
    report.holders.push_back({one.subject, one.not_after, one.shadow});
  return report;
}

Result<OverlapReport> CertificateServer::Impl::cancel_rollover(bool force) {
  UMBRA_CHECK(issues());
  const auto all = generations();
  if (!all->rollover) return fail(Errc::conflict, "No rollover certificate exists");
  if (!is_root()) {
    return fail(Errc::conflict,
                "The rollover certificate was granted by the upper CA, and is not taken back here; "
                "the upper CA can revoke it");
  }
  UMBRA_TRY(OverlapReport report, overlap());
  std::erase_if(report.holders, [](const auto& holder) { return !holder.shadow; });
  if (!force && !(report.holders.empty() && report.fetches.empty())) {
    return fail(Errc::conflict,
                fmt::format("{} client(s) hold a certificate of the rollover CA and {} address(es) "
                            "have fetched it: after a cancel they trust a CA that never comes, and "
                            "must be enrolled anew by hand. Nothing was changed",
                            report.holders.size(), report.fetches.size()));
  }
  // An `unrevoke` that began before does not bring one of its certificates back.
  const std::lock_guard making(crl_mutex);
  const std::uint32_t number = all->rollover->generation;
  const Time now = to_time(environment.clock.now());
  store::Batch batch = {store::DropGeneration{configuration.name, number},
                        store::RevokeGeneration{configuration.name, number, now,
                                                x509::RevocationReason::cessation_of_operation}};
  UMBRA_TRY(const auto waiting, environment.store.requests(configuration.name));
  for (store::EnrollmentRequest entry : waiting) {
    if (entry.state != store::RequestState::pending || entry.generation != number) continue;
    entry.state = store::RequestState::rejected;
    entry.refusal_text = "the rollover CA certificate this request was made to has been cancelled";
    batch.emplace_back(store::PutRequest{std::move(entry)});
  }
  UMBRA_CHECK(ledger->commit(std::move(batch),
                             [](store::ServerRow& row) { row.rollover_cancelled = true; }));
  static_cast<void>(follow_store());  // it is cancelled all the same
  log(Severity::warning, "CS_ROLLOVER_CANCELLED",
      fmt::format("The rollover CA certificate {} of {} has been cancelled; {} client(s) held a "
                  "certificate of it, which is revoked: they must be enrolled anew by hand.",
                  report.rollover->serial().to_hex_octets(), configuration.name,
                  report.holders.size()));
  for (const auto& holder : report.holders) {
    log(Severity::notice, "CS_ENROL_ANEW",
        fmt::format("\"{}\" held certificate 0x{} of the cancelled rollover CA", holder.subject,
                    holder.shadow->to_hex()));
  }
  return report;
}

Result<void> CertificateServer::rollover() {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  UMBRA_CHECK(impl_->issues());
  if (!impl_->serving) return fail(Errc::conflict, "the certificate server is not enabled");
  if (impl_->behind) UMBRA_CHECK(impl_->follow_store());
  if (impl_->generations()->rollover)
    return fail(Errc::conflict, "Rollover certificate already exists");
  if (!impl_->is_root()) {
    if (!impl_->environment.enroll)
      return fail(Errc::conflict, "the server has no way to its upper CA");
    return impl_->environment.enroll(impl_->configuration.name);
  }
  const auto& active = impl_->generations()->active->certificate;
  if (!lifecycle::can_be_followed({active.not_before(), active.not_after()})) {
    return fail(
        Errc::conflict,
        "the CA certificate ends at 9999-12-31T23:59:59Z, which is the end of X.509's time; "
        "none can follow it");
  }
  return impl_->generate_rollover(to_time(impl_->environment.clock.now()));
}

Result<OverlapReport> CertificateServer::rollover_cancel(bool force) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  if (impl_->behind) UMBRA_CHECK(impl_->follow_store());
  return impl_->cancel_rollover(force);
}

Result<OverlapReport> CertificateServer::overlap() const { return impl_->overlap(); }

}  // namespace umbra::server
