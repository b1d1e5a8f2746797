#include "sim/tracked_store.h"

namespace umbra::sim {

void TrackedStore::commit(store::Batch batch, store::Committed done) {
  begun_();
  real_->commit(std::move(batch), [this, done = std::move(done)](Result<void> result) {
    done(std::move(result));
    ended_();
  });
}

Result<std::optional<store::ServerRow>> TrackedStore::server(const std::string& server) {
  return real_->server(server);
}
Result<std::vector<store::CaGeneration>> TrackedStore::generations(const std::string& server) {
  return real_->generations(server);
}
Result<std::optional<store::IssuedCertificate>> TrackedStore::certificate(
    const std::string& server, const x509::Serial& serial) {
  return real_->certificate(server, serial);
}
Result<std::optional<store::IssuedCertificate>> TrackedStore::certificate_of(
    const std::string& server, const std::string& transaction_id, ByteView request_digest) {
  return real_->certificate_of(server, transaction_id, request_digest);
}
Result<std::vector<store::IssuedCertificate>> TrackedStore::certificates(const std::string& server,
                                                                         const x509::Serial& after,
                                                                         std::size_t limit) {
  return real_->certificates(server, after, limit);
}
Result<std::vector<x509::RevokedEntry>> TrackedStore::revoked(const std::string& server,
                                                              std::uint32_t generation,
                                                              Time unexpired_at) {
  return real_->revoked(server, generation, unexpired_at);
}
Result<std::vector<store::EnrollmentRequest>> TrackedStore::requests(const std::string& server) {
  return real_->requests(server);
}
Result<std::optional<store::EnrollmentRequest>> TrackedStore::request(const std::string& server,
                                                                      std::uint64_t id) {
  return real_->request(server, id);
}
Result<std::optional<store::EnrollmentRequest>> TrackedStore::request_of(
    const std::string& server, const std::string& transaction_id) {
  return real_->request_of(server, transaction_id);
}
Result<std::size_t> TrackedStore::pending_count(const std::string& server) {
  return real_->pending_count(server);
}
Result<std::optional<store::CrlRow>> TrackedStore::crl(const std::string& server,
                                                       std::uint32_t generation) {
  return real_->crl(server, generation);
}
Result<std::optional<store::TrustpointRow>> TrackedStore::trustpoint(const std::string& name) {
  return real_->trustpoint(name);
}

Result<std::vector<std::string>> TrackedStore::servers() { return real_->servers(); }
Result<std::optional<store::OneTimePassword>> TrackedStore::one_time_password(
    const std::string& server) {
  return real_->one_time_password(server);
}
Result<std::vector<store::NextCaFetch>> TrackedStore::next_ca_fetches(const std::string& server,
                                                                      std::uint32_t generation) {
  return real_->next_ca_fetches(server, generation);
}
Result<std::vector<store::Holder>> TrackedStore::holders(const std::string& server,
                                                         std::uint32_t active,
                                                         std::uint32_t rollover, Time now) {
  return real_->holders(server, active, rollover, now);
}

}  // namespace umbra::sim
