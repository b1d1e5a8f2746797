#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "rehearse/report.h"

/// `umbra rehearse FILE...`: plays years of servers and devices, before anything runs.
class RehearseCommand {
 public:
  explicit RehearseCommand(CLI::App& app);
  [[nodiscard]] bool chosen() const { return static_cast<bool>(*command_); }
  /// The exit status: 0 nobody went dark, 1 somebody did, 2 a file is unreadable or faulty, or the
  /// command line wrong.
  [[nodiscard]] int run() const;

 private:
  using Told = umbra::rehearse::Circumstances;

  /// What the options mean; a complaint, or nothing.
  [[nodiscard]] std::string read(umbra::rehearse::Scenario& scenario, Told& told) const;
  [[nodiscard]] std::string read_faults(umbra::rehearse::Scenario& scenario, Told& told) const;
  [[nodiscard]] int tell_story(const umbra::rehearse::Scenario& scenario, const Told& told) const;

  CLI::App* command_;
  std::vector<std::string> paths_;
  std::vector<std::string> server_urls_;
  std::vector<std::string> outages_;
  std::vector<double> restarts_;
  std::string start_ = "2026-01-01T00:00:00Z";
  std::string enrolled_ = "0-365";
  std::string switched_off_;
  std::string grants_ = "0-3";
  std::string cancel_;
  double years_ = 5;
  double loss_ = 0;
  double clock_error_ = 0;
  std::uint64_t seed_ = 1;
  std::size_t clients_ = 0;
  unsigned threads_ = 0;
  CLI::Option* client_option_ = nullptr;
  std::size_t client_ = 0;
  std::string html_;
  bool json_ = false;
};
