#include "store/sqlite_verb.h"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

namespace umbra::store {

sqlite_api::sqlite3* native(soci::session& sql) {
  return static_cast<soci::sqlite3_session_backend*>(sql.get_backend())->conn_;
}

Verb::Verb(soci::session& sql, const char* statement) : database_(native(sql)) {
  if (sqlite_api::sqlite3_prepare_v2(database_, statement, -1, &statement_, nullptr) != SQLITE_OK)
    throw soci::soci_error(sqlite_api::sqlite3_errmsg(database_));
}

Verb::~Verb() { sqlite_api::sqlite3_finalize(statement_); }

void Verb::operator()() const {
  sqlite_api::sqlite3_step(statement_);
  // Of a prepared statement, what went wrong is told by its reset.
  if (sqlite_api::sqlite3_reset(statement_) != SQLITE_OK)
    throw soci::soci_error(sqlite_api::sqlite3_errmsg(database_));
}

}  // namespace umbra::store
