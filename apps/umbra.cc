// umbra: commands to a running umbrad.
//
//   umbra exec "show crypto pki timers"
//
// Exit status: 0 the command succeeded, 1 it failed, 2 the command line is wrong, 3 no daemon
// answers.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "io/exec_socket.h"

namespace {

constexpr int usage = 2;
constexpr int no_daemon = 3;

}  // namespace

int main(int argc, char** argv) try {
  std::string socket = "/run/umbra/umbra.sock";
  std::vector<std::string> words;
  CLI::App app("Umbra's console: commands to a running umbrad");
  app.set_version_flag("--version", UMBRA_VERSION);
  app.require_subcommand(1);
  auto* const exec = app.add_subcommand("exec", "run one exec command and print what it says");
  exec->add_option("command", words, "such as \"show crypto pki timers\"")->required();
  exec->add_option("--socket", socket, "the daemon's socket")
      ->envname("UMBRA_SOCKET")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : usage;
  }
  const auto reply = umbra::io::exec(socket, fmt::format("{}", fmt::join(words, " ")));
  if (!reply) {
    fmt::print(stderr, "umbra: {}\n", reply.error().detail);
    return no_daemon;
  }
  fmt::print("{}", reply->output);
  return reply->ok ? 0 : 1;
} catch (const std::exception& error) {
  std::fputs("umbra: ", stderr);
  std::fputs(error.what(), stderr);
  std::fputs("\n", stderr);
  return 1;
}
