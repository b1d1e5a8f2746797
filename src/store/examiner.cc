#include "store/examiner.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>

#include "store/sqlite_schema.h"

namespace umbra::store {
namespace {

Time time(std::int64_t value) { return Time{Seconds{value}}; }

/// A path as a URI's: what means something there is written in hexadecimal.
std::string uri_of(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      uri += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      uri += c;
    }
  }
  return uri;
}

}  // namespace

void Examiner::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

/// One row at a time. What cannot be decoded is remembered until the row is through.
class Examiner::Cursor {
 public:
  Cursor(sqlite3* database, const char* sql) {
    sqlite3_stmt* raw = nullptr;
    prepared_ = sqlite3_prepare_v2(database, sql, -1, &raw, nullptr) == SQLITE_OK;
    statement_.reset(raw);
  }
  [[nodiscard]] bool prepared() const { return prepared_; }
  void bind(int place, const std::string& text) {
    if (place <= sqlite3_bind_parameter_count(statement_.get())) {
      sqlite3_bind_text(statement_.get(), place, text.data(), static_cast<int>(text.size()),
                        SQLITE_TRANSIENT);
    }
  }
  void bind(int place, std::int64_t value) { sqlite3_bind_int64(statement_.get(), place, value); }
  [[nodiscard]] int step() {
    damage_.clear();
    return sqlite3_step(statement_.get());
  }
  [[nodiscard]] std::int64_t integer(int column) {
    return sqlite3_column_int64(statement_.get(), column);
  }
  [[nodiscard]] std::uint64_t counter(int column) {
    return static_cast<std::uint64_t>(integer(column));
  }
  template <class Small>
  [[nodiscard]] Small small(int column) {
    const std::int64_t value = integer(column);
    if (value < 0 || value > std::numeric_limits<Small>::max()) {
      damage(column, "is out of range");
      return {};
    }
    return static_cast<Small>(value);
  }
  [[nodiscard]] bool flag(int column) { return integer(column) != 0; }
  [[nodiscard]] Time at(int column) { return time(integer(column)); }
  [[nodiscard]] std::string text(int column) {
    const auto* const found = sqlite3_column_text(statement_.get(), column);
    const int size = sqlite3_column_bytes(statement_.get(), column);
    return found == nullptr
               ? std::string()
               : std::string(reinterpret_cast<const char*>(found), static_cast<std::size_t>(size));
  }
  [[nodiscard]] Bytes octets(int column) {
    auto decoded = from_base64(text(column));
    if (decoded) return *std::move(decoded);
    damage(column, "is not base64");
    return {};
  }
  [[nodiscard]] Bytes hex(int column) {
    auto decoded = from_hex(text(column));
    if (decoded) return *std::move(decoded);
    damage(column, "is not hexadecimal");
    return {};
  }
  [[nodiscard]] x509::Serial serial(int column) {
    const auto parsed = x509::Serial::from_hex(text(column));
    if (parsed) return *parsed;
    damage(column, "is no serial number");
    return {};
  }
  [[nodiscard]] const std::string& damage() const { return damage_; }

 private:
  void damage(int column, const char* how) {
    if (!damage_.empty()) damage_ += "; ";
    damage_ += fmt::format("its {} {}", sqlite3_column_name(statement_.get(), column), how);
  }
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  bool prepared_ = false;
  std::string damage_;
};

Error Examiner::error(const std::string& what) const {
  return {Errc::storage, fmt::format("{}: {}: {}", path_, what, sqlite3_errmsg(database_.get()))};
}

