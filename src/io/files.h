#pragma once

#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/random.h"

namespace umbra::io {

/// What `read_file` takes of a configuration.
inline constexpr std::size_t config_octets_max = 16U << 20;

/// The whole file. Errors: storage, with path and reason; malformed if over `size_max`.
[[nodiscard]] Result<Bytes> read_file(const std::string& path, std::size_t size_max);
/// Whose a file is to be, whatever the umask says.
struct FileAccess {
  FileAccess(unsigned m = 0600) : mode(m) {}  // NOLINT(google-explicit-constructor): the usual case
  unsigned mode;
  std::optional<unsigned> owner;  ///< user id; the process's if left out
  std::optional<unsigned> group;
};
/// The ids of a user and a group by their names; an empty name gives none. Errors: not_found, with
/// what to do.
[[nodiscard]] Result<FileAccess> file_access(unsigned mode, const std::string& owner,
                                             const std::string& group);
/// A file that gets complete under another name beside its place before it is put into it:
/// `.NAME.umbra-` and digits at random, which is nobody else's name. Gone with this value, unless
/// it was put in place.
class Draft {
 public:
  /// In: `mode`, less what the umask takes away. Errors: storage.
  [[nodiscard]] static Result<Draft> make(const std::string& target, unsigned mode = 0600);
  ~Draft();
  Draft(Draft&& other) noexcept;
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  Draft& operator=(Draft&&) = delete;
  [[nodiscard]] Result<void> give(const FileAccess& access);
  [[nodiscard]] Result<void> write(ByteView content);
  /// By the clock of the file system.
  [[nodiscard]] std::optional<std::time_t> written_at() const;
  /// Its octets are on the disk then; that it is there, only after sync_directory.
  [[nodiscard]] Result<void> put_in_place();

 private:
  Draft(std::string target, std::string path, int file)
      : target_(std::move(target)), path_(std::move(path)), file_(file) {}
  std::string target_;
  std::string path_;
  int file_;
};
/// What processes that died have left of drafts of NAME, or of all drafts if that is empty; those
/// of processes that live stay. What this process may not open, because it was given to another
/// user, goes when it is ten minutes old.
void remove_abandoned_drafts(const std::string& directory, const std::string& name);
/// Sixteen hexadecimal digits, for names that nobody else has.
[[nodiscard]] std::string random_digits();
[[nodiscard]] bool are_random_digits(std::string_view text);

/// A reader sees the old content or the new one, never a part; on the disk when it returns. Errors:
/// storage.
[[nodiscard]] Result<void> write_file(const std::string& path, ByteView content,
                                      const FileAccess& access = {});
/// Makes the directory and its parents, mode 0700, if missing. Errors: storage.
[[nodiscard]] Result<void> make_directory(const std::string& path);
/// The same, mode 0755, with those above it where they are missing: a group that may read a key in
/// it must get there. Errors: storage.
[[nodiscard]] Result<void> make_readable_directory(const std::filesystem::path& path);
/// With all that is in it; nothing there is no error. Errors: storage.
[[nodiscard]] Result<void> remove_tree(const std::filesystem::path& path);
/// fsync(2) of a directory: what was renamed into it stays. Errors: storage.
[[nodiscard]] Result<void> sync_directory(const std::string& path);

/// How many files this process may have open, after asking for `wanted`: as many, or what the hard
/// limit allows.
[[nodiscard]] std::size_t allow_open_files(std::size_t wanted);

/// Two daemons on one data directory would issue the same serials: the second is refused. Released
/// with the process, however it ends.
class DirectoryLock {
 public:
  /// Errors: conflict, naming the process that has it; storage.
  [[nodiscard]] static Result<std::unique_ptr<DirectoryLock>> take(const std::string& directory);
  /// For who only reads: keeps daemons from starting on the directory, and changes nothing in it.
  /// Out: nothing if one runs there. A directory without a lock file has never had one.
  [[nodiscard]] static std::unique_ptr<DirectoryLock> keep_out(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int file) : file_(file) {}
  int file_;
};

/// What seals the keys in the store: the file given; else systemd's credential `umbra-passphrase`;
/// else DIRECTORY/passphrase, made of 32 random octets at the first start. `origin` tells which,
/// for the log.
struct Passphrase {
  std::string text;
  std::string origin;
  bool made = false;
};
[[nodiscard]] Result<Passphrase> passphrase(const std::string& directory, const std::string& file,
                                            Random& random);
/// The same, of which nothing is made: nothing if there is none.
[[nodiscard]] Result<std::optional<Passphrase>> kept_passphrase(const std::string& directory,
                                                                const std::string& file);

/// What `serial-number` puts into a subject: eight digits, made once per data directory.
[[nodiscard]] Result<std::string> board_serial(const std::string& directory, Random& random);

}  // namespace umbra::io
