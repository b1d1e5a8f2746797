#pragma once

#include <string>

/// `umbra` without a command: a session with a running umbrad, on a terminal with line editing,
/// history, `?`, Tab and pages; without a terminal, lines of standard input one after another.
/// Out: 0, or 3 if no daemon answers.
[[nodiscard]] int run_console(const std::string& socket);
