#include "exec.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "console/terminal_text.h"
#include "io/exec_socket.h"

namespace {

constexpr std::size_t input_max = 48 * 1024;

void print(const std::string& output) {
  fmt::print("{}", umbra::console::terminal_text(output));
  std::fflush(stdout);
}

/// umbrad has not let him in at all; then that is said.
bool refused(const umbra::io::ExecReply& reply) {
  if (reply.ok || !reply.over) return false;
  fmt::print(stderr, "umbra: {}", umbra::console::terminal_text(reply.output));
  return true;
}

}  // namespace

std::string asked_for(std::string_view kind, const std::function<bool()>& waits) {
  std::string input;
  for (std::string line; (!waits || waits()) && std::getline(std::cin, line);) {
    if (line.ends_with('\r')) line.pop_back();
    const bool over = line == "quit" || (kind == "text" && line.empty());
    // An empty line in front of all others is none that ends them.
    if (kind == "text" && over && input.empty() && line.empty()) continue;
    if (kind != "line" && over) break;
    // What is too much is left out, and not taken for the next commands.
    if (input.size() + line.size() < input_max) input += line + "\n";
    if (kind == "line") break;
  }
  return input;
}

std::string sendable(std::string line) {
  constexpr std::size_t octets_max = 8192;
  if (line.size() > octets_max) line.resize(octets_max);
  return line;
}

ExecCommand::ExecCommand(CLI::App& app)
    : command_(app.add_subcommand("exec", "run exec commands and print what they say")) {
  command_->add_option("command", words_, "such as \"show crypto pki timers\"");
  command_->add_option("--socket", socket_, "the daemon's socket")
      ->envname("UMBRA_SOCKET")
      ->capture_default_str();
  command_->add_option("-f,--file", file_,
                       "the lines of this file (-: standard input) as they would be typed in a "
                       "session, up to the first that fails");
  command_->add_flag("--keep-going", keep_going_, "go on behind a line that fails");
}

int ExecCommand::run() const {
  if (file_.empty() == words_.empty()) {
    fmt::print(stderr, "umbra: exec needs a command, or --file FILE\n");
    return usage;
  }
  return file_.empty() ? one() : file();
}

int ExecCommand::one() const {
  umbra::io::ExecRequest request{sendable(fmt::format("{}", fmt::join(words_, " ")))};
  for (int asked = 0;; ++asked) {
    const auto reply = umbra::io::exec(socket_, request);
    if (!reply) {
      fmt::print(stderr, "umbra: {}\n", reply.error().detail);
      return no_daemon;
    }
    if (refused(*reply)) return no_daemon;
    print(reply->output);
    if (reply->ask.empty()) return reply->ok ? 0 : failed;
    if (asked == questions_max) {
      fmt::print("\n{}", unanswered);
      return failed;
    }
    request.input = asked_for(reply->ask);
  }
}

int ExecCommand::file() const {
  std::ifstream opened;
  if (file_ != "-") opened.open(file_);
  std::istream& lines = file_ == "-" ? std::cin : opened;
  std::error_code ignored;
  if (!lines || (file_ != "-" && std::filesystem::is_directory(file_, ignored))) {
    fmt::print(stderr, "umbra: {} cannot be read\n", file_);
    return usage;
  }
  const auto link = umbra::io::ExecLink::open(socket_);
  if (!link) {
    fmt::print(stderr, "umbra: {}\n", link.error().detail);
    return no_daemon;
  }
  (*link)->on_log([](const std::string& logged) { print(logged); });
  int status = 0;
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    const auto reply = (*link)->ask({sendable(line), {}, umbra::io::ExecRequest::What::say});
    if (!reply) {
      fmt::print(stderr, "umbra: {}:{}: {}\n", file_, number, reply.error().detail);
      return no_daemon;
    }
    if (refused(*reply)) return no_daemon;
    print(reply->output);
    // Nobody is there to answer.
    if (!reply->ok || !reply->ask.empty()) {
      fmt::print(stderr, "umbra: {}:{}: {}\n", file_, number,
                 reply->ok ? "the command asks something back: say it with umbra exec"
                           : "the command failed");
      status = failed;
      if (!keep_going_) return status;
    }
    if (reply->over) break;
  }
  return status;
}
