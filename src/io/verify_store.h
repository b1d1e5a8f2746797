#pragma once

#include <string>

#include "verify/verify.h"

namespace umbra::io {

/// `umbra verify`: what lies in a data directory, whether a daemon runs on it or not. Changes
/// nothing. In: `passphrase_file` as umbrad's. Errors: what cannot even be opened.
[[nodiscard]] Result<verify::Report> verify_store(const std::string& data_directory,
                                                  const std::string& passphrase_file);

}  // namespace umbra::io
