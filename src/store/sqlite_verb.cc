#include "store/sqlite_verb.h"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

namespace umbra::store {

sqlite_api::sqlite3* native(soci::session& sql) {
  return static_cast<soci::sqlite3_session_backend*>(sql.get_backend())->conn_;
}

namespace {

sqlite_api::sqlite3_stmt* prepared(sqlite_api::sqlite3* database, const char* statement) {
  sqlite_api::sqlite3_stmt* made = nullptr;
  if (sqlite_api::sqlite3_prepare_v2(database, statement, -1, &made, nullptr) != SQLITE_OK)
    throw soci::soci_error(sqlite_api::sqlite3_errmsg(database));
  return made;
}

}  // namespace

Verb::Verb(soci::session& sql, const char* statement)
    : database_(native(sql)), statement_(prepared(database_, statement)) {}

Verb::~Verb() { sqlite_api::sqlite3_finalize(statement_); }

void Verb::operator()() const {
  sqlite_api::sqlite3_step(statement_);
  // Of a prepared statement, what went wrong is told by its reset.
  if (sqlite_api::sqlite3_reset(statement_) != SQLITE_OK)
    throw soci::soci_error(sqlite_api::sqlite3_errmsg(database_));
}

Probe::Probe(soci::session& sql, const char* query)
    : database_(native(sql)), statement_(prepared(database_, query)) {}

Probe::~Probe() { sqlite_api::sqlite3_finalize(statement_); }

bool Probe::operator()(std::initializer_list<std::string_view> texts) const {
  int place = 0;
  for (const std::string_view text : texts) {
    // The texts outlive the query: nothing is copied.
    if (sqlite_api::sqlite3_bind_text(statement_, ++place, text.data(),
                                      static_cast<int>(text.size()), SQLITE_STATIC) != SQLITE_OK)
      throw soci::soci_error(sqlite_api::sqlite3_errmsg(database_));
  }
  const bool yes = sqlite_api::sqlite3_step(statement_) == SQLITE_ROW &&
                   sqlite_api::sqlite3_column_int(statement_, 0) != 0;
  if (sqlite_api::sqlite3_reset(statement_) != SQLITE_OK)
    throw soci::soci_error(sqlite_api::sqlite3_errmsg(database_));
  return yes;
}

}  // namespace umbra::store
