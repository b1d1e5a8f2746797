#include "io/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <type_traits>
#include <vector>

namespace umbra::io {
namespace {

constexpr std::size_t secret_file_max = 4096;

tl::unexpected<Error> os_error(const std::string& what, const std::string& path) {
  return fail(Errc::storage, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

class File {
 public:
  File(const std::string& path, int flags, unsigned mode = 0)
      : file_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~File() {
    if (file_ >= 0) ::close(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int get() const { return file_; }
  [[nodiscard]] int release() {
    const int file = file_;
    file_ = -1;
    return file;
  }

 private:
  int file_;
};

Result<void> write_all(int file, ByteView content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return os_error("write", path);
    content = content.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> give_to(int file, const FileAccess& access, const std::string& path) {
  constexpr auto as_it_is = static_cast<uid_t>(-1);
  static_assert(std::is_same_v<uid_t, gid_t>);
  // The owner last: who may give files away, and no more, sets no mode of what is another's.
  if (access.group && ::fchown(file, as_it_is, *access.group) != 0) {
    if (errno != EPERM) return os_error("give the group it is to have to", path);
    return fail(
        Errc::storage,
        fmt::format("cannot give the group it is to have to {}: the user that umbrad runs as "
                    "is no member of it (SupplementaryGroups=, or CAP_CHOWN)",
                    path));
  }
  if (::fchmod(file, access.mode) != 0) return os_error("set the mode of", path);
  if (access.owner && ::fchown(file, *access.owner, as_it_is) != 0)
    return os_error("give the owner it is to have to", path);
  return {};
}

std::string parent_of(const std::filesystem::path& path) {
  const std::string parent = path.parent_path().string();
  return parent.empty() ? "." : parent;
}

/// Whether there is something of that name, be it a link that leads nowhere: a secret kept on a
/// volume that is not mounted is not replaced by a new one.
bool is_there(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0;
}

std::string first_line(const Bytes& content) {
  const std::string_view text = as_text(content);
  return std::string(text.substr(0, text.find_first_of("\r\n")));
}

}  // namespace

Result<Bytes> read_file(const std::string& path, std::size_t size_max) {
  const File file(path, O_RDONLY);
  if (file.get() < 0) return os_error("open", path);
  Bytes content;
  Bytes chunk(65536);
  for (;;) {
    const ssize_t got = ::read(file.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return os_error("read", path);
    if (got == 0) return content;
    content.insert(content.end(), chunk.begin(), chunk.begin() + got);
    if (content.size() > size_max)
      return fail(Errc::malformed, fmt::format("{} is larger than {} octets", path, size_max));
  }
}

Result<void> sync_directory(const std::string& path) {
  const File directory(path, O_RDONLY | O_DIRECTORY);
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) return os_error("sync", path);
  return {};
}

Result<FileAccess> file_access(unsigned mode, const std::string& owner, const std::string& group) {
  constexpr std::size_t entry_max = 1U << 20;
  FileAccess access(mode);
  std::vector<char> room(4096);
  const auto look_up = [&](auto lookup, auto& entry, const std::string& name) -> Result<bool> {
    auto* found = &entry;
    for (;;) {
      const int error = lookup(name.c_str(), &entry, room.data(), room.size(), &found);
      if (error == EINTR) continue;
      if (error == 0) return found != nullptr;
      if (error != ERANGE || room.size() > entry_max)
        return fail(Errc::storage,
                    fmt::format("cannot look up {}: {}", name, std::strerror(error)));
      room.resize(room.size() * 2);
    }
  };
  if (!owner.empty()) {
    passwd entry{};
    UMBRA_TRY(const bool found, look_up(::getpwnam_r, entry, owner));
    if (!found) return fail(Errc::not_found, "there is no user " + owner + " on this system");
    access.owner = entry.pw_uid;
  }
  if (!group.empty()) {
    ::group entry{};
    UMBRA_TRY(const bool found, look_up(::getgrnam_r, entry, group));
    if (!found) return fail(Errc::not_found, "there is no group " + group + " on this system");
    access.group = entry.gr_gid;
  }
  return access;
}

namespace {

constexpr std::string_view draft_mark = ".umbra-";
constexpr std::size_t draft_digits = 16;

/// What all drafts of a file begin with. The longest name there may be has room for the rest.
std::string draft_prefix(const std::string& name) {
  constexpr std::size_t name_max = 200;
  return fmt::format(".{}{}", name.substr(0, name_max), draft_mark);
}

bool is_hex(std::string_view digits) {
  return digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Whether whoever wrote it is gone: a process that lives holds its lock. Nothing, if it is a file
/// of another user that cannot be opened, so that its lock cannot be asked for.
std::optional<bool> is_abandoned(const std::string& path) {
  const File file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (file.get() < 0 && errno == EACCES) return std::nullopt;
  struct stat found {};
  return file.get() >= 0 && ::fstat(file.get(), &found) == 0 && S_ISREG(found.st_mode) &&
         ::flock(file.get(), LOCK_SH | LOCK_NB) == 0;
}

}  // namespace

std::string random_digits() {
  std::array<std::uint8_t, draft_digits / 2> octets{};
  // So few come at once and whole (getrandom(2)). Without any, a name is asked for again where it
  // is taken.
  while (::getrandom(octets.data(), octets.size(), 0) < 0 && errno == EINTR) {
  }
  std::string digits;
  for (const std::uint8_t octet : octets) digits += fmt::format("{:02x}", octet);
  return digits;
}

bool are_random_digits(std::string_view text) {
  return text.size() == draft_digits && is_hex(text);
}

Draft::~Draft() {
  if (file_ < 0) return;
  if (!path_.empty()) ::unlink(path_.c_str());
  ::close(file_);
}

Draft::Draft(Draft&& other) noexcept
    : target_(std::move(other.target_)),
      path_(std::exchange(other.path_, {})),
      file_(std::exchange(other.file_, -1)) {}

Result<Draft> Draft::make(const std::string& target, unsigned mode) {
  const std::filesystem::path place(target);
  const std::string parent = parent_of(place);
  constexpr int tries_max = 100;
  for (int tries = 0; tries < tries_max; ++tries) {
    const std::string path =
        fmt::format("{}/{}{}", parent, draft_prefix(place.filename().string()), random_digits());
    File file(path, O_RDWR | O_CREAT | O_EXCL, mode);
    if (file.get() < 0) {
      if (errno == EEXIST) continue;
      return os_error("create", target);
    }
    // Some file systems know no locks: there nothing is taken for abandoned.
    const bool lost = ::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    struct stat found {};
    // Somebody who clears up came between the two.
    if (lost || ::fstat(file.get(), &found) != 0 || found.st_nlink == 0) {
      ::unlink(path.c_str());
      continue;
    }
    return Draft(target, path, file.release());
  }
  return fail(Errc::storage, fmt::format("cannot create a file beside {}", target));
}

Result<void> Draft::give(const FileAccess& access) { return give_to(file_, access, target_); }

Result<void> Draft::write(ByteView content) { return write_all(file_, content, target_); }

std::optional<std::time_t> Draft::written_at() const {
  struct stat found {};
  if (::fstat(file_, &found) != 0) return std::nullopt;
  return found.st_mtime;
}

Result<void> Draft::put_in_place() {
  if (::fsync(file_) != 0) return os_error("sync", target_);
  if (::rename(path_.c_str(), target_.c_str()) != 0) return os_error("replace", target_);
  path_.clear();
  ::close(std::exchange(file_, -1));
  return {};
}

void remove_abandoned_drafts(const std::string& directory, const std::string& name) {
  const std::string prefix = draft_prefix(name);
  std::error_code error;
  std::vector<std::string> found;
  for (std::filesystem::directory_iterator at(directory, error);
       !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const std::string entry = at->path().filename().string();
    const std::size_t mark = entry.rfind(draft_mark);
    if (!entry.starts_with('.') || mark == std::string::npos || mark == 0) continue;
    if (!name.empty() && !entry.starts_with(prefix)) continue;
    if (are_random_digits(std::string_view(entry).substr(mark + draft_mark.size())))
      found.push_back(at->path().string());
  }
  // What is given to another user is put in place at once (write_file): later than this it is not
  // on its way any more.
  constexpr std::time_t on_its_way_max = 600;
  for (const std::string& path : found) {
    const auto abandoned = is_abandoned(path);
    bool gone = abandoned.value_or(false);
    struct stat there {};
    if (!abandoned && ::lstat(path.c_str(), &there) == 0 && S_ISREG(there.st_mode)) {
      // The time is the file system's, as that of the draft is: what a new file has.
      const auto latest = Draft::make(directory + "/" + (name.empty() ? "time" : name));
      gone = latest && latest->written_at().value_or(0) - there.st_mtime > on_its_way_max;
    }
    if (gone) ::unlink(path.c_str());
  }
}

Result<void> write_file(const std::string& path, ByteView content, const FileAccess& access) {
  const std::filesystem::path place(path);
  remove_abandoned_drafts(parent_of(place), place.filename().string());
  UMBRA_TRY(auto draft, Draft::make(path));
  UMBRA_CHECK(draft.write(content));
  // Until here nobody else can open it. After this, perhaps only others can: it is the last step
  // before it is put in place.
  UMBRA_CHECK(draft.give(access));
  UMBRA_CHECK(draft.put_in_place());
  return sync_directory(parent_of(place));
}

Result<void> make_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::path built;
  for (const auto& part : std::filesystem::path(path)) {
    built /= part;
    if (built.empty() || std::filesystem::is_directory(built, error)) continue;
    if (::mkdir(built.c_str(), 0700) != 0) {
      const auto failed = os_error("make directory", built.string());
      if (std::filesystem::is_directory(built, error)) continue;  // somebody else was faster
      return failed;
    }
    // Or a power cut takes the directory, and with it all that was committed in it.
    UMBRA_CHECK(sync_directory(parent_of(built)));
  }
  return {};
}

Result<void> make_readable_directory(const std::filesystem::path& path) {
  using std::filesystem::perms;
  constexpr perms readable_by_all = perms::owner_all | perms::group_read | perms::group_exec |
                                    perms::others_read | perms::others_exec;
  std::error_code error;
  if (path.empty() || std::filesystem::is_directory(path, error)) return {};
  if (path.has_relative_path()) UMBRA_CHECK(make_readable_directory(path.parent_path()));
  UMBRA_CHECK(make_directory(path.string()));
  std::filesystem::permissions(path, readable_by_all,
                               error);  // what is secret in it is so by its own mode
  if (error)
    return fail(Errc::storage,
                fmt::format("cannot set the mode of {}: {}", path.string(), error.message()));
  return {};
}

Result<void> remove_tree(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error) return {};
  return fail(Errc::storage, fmt::format("cannot remove {}: {}", path.string(), error.message()));
}

std::size_t allow_open_files(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur < wanted) {
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return before;
  }
  return limit.rlim_cur;
}

Result<std::unique_ptr<DirectoryLock>> DirectoryLock::take(const std::string& directory) {
  const std::string path = directory + "/lock";
  File file(path, O_RDWR | O_CREAT, 0600);
  if (file.get() < 0) return os_error("open", path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return os_error("lock", path);
    char holder[32] = {};
    const ssize_t got = ::pread(file.get(), holder, sizeof holder - 1, 0);
    const std::string pid =
        got > 0 ? std::string(holder, static_cast<std::size_t>(got)) : "unknown";
    return fail(Errc::conflict,
                fmt::format("{} is in use by another umbrad (process {}); stop that one, or give "
                            "this one a --data directory of its own",
                            directory, pid.substr(0, pid.find('\n'))));
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0 || ::pwrite(file.get(), pid.data(), pid.size(), 0) < 0)
    return os_error("write", path);
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(file.release()));
}

DirectoryLock::~DirectoryLock() {
  if (file_ >= 0) ::close(file_);
}

std::unique_ptr<DirectoryLock> DirectoryLock::keep_out(const std::string& directory) {
  File file(directory + "/lock", O_RDONLY);
  if (file.get() >= 0 && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0) return nullptr;
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(file.release()));
}

namespace {

/// Where it is, or is to be.
std::string passphrase_file(const std::string& directory, const std::string& file) {
  if (!file.empty()) return file;
  const char* const credentials = std::getenv("CREDENTIALS_DIRECTORY");
  if (credentials != nullptr) {
    std::string credential = std::string(credentials) + "/umbra-passphrase";
    if (::access(credential.c_str(), F_OK) == 0) return credential;
  }
  return directory + "/passphrase";
}

Result<Passphrase> read_passphrase(const std::string& path) {
  UMBRA_TRY(Bytes content, read_file(path, secret_file_max));
  Passphrase out{first_line(content), path, false};
  wipe(content);
  if (out.text.empty())
    return fail(Errc::malformed,
                path + " is empty; its first line is the passphrase that seals the keys");
  return out;
}

}  // namespace

Result<Passphrase> passphrase(const std::string& directory, const std::string& file,
                              Random& random) {
  const std::string path = passphrase_file(directory, file);
  bool made = false;
  if (path == directory + "/passphrase" && file.empty() && !is_there(path)) {
    Bytes octets(32);
    random.fill(octets);
    std::string text = to_base64(octets) + "\n";
    const auto written = write_file(path, as_bytes(text));
    wipe(octets);
    wipe(text);
    if (!written) return tl::unexpected(written.error());
    made = true;
  }
  UMBRA_TRY(Passphrase out, read_passphrase(path));
  out.made = made;
  return out;
}

Result<std::optional<Passphrase>> kept_passphrase(const std::string& directory,
                                                  const std::string& file) {
  const std::string path = passphrase_file(directory, file);
  if (file.empty() && !is_there(path)) return std::nullopt;
  UMBRA_TRY(Passphrase out, read_passphrase(path));
  return std::optional<Passphrase>(std::move(out));
}

Result<std::string> board_serial(const std::string& directory, Random& random) {
  const std::string path = directory + "/board-serial";
  if (!is_there(path)) {
    Bytes octets(8);
    random.fill(octets);
    std::uint64_t number = 0;
    for (const std::uint8_t octet : octets) number = number << 8 | octet;
    const std::string text = fmt::format("{:08}\n", 10000000 + number % 90000000);
    UMBRA_CHECK(write_file(path, as_bytes(text)));
  }
  UMBRA_TRY(const Bytes content, read_file(path, secret_file_max));
  std::string serial = first_line(content);
  if (serial.empty())
    return fail(Errc::malformed, path + " is empty; its first line is the board's serial number");
  return serial;
}

}  // namespace umbra::io
