#include "io/outlet.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>

#include "io/files.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

constexpr fs::perms readable_by_all = fs::perms::owner_all | fs::perms::group_read |
                                      fs::perms::group_exec | fs::perms::others_read |
                                      fs::perms::others_exec;
constexpr unsigned public_mode = 0644;
constexpr std::size_t file_max = 1U << 20;

const std::string prefix = "..set-";
/// Leads to the generation that counts.
const std::string data_link = "..data";
/// A link on its way to its place.
const std::string link_prefix = "..link-";
/// Locked by the process that writes here, as long as it does.
const std::string lock_name = "..umbra-lock";
/// What others may have open at the same time.
constexpr std::size_t files_of_others = 512;
/// Directories within a generation, each there while it has something in it.
constexpr std::array directories = {"rollover", "previous"};
/// What a directory of `storage pem` has for readers.
constexpr std::array link_names = {"ca.pem",     "cert.pem", "chain.pem", "key.pem",
                                   "bundle.pem", "rollover", "previous"};

/// A file of one generation.
struct Part {
  std::string name;
  std::string content;
  bool secret = false;
};

/// The texts of one set, which the caller wipes.
std::vector<Part> parts_of(const client::PemSet& set, const std::string& below) {
  std::vector<Part> parts;
  if (!set.ca.empty()) parts.push_back({below + "ca.pem", set.ca});
  if (set.cert.empty()) return parts;
  parts.push_back({below + "cert.pem", set.cert});
  parts.push_back({below + "chain.pem", set.chain});
  parts.push_back({below + "key.pem", set.key, true});
  parts.push_back({below + "bundle.pem", set.chain + set.key, true});
  return parts;
}

/// 0 = it is none of ours.
std::uint64_t number_of(const std::string& generation) {
  constexpr std::uint64_t number_max = 1'000'000'000'000'000;  // more than anybody lives to see
  std::uint64_t number = 0;
  if (!generation.starts_with(prefix)) return 0;
  const char* const end = generation.data() + generation.size();
  const auto [stop, error] = std::from_chars(generation.data() + prefix.size(), end, number);
  return error == std::errc{} && stop == end && number <= number_max ? number : 0;
}

std::string wanted_target(const std::string& name) { return data_link + "/" + name; }

/// Whoever else links NAME links it to something else.
bool is_own_link(const fs::path& path, const std::string& name) {
  std::error_code error;
  return fs::read_symlink(path, error) == wanted_target(name);
}
bool is_own_data_link(const fs::path& path) {
  std::error_code error;
  return number_of(fs::read_symlink(path, error).string()) > 0;
}

/// Only what is known not to be there is gone.
tl::unexpected<Error> cannot_look_at(const fs::path& path, const std::error_code& error) {
  return fail(Errc::storage, fmt::format("cannot look at {}: {}", path.string(), error.message()));
}

/// Nothing, if there is no such link. Errors: storage.
Result<std::string> link_target(const fs::path& path) {
  std::error_code error;
  const auto type = fs::symlink_status(path, error).type();
  if (type == fs::file_type::none) return cannot_look_at(path, error);
  if (type != fs::file_type::symlink) return std::string();
  const fs::path target = fs::read_symlink(path, error);
  if (error) return cannot_look_at(path, error);
  return target.string();
}

/// PFX ::= SEQUENCE { version INTEGER {v3(3)}, ... } (RFC 7292 4), to the last octet.
bool looks_like_pkcs12(ByteView content) {
  constexpr std::uint8_t sequence = 0x30;
  constexpr std::uint8_t long_form = 0x80;
  constexpr std::array<std::uint8_t, 3> version = {0x02, 0x01, 0x03};
  if (content.size() < 2 || content[0] != sequence) return false;
  std::size_t length = content[1];
  std::size_t head = 2;
  if (length > long_form) {
    const std::size_t octets = length - long_form;
    if (octets > 4 || content.size() < head + octets) return false;
    length = 0;
    for (const auto octet : content.subspan(head, octets)) length = length << 8U | octet;
    head += octets;
  }
  const ByteView rest = content.subspan(head);
  return rest.size() == length && length > version.size() &&
         equal(rest.first(version.size()), version);
}

