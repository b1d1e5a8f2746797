#pragma once

#include <string>
#include <string_view>

namespace umbra::console {

/// Fit for a terminal: a question mark for every control character but the ends of lines and tabs,
/// C1 and those that turn the direction of writing included, and for what is no UTF-8.
[[nodiscard]] std::string terminal_text(std::string_view text);

}  // namespace umbra::console
