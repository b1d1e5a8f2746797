#include <fmt/format.h>

#include "server/impl.h"

namespace umbra::server {
namespace {

constexpr std::size_t pending_max = 10000;
// Of one of them, with its signer: RSA-8192 and 4 KiB of names fit well. Anybody may fill the
// queue, and it is read into memory as a whole.
constexpr std::size_t pending_octets_max = 16384;

}  // namespace

bool is_open(store::RequestState state) {
  switch (state) {
    case store::RequestState::pending:
    case store::RequestState::authorized:
    case store::RequestState::forwarded:
      return true;
    case store::RequestState::granted:
    case store::RequestState::rejected:
      return false;
  }
  return false;
}

Result<void> CertificateServer::Impl::room_in_queue(std::size_t octets) const {
  if (octets > pending_octets_max)
    return fail(Errc::conflict, "the request is too large to wait for an administrator");
  const std::lock_guard lock(state_mutex);
  if (pending.size() >= pending_max)
    return fail(Errc::conflict, "too many requests wait for an administrator already");
  return {};
}

Result<void> CertificateServer::Impl::load_queue() {
  UMBRA_TRY(const auto all, environment.store.requests(configuration.name));
  const std::lock_guard lock(state_mutex);
  pending.clear();
  oldest_closed.reset();
  for (const auto& entry : all) {
    if (is_open(entry.state)) {
      pending.emplace(entry.id, entry.received_at);
    } else {
      oldest_closed = std::min(oldest_closed.value_or(entry.received_at), entry.received_at);
    }
  }
  return {};
}

Result<void> CertificateServer::Impl::for_each_pending(
    std::optional<std::uint64_t> id,
    const std::function<Result<void>(const store::EnrollmentRequest&)>& act) {
  if (id) {
    UMBRA_TRY(const auto entry, environment.store.request(configuration.name, *id));
    if (!entry) return fail(Errc::not_found, fmt::format("no request {}", *id));
    if (entry->state != store::RequestState::pending)
      return fail(Errc::conflict, fmt::format("request {} is not pending", *id));
    return act(*entry);
  }
  UMBRA_TRY(const auto all, environment.store.requests(configuration.name));
  // Oldest first: serial numbers follow the order of arrival.
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
    if (entry->state == store::RequestState::pending) UMBRA_CHECK(act(*entry));
  }
  return {};
}

/// A renewal is as good as its signer, and that may have been revoked while it waited.
Result<void> CertificateServer::Impl::signer_still_good(
    const store::EnrollmentRequest& entry) const {
  if (entry.signer.empty()) return {};
  UMBRA_TRY(const auto signer, x509::Certificate::from_der(entry.signer));
  const auto all = generations();
  if (signer.self_issued() || !(signer.issuer() == all->active->certificate.subject())) return {};
  UMBRA_TRY(const auto row, environment.store.certificate(configuration.name, signer.serial()));
  const bool ours = row && (row->certificate.empty() ? signed_by_one_of(*all, signer)
                                                     : equal(row->certificate, signer.der()));
  if (!ours || !row->revoked_at) return {};
  return fail(Errc::conflict,
              fmt::format("it is signed by certificate 0x{}, which has been revoked since; reject "
                          "it, or `unrevoke 0x{}` first",
                          signer.serial().to_hex(), signer.serial().to_hex()));
}

/// The certificate is made now: it is valid from the grant, not from the request.
Result<x509::Certificate> CertificateServer::Impl::grant_entry(
    const store::EnrollmentRequest& entry) {
  const auto all = generations();
  const ca::Authority* const authority = all->find(entry.generation);
  const bool current_one =
      authority != nullptr && ((all->active && authority == &*all->active) ||
                               (all->rollover && authority == &*all->rollover));
  if (!current_one)
    return fail(Errc::conflict,
                "it was made to a CA that has ended; reject it, so that the device asks anew");
  const Time now = to_time(environment.clock.now());
  UMBRA_CHECK(signer_still_good(entry));
  UMBRA_TRY(const auto request, x509::Request::from_der(entry.request));
  UMBRA_TRY(const auto validity, validity_from(*authority, *all, entry.request_class, now));
  UMBRA_TRY(const auto serial, ledger->take_serial());
  UMBRA_TRY(const auto certificate,
            ca::issue(*authority, request, serial, validity, profile(entry.request_class)));
  store::EnrollmentRequest granted = entry;
  granted.state = store::RequestState::granted;
  granted.granted_serial = certificate.serial();
  UMBRA_CHECK(ledger->commit(
      {store::RequireGeneration{configuration.name, authority->generation},
       store::InsertCertificate{ca::row_of(configuration.name, authority->generation, certificate,
                                           entry.transaction_id, entry.request_digest, now,
                                           entry.request_class)},
       store::PutRequest{granted}},
      [&serial](store::ServerRow& row) { ca::count_issued(row, serial); }));
  {
    const std::lock_guard lock(state_mutex);
    pending.erase(entry.id);
  }
  debug(fmt::format("reqID={} granted, fingerprint={}", entry.id,
                    to_hex(request.fingerprint(x509::Digest::md5))));
  return certificate;
}

