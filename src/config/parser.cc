#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "config/command_table.h"
#include "config/config.h"
#include "config/document.h"
#include "config/look_alike.h"

namespace umbra::config {
namespace {

constexpr std::size_t text_max = std::size_t{16} << 20U;
constexpr std::size_t line_max = 4096;
constexpr std::size_t words_max = 128;
constexpr std::size_t faults_max = 1000;
constexpr std::size_t blocks_max = 10000;
constexpr std::size_t entries_max = 1000;
constexpr std::size_t certificate_max = std::size_t{64} << 10U;
constexpr std::size_t name_max = 64;

bool is_name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '-' || c == '_';
}

/// `ROOTCA(config)#` in front of a pasted line: how long it is, or 0.
std::size_t prompt_length(std::string_view token) {
  std::size_t i = 0;
  while (i < token.size() && is_name_character(token[i])) ++i;
  if (i == 0) return 0;
  if (i < token.size() && token[i] == '(') {
    const auto close = token.find(')', i);
    if (close == std::string_view::npos) return 0;
    i = close + 1;
  }
  return i < token.size() && (token[i] == '#' || token[i] == '>') ? i + 1 : 0;
}

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

class Parser {
 public:
  Parsed run(std::string_view text) {
    if (text.size() > text_max) {
      parsed_.faults.push_back({1, 1, "", "the text is over 16 MiB long", "expected: less"});
      return std::move(parsed_);
    }
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      ++line_;
      take(line);
      if (parsed_.faults.size() >= faults_max) {
        fault(line, 0, "too many faults", "the rest of the text was not read");
        break;
      }
    }
    if (collecting_) finish_certificate("", true);
    assemble(document_, parsed_);
    return std::move(parsed_);
  }

 private:
  void fault(std::string_view line, std::size_t offset, std::string what, std::string hint) {
    parsed_.faults.push_back(make_fault(line_, line, offset, std::move(what), std::move(hint)));
  }

  /// Whether the line may be read at all: length, UTF-8, control characters.
  bool readable(std::string_view line) {
    if (line.size() > line_max) {
      fault(printable(line.substr(0, 60)), 0, fmt::format("a line of {} octets", line.size()),
            fmt::format("expected: at most {}", line_max));
      return false;
    }
    for (std::size_t at = 0; at < line.size();) {
      const std::size_t start = at;
      const auto code = next_character(line, at);
      if (!code) {
        fault(printable(line), start,
              fmt::format("octet 0x{:02X} is no UTF-8", static_cast<std::uint8_t>(line[start])),
              "expected: UTF-8 text");
        return false;
      }
      const bool control = (*code < 0x20 && *code != '\t') || (*code >= 0x7F && *code < 0xA0);
      if (control) {
        fault(printable(line), start, fmt::format("control character U+{:04X}", *code),
              "expected: text");
        return false;
      }
    }
    return true;
  }

  /// The line with a question mark for each octet that must not reach a terminal.
  static std::string printable(std::string_view line) {
    std::string out(line);
    for (char& c : out) {
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = '?';
    }
    return out;
  }

  void take(std::string_view line) {
    if (!readable(line)) return;
    std::vector<Token> tokens = tokenize(line);
    if (!tokens.empty()) {
      if (const std::size_t prompt = prompt_length(tokens.front().text); prompt > 0) {
        tokens.front().text.remove_prefix(prompt);
        tokens.front().offset += prompt;
        if (tokens.front().text.empty()) tokens.erase(tokens.begin());
      }
    }
    if (collecting_) {
      if (hexadecimal(line, tokens)) return;
      // `quit` was forgotten if this is a command; else the line is wrong in one way, not in two.
      const bool command = tokens.front().text.starts_with('!') || tokens.front().text == "end" ||
                           read(line, tokens).outcome.verdict == Verdict::matched;
      if (!command) return;
    }
    if (tokens.empty() || tokens.front().text.starts_with('!')) return;
    const std::string_view said = line.substr(tokens.front().offset);
    if (said.starts_with("Building configuration...") ||
        said.starts_with("Current configuration :")) {
      return;
    }
    if (tokens.size() == 1) {
      const std::string only = lower(tokens.front().text);
      if (only == "end" || only == "exit" || only == "quit") {
        current_ = nullptr;
        return;
      }
    }
    if (is_ascii(line)) {
      const Reading reading = read(line, tokens);
      if (reading.outcome.verdict == Verdict::matched) {
        accept(line, reading);
      } else {
        refuse(line, reading);
      }
      return;
    }
    take_foreign(line, tokens);
  }