Result<std::unique_ptr<Examiner>> Examiner::open(const std::string& path, bool in_use) {
  std::error_code unreadable;
  if (!std::filesystem::is_regular_file(path, unreadable)) {
    return fail(Errc::not_found,
                fmt::format("{}: there is no such database; --data is the directory umbrad was "
                            "started with",
                            path));
  }
  // What nobody writes to, and has no log of changes beside it, is read without a trace; else
  // SQLite needs its -shm file, in which it finds its way through that log.
  const bool logged = std::filesystem::exists(path + "-wal", unreadable) &&
                      std::filesystem::file_size(path + "-wal", unreadable) != 0;
  const std::string uri = uri_of(path) + (in_use || logged ? "?mode=ro" : "?mode=ro&immutable=1");
  sqlite3* raw = nullptr;
  const int opened =
      sqlite3_open_v2(uri.c_str(), &raw, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr);
  std::unique_ptr<Examiner> examiner(new Examiner(path, std::unique_ptr<sqlite3, Close>(raw)));
  if (opened != SQLITE_OK) return tl::unexpected(examiner->error("cannot be opened"));
  sqlite3_busy_timeout(raw, 10000);
  std::int64_t version = 0;
  bool read = false;
  UMBRA_CHECK(examiner->each("PRAGMA temp_store=MEMORY", "", [](Cursor&) {}));
  UMBRA_CHECK(examiner->each("BEGIN", "", [](Cursor&) {}));
  if (const auto got = examiner->each("PRAGMA user_version", "",
                                      [&](Cursor& row) {
                                        version = row.integer(0);
                                        read = true;
                                      });
      !got || !read) {
    Error why = got ? examiner->error("cannot be read") : got.error();
    if (logged && !in_use) {
      why.detail +=
          "; a process that died left changes in " + path +
          "-wal, and reading them takes a directory that can be written to: copy it to one";
    }
    return tl::unexpected(std::move(why));
  }
  if (version != schema_version()) {
    return fail(Errc::unsupported,
                fmt::format("{} has schema {}, this version of Umbra {}: {}", path, version,
                            schema_version(),
                            version > schema_version()
                                ? "it was written by a newer one, which can check it"
                                : "start umbrad once, which brings it up to date, or check it with "
                                  "the version that wrote it"));
  }
  return examiner;
}

Result<void> Examiner::each(const char* sql, const std::string& server,
                            const std::function<void(Cursor&)>& take) {
  Cursor cursor(database_.get(), sql);
  if (!cursor.prepared()) return tl::unexpected(error("cannot be read"));
  cursor.bind(1, server);
  for (;;) {
    const int step = cursor.step();
    if (step == SQLITE_DONE) return {};
    if (step != SQLITE_ROW) return tl::unexpected(error("cannot be read to the end"));
    take(cursor);
  }
}

Result<std::vector<std::string>> Examiner::integrity() {
  std::vector<std::string> found;
  UMBRA_CHECK(each("PRAGMA integrity_check(20)", "", [&](Cursor& row) {
    if (std::string line = row.text(0); line != "ok") found.push_back(std::move(line));
  }));
  return found;
}

Result<std::vector<std::string>> Examiner::servers() {
  std::vector<std::string> names;
  UMBRA_CHECK(
      each("SELECT name FROM server UNION SELECT server FROM generation UNION SELECT server FROM "
           "certificate UNION SELECT server FROM request UNION SELECT server FROM crl UNION SELECT "
           "server FROM outbox ORDER BY 1",
           "", [&](Cursor& row) { names.push_back(row.text(0)); }));
  return names;
}

Result<std::optional<ServerRow>> Examiner::server(const std::string& name) {
  std::optional<ServerRow> found;
  UMBRA_CHECK(
      each("SELECT last_serial, serial_lease, next_request_id, crl_number, rollover_cancelled, "
           "last_generation, serial_start FROM server WHERE name=?1",
           name, [&](Cursor& row) {
             found = ServerRow{name,
                               row.counter(0),
                               row.counter(1),
                               row.counter(2),
                               row.counter(3),
                               row.flag(4),
                               row.small<std::uint32_t>(5),
                               row.counter(6)};
           }));
  return found;
}