/// Whether what is there is somebody else's archive, or a link of his. Errors: conflict, if it is
/// no archive; storage.
Result<bool> is_anothers_archive(const fs::path& file, const client::IsOurs& ours) {
  std::error_code error;
  const auto itself = fs::symlink_status(file, error).type();
  if (itself == fs::file_type::not_found) return false;
  if (itself == fs::file_type::none) return cannot_look_at(file, error);
  const bool link = itself == fs::file_type::symlink;
  const auto type = fs::status(file, error).type();
  if (link && type == fs::file_type::not_found) return true;
  if (type == fs::file_type::none) return cannot_look_at(file, error);
  if (type == fs::file_type::regular) {
    const auto size = fs::file_size(file, error);
    if (!error && size == 0) return link;  // nothing is lost
    if (!error && size <= file_max) {
      UMBRA_TRY(auto content, read_file(file.string(), file_max));
      const bool archive = looks_like_pkcs12(content);
      const bool own = archive && !link && ours(content);
      wipe(content);
      if (archive) return !own;
    }
  }
  return fail(Errc::conflict, fmt::format("{} is there, and is no PKCS #12 archive: it is not "
                                          "replaced; move it away, or name another place",
                                          file.string()));
}

Result<void> take_away(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (!error) return {};
  return fail(Errc::storage, fmt::format("cannot remove {}: {}", path.string(), error.message()));
}

Result<void> point(const fs::path& link, const std::string& target) {
  const fs::path temporary = link.parent_path() / (link_prefix + random_digits());
  std::error_code error;
  fs::create_symlink(target, temporary, error);
  if (error)
    return fail(Errc::storage,
                fmt::format("cannot make {}: {}", temporary.string(), error.message()));
  fs::rename(temporary, link, error);
  if (!error) return {};
  std::error_code ignored;
  fs::remove(temporary, ignored);
  return fail(Errc::storage,
              fmt::format("cannot point {} at {}: {}", link.string(), target, error.message()));
}

/// Of a process that died with it on its way.
bool is_left_over(const fs::path& entry) {
  const std::string name = entry.filename().string();
  std::error_code error;
  return name.starts_with(link_prefix) &&
         are_random_digits(std::string_view(name).substr(link_prefix.size())) &&
         fs::is_symlink(entry, error);
}

fs::path aside_of(const fs::path& path) { return path.string() + ".before-umbra"; }

bool occupied(const fs::path& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_type::not_found;
}

/// Of a process that died before what is newer was in its place: it is kept already.
bool are_one(const fs::path& one, const fs::path& other) {
  struct stat a {};
  struct stat b {};
  return ::lstat(one.c_str(), &a) == 0 && ::lstat(other.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
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

/// Whether somebody else's file stands where the link NAME is to be. Errors: conflict, if it could
/// not be kept.
Result<bool> is_in_the_way(const fs::path& path, const std::string& name) {
  if (!occupied(path) || is_own_link(path, name)) return false;
  std::error_code error;
  if (fs::is_directory(fs::symlink_status(path, error))) {
    return fail(Errc::conflict,
                fmt::format("{} is a directory that umbrad has not made; move it away, or name "
                            "another place",
                            path.string()));
  }
  if (!is_taken_aside(path)) return true;
  return both_there(path);
}

/// Under its new name it replaces nothing, whatever has come there meanwhile; and where the file
/// system has hard links, it stays in its place until what is newer is there.
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

/// With those above it, where they are missing: a group that may read the key must get there.
Result<void> make_readable_directory(const fs::path& path) {
  std::error_code error;
  if (path.empty() || fs::is_directory(path, error)) return {};
  if (path.has_relative_path()) UMBRA_CHECK(make_readable_directory(path.parent_path()));
  UMBRA_CHECK(make_directory(path.string()));
  fs::permissions(path, readable_by_all, error);  // what is secret in it is so by its own mode
  if (error)
    return fail(Errc::storage,
                fmt::format("cannot set the mode of {}: {}", path.string(), error.message()));
  return {};
}

bool is_as_wanted(const fs::path& path, const Part& part, const FileAccess& access) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return false;
  if ((found.st_mode & 07777U) != access.mode || (access.owner && found.st_uid != *access.owner) ||
      (access.group && found.st_gid != *access.group))
    return false;
  auto content = read_file(path.string(), file_max);
  const bool same = content && equal(*content, as_bytes(part.content));
  if (content) wipe(*content);
  return same;
}

/// Of those that are there, with what a process that died half-way has left; and of anything else
/// that has such a name.
Result<std::uint64_t> last_generation(const fs::path& root) {
  std::uint64_t last = 0;
  std::error_code error;
  for (fs::directory_iterator at(root, error); !error && at != fs::directory_iterator();
       at.increment(error))
    last = std::max(last, number_of(at->path().filename().string()));
  if (error) return cannot_look_at(root, error);
  return last;
}

/// What is of no use any more: earlier generations, and what a process that died has left.
void clear_up(const fs::path& root, const std::string& current) {
  std::vector<fs::path> old;
  std::error_code error;
  for (fs::directory_iterator at(root, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    std::error_code ignored;
    if (is_left_over(at->path()) || (number_of(name) > 0 && name != current &&
                                     fs::is_directory(fs::symlink_status(at->path(), ignored))))
      old.push_back(at->path());
  }
  for (const fs::path& one : old) {
    std::error_code ignored;
    fs::remove_all(one, ignored);
  }
}

/// Whether something of the set is in a directory of the generation.
bool is_used(const std::vector<Part>& parts, const std::string& directory) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const Part& part) { return part.name.starts_with(directory + "/"); });
}

