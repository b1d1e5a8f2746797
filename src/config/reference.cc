#include "config/reference.h"

#include <fmt/format.h>

namespace umbra::config {
namespace {

std::string_view effect(const Command& command) {
  if (command.flags & Command::passed) return "Belongs to a pasted session; let pass.";
  if (command.flags & Command::action) {
    return "An action, not a setting: in a file it is named in the log and does nothing.";
  }
  if (command.flags & Command::opens || command.mode == Mode::exec || command.apply) return "";
  if (command.mode == Mode::chain) return "Kept and printed; not installed.";
  return "**Without effect**: accepted, kept in the running configuration, named in the log "
         "([why](deviations.md#commands-without-effect)).";
}

std::string default_of(const Command& command) {
  if (command.mode == Mode::exec || command.flags & (Command::action | Command::passed)) return "";
  const std::string_view text = command.otherwise;
  if (text.starts_with('[')) return fmt::format("Default: {}.", text.substr(1, text.size() - 2));
  return fmt::format("Default: `{}`.", text);
}

}  // namespace

std::vector<Word> words_of(const Command& command) {
  const Grammar compiled({&command, 1}, command.mode);
  std::vector<Word> words;
  for (const auto& word : compiled.commands().front().words) words.push_back(*word);
  return words;
}

std::string reference_of(std::span<const Command> table, Mode mode) {
  std::string out;
  for (const Command& command : table) {
    if (command.mode != mode) continue;
    out += fmt::format("### `{}`\n\n", plain_syntax(command));
    const std::string otherwise = default_of(command);
    const std::string_view what = effect(command);
    if (!otherwise.empty() || !what.empty()) {
      out +=
          fmt::format("{}{}{}\n\n", otherwise, otherwise.empty() || what.empty() ? "" : " ", what);
    }
    out += "| Word | Meaning |\n|---|---|\n";
    for (const Word& word : words_of(command)) {
      const std::string name = word.kind == WordKind::number
                                   ? fmt::format("{} {}-{}", word.text, word.low, word.high)
                                   : word.text;
      out += fmt::format("| `{}` | {} |\n", name, word.help);
    }
    out += "\n";
  }
  return out;
}

std::string command_reference() {
  struct Section {
    Mode mode;
    std::string_view title;
  };
  static constexpr Section sections[] = {
      {Mode::global, "Global commands"},
      {Mode::server, "`crypto pki server NAME`"},
      {Mode::trustpoint, "`crypto pki trustpoint NAME`"},
      {Mode::profile, "`crypto pki profile enrollment NAME`"},
      {Mode::chain, "`crypto pki certificate chain NAME`"},
  };
  std::string out =
      "# Configuration commands\n\n"
      "Made from the command table; the tests compare the two.\n\n"
      "Words may be shortened while they stay unique. `[ ]` may be left out, `{a|b}` is a choice. "
      "`no COMMAND` and\n`default COMMAND` take a setting back. A line that is no command of the "
      "submode but a global one leaves the\nsubmode; so do `exit` and `end`. `!` begins a "
      "comment.\n\n";
  for (const Section& section : sections) {
    out += fmt::format("## {}\n\n", section.title);
    out += reference_of(command_table(), section.mode);
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace umbra::config
