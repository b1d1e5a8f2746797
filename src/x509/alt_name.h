#pragma once

#include <string>
#include <vector>

#include "x509/certificate.h"

namespace umbra::x509 {

enum class AltNameKind { dns, ip, email, uri };

/// One name of a subjectAltName (RFC 5280 4.2.1.6).
struct AltName {
  AltNameKind kind = AltNameKind::dns;
  std::string text;
  friend bool operator==(const AltName&, const AltName&) = default;
};
/// `dns:NAME`, `ip:ADDRESS`, `email:ADDRESS`, `uri:URL`; what has no such word in front is an
/// address if it looks like one, and a DNS name else. Errors: malformed, with what is wrong.
[[nodiscard]] Result<AltName> parse_alt_name(std::string_view text);
[[nodiscard]] Extension subject_alt_names(const std::vector<AltName>& names);
/// A certificate's, as far as they are of these kinds; octets as they stand in it, fit for no
/// terminal.
[[nodiscard]] std::vector<AltName> alt_names_of(const Certificate& certificate);

}  // namespace umbra::x509
