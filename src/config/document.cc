#include "config/document.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "config/look_alike.h"
#include "config/settings.h"

namespace umbra::config {
namespace {

bool is_time_part(const Capture& capture) {
  return capture.word->kind == WordKind::number &&
         (capture.word->text == "HOURS" || capture.word->text == "MINUTES");
}

std::string canonical_number(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  while (text.size() > 1 && text.front() == '0') text.remove_prefix(1);
  return (negative ? "-" : "") + std::string(text);
}

/// Deterministic, so that the running configuration does not change from one look to the next.
std::string to_type7(std::string_view plain) {
  const unsigned sum = std::accumulate(plain.begin(), plain.end(), 0U, [](unsigned all, char c) {
    return all + static_cast<std::uint8_t>(c);
  });
  return encode_type7(plain, sum);
}

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return text;
}

/// `ftp://user:secret@host` with the secret, and the name before it, as asterisks.
std::string without_account(std::string_view word) {
  std::string out(word);
  const std::size_t from = word.find("//");
  const std::size_t at = word.rfind('@');
  if (from == std::string_view::npos || at == std::string_view::npos || at < from) return out;
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(from) + 2,
            out.begin() + static_cast<std::ptrdiff_t>(at), '*');
  return out;
}

}  // namespace

std::string render(const Match& match, bool on, Secrets secrets) {
  std::size_t count = match.captures.size();
  while (count >= 2 && is_time_part(match.captures[count - 1]) &&
         match.captures[count - 2].word->kind == WordKind::number &&
         canonical_number(match.captures[count - 1].text) == "0") {
    --count;
  }
  std::string out = on ? "" : "no ";
  for (std::size_t i = 0; i < count; ++i) {
    const Capture& capture = match.captures[i];
    if (is_secret_type(match, i)) continue;
    if (i > 0) out += ' ';
    if (capture.word->is_secret()) {
      const bool obscured = is_secret_type(match, i - 1) && match.captures[i - 1].text == "7";
      out += secrets == Secrets::left_out ? "<removed>"
             : obscured                   ? "7 " + upper(capture.text)
                                          : "7 " + to_type7(capture.text);
    } else if (capture.word->kind == WordKind::number) {
      out += canonical_number(capture.text);
    } else {
      out += capture.text;
    }
  }
  return out;
}

std::string hide_secrets(std::string_view line) {
  const auto announces = [](std::string_view token) {
    constexpr std::string_view word = "password";
    const std::string mended = lower(mend_look_alikes(token));
    return (mended.size() >= 4 && word.starts_with(mended)) || edit_distance(mended, word) <= 2;
  };
  std::string out;
  std::size_t done = 0;
  bool hiding = false;
  bool type_may_follow = false;
  bool challenge = false;
  for (const Token& token : tokenize(line)) {
    out += line.substr(done, token.offset - done);
    done = token.offset + token.text.size();
    if (!hiding && announces(token.text)) {
      hiding = type_may_follow = true;
      out += token.text;
      continue;
    }
    hiding = hiding || challenge;  // `challenge P`, where `password` was forgotten
    challenge = lower(token.text) == "challenge";
    const bool type = type_may_follow && (token.text == "0" || token.text == "7");
    type_may_follow = false;
    if (!hiding || type) {
      out += without_account(token.text);
      continue;
    }
    for (std::size_t at = 0; at < token.text.size();) {
      static_cast<void>(next_character(token.text, at));
      out += '*';
    }
  }
  out += line.substr(done);
  return out;
}

Fault make_fault(std::size_t line, std::string_view source, std::size_t offset, std::string what,
                 std::string hint) {
  return {line, column_of(source, offset), hide_secrets(source), std::move(what), std::move(hint)};
}

Fault fault_at(const Entry& entry, std::string_view argument, std::string what, std::string hint) {
  const Capture* at = entry.match.find(argument);
  if (!at) at = &entry.match.captures.front();
  return make_fault(entry.line, entry.source, at->offset, std::move(what), std::move(hint));
}

Fault fault_at(const Block& block, std::string what, std::string hint) {
  const std::size_t start = block.source.find_first_not_of(" \t");
  return make_fault(block.line, block.source, start == std::string::npos ? 0 : start,
                    std::move(what), std::move(hint));
}

const Entry* find(const Block& block, std::string_view key) {
  const auto found = std::find_if(block.entries.begin(), block.entries.end(),
                                  [&](const Entry& e) { return e.match.command->key == key; });
  return found == block.entries.end() ? nullptr : &*found;
}

std::string list(const std::vector<std::string>& words) {
  constexpr std::size_t most = 12;
  std::string out;
  const std::size_t shown = std::min(words.size(), most);
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  if (words.size() > shown) out += fmt::format(" or {} others", words.size() - shown);
  return out;
}

std::string to_string(const Fault& fault, std::string_view file) {
  std::string out = fmt::format("{}:{}:{}: {}\n", file, fault.line, fault.column, fault.what);
  std::string shown = fault.text;
  std::replace(shown.begin(), shown.end(), '\t', ' ');
  out += shown + "\n" + std::string(fault.column - 1, ' ') + "^\n";
  if (!fault.hint.empty()) out += "  " + fault.hint + "\n";
  return out;
}

}  // namespace umbra::config
