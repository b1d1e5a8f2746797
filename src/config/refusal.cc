#include <algorithm>

#include <fmt/format.h>

#include "config/command_table.h"
#include "config/document.h"
#include "config/look_alike.h"

namespace umbra::config {
namespace {

/// The word closest to what was typed, at most a third of it away.
std::string nearest(std::string_view typed, const std::vector<std::string_view>& words) {
  std::size_t best = std::max<std::size_t>(1, typed.size() / 3) + 1;
  std::string_view found;
  for (const std::string_view word : words) {
    const std::size_t distance = edit_distance(typed, word);
    if (distance < best) {
      best = distance;
      found = word;
    }
  }
  return std::string(found);
}

/// The block a line would be right in.
std::string_view elsewhere(std::string_view line, const Reading& reading, Mode current) {
  std::span<const Token> words(reading.tokens);
  if (reading.no) words = words.subspan(1);
  const auto right_in = [&](Mode mode) {
    return mode != current &&
           grammar(mode).match(line, words, reading.no).verdict == Verdict::matched;
  };
  if (words.empty()) return "";
  if (right_in(Mode::server)) return "this is a command of crypto pki server NAME";
  if (right_in(Mode::trustpoint)) return "this is a command of crypto pki trustpoint NAME";
  if (right_in(Mode::profile)) return "this is a command of crypto pki profile enrollment NAME";
  return "";
}

struct Words {
  std::vector<std::string> described;
  std::vector<std::string_view> keywords;
};

Words expected_words(const Outcome& outcome) {
  Words words;
  for (const Word* word : outcome.expected) {
    std::string text = describe(*word);
    if (std::find(words.described.begin(), words.described.end(), text) == words.described.end()) {
      words.described.push_back(std::move(text));
    }
    if (word->kind == WordKind::keyword) words.keywords.push_back(word->text);
  }
  return words;
}

/// The submode the line would open if the wrong word were the one that was meant.
std::optional<Mode> opened_by(std::string_view line, const Token& wrong, std::string_view meant) {
  std::string mended(line);
  mended.replace(wrong.offset, wrong.text.size(), meant);
  const Outcome again = grammar(Mode::global).match(mended, tokenize(mended));
  if (again.verdict != Verdict::matched || !(again.match.command->flags & Command::opens)) {
    return std::nullopt;
  }
  return again.match.command->submode;
}

}  // namespace

Refusal refuse_line(std::string_view line, std::size_t number, const Reading& reading,
                    Mode current) {
  const Outcome& outcome = reading.outcome;
  const std::vector<Token>& tokens = reading.tokens;
  const std::string hidden = hide_secrets(line);
  const std::vector<Token> shown = tokenize(hidden);
  // What is quoted may be a secret in the wrong place. Only a prompt's word differs in number.
  const auto quoted = [&](std::size_t index) -> std::string_view {
    const bool aligned = shown.size() == tokens.size() && index > 0;
    return aligned ? shown[index].text : tokens[index].text;
  };
  Words words = expected_words(outcome);
  const std::size_t first = reading.no ? 1 : 0;
  const bool past_end = outcome.token >= tokens.size();
  const std::size_t offset =
      past_end ? line.find_last_not_of(" \t") + 2 : tokens[outcome.token].offset;
  std::string what;
  std::string hint = "expected: " + list(words.described);
  std::string meant;
  if (past_end || outcome.verdict == Verdict::incomplete) {
    what = "incomplete command";
    if (outcome.token == first) hint = fmt::format("expected: {}", describe(reading.mode));
  } else if (outcome.verdict == Verdict::ambiguous) {
    what = fmt::format("\"{}\" is short for several words", quoted(outcome.token));
  } else if (outcome.verdict == Verdict::wrong) {
    what = outcome.reason;
  } else if (outcome.verdict == Verdict::too_much) {
    what = fmt::format("\"{}\" is too much", quoted(outcome.token));
    hint = "expected: the end of the line";
  } else {
    const bool command = outcome.token == first;
    what = fmt::format("unknown {} \"{}\"", command ? "command" : "word", quoted(outcome.token));
    if (command) {
      hint = fmt::format("expected: {}", describe(reading.mode));
      if (reading.mode != Mode::global) {
        for (const auto& compiled : grammar(Mode::global).commands()) {
          words.keywords.push_back(compiled.words.front()->text);
        }
      }
    }
    meant = nearest(lower(tokens[outcome.token].text), words.keywords);
    if (const std::string_view other = elsewhere(line, reading, current); !other.empty()) {
      hint += fmt::format("; {}", other);
    } else if (!meant.empty()) {
      hint += fmt::format("; did you mean \"{}\"?", meant);
    }
  }
  Refusal refusal{make_fault(number, line, offset, std::move(what), std::move(hint)), std::nullopt};
  if (outcome.opener) {
    refusal.opens = outcome.opener->submode;
  } else if (!meant.empty() && !reading.no) {
    refusal.opens = opened_by(line, tokens[outcome.token], meant);
  }
  return refusal;
}

}  // namespace umbra::config
