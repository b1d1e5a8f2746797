#pragma once

#include <memory>

#include "store/store.h"

namespace umbra::store {

/// A store that is another one: what those override who watch or disturb it.
class ForwardingStore : public Store {
 public:
  explicit ForwardingStore(std::unique_ptr<Store> real) : real_(std::move(real)) {}

  using Store::commit;
  void commit(Batch batch, Committed done, Wake wake) override {
    real_->commit(std::move(batch), std::move(done), wake);
  }
  void write_what_waits() override { real_->write_what_waits(); }
  void expect(std::size_t under_way) override { real_->expect(under_way); }
  Result<std::optional<ServerRow>> server(const std::string& server) override {
    return real_->server(server);
  }
  Result<std::vector<CaGeneration>> generations(const std::string& server) override {
    return real_->generations(server);
  }
  Result<std::optional<IssuedCertificate>> certificate(const std::string& server,
                                                       const x509::Serial& serial) override {
    return real_->certificate(server, serial);
  }
  Result<Known> known(const Asked& asked) override { return real_->known(asked); }
  Result<std::vector<IssuedCertificate>> certificates(const std::string& server,
                                                      const x509::Serial& after,
                                                      std::size_t limit) override {
    return real_->certificates(server, after, limit);
  }
  Result<void> each_revoked(const std::string& server, std::uint32_t generation, Time unexpired_at,
                            const std::function<void(const x509::RevokedEntry&)>& take) override {
    return real_->each_revoked(server, generation, unexpired_at, take);
  }
  Result<std::vector<EnrollmentRequest>> requests(const std::string& server) override {
    return real_->requests(server);
  }
  Result<std::optional<EnrollmentRequest>> request(const std::string& server,
                                                   std::uint64_t id) override {
    return real_->request(server, id);
  }
  Result<std::optional<EnrollmentRequest>> request_of(const std::string& server,
                                                      const std::string& transaction_id) override {
    return real_->request_of(server, transaction_id);
  }
  Result<std::size_t> pending_count(const std::string& server) override {
    return real_->pending_count(server);
  }
  Result<std::optional<CrlRow>> crl(const std::string& server, std::uint32_t generation) override {
    return real_->crl(server, generation);
  }
  Result<std::optional<TrustpointRow>> trustpoint(const std::string& name) override {
    return real_->trustpoint(name);
  }
  Result<std::vector<KeyPairRow>> key_pairs() override { return real_->key_pairs(); }
  Result<std::vector<OutboxRow>> outbox(const std::string& server,
                                        const std::vector<std::uint8_t>& slots,
                                        std::size_t limit) override {
    return real_->outbox(server, slots, limit);
  }
  Result<OutboxSize> outbox_size(const std::string& server) override {
    return real_->outbox_size(server);
  }
  Result<std::vector<PublishedRow>> published(const std::string& server) override {
    return real_->published(server);
  }
  Result<std::optional<AuditHead>> audit_head() override { return real_->audit_head(); }
  Result<std::vector<std::string>> servers() override { return real_->servers(); }
  Result<std::optional<OneTimePassword>> one_time_password(const std::string& server) override {
    return real_->one_time_password(server);
  }
  Result<std::vector<NextCaFetch>> next_ca_fetches(const std::string& server,
                                                   std::uint32_t generation) override {
    return real_->next_ca_fetches(server, generation);
  }
  Result<std::vector<Holder>> holders(const std::string& server, std::uint32_t active,
                                      std::uint32_t rollover, Time now) override {
    return real_->holders(server, active, rollover, now);
  }

 protected:
  std::unique_ptr<Store> real_;
};

}  // namespace umbra::store
