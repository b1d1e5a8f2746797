#include "io/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
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
  if (::fsync(file) != 0) return os_error("sync", path);
  return {};
}

Result<void> give_to(int file, const FileAccess& access, const std::string& path) {
  constexpr auto as_it_is = static_cast<uid_t>(-1);
  if ((access.owner || access.group) &&
      ::fchown(file, access.owner.value_or(as_it_is), access.group.value_or(as_it_is)) != 0)
    return os_error("give the owner or group it is to have to", path);
  if (::fchmod(file, access.mode) != 0) return os_error("set the mode of", path);
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

Result<void> write_file(const std::string& path, ByteView content, const FileAccess& access) {
  const std::string temporary = path + ".new";
  {
    ::unlink(temporary.c_str());
    // Nobody else's before it is whose it is to be.
    const File file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (file.get() < 0) return os_error("create", temporary);
    auto written = give_to(file.get(), access, temporary);
    if (written) written = write_all(file.get(), content, temporary);
    if (!written) {
      ::unlink(temporary.c_str());
      return written;
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const auto failed = os_error("replace", path);
    ::unlink(temporary.c_str());
    return failed;
  }
  return sync_directory(parent_of(path));
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
