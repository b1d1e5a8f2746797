#include "io/places.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "io/files.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

/// What others may have open at the same time.
constexpr std::size_t files_of_others = 512;

/// Keeps the place for this process, or says who has it. Out: -1 where there are no locks.
Result<int> lock(const fs::path& path, const std::string& of) {
  constexpr int tries_max = 10;
  for (int tries = 0; tries < tries_max; ++tries) {
    const int file =
        ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (file < 0) {
      const std::error_code error(errno, std::generic_category());
      // Of a user this process was before, or where nothing can be written, which who writes will
      // be told; and who finds his files as they are to be has nothing to write.
      for (const auto one : {std::errc::permission_denied, std::errc::read_only_file_system,
                             std::errc::no_space_on_device}) {
        if (error == one) return -1;
      }
      if (errno == EDQUOT || error == std::errc::filename_too_long) return -1;
      return fail(Errc::storage, fmt::format("cannot open {}: {}", path.string(), error.message()));
    }
    char text[32] = {};
    const ssize_t got = ::pread(file, text, sizeof text - 1, 0);
    const std::string holder(text, got > 0 ? static_cast<std::size_t>(got) : 0);
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      const bool taken = errno == EWOULDBLOCK;
      ::close(file);
      if (!taken) return -1;
      return fail(Errc::conflict,
                  fmt::format("another umbrad (process {}) writes {}; give each a place of its own",
                              holder.substr(0, holder.find('\n')), of));
    }
    struct stat mine {
    }, there{};
    // Whoever had it took it away with its files.
    if (::fstat(file, &mine) != 0 || ::lstat(path.c_str(), &there) != 0 ||
        mine.st_ino != there.st_ino || mine.st_dev != there.st_dev) {
      ::close(file);
      continue;
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    // For the one who finds it locked; the lock holds without.
    static_cast<void>(::ftruncate(file, 0) == 0 && ::pwrite(file, pid.data(), pid.size(), 0) > 0);
    return file;
  }
  return fail(Errc::conflict, fmt::format("{} comes and goes", path.string()));
}

}  // namespace

Places::~Places() {
  for (auto& [identity, place] : places_) {
    if (place->lock >= 0) ::close(place->lock);
  }
}

fs::path Places::lock_of_directory(const fs::path& path) { return path / "..umbra-lock"; }

fs::path Places::lock_of_file(const fs::path& path) {
  return path.parent_path() / fmt::format(".{}.umbra-lock", path.filename().string());
}

/// However many names it has: device and number of the directory, and the name in it of what is no
/// directory. Nothing while it is not there.
std::optional<Places::Identity> Places::identity_of(const fs::path& directory, std::string name) {
  struct stat found {};
  if (::stat(directory.c_str(), &found) != 0) return std::nullopt;
  return Identity{found.st_dev, found.st_ino, std::move(name)};
}

Result<void> Places::is_free_for(const Owner& owner, const Place& place, const Identity& identity) {
  std::optional<Owner> has;
  {
    const std::lock_guard lock(mutex_);
    has = place.owner;
  }
  if (!has || has->trustpoint == owner.trustpoint) return {};
  const fs::path directory = has->path;
  const std::string& name = identity.name;
  if (identity_of(name.empty() ? directory : directory.parent_path(), name) != identity) return {};
  return fail(
      Errc::conflict,
      fmt::format("{} is {}, which another trustpoint ({}) writes; give each a place of its "
                  "own",
                  owner.path, has->path, has->trustpoint));
}

void Places::release(Place& place) {
  if (place.lock < 0) return;
  ::close(std::exchange(place.lock, -1));
  --locks_;
}

/// Takes the lock, or sees that the one it has is still the directory's.
Result<void> Places::keep_lock(Place& place, const fs::path& file, const std::string& of) {
  struct stat mine {
  }, there{};
  if (place.lock >= 0 && ::fstat(place.lock, &mine) == 0 && ::lstat(file.c_str(), &there) == 0 &&
      mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
    return {};
  release(place);
  const std::size_t wanted = files_of_others + locks_ + 1;
  const std::size_t allowed = allow_open_files(wanted);
  if (allowed < wanted) {
    if (!without_lock_said_.exchange(true)) {
      log_.event({Severity::warning, "STORAGE",
                  fmt::format("only {} files may be open: {}, and perhaps others, are written "
                              "without {}, and another umbrad is not kept out; allow {} "
                              "(LimitNOFILE, ulimit -n)",
                              allowed, of, file.filename().string(), wanted),
                  "UMBRA"});
    }
    return {};
  }
  UMBRA_TRY(place.lock, lock(file, of));
  if (place.lock >= 0) ++locks_;
  return {};
}

/// The first who writes to a place has it until he leaves it.
Result<Places::Held> Places::claim(const Owner& owner, const Identity& identity) {
  leave_but(owner, &identity);  // what his path led to before
  std::shared_ptr<Place> place;
  {
    const std::lock_guard lock(mutex_);
    auto& found = places_[identity];
    if (!found) found = std::make_shared<Place>();
    place = found;
  }
  // Who cannot have it does not wait for the one who has it.
  UMBRA_CHECK(is_free_for(owner, *place, identity));
  Held held(place);
  UMBRA_CHECK(is_free_for(owner, *place, identity));
  const bool directory = identity.name.empty();
  UMBRA_CHECK(keep_lock(
      *place, directory ? lock_of_directory(owner.path) : lock_of_file(owner.path), owner.path));
  const std::lock_guard lock(mutex_);
  place->owner = owner;
  return held;
}

void Places::leave_but(const Owner& owner, const Identity* kept) {
  std::vector<std::shared_ptr<Place>> own;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [identity, place] : places_) {
      if (place->owner == owner && !(kept != nullptr && identity == *kept)) own.push_back(place);
    }
  }
  for (auto& place : own) {
    const std::lock_guard writing(place->writing);
    const bool still = [&] {
      const std::lock_guard lock(mutex_);
      if (place->owner != owner) return false;
      place->owner.reset();
      return true;
    }();
    if (still) release(*place);
  }
  own.clear();
  const std::lock_guard lock(mutex_);
  // What somebody is about to claim stays: there is one mutex for each place.
  std::erase_if(places_, [](const auto& entry) {
    return !entry.second->owner && entry.second.use_count() == 1;
  });
}

Result<Places::Held> Places::claim_directory(const Owner& owner) {
  const auto identity = identity_of(owner.path, "");
  if (!identity) return fail(Errc::storage, owner.path + " is gone");
  return claim(owner, *identity);
}

Result<Places::Held> Places::claim_file(const Owner& owner) {
  const fs::path file = owner.path;
  const auto identity = identity_of(file.parent_path(), file.filename().string());
  if (!identity) return fail(Errc::storage, file.parent_path().string() + " is gone");
  return claim(owner, *identity);
}

}  // namespace umbra::io
