#include "io/backup.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "io/descriptor.h"
#include "io/files.h"
#include "io/privacy.h"
#include "store/snapshot.h"
#include "x509/sealed_stream.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t passphrase_octets_max = 4096;
constexpr std::size_t passphrase_least = 12;

/// What is not kept: the database goes as its snapshot, and the rest is a running process's own.
bool left_out(const std::string& name) {
  for (const char* own : {"umbra.db", "umbra.db-wal", "umbra.db-shm", "umbra.db-journal", "lock",
                          "umbra.sock", restoring_directory}) {
    if (name == own) return true;
  }
  return name.starts_with(".backup-");
}

class Backup {
 public:
  Backup(const BackupCommand& command, x509::SealWriter& out) : command_(command), out_(out) {}

  Result<void> run() {
    UMBRA_CHECK(database());
    if (!command_.configuration.empty())
      UMBRA_CHECK(entry(EntryKind::configuration, "umbra.conf", command_.configuration));
    std::error_code error;
    fs::recursive_directory_iterator all(command_.data_directory, error);
    std::vector<std::string> names;
    for (; !error && all != fs::recursive_directory_iterator(); all.increment(error)) {
      const std::string name = fs::path(*all).lexically_relative(command_.data_directory).string();
      if (left_out(name)) {
        all.disable_recursion_pending();
      } else if (all->is_symlink(error)) {
        notes_.push_back(name + " is a link, and is not followed: what it points to is not kept");
      } else if (all->is_regular_file(error)) {
        names.push_back(name);
      }
    }
    if (error)
      return fail(Errc::storage,
                  fmt::format("cannot read {}: {}", command_.data_directory, error.message()));
    std::sort(names.begin(), names.end());
    for (const std::string& name : names)
      UMBRA_CHECK(entry(EntryKind::file, name, command_.data_directory + "/" + name));
    return head(EntryKind::end, "", entries_);
  }

  [[nodiscard]] std::uint64_t entries() const { return entries_; }
  [[nodiscard]] std::uint64_t octets() const { return octets_; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  [[nodiscard]] bool has_passphrase() const { return has_passphrase_; }

 private:
  Result<void> database() {
    const std::string copy = fmt::format("{}/.backup-{}", command_.data_directory, ::getpid());
    ::unlink(copy.c_str());  // of a process that died
    UMBRA_CHECK(store::snapshot(command_.data_directory + "/umbra.db", copy));
    auto done = entry(EntryKind::database, "umbra.db", copy);
    ::unlink(copy.c_str());
    return done;
  }

  Result<void> head(EntryKind kind, const std::string& name, std::uint64_t size) {
    Bytes out{static_cast<std::uint8_t>(kind)};
    if (name.size() > 0xFFFF) return fail(Errc::unsupported, name + ": too long a name");
    for (int shift = 8; shift >= 0; shift -= 8)
      out.push_back(static_cast<std::uint8_t>(name.size() >> shift));
    out.insert(out.end(), name.begin(), name.end());
    for (int shift = 56; shift >= 0; shift -= 8)
      out.push_back(static_cast<std::uint8_t>(size >> shift));
    return out_.write(out);
  }

  Result<void> entry(EntryKind kind, const std::string& name, const std::string& path) {
    const Descriptor file(path, O_RDONLY | (kind == EntryKind::file ? O_NOFOLLOW : 0));
    if (!file.good()) {
      // A published file that was replaced between being listed and being read.
      if (errno == ENOENT && kind == EntryKind::file) return {};
      return os_failed("open", path);
    }
    struct stat found {};
    if (::fstat(file.get(), &found) != 0) return os_failed("look at", path);
    if (kind == EntryKind::file && name == "passphrase") has_passphrase_ = true;
    const auto size = static_cast<std::uint64_t>(found.st_size);
    UMBRA_CHECK(head(kind, name, size));
    Bytes part(std::size_t{1} << 16U);
    // What is appended meanwhile, as to a log, is not this moment's.
    for (std::uint64_t left = size; left != 0;) {
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, part.size()));
      UMBRA_TRY(const std::size_t got, read_some(file.get(), std::span(part).first(wanted), path));
      if (got == 0)
        return fail(Errc::storage, path + " was cut short while it was read; try again");
      UMBRA_CHECK(out_.write(ByteView(part).first(got)));
      left -= got;
    }
    wipe(part);
    ++entries_;
    octets_ += size;
    return {};
  }

  const BackupCommand& command_;
  x509::SealWriter& out_;
  std::uint64_t entries_ = 0;
  std::uint64_t octets_ = 0;
  std::vector<std::string> notes_;
  bool has_passphrase_ = false;
};

/// Whole on the disk, under a name that was free until now.
Result<void> keep(int file, const std::string& partial, const std::string& to) {
  if (::fsync(file) != 0) return os_failed("sync", partial);
  // Not every filesystem knows both.
  if (::renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0 &&
      (errno != EINVAL || ::link(partial.c_str(), to.c_str()) != 0))
    return os_failed("make", to);
  const std::string parent = fs::path(to).parent_path().string();
  return sync_directory(parent.empty() ? "." : parent);
}

}  // namespace

Result<std::string> backup_passphrase(const std::string& file) {
  keep_memory_private();
  UMBRA_TRY(Bytes content, read_file(file, passphrase_octets_max));
  const std::string_view text = as_text(content);
  std::string line(text.substr(0, text.find_first_of("\r\n")));
  wipe(content);
  if (line.size() < passphrase_least) {
    return fail(Errc::malformed,
                fmt::format("{}: the passphrase of a backup, its first line, needs {} characters "
                            "at least; `openssl rand -base64 24` makes a good one",
                            file, passphrase_least));
  }
  return line;
}

Result<std::string> backup(const BackupCommand& command) {
  struct stat found {};
  if (::lstat(command.to.c_str(), &found) == 0) {
    return fail(Errc::conflict,
                command.to + " is there already, and no backup is overwritten; give it a new name");
  }
  UMBRA_TRY(std::string passphrase, backup_passphrase(command.passphrase_file));
  const std::string partial = fmt::format("{}.partial-{}", command.to, ::getpid());
  const Descriptor file(partial, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!file.good()) return os_failed("make", partial);
  const auto made = [&]() -> Result<std::string> {
    UMBRA_TRY(const auto sealed, x509::SealWriter::begin(passphrase, [&](ByteView octets) {
                return write_whole(file.get(), octets, partial);
              }));
    Backup one(command, *sealed);
    UMBRA_CHECK(one.run());
    UMBRA_CHECK(sealed->finish());
    UMBRA_CHECK(keep(file.get(), partial, command.to));
    std::string out =
        fmt::format("{}: {} files, {} octets\n", command.to, one.entries(), one.octets());
    for (const std::string& note : one.notes()) out += note + "\n";
    if (!one.has_passphrase()) {
      out +=
          "what seals the keys is not in the data directory, and so not in this backup: keep "
          "it too\n";
    }
    if (command.configuration.empty())
      out += "umbrad's configuration is not in this backup (--config FILE)\n";
    return out;
  }();
  ::unlink(partial.c_str());
  wipe(passphrase);
  return made;
}

}  // namespace umbra::io
