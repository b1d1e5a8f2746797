#include "verify.h"

#include <fmt/format.h>

#include <cstdio>

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

int VerifyCommand::run() const {
  constexpr int unreadable = 2;
  const auto report = umbra::io::verify_store(data_, passphrase_file_);
  if (!report) {
    fmt::print(stderr, "umbra verify: {}\n", report.error().detail);
    return unreadable;
  }
  fmt::print("{}", json_ ? umbra::verify::to_json(*report, data_)
                         : umbra::verify::to_text(*report, data_));
  return report->errors == 0 ? 0 : 1;
}