  /// A line with characters that are not ASCII: right inside names and other free text, wrong in
  /// keywords, where a look-alike was typed for a letter.
  void take_foreign(std::string_view line, const std::vector<Token>& tokens) {
    Reading reading = read(line, tokens);
    std::size_t foreign = line.size();
    if (reading.outcome.verdict == Verdict::matched) {
      for (const Capture& capture : reading.outcome.match.captures) {
        if (!capture.word->takes_the_rest() && !is_ascii(capture.text)) {
          foreign = std::min(foreign, first_foreign(line, capture.offset));
        }
      }
      if (foreign == line.size()) {
        accept(line, reading);
        return;
      }
    } else {
      foreign = first_foreign(line, 0);
      const std::size_t token = reading.outcome.token;
      // Something else is wrong, before any such character.
      if (token < reading.tokens.size() && is_ascii(reading.tokens[token].text) &&
          reading.tokens[token].offset < foreign) {
        refuse(line, reading);
        return;
      }
    }
    const std::string mended = mend_look_alikes(line);
    const Reading meant = read(mended, tokenize(mended));
    std::size_t after = foreign;
    const std::uint32_t code = next_character(line, after).value_or(0);
    const LookAlike* const found = find_look_alike(code);
    std::string what = name_of(code);
    if (!found) {
      what += " is not ASCII";
    } else if (found->ascii.empty()) {
      what += " cannot be seen";
    } else if (found->ascii == " ") {
      what += " looks like a blank";
    } else {
      what += fmt::format(" looks like \"{}\"", found->ascii);
    }
    std::string hint = fmt::format("expected: {} in ASCII letters", describe(reading.mode));
    if (found && meant.outcome.verdict == Verdict::matched) {
      hint += fmt::format("; did you mean \"{}\"?", mended_word(line, mended, foreign, *found));
    }
    fault(line, foreign, std::move(what), std::move(hint));
    if (meant.outcome.verdict == Verdict::matched && is_ascii(mended)) accept(mended, meant);
  }

  static std::size_t first_foreign(std::string_view line, std::size_t from) {
    for (std::size_t i = from; i < line.size(); ++i) {
      if (static_cast<unsigned char>(line[i]) >= 0x80) return i;
    }
    return line.size();
  }

  /// The word that holds the look-alike, as it should be; the whole line if words came apart.
  static std::string mended_word(std::string_view line, std::string_view mended, std::size_t at,
                                 const LookAlike& found) {
    if (found.ascii != " ") {
      const std::string shown = hide_secrets(line);
      const std::vector<Token> typed = tokenize(line);
      const std::vector<Token> visible = tokenize(shown);
      for (std::size_t i = 0; i < typed.size() && i < visible.size(); ++i) {
        const bool here = at >= typed[i].offset && at < typed[i].offset + typed[i].text.size();
        if (here && typed[i].text == visible[i].text) return mend_look_alikes(typed[i].text);
      }
    }
    const std::string hidden = hide_secrets(mended);
    const std::size_t start = hidden.find_first_not_of(' ');
    return start == std::string::npos ? hidden : hidden.substr(start);
  }

  // -- reading ----------------------------------------------------------------------------------

  [[nodiscard]] Mode mode() const { return current_ ? current_->mode : Mode::global; }

  /// First as a command of the submode, then as a global one: indentation means nothing.
  Reading read(std::string_view line, const std::vector<Token>& tokens) const {
    Reading reading;
    reading.tokens = tokens;
    reading.mode = mode();
    if (tokens.size() > words_max) {
      // Only free text is that long, and it is matched as one piece; the rest is not looked at.
      reading.tokens.resize(words_max);
    }
    std::span<const Token> words(reading.tokens);
    if (words.empty()) return reading;
    const std::string head = lower(words.front().text);
    reading.no = head == "no" || (head.size() > 2 && std::string_view("default").starts_with(head));
    if (reading.no) words = words.subspan(1);
    reading.outcome = grammar(reading.mode).match(line, words, reading.no);
    if (reading.outcome.verdict != Verdict::matched && reading.mode != Mode::global) {
      Outcome global = grammar(Mode::global).match(line, words, reading.no);
      if (global.verdict == Verdict::matched || global.token > reading.outcome.token) {
        reading.outcome = std::move(global);
        reading.mode = Mode::global;
      }
    }
    if (reading.no) reading.outcome.token += 1;
    return reading;
  }

