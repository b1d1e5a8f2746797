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
#include <iostream>

#include "io/exec_socket.h"

namespace {

constexpr int usage = 2;
constexpr int no_daemon = 3;
constexpr std::size_t input_max = 48 * 1024;

/// What the command wants to know: one line, or lines up to an empty one or `quit`. The end of the
/// input ends both.
std::string asked_for(std::string_view kind) {
  std::string input;
  for (std::string line; input.size() < input_max && std::getline(std::cin, line);) {
    if (line.ends_with('\r')) line.pop_back();
    const bool over = line.empty() || line == "quit";
    // An empty line in front of all others is none that ends them.
    if (kind == "text" && over && input.empty() && line.empty()) continue;
    if (kind == "text" && over) break;
    input += line + "\n";
    if (kind != "text") break;
  }
  return input;
}

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
  umbra::io::ExecRequest request{fmt::format("{}", fmt::join(words, " ")), {}};
  for (;;) {
    const auto reply = umbra::io::exec(socket, request);
    if (!reply) {
      fmt::print(stderr, "umbra: {}\n", reply.error().detail);
      return no_daemon;
    }
    fmt::print("{}", reply->output);
    if (reply->ask.empty() || request.input) return reply->ok ? 0 : 1;
    std::fflush(stdout);
    request.input = asked_for(reply->ask);
  }
} catch (const std::exception& error) {
  std::fputs("umbra: ", stderr);
  std::fputs(error.what(), stderr);
  std::fputs("\n", stderr);
  return 1;
}
