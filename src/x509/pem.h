#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace umbra::x509 {

/// RFC 7468: the first block with this label. Errors: malformed.
[[nodiscard]] Result<Bytes> pem_to_der(std::string_view pem, std::string_view label);
/// Lines of 64 columns.
[[nodiscard]] std::string der_to_pem(ByteView der, std::string_view label);

}  // namespace umbra::x509