/// Writes a generation, and makes it the one that counts. After an error it is not.
Result<void> make_generation(const fs::path& root, const std::string& name,
                             const std::vector<Part>& parts,
                             const std::function<FileAccess(const Part&)>& access) {
  UMBRA_CHECK(make_readable_directory(root / name));
  for (const std::string directory : directories) {
    if (is_used(parts, directory)) UMBRA_CHECK(make_readable_directory(root / name / directory));
  }
  for (const Part& part : parts) {
    UMBRA_CHECK(
        write_file((root / name / part.name).string(), as_bytes(part.content), access(part)));
  }
  return point(root / data_link, name);
}

/// In: `kept` is told what was somebody else's.
Result<void> replace_set(const fs::path& root, const std::vector<Part>& parts,
                         const FileAccess& secret,
                         const std::function<void(const fs::path&)>& kept) {
  FileAccess open = secret;
  open.mode = public_mode;
  const auto access = [&](const Part& part) { return part.secret ? secret : open; };
  const auto used = [&](const std::string& directory) { return is_used(parts, directory); };
  std::vector<std::string> links;
  for (const Part& part : parts) {
    if (part.name.find('/') == std::string::npos) links.push_back(part.name);
  }
  for (const std::string directory : directories) {
    if (used(directory)) links.push_back(directory);
  }
  std::error_code error;
  // Before anything is changed: all of it can be, the shadow set to come too.
  for (const std::string name : link_names) UMBRA_CHECK(is_in_the_way(root / name, name));
  if (occupied(root / data_link) && !is_own_data_link(root / data_link)) {
    return fail(Errc::conflict, fmt::format("{} is not umbrad's; move it away, or name another "
                                            "place",
                                            (root / data_link).string()));
  }
  UMBRA_TRY(std::string current, link_target(root / data_link));
  const bool there =
      !current.empty() &&
      std::all_of(parts.begin(), parts.end(),
                  [&](const Part& part) {
                    return is_as_wanted(root / current / part.name, part, access(part));
                  }) &&
      std::all_of(directories.begin(), directories.end(), [&](const std::string& directory) {
        return fs::exists(root / current / directory, error) == used(directory);
      });
  if (!there) {
    // A name is never used again: who resolved ..data holds on to one generation, or loses it
    // whole.
    UMBRA_TRY(const auto last, last_generation(root));
    const std::string next = prefix + std::to_string(std::max(last, number_of(current)) + 1);
    // Or what could not be written lies there with its keys, and a disk that is full of it stays
    // full.
    clear_up(root, current);
    if (const auto made = make_generation(root, next, parts, access); !made) {
      fs::remove_all(root / next, error);
      return made;
    }
    current = next;
  }
  for (const std::string& name : links) {
    if (is_own_link(root / name, name)) continue;
    UMBRA_TRY(const bool in_the_way, is_in_the_way(root / name, name));
    if (in_the_way) {
      UMBRA_CHECK(keep_aside(root / name));
      kept(root / name);
    }
    UMBRA_CHECK(point(root / name, wanted_target(name)));
  }
  for (const std::string directory : directories) {
    if (!used(directory) && is_own_link(root / directory, directory))
      fs::remove(root / directory, error);
  }
  UMBRA_CHECK(sync_directory(root.string()));
  clear_up(root, current);
  return {};
}

/// Where a path leads to, however many names it has: device and number of the directory, and the
/// name in it of what is no directory. Nothing while it is not there.
std::optional<FileOutlet::Identity> identity_of(const fs::path& directory, std::string name) {
  struct stat found {};
  if (::stat(directory.c_str(), &found) != 0) return std::nullopt;
  return FileOutlet::Identity{found.st_dev, found.st_ino, std::move(name)};
}

