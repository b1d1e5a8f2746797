// umbra: commands to a running umbrad, tools for its data directory, and the plan.
//
//   umbra                                     a session
//   umbra check FILE...
//   umbra rehearse FILE... --clients 100000 --years 5
//   umbra exec "show crypto pki timers"
//   umbra exec -f FILE
//   umbra import ios DIRECTORY
//   umbra verify --data DIRECTORY
//   umbra audit verify --data DIRECTORY
//   umbra backup --data DIRECTORY --to FILE --passphrase-file FILE
//   umbra restore --from FILE --data DIRECTORY --passphrase-file FILE
//   umbra status [--trustpoint NAME | --server NAME]
//
// Exit status: 0 the command succeeded, 1 it failed, 2 the command line is wrong, 3 no daemon
// answers; `umbra status` exits as a monitoring plugin.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "backup.h"
#include "check.h"
#include "console.h"
#include "exec.h"
#include "io/import_ios.h"
#include "manual.h"
#include "rehearse.h"
#include "status.h"
#include "verify.h"

int main(int argc, char** argv) try {
  std::string socket = "/run/umbra/umbra.sock";
  umbra::io::ImportCommand import;
  CLI::App app("Umbra's console: commands to a running umbrad, and tools for its data directory");
  app.set_version_flag("--version", UMBRA_VERSION);
  app.require_subcommand(0, 1);
  app.add_option("--socket", socket, "the daemon's socket, for a session")
      ->envname("UMBRA_SOCKET")
      ->capture_default_str();
  std::string generate;
  app.add_option("--generate", generate, "prints umbra.1, umbra.conf.5, or bash's completion")
      ->check(CLI::IsMember({"umbra.1", "umbra.conf.5", "bash"}))
      ->group("");
  const CheckCommand check(app);
  const RehearseCommand rehearse(app);
  const StatusCommand status(app);
  const ExecCommand exec(app);
  const VerifyCommand verify(app);
  const AuditCommand audit(app);
  const BackupCommand backup(app);
  const RestoreCommand restore(app);
  auto* const import_from =
      app.add_subcommand("import", "move a certificate server of another system here");
  import_from->require_subcommand(1);
  auto* const ios = import_from->add_subcommand(
      "ios",
      "from the files that an IOS certificate server published: NAME.ser, NAME.crl, NAME.p12 "
      "or NAME.pem, SERIAL.cnm, SERIAL.crt");
  ios->add_option("directory", import.directory, "where these files are")->required();
  ios->add_option("--passphrase-file", import.passphrase_file,
                  "the archives' passphrase in its first line (asked for without it)");
  import.data_directory = "/var/lib/umbra";
  ios->add_option("--data", import.data_directory, "umbrad's data directory; made if missing")
      ->capture_default_str();
  ios->add_option("--seal-passphrase-file", import.seal_file,
                  "what seals the keys: umbrad's --passphrase-file (DATA/passphrase, made if "
                  "missing)");
  ios->add_option("--name", import.names, "this certificate server alone; may be repeated");
  ios->add_option("--last-serial", import.last_serial,
                  "the last serial number used, in hexadecimal, where NAME.ser is missing");
  ios->add_flag("--without-crl", import.without_crl,
                "go on without NAME.crl, although nobody is revoked then");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (app.exit(error) == 0) return 0;
    return status.chosen() ? StatusCommand::unknown : ExecCommand::usage;
  }
  if (!generate.empty()) {
    fmt::print("{}", generate == "bash"      ? bash_completion(app)
                     : generate == "umbra.1" ? umbra_manual(app, UMBRA_VERSION)
                                             : configuration_manual(UMBRA_VERSION));
    return 0;
  }
  if (check.chosen()) return check.run();
  if (rehearse.chosen()) return rehearse.run();
  if (status.chosen()) return status.run();
  if (exec.chosen()) return exec.run();
  if (verify.chosen()) return verify.run();
  if (audit.chosen()) return audit.run();
  if (backup.chosen()) return backup.run();
  if (restore.chosen()) return restore.run();
  if (*ios) {
    const auto done = umbra::io::import_ios(import);
    if (!done) {
      fmt::print(stderr, "umbra: {}\numbra: nothing was imported\n", done.error().detail);
      return 1;
    }
    fmt::print("{}", *done);
    return 0;
  }
  return run_console(socket);
} catch (const std::exception& error) {
  std::fputs("umbra: ", stderr);
  std::fputs(error.what(), stderr);
  std::fputs("\n", stderr);
  return 1;
}
