#include "store/sqlite_crl_rows.h"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "store/sqlite_rows.h"
#include "store/sqlite_values.h"

/// CRLs, and what is on them: by the million, so that this file counts copies and goes around SOCI
/// where it makes a string of everything.
namespace umbra::store {
namespace {

using soci::into;
using soci::use;

/// What is in our tables we wrote: text that does not decode is a damaged database.
void append(Bytes& to, const std::string& base64) {
  const auto decoded = from_base64(base64);
  if (!decoded) throw soci::soci_error("a CRL is not base64: the database is damaged");
  to.insert(to.end(), decoded->begin(), decoded->end());
}

/// 40 hexadecimal digits.
x509::Serial serial_of(const unsigned char* text, int size) {
  constexpr int digits = 40;
  std::array<std::uint8_t, digits / 2> octets{};
  if (text == nullptr || size != digits)
    throw soci::soci_error("a column is no serial number: the database is damaged");
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const auto digit = [&](std::size_t at) -> unsigned {
      const unsigned char c = text[at];
      if (c >= '0' && c <= '9') return c - '0';
      if (c >= 'A' && c <= 'F') return c - 'A' + 10;
      if (c >= 'a' && c <= 'f') return c - 'a' + 10;
      throw soci::soci_error("a column is no serial number: the database is damaged");
    };
    octets[i] = static_cast<std::uint8_t>(digit(2 * i) << 4 | digit(2 * i + 1));
  }
  return *x509::Serial::from_big_endian(octets);
}

struct Finalize {
  void operator()(sqlite_api::sqlite3_stmt* statement) const {
    sqlite_api::sqlite3_finalize(statement);
  }
};

}  // namespace

void put_crl(soci::session& sql, const PutCrl& put) {
  const CrlRow& row = put.row;
  const Integer parts = put.parts;
  const Integer generation = row.generation;
  const auto number = static_cast<Integer>(row.number);
  const Integer this_update = seconds(row.this_update);
  const Integer next_update = seconds(row.next_update);
  const std::string crl = to_base64(row.crl);
  sql << "INSERT OR REPLACE INTO crl VALUES (:a,:b,:c,:d,:e,:f)", use(row.server), use(generation),
      use(number), use(this_update), use(next_update), use(crl);
  sql << "DELETE FROM crl_part WHERE server=:a AND generation=:b AND (number<>:c OR part>=:d)",
      use(row.server), use(generation), use(number), use(parts);
}

void put_crl_part(soci::session& sql, const PutCrlPart& part) {
  const Integer generation = part.generation;
  const auto number = static_cast<Integer>(part.number);
  const Integer place = part.part;
  if (part.part == 0) {
    sql << "DELETE FROM crl_part WHERE server=:a AND generation=:b AND number<>coalesce((SELECT "
           "number FROM crl WHERE server=:c AND generation=:d), -1)",
        use(part.server), use(generation), use(part.server), use(generation);
  }
  const std::string octets = to_base64(part.octets);
  sql << "INSERT INTO crl_part VALUES (:a,:b,:c,:d,:e)", use(part.server), use(generation),
      use(number), use(place), use(octets);
}

std::optional<CrlRow> RowReader::crl(const std::string& server, std::uint32_t generation) {
  const Integer of = generation;
  Integer number = 0, this_update = 0, next_update = 0;
  std::string text;
  // Row and parts are of one moment.
  soci::transaction moment(sql_);
  sql_ << "SELECT number, this_update, next_update, crl FROM crl WHERE server=:a AND generation=:b",
      use(server), use(of), into(number), into(this_update), into(next_update), into(text);
  if (!sql_.got_data()) return std::nullopt;
  CrlRow row{
      server, generation, static_cast<std::uint64_t>(number), time(this_update), time(next_update),
      {}};
  std::string part;
  {
    soci::statement parts = (sql_.prepare << "SELECT crl FROM crl_part WHERE server=:a AND "
                                             "generation=:b AND number=:c ORDER BY part",
                             use(server), use(of), use(number), into(part));
    parts.execute();
    while (parts.fetch()) append(row.crl, part);
  }
  append(row.crl, text);
  moment.commit();
  return row;
}

void RowReader::each_revoked(const std::string& server, std::uint32_t generation, Time unexpired_at,
                             const std::function<void(const x509::RevokedEntry&)>& take) {
  sqlite_api::sqlite3* const db =
      static_cast<soci::sqlite3_session_backend*>(sql_.get_backend())->conn_;
  sqlite_api::sqlite3_stmt* raw = nullptr;
  const int prepared = sqlite_api::sqlite3_prepare_v2(
      db,
      "SELECT serial, revoked_at, reason FROM certificate WHERE server=?1 AND generation=?2 AND "
      "revoked_at<>0 AND not_after>=?3 ORDER BY serial",
      -1, &raw, nullptr);
  const std::unique_ptr<sqlite_api::sqlite3_stmt, Finalize> statement(raw);
  if (prepared != SQLITE_OK) throw soci::soci_error(sqlite_api::sqlite3_errmsg(db));
  sqlite_api::sqlite3_bind_text(raw, 1, server.data(), static_cast<int>(server.size()), nullptr);
  sqlite_api::sqlite3_bind_int64(raw, 2, generation);
  sqlite_api::sqlite3_bind_int64(raw, 3, seconds(unexpired_at));
  int step = 0;
  while ((step = sqlite_api::sqlite3_step(raw)) == SQLITE_ROW) {
    take({serial_of(sqlite_api::sqlite3_column_text(raw, 0),
                    sqlite_api::sqlite3_column_bytes(raw, 0)),
          time(sqlite_api::sqlite3_column_int64(raw, 1)),
          static_cast<x509::RevocationReason>(sqlite_api::sqlite3_column_int(raw, 2))});
  }
  if (step != SQLITE_DONE) throw soci::soci_error(sqlite_api::sqlite3_errmsg(db));
}

}  // namespace umbra::store
