#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "store/store.h"

namespace soci {
class session;
}

/// Rows of the tables to values and back. Everything here may throw what SOCI throws;
/// sqlite_store.cc catches it.
namespace umbra::store {

/// A change that contradicts what is stored: its batch fails, alone.
struct Contradiction : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Writes changes on one session; keeps the statements of the request road prepared.
class RowWriter {
 public:
  explicit RowWriter(soci::session& sql);
  ~RowWriter();
  void apply(const Change& change);

 private:
  struct Prepared;
  soci::session& sql_;
  std::unique_ptr<Prepared> prepared_;
};

/// Reads on one session; keeps the statements of the request road prepared.
class RowReader {
 public:
  explicit RowReader(soci::session& sql);
  ~RowReader();
  std::optional<ServerRow> server(const std::string& server);
  std::vector<CaGeneration> generations(const std::string& server);
  std::optional<IssuedCertificate> certificate(const std::string& server,
                                               const x509::Serial& serial);
  Known known(const Asked& asked);
  std::vector<IssuedCertificate> certificates(const std::string& server, const x509::Serial& after,
                                              std::size_t limit);
  void each_revoked(const std::string& server, std::uint32_t generation, Time unexpired_at,
                    const std::function<void(const x509::RevokedEntry&)>& take);
  std::vector<EnrollmentRequest> requests(const std::string& server);
  std::optional<EnrollmentRequest> request(const std::string& server, std::uint64_t id);
  std::optional<EnrollmentRequest> request_of(const std::string& server,
                                              const std::string& transaction_id);
  std::size_t pending_count(const std::string& server);
  std::optional<CrlRow> crl(const std::string& server, std::uint32_t generation);
  std::optional<TrustpointRow> trustpoint(const std::string& name);
  std::vector<KeyPairRow> key_pairs();
  std::vector<OutboxRow> outbox(const std::string& server, const std::vector<std::uint8_t>& slots,
                                std::size_t limit);
  Store::OutboxSize outbox_size(const std::string& server);
  std::vector<PublishedRow> published(const std::string& server);
  [[nodiscard]] std::optional<AuditHead> audit_head();
  std::vector<std::string> servers();
  std::optional<OneTimePassword> one_time_password(const std::string& server);
  std::vector<NextCaFetch> next_ca_fetches(const std::string& server, std::uint32_t generation);
  std::vector<Holder> holders(const std::string& server, std::uint32_t active,
                              std::uint32_t rollover, Time now);

 private:
  struct Prepared;
  soci::session& sql_;
  std::unique_ptr<Prepared> prepared_;
};

}  // namespace umbra::store
