#pragma once

#include <string>

namespace umbra::io {

struct DaemonOptions {
  std::string config_path;
  std::string data_directory;
  std::string socket_path;      ///< empty = DATA/umbra.sock
  std::string time_lapse;       ///< START@SPEED[@ANCHOR]; empty = the system's clock
  std::string passphrase_file;  ///< empty = systemd's credential, or DATA/passphrase
  std::string user;             ///< to become, from root; empty = whoever this is
  std::string version;
  bool check = false;  ///< read the configuration, say what is wrong, and end
  bool debug = false;
};

/// Exit statuses of umbrad.
enum class DaemonExit : int { stopped = 0, failed = 1, bad_configuration = 2 };

/// Runs every certificate server and trustpoint of one configuration file until SIGTERM or SIGINT.
[[nodiscard]] DaemonExit run_daemon(const DaemonOptions& options);

}  // namespace umbra::io
