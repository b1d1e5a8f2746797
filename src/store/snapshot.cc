#include "store/snapshot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace umbra::store {
namespace {

struct Close {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
using Database = std::unique_ptr<sqlite3, Close>;

Result<Database> open(const std::string& path, int flags) {
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  Database database(raw);
  if (opened != SQLITE_OK)
    return fail(Errc::storage, fmt::format("{}: {}", path, sqlite3_errmsg(raw)));
  sqlite3_busy_timeout(raw, 10000);
  return database;
}

Result<void> copy(const std::string& path, const std::string& to) {
  UMBRA_TRY(const Database from, open(path, SQLITE_OPEN_READONLY));
  UMBRA_TRY(const Database into, open(to, SQLITE_OPEN_READWRITE));
  // Whoever dies here begins again: nobody reads a half copy.
  sqlite3_exec(into.get(), "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", nullptr, nullptr,
               nullptr);
  sqlite3_backup* const backup = sqlite3_backup_init(into.get(), "main", from.get(), "main");
  // All in one step is one moment: a writer goes on in the log meanwhile, and restarts nothing.
  if (backup != nullptr) sqlite3_backup_step(backup, -1);
  const int done = backup == nullptr ? sqlite3_errcode(into.get()) : sqlite3_backup_finish(backup);
  if (done != SQLITE_OK)
    return fail(Errc::storage, fmt::format("copying {} to {}: {}", path, to, sqlite3_errstr(done)));
  return {};
}

}  // namespace

Result<void> snapshot(const std::string& path, const std::string& to) {
  const int file = ::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0)
    return fail(Errc::storage, fmt::format("cannot make {}: {}", to, std::strerror(errno)));
  ::close(file);
  auto done = copy(path, to);
  if (!done) ::unlink(to.c_str());
  return done;
}

}  // namespace umbra::store
