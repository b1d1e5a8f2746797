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

struct Lock {
  int file = -1;             ///< none, where there is none to be had
  std::string why_not = "";  ///< empty where that is as it is: a file system without locks
};

/// Keeps the place for this process. Errors: conflict, and who has it; storage.
Result<Lock> lock(const fs::path& path, const std::string& of) {
  constexpr int tries_max = 10;
  for (int tries = 0; tries < tries_max; ++tries) {
    const int file =
        ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (file < 0) {
      const std::error_code error(errno, std::generic_category());
      // Who has to write will be told, and who finds his files as they are to be has no need to.
      for (const auto one : {std::errc::read_only_file_system, std::errc::no_space_on_device,
                             std::errc::filename_too_long}) {
        if (error == one) return Lock{};
      }
      if (errno == EDQUOT) return Lock{};
      if (error == std::errc::permission_denied) {
        std::error_code ignored;
        if (!fs::exists(fs::symlink_status(path, ignored))) return Lock{};
        return Lock{-1, fmt::format("{} is another user's, and cannot be opened: take it away, or "
                                    "run all umbrad that write there as one user",
                                    path.string())};
      }
      return fail(Errc::storage, fmt::format("cannot open {}: {}", path.string(), error.message()));
    }
    char text[32] = {};
    const ssize_t got = ::pread(file, text, sizeof text - 1, 0);
    const std::string holder(text, got > 0 ? static_cast<std::size_t>(got) : 0);
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      const bool taken = errno == EWOULDBLOCK;
      ::close(file);
      if (!taken) return Lock{};
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
    return Lock{file};
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
    if (!few_files_said_.exchange(true)) {
      say_without_lock(of, fmt::format("only {} files may be open; allow {} (LimitNOFILE, ulimit "
                                       "-n)",
                                       allowed, wanted));
    }
    return {};
  }
  UMBRA_TRY(const Lock got, lock(file, of));
  if (!got.why_not.empty() && !place.without_lock_said) say_without_lock(of, got.why_not);
  place.without_lock_said = !got.why_not.empty();
  place.lock = got.file;
  if (place.lock >= 0) ++locks_;
  return {};
}

void Places::say_without_lock(const std::string& of, const std::string& why) {
  log_.event({Severity::warning, "STORAGE",
              fmt::format("{}, and perhaps others, are written without a lock, and another umbrad "
                          "is not kept out: {}",
                          of, why),
              "UMBRA"});
}

void Places::give_up_lock(Place& place, const fs::path& file) {
  struct stat mine {
  }, there{};
  if (place.lock >= 0 && ::fstat(place.lock, &mine) == 0 && ::lstat(file.c_str(), &there) == 0 &&
      mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
    ::unlink(file.c_str());
  release(place);
}

fs::path Places::lock_of(const Owner& owner, const Identity& identity) {
  return identity.name.empty() ? lock_of_directory(owner.path) : lock_of_file(owner.path);
}

void Places::set_owner(const Identity& identity, Place& place, std::optional<Owner> owner) {
  if (place.owner == owner) return;
  if (place.owner) {
    const auto had = of_owner_.find(*place.owner);
    had->second.erase(identity);
    if (had->second.empty()) of_owner_.erase(had);
  }
  if (owner) of_owner_[*owner].insert(identity);
  place.owner = std::move(owner);
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
  UMBRA_CHECK(keep_lock(*place, lock_of(owner, identity), owner.path));
  const std::lock_guard lock(mutex_);
  set_owner(identity, *place, owner);
  return held;
}

void Places::leave_but(const Owner& owner, const Identity* kept) {
  std::vector<std::pair<Identity, std::shared_ptr<Place>>> own;
  {
    const std::lock_guard lock(mutex_);
    const auto has = of_owner_.find(owner);
    if (has == of_owner_.end()) return;
    for (const Identity& identity : has->second) {
      if (!(kept != nullptr && identity == *kept)) own.emplace_back(identity, places_.at(identity));
    }
  }
  for (const auto& [identity, place] : own) {
    const std::lock_guard writing(place->writing);
    {
      const std::lock_guard lock(mutex_);
      if (place->owner != owner) continue;
      set_owner(identity, *place, std::nullopt);
    }
    give_up_lock(*place, lock_of(owner, identity));
  }
  const std::lock_guard lock(mutex_);
  for (auto& [identity, place] : own) {
    place.reset();
    // What somebody is about to claim stays: there is one mutex for each place.
    const auto at = places_.find(identity);
    if (at != places_.end() && !at->second->owner && at->second.use_count() == 1) places_.erase(at);
  }
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
