#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/grammar.h"

namespace umbra::console {

/// Every exec command, once, as data: the same kind of table the configuration has.
[[nodiscard]] std::span<const config::Command> exec_table();
[[nodiscard]] const config::Grammar& exec_grammar();
/// What is said in a session alone.
[[nodiscard]] std::span<const config::Command> session_table();
/// The same, and what only a session has: `exit`, `terminal length`.
[[nodiscard]] const config::Grammar& session_grammar();
/// What is typed in global configuration mode: its commands, and the exec commands that IOS has
/// there too (`crypto pki authenticate`), which are flagged as actions.
[[nodiscard]] const config::Grammar& configuration_grammar();
/// Exec commands of that kind that begin with `no`.
[[nodiscard]] const config::Grammar& configuration_no_grammar();
/// `show crypto ca certificates`: the older spelling that hands remember, as `crypto pki`. A line
/// that is no command by that, or is one without, stays as it is.
[[nodiscard]] std::string in_todays_words(std::string_view line);
/// docs/exec.md.
[[nodiscard]] std::string exec_reference();

}  // namespace umbra::console