  // -- what is right ----------------------------------------------------------------------------

  void accept(std::string_view line, const Reading& reading) {
    const Match& match = reading.outcome.match;
    const Command& command = *match.command;
    if (command.flags & Command::passed) return;
    if (reading.mode == Mode::global) current_ = nullptr;
    if (command.flags & Command::opens) {
      open(line, reading);
      return;
    }
    Entry entry{match, true, line_, std::string(line)};
    if (command.flags & Command::action) {
      if (!reading.no && document_.actions.size() < entries_max) {
        document_.actions.push_back(std::move(entry));
      }
      return;
    }
    Block& block = current_ ? *current_ : document_.global;
    if (block.mode == Mode::chain) {
      certificate(block, reading, line);
      return;
    }
    const bool value_off = reading.no && (command.flags & Command::default_on) &&
                           lower(reading.tokens.front().text) == "no";
    if (reading.no && !value_off) {
      take_back(block, match);
      return;
    }
    entry.on = !value_off;
    set(block, std::move(entry), line);
  }

  /// What makes two settings one: the key, and for some commands also the words or the whole.
  static std::string identity(const Match& match) {
    const Command& command = *match.command;
    std::string out(command.key);
    if (command.flags & Command::many) return out + " " + render(match, true, Secrets::type7);
    if (command.flags & Command::per_keyword) {
      for (const Capture& capture : match.captures) {
        if (capture.word->kind != WordKind::keyword) break;
        out += " " + capture.word->text;
      }
    }
    return out;
  }

  void set(Block& block, Entry entry, std::string_view line) {
    const std::string wanted = identity(entry.match);
    const auto found = std::find_if(block.entries.begin(), block.entries.end(),
                                    [&](const Entry& e) { return identity(e.match) == wanted; });
    if (found != block.entries.end()) {
      *found = std::move(entry);
    } else if (block.entries.size() < entries_max) {
      block.entries.push_back(std::move(entry));
    } else {
      fault(line, 0, "too many commands in one block",
            fmt::format("expected: at most {}", entries_max));
    }
  }

  static void take_back(Block& block, const Match& match) {
    const Command& command = *match.command;
    const bool one_of_many = command.flags & (Command::many | Command::per_keyword);
    const std::string text = render(match, true, Secrets::type7);
    std::erase_if(block.entries, [&](const Entry& e) {
      if (e.match.command->key != command.key) return false;
      if (!one_of_many) return true;
      const std::string stands = render(e.match, true, Secrets::type7);
      return stands == text || stands.starts_with(text + " ");
    });
  }

  void open(std::string_view line, const Reading& reading) {
    const Match& match = reading.outcome.match;
    const Capture* const named = match.find("NAME");
    std::vector<Block>& blocks = blocks_of(match.command->submode);
    const auto same = [&](const Block& b) { return named && b.name == named->text; };
    if (reading.no) {
      std::erase_if(blocks, same);
      reindex(match.command->submode);
      return;
    }
    const std::string& name = named->text;
    if (!is_block_name(name)) {
      fault(line, named->offset, fmt::format("\"{}\" cannot be a name", name),
            fmt::format("expected: at most {} letters, figures, dots, hyphens and underscores, "
                        "not beginning with a dot or a hyphen",
                        name_max));
      aside(match.command->submode);
      return;
    }
    auto& index = index_of(match.command->submode);
    if (const auto found = index.find(name); found != index.end()) {
      current_ = &blocks[found->second];  // entered again, as on the router's console
      return;
    }
    if (blocks.size() >= blocks_max) {
      fault(line, 0, "too many blocks", fmt::format("expected: at most {}", blocks_max));
      aside(match.command->submode);
      return;
    }
    index.emplace(name, blocks.size());
    Block block;
    block.mode = match.command->submode;
    block.name = name;
    block.line = line_;
    block.source = line;
    block.chain.name = name;
    blocks.push_back(std::move(block));
    current_ = &blocks.back();
  }

