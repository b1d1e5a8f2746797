#pragma once

#include <string>

#include "base/result.h"

namespace umbra::io {

/// From root to this user for good: his groups, none of root's rights but that to listen on ports
/// below 1024, which a changed configuration may need at any time, and which no program inherits
/// that is started from here. A data directory that is not there is made, as his.
/// While there is one thread, before anything is read.
/// Errors: not_found (no such user); storage (this is not root, or the kernel refuses).
[[nodiscard]] Result<void> become(const std::string& user, const std::string& data_directory);

}  // namespace umbra::io
