#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

/// `umbra check FILE...`: what configurations will come to, before anything runs.
class CheckCommand {
 public:
  explicit CheckCommand(CLI::App& app);
  [[nodiscard]] bool chosen() const { return static_cast<bool>(*command_); }
  /// The exit status: 0 no errors (warnings allowed), 1 errors found, 2 a file is unreadable or
  /// faulty, or the command line wrong.
  [[nodiscard]] int run() const;

 private:
  CLI::App* command_;
  std::vector<std::string> paths_;
  std::vector<std::string> server_urls_;
  std::string timeline_;
  std::string start_;
  std::string enrolled_;
  double grant_days_ = 3;
  double outage_hours_ = 24;
  double clock_minutes_ = 5;
  double enrol_day_ = 0;
  std::size_t clients_ = 0;
  bool json_ = false;
  bool sarif_ = false;
  bool strict_ = false;
};
