#pragma once

#include <optional>
#include <vector>

#include "x509/certificate.h"

/// What certificates and requests have in common: reading a list of extensions.
namespace umbra::x509 {

/// In: the contents of `Extensions ::= SEQUENCE OF Extension`. Errors: malformed.
[[nodiscard]] Result<std::vector<Extension>> parse_extensions(ByteView sequence_content);
[[nodiscard]] std::optional<KeyUsage> key_usage_of(const std::vector<Extension>& extensions);
/// basicConstraints with CA:TRUE; an extension that cannot be read counts as one.
[[nodiscard]] bool asks_ca(const std::vector<Extension>& extensions);

}  // namespace umbra::x509
