#pragma once

#include <string>

#include "base/result.h"

namespace umbra::store {

/// A copy of a database as it is at one moment, while others go on writing to it. In: `to` = a file
/// that is not there yet, made with mode 0600. Errors: storage, and nothing is left behind.
[[nodiscard]] Result<void> snapshot(const std::string& path, const std::string& to);

}  // namespace umbra::store
