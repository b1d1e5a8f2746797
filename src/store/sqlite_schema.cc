#include "store/sqlite_schema.h"

#include <fmt/format.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <span>

namespace umbra::store {
namespace {

// Times are seconds since 1970, 0 for none. Serial numbers are 40 hexadecimal digits, so that text
// order is value order. Certificates, requests, CRLs and sealed keys are base64 of their DER.
constexpr const char* first_schema[] = {
    "CREATE TABLE server (name TEXT PRIMARY KEY, last_serial INTEGER NOT NULL, serial_lease "
    "INTEGER NOT NULL,"
    " next_request_id INTEGER NOT NULL, crl_number INTEGER NOT NULL, rollover_cancelled INTEGER "
    "NOT NULL)",
    "CREATE TABLE generation (server TEXT NOT NULL, number INTEGER NOT NULL, status INTEGER NOT "
    "NULL,"
    " certificate TEXT NOT NULL, sealed_key TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY "
    "KEY (server, number))",
    // At most one active and one rollover CA, whatever anybody's program does.
    "CREATE UNIQUE INDEX generation_one_active ON generation (server, status) WHERE status <> 3",
    "CREATE TABLE certificate (server TEXT NOT NULL, serial TEXT NOT NULL, generation INTEGER NOT "
    "NULL,"
    " certificate TEXT NOT NULL, subject TEXT NOT NULL, not_before INTEGER NOT NULL, not_after "
    "INTEGER NOT NULL,"
    " transaction_id TEXT NOT NULL, request_digest TEXT NOT NULL, issued_at INTEGER NOT NULL,"
    " revoked_at INTEGER NOT NULL, reason INTEGER NOT NULL, PRIMARY KEY (server, serial))",
    // Each index answers its query whole, order included: the planner, which has no statistics,
    // would else walk the primary key of all certificates to save itself a sort.
    "CREATE INDEX certificate_content ON certificate (server, transaction_id, request_digest, "
    "serial)",
    "CREATE INDEX certificate_revoked ON certificate (server, generation, serial, revoked_at, "
    "reason, not_after) WHERE revoked_at <> 0",
    "CREATE TABLE request (server TEXT NOT NULL, id INTEGER NOT NULL, class INTEGER NOT NULL, "
    "state INTEGER NOT NULL,"
    " transaction_id TEXT NOT NULL, request_digest TEXT NOT NULL, request TEXT NOT NULL, signer "
    "TEXT NOT NULL,"
    " generation INTEGER NOT NULL, renewal INTEGER NOT NULL, received_at INTEGER NOT NULL,"
    " granted_serial TEXT NOT NULL, refusal_text TEXT NOT NULL, PRIMARY KEY (server, id))",
    "CREATE INDEX request_transaction ON request (server, transaction_id, id)",
    "CREATE INDEX request_pending ON request (server) WHERE state = 2",
    "CREATE TABLE crl (server TEXT NOT NULL, generation INTEGER NOT NULL, number INTEGER NOT NULL,"
    " this_update INTEGER NOT NULL, next_update INTEGER NOT NULL, crl TEXT NOT NULL, PRIMARY KEY "
    "(server, generation))",
    "CREATE TABLE trustpoint (name TEXT PRIMARY KEY, ca_certificate TEXT NOT NULL, ra_certificates "
    "TEXT NOT NULL,"
    " capabilities TEXT NOT NULL, capabilities_known INTEGER NOT NULL, identity TEXT NOT NULL, "
    "sealed_key TEXT NOT NULL,"
    " rollover_ca_certificate TEXT NOT NULL, rollover_identity TEXT NOT NULL, sealed_shadow_key "
    "TEXT NOT NULL,"
    " phase INTEGER NOT NULL, request_kind INTEGER NOT NULL, transaction_id TEXT NOT NULL, request "
    "TEXT NOT NULL,"
    " request_signer TEXT NOT NULL, since INTEGER NOT NULL, tries INTEGER NOT NULL, failing "
    "INTEGER NOT NULL,"
    " last_status TEXT NOT NULL)",
};

constexpr const char* password_and_overlap[] = {
    // Generation numbers are never used again, not even a cancelled one's.
    "ALTER TABLE server ADD COLUMN last_generation INTEGER NOT NULL DEFAULT 0",
    "UPDATE server SET last_generation=(SELECT coalesce(max(number), 0) FROM generation WHERE "
    "generation.server=server.name)",
    "CREATE TABLE one_time_password (server TEXT PRIMARY KEY, digest TEXT NOT NULL, expires_at "
    "INTEGER NOT NULL)",
    "CREATE TABLE next_ca_fetch (server TEXT NOT NULL, generation INTEGER NOT NULL, address TEXT "
    "NOT NULL, first_at INTEGER NOT NULL, PRIMARY KEY (server, generation, address))",
};

constexpr const char* class_of_certificates[] = {
    // Certificates of older versions are devices', whatever they are called.
    "ALTER TABLE certificate ADD COLUMN class INTEGER NOT NULL DEFAULT 3",
};

constexpr const char* publication[] = {
    // In the order they are sent in, and nothing else to keep in order: a row is one insertion.
    "CREATE TABLE outbox (server TEXT NOT NULL, slot INTEGER NOT NULL, sequence INTEGER NOT NULL, "
    "serial TEXT NOT NULL, PRIMARY KEY (server, slot, sequence)) WITHOUT ROWID",
    "CREATE TABLE published (server TEXT NOT NULL, slot INTEGER NOT NULL, name TEXT NOT NULL, "
    "place TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (server, slot, name)) WITHOUT ROWID",
};

constexpr const char* serial_numbers[] = {
    "ALTER TABLE server ADD COLUMN serial_start INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE server ADD COLUMN random_serial TEXT NOT NULL DEFAULT ''",
    // The newest certificate of a transaction is the one that was inserted last: serial numbers
    // need not grow.
    "DROP INDEX certificate_content",
    "CREATE INDEX certificate_content ON certificate (server, transaction_id, request_digest)",
};

constexpr const char* crl_parts[] = {
    "CREATE TABLE crl_part (server TEXT NOT NULL, generation INTEGER NOT NULL, number INTEGER NOT "
    "NULL, part INTEGER NOT NULL, crl TEXT NOT NULL, PRIMARY KEY (server, generation, number, "
    "part))",
};

constexpr const char* exchange_certificates[] = {
    "ALTER TABLE generation ADD COLUMN exchange_certificate TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE generation ADD COLUMN sealed_exchange_key TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE trustpoint ADD COLUMN rollover_ra_certificates TEXT NOT NULL DEFAULT ''",
};

constexpr const char* revoked_content[] = {
    // Small: of what is revoked alone.
    "CREATE INDEX certificate_revoked_content ON certificate (server, request_digest) WHERE "
    "revoked_at <> 0",
};

constexpr const char* registration_authorities[] = {
    "ALTER TABLE request ADD COLUMN signed_by INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE request ADD COLUMN certificate TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE request ADD COLUMN fail_info INTEGER NOT NULL DEFAULT -1",
};

constexpr const char* announcements[] = {
    "ALTER TABLE trustpoint ADD COLUMN announced TEXT NOT NULL DEFAULT ''",
};

constexpr const char* previous_ca[] = {
    "ALTER TABLE trustpoint ADD COLUMN previous_ca_certificate TEXT NOT NULL DEFAULT ''",
};

constexpr const char* enrollment_urls[] = {
    "ALTER TABLE trustpoint ADD COLUMN enrollment_url TEXT NOT NULL DEFAULT ''",
};

constexpr const char* key_pairs[] = {
    "ALTER TABLE trustpoint ADD COLUMN exportable INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE key_pair (label TEXT PRIMARY KEY, sealed_key TEXT NOT NULL, exportable INTEGER "
    "NOT NULL, created_at INTEGER NOT NULL)",
};

constexpr const char* audit_logs[] = {
    "CREATE TABLE audit_head (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, hash "
    "TEXT NOT NULL)",
};

constexpr const char* arrivals[] = {
    "ALTER TABLE trustpoint ADD COLUMN held_since TEXT NOT NULL DEFAULT ''",
};

/// What turns a database of schema N into one of N + 1; the first makes one from nothing. Append
/// only: databases of every version ever released are out there.
constexpr std::span<const char* const> upgrades[] = {
    first_schema,
    password_and_overlap,
    class_of_certificates,
    publication,
    serial_numbers,
    crl_parts,
    exchange_certificates,
    revoked_content,
    registration_authorities,
    announcements,
    previous_ca,
    enrollment_urls,
    key_pairs,
    audit_logs,
    arrivals,
};
constexpr int newest = static_cast<int>(std::size(upgrades));

}  // namespace

int schema_version() { return newest; }

namespace {

/// Each of our connections is used by one thread at a time, and nobody asks SQLite how much memory
/// it has: an enrolment would take 132 locks for both. Before anything else of this process uses
/// SQLite; if something has, false, and there are locks.
bool configure_sqlite() {
  return sqlite_api::sqlite3_config(SQLITE_CONFIG_MULTITHREAD) == SQLITE_OK &&
         sqlite_api::sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK;
}

}  // namespace

void open_session(soci::session& sql, const std::string& path) {
  static const bool configured = configure_sqlite();
  static_cast<void>(configured);
  sql.open(soci::sqlite3, fmt::format("dbname=\"{}\" timeout=10", path));
  sql.set_log_stream(nullptr);
  for (const char* pragma :
       {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON",
        "PRAGMA busy_timeout=10000", "PRAGMA cache_size=-4096"}) {
    sql << pragma;
  }
}

Result<void> prepare_schema(soci::session& sql, const std::string& path) {
  int version = 0;
  sql << "PRAGMA user_version", soci::into(version);
  if (version == newest) return {};
  if (version > newest) {
    return fail(
        Errc::storage,
        fmt::format("{} was written by a newer version of Umbra (schema {}, this one knows {}); "
                    "start that version, or restore a backup made before the upgrade",
                    path, version, newest));
  }
  soci::transaction all(sql);
  for (auto step = static_cast<std::size_t>(version); step < std::size(upgrades); ++step) {
    for (const char* statement : upgrades[step]) sql << statement;
  }
  sql << fmt::format("PRAGMA user_version={}", newest);
  all.commit();
  return {};
}

}  // namespace umbra::store