Result<std::vector<CaGeneration>> Examiner::generations(const std::string& server,
                                                        const Damaged& damaged) {
  std::vector<CaGeneration> rows;
  UMBRA_CHECK(each(
      "SELECT number, status, certificate, sealed_key, created_at, exchange_certificate, "
      "sealed_exchange_key FROM generation WHERE server=?1 ORDER BY number",
      server, [&](Cursor& row) {
        CaGeneration one{server,
                         row.small<std::uint32_t>(0),
                         static_cast<GenerationStatus>(row.small<std::uint8_t>(1)),
                         row.octets(2),
                         row.octets(3),
                         row.at(4),
                         row.octets(5),
                         row.octets(6)};
        if (!row.damage().empty())
          return damaged(fmt::format("generation {} of {}", row.integer(0), server), row.damage());
        rows.push_back(std::move(one));
      }));
  return rows;
}

Result<void> Examiner::each_certificate(const std::string& server,
                                        const std::function<void(IssuedCertificate&&)>& take,
                                        const Damaged& damaged) {
  // By rowid: an index would be a walk to and fro where serials are drawn by chance.
  return each(
      "SELECT serial, generation, certificate, subject, not_before, not_after, transaction_id, "
      "request_digest, issued_at, revoked_at, reason, class FROM certificate NOT INDEXED WHERE "
      "server=?1",
      server, [&](Cursor& row) {
        IssuedCertificate one;
        one.server = server;
        one.serial = row.serial(0);
        one.generation = row.small<std::uint32_t>(1);
        one.certificate = row.octets(2);
        one.subject = row.text(3);
        one.not_before = row.at(4);
        one.not_after = row.at(5);
        one.transaction_id = row.text(6);
        one.request_digest = row.hex(7);
        one.issued_at = row.at(8);
        if (row.integer(9) != 0) one.revoked_at = row.at(9);
        one.reason = static_cast<x509::RevocationReason>(row.small<std::uint8_t>(10));
        one.granted_as = static_cast<RequestClass>(row.small<std::uint8_t>(11));
        if (!row.damage().empty())
          return damaged(fmt::format("certificate {} of {}", row.text(0), server), row.damage());
        take(std::move(one));
      });
}

Result<bool> Examiner::has_certificate(const std::string& server, const x509::Serial& serial) {
  constexpr std::size_t ca_serial_octets = 20;
  Cursor cursor(database_.get(), "SELECT 1 FROM certificate WHERE server=?1 AND serial=?2");
  if (!cursor.prepared()) return tl::unexpected(error("cannot be read"));
  cursor.bind(1, server);
  cursor.bind(2, to_hex(serial.big_endian().last(ca_serial_octets)));
  const int step = cursor.step();
  if (step != SQLITE_ROW && step != SQLITE_DONE)
    return tl::unexpected(error("a certificate cannot be looked up"));
  return step == SQLITE_ROW;
}

Result<std::vector<std::string>> Examiner::repeated_serials(const std::string& server) {
  std::vector<std::string> found;
  UMBRA_CHECK(
      each("SELECT serial FROM certificate NOT INDEXED WHERE server=?1 GROUP BY serial HAVING "
           "count(*)>1 LIMIT 20",
           server, [&](Cursor& row) { found.push_back(row.text(0)); }));
  return found;
}

Result<void> Examiner::each_request(const std::string& server,
                                    const std::function<void(const EnrollmentRequest&)>& take,
                                    const Damaged& damaged) {
  return each(
      "SELECT id, class, state, transaction_id, request, signer, generation, granted_serial, "
      "signed_by, certificate FROM request WHERE server=?1",
      server, [&](Cursor& row) {
        EnrollmentRequest one;
        one.server = server;
        one.id = row.counter(0);
        one.request_class = static_cast<RequestClass>(row.small<std::uint8_t>(1));
        one.state = static_cast<RequestState>(row.small<std::uint8_t>(2));
        one.transaction_id = row.text(3);
        one.request = row.octets(4);
        one.signer = row.octets(5);
        one.generation = row.small<std::uint32_t>(6);
        if (!row.text(7).empty()) one.granted_serial = row.serial(7);
        one.signed_by = row.small<std::uint32_t>(8);
        one.certificate = row.octets(9);
        if (!row.damage().empty())
          return damaged(fmt::format("request {} of {}", row.integer(0), server), row.damage());
        take(one);
      });
}

