#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "ca/restored.h"
#include "io/backup.h"
#include "io/descriptor.h"
#include "io/files.h"
#include "io/verify_store.h"
#include "store/store.h"
#include "x509/sealed_stream.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t crl_octets_max = std::size_t{256} << 20U;
constexpr std::size_t configuration_octets_max = std::size_t{16} << 20U;

/// A name as a backup of ours has it: nothing that leads out of the directory.
bool is_inside(const std::string& name) {
  if (name.empty() || name.front() == '/' || name.find('\0') != std::string::npos) return false;
  const fs::path path(name);
  return std::none_of(path.begin(), path.end(),
                      [](const fs::path& part) { return part == ".." || part == "."; });
}

class Restore {
 public:
  Restore(const RestoreCommand& command, x509::SealReader& in)
      : command_(command), in_(in), inside_(command.data_directory + "/" + restoring_directory) {}

  /// Everything into the directory beside its place.
  Result<void> unpack() {
    for (std::uint64_t entries = 0;; ++entries) {
      std::array<std::uint8_t, 3> start{};
      UMBRA_CHECK(exactly(start));
      std::string name((std::size_t{start[1]} << 8U) | start[2], '\0');
      UMBRA_CHECK(exactly({reinterpret_cast<std::uint8_t*>(name.data()), name.size()}));
      std::array<std::uint8_t, 8> octets{};
      UMBRA_CHECK(exactly(octets));
      std::uint64_t size = 0;
      for (const std::uint8_t octet : octets) size = size << 8U | octet;
      switch (static_cast<EntryKind>(start[0])) {
        case EntryKind::end: {
          std::array<std::uint8_t, 1> more{};
          UMBRA_TRY(const std::size_t got, in_.read(more));
          if (size != entries || got != 0 || !database_) return odd();
          return {};
        }
        case EntryKind::database:
          if (name != "umbra.db" || database_) return odd();
          database_ = true;
          UMBRA_CHECK(file(name, size));
          break;
        case EntryKind::file:
          if (!is_inside(name) || name == "umbra.db") return odd();
          UMBRA_CHECK(file(name, size));
          break;
        case EntryKind::configuration:
          if (size > configuration_octets_max || configuration_) return odd();
          configuration_.emplace(static_cast<std::size_t>(size));
          UMBRA_CHECK(exactly(*configuration_));
          break;
        default:
          return odd();
      }
    }
  }

  [[nodiscard]] const std::optional<Bytes>& configuration() const { return configuration_; }

 private:
  static tl::unexpected<Error> odd() {
    return fail(Errc::malformed, "what is in it is not what this version of Umbra writes");
  }

  Result<void> exactly(std::span<std::uint8_t> out) {
    while (!out.empty()) {
      UMBRA_TRY(const std::size_t got, in_.read(out));
      if (got == 0) return odd();
      out = out.subspan(got);
    }
    return {};
  }

  Result<void> file(const std::string& name, std::uint64_t size) {
    const std::string path = inside_ + "/" + name;
    UMBRA_CHECK(make_directory(fs::path(path).parent_path().string()));
    const Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!file.good()) return os_failed("make", path);
    Bytes part(std::size_t{1} << 16U);
    while (size != 0) {
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, part.size()));
      UMBRA_CHECK(exactly(std::span(part).first(wanted)));
      UMBRA_CHECK(write_whole(file.get(), ByteView(part).first(wanted), path));
      size -= wanted;
    }
    wipe(part);
    if (::fsync(file.get()) != 0) return os_failed("sync", path);
    return {};
  }

  const RestoreCommand& command_;
  x509::SealReader& in_;
  const std::string inside_;
  bool database_ = false;
  std::optional<Bytes> configuration_;
};

Result<void> refuse_what_is_there(const RestoreCommand& command) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(command.data_directory, error)) &&
      !fs::is_directory(command.data_directory, error)) {
    return fail(Errc::conflict, command.data_directory + " is no directory");
  }
  for (fs::directory_iterator all(command.data_directory, error);
       !error && all != fs::directory_iterator(); all.increment(error)) {
    const std::string name = all->path().filename().string();
    if (name == "lock") continue;
    return fail(Errc::conflict,
                name == restoring_directory
                    ? fmt::format("{}: another restore into it is under way, or was broken off: "
                                  "empty it, and say it again",
                                  command.data_directory)
                    : fmt::format("{} is not empty ({}), and nothing is overwritten: move what is "
                                  "there away, or restore into another directory",
                                  command.data_directory, name));
  }
  if (!command.configuration.empty() &&
      fs::exists(fs::symlink_status(command.configuration, error))) {
    return fail(Errc::conflict,
                command.configuration + " is there already, and nothing is overwritten");
  }
  return {};
}

/// Root restores for the user whose the directory is.
Result<void> give_away(const std::string& inside, const std::string& directory,
                       std::vector<std::string> paths) {
  struct stat owner {};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &owner) != 0 || owner.st_uid == 0) return {};
  std::error_code error;
  for (fs::recursive_directory_iterator all(inside, error);
       !error && all != fs::recursive_directory_iterator(); all.increment(error))
    paths.push_back(all->path().string());
  if (error) return fail(Errc::storage, fmt::format("cannot read {}: {}", inside, error.message()));
  for (const std::string& path : paths) {
    if (!path.empty() && ::lchown(path.c_str(), owner.st_uid, owner.st_gid) != 0)
      return os_failed("give the directory's owner", path);
  }
  return {};
}

