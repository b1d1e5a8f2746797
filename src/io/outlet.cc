#include "io/outlet.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "io/files.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

constexpr fs::perms readable_by_all = fs::perms::owner_all | fs::perms::group_read |
                                      fs::perms::group_exec | fs::perms::others_read |
                                      fs::perms::others_exec;

const std::string prefix = "..set-";

std::uint64_t number_of(const std::string& generation) {
  std::uint64_t number = 0;
  if (generation.starts_with(prefix)) {
    std::from_chars(generation.data() + prefix.size(), generation.data() + generation.size(),
                    number);
  }
  return number;
}

Result<void> point(const fs::path& link, const std::string& target) {
  const fs::path temporary = link.string() + ".new";
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (!error) fs::rename(temporary, link, error);
  if (error)
    return fail(Errc::storage,
                fmt::format("cannot point {} at {}: {}", link.string(), target, error.message()));
  return {};
}

}  // namespace

Result<void> PemOutlet::publish(const std::string& directory, const client::PemSet& set) {
  const fs::path root(directory);
  std::error_code error;
  if (!fs::is_directory(root, error)) {
    UMBRA_CHECK(make_directory(directory));
    fs::permissions(root, readable_by_all, error);
  }
  const std::string old = fs::read_symlink(root / "..data", error).string();
  // A name is never used again: who resolved ..data holds on to one generation, or loses it whole.
  const std::string next = prefix + std::to_string(number_of(old) + 1);
  fs::remove_all(root / next, error);  // of a process that died half-way
  UMBRA_CHECK(make_directory((root / next).string()));
  fs::permissions(root / next, readable_by_all, error);  // the key file itself is its owner's alone
  const std::pair<const char*, const std::string&> files[] = {
      {"ca.pem", set.ca}, {"cert.pem", set.cert}, {"chain.pem", set.chain}, {"key.pem", set.key}};
  for (const auto& [name, content] : files) {
    UMBRA_CHECK(write_file((root / next / name).string(), as_bytes(content),
                           std::string_view(name) == "key.pem" ? 0600 : 0644));
  }
  UMBRA_CHECK(point(root / "..data", next));
  for (const auto& [name, content] : files) {
    const std::string wanted = std::string("..data/") + name;
    if (fs::read_symlink(root / name, error) != wanted) UMBRA_CHECK(point(root / name, wanted));
  }
  UMBRA_CHECK(sync_directory(directory));
  for (const auto& entry : fs::directory_iterator(root, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name != next) fs::remove_all(entry.path(), error);
  }
  return {};
}

void PemOutlet::run(const std::string& command, const std::string& trustpoint) {
  std::vector<std::string> environment = {"UMBRA_TRUSTPOINT=" + trustpoint};
  for (char** variable = ::environ; *variable != nullptr; ++variable)
    environment.emplace_back(*variable);
  std::vector<char*> pointers;
  for (auto& variable : environment) pointers.push_back(variable.data());
  pointers.push_back(nullptr);
  std::string shell = "/bin/sh";
  std::string flag = "-c";
  std::string text = command;
  char* const arguments[] = {shell.data(), flag.data(), text.data(), nullptr};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // The daemon ignores SIGCHLD, so that the kernel reaps these children; the command itself starts
  // with a clean slate.
  sigset_t usual;
  sigemptyset(&usual);
  sigaddset(&usual, SIGCHLD);
  sigaddset(&usual, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  // Asio's sockets are not closed by exec(2): a program that the command leaves running would keep
  // the HTTP port and the console's socket taken after the daemon has gone.
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  pid_t child = 0;
  const int failed =
      ::posix_spawn(&child, shell.c_str(), &files, &attributes, arguments, pointers.data());
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    log_.event({Severity::error, "ON_CHANGE",
                fmt::format("the command of trustpoint {} could not be started: {}", trustpoint,
                            std::strerror(failed))});
  }
}

}  // namespace umbra::io
