#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace umbra::io {

struct ImportCommand {
  std::string directory;        ///< with the files of the IOS certificate server
  std::string passphrase_file;  ///< of the archives; empty = asked for on the terminal
  std::string data_directory;
  std::string seal_file;  ///< as umbrad's --passphrase-file
  std::vector<std::string> names;
  bool without_crl = false;
  std::string last_serial;  ///< hexadecimal; empty = NAME.ser tells
};

/// `umbra import ios`: reads the directory, puts what it finds into the store of the data directory
/// (made if missing), and tells. All of it or, on an error, nothing. Out: what it has to say.
/// Errors: conflict (a daemon runs on the data directory; a server of that name is there), and what
/// server::import_ios says.
[[nodiscard]] Result<std::string> import_ios(const ImportCommand& command);

}  // namespace umbra::io
