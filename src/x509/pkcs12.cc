#include "x509/pkcs12.h"

#include "x509/ossl.h"
#include "x509/pem.h"

namespace umbra::x509 {

Result<Bytes> to_pkcs12(const PrivateKey& key, const Certificate& certificate,
                        std::string_view friendly_name, std::string_view password) {
  const std::uint8_t* at = certificate.der().data();
  const ossl::X509 cert(d2i_X509(nullptr, &at, static_cast<long>(certificate.der().size())));
  std::string pass(password);
  const std::string name(friendly_name);
  const ossl::Pkcs12 archive(PKCS12_create(pass.c_str(), name.c_str(), key.get(), cert.get(),
                                           nullptr, NID_aes_256_cbc, NID_aes_256_cbc,
                                           PKCS12_DEFAULT_ITER, -1, 0));
  const bool sealed = archive && PKCS12_set_mac(archive.get(), pass.c_str(), -1, nullptr, 0,
                                                PKCS12_DEFAULT_ITER, EVP_sha256()) == 1;
  wipe(pass);
  std::uint8_t* raw = nullptr;
  const int size = sealed ? i2d_PKCS12(archive.get(), &raw) : 0;
  if (size <= 0) return ossl::failed(Errc::crypto, "making a PKCS #12 archive");
  Bytes out(raw, raw + size);
  OPENSSL_free(raw);
  return out;
}

Result<std::string> to_pem_archive(const PrivateKey& key, const Certificate& certificate,
                                   std::string_view password) {
  UMBRA_TRY(const Bytes sealed, key.seal(password));
  return certificate.to_pem() + der_to_pem(sealed, "ENCRYPTED PRIVATE KEY");
}

}  // namespace umbra::x509
