#include "store/sqlite_service_rows.h"

#include <soci/soci.h>

#include "store/sqlite_rows.h"
#include "store/sqlite_values.h"

namespace umbra::store {
namespace {

using soci::into;
using soci::use;

/// Every table that has rows of a server, and the column that names it.
constexpr std::pair<const char*, const char*> tables_of_a_server[] = {
    {"generation", "server"}, {"certificate", "server"},       {"request", "server"},
    {"crl", "server"},        {"one_time_password", "server"}, {"next_ca_fetch", "server"},
    {"outbox", "server"},     {"published", "server"},         {"crl_part", "server"},
    {"server", "name"}};

}  // namespace

void apply_service(soci::session& sql, const Change& change) {
  if (const auto* password = std::get_if<PutOneTimePassword>(&change)) {
    const std::string digest = to_hex(password->row.digest);
    const Integer expires = seconds(password->row.expires_at);
    sql << "INSERT OR REPLACE INTO one_time_password VALUES (:a,:b,:c)", use(password->row.server),
        use(digest), use(expires);
  } else if (const auto* spend = std::get_if<SpendOneTimePassword>(&change)) {
    const std::string digest = to_hex(spend->digest);
    soci::statement statement =
        (sql.prepare << "DELETE FROM one_time_password WHERE server=:a AND digest=:b",
         use(spend->server), use(digest));
    statement.execute(true);
    if (statement.get_affected_rows() != 1)
      throw Contradiction("the one-time password has been used already");
  } else if (const auto* fetch = std::get_if<PutNextCaFetch>(&change)) {
    const Integer generation = fetch->row.generation;
    const Integer at = seconds(fetch->row.first_at);
    sql << "INSERT OR IGNORE INTO next_ca_fetch VALUES (:a,:b,:c,:d)", use(fetch->row.server),
        use(generation), use(fetch->row.address), use(at);
  } else if (const auto* revoke = std::get_if<RevokeGeneration>(&change)) {
    const Integer generation = revoke->number;
    const Integer at = seconds(revoke->at);
    const auto reason = static_cast<Integer>(revoke->reason);
    sql << "UPDATE certificate SET revoked_at=:a, reason=:b WHERE server=:c AND generation=:d AND "
           "revoked_at=0",
        use(at), use(reason), use(revoke->server), use(generation);
  } else if (const auto* put = std::get_if<PutKeyPair>(&change)) {
    const std::string key = to_base64(put->row.sealed_key);
    const Integer exportable = put->row.exportable ? 1 : 0;
    const Integer created = seconds(put->row.created_at);
    sql << "INSERT OR REPLACE INTO key_pair VALUES (:a,:b,:c,:d)", use(put->row.label), use(key),
        use(exportable), use(created);
  } else if (const auto* drop = std::get_if<DropKeyPair>(&change)) {
    sql << "DELETE FROM key_pair WHERE label=:a", use(drop->label);
  } else if (const auto* audit = std::get_if<PutAuditHead>(&change)) {
    const auto number = static_cast<Integer>(audit->row.number);
    sql << "INSERT OR REPLACE INTO audit_head VALUES (1,:a,:b)", use(number), use(audit->row.hash);
  } else {
    const std::string& name = std::get<DropServer>(change).server;
    for (const auto& [table, column] : tables_of_a_server)
      sql << "DELETE FROM " << table << " WHERE " << column << "=:a", use(name);
  }
}

std::optional<AuditHead> RowReader::audit_head() {
  Integer number = 0;
  std::string hash;
  sql_ << "SELECT number, hash FROM audit_head WHERE id=1", into(number), into(hash);
  if (!sql_.got_data()) return std::nullopt;
  return AuditHead{static_cast<std::uint64_t>(number), hash};
}

std::vector<std::string> RowReader::servers() {
  std::vector<std::string> names;
  std::string name;
  // A server's row comes with its first serial number; what has none was never enabled.
  soci::statement statement = (sql_.prepare << "SELECT name FROM server ORDER BY name", into(name));
  statement.execute();
  while (statement.fetch()) names.push_back(name);
  return names;
}

std::optional<OneTimePassword> RowReader::one_time_password(const std::string& server) {
  std::string digest;
  Integer expires = 0;
  sql_ << "SELECT digest, expires_at FROM one_time_password WHERE server=:a", use(server),
      into(digest), into(expires);
  if (!sql_.got_data()) return std::nullopt;
  return OneTimePassword{server, from_hex(digest).value_or(Bytes{}), time(expires)};
}

std::vector<NextCaFetch> RowReader::next_ca_fetches(const std::string& server,
                                                    std::uint32_t generation) {
  std::vector<NextCaFetch> rows;
  const Integer of = generation;
  std::string address;
  Integer first = 0;
  soci::statement statement =
      (sql_.prepare << "SELECT address, first_at FROM next_ca_fetch WHERE server=:a AND "
                       "generation=:b ORDER BY first_at, address",
       use(server), use(of), into(address), into(first));
  statement.execute();
  while (statement.fetch()) rows.push_back({server, generation, address, time(first)});
  return rows;
}

std::vector<Holder> RowReader::holders(const std::string& server, std::uint32_t active,
                                       std::uint32_t rollover, Time now) {
  std::vector<Holder> rows;
  const Integer old = active, next = rollover, after = seconds(now);
  std::string subject, shadow;
  Integer not_after = 0;
  soci::statement statement =
      (sql_.prepare
           << "SELECT subject, max(not_after), max(CASE WHEN generation=:a THEN serial ELSE '' END)"
              " FROM certificate WHERE server=:b AND generation IN (:c, :d) AND revoked_at=0 AND "
              "not_after>:e AND transaction_id<>'' GROUP BY subject ORDER BY 2, subject",
       use(next), use(server), use(old), use(next), use(after), into(subject), into(not_after),
       into(shadow));
  statement.execute();
  while (statement.fetch()) {
    Holder holder{subject, time(not_after), std::nullopt};
    if (!shadow.empty()) {
      const auto serial = x509::Serial::from_hex(shadow);
      if (!serial) throw soci::soci_error("a column is no serial number: the database is damaged");
      holder.shadow = *serial;
    }
    rows.push_back(std::move(holder));
  }
  return rows;
}

std::vector<KeyPairRow> RowReader::key_pairs() {
  std::vector<KeyPairRow> rows;
  std::string label, key;
  Integer exportable = 0, created = 0;
  soci::statement statement = (sql_.prepare << "SELECT label, sealed_key, exportable, created_at "
                                               "FROM key_pair ORDER BY label",
                               into(label), into(key), into(exportable), into(created));
  statement.execute();
  while (statement.fetch()) {
    auto sealed = from_base64(key);
    if (!sealed) throw soci::soci_error("a column is not base64: the database is damaged");
    rows.push_back({label, *std::move(sealed), exportable != 0, time(created)});
  }
  return rows;
}

}  // namespace umbra::store
