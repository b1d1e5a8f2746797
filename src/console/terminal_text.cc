#include "console/terminal_text.h"

#include <cstdint>
#include <optional>

namespace umbra::console {
namespace {

/// The character at the front, and how many octets it has; nothing if it is none.
struct Character {
  std::uint32_t code;
  std::size_t octets;
};
std::optional<Character> first_of(std::string_view text) {
  const auto octet = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = octet(0);
  if (lead < 0x80) return Character{lead, 1};
  const std::size_t octets = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < octets) return std::nullopt;
  std::uint32_t code = lead & (0xFFU >> (octets + 1));
  for (std::size_t i = 1; i < octets; ++i) {
    if ((octet(i) & 0xC0U) != 0x80) return std::nullopt;
    code = (code << 6U) | (octet(i) & 0x3FU);
  }
  const bool longer_than_needed = (octets == 3 && code < 0x800) || (octets == 4 && code < 0x10000);
  if (longer_than_needed || code > 0x10FFFF) return std::nullopt;
  return Character{code, octets};
}

bool moves_things(std::uint32_t code) {
  if (code == '\n' || code == '\t') return false;
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x200E || code == 0x200F ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string terminal_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto next = first_of(text);
    const std::size_t octets = next ? next->octets : 1;
    if (next && !moves_things(next->code))
      out += text.substr(0, octets);
    else
      out += '?';
    text.remove_prefix(octets);
  }
  return out;
}

}  // namespace umbra::console
