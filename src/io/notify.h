#pragma once

#include <string_view>

namespace umbra::io {

/// sd_notify(3): tells the service manager, if one listens at $NOTIFY_SOCKET. Never fails loudly:
/// nobody may be there.
void notify(std::string_view state);

}  // namespace umbra::io