/// Keeps the directory for this process, or says who has it. Out: -1 where there are no locks.
Result<int> lock_directory(const fs::path& root) {
  const fs::path path = root / lock_name;
  constexpr int tries_max = 10;
  for (int tries = 0; tries < tries_max; ++tries) {
    const int file =
        ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (file < 0) {
      const std::error_code error(errno, std::generic_category());
      // Of a user this process was before, or where nothing can be written: that will be said.
      if (error == std::errc::permission_denied || error == std::errc::read_only_file_system)
        return -1;
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
                  fmt::format("another umbrad (process {}) writes its files into {}; give each a "
                              "directory of its own",
                              holder.substr(0, holder.find('\n')), root.string()));
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

FileOutlet::~FileOutlet() {
  for (auto& [identity, place] : places_) {
    if (place->lock >= 0) ::close(place->lock);
  }
}

namespace {

/// What is found there, whoever wrote it; empty if nothing is.
Result<Bytes> read_published(const fs::path& path) {
  std::error_code error;
  const auto type = fs::status(path, error).type();
  if (type == fs::file_type::not_found) return Bytes();
  if (type == fs::file_type::none) return cannot_look_at(path, error);
  if (type != fs::file_type::regular)
    return fail(Errc::storage, path.string() + " is no file");  // of a pipe, there is no end
  return read_file(path.string(), file_max);
}

}  // namespace

Result<void> FileOutlet::is_free_for(const Owner& owner, const Place& place,
                                     const Identity& identity) {
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

void FileOutlet::release(Place& place) {
  if (place.lock < 0) return;
  ::close(std::exchange(place.lock, -1));
  --locks_;
}

/// Takes the lock, or sees that the one it has is still the directory's.
Result<void> FileOutlet::keep_lock(Place& place, const std::string& path) {
  struct stat mine {
  }, there{};
  if (place.lock >= 0 && ::fstat(place.lock, &mine) == 0 &&
      ::lstat((path + "/" + lock_name).c_str(), &there) == 0 && mine.st_ino == there.st_ino &&
      mine.st_dev == there.st_dev)
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
                              allowed, path, lock_name, wanted),
                  "UMBRA"});
    }
    return {};
  }
  UMBRA_TRY(place.lock, lock_directory(path));
  if (place.lock >= 0) ++locks_;
  return {};
}

/// The first who writes to a place has it until he leaves it.
Result<FileOutlet::Held> FileOutlet::claim(const Owner& owner, const Identity& identity,
                                           bool with_lock) {
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
  UMBRA_CHECK(is_free_for(owner, *held, identity));
  if (with_lock) UMBRA_CHECK(keep_lock(*held, owner.path));
  const std::lock_guard lock(mutex_);
  held->owner = owner;
  return held;
}

