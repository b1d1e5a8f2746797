#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace umbra::x509 {

/// Stored and configured by name (`hash sha256`); never renumber.
enum class Digest : std::uint8_t { md5 = 1, sha1 = 2, sha256 = 3, sha384 = 4, sha512 = 5 };
[[nodiscard]] std::string_view to_string(Digest digest);  ///< "SHA256", as IOS screens have it
[[nodiscard]] Bytes hash(Digest digest, ByteView data);

enum class KeyAlgorithm : std::uint8_t { rsa = 1, ec = 2 };

/// What a signature was made with.
struct SignatureAlgorithm {
  KeyAlgorithm key = KeyAlgorithm::rsa;
  Digest digest = Digest::sha256;
  friend bool operator==(const SignatureAlgorithm&, const SignatureAlgorithm&) = default;
};
/// AlgorithmIdentifier DER, sha256WithRSAEncryption and the like.
[[nodiscard]] Bytes to_der(const SignatureAlgorithm& algorithm);
/// Errors: unsupported if it is none of ours.
[[nodiscard]] Result<SignatureAlgorithm> parse_signature_algorithm(
    ByteView algorithm_identifier_der);
/// AlgorithmIdentifier DER of a bare digest (NULL parameters).
[[nodiscard]] Bytes to_der(Digest digest);
[[nodiscard]] Result<Digest> parse_digest(ByteView algorithm_identifier_der);

}  // namespace umbra::x509
