#include <fmt/format.h>

#include <future>

#include "server/impl.h"

namespace umbra::server {
namespace {

constexpr std::size_t pending_max = 10000;
// Of one of them, with its signer: RSA-8192 and 4 KiB of names fit well. Anybody may fill the
// queue, and it is read into memory as a whole.
constexpr std::size_t pending_octets_max = 16384;
// `grant all` has so many on their way to the disk at once, where they share commits.
constexpr std::size_t grants_together = 256;

/// A grant on its way to the disk.
struct Granting {
  std::uint64_t id = 0;
  std::optional<x509::Certificate> by_hand;
  std::future<Result<void>> stored;
};

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
    return fail(Errc::storage, "too many requests wait for an administrator already");
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

Result<x509::Certificate> CertificateServer::Impl::grant_entry(
    const store::EnrollmentRequest& entry) {
  std::promise<Result<void>> stored;
  UMBRA_TRY(auto certificate, grant_entry(entry, [&stored](Result<void> committed) {
              stored.set_value(std::move(committed));
            }));
  UMBRA_CHECK(stored.get_future().get());
  return certificate;
}

/// The certificate is made now: it is valid from the grant, not from the request.
Result<x509::Certificate> CertificateServer::Impl::grant_entry(
    const store::EnrollmentRequest& entry, store::Committed done) {
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
  ledger->commit(
      {store::RequireGeneration{configuration.name, authority->generation},
       store::InsertCertificate{ca::row_of(configuration.name, authority->generation, certificate,
                                           entry.transaction_id, entry.request_digest, now,
                                           entry.request_class)},
       store::PutRequest{granted}},
      [&serial](store::ServerRow& row) { ca::count_issued(row, serial); },
      [this, id = entry.id, fingerprint = to_hex(request.fingerprint(x509::Digest::md5)),
       done = std::move(done)](Result<void> committed) {
        if (committed) {
          {
            const std::lock_guard lock(state_mutex);
            pending.erase(id);
          }
          debug(fmt::format("reqID={} granted, fingerprint={}", id, fingerprint));
        }
        done(std::move(committed));
      });
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
  std::vector<Granting> on_the_way;
  // One that cannot be granted holds up none of the others; a full disk does.
  const auto failure = [&](std::uint64_t number, const Error& error) -> Result<void> {
    std::string text = fmt::format("request {}: {}", number, error.detail);
    if (id || error.code == Errc::storage) return fail(error.code, std::move(text));
    report.failed.push_back(std::move(text));
    return {};
  };
  const auto settle = [&]() -> Result<void> {
    Result<void> first;
    for (Granting& one : on_the_way) {
      Result<void> outcome = one.stored.get();
      if (!outcome)
        outcome = failure(one.id, outcome.error());
      else if (one.by_hand)
        report.by_hand.push_back(*std::move(one.by_hand));
      if (first) first = std::move(outcome);
    }
    on_the_way.clear();
    return first;
  };
  const auto done =
      impl_->for_each_pending(id, [&](const store::EnrollmentRequest& entry) -> Result<void> {
        // A stranger's request to be a CA hides well among a hundred devices'.
        if (!id && entry.request_class != store::RequestClass::router) {
          report.left_pending.push_back(entry.id);
          return {};
        }
        if (impl_->is_ra()) {
          const auto granted = impl_->authorize(entry);
          return granted ? Result<void>() : failure(entry.id, granted.error());
        }
        const auto stored = std::make_shared<std::promise<Result<void>>>();
        auto certificate = impl_->grant_entry(
            entry, [stored](Result<void> committed) { stored->set_value(std::move(committed)); });
        if (!certificate) return failure(entry.id, certificate.error());
        Granting one{entry.id, std::nullopt, stored->get_future()};
        if (Impl::by_hand(entry)) one.by_hand = *std::move(certificate);
        on_the_way.push_back(std::move(one));
        return on_the_way.size() < grants_together ? Result<void>() : settle();
      });
  // What was handed over before a failure is on its way all the same.
  const auto settled = settle();
  UMBRA_CHECK(done);
  UMBRA_CHECK(settled);
  return report;
}

/// All of them, or none: one commit.
Result<void> CertificateServer::reject(std::optional<std::uint64_t> id) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  store::Batch batch;
  std::vector<std::uint64_t> rejected;
  UMBRA_CHECK(
      impl_->for_each_pending(id, [&](const store::EnrollmentRequest& entry) -> Result<void> {
        store::EnrollmentRequest changed = entry;
        changed.state = store::RequestState::rejected;
        changed.refusal_text = "the request was rejected by the administrator";
        batch.emplace_back(store::PutRequest{std::move(changed)});
        rejected.push_back(entry.id);
        return {};
      }));
  return impl_->take_from_queue(std::move(batch), rejected, "rejected");
}

Result<void> CertificateServer::remove(std::optional<std::uint64_t> id) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  UMBRA_TRY(const auto all, impl_->environment.store.requests(impl_->configuration.name));
  store::Batch batch;
  std::vector<std::uint64_t> removed;
  for (const auto& entry : all) {
    if (id && entry.id != *id) continue;
    batch.emplace_back(store::DropRequest{entry.server, entry.id});
    removed.push_back(entry.id);
  }
  if (id && removed.empty()) return fail(Errc::not_found, fmt::format("no request {}", *id));
  return impl_->take_from_queue(std::move(batch), removed, "removed");
}

Result<void> CertificateServer::Impl::take_from_queue(store::Batch batch,
                                                      const std::vector<std::uint64_t>& ids,
                                                      std::string_view how) {
  if (batch.empty()) return {};
  UMBRA_CHECK(environment.store.commit(std::move(batch)));
  const std::lock_guard lock(state_mutex);
  for (const std::uint64_t id : ids) {
    pending.erase(id);
    debug(fmt::format("reqID={} {}", id, how));
  }
  return {};
}

}  // namespace umbra::server
