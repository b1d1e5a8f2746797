#include "config/look_alike.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

namespace umbra::config {
namespace {

/// In order of the code. Names: Unicode Character Database.
constexpr LookAlike look_alikes[] = {
    {0x00A0, "NO-BREAK SPACE", " "},
    {0x00AD, "SOFT HYPHEN", ""},
    {0x0131, "LATIN SMALL LETTER DOTLESS I", "i"},
    {0x0237, "LATIN SMALL LETTER DOTLESS J", "j"},
    {0x0251, "LATIN SMALL LETTER ALPHA", "a"},
    {0x0261, "LATIN SMALL LETTER SCRIPT G", "g"},
    {0x0391, "GREEK CAPITAL LETTER ALPHA", "A"},
    {0x0392, "GREEK CAPITAL LETTER BETA", "B"},
    {0x0395, "GREEK CAPITAL LETTER EPSILON", "E"},
    {0x0396, "GREEK CAPITAL LETTER ZETA", "Z"},
    {0x0397, "GREEK CAPITAL LETTER ETA", "H"},
    {0x0399, "GREEK CAPITAL LETTER IOTA", "I"},
    {0x039A, "GREEK CAPITAL LETTER KAPPA", "K"},
    {0x039C, "GREEK CAPITAL LETTER MU", "M"},
    {0x039D, "GREEK CAPITAL LETTER NU", "N"},
    {0x039F, "GREEK CAPITAL LETTER OMICRON", "O"},
    {0x03A1, "GREEK CAPITAL LETTER RHO", "P"},
    {0x03A4, "GREEK CAPITAL LETTER TAU", "T"},
    {0x03A5, "GREEK CAPITAL LETTER UPSILON", "Y"},
    {0x03A7, "GREEK CAPITAL LETTER CHI", "X"},
    {0x03B1, "GREEK SMALL LETTER ALPHA", "a"},
    {0x03B3, "GREEK SMALL LETTER GAMMA", "y"},
    {0x03B5, "GREEK SMALL LETTER EPSILON", "e"},
    {0x03B9, "GREEK SMALL LETTER IOTA", "i"},
    {0x03BA, "GREEK SMALL LETTER KAPPA", "k"},
    {0x03BD, "GREEK SMALL LETTER NU", "v"},
    {0x03BF, "GREEK SMALL LETTER OMICRON", "o"},
    {0x03C1, "GREEK SMALL LETTER RHO", "p"},
    {0x03C4, "GREEK SMALL LETTER TAU", "t"},
    {0x03C5, "GREEK SMALL LETTER UPSILON", "u"},
    {0x03C7, "GREEK SMALL LETTER CHI", "x"},
    {0x03C9, "GREEK SMALL LETTER OMEGA", "w"},
    {0x0405, "CYRILLIC CAPITAL LETTER DZE", "S"},
    {0x0406, "CYRILLIC CAPITAL LETTER BYELORUSSIAN-UKRAINIAN I", "I"},
    {0x0408, "CYRILLIC CAPITAL LETTER JE", "J"},
    {0x0410, "CYRILLIC CAPITAL LETTER A", "A"},
    {0x0412, "CYRILLIC CAPITAL LETTER VE", "B"},
    {0x0415, "CYRILLIC CAPITAL LETTER IE", "E"},
    {0x041A, "CYRILLIC CAPITAL LETTER KA", "K"},
    {0x041C, "CYRILLIC CAPITAL LETTER EM", "M"},
    {0x041D, "CYRILLIC CAPITAL LETTER EN", "H"},
    {0x041E, "CYRILLIC CAPITAL LETTER O", "O"},
    {0x0420, "CYRILLIC CAPITAL LETTER ER", "P"},
    {0x0421, "CYRILLIC CAPITAL LETTER ES", "C"},
    {0x0422, "CYRILLIC CAPITAL LETTER TE", "T"},
    {0x0423, "CYRILLIC CAPITAL LETTER U", "Y"},
    {0x0425, "CYRILLIC CAPITAL LETTER HA", "X"},
    {0x0430, "CYRILLIC SMALL LETTER A", "a"},
    {0x0432, "CYRILLIC SMALL LETTER VE", "b"},
    {0x0433, "CYRILLIC SMALL LETTER GHE", "r"},
    {0x0435, "CYRILLIC SMALL LETTER IE", "e"},
    {0x0438, "CYRILLIC SMALL LETTER I", "u"},
    {0x043A, "CYRILLIC SMALL LETTER KA", "k"},
    {0x043C, "CYRILLIC SMALL LETTER EM", "m"},
    {0x043D, "CYRILLIC SMALL LETTER EN", "h"},
    {0x043E, "CYRILLIC SMALL LETTER O", "o"},
    {0x043F, "CYRILLIC SMALL LETTER PE", "n"},
    {0x0440, "CYRILLIC SMALL LETTER ER", "p"},
    {0x0441, "CYRILLIC SMALL LETTER ES", "c"},
    {0x0442, "CYRILLIC SMALL LETTER TE", "t"},
    {0x0443, "CYRILLIC SMALL LETTER U", "y"},
    {0x0445, "CYRILLIC SMALL LETTER HA", "x"},
    {0x044C, "CYRILLIC SMALL LETTER SOFT SIGN", "b"},
    {0x0455, "CYRILLIC SMALL LETTER DZE", "s"},
    {0x0456, "CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I", "i"},
    {0x0458, "CYRILLIC SMALL LETTER JE", "j"},
    {0x0475, "CYRILLIC SMALL LETTER IZHITSA", "v"},
    {0x04AE, "CYRILLIC CAPITAL LETTER STRAIGHT U", "Y"},
    {0x04B1, "CYRILLIC SMALL LETTER STRAIGHT U WITH STROKE", "y"},
    {0x04BB, "CYRILLIC SMALL LETTER SHHA", "h"},
    {0x04CF, "CYRILLIC SMALL LETTER PALOCHKA", "l"},
    {0x0501, "CYRILLIC SMALL LETTER KOMI DE", "d"},
    {0x051A, "CYRILLIC CAPITAL LETTER QA", "Q"},
    {0x051B, "CYRILLIC SMALL LETTER QA", "q"},
    {0x051C, "CYRILLIC CAPITAL LETTER WE", "W"},
    {0x051D, "CYRILLIC SMALL LETTER WE", "w"},
    {0x2002, "EN SPACE", " "},
    {0x2003, "EM SPACE", " "},
    {0x2007, "FIGURE SPACE", " "},
    {0x2009, "THIN SPACE", " "},
    {0x200B, "ZERO WIDTH SPACE", ""},
    {0x200C, "ZERO WIDTH NON-JOINER", ""},
    {0x200D, "ZERO WIDTH JOINER", ""},
    {0x2010, "HYPHEN", "-"},
    {0x2011, "NON-BREAKING HYPHEN", "-"},
    {0x2012, "FIGURE DASH", "-"},
    {0x2013, "EN DASH", "-"},
    {0x2014, "EM DASH", "-"},
    {0x2015, "HORIZONTAL BAR", "-"},
    {0x2018, "LEFT SINGLE QUOTATION MARK", "'"},
    {0x2019, "RIGHT SINGLE QUOTATION MARK", "'"},
    {0x201A, "SINGLE LOW-9 QUOTATION MARK", "'"},
    {0x201C, "LEFT DOUBLE QUOTATION MARK", "\""},
    {0x201D, "RIGHT DOUBLE QUOTATION MARK", "\""},
    {0x201E, "DOUBLE LOW-9 QUOTATION MARK", "\""},
    {0x2026, "HORIZONTAL ELLIPSIS", "..."},
    {0x202F, "NARROW NO-BREAK SPACE", " "},
    {0x2032, "PRIME", "'"},
    {0x2033, "DOUBLE PRIME", "\""},
    {0x2044, "FRACTION SLASH", "/"},
    {0x2060, "WORD JOINER", ""},
    {0x2212, "MINUS SIGN", "-"},
    {0x2215, "DIVISION SLASH", "/"},
    {0x3000, "IDEOGRAPHIC SPACE", " "},
    {0xFEFF, "ZERO WIDTH NO-BREAK SPACE", ""},
    {0xFF01, "FULLWIDTH EXCLAMATION MARK", "!"},
    {0xFF02, "FULLWIDTH QUOTATION MARK", "\""},
    {0xFF03, "FULLWIDTH NUMBER SIGN", "#"},
    {0xFF04, "FULLWIDTH DOLLAR SIGN", "$"},
    {0xFF05, "FULLWIDTH PERCENT SIGN", "%"},
    {0xFF06, "FULLWIDTH AMPERSAND", "&"},
    {0xFF07, "FULLWIDTH APOSTROPHE", "'"},
    {0xFF08, "FULLWIDTH LEFT PARENTHESIS", "("},
    {0xFF09, "FULLWIDTH RIGHT PARENTHESIS", ")"},
    {0xFF0A, "FULLWIDTH ASTERISK", "*"},
    {0xFF0B, "FULLWIDTH PLUS SIGN", "+"},
    {0xFF0C, "FULLWIDTH COMMA", ","},
    {0xFF0D, "FULLWIDTH HYPHEN-MINUS", "-"},
    {0xFF0E, "FULLWIDTH FULL STOP", "."},
    {0xFF0F, "FULLWIDTH SOLIDUS", "/"},
    {0xFF10, "FULLWIDTH DIGIT ZERO", "0"},
    {0xFF11, "FULLWIDTH DIGIT ONE", "1"},
    {0xFF12, "FULLWIDTH DIGIT TWO", "2"},
    {0xFF13, "FULLWIDTH DIGIT THREE", "3"},
    {0xFF14, "FULLWIDTH DIGIT FOUR", "4"},
    {0xFF15, "FULLWIDTH DIGIT FIVE", "5"},
    {0xFF16, "FULLWIDTH DIGIT SIX", "6"},
    {0xFF17, "FULLWIDTH DIGIT SEVEN", "7"},
    {0xFF18, "FULLWIDTH DIGIT EIGHT", "8"},
    {0xFF19, "FULLWIDTH DIGIT NINE", "9"},
    {0xFF1A, "FULLWIDTH COLON", ":"},
    {0xFF1B, "FULLWIDTH SEMICOLON", ";"},
    {0xFF1C, "FULLWIDTH LESS-THAN SIGN", "<"},
    {0xFF1D, "FULLWIDTH EQUALS SIGN", "="},
    {0xFF1E, "FULLWIDTH GREATER-THAN SIGN", ">"},
    {0xFF1F, "FULLWIDTH QUESTION MARK", "?"},
    {0xFF20, "FULLWIDTH COMMERCIAL AT", "@"},
    {0xFF21, "FULLWIDTH LATIN CAPITAL LETTER A", "A"},
    {0xFF22, "FULLWIDTH LATIN CAPITAL LETTER B", "B"},
    {0xFF23, "FULLWIDTH LATIN CAPITAL LETTER C", "C"},
    {0xFF24, "FULLWIDTH LATIN CAPITAL LETTER D", "D"},
    {0xFF25, "FULLWIDTH LATIN CAPITAL LETTER E", "E"},
    {0xFF26, "FULLWIDTH LATIN CAPITAL LETTER F", "F"},
    {0xFF27, "FULLWIDTH LATIN CAPITAL LETTER G", "G"},
    {0xFF28, "FULLWIDTH LATIN CAPITAL LETTER H", "H"},
    {0xFF29, "FULLWIDTH LATIN CAPITAL LETTER I", "I"},
    {0xFF2A, "FULLWIDTH LATIN CAPITAL LETTER J", "J"},
    {0xFF2B, "FULLWIDTH LATIN CAPITAL LETTER K", "K"},
    {0xFF2C, "FULLWIDTH LATIN CAPITAL LETTER L", "L"},
    {0xFF2D, "FULLWIDTH LATIN CAPITAL LETTER M", "M"},
    {0xFF2E, "FULLWIDTH LATIN CAPITAL LETTER N", "N"},
    {0xFF2F, "FULLWIDTH LATIN CAPITAL LETTER O", "O"},
    {0xFF30, "FULLWIDTH LATIN CAPITAL LETTER P", "P"},
    {0xFF31, "FULLWIDTH LATIN CAPITAL LETTER Q", "Q"},
    {0xFF32, "FULLWIDTH LATIN CAPITAL LETTER R", "R"},
    {0xFF33, "FULLWIDTH LATIN CAPITAL LETTER S", "S"},
    {0xFF34, "FULLWIDTH LATIN CAPITAL LETTER T", "T"},
    {0xFF35, "FULLWIDTH LATIN CAPITAL LETTER U", "U"},
    {0xFF36, "FULLWIDTH LATIN CAPITAL LETTER V", "V"},
    {0xFF37, "FULLWIDTH LATIN CAPITAL LETTER W", "W"},
    {0xFF38, "FULLWIDTH LATIN CAPITAL LETTER X", "X"},
    {0xFF39, "FULLWIDTH LATIN CAPITAL LETTER Y", "Y"},
    {0xFF3A, "FULLWIDTH LATIN CAPITAL LETTER Z", "Z"},
    {0xFF3B, "FULLWIDTH LEFT SQUARE BRACKET", "["},
    {0xFF3C, "FULLWIDTH REVERSE SOLIDUS", "\\"},
    {0xFF3D, "FULLWIDTH RIGHT SQUARE BRACKET", "]"},
    {0xFF3E, "FULLWIDTH CIRCUMFLEX ACCENT", "^"},
    {0xFF3F, "FULLWIDTH LOW LINE", "_"},
    {0xFF40, "FULLWIDTH GRAVE ACCENT", "`"},
    {0xFF41, "FULLWIDTH LATIN SMALL LETTER A", "a"},
    {0xFF42, "FULLWIDTH LATIN SMALL LETTER B", "b"},
    {0xFF43, "FULLWIDTH LATIN SMALL LETTER C", "c"},
    {0xFF44, "FULLWIDTH LATIN SMALL LETTER D", "d"},
    {0xFF45, "FULLWIDTH LATIN SMALL LETTER E", "e"},
    {0xFF46, "FULLWIDTH LATIN SMALL LETTER F", "f"},
    {0xFF47, "FULLWIDTH LATIN SMALL LETTER G", "g"},
    {0xFF48, "FULLWIDTH LATIN SMALL LETTER H", "h"},
    {0xFF49, "FULLWIDTH LATIN SMALL LETTER I", "i"},
    {0xFF4A, "FULLWIDTH LATIN SMALL LETTER J", "j"},
    {0xFF4B, "FULLWIDTH LATIN SMALL LETTER K", "k"},
    {0xFF4C, "FULLWIDTH LATIN SMALL LETTER L", "l"},
    {0xFF4D, "FULLWIDTH LATIN SMALL LETTER M", "m"},
    {0xFF4E, "FULLWIDTH LATIN SMALL LETTER N", "n"},
    {0xFF4F, "FULLWIDTH LATIN SMALL LETTER O", "o"},
    {0xFF50, "FULLWIDTH LATIN SMALL LETTER P", "p"},
    {0xFF51, "FULLWIDTH LATIN SMALL LETTER Q", "q"},
    {0xFF52, "FULLWIDTH LATIN SMALL LETTER R", "r"},
    {0xFF53, "FULLWIDTH LATIN SMALL LETTER S", "s"},
    {0xFF54, "FULLWIDTH LATIN SMALL LETTER T", "t"},
    {0xFF55, "FULLWIDTH LATIN SMALL LETTER U", "u"},
    {0xFF56, "FULLWIDTH LATIN SMALL LETTER V", "v"},
    {0xFF57, "FULLWIDTH LATIN SMALL LETTER W", "w"},
    {0xFF58, "FULLWIDTH LATIN SMALL LETTER X", "x"},
    {0xFF59, "FULLWIDTH LATIN SMALL LETTER Y", "y"},
    {0xFF5A, "FULLWIDTH LATIN SMALL LETTER Z", "z"},
    {0xFF5B, "FULLWIDTH LEFT CURLY BRACKET", "{"},
    {0xFF5C, "FULLWIDTH VERTICAL LINE", "|"},
    {0xFF5D, "FULLWIDTH RIGHT CURLY BRACKET", "}"},
    {0xFF5E, "FULLWIDTH TILDE", "~"},
};

}  // namespace

const LookAlike* find_look_alike(std::uint32_t code) {
  const auto* const found = std::lower_bound(
      std::begin(look_alikes), std::end(look_alikes), code,
      [](const LookAlike& one, std::uint32_t wanted) { return one.code < wanted; });
  return found != std::end(look_alikes) && found->code == code ? found : nullptr;
}

std::optional<std::uint32_t> next_character(std::string_view text, std::size_t& at) {
  const auto octet = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t head = octet(at);
  if (head < 0x80) {
    ++at;
    return head;
  }
  const std::size_t length = head >= 0xF0 ? 4 : head >= 0xE0 ? 3 : 2;
  const std::uint32_t least = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
  if (head < 0xC2 || head > 0xF4 || at + length > text.size()) {
    ++at;
    return std::nullopt;
  }
  std::uint32_t code = head & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((octet(at + i) & 0xC0U) != 0x80U) {
      ++at;
      return std::nullopt;
    }
    code = code << 6U | (octet(at + i) & 0x3FU);
  }
  if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
    ++at;
    return std::nullopt;
  }
  at += length;
  return code;
}

std::size_t column_of(std::string_view line, std::size_t offset) {
  std::size_t column = 1;
  for (std::size_t at = 0; at < std::min(offset, line.size()); ++column) {
    static_cast<void>(next_character(line, at));
  }
  return column + (offset > line.size() ? offset - line.size() : 0);
}

std::string mend_look_alikes(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    const auto code = next_character(text, at);
    const LookAlike* const found = code && *code >= 0x80 ? find_look_alike(*code) : nullptr;
    out += found ? found->ascii : text.substr(start, at - start);
  }
  return out;
}

std::string name_of(std::uint32_t code) {
  const LookAlike* const found = find_look_alike(code);
  return found ? fmt::format("{} (U+{:04X})", found->name, code) : fmt::format("U+{:04X}", code);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  constexpr std::size_t most = 64;
  a = a.substr(0, most);
  b = b.substr(0, most);
  std::array<std::array<std::size_t, most + 1>, 3> rows{};
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& above = rows[(i + 2) % 3];
    const auto& two_above = rows[(i + 1) % 3];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], two_above[j - 2] + 1);
      }
    }
  }
  return rows[a.size() % 3][b.size()];
}

}  // namespace umbra::config
