#include "config/grammar.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/assert.h"

namespace umbra::config {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::int32_t> to_number(std::string_view text) {
  std::int32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || text.empty()) return std::nullopt;
  return value;
}

/// What Glushkov's construction knows of a part of the syntax.
struct Part {
  bool nullable = true;
  std::vector<std::size_t> first;
  std::vector<std::size_t> last;
};

void append(std::vector<std::size_t>& to, const std::vector<std::size_t>& from) {
  for (const std::size_t i : from) {
    if (std::find(to.begin(), to.end(), i) == to.end()) to.push_back(i);
  }
}

class SyntaxReader {
 public:
  SyntaxReader(Grammar::Compiled& out, std::string_view syntax, std::string_view help)
      : out_(out), rest_(syntax), help_(help) {}

  void read() {
    const Part whole = sequence();
    UMBRA_ENSURE(rest_.empty(), "unbalanced brackets in a command's syntax");
    UMBRA_ENSURE(!whole.nullable, "a command without words");
    out_.first = whole.first;
    out_.last.assign(out_.words.size(), false);
    for (const std::size_t i : whole.last) out_.last[i] = true;
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip_blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  Part sequence() {
    Part all;
    for (;;) {
      skip_blanks();
      if (rest_.empty() || rest_.front() == ']' || rest_.front() == '}' || rest_.front() == '|') {
        return all;
      }
      Part next = element();
      if (rest_.starts_with("...")) {
        rest_.remove_prefix(3);
        for (const std::size_t i : next.last) append(out_.follow[i], next.first);
      }
      for (const std::size_t i : all.last) append(out_.follow[i], next.first);
      if (all.nullable) append(all.first, next.first);
      if (next.nullable) {
        append(all.last, next.last);
      } else {
        all.last = next.last;
      }
      all.nullable = all.nullable && next.nullable;
    }
  }

  Part element() {
    if (take('[')) {
      Part inside = choice();
      UMBRA_ENSURE(take(']'), "an optional part without its end");
      inside.nullable = true;
      return inside;
    }
    if (take('{')) {
      Part inside = choice();
      UMBRA_ENSURE(take('}'), "a choice without its end");
      return inside;
    }
    return word();
  }

  Part choice() {
    Part any;
    any.nullable = false;
    do {
      const Part one = sequence();
      any.nullable = any.nullable || one.nullable;
      append(any.first, one.first);
      append(any.last, one.last);
    } while (take('|'));
    return any;
  }

  Part word() {
    const std::size_t end = std::min(rest_.find_first_of(" ]}|"), rest_.size());
    std::string_view text = rest_.substr(0, end);
    if (const auto dots = text.find("..."); dots != std::string_view::npos) {
      text = text.substr(0, dots);
    }
    rest_.remove_prefix(text.size());
    auto made = std::make_unique<Word>();
    if (const auto colon = text.find(':'); colon == std::string_view::npos) {
      made->text = text;
    } else {
      made->text = text.substr(0, colon);
      set_type(*made, text.substr(colon + 1));
    }
    const std::size_t bar = std::min(help_.find('|'), help_.size());
    made->help = help_.substr(0, bar);
    help_.remove_prefix(std::min(bar + 1, help_.size()));
    const std::size_t index = out_.words.size();
    out_.words.push_back(std::move(made));
    out_.follow.emplace_back();
    return {false, {index}, {index}};
  }

  static void set_type(Word& word, std::string_view type) {
    struct Named {
      std::string_view name;
      WordKind kind;
    };
    static constexpr Named named[] = {{"word", WordKind::word},
                                      {"line", WordKind::line},
                                      {"secret", WordKind::secret},
                                      {"secret-line", WordKind::secret_line},
                                      {"url", WordKind::url},
                                      {"hex", WordKind::hex},
                                      {"hex-line", WordKind::hex_line},
                                      {"dn", WordKind::dn},
                                      {"ip", WordKind::ip}};
    for (const Named& one : named) {
      if (one.name == type) {
        word.kind = one.kind;
        return;
      }
    }
    const auto dash = type.find('-', 1);
    const auto low = to_number(type.substr(0, dash));
    const auto high = dash == std::string_view::npos ? low : to_number(type.substr(dash + 1));
    UMBRA_ENSURE(low && high, "an argument of unknown type in a command's syntax");
    word.kind = WordKind::number;
    word.low = *low;
    word.high = *high;
  }

  Grammar::Compiled& out_;
  std::string_view rest_;
  std::string_view help_;
};

std::size_t count_words(std::string_view text) { return tokenize(text).size(); }

/// One way the words so far can be read.
struct Thread {
  const Grammar::Compiled* compiled = nullptr;
  std::optional<std::size_t> at;  ///< the last word's index; nothing = before the first
  std::vector<Capture> captures;

