#pragma once

#include "x509/certificate.h"

namespace umbra::x509 {

/// The archive of `database archive pkcs12`: key and certificate, PBES2 with AES-256, MAC with
/// SHA-256. Out: DER of PFX. Errors: crypto.
[[nodiscard]] Result<Bytes> to_pkcs12(const PrivateKey& key, const Certificate& certificate,
                                      std::string_view friendly_name, std::string_view password);
/// `database archive pem`: certificate and encrypted PKCS #8 key.
[[nodiscard]] Result<std::string> to_pem_archive(const PrivateKey& key,
                                                 const Certificate& certificate,
                                                 std::string_view password);

}  // namespace umbra::x509