/// Into its place, the database last: until then there is none.
Result<void> move_into_place(const std::string& inside, const std::string& directory) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator all(inside, error); !error && all != fs::directory_iterator();
       all.increment(error))
    names.push_back(all->path().filename().string());
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return name != "umbra.db"; });
  for (const std::string& name : names) {
    if (!error) fs::rename(inside + "/" + name, directory + "/" + name, error);
  }
  if (!error) {
    UMBRA_CHECK(sync_directory(directory));
    fs::remove(inside, error);
  }
  if (error)
    return fail(Errc::storage,
                fmt::format("cannot move {} into {}: {}", inside, directory, error.message()));
  return sync_directory(directory);
}

/// The numbers and revocations that the backup does not know of.
Result<std::string> catch_up(const RestoreCommand& command, const std::string& inside,
                             Random& random, Time now) {
  UMBRA_TRY(const auto store, store::open_sqlite(inside + "/umbra.db"));
  std::string out;
  for (const std::string& path : command.crls) {
    UMBRA_TRY(const Bytes crl, read_file(path, crl_octets_max));
    const auto taken = ca::take_newer_crl(*store, crl, now);
    if (!taken) return fail(taken.error().code, path + ": " + taken.error().detail);
    out += taken->older ? fmt::format("{}: CRL {} of {} is not newer than the backup's\n", path,
                                      taken->number, taken->server)
                        : fmt::format(
                              "{}: CRL {} of {}: {} more revoked, {} of them unknown until now; {} "
                              "no longer\n",
                              path, taken->number, taken->server, taken->revoked + taken->unknown,
                              taken->unknown, taken->restored);
  }
  UMBRA_TRY(const auto skipped, ca::skip_used_numbers(*store, random, now));
  for (const auto& one : skipped) {
    out += fmt::format("{}: serial numbers go on at 0x{:X}, CRLs at {}\n", one.server,
                       one.serials_from, one.crl_number);
  }
  if (command.crls.empty() && !skipped.empty()) {
    out +=
        "what was revoked after the backup was taken is not: revoke it again (with --crl FILE, "
        "the newest CRL that was published is taken over)\n";
  }
  return out;
}

}  // namespace

Result<std::string> restore(const RestoreCommand& command, Random& random, Time now) {
  UMBRA_CHECK(refuse_what_is_there(command));
  UMBRA_TRY(std::string passphrase, backup_passphrase(command.passphrase_file));
  const Descriptor file(command.from, O_RDONLY);
  if (!file.good()) return os_failed("open", command.from);
  const auto opened = x509::SealReader::begin(passphrase, [&](std::span<std::uint8_t> out) {
    return read_some(file.get(), out, command.from);
  });
  wipe(passphrase);
  if (!opened) return fail(opened.error().code, command.from + ": " + opened.error().detail);

  const std::string& directory = command.data_directory;
  const std::string inside = directory + "/" + restoring_directory;
  UMBRA_CHECK(make_directory(directory));
  UMBRA_TRY(const auto lock, DirectoryLock::take(directory));
  if (::mkdir(inside.c_str(), 0700) != 0) return os_failed("make", inside);
  bool configuration_written = false;
  const auto done = [&]() -> Result<std::string> {
    Restore one(command, **opened);
    if (const auto unpacked = one.unpack(); !unpacked)
      return fail(unpacked.error().code, command.from + ": " + unpacked.error().detail);
    UMBRA_TRY(std::string out, catch_up(command, inside, random, now));
    UMBRA_TRY(const auto report, verify_store(inside, command.seal_file));
    const std::string told = verify::to_text(report, directory);
    if (report.errors != 0 && !command.unsound) {
      return fail(Errc::conflict,
                  fmt::format("{}what is in {} is not sound: try an older backup, or say "
                              "--unsound",
                              told, command.from));
    }
    std::string kept = command.configuration;
    if (one.configuration()) {
      if (kept.empty()) kept = inside + "/restored.conf";
      UMBRA_CHECK(write_file(kept, *one.configuration()));
      configuration_written = !command.configuration.empty();
      out += fmt::format("the configuration is {}\n",
                         command.configuration.empty() ? directory + "/restored.conf" : kept);
    }
    UMBRA_CHECK(give_away(inside, directory, {directory + "/lock", kept}));
    UMBRA_CHECK(move_into_place(inside, directory));
    return out + told;
  }();
  if (!done) {
    std::error_code error;
    if (configuration_written) fs::remove(command.configuration, error);
    // Once something is in its place it is left for who looks into it: umbrad does not start there.
    if (!fs::exists(directory + "/umbra.db", error)) {
      fs::remove_all(inside, error);
      fs::remove(directory + "/lock", error);
    }
  }
  return done;
}

}  // namespace umbra::io
