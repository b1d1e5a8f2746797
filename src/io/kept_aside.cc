#include "io/kept_aside.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <string>

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

/// Of a process that died before what is newer was in its place: it is kept already.
bool are_one(const fs::path& one, const fs::path& other) {
  struct stat a {};
  struct stat b {};
  return ::lstat(one.c_str(), &a) == 0 && ::lstat(other.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

}  // namespace

fs::path aside_of(const fs::path& path) { return path.string() + ".before-umbra"; }

bool occupied(const fs::path& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_type::not_found;
}

tl::unexpected<Error> cannot_look_at(const fs::path& path, const std::error_code& error) {
  return fail(Errc::storage, fmt::format("cannot look at {}: {}", path.string(), error.message()));
}

bool is_taken_aside(const fs::path& path) {
  return occupied(aside_of(path)) && !are_one(path, aside_of(path));
}

tl::unexpected<Error> both_there(const fs::path& path) {
  return fail(Errc::conflict,
              fmt::format("{} is not umbrad's, and would be kept as {}, which is there already; "
                          "move one of them away",
                          path.string(), aside_of(path).string()));
}

Result<void> keep_aside(const fs::path& path) {
  const std::string aside = aside_of(path).string();
  if (are_one(path, aside) || ::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, aside.c_str(), 0) == 0)
    return {};
  if (errno != EEXIST &&
      ::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, aside.c_str(), RENAME_NOREPLACE) == 0)
    return {};
  std::error_code error(errno, std::generic_category());
  // A file system that cannot promise it: NFS.
  if (error == std::errc::invalid_argument && !occupied(aside)) fs::rename(path, aside, error);
  if (!error) return {};
  return fail(Errc::storage,
              fmt::format("cannot keep {} as {}: {}", path.string(), aside, error.message()));
}

void put_back(const fs::path& path) {
  const fs::path aside = aside_of(path);
  std::error_code ignored;
  // A rename from one name of a file to another one of the same file does nothing (rename(2)).
  if (are_one(path, aside)) {
    fs::remove(aside, ignored);
    return;
  }
  const int put = ::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE);
  if (put != 0 && errno == EINVAL && !occupied(path)) fs::rename(aside, path, ignored);
}

}  // namespace umbra::io
