#pragma once

#include <CLI/CLI.hpp>

#include "io/backup.h"

/// `umbra backup`: a data directory in one sealed file, while umbrad runs.
class BackupCommand {
 public:
  explicit BackupCommand(CLI::App& app);
  [[nodiscard]] bool chosen() const { return static_cast<bool>(*command_); }
  /// 0 done, 1 not, and why.
  [[nodiscard]] int run() const;

 private:
  CLI::App* command_;
  umbra::io::BackupCommand what_;
};

/// `umbra restore`: and back, where nothing is.
class RestoreCommand {
 public:
  explicit RestoreCommand(CLI::App& app);
  [[nodiscard]] bool chosen() const { return static_cast<bool>(*command_); }
  /// 0 done, 1 not, and why: nothing is there then.
  [[nodiscard]] int run() const;

 private:
  CLI::App* command_;
  umbra::io::RestoreCommand what_;
};
