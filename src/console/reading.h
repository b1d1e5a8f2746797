#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/grammar.h"

/// What a line that is still being typed, or was typed wrong, comes to: `?`, Tab and the caret.
namespace umbra::console {

/// What may stand at the end of a line.
struct Choice {
  std::string text;  ///< the keyword, or NAME, <1-60>, <cr>, |
  std::string help;
  bool keyword = false;
};
struct Choices {
  std::vector<Choice> all;  ///< in the order of `?`; a begun keyword's are those it may become
  std::string begun;        ///< the word that the line ends with; empty behind a blank
  std::string wrong;        ///< not empty: the line is none up to there; what to say of it
};
/// In: `line` up to the cursor; the words of it from `from` on are matched with `grammar`.
/// `reset`: they stand behind `no` or `default`.
[[nodiscard]] Choices choices(const config::Grammar& grammar, std::string_view line,
                              std::size_t from, bool reset);
/// As `?` prints them.
[[nodiscard]] std::string help_screen(const Choices& choices);
/// What Tab adds to the line; empty if there are several ways, or none.
[[nodiscard]] std::string completion(const Choices& choices);

/// `% Invalid input ...`, `% Ambiguous command`, `% Incomplete command.` `indent`: the line stands
/// on the terminal already, behind a prompt of that length; nothing: it is printed again.
[[nodiscard]] std::string misread(std::string_view line, std::span<const config::Token> tokens,
                                  const config::Outcome& outcome,
                                  std::optional<std::size_t> indent = std::nullopt);
[[nodiscard]] std::string invalid_at(std::string_view line, std::size_t at,
                                     std::optional<std::size_t> indent = std::nullopt);

}  // namespace umbra::console