  [[nodiscard]] const std::vector<std::size_t>& next() const {
    return at ? compiled->follow[*at] : compiled->first;
  }
  [[nodiscard]] bool complete() const { return at && compiled->last[*at]; }
};

struct Candidate {
  const Thread* thread;
  std::size_t index;
  [[nodiscard]] const Word& word() const { return *thread->compiled->words[index]; }
};

bool is_free(const Word& word) {
  return word.kind != WordKind::keyword && word.kind != WordKind::number;
}

/// The one command among the readings that opens a submode; nothing if there are several or none.
const Command* only_opener(const std::vector<Thread>& threads) {
  const Command* found = nullptr;
  for (const Thread& thread : threads) {
    if (!thread.at || !(thread.compiled->command->flags & Command::opens)) continue;
    if (found) return nullptr;
    found = thread.compiled->command;
  }
  return found;
}

}  // namespace

std::string_view describe(Mode mode) {
  switch (mode) {
    case Mode::global:
      return "a global command";
    case Mode::server:
      return "a certificate server command";
    case Mode::trustpoint:
      return "a trustpoint command";
    case Mode::chain:
      return "a certificate";
    case Mode::exec:
      return "a command";
    case Mode::profile:
      return "an enrollment profile command";
  }
  return "a command";
}

std::string describe(const Word& word) {
  if (word.kind == WordKind::keyword) return fmt::format("\"{}\"", word.text);
  if (word.kind == WordKind::number) {
    return fmt::format("{} ({}-{})", word.text, word.low, word.high);
  }
  return word.text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

std::vector<Token> tokenize(std::string_view line) {
  std::vector<Token> tokens;
  std::size_t i = 0;
  while (i < line.size()) {
    if (is_blank(line[i])) {
      ++i;
      continue;
    }
    const std::size_t start = i;
    while (i < line.size() && !is_blank(line[i])) ++i;
    tokens.push_back({line.substr(start, i - start), start});
  }
  return tokens;
}

bool Match::has(std::string_view keyword) const {
  return std::any_of(captures.begin(), captures.end(), [&](const Capture& c) {
    return c.word->kind == WordKind::keyword && c.word->text == keyword;
  });
}

const Capture* Match::find(std::string_view argument) const {
  const auto found = std::find_if(captures.begin(), captures.end(), [&](const Capture& c) {
    return c.word->kind != WordKind::keyword && c.word->text == argument;
  });
  return found == captures.end() ? nullptr : &*found;
}

std::string Match::text(std::string_view argument) const {
  const Capture* const found = find(argument);
  return found ? found->text : std::string{};
}

std::optional<std::int32_t> Match::number(std::string_view argument) const {
  const Capture* const found = find(argument);
  return found ? to_number(found->text) : std::nullopt;
}

std::optional<std::string> why_not(const Word& word, std::string_view text) {
  const auto hex = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  switch (word.kind) {
    case WordKind::keyword:
      return "";
    case WordKind::number: {
      const std::string_view figures = text.substr(word.low < 0 && text.starts_with('-') ? 1 : 0);
      if (figures.empty() || !std::all_of(figures.begin(), figures.end(), is_digit)) {
        return fmt::format("\"{}\" is not a number", text);
      }
      const auto value = to_number(text);
      if (!value || *value < word.low || *value > word.high) {
        return fmt::format("{} is out of range", text);
      }
      return std::nullopt;
    }
    case WordKind::hex:
    case WordKind::hex_line:
      if (std::all_of(text.begin(), text.end(), [&](char c) { return hex(c) || is_blank(c); })) {
        return std::nullopt;
      }
      return fmt::format("\"{}\" is not hexadecimal", text);
    case WordKind::url: {
      const auto colon = text.find(':');
      const bool scheme =
          colon != std::string_view::npos && colon > 0 &&
          std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon), [](char c) {
            return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                   c == '+' || c == '.';
          });
      if (scheme) return std::nullopt;
      return fmt::format("\"{}\" is not a URL", text);
    }
    case WordKind::ip: {
      int dots = 0;
      std::string_view rest = text;
      for (;;) {
        const auto dot = rest.find('.');
        const auto part = rest.substr(0, dot);
        const auto value = part.size() > 3 ? std::nullopt : to_number(part);
        if (!value || *value > 255) return fmt::format("\"{}\" is not an IPv4 address", text);
        if (dot == std::string_view::npos) break;
        ++dots;
        rest.remove_prefix(dot + 1);
      }
      if (dots != 3) return fmt::format("\"{}\" is not an IPv4 address", text);
      return std::nullopt;
    }
    case WordKind::word:
    case WordKind::line:
    case WordKind::secret:
    case WordKind::secret_line:
    case WordKind::dn:
      return std::nullopt;
  }
  return std::nullopt;
}

