#pragma once

#include <CLI/CLI.hpp>
#include <string>

/// `umbra status`: is everything as it should be? One line for each server and trustpoint, and an
/// exit status as monitoring plugins (Nagios, Icinga, Zabbix) have it.
class StatusCommand {
 public:
  static constexpr int critical = 2;
  static constexpr int unknown = 3;  ///< there is no such name, or the command line is wrong

  explicit StatusCommand(CLI::App& app);
  [[nodiscard]] bool chosen() const { return static_cast<bool>(*command_); }
  /// 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: the worst of all lines. A daemon that does not answer
  /// is CRITICAL: nothing is renewed while it is away.
  [[nodiscard]] int run() const;

 private:
  CLI::App* command_;
  std::string socket_ = "/run/umbra/umbra.sock";
  std::string trustpoint_;
  std::string server_;
  double timeout_ = 10;
};