Result<void> CertificateServer::Impl::expire_queue(Time now) {
  UMBRA_TRY(const auto all, environment.store.requests(configuration.name));
  // One commit: whoever filled the queue in a minute filled all of it.
  store::Batch batch;
  std::vector<std::uint64_t> over;
  std::optional<Time> oldest;
  for (const auto& entry : all) {
    if (entry.received_at + configuration.lifetime_enrollment_request > now) {
      if (!is_open(entry.state))
        oldest = std::min(oldest.value_or(entry.received_at), entry.received_at);
      continue;
    }
    batch.emplace_back(store::DropRequest{configuration.name, entry.id});
    over.push_back(entry.id);
  }
  if (batch.empty()) return {};
  UMBRA_CHECK(environment.store.commit(std::move(batch)));
  const std::lock_guard lock(state_mutex);
  oldest_closed = oldest;
  for (const std::uint64_t id : over) {
    if (pending.erase(id) != 0) debug(fmt::format("reqID={} expired", id));
  }
  return {};
}

Result<std::vector<RequestLine>> CertificateServer::requests() const {
  UMBRA_TRY(const auto all, impl_->environment.store.requests(impl_->configuration.name));
  std::vector<RequestLine> lines;
  for (const auto& entry : all) {
    RequestLine line;
    line.id = entry.id;
    line.request_class = static_cast<int>(entry.request_class);
    switch (entry.state) {
      case store::RequestState::pending:
        line.state = "pending";
        break;
      case store::RequestState::granted:
        line.state = "granted";
        break;
      case store::RequestState::rejected:
        line.state = "rejected";
        break;
      case store::RequestState::authorized:
        line.state = "authorized";
        break;
      case store::RequestState::forwarded:
        line.state = "forwarded";
        break;
    }
    line.fingerprint = to_hex(x509::hash(x509::Digest::md5, entry.request));
    if (const auto request = x509::Request::from_der(entry.request))
      line.subject = request->subject().joined();
    lines.push_back(std::move(line));
  }
  return lines;
}

Result<GrantReport> CertificateServer::grant(std::optional<std::uint64_t> id) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  if (!impl_->serving) return fail(Errc::conflict, "the certificate server is not enabled");
  GrantReport report;
  UMBRA_CHECK(
      impl_->for_each_pending(id, [&](const store::EnrollmentRequest& entry) -> Result<void> {
        // A stranger's request to be a CA hides well among a hundred devices'.
        if (!id && entry.request_class != store::RequestClass::router) {
          report.left_pending.push_back(entry.id);
          return {};
        }
        std::optional<x509::Certificate> certificate;
        Result<void> granted;
        if (impl_->is_ra()) {
          granted = impl_->authorize(entry);
        } else if (auto issued = impl_->grant_entry(entry)) {
          certificate = *std::move(issued);
        } else {
          granted = tl::unexpected(issued.error());
        }
        if (!granted) {
          const Error& error = granted.error();
          std::string text = fmt::format("request {}: {}", entry.id, error.detail);
          // One that cannot be granted holds up none of the others; a full disk does.
          if (id || error.code == Errc::storage) return fail(error.code, std::move(text));
          report.failed.push_back(std::move(text));
          return {};
        }
        if (certificate && Impl::by_hand(entry)) report.by_hand.push_back(*std::move(certificate));
        return {};
      }));
  return report;
}

Result<void> CertificateServer::reject(std::optional<std::uint64_t> id) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  return impl_->for_each_pending(id, [this](const store::EnrollmentRequest& entry) -> Result<void> {
    store::EnrollmentRequest rejected = entry;
    rejected.state = store::RequestState::rejected;
    rejected.refusal_text = "the request was rejected by the administrator";
    UMBRA_CHECK(impl_->environment.store.commit({store::PutRequest{rejected}}));
    const std::lock_guard lock(impl_->state_mutex);
    impl_->pending.erase(entry.id);
    impl_->debug(fmt::format("reqID={} rejected", entry.id));
    return {};
  });
}

Result<void> CertificateServer::remove(std::optional<std::uint64_t> id) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  UMBRA_TRY(const auto all, impl_->environment.store.requests(impl_->configuration.name));
  bool found = false;
  for (const auto& entry : all) {
    if (id && entry.id != *id) continue;
    found = true;
    UMBRA_CHECK(impl_->environment.store.commit({store::DropRequest{entry.server, entry.id}}));
    const std::lock_guard lock(impl_->state_mutex);
    impl_->pending.erase(entry.id);
  }
  if (id && !found) return fail(Errc::not_found, fmt::format("no request {}", *id));
  return {};
}

}  // namespace umbra::server
