#include "x509/pkcs12.h"

#include <openssl/pem.h>
#include <openssl/provider.h>

#include <fmt/format.h>

#include <algorithm>

#include "x509/ossl.h"
#include "x509/pem.h"

namespace umbra::x509 {

Result<Bytes> to_pkcs12(const PrivateKey& key, const Certificate& certificate,
                        std::string_view friendly_name, std::string_view password,
                        std::span<const Certificate> others) {
  const auto opened = [](const Certificate& one) {
    const std::uint8_t* at = one.der().data();
    return ossl::X509(d2i_X509(nullptr, &at, static_cast<long>(one.der().size())));
  };
  const ossl::X509 cert = opened(certificate);
  const ossl::X509Stack rest(sk_X509_new_null());
  for (const Certificate& other : others) {
    ossl::X509 one = opened(other);
    if (!one || !rest || sk_X509_push(rest.get(), one.get()) <= 0)
      return ossl::failed(Errc::crypto, "making a PKCS #12 archive");
    static_cast<void>(one.release());
  }
  std::string pass(password);
  const std::string name(friendly_name);
  const ossl::Pkcs12 archive(PKCS12_create(pass.c_str(), name.c_str(), key.get(), cert.get(),
                                           others.empty() ? nullptr : rest.get(), NID_aes_256_cbc,
                                           NID_aes_256_cbc, PKCS12_DEFAULT_ITER, -1, 0));
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

namespace {

constexpr long rounds_max = 10'000'000;  // some seconds

/// OpenSSL's legacy provider, while this lives; beside the one that is always there.
class Legacy {
 public:
  Legacy() : provider_(OSSL_PROVIDER_try_load(nullptr, "legacy", 1)) {}
  ~Legacy() {
    if (provider_ != nullptr) OSSL_PROVIDER_unload(provider_);
  }
  Legacy(const Legacy&) = delete;
  Legacy& operator=(const Legacy&) = delete;
  [[nodiscard]] bool is_here() const { return provider_ != nullptr; }

 private:
  OSSL_PROVIDER* provider_;
};

tl::unexpected<Error> unreadable(const Legacy& legacy, const std::string& what) {
  Error error = ossl::take_error(Errc::crypto, what);
  if (legacy.is_here()) return tl::unexpected(std::move(error));
  return fail(Errc::unsupported,
              error.detail +
                  "; it may be sealed with RC2 or DES, and OpenSSL's legacy provider (legacy.so, "
                  "of Debian's libssl3) is not here. Seal it anew where it is: openssl pkcs12 "
                  "-legacy -in OLD -nodes | openssl pkcs12 -export -out NEW");
}

Result<Archive> paired(EVP_PKEY* raw_key, Certificate certificate) {
  UMBRA_TRY(auto key, PrivateKey::adopt({raw_key, [](evp_pkey_st* p) { EVP_PKEY_free(p); }}));
  if (!(key.public_key() == certificate.public_key()))
    return fail(Errc::conflict, "its key is not the one in its certificate");
  return Archive{std::move(key), std::move(certificate)};
}

}  // namespace

Result<Archive> from_pkcs12(ByteView content, std::string_view password) {
  constexpr std::uint8_t sequence = 0x30;
  Bytes der = to_bytes(content);
  if (!der.empty() && der.front() != sequence) {
    UMBRA_TRY(der, from_base64(as_text(content)));
  }
  const Legacy legacy;
  const std::uint8_t* at = der.data();
  const ossl::Pkcs12 archive(d2i_PKCS12(nullptr, &at, static_cast<long>(der.size())));
  if (!archive) return ossl::failed(Errc::malformed, "it is no PKCS #12");
  if (PKCS12_mac_present(archive.get()) != 1)
    return fail(Errc::malformed,
                "it has no MAC: whether it is whole, and whose it is, is not known");
  const ASN1_INTEGER* rounds = nullptr;
  PKCS12_get0_mac(nullptr, nullptr, nullptr, &rounds, archive.get());
  // Before the MAC is right everybody may have made it: it is not to compute for hours.
  if (rounds != nullptr &&
      !(ASN1_INTEGER_get(rounds) >= 0 && ASN1_INTEGER_get(rounds) <= rounds_max))
    return fail(Errc::unsupported, fmt::format("its MAC takes more than {} rounds", rounds_max));
  std::string pass(password);
  EVP_PKEY* key = nullptr;
  ::X509* certificate = nullptr;
  const bool opened = PKCS12_parse(archive.get(), pass.c_str(), &key, &certificate, nullptr) == 1;
  const bool wrong = !opened && PKCS12_verify_mac(archive.get(), pass.c_str(), -1) != 1;
  wipe(pass);
  ossl::Pkey owned_key(key);
  const ossl::X509 owned_certificate(certificate);
  if (wrong && legacy.is_here()) {
    ERR_clear_error();
    return fail(Errc::crypto, "it does not open with this passphrase");
  }
  if (!opened) return unreadable(legacy, "it does not open");
  if (!owned_key || !owned_certificate)
    return fail(Errc::malformed, "a key and its certificate are not both in it");
  std::uint8_t* raw = nullptr;
  const int size = i2d_X509(owned_certificate.get(), &raw);
  if (size <= 0) return ossl::failed(Errc::malformed, "its certificate cannot be read");
  const Bytes certificate_der(raw, raw + size);
  OPENSSL_free(raw);
  UMBRA_TRY(auto parsed, Certificate::from_der(certificate_der));
  return paired(owned_key.release(), std::move(parsed));
}

Result<Archive> from_pem_archive(std::string_view text, std::string_view password) {
  UMBRA_TRY(auto certificate, Certificate::from_pem(text));
  const Legacy legacy;
  const ossl::Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  const auto tell = [](char* out, int room, int, void* secret) {
    const auto& known = *static_cast<const std::string_view*>(secret);
    if (known.size() > static_cast<std::size_t>(room)) return 0;
    std::copy(known.begin(), known.end(), out);
    return static_cast<int>(known.size());
  };
  ossl::Pkey key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, tell, &password) : nullptr);
  if (!key) {
    if (text.find("PRIVATE KEY-----") == std::string_view::npos) {
      ERR_clear_error();
      return fail(Errc::malformed, "there is no private key in it");
    }
    return unreadable(legacy, "its key does not open with this passphrase");
  }
  return paired(key.release(), std::move(certificate));
}

}  // namespace umbra::x509
