#pragma once

#include <initializer_list>
#include <string_view>

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
  sqlite_api::sqlite3_stmt* statement_;
};

/// A query whose one row is a yes or a no, as often needed and prepared once. Throws what SOCI
/// throws.
class Probe {
 public:
  Probe(soci::session& sql, const char* query);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  /// In: what ?1, ?2 and so on stand for.
  [[nodiscard]] bool operator()(std::initializer_list<std::string_view> texts) const;

 private:
  sqlite_api::sqlite3* database_;
  sqlite_api::sqlite3_stmt* statement_;
};

}  // namespace umbra::store
