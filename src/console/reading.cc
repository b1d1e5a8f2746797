#include "console/reading.h"

#include <fmt/format.h>

#include <algorithm>

namespace umbra::console {

using config::Outcome;
using config::Verdict;
using config::WordKind;

std::string invalid_at(std::string_view line, std::size_t at, std::optional<std::size_t> indent) {
  constexpr std::string_view said = "% Invalid input detected at '^' marker.";
  if (indent) return fmt::format("{}^\n{}\n", std::string(*indent + at, ' '), said);
  return fmt::format("{}\n{}^\n{}\n", line, std::string(at, ' '), said);
}

std::string misread(std::string_view line, std::span<const config::Token> tokens,
                    const Outcome& outcome, std::optional<std::size_t> indent) {
  if (outcome.verdict == Verdict::ambiguous)
    return fmt::format("% Ambiguous command:  \"{}\"\n", line);
  if (outcome.verdict == Verdict::incomplete) return "% Incomplete command.\n";
  const std::size_t at = outcome.token < tokens.size() ? tokens[outcome.token].offset : line.size();
  std::string out = invalid_at(line, at, indent);
  // A letter that only looks like one cannot be seen in the line.
  const bool foreign =
      outcome.token < tokens.size() &&
      std::any_of(tokens[outcome.token].text.begin(), tokens[outcome.token].text.end(),
                  [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  if (foreign) out += "%  expected: a command in ASCII letters\n";
  return out;
}

namespace {

/// Whether an argument may still come of what is typed of it.
bool may_become(const config::Word& word, const std::string& typed) {
  if (word.kind == WordKind::url || word.kind == WordKind::ip) return true;
  if (word.kind == WordKind::number && word.low >= 0) {
    // More figures make it no smaller.
    config::Word from_nothing;
    from_nothing.kind = WordKind::number;
    from_nothing.high = word.high;
    return !config::why_not(from_nothing, typed);
  }
  return !config::why_not(word, typed);
}

}  // namespace

Choices choices(const config::Grammar& grammar, std::string_view line, std::size_t from,
                bool reset) {
  Choices out;
  std::vector<config::Token> tokens = config::tokenize(line);
  if (!line.empty() && line.back() != ' ' && tokens.size() > from) {
    out.begun = config::lower(tokens.back().text);
    tokens.pop_back();
  }
  std::vector<const config::Word*> words;
  bool complete = false;
  if (tokens.size() <= from) {
    for (const auto& compiled : grammar.commands()) {
      if (reset && (compiled.command->flags & (config::Command::passed | config::Command::action)))
        continue;
      for (const std::size_t first : compiled.first) words.push_back(compiled.words[first].get());
    }
  } else {
    Outcome outcome = grammar.match(line, std::span(tokens).subspan(from), reset);
    if (outcome.verdict != Verdict::matched && outcome.verdict != Verdict::incomplete) {
      outcome.token += from;
      out.wrong = misread(line, tokens, outcome);
      return out;
    }
    words = outcome.expected;
    complete = outcome.verdict == Verdict::matched;
    // Free text goes on to the end of the line.
    if (const auto& all = outcome.match.captures;
        complete && !all.empty() && all.back().word->takes_the_rest())
      words.push_back(all.back().word);
  }
  for (const config::Word* word : words) {
    const bool keyword = word->kind == WordKind::keyword;
    if (!out.begun.empty() &&
        !(keyword ? word->text.starts_with(out.begun) : may_become(*word, out.begun)))
      continue;
    std::string name = word->text;
    if (word->kind == WordKind::number) name = fmt::format("<{}-{}>", word->low, word->high);
    if (std::none_of(out.all.begin(), out.all.end(),
                     [&](const Choice& c) { return c.text == name; }))
      out.all.push_back({std::move(name), word->help, keyword});
  }
  std::sort(out.all.begin(), out.all.end(),
            [](const Choice& a, const Choice& b) { return a.text < b.text; });
  if (complete && out.begun.empty()) out.all.push_back({"<cr>", "", false});
  return out;
}

std::string help_screen(const Choices& choices) {
  if (!choices.wrong.empty()) return choices.wrong;
  if (choices.all.empty()) return "% Unrecognized command\n";
  std::size_t width = 0;
  for (const Choice& one : choices.all) width = std::max(width, one.text.size());
  std::string out;
  for (const Choice& one : choices.all) {
    out += one.help.empty() ? fmt::format("  {}\n", one.text)
                            : fmt::format("  {:<{}}  {}\n", one.text, width, one.help);
  }
  return out;
}

std::string completion(const Choices& choices) {
  std::string common;
  bool first = true;
  std::size_t keywords = 0;
  for (const Choice& one : choices.all) {
    if (!one.keyword) continue;
    ++keywords;
    if (first) {
      common = one.text;
      first = false;
      continue;
    }
    const auto [ours, theirs] =
        std::mismatch(common.begin(), common.end(), one.text.begin(), one.text.end());
    common.erase(ours, common.end());
  }
  if (keywords == 0 || choices.begun.empty()) return "";
  std::string rest = common.substr(choices.begun.size());
  if (keywords == 1) rest += ' ';
  return rest;
}

}  // namespace umbra::console
