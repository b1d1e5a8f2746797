#pragma once

#include <string>
#include <vector>

#include "scep/message.h"

/// RFC 8894 section 4: what is fetched in the clear: GetCACaps, GetCACert, GetNextCACert, and the
/// HTTP form of it all.
namespace umbra::scep {

struct Capabilities {
  bool get_next_ca_cert = false;
  bool post_pki_operation = false;
  bool renewal = false;
  bool sha1 = false;
  bool sha256 = false;
  bool sha384 = false;
  bool sha512 = false;
  bool aes = false;
  bool des3 = false;
  bool scep_standard = false;  ///< means AES, POST and SHA-256 (RFC 8894 3.5.2)
};
/// One keyword a line, in IOS's order first, `\n` after each, no blank line. SHA-384 is always
/// listed: strongSwan 5.9.8 reads AES, SHA-256 and Renewal wrongly without it.
[[nodiscard]] std::string to_text(const Capabilities& capabilities);
/// Case-insensitive; any line ends; unknown words skipped; at most 64 KiB are looked at.
[[nodiscard]] Capabilities parse_capabilities(std::string_view text);
/// The best digest and cipher both sides have; `wanted` is `hash` of the trustpoint.
[[nodiscard]] Cipher best_cipher(const Capabilities& capabilities);
[[nodiscard]] x509::Digest best_digest(const Capabilities& capabilities, x509::Digest wanted);

/// Degenerate certificates-only SignedData. Out: DER of ContentInfo.
[[nodiscard]] Bytes certs_only(const std::vector<x509::Certificate>& certificates,
                               const std::vector<Bytes>& crls = {});
/// GetCACert's body: one DER certificate or a degenerate SignedData, told by looking, not by
/// Content-Type.
[[nodiscard]] Result<std::vector<x509::Certificate>> parse_ca_cert(ByteView body);

/// GetNextCACert (RFC 8894 4.7.1) in the union form that sscep, jscep and PyScep all read: outer
/// SignedData by the current CA over a degenerate SignedData with the next CA, the next CA in the
/// outer bag too.
[[nodiscard]] Result<Bytes> next_ca_cert(const std::vector<x509::Certificate>& next,
                                         const Recipient& current, Time now);
/// What of GetNextCACert is taken.
struct NextCaRules {
  Legacy legacy{};
  /// The flat form, which EJBCA and jscep's servlet send: the certificates lie beside a signature
  /// over nothing, so whoever has seen one such answer can put others there.
  bool flat = false;
};
/// Takes nested and union forms, flat ones by rule, id-data and id-signedData, with or without
/// signed attributes or signer in the bag. In:     signers: the active CA, as authenticated. Out:
/// the next CA certificates, without the signer. Errors: crypto if the signature is not by one of
/// `signers` (unsigned answers included); unsupported if the rules refuse its form or its digest;
/// malformed if it holds none.
[[nodiscard]] Result<std::vector<x509::Certificate>> parse_next_ca_cert(
    ByteView body, const std::vector<x509::Certificate>& signers, const NextCaRules& rules = {});

inline constexpr std::string_view type_ca_cert = "application/x-x509-ca-cert";
inline constexpr std::string_view type_ca_ra_cert = "application/x-x509-ca-ra-cert";
inline constexpr std::string_view type_next_ca_cert = "application/x-x509-next-ca-cert";
inline constexpr std::string_view type_pki_message = "application/x-pki-message";

enum class Operation { get_ca_caps, get_ca_cert, get_next_ca_cert, pki_operation };
struct HttpOperation {
  Operation operation = Operation::get_ca_caps;
  std::string message;  ///< CA identifier, or the base64 of a PKIOperation by GET, percent-decoded
  /// GetNextCACert by one of our RAs: the serial number of its next certificate, which the CA is to
  /// name. Umbra's; others skip it.
  std::string ra = {};
};
/// In:     the query of a request target: operation=...&message=..., either order, message
/// optional; `+` kept where base64
///         is meant, `%0A` and the like decoded; at most 90 KiB.
/// Errors: malformed, unsupported (unknown operation).
[[nodiscard]] Result<HttpOperation> parse_query(std::string_view query);
/// PKIOperation by GET: base64 with a blank where a `+` was, with line ends, in either alphabet.
[[nodiscard]] Result<Bytes> parse_get_message(std::string_view message);
/// The other way: `http://h:80` -> `http://h:80/cgi-bin/pkiclient.exe`, `http://h/scep/scep` ->
/// `http://h/scep/scep/pkiclient.exe` (IOS); a path that already ends in `.exe`, or one written as
/// given for other servers (`exact`), stays as it is.
[[nodiscard]] std::string request_url(std::string_view enrollment_url, bool exact = false);
/// `url` + ?operation=OP[&message=...], the message percent-encoded.
[[nodiscard]] std::string operation_url(std::string_view url, Operation operation,
                                        std::string_view message = {});
[[nodiscard]] std::string pki_operation_get_url(std::string_view url, ByteView message);

}  // namespace umbra::scep
