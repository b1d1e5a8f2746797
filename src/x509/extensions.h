#pragma once

#include <optional>
#include <vector>

#include "x509/certificate.h"

/// What certificates and requests have in common: reading a list of extensions.
namespace umbra::x509 {

inline constexpr std::string_view oid_subject_alt_name = "2.5.29.17";

/// In: the contents of `Extensions ::= SEQUENCE OF Extension`. Errors: malformed, also on a
/// type that comes twice and over 100 extensions.
[[nodiscard]] Result<std::vector<Extension>> parse_extensions(ByteView sequence_content);
/// `unreadable_bits` stand for an extension that cannot be read: none where a right is checked, all
/// where one is asked for.
[[nodiscard]] std::optional<KeyUsage> key_usage_of(const std::vector<Extension>& extensions,
                                                   std::uint8_t unreadable_bits);
/// basicConstraints with CA:TRUE; `if_unreadable` likewise.
[[nodiscard]] bool says_ca(const std::vector<Extension>& extensions, bool if_unreadable);

}  // namespace umbra::x509
