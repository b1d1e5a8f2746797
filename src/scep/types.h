#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "x509/certificate.h"
#include "x509/request.h"

namespace umbra::scep {

/// RFC 8894 3.2.1.2.
enum class MessageType : std::uint8_t {
  cert_rep = 3,
  renewal_req = 17,
  pkcs_req = 19,
  cert_poll = 20,
  get_cert = 21,
  get_crl = 22
};
/// RFC 8894 3.2.1.3.
enum class PkiStatus : std::uint8_t { success = 0, failure = 2, pending = 3 };
/// RFC 8894 3.2.1.4.
enum class FailInfo : std::uint8_t {
  bad_alg = 0,
  bad_message_check = 1,
  bad_request = 2,
  bad_time = 3,
  bad_cert_id = 4
};
[[nodiscard]] std::string_view to_string(MessageType type);  ///< "PKCSReq"
[[nodiscard]] std::string_view to_string(FailInfo info);     ///< "badAlg"

/// RFC 8894 3.2.1.5: sixteen octets from us; peers' are opaque, 1..64 octets.
using Nonce = Bytes;
[[nodiscard]] Nonce make_nonce(Random& random);

/// Upper-case hex MD5 of the SubjectPublicKeyInfo: what IOS sends. A server treats transaction ids
/// as opaque.
[[nodiscard]] std::string transaction_id(const x509::PublicKey& key);

enum class Cipher : std::uint8_t { des_cbc = 1, des_ede3_cbc = 2, aes128_cbc = 3, aes256_cbc = 4 };
[[nodiscard]] std::string_view to_string(Cipher cipher);

/// What may be used beyond the safe; each is named in the configuration (`allow legacy
/// des|md5|rsa-1024`).
struct Legacy {
  bool des = false;
  bool md5 = false;
  bool sha1 = true;  ///< on for interoperability (RFC 8894 2.9 clients of old); switchable off
};

/// issuerAndSerialNumber of CMS, GetCert and GetCRL.
struct IssuerAndSerial {
  x509::Name issuer;
  x509::Serial serial;
};
struct IssuerAndSubject {
  x509::Name issuer;
  x509::Name subject;
};

}  // namespace umbra::scep
