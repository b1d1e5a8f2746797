#pragma once

#include <string>

#include "base/result.h"

namespace umbra::io {

/// The first IPv4 address of an interface of this host, as the kernel lists them: 10.1.2.3. Opens
/// an IPv4 socket for it and no netlink one.
/// Errors: not_found (no such interface, it has none, or the kernel does not tell: says why).
[[nodiscard]] Result<std::string> ipv4_address_of(const std::string& interface);

}  // namespace umbra::io
