#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace umbra::config {

/// A character that is not ASCII and that people or word processors put where ASCII was meant.
struct LookAlike {
  std::uint32_t code = 0;
  std::string_view name;   ///< as Unicode names it
  std::string_view ascii;  ///< what it looks like; may be empty for what cannot be seen
};
[[nodiscard]] const LookAlike* find_look_alike(std::uint32_t code);

/// The character at `at`, moving `at` behind it. Nothing if the octets there are not UTF-8 (RFC
/// 3629: shortest form, no surrogates); `at` then moves by one.
[[nodiscard]] std::optional<std::uint32_t> next_character(std::string_view text, std::size_t& at);

/// From 1, in characters; octets that are no UTF-8 count one each.
[[nodiscard]] std::size_t column_of(std::string_view line, std::size_t offset);

/// The same text with every look-alike replaced; its other characters stay.
[[nodiscard]] std::string mend_look_alikes(std::string_view text);

/// CYRILLIC SMALL LETTER A (U+0430), or U+1F600 where we have no name for it.
[[nodiscard]] std::string name_of(std::uint32_t code);

/// Restricted Damerau-Levenshtein distance: insertions, deletions, replacements and exchanges of
/// neighbours. Cost: product of the lengths; both are cut at 64.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace umbra::config
