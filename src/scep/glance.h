#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/time.h"

namespace umbra::scep {

/// What a pkiMessage says of whoever signed it, read in microseconds and believed by nobody:
/// neither its signature nor the certificate's has been looked at.
struct Glance {
  Bytes certificate;  ///< DER
  Bytes issuer;       ///< DER of its Name
  Time not_after;
};

/// In:  a pkiMessage as received, DER or BER.
/// Out: nothing, unless it is SignedData with one certificate, and that is its signer's then.
///
///     SignedData ::= SEQUENCE { version, digestAlgorithms SET, encapContentInfo SEQUENCE,
///                               certificates [0] IMPLICIT SET OPTIONAL, ... }
/// Source: RFC 5652 5.1; RFC 5280 4.1.
[[nodiscard]] std::optional<Glance> glance(ByteView message);

}  // namespace umbra::scep
