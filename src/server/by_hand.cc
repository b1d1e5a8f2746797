#include <fmt/format.h>

#include "server/impl.h"

/// `request pkcs10`: a request that came by no network. It is judged and queued as the others are;
/// nobody polls for it, so what is granted is shown to the administrator.
namespace umbra::server {
namespace {

constexpr std::string_view transaction_prefix = "by-hand-";

}  // namespace

bool CertificateServer::Impl::is_by_hand(std::string_view transaction_id) {
  return transaction_id.starts_with(transaction_prefix);
}

bool CertificateServer::Impl::by_hand(const store::EnrollmentRequest& entry) {
  return entry.signer.empty() && is_by_hand(entry.transaction_id);
}

Result<x509::Certificate> CertificateServer::Impl::certificate_of(
    const store::EnrollmentRequest& entry) const {
  UMBRA_TRY(const auto row, environment.store.certificate(
                                configuration.name, entry.granted_serial.value_or(x509::Serial())));
  if (!row) return fail(Errc::not_found, fmt::format("request {} has no certificate", entry.id));
  return x509::Certificate::from_der(row->certificate);
}

Result<HandRequest> CertificateServer::request_pkcs10(ByteView der) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  if (!impl_->serving) return fail(Errc::conflict, "the certificate server is not enabled");
  UMBRA_CHECK(impl_->issues());
  UMBRA_TRY(const auto request, x509::Request::from_der(der));
  if (const auto proven = request.verify(); !proven) {
    return fail(Errc::crypto,
                "the request is not signed with the key in it: " + proven.error().detail);
  }
  const auto all = impl_->generations();
  policy::Rules rules = impl_->rules();
  rules.challenge.reset();  // who may paste here may grant
  const policy::RequestFacts facts = impl_->facts_of_request(request, *all);
  const auto decision = policy::decide(facts, rules);
  if (const auto* refusal = std::get_if<scep::Refusal>(&decision))
    return fail(Errc::conflict, refusal->text);

  const Time now = to_time(impl_->environment.clock.now());
  const std::string& server = impl_->configuration.name;
  store::EnrollmentRequest entry;
  entry.request_digest = x509::hash(x509::Digest::sha256, request.der());
  entry.transaction_id = std::string(transaction_prefix) + to_hex(entry.request_digest);
  UMBRA_TRY(auto known, impl_->environment.store.request_of(server, entry.transaction_id));
  // Before such names were kept from the network, anybody could have queued something under it.
  if (known && (!Impl::by_hand(*known) || known->request_digest != entry.request_digest))
    known.reset();
  const bool grant = std::holds_alternative<policy::Grant>(decision);
  if (known && known->state == store::RequestState::pending) {
    // Stored, and then no room for its certificate: given again, it is not stuck.
    if (!grant) return HandRequest{known->id, {}};
    UMBRA_TRY(auto certificate, impl_->grant_entry(*known));
    return HandRequest{known->id, std::move(certificate)};
  }
  if (known && known->state == store::RequestState::granted) {
    UMBRA_TRY(auto certificate, impl_->certificate_of(*known));
    UMBRA_TRY(const auto row, impl_->environment.store.certificate(server, certificate.serial()));
    if (row && !row->revoked_at && certificate.not_after() > now)
      return HandRequest{known->id, std::move(certificate)};
  }
  UMBRA_CHECK(impl_->room_in_queue(request.der().size()));
  entry.server = server;
  entry.id = impl_->ledger->take_request_id();
  entry.request = to_bytes(request.der());
  entry.generation = all->active->generation;
  entry.request_class = class_in_store(facts.asked);
  entry.received_at = now;
  UMBRA_CHECK(impl_->ledger->commit({store::PutRequest{entry}}, [](store::ServerRow&) {}));
  {
    const std::lock_guard lock(impl_->state_mutex);
    impl_->pending.emplace(entry.id, entry.received_at);
  }
  impl_->debug(fmt::format("reqID={} pending, by hand", entry.id));
  if (!grant) return HandRequest{entry.id, {}};
  UMBRA_TRY(auto certificate, impl_->grant_entry(entry));
  return HandRequest{entry.id, std::move(certificate)};
}

}  // namespace umbra::server
