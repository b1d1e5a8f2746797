// umbrad: the daemon. Reads its command line and runs.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "io/daemon.h"
#include "manual.h"

int main(int argc, char** argv) try {
  umbra::io::DaemonOptions options;
  options.version = UMBRA_VERSION;
  CLI::App app(
      "Umbra's daemon: certificate servers and trustpoints of one IOS configuration file, in the "
      "foreground");
  app.set_version_flag("--version", UMBRA_VERSION);
  app.add_option("--config", options.config_path, "configuration file, IOS syntax")->required();
  auto* const data = app.add_option("--data", options.data_directory,
                                    "data directory: database, keys, archives; made if missing");
  app.add_option("--socket", options.socket_path, "the console's socket (DATA/umbra.sock)");
  app.add_option("--time-lapse", options.time_lapse,
                 "START@SPEED[@ANCHOR]: begin at START (2015-10-09T12:14:16Z) and run SPEED times "
                 "as fast; never for real devices");
  app.add_option("--passphrase-file", options.passphrase_file,
                 "what seals the keys ($CREDENTIALS_DIRECTORY/umbra-passphrase, or "
                 "DATA/passphrase, made at the first start)");
  app.add_option(
      "--user", options.user,
      "started as root: become this user, with nothing of root's but the right to listen "
      "on port 80");
  auto* const check = app.add_flag("--check", options.check,
                                   "read the configuration, say what is wrong with it, and end");
  app.add_flag("--debug", options.debug, "log what `debug crypto pki ...` shows on IOS");
  app.add_flag_callback("--generate-manual",
                        [&app] {
                          std::fputs(program_manual(app, "umbrad", "8", UMBRA_VERSION).c_str(),
                                     stdout);
                          throw CLI::Success();
                        })
      ->trigger_on_parse()
      ->group("");
  try {
    app.parse(argc, argv);
    if (!*check && !*data) throw CLI::RequiredError("--data");
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : static_cast<int>(umbra::io::DaemonExit::bad_configuration);
  }
  return static_cast<int>(umbra::io::run_daemon(options));
} catch (const std::exception& error) {
  std::fputs("umbrad: ", stderr);
  std::fputs(error.what(), stderr);
  std::fputs("\n", stderr);
  return 1;
}
