#pragma once

#include <functional>
#include <memory>

#include "store/store.h"

namespace umbra::sim {

/// A real store whose commits under way are known: the world moves its clock only when nothing is
/// in flight, so that time stands still while a disk works.
class TrackedStore final : public store::Store {
 public:
  /// `begun` and `ended` frame every commit; `ended` may come from the store's own thread.
  TrackedStore(std::unique_ptr<store::Store> real, std::function<void()> begun,
               std::function<void()> ended)
      : real_(std::move(real)), begun_(std::move(begun)), ended_(std::move(ended)) {}

  using store::Store::commit;
  void commit(store::Batch batch, store::Committed done) override;
  [[nodiscard]] Result<std::optional<store::ServerRow>> server(const std::string& server) override;
  [[nodiscard]] Result<std::vector<store::CaGeneration>> generations(
      const std::string& server) override;
  [[nodiscard]] Result<std::optional<store::IssuedCertificate>> certificate(
      const std::string& server, const x509::Serial& serial) override;
  [[nodiscard]] Result<std::optional<store::IssuedCertificate>> certificate_of(
      const std::string& server, const std::string& transaction_id,
      ByteView request_digest) override;
  [[nodiscard]] Result<std::vector<store::IssuedCertificate>> certificates(
      const std::string& server, const x509::Serial& after, std::size_t limit) override;
  [[nodiscard]] Result<std::vector<x509::RevokedEntry>> revoked(const std::string& server,
                                                                std::uint32_t generation,
                                                                Time unexpired_at) override;
  [[nodiscard]] Result<std::vector<store::EnrollmentRequest>> requests(
      const std::string& server) override;
  [[nodiscard]] Result<std::optional<store::EnrollmentRequest>> request(const std::string& server,
                                                                        std::uint64_t id) override;
  [[nodiscard]] Result<std::optional<store::EnrollmentRequest>> request_of(
      const std::string& server, const std::string& transaction_id) override;
  [[nodiscard]] Result<std::size_t> pending_count(const std::string& server) override;
  [[nodiscard]] Result<std::optional<store::CrlRow>> crl(const std::string& server,
                                                         std::uint32_t generation) override;
  [[nodiscard]] Result<std::optional<store::TrustpointRow>> trustpoint(
      const std::string& name) override;
  [[nodiscard]] Result<std::vector<std::string>> servers() override;
  [[nodiscard]] Result<std::optional<store::OneTimePassword>> one_time_password(
      const std::string& server) override;
  [[nodiscard]] Result<std::vector<store::NextCaFetch>> next_ca_fetches(
      const std::string& server, std::uint32_t generation) override;
  [[nodiscard]] Result<std::vector<store::Holder>> holders(const std::string& server,
                                                           std::uint32_t active,
                                                           std::uint32_t rollover,
                                                           Time now) override;

 private:
  std::unique_ptr<store::Store> real_;
  std::function<void()> begun_;
  std::function<void()> ended_;
};

}  // namespace umbra::sim
