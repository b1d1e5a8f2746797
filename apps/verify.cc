#include "verify.h"

#include <fmt/format.h>

#include <cstdio>

#include "io/audit_log.h"
#include "io/verify_store.h"

VerifyCommand::VerifyCommand(CLI::App& app)
    : command_(app.add_subcommand(
          "verify",
          "check what a data directory holds: chains, serial numbers, keys, CRLs, "
          "requests; changes nothing, with umbrad or without")) {
  command_->add_option("--data", data_, "umbrad's data directory")->capture_default_str();
  command_->add_option("--passphrase-file", passphrase_file_,
                       "what seals the keys: umbrad's --passphrase-file (DATA/passphrase, if it is "
                       "there; without one the keys stay closed)");
  command_->add_flag("--json", json_, "print JSON");
}

namespace {

constexpr int unreadable = 2;

}  // namespace

int VerifyCommand::run() const {
  const auto report = umbra::io::verify_store(data_, passphrase_file_);
  if (!report) {
    fmt::print(stderr, "umbra verify: {}\n", report.error().detail);
    return unreadable;
  }
  fmt::print("{}", json_ ? umbra::verify::to_json(*report, data_)
                         : umbra::verify::to_text(*report, data_));
  return report->errors == 0 ? 0 : 1;
}

AuditCommand::AuditCommand(CLI::App& app) : command_(nullptr) {
  auto* const audit = app.add_subcommand("audit", "the audit log of a data directory");
  audit->require_subcommand(1);
  command_ = audit->add_subcommand(
      "verify",
      "find lines that were changed, removed, moved or cut off, and signatures that are "
      "not the CA's");
  command_->add_option("--data", data_, "umbrad's data directory")->capture_default_str();
  command_->add_flag("--json", json_, "print JSON");
}

int AuditCommand::run() const {
  bool unbroken = false;
  const auto told = umbra::io::verify_audit(data_, json_, unbroken);
  if (!told) {
    fmt::print(stderr, "umbra audit verify: {}\n", told.error().detail);
    return unreadable;
  }
  fmt::print("{}", *told);
  return unbroken ? 0 : 1;
}
