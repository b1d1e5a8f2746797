#pragma once

#include <string>
#include <vector>

#include "config/command_table.h"

namespace umbra::config {

/// docs/commands.md: every configuration command with its words, default and effect, in Markdown.
[[nodiscard]] std::string command_reference();
/// Commands of one table as Markdown, in the table's order.
[[nodiscard]] std::string reference_of(std::span<const Command> table, Mode mode);

/// The words of a command's syntax in order, with their help.
[[nodiscard]] std::vector<Word> words_of(const Command& command);

}  // namespace umbra::config