void FileOutlet::leave_but(const Owner& owner, const Identity* kept) {
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

void FileOutlet::leave(std::string_view trustpoint, const config::Storage& storage) {
  leave_but({std::string(trustpoint), storage.path}, nullptr);
}

Result<FileOutlet::Held> FileOutlet::claim_directory(const Owner& owner) {
  const auto identity = identity_of(owner.path, "");
  if (!identity) return fail(Errc::storage, owner.path + " is gone");
  return claim(owner, *identity, true);
}

Result<FileOutlet::Held> FileOutlet::claim_file(const Owner& owner) {
  const fs::path file = owner.path;
  const auto identity = identity_of(file.parent_path(), file.filename().string());
  if (!identity) return fail(Errc::storage, file.parent_path().string() + " is gone");
  return claim(owner, *identity, false);
}

void FileOutlet::say_kept(const fs::path& path) {
  log_.event({Severity::warning, "STORAGE",
              fmt::format("{} was there before, and not written by umbrad: it is kept as {}",
                          path.string(), aside_of(path).string()),
              "UMBRA"});
}

Result<void> FileOutlet::publish_pem(std::string_view trustpoint, const config::Storage& storage,
                                     const client::PemFiles& files) {
  UMBRA_TRY(const FileAccess access, file_access(storage.mode, storage.owner, storage.group));
  auto parts = parts_of(files.active, "");
  for (auto& part : parts_of(files.rollover, "rollover/")) parts.push_back(std::move(part));
  for (auto& part : parts_of(files.previous, "previous/")) parts.push_back(std::move(part));
  const auto replaced = [&]() -> Result<void> {
    UMBRA_CHECK(make_readable_directory(storage.path));
    UMBRA_TRY(const auto held, claim_directory({std::string(trustpoint), storage.path}));
    return replace_set(storage.path, parts, access,
                       [this](const fs::path& path) { say_kept(path); });
  }();
  for (auto& part : parts) {
    if (part.secret) wipe(part.content);
  }
  return replaced;
}

Result<void> FileOutlet::publish_pkcs12(std::string_view trustpoint, const config::Storage& storage,
                                        ByteView archive, const client::IsOurs& ours) {
  UMBRA_TRY(const FileAccess access, file_access(storage.mode, storage.owner, storage.group));
  const fs::path file = storage.path;
  UMBRA_CHECK(make_readable_directory(file.parent_path()));
  UMBRA_TRY(const auto held, claim_file({std::string(trustpoint), storage.path}));
  UMBRA_TRY(const bool anothers, is_anothers_archive(file, ours));
  if (anothers) {
    if (is_taken_aside(file)) return both_there(file);
    UMBRA_CHECK(keep_aside(file));
    say_kept(file);
  }
  return write_file(storage.path, archive, access);
}

Result<void> FileOutlet::withdraw_pem(std::string_view trustpoint, const config::Storage& storage) {
  const fs::path root = storage.path;
  std::error_code error;
  const auto kind = fs::status(root, error).type();
  if (kind == fs::file_type::none) return cannot_look_at(root, error);
  if (kind != fs::file_type::directory) return {};
  {
    UMBRA_TRY(const auto held, claim_directory({std::string(trustpoint), storage.path}));
    // The names first, then what they lead to.
    for (const std::string name : link_names) {
      UMBRA_TRY(const auto target, link_target(root / name));
      if (target == wanted_target(name)) UMBRA_CHECK(take_away(root / name));
    }
    UMBRA_TRY(const auto generation, link_target(root / data_link));
    if (number_of(generation) > 0) UMBRA_CHECK(take_away(root / data_link));
    std::vector<fs::path> sets;
    for (fs::directory_iterator at(root, error); !error && at != fs::directory_iterator();
         at.increment(error)) {
      if (is_left_over(at->path())) sets.push_back(at->path());
      if (number_of(at->path().filename().string()) == 0) continue;
      std::error_code unknown;
      const auto type = fs::symlink_status(at->path(), unknown).type();
      if (type == fs::file_type::none) return cannot_look_at(at->path(), unknown);
      if (type == fs::file_type::directory) sets.push_back(at->path());
    }
    if (error) return cannot_look_at(root, error);
    for (const fs::path& set : sets) UMBRA_CHECK(take_away(set));
    UMBRA_CHECK(take_away(root / lock_name));
    UMBRA_CHECK(sync_directory(root.string()));
  }
  leave(trustpoint, storage);
  return {};
}

Result<void> FileOutlet::withdraw_pkcs12(std::string_view trustpoint,
                                         const config::Storage& storage,
                                         const client::IsOurs& ours) {
  const fs::path file = storage.path;
  std::error_code error;
  const auto kind = fs::symlink_status(file, error).type();
  if (kind == fs::file_type::not_found) return {};
  if (kind == fs::file_type::none) return cannot_look_at(file, error);
  {
    UMBRA_TRY(const auto held, claim_file({std::string(trustpoint), storage.path}));
    const auto somebody_elses = [&] {
      return fail(Errc::conflict,
                  fmt::format("{} is not what umbrad has written; it stays where it "
                              "is",
                              file.string()));
    };
    if (kind != fs::file_type::regular) return somebody_elses();
    const auto size = fs::file_size(file, error);
    if (error) return cannot_look_at(file, error);
    if (size > file_max) return somebody_elses();
    UMBRA_TRY(Bytes content, read_file(file.string(), file_max));
    const bool own = ours(content);
    wipe(content);
    if (!own) return somebody_elses();
    remove_abandoned_drafts(file.parent_path().string(), file.filename().string());
    UMBRA_CHECK(take_away(file));
    UMBRA_CHECK(sync_directory(file.parent_path().string()));
  }
  leave(trustpoint, storage);
  return {};
}

Result<Bytes> FileOutlet::read_pem(const config::Storage& storage) {
  return read_published(fs::path(storage.path) / "cert.pem");
}

Result<Bytes> FileOutlet::read_pkcs12(const config::Storage& storage) {
  return read_published(storage.path);
}

std::vector<std::string> FileOutlet::kept_keys(const config::Storage& storage, bool archive) {
  std::vector<std::string> all;
  const auto look = [&all](const fs::path& path) {
    if (occupied(path)) all.push_back(path.string());
  };
  if (archive) {
    look(aside_of(storage.path));
  } else {
    for (const char* const name : {"key.pem", "bundle.pem"})
      look(aside_of(fs::path(storage.path) / name));
  }
  return all;
}

}  // namespace umbra::io
