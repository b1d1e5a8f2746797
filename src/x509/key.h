#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "x509/algorithm.h"

struct evp_pkey_st;

namespace umbra::x509 {

/// A public key: SubjectPublicKeyInfo DER, and OpenSSL's form of it built straight from the numbers
/// (EVP_PKEY_fromdata).
class PublicKey {
 public:
  /// In:     DER of SubjectPublicKeyInfo; RSA of 512..8192 bits with an odd exponent over 1 of at
  /// most 64 bits, or EC on
  ///         P-256, P-384, P-521 (named curve, uncompressed point).
  /// Errors: malformed; unsupported for other algorithms or sizes. Key strength is policy's
  /// question, not ours.
  [[nodiscard]] static Result<PublicKey> from_spki(ByteView der);
  /// The same, but for a key that is likely to be this one: what OpenSSL has of it is shared.
  [[nodiscard]] static Result<PublicKey> from_spki(ByteView der, const PublicKey& known);
  [[nodiscard]] ByteView spki() const { return spki_; }
  [[nodiscard]] KeyAlgorithm algorithm() const { return algorithm_; }
  [[nodiscard]] int bits() const { return bits_; }
  /// Big-endian without leading zeros; of this key's octets.
  struct RsaNumbers {
    ByteView modulus;
    ByteView exponent;
  };
  /// Nothing for an EC key.
  [[nodiscard]] std::optional<RsaNumbers> rsa() const;
  /// SHA-1 over the contents of the BIT STRING (RSAPublicKey): the key identifier IOS and RFC
  /// 5280 4.2.1.2 (1) use.
  [[nodiscard]] Bytes key_identifier() const;
  /// Errors: crypto if the signature is not this key's over `data`; unsupported if the algorithm is
  /// another key kind's.
  [[nodiscard]] Result<void> verify(const SignatureAlgorithm& algorithm, ByteView data,
                                    ByteView signature) const;
  /// RSA PKCS #1 v1.5, for a CMS content key. Errors: unsupported on an EC key.
  [[nodiscard]] Result<Bytes> encrypt(ByteView secret) const;
  friend bool operator==(const PublicKey& a, const PublicKey& b) { return equal(a.spki_, b.spki_); }

 private:
  struct Engine;
  PublicKey() = default;
  [[nodiscard]] Result<evp_pkey_st*> engine() const;
  Bytes spki_;
  Bytes key_bits_;
  KeyAlgorithm algorithm_ = KeyAlgorithm::rsa;
  int bits_ = 0;
  std::shared_ptr<Engine> engine_;
};

/// OpenSSL's own generator: for keys and content keys, never for what a simulation must repeat.
void random_octets(std::span<std::uint8_t> out);

/// A private key in memory. Cheap to copy (shared), wiped by OpenSSL when the last copy goes.
/// Thread-safe to use.
class PrivateKey {
 public:
  /// Cost: an RSA-2048 key is about 570 signatures' worth. Errors: unsupported outside 1024..8192
  /// bits.
  [[nodiscard]] static Result<PrivateKey> generate_rsa(int bits);
  /// On P-256, P-384 or P-521. Errors: crypto, unsupported.
  [[nodiscard]] static Result<PrivateKey> generate_ec(int bits);
  /// PKCS #8, encrypted with PBES2 (PBKDF2-SHA256, AES-256-CBC) under `passphrase`: the form at
  /// rest. Cost: 600,000 rounds, but 10,000 for 32 random octets in base64 or hexadecimal.
  [[nodiscard]] Result<Bytes> seal(std::string_view passphrase) const;
  /// Errors: crypto on a wrong passphrase, malformed otherwise.
  [[nodiscard]] static Result<PrivateKey> unseal(ByteView encrypted_pkcs8,
                                                 std::string_view passphrase);
  /// Unencrypted PKCS #8 PEM: only for `storage pem`, where the operator asks for a key other
  /// programs can read.
  [[nodiscard]] Result<std::string> to_pem() const;
  [[nodiscard]] static Result<PrivateKey> from_pem(std::string_view pem);
  [[nodiscard]] const PublicKey& public_key() const { return public_; }
  [[nodiscard]] Result<Bytes> sign(Digest digest, ByteView data) const;
  /// The content key of `size` octets that was encrypted for this key: RSA PKCS #1 v1.5. What holds
  /// none of that size gives another one, always the same for the same octets and known to nobody,
  /// in the same time: so that all that can be learnt is that the content does not open (RFC 3218
  /// 2.3.2). In: size: at most 32.
  [[nodiscard]] Bytes unwrap(ByteView encrypted, std::size_t size) const;
  [[nodiscard]] evp_pkey_st* get() const { return key_.get(); }
  /// A key that OpenSSL has read. Errors: as PublicKey::from_spki.
  [[nodiscard]] static Result<PrivateKey> adopt(std::shared_ptr<evp_pkey_st> key);

 private:
  struct Ready;
  PrivateKey(std::shared_ptr<evp_pkey_st> key, PublicKey pub);
  std::shared_ptr<evp_pkey_st> key_;
  PublicKey public_;
  std::shared_ptr<Ready> ready_;
};

}  // namespace umbra::x509
