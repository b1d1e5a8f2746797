#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "x509/algorithm.h"
#include "x509/key.h"
#include "x509/name.h"
#include "x509/serial.h"

namespace umbra::x509 {

/// KeyUsage bits as the first octets of the DER BIT STRING, most significant first: 0xA0 =
/// digitalSignature + keyEncipherment, 0x86 = digitalSignature + keyCertSign + cRLSign (RFC
/// 5280 4.2.1.3).
struct KeyUsage {
  std::uint8_t bits = 0;
  bool critical = false;
  [[nodiscard]] bool key_cert_sign() const { return bits & 0x04; }
};

/// KeyPurposeId: the last arc of id-kp (RFC 5280 4.2.1.12), also of the three for IPsec that RFC
/// 4945 has deprecated and routers go on asking for.
enum class KeyPurpose : std::uint8_t {
  server_auth = 1,
  client_auth = 2,
  code_signing = 3,
  email_protection = 4,
  ipsec_end_system = 5,
  ipsec_tunnel = 6,
  ipsec_user = 7,
  time_stamping = 8,
  ocsp_signing = 9
};

/// One extension as it stands: OID dotted, extnValue's contents.
struct Extension {
  std::string oid;
  bool critical = false;
  Bytes value;
};
[[nodiscard]] Bytes to_der(const Extension& extension);

/// A parsed certificate: immutable, shared, cheap to copy.
///
///     TBSCertificate ::= SEQUENCE { version [0], serialNumber, signature, issuer, validity,
///     subject,
///                                   subjectPublicKeyInfo, issuerUniqueID [1], subjectUniqueID [2],
///                                   extensions [3] }
///
/// Parsing checks the grammar and the bounds (64 KiB), takes v1 and v3, and does NOT check the
/// signature, the validity, or that extensions make sense together.
class Certificate {
 public:
  [[nodiscard]] static Result<Certificate> from_der(ByteView der);
  /// Certificates one after another. Errors: malformed, if one of them is.
  [[nodiscard]] static Result<std::vector<Certificate>> all_from_der(ByteView ders);
  [[nodiscard]] static Result<Certificate> from_pem(std::string_view pem);
  [[nodiscard]] std::string to_pem() const;
  [[nodiscard]] ByteView der() const;
  [[nodiscard]] const Serial& serial() const;
  [[nodiscard]] const Name& issuer() const;
  [[nodiscard]] const Name& subject() const;
  [[nodiscard]] Time not_before() const;
  [[nodiscard]] Time not_after() const;
  [[nodiscard]] const PublicKey& public_key() const;
  /// Errors: unsupported if it was signed with something we do not verify.
  [[nodiscard]] const Result<SignatureAlgorithm>& signature_algorithm() const;
  [[nodiscard]] const std::vector<Extension>& extensions() const;
  [[nodiscard]] bool is_ca() const;  ///< basicConstraints CA:TRUE
  [[nodiscard]] std::optional<KeyUsage> key_usage() const;
  [[nodiscard]] std::optional<Bytes> subject_key_id() const;
  [[nodiscard]] std::optional<Bytes> authority_key_id() const;
  [[nodiscard]] std::vector<std::string> crl_urls() const;
  [[nodiscard]] std::vector<std::string> ocsp_urls() const;  ///< authorityInfoAccess
  [[nodiscard]] bool self_issued() const { return issuer() == subject(); }
  /// The signature alone: Errors: crypto, unsupported.
  [[nodiscard]] Result<void> verify_signed_by(const PublicKey& issuer_key) const;
  [[nodiscard]] Bytes fingerprint(Digest digest) const { return hash(digest, der()); }
  friend bool operator==(const Certificate& a, const Certificate& b) {
    return equal(a.der(), b.der());
  }

 private:
  struct Parsed;
  explicit Certificate(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  std::shared_ptr<const Parsed> parsed_;
};

/// What is to be signed. Extensions appear in the order given.
struct CertificateTemplate {
  Serial serial;
  Name issuer;
  Name subject;
  Time not_before;
  Time not_after;
  Bytes spki;
  std::vector<Extension> extensions;
};
/// DER of TBSCertificate (v3; v3 without extensions is allowed: IOS's self-signed enrolment signer
/// has none).
[[nodiscard]] Bytes to_be_signed(const CertificateTemplate& what,
                                 const SignatureAlgorithm& algorithm);
[[nodiscard]] Result<Certificate> sign_certificate(const CertificateTemplate& what,
                                                   const PrivateKey& key, Digest digest);

// The extensions Umbra writes (RFC 5280 4.2.1).
[[nodiscard]] Extension basic_constraints_ca();  ///< critical, CA:TRUE, no path length
[[nodiscard]] Extension key_usage(KeyUsage usage);
/// extendedKeyUsage, not critical, in the order given.
[[nodiscard]] Extension extended_key_usage(const std::vector<KeyPurpose>& purposes);
[[nodiscard]] Extension authority_key_id(ByteView key_id);
[[nodiscard]] Extension subject_key_id(ByteView key_id);
[[nodiscard]] Extension crl_distribution_point(std::string_view url);
[[nodiscard]] Extension subject_alt_dns(std::string_view dns_name);

}  // namespace umbra::x509
