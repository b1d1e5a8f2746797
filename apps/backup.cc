#include "backup.h"

#include <fmt/format.h>

#include <cstdio>

#include "io/clock.h"
#include "io/random.h"

namespace {

constexpr const char* default_data = "/var/lib/umbra";

int end(const char* name, const umbra::Result<std::string>& done) {
  if (done) {
    fmt::print("{}", *done);
    return 0;
  }
  fmt::print(stderr, "umbra {0}: {1}\numbra {0}: nothing was done\n", name, done.error().detail);
  return 1;
}

}  // namespace

BackupCommand::BackupCommand(CLI::App& app)
    : command_(app.add_subcommand("backup",
                                  "the data directory in one encrypted file, while umbrad runs")) {
  what_.data_directory = default_data;
  command_->add_option("--data", what_.data_directory, "umbrad's data directory")
      ->capture_default_str();
  command_->add_option("--config", what_.configuration,
                       "umbrad's configuration, to be kept with it");
  command_->add_option("--to", what_.to, "the backup; a new file")->required();
  command_
      ->add_option("--passphrase-file", what_.passphrase_file,
                   "what the backup is encrypted with, in its first line; keep it elsewhere")
      ->required();
}

int BackupCommand::run() const { return end("backup", umbra::io::backup(what_)); }

RestoreCommand::RestoreCommand(CLI::App& app)
    : command_(app.add_subcommand(
          "restore",
          "a backup into an empty data directory; verified, and beyond every serial "
          "number that was used since")) {
  what_.data_directory = default_data;
  command_->add_option("--from", what_.from, "the backup")->required();
  command_->add_option("--data", what_.data_directory, "umbrad's data directory, empty or missing")
      ->capture_default_str();
  command_->add_option("--config", what_.configuration,
                       "where the configuration goes; a new file (DATA/restored.conf)");
  command_
      ->add_option("--passphrase-file", what_.passphrase_file,
                   "what the backup is encrypted with, in its first line")
      ->required();
  command_->add_option("--seal-passphrase-file", what_.seal_file,
                       "what seals the keys, if it is not in the backup: umbrad's "
                       "--passphrase-file");
  command_->add_option("--crl", what_.crls,
                       "a CRL published after the backup was taken, in DER: what it revokes is "
                       "revoked; may be repeated");
  command_->add_flag("--unsound", what_.unsound, "even if it does not verify");
}

int RestoreCommand::run() const {
  umbra::io::OsRandom random;
  return end("restore",
             umbra::io::restore(what_, random, umbra::to_time(umbra::io::SystemClock(true).now())));
}
