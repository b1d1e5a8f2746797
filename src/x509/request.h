#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "x509/certificate.h"

namespace umbra::x509 {

/// A PKCS #10 certification request (RFC 2986): immutable, shared, cheap to copy.
///
///     CertificationRequestInfo ::= SEQUENCE { version, subject, subjectPKInfo, attributes [0] }
///
/// Parsing checks grammar, bounds (64 KiB) and nothing else; `verify` checks that the sender has
/// the key.
class Request {
 public:
  [[nodiscard]] static Result<Request> from_der(ByteView der);
  /// The same, but of a key that is likely to be this one, as PublicKey::from_spki.
  [[nodiscard]] static Result<Request> from_der(ByteView der, const PublicKey& likely);
  [[nodiscard]] ByteView der() const;
  [[nodiscard]] const Name& subject() const;
  [[nodiscard]] const PublicKey& public_key() const;
  /// challengePassword (PKCS #9), any string type; nothing if absent.
  [[nodiscard]] const std::optional<std::string>& challenge_password() const;
  /// From extensionRequest (PKCS #9, or the Microsoft and VeriSign legacy OIDs).
  [[nodiscard]] const std::vector<Extension>& extensions() const;
  [[nodiscard]] bool asks_for_ca() const;  ///< basicConstraints CA:TRUE or keyUsage keyCertSign
  [[nodiscard]] const Result<SignatureAlgorithm>& signature_algorithm() const;
  [[nodiscard]] Result<void> verify() const;
  [[nodiscard]] Bytes fingerprint(Digest digest) const { return hash(digest, der()); }

 private:
  struct Parsed;
  [[nodiscard]] static Result<Request> from_der(ByteView der, const PublicKey* likely);
  explicit Request(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  std::shared_ptr<const Parsed> parsed_;
};

struct RequestTemplate {
  Name subject;
  std::optional<std::string> challenge_password;
  std::vector<Extension> extensions;
};
[[nodiscard]] Result<Request> sign_request(const RequestTemplate& what, const PrivateKey& key,
                                           Digest digest);

/// The certificate that signs a first enrolment: of the request's own key, subject = issuer =
/// `subject`, v3 without extensions, valid ten years, as IOS makes it.
[[nodiscard]] Result<Certificate> self_signed_signer(const Name& subject, Time now,
                                                     const PrivateKey& key, Digest digest);

}  // namespace umbra::x509
