#pragma once

#include <span>

#include "config/grammar.h"

namespace umbra::config {

/// Every configuration command, once. The order within a mode is the order of the running
/// configuration.
[[nodiscard]] std::span<const Command> command_table();

/// The table compiled, one grammar per mode; made at first use.
[[nodiscard]] const Grammar& grammar(Mode mode);

}  // namespace umbra::config