  std::vector<Block>& blocks_of(Mode mode) {
    return mode == Mode::server       ? document_.servers
           : mode == Mode::trustpoint ? document_.trustpoints
           : mode == Mode::profile    ? document_.profiles
                                      : document_.chains;
  }
  std::unordered_map<std::string, std::size_t>& index_of(Mode mode) {
    return index_[static_cast<std::size_t>(mode)];
  }
  void reindex(Mode mode) {
    auto& index = index_of(mode);
    index.clear();
    const std::vector<Block>& blocks = blocks_of(mode);
    for (std::size_t i = 0; i < blocks.size(); ++i) index.emplace(blocks[i].name, i);
  }

  /// Goes on in a block that will be thrown away, so that one wrong opening line is one fault.
  void aside(Mode mode) {
    aside_ = Block{};
    aside_.mode = mode;
    current_ = &aside_;
  }

  // -- certificates as text ---------------------------------------------------------------------

  void certificate(Block& block, const Reading& reading, std::string_view line) {
    const Match& match = reading.outcome.match;
    ChainCertificate made;
    made.kind = match.has("self-signed")                   ? ChainKind::self_signed
                : match.has("ca") && match.has("rollover") ? ChainKind::ca_rollover
                : match.has("ca")                          ? ChainKind::ca
                : match.has("rollover")                    ? ChainKind::rollover
                                                           : ChainKind::identity;
    std::string serial = match.text("SERIAL");
    for (char& c : serial) {
      if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 32);
    }
    made.serial = serial.size() % 2 ? "0" + serial : serial;
    made.file = match.text("FILE");
    // Typed again it takes the place of what was there.
    std::erase_if(block.chain.certificates, [&](const ChainCertificate& one) {
      return one.kind == made.kind && one.serial == made.serial;
    });
    if (reading.no) return;
    if (block.chain.certificates.size() >= entries_max) {
      fault(line, 0, "too many certificates", fmt::format("expected: at most {}", entries_max));
      return;
    }
    collecting_ = made.file.empty();
    certificate_line_ = line_;
    certificate_source_ = line;
    block.chain.certificates.push_back(std::move(made));
  }

  /// True if the line was part of the certificate.
  bool hexadecimal(std::string_view line, const std::vector<Token>& tokens) {
    if (tokens.empty()) return true;
    if (tokens.size() == 1 && lower(tokens.front().text) == "quit") {
      finish_certificate(line, false);
      return true;
    }
    auto octets = from_hex(line.find('\t') == std::string_view::npos ? line : tokens.front().text);
    Bytes& der = current_->chain.certificates.back().der;
    if (octets && der.size() + octets->size() <= certificate_max) {
      der.insert(der.end(), octets->begin(), octets->end());
      return true;
    }
    if (octets) {
      fault(line, tokens.front().offset, "a certificate of over 64 KiB", "expected: quit");
    } else {
      fault(line, tokens.front().offset, "this is no part of a certificate",
            "expected: pairs of hexadecimal digits, or quit");
    }
    collecting_ = false;
    return !!octets;
  }

  void finish_certificate(std::string_view line, bool at_end) {
    collecting_ = false;
    if (at_end) {
      parsed_.faults.push_back(make_fault(certificate_line_, certificate_source_, 0,
                                          "the certificate has no end",
                                          "expected: quit behind it"));
      return;
    }
    if (!is_one_sequence(current_->chain.certificates.back().der)) {
      fault(line, line.find_first_not_of(" \t"),
            "the certificate is cut off, or has octets too many",
            "expected: hexadecimal lines that make one DER SEQUENCE");
    }
  }

  // -- what is wrong ----------------------------------------------------------------------------

  void refuse(std::string_view line, const Reading& reading) {
    Refusal refusal = refuse_line(line, line_, reading, mode());
    parsed_.faults.push_back(std::move(refusal.fault));
    if (refusal.opens) aside(*refusal.opens);
  }

  Parsed parsed_;
  Document document_;
  Block* current_ = nullptr;  ///< nothing = global mode
  Block aside_;
  std::size_t line_ = 0;
  bool collecting_ = false;
  std::size_t certificate_line_ = 0;
  std::string certificate_source_;
  std::unordered_map<std::string, std::size_t> index_[6];
};

}  // namespace

bool is_block_name(std::string_view name) {
  return !name.empty() && name.size() <= name_max && name.front() != '.' && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), is_name_character);
}

Parsed parse(std::string_view text) { return Parser().run(text); }

}  // namespace umbra::config
