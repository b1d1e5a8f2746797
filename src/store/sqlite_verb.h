#pragma once

namespace soci {
class session;
}
// As SOCI includes SQLite's header.
namespace sqlite_api {
struct sqlite3;
struct sqlite3_stmt;
}  // namespace sqlite_api

namespace umbra::store {

/// SQLite's own of a session.
[[nodiscard]] sqlite_api::sqlite3* native(soci::session& sql);

/// A statement without parameters or rows that is on every request's way, prepared once. Throws
/// what SOCI throws.
class Verb {
 public:
  Verb(soci::session& sql, const char* statement);
  ~Verb();
  Verb(const Verb&) = delete;
  Verb& operator=(const Verb&) = delete;

  void operator()() const;

 private:
  sqlite_api::sqlite3* database_;
  sqlite_api::sqlite3_stmt* statement_ = nullptr;
};

}  // namespace umbra::store