Grammar::Grammar(std::span<const Command> table, Mode mode) {
  for (const Command& command : table) {
    if (command.mode != mode) continue;
    Compiled& made = commands_.emplace_back();
    made.command = &command;
    SyntaxReader(made, command.syntax, command.help).read();
    // What opens a submode is taken back by its name: `no crypto pki server` alone is half a line.
    made.key_words = count_words(command.key) + (command.flags & Command::opens ? 1 : 0);
  }
}

Grammar::~Grammar() = default;

Outcome Grammar::match(std::string_view line, std::span<const Token> tokens, bool reset) const {
  Outcome outcome;
  std::vector<Thread> threads;
  threads.reserve(commands_.size());
  for (const Compiled& compiled : commands_) {
    // What is no setting has no `no` form, and must not make `no sh` ambiguous.
    if (reset && (compiled.command->flags & (Command::passed | Command::action))) continue;
    threads.push_back({&compiled, std::nullopt, {}});
  }

  std::size_t i = 0;
  while (i < tokens.size()) {
    const Token& token = tokens[i];
    const std::string typed = lower(token.text);
    std::vector<Candidate> possible;
    for (const Thread& thread : threads) {
      for (const std::size_t index : thread.next()) possible.push_back({&thread, index});
    }
    // A whole keyword wins over everything, then arguments of free form, then an abbreviation: a
    // trustpoint may be called `no`, and `regen` is no percentage.
    std::vector<Candidate> chosen;
    std::vector<Candidate> abbreviated;
    std::vector<Candidate> arguments;
    bool free_form = false;
    for (const Candidate& candidate : possible) {
      const Word& word = candidate.word();
      if (word.kind == WordKind::keyword) {
        if (word.text == typed) chosen.push_back(candidate);
        if (word.text.starts_with(typed)) abbreviated.push_back(candidate);
      } else {
        const std::string_view text =
            word.takes_the_rest() ? line.substr(token.offset) : token.text;
        if (!why_not(word, text)) {
          arguments.push_back(candidate);
          free_form = free_form || is_free(word);
        }
      }
    }
    if (chosen.empty()) {
      if (free_form || abbreviated.empty()) {
        chosen = arguments;
      } else {
        const std::string& text = abbreviated.front().word().text;
        if (std::any_of(abbreviated.begin(), abbreviated.end(),
                        [&](const Candidate& c) { return c.word().text != text; })) {
          outcome.verdict = Verdict::ambiguous;
          outcome.token = i;
          for (const Candidate& candidate : abbreviated) {
            outcome.expected.push_back(&candidate.word());
          }
          return outcome;
        }
        chosen = abbreviated;
      }
    }
    if (chosen.empty()) {
      outcome.token = i;
      for (const Candidate& candidate : possible) outcome.expected.push_back(&candidate.word());
      const bool done =
          std::any_of(threads.begin(), threads.end(), [](const Thread& t) { return t.complete(); });
      const bool only_arguments =
          !possible.empty() &&
          std::all_of(possible.begin(), possible.end(),
                      [](const Candidate& c) { return c.word().kind != WordKind::keyword; });
      if (possible.empty() && done) {
        outcome.verdict = Verdict::too_much;
      } else if (only_arguments) {
        outcome.verdict = Verdict::wrong;
        const Word& word = possible.front().word();
        outcome.reason =
            why_not(word, word.takes_the_rest() ? line.substr(token.offset) : token.text)
                .value_or("");
      } else {
        outcome.verdict = Verdict::unknown;
      }
      outcome.opener = only_opener(threads);
      return outcome;
    }
    // Several readings may go on side by side (`grant auto` and `grant auto trustpoint NAME`), but
    // a line argument ends the line.
    std::vector<Thread> moved;
    bool rest_taken = false;
    for (const Candidate& candidate : chosen) {
      const Word& word = candidate.word();
      Thread next = *candidate.thread;
      next.at = candidate.index;
      std::string_view text = token.text;
      if (word.kind == WordKind::keyword) {
        text = word.text;
      } else if (word.takes_the_rest()) {
        text = line.substr(token.offset);
        const std::size_t end = text.find_last_not_of(" \t");
        text = text.substr(0, end + 1);
        rest_taken = true;
      }
      next.captures.push_back({&word, std::string(text), token.offset});
      moved.push_back(std::move(next));
    }
    if (rest_taken && i + 1 < tokens.size()) {
      std::erase_if(moved,
                    [](const Thread& t) { return !t.captures.back().word->takes_the_rest(); });
    }
    threads = std::move(moved);
    if (rest_taken) break;
    ++i;
  }

  const Thread* found = nullptr;
  for (const Thread& thread : threads) {
    const bool far_enough = reset && thread.captures.size() >= thread.compiled->key_words &&
                            thread.compiled->key_words > 0;
    if (thread.at && (thread.complete() || far_enough)) {
      // Among readings that fit, the complete one is meant, then the first of the table.
      if (!found || (thread.complete() && !found->complete())) found = &thread;
    }
  }
  if (reset && found) {
    for (const Thread& thread : threads) {
      if (thread.at && !thread.complete() && !found->complete() &&
          thread.captures.size() >= thread.compiled->key_words &&
          thread.compiled->command->key != found->compiled->command->key) {
        found = nullptr;
        break;
      }
    }
  }
  if (found) {
    outcome.verdict = Verdict::matched;
    outcome.match.command = found->compiled->command;
    outcome.match.captures = found->captures;
    for (const Thread& thread : threads) {
      if (thread.captures.empty() || thread.captures.back().word->takes_the_rest()) continue;
      for (const std::size_t index : thread.next()) {
        outcome.expected.push_back(thread.compiled->words[index].get());
      }
    }
    return outcome;
  }
  outcome.verdict = Verdict::incomplete;
  outcome.token = tokens.size();
  for (const Thread& thread : threads) {
    for (const std::size_t index : thread.next()) {
      outcome.expected.push_back(thread.compiled->words[index].get());
    }
  }
  outcome.opener = only_opener(threads);
  return outcome;
}

std::string plain_syntax(const Command& command) {
  std::string out;
  std::string_view rest = command.syntax;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find_first_of(" []{}|"), rest.size());
    if (end == 0) {
      out += rest.front();
      rest.remove_prefix(1);
      continue;
    }
    const std::string_view word = rest.substr(0, end);
    const auto colon = word.find(':');
    out += word.substr(0, colon);
    if (colon != std::string_view::npos && word.ends_with("...")) out += " ...";
    rest.remove_prefix(end);
  }
  return out;
}

}  // namespace umbra::config
