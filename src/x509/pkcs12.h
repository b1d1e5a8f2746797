#pragma once

#include "x509/certificate.h"

namespace umbra::x509 {

/// The archive of `database archive pkcs12`: key and certificate, PBES2 with AES-256, MAC with
/// SHA-256; `others` are certificates of CAs, without keys. Out: DER of PFX. Errors: crypto.
[[nodiscard]] Result<Bytes> to_pkcs12(const PrivateKey& key, const Certificate& certificate,
                                      std::string_view friendly_name, std::string_view password,
                                      std::span<const Certificate> others = {});
/// `database archive pem`: certificate and encrypted PKCS #8 key.
[[nodiscard]] Result<std::string> to_pem_archive(const PrivateKey& key,
                                                 const Certificate& certificate,
                                                 std::string_view password);

/// The same with the key in the older form, DEK-Info and 3DES, for peers that read no PKCS #8. Out:
/// the key alone, in PEM. Errors: crypto.
[[nodiscard]] Result<std::string> to_traditional_pem(const PrivateKey& key,
                                                     std::string_view password);

/// What an archive holds. That key and certificate belong together has been checked.
struct Archive {
  PrivateKey key;
  Certificate certificate;
  std::vector<Certificate> others{};  ///< of CAs, as a rule; nothing is known of them
};
/// An archive of ours, or of an IOS certificate server: DER of PFX, or its base64. RC2 and single
/// DES, which old IOS sealed archives with, need OpenSSL's legacy provider.
/// Errors: crypto (wrong passphrase), unsupported (an algorithm that is not here; says what to do;
/// or more rounds of key derivation than anybody waits for), conflict (the key is another
/// certificate's), malformed.
[[nodiscard]] Result<Archive> from_pkcs12(ByteView content, std::string_view password);
/// Certificates and a key in PEM, in any order: PKCS #8, or the older form with a DEK-Info line.
/// The key's certificate is found among the first 32. Errors: as above.
[[nodiscard]] Result<Archive> from_pem_archive(std::string_view text, std::string_view password);

}  // namespace umbra::x509
