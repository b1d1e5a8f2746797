#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "scep/types.h"
#include "x509/der.h"

/// CMS (RFC 5652), as much of it as SCEP needs, in DER out and BER in.
namespace umbra::scep::cms {

inline constexpr x509::der::Oid oid_rsa_encryption("1.2.840.113549.1.1.1");
inline constexpr x509::der::Oid oid_data("1.2.840.113549.1.7.1");
inline constexpr x509::der::Oid oid_signed_data("1.2.840.113549.1.7.2");
inline constexpr x509::der::Oid oid_enveloped_data("1.2.840.113549.1.7.3");
inline constexpr x509::der::Oid oid_content_type("1.2.840.113549.1.9.3");
inline constexpr x509::der::Oid oid_message_digest("1.2.840.113549.1.9.4");
inline constexpr x509::der::Oid oid_signing_time("1.2.840.113549.1.9.5");

/// Attribute ::= SEQUENCE { attrType OID, attrValues SET OF ANY }: the one value a SCEP attribute
/// has, as an element.
struct Attribute {
  Bytes oid;  ///< an element too
  Bytes value;
};

/// SignerInfo ::= SEQUENCE { version, sid, digestAlgorithm, signedAttrs [0] OPTIONAL,
/// signatureAlgorithm, signature, ... }
struct SignerInfo {
  std::optional<IssuerAndSerial> issuer_and_serial;
  std::optional<Bytes> subject_key_id;
  Result<x509::Digest> digest = x509::Digest::sha256;
  Bytes signed_attributes;  ///< as sent, with the SET tag they are hashed with; empty if there are
                            ///< none
  std::vector<Attribute> attributes;
  Bytes signature;
};

/// SignedData ::= SEQUENCE { version, digestAlgorithms, encapContentInfo, certificates [0], crls
/// [1], signerInfos }
struct SignedData {
  Bytes content_type;            ///< its OID, an element
  std::optional<Bytes> content;  ///< eContent's octets
  std::vector<x509::Certificate> certificates;
  std::size_t certificates_skipped = 0;  ///< in the bag, but not certificates we can read
  std::vector<Bytes> crls;
  std::vector<SignerInfo> signers;
};

/// In:     ContentInfo with SignedData, DER or BER.
/// Errors: malformed.
[[nodiscard]] Result<SignedData> parse_signed_data(ByteView content_info);
/// The value of an attribute, or nothing.
[[nodiscard]] const Bytes* find(const std::vector<Attribute>& attributes, ByteView oid);
/// Is `certificate` the one this SignerInfo names?
[[nodiscard]] bool names(const SignerInfo& signer, const x509::Certificate& certificate);
/// The signature over attributes and content, with this key: contentType and messageDigest must be
/// right where there are signed attributes. Errors: crypto, unsupported.
[[nodiscard]] Result<void> verify(const SignedData& data, const SignerInfo& signer,
                                  const x509::PublicKey& key);

/// No content and no signer, RFC 5652 5.2. Out: ContentInfo.
[[nodiscard]] Bytes degenerate(std::span<const x509::Certificate> certificates,
                               std::span<const Bytes> crls);

/// An Attribute of one value, whole. In: its OID and the value, elements both.
[[nodiscard]] Bytes attribute(ByteView oid, ByteView value);
[[nodiscard]] Bytes attribute(ByteView oid, std::uint8_t tag, ByteView content);

enum class Content { octets, absent, empty };
struct SignTemplate {
  Bytes content;
  Content form = Content::octets;
  std::vector<Bytes> attributes;  ///< whole; contentType and messageDigest are added
  std::vector<x509::Certificate> bag;
  x509::Digest digest = x509::Digest::sha256;
};
/// SignerInfo version 1 by issuer and serial, signatureAlgorithm rsaEncryption, everything
/// definite. Out: ContentInfo.
[[nodiscard]] Result<Bytes> sign(const SignTemplate& what, const x509::Certificate& signer,
                                 const x509::PrivateKey& key);

/// EnvelopedData ::= SEQUENCE { version, recipientInfos SET, encryptedContentInfo }
struct EnvelopedData {
  struct Recipient {
    IssuerAndSerial id;
    Bytes encrypted_key;
  };
  std::vector<Recipient>
      recipients;  ///< KeyTransRecipientInfo by issuer and serial; others are left out
  Result<Cipher> cipher = Cipher::aes128_cbc;
  Bytes iv;
  Bytes encrypted;
};
[[nodiscard]] Result<EnvelopedData> parse_enveloped_data(ByteView content_info);
/// Decrypts with the recipient's key. A wrong key block goes on with a content key that nobody
/// knows, so that all that can be learnt is "it did not work" (RFC 3218 2.3.2). Errors: crypto;
/// unsupported if the cipher needs a legacy not allowed.
[[nodiscard]] Result<Bytes> decrypt(const EnvelopedData& data, const Bytes& encrypted_key,
                                    const x509::PrivateKey& key, bool allow_des);
/// One recipient, by issuer and serial. Out: ContentInfo. Errors: crypto, unsupported.
[[nodiscard]] Result<Bytes> envelop(ByteView content, const x509::Certificate& recipient,
                                    Cipher cipher, Random& random);

/// ContentInfo ::= SEQUENCE { contentType, content [0] EXPLICIT SEQUENCE of these parts }, all put
/// together at once.
[[nodiscard]] Bytes content_info(const x509::der::Oid& type, std::initializer_list<ByteView> parts);
/// The DER of issuerAndSerialNumber.
[[nodiscard]] Bytes to_der(const x509::Name& issuer, const x509::Serial& serial);
[[nodiscard]] Result<IssuerAndSerial> parse_issuer_and_serial(ByteView der);

}  // namespace umbra::scep::cms
