#pragma once

#include "x509/certificate.h"

/// Asking an OCSP responder (RFC 6960) about one certificate.
namespace umbra::x509 {

/// In: `nonce` of 1 to 32 octets (RFC 8954). Out: DER of OCSPRequest. Errors: crypto.
[[nodiscard]] Result<Bytes> ocsp_request(const Certificate& subject, const Certificate& issuer,
                                         ByteView nonce);

enum class OcspStatus : std::uint8_t { good, revoked, unknown };
/// What a responder says of `subject`: signed by the issuer itself, or by one that it has issued a
/// certificate with extendedKeyUsage OCSPSigning; an answer to this nonce, or one without a nonce
/// that is not older than a day; for `now`, give or take five minutes.
/// Errors: unreachable (the responder says it cannot), crypto (anything about the signature),
/// conflict (of another time, certificate or question), malformed.
[[nodiscard]] Result<OcspStatus> read_ocsp_response(ByteView response, const Certificate& subject,
                                                    const Certificate& issuer, ByteView nonce,
                                                    Time now);

}  // namespace umbra::x509
