#include "io/import_ios.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "audit/events.h"
#include "io/audit_log.h"
#include "io/clock.h"
#include "io/files.h"
#include "io/log.h"
#include "io/privacy.h"
#include "io/random.h"
#include "server/ios_import.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t crl_octets_max = std::size_t{256} << 20U;
constexpr std::size_t file_octets_max = std::size_t{1} << 20U;     // of all others
constexpr std::uint64_t all_octets_max = std::uint64_t{4} << 30U;  // read into memory, all of it
constexpr std::size_t secret_octets_max = 4096;
constexpr std::array published = {".ser", ".crl", ".cnm", ".crt", ".cer",
                                  ".der", ".p12", ".pfx", ".pem"};

Result<std::vector<server::PublishedFile>> read_directory(const std::string& directory) {
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  if (error) {
    return fail(Errc::not_found, fmt::format("cannot read {}: {}", directory, error.message()));
  }
  std::vector<server::PublishedFile> files;
  std::uint64_t octets = 0;
  for (; entries != fs::directory_iterator(); entries.increment(error)) {
    const auto& entry = *entries;
    const std::string name = entry.path().filename().string();
    std::string suffix = entry.path().extension().string();
    for (char& c : suffix) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    }
    const bool wanted = std::find(published.begin(), published.end(), suffix) != published.end();
    if (!entry.is_regular_file(error)) continue;
    Bytes content;
    if (wanted) {
      UMBRA_TRY(content, read_file(entry.path().string(),
                                   suffix == ".crl" ? crl_octets_max : file_octets_max));
      octets += content.size();
      if (octets > all_octets_max) {
        return fail(Errc::unsupported,
                    fmt::format("{}: what is in it is more than {} MiB together; is this the "
                                "directory of one certificate server?",
                                directory, all_octets_max >> 20));
      }
    }
    files.push_back({name, std::move(content)});
  }
  // increment() ends the iteration where it fails.
  if (error) {
    return fail(Errc::storage,
                fmt::format("cannot read all of {}: {}", directory, error.message()));
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

/// Typed without being shown.
Result<std::string> ask_for_passphrase() {
  termios before{};
  if (::isatty(STDIN_FILENO) == 0 || ::tcgetattr(STDIN_FILENO, &before) != 0) {
    return fail(Errc::not_found,
                "the passphrase of the archives is needed: --passphrase-file FILE, with the "
                "passphrase in its first line");
  }
  fmt::print(stderr, "Passphrase of the archives: ");
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  std::string line;
  std::getline(std::cin, line);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  fmt::print(stderr, "\n");
  return line;
}

Result<std::string> passphrase_of_archives(const std::string& file) {
  if (file.empty()) return ask_for_passphrase();
  UMBRA_TRY(const Bytes content, read_file(file, secret_octets_max));
  const std::string_view text = as_text(content);
  return std::string(text.substr(0, text.find_first_of("\r\n")));
}

/// The daemon's store, with nobody else on it.
struct Target {
  std::unique_ptr<DirectoryLock> lock;
  std::unique_ptr<store::Store> store;
};
Result<Target> open_target(const std::string& directory, const server::Import& import) {
  Target target;
  // What root makes in a service's directory the service cannot read.
  struct stat found {};
  if (::geteuid() == 0 && ::stat(directory.c_str(), &found) == 0 && found.st_uid != 0) {
    return fail(Errc::conflict,
                fmt::format("{} belongs to the user with the number {}, which umbrad runs as; run "
                            "this as that user, such as: sudo -u umbra umbra import ios ...",
                            directory, found.st_uid));
  }
  UMBRA_CHECK(make_directory(directory));
  UMBRA_TRY(target.lock, DirectoryLock::take(directory));
  UMBRA_TRY(target.store, store::open_sqlite(directory + "/umbra.db"));
  for (const auto& one : import.servers) {
    UMBRA_TRY(const auto row, target.store->server(one.name));
    UMBRA_TRY(const auto generations, target.store->generations(one.name));
    if (row || !generations.empty()) {
      return fail(Errc::conflict,
                  fmt::format("{} has a certificate server {} already, which is left as it is; "
                              "import into another --data directory, or take that one away first",
                              directory, one.name));
    }
  }
  return target;
}

std::string report(const server::Import& import, const ImportCommand& command) {
  std::string out;
  for (const auto& one : import.servers) {
    out += fmt::format("Certificate server {}:\n", one.name);
    for (const auto& line : one.found) out += fmt::format("  found    {}\n", line);
    for (const auto& line : one.warnings) out += fmt::format("  WARNING  {}\n", line);
    out += "\n";
  }
  for (const auto& line : import.ignored) out += fmt::format("  ignored  {}\n", line);
  if (!import.ignored.empty()) out += "\n";
  out += fmt::format("Imported into {}. The configuration to use, with what only you know:\n\n",
                     command.data_directory);
  for (const auto& one : import.servers) {
    for (const auto& line : one.configuration) out += line + "\n";
  }
  out +=
      "\nAdd what no file tells: `grant`, `auto-rollover`, `database url`, passwords. Stop the "
      "router's server (`shutdown`)\nbefore this one starts: two would issue the same serial "
      "numbers.\n";
  return out;
}

}  // namespace

Result<std::string> import_ios(const ImportCommand& command) {
  keep_memory_private();
  UMBRA_TRY(const auto files, read_directory(command.directory));
  server::ImportOptions options;
  options.names = command.names;
  options.without_crl = command.without_crl;
  options.now = to_time(SystemClock(true).now());
  if (!command.last_serial.empty()) {
    auto serial = x509::Serial::from_hex(command.last_serial);
    if (!serial) return fail(Errc::malformed, "--last-serial: " + serial.error().detail);
    options.last_serial = *serial;
  }
  UMBRA_TRY(options.passphrase, passphrase_of_archives(command.passphrase_file));
  // Once to see whether it can be done: until then nothing is made.
  options.seal = "nothing is kept of this";
  UMBRA_TRY(auto import, server::import_ios(files, options));

  std::error_code error;
  const std::string database = command.data_directory + "/umbra.db";
  const bool fresh = !fs::exists(database, error);
  const auto put = [&]() -> Result<void> {
    UMBRA_TRY(const Target target, open_target(command.data_directory, import));
    OsRandom random;
    UMBRA_TRY(const Passphrase seal, passphrase(command.data_directory, command.seal_file, random));
    options.seal = seal.text;
    UMBRA_TRY(import, server::import_ios(files, options));
    store::Batch all;
    for (auto& one : import.servers) {
      all.insert(all.end(), std::make_move_iterator(one.rows.begin()),
                 std::make_move_iterator(one.rows.end()));
      one.rows.clear();
    }
    const SystemClock clock(true);
    StderrLog log(clock, {}, false);
    UMBRA_TRY(const auto audit, AuditLog::open(command.data_directory, clock, log, *target.store));
    std::vector<audit::Event> told = audit::events_of(all);
    // Nobody has issued them here, and of many nothing but the number is known.
    for (audit::Event& event : told) {
      if (event.name == "ISSUE") event.name = "IMPORT";
    }
    UMBRA_CHECK(audit->append(told));
    return target.store->commit(std::move(all));
  };
  if (const auto done = put(); !done) {
    if (fresh) {
      for (const char* part : {"", "-wal", "-shm"}) fs::remove(database + part, error);
      fs::remove(command.data_directory + "/audit.log", error);
    }
    return tl::unexpected(done.error());
  }
  return report(import, command);
}

}  // namespace umbra::io
