#include "status.h"

#include <fmt/format.h>

#include <chrono>

#include "console/health.h"
#include "io/exec_socket.h"

StatusCommand::StatusCommand(CLI::App& app)
    : command_(app.add_subcommand(
          "status", "OK, WARNING or CRITICAL, for monitoring: exit status 0, 1, 2 (3: unknown)")) {
  command_->add_option("--socket", socket_, "the daemon's socket")
      ->envname("UMBRA_SOCKET")
      ->capture_default_str();
  auto* const trustpoint =
      command_->add_option("--trustpoint", trustpoint_, "of this trustpoint alone");
  command_->add_option("--server", server_, "of this certificate server alone")
      ->excludes(trustpoint);
  command_->add_option("--timeout", timeout_, "seconds to wait for the daemon's answer")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
}

int StatusCommand::run() const {
  std::string line = "show crypto pki status";
  if (!trustpoint_.empty()) line += " trustpoint " + trustpoint_;
  if (!server_.empty()) line += " server " + server_;
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(timeout_));
  const auto reply = umbra::io::exec(socket_, {line, {}}, patience);
  if (!reply) {
    fmt::print("CRITICAL - {}\n", reply.error().detail);
    return critical;
  }
  if (!reply->ok) {
    fmt::print("UNKNOWN - {}", reply->output.empty() ? "\n" : reply->output);
    return unknown;
  }
  if (reply->output.empty()) {
    fmt::print("UNKNOWN - neither a certificate server nor a trustpoint is configured\n");
    return unknown;
  }
  fmt::print("{}", reply->output);
  return static_cast<int>(umbra::console::worst_of(reply->output));
}
