#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/store.h"

struct sqlite3;

namespace umbra::store {

/// A database as it lies on the disk, for who examines it: opened to be read, at one moment, and
/// row by row, so that a damaged row is named and the rows behind it are seen. Not thread-safe.
class Examiner {
 public:
  /// What cannot be read of a row, and which.
  using Damaged = std::function<void(const std::string& where, const std::string& what)>;

  /// In: `in_use` = a process may be writing to it. Errors: storage, with what to do; unsupported
  /// if its schema is another version's.
  [[nodiscard]] static Result<std::unique_ptr<Examiner>> open(const std::string& path, bool in_use);

  /// SQLite's own examination of pages and indexes; empty = sound. Cost: reads the whole file.
  [[nodiscard]] Result<std::vector<std::string>> integrity();
  /// Every name in any table of certificate servers.
  [[nodiscard]] Result<std::vector<std::string>> servers();
  [[nodiscard]] Result<std::optional<ServerRow>> server(const std::string& name);
  [[nodiscard]] Result<std::vector<CaGeneration>> generations(const std::string& server,
                                                              const Damaged& damaged);
  /// In the order of the file.
  [[nodiscard]] Result<void> each_certificate(const std::string& server,
                                              const std::function<void(IssuedCertificate&&)>& take,
                                              const Damaged& damaged);
  [[nodiscard]] Result<bool> has_certificate(const std::string& server, const x509::Serial& serial);
  /// Serials that two certificates have, whatever the index says.
  [[nodiscard]] Result<std::vector<std::string>> repeated_serials(const std::string& server);
  [[nodiscard]] Result<void> each_request(const std::string& server,
                                          const std::function<void(const EnrollmentRequest&)>& take,
                                          const Damaged& damaged);
  [[nodiscard]] Result<std::vector<CrlRow>> crls(const std::string& server, const Damaged& damaged);
  [[nodiscard]] Result<void> each_outbox(const std::string& server,
                                         const std::function<void(const OutboxRow&)>& take,
                                         const Damaged& damaged);
  [[nodiscard]] Result<std::optional<AuditHead>> audit_head();
  [[nodiscard]] Result<std::vector<TrustpointRow>> trustpoints(const Damaged& damaged);
  [[nodiscard]] Result<std::vector<KeyPairRow>> key_pairs(const Damaged& damaged);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  class Cursor;
  Examiner(std::string path, std::unique_ptr<sqlite3, Close> database)
      : path_(std::move(path)), database_(std::move(database)) {}
  /// Every row of a query of one server: `take` reads the cursor.
  [[nodiscard]] Result<void> each(const char* sql, const std::string& server,
                                  const std::function<void(Cursor&)>& take);
  [[nodiscard]] Error error(const std::string& what) const;

  std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace umbra::store