Result<std::vector<CrlRow>> Examiner::crls(const std::string& server, const Damaged& damaged) {
  std::vector<CrlRow> rows;
  std::vector<Bytes> ends;
  UMBRA_CHECK(each(
      "SELECT generation, number, this_update, next_update, crl FROM crl WHERE server=?1", server,
      [&](Cursor& row) {
        CrlRow one{server, row.small<std::uint32_t>(0), row.counter(1), row.at(2), row.at(3), {}};
        Bytes end = row.octets(4);
        if (!row.damage().empty())
          return damaged(fmt::format("CRL of generation {} of {}", row.integer(0), server),
                         row.damage());
        rows.push_back(std::move(one));
        ends.push_back(std::move(end));
      }));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CrlRow& crl = rows[i];
    const auto part = [&](Cursor& row) {
      if (row.counter(0) != crl.generation || row.counter(1) != crl.number) return;
      const Bytes octets = row.octets(2);
      if (!row.damage().empty())
        damaged(fmt::format("CRL of generation {} of {}", crl.generation, server), row.damage());
      crl.crl.insert(crl.crl.end(), octets.begin(), octets.end());
    };
    UMBRA_CHECK(each(
        "SELECT generation, number, crl FROM crl_part WHERE server=?1 ORDER BY generation, number, "
        "part",
        server, part));
    crl.crl.insert(crl.crl.end(), ends[i].begin(), ends[i].end());
  }
  return rows;
}

Result<void> Examiner::each_outbox(const std::string& server,
                                   const std::function<void(const OutboxRow&)>& take,
                                   const Damaged& damaged) {
  return each(
      "SELECT slot, sequence, serial FROM outbox WHERE server=?1", server, [&](Cursor& row) {
        const OutboxRow one{server, row.small<std::uint8_t>(0), row.counter(1), row.serial(2)};
        if (!row.damage().empty())
          return damaged(fmt::format("file {} in the outbox of {}", row.integer(1), server),
                         row.damage());
        take(one);
      });
}

Result<std::optional<AuditHead>> Examiner::audit_head() {
  std::optional<AuditHead> found;
  UMBRA_CHECK(each("SELECT number, hash FROM audit_head WHERE id=1", "", [&](Cursor& row) {
    found = AuditHead{row.counter(0), row.text(1)};
  }));
  return found;
}

Result<std::vector<TrustpointRow>> Examiner::trustpoints(const Damaged& damaged) {
  std::vector<TrustpointRow> rows;
  UMBRA_CHECK(each(
      "SELECT name, ca_certificate, ra_certificates, identity, sealed_key, "
      "rollover_ca_certificate, rollover_ra_certificates, rollover_identity, sealed_shadow_key, "
      "request, request_signer, previous_ca_certificate FROM trustpoint ORDER BY name",
      "", [&](Cursor& row) {
        TrustpointRow one;
        one.name = row.text(0);
        Bytes* const columns[] = {
            &one.ca_certificate,    &one.ra_certificates,         &one.identity,
            &one.sealed_key,        &one.rollover_ca_certificate, &one.rollover_ra_certificates,
            &one.rollover_identity, &one.sealed_shadow_key,       &one.request,
            &one.request_signer,    &one.previous_ca_certificate};
        int column = 1;
        for (Bytes* const octets : columns) *octets = row.octets(column++);
        if (!row.damage().empty()) return damaged("trustpoint " + one.name, row.damage());
        rows.push_back(std::move(one));
      }));
  return rows;
}

Result<std::vector<KeyPairRow>> Examiner::key_pairs(const Damaged& damaged) {
  std::vector<KeyPairRow> rows;
  UMBRA_CHECK(each("SELECT label, sealed_key, exportable, created_at FROM key_pair ORDER BY label",
                   "", [&](Cursor& row) {
                     KeyPairRow one{row.text(0), row.octets(1), row.flag(2), row.at(3)};
                     if (!row.damage().empty())
                       return damaged("key pair " + one.label, row.damage());
                     rows.push_back(std::move(one));
                   }));
  return rows;
}

}  // namespace umbra::store
