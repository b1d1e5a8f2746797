#pragma once

#include <CLI/CLI.hpp>
#include <string>

/// `umbra verify`: whether what a data directory holds is sound.
class VerifyCommand {
 public:
  explicit VerifyCommand(CLI::App& app);
  [[nodiscard]] bool chosen() const { return static_cast<bool>(*command_); }
  /// 0 no errors (warnings allowed), 1 errors found, 2 it cannot be looked at.
  [[nodiscard]] int run() const;

 private:
  CLI::App* command_;
  std::string data_ = "/var/lib/umbra";
  std::string passphrase_file_;
  bool json_ = false;
};

/// `umbra audit verify`: whether the audit log is what was written.
class AuditCommand {
 public:
  explicit AuditCommand(CLI::App& app);
  [[nodiscard]] bool chosen() const { return static_cast<bool>(*command_); }
  /// As VerifyCommand.
  [[nodiscard]] int run() const;

 private:
  CLI::App* command_;
  std::string data_ = "/var/lib/umbra";
  bool json_ = false;
};
