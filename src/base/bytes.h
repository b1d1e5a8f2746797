#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace umbra {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

[[nodiscard]] inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
[[nodiscard]] inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline Bytes to_bytes(ByteView view) { return {view.begin(), view.end()}; }
[[nodiscard]] bool equal(ByteView a, ByteView b);

/// True if equal, in time that depends on the lengths alone. For secrets: challenges, MACs.
[[nodiscard]] bool equal_constant_time(ByteView a, ByteView b);

/// Overwrites memory that held a secret; not optimised away.
void wipe(std::span<std::uint8_t> secret);
void wipe(std::string& secret);

/// Upper-case hexadecimal, as IOS prints it.
[[nodiscard]] std::string to_hex(ByteView bytes);
/// Groups of `group` bytes, each group followed by one blank, the last one too: the fingerprint
/// form of IOS screens.
[[nodiscard]] std::string to_hex_groups(ByteView bytes, std::size_t group = 4);
/// In:     hex digits of either case, blanks between them ignored.
/// Errors: malformed on an odd number of digits or another character.
[[nodiscard]] Result<Bytes> from_hex(std::string_view text);

/// Base64 (RFC 4648 4), padded. `line` > 0 puts a newline after each `line` characters and at the
/// end.
[[nodiscard]] std::string to_base64(ByteView bytes, std::size_t line = 0);
/// In:     standard or URL alphabet, padding optional, blanks and line ends ignored; a blank where
/// `+` was meant (a `+`
///         that an HTTP query turned into a blank) must already be restored by the caller.
/// Errors: malformed on another character, characters after padding, or a length no encoder makes.
[[nodiscard]] Result<Bytes> from_base64(std::string_view text);

}  // namespace umbra
