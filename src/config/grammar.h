#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace umbra::config {

class Setting;  // settings.h: one accepted command on its way into the typed configuration

/// Where a command is typed.
enum class Mode : std::uint8_t { global, server, trustpoint, chain, exec, profile };
/// "a global command", "a certificate server command" ...
[[nodiscard]] std::string_view describe(Mode mode);

/// One command, once, as data. Configuration, `no` forms, abbreviations, `?`, the running
/// configuration and the command reference all come from the table of these.
// In the order a row of the table is read in.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct Command {
  Mode mode;
  /// What it sets, in leading words of the command: a later command with the same key replaces the
  /// earlier one, `no` and any spelling that reaches as far as the key takes it back.
  std::string_view key;
  /// `keyword`, `NAME:type`, `[optional]`, `{one|of}`, `NAME:type...` for one or more. Types:
  /// `1-60` (a decimal in that range), word, line (the rest), secret, secret-line, url, hex,
  /// hex-line, dn, ip.
  std::string_view syntax;
  std::string_view help;       ///< one text per word of the syntax, in order, between `|`
  std::string_view otherwise;  ///< what holds without the command: its text, or words in brackets
  void (*apply)(Setting&) = nullptr;  ///< nothing = accepted and kept, not acted on yet
  std::uint8_t flags = 0;

  static constexpr std::uint8_t many = 1;  ///< any number side by side (`ntp server`)
  static constexpr std::uint8_t default_on =
      2;                                     ///< `no` is the setting, the plain form the default
  static constexpr std::uint8_t action = 4;  ///< does something once: never kept as configuration
  static constexpr std::uint8_t passed = 8;  ///< belongs to a pasted session: let pass silently
  static constexpr std::uint8_t opens = 16;  ///< opens the submode `submode`
  static constexpr std::uint8_t per_keyword = 32;  ///< one for each choice of leading keywords
  Mode submode = Mode::global;
};

enum class WordKind : std::uint8_t {
  keyword,
  number,
  word,
  line,
  secret,
  secret_line,
  url,
  hex,
  hex_line,
  dn,
  ip
};

/// One word of a command's syntax.
struct Word {
  WordKind kind = WordKind::keyword;
  std::string text;  ///< the keyword, or the argument's name
  std::string help;
  std::int32_t low = 0;
  std::int32_t high = 0;
  [[nodiscard]] bool is_secret() const {
    return kind == WordKind::secret || kind == WordKind::secret_line;
  }
  [[nodiscard]] bool takes_the_rest() const {
    return kind == WordKind::line || kind == WordKind::secret_line || kind == WordKind::hex_line ||
           kind == WordKind::dn;
  }
};
/// `complete`, `DAYS (0-7305)`, `URL`.
[[nodiscard]] std::string describe(const Word& word);

/// One word as it was typed.
struct Token {
  std::string_view text;
  std::size_t offset = 0;  ///< in octets, from the start of the line
};
/// ASCII letters made small: keywords are typed in either case.
[[nodiscard]] std::string lower(std::string_view text);
/// Splits at blanks and tabs.
[[nodiscard]] std::vector<Token> tokenize(std::string_view line);

struct Capture {
  const Word* word = nullptr;
  std::string text;  ///< as typed; for a keyword the whole keyword
  std::size_t offset = 0;
};

/// A line that is a command. Refers to the grammar that made it.
struct Match {
  const Command* command = nullptr;
  std::vector<Capture> captures;

  [[nodiscard]] bool has(std::string_view keyword) const;
  [[nodiscard]] const Capture* find(std::string_view argument) const;
  [[nodiscard]] std::string text(std::string_view argument) const;  ///< empty if not given
  [[nodiscard]] std::optional<std::int32_t> number(std::string_view argument) const;
};

enum class Verdict : std::uint8_t {
  matched,
  unknown,     ///< no command has this word here
  ambiguous,   ///< an abbreviation of several keywords
  wrong,       ///< the only word possible here is an argument, and this is none (range, form)
  incomplete,  ///< more words must follow
  too_much     ///< the command was complete before this word
};

struct Outcome {
  Verdict verdict = Verdict::unknown;
  Match match;            ///< if matched
  std::size_t token = 0;  ///< index of the offending word; past the end if incomplete
  std::vector<const Word*>
      expected;                     ///< what could have stood there; if matched, what could follow
  std::string reason;               ///< if wrong: why
  const Command* opener = nullptr;  ///< a submode's command that the line was on its way to
};

/// The commands of one mode, compiled. Each syntax becomes a position automaton (Glushkov): its
/// words are the states, so what may follow a word is a list, and a line is matched against all
/// commands at once in one pass, without backing up.
/// Cost of matching: words of the line times words that may follow.
class Grammar {
 public:
  Grammar(std::span<const Command> table, Mode mode);
  ~Grammar();
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  /// `reset`: the line stood behind `no` or `default`, and need not go further than the key.
  [[nodiscard]] Outcome match(std::string_view line, std::span<const Token> tokens,
                              bool reset = false) const;
  struct Compiled;
  [[nodiscard]] const std::vector<Compiled>& commands() const { return commands_; }

 private:
  std::vector<Compiled> commands_;
};

struct Grammar::Compiled {
  const Command* command = nullptr;
  std::vector<std::unique_ptr<Word>> words;
  std::vector<std::size_t> first;
  std::vector<std::vector<std::size_t>> follow;
  std::vector<bool> last;
  std::size_t key_words = 0;  ///< how many words `no` needs
};

/// Why `text` is not this argument; nothing if it is.
[[nodiscard]] std::optional<std::string> why_not(const Word& word, std::string_view text);

/// The syntax for people: `lifetime certificate DAYS [HOURS [MINUTES]]`.
[[nodiscard]] std::string plain_syntax(const Command& command);

}  // namespace umbra::config
