#include "x509/pkcs12.h"

#include <openssl/pem.h>
#include <openssl/provider.h>

#include <algorithm>

#include "x509/archive_cost.h"
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

Result<std::string> to_traditional_pem(const PrivateKey& key, std::string_view password) {
  const ossl::Bio bio(BIO_new(BIO_s_mem()));
  const auto* pass = reinterpret_cast<const unsigned char*>(password.data());
  if (!bio || PEM_write_bio_PrivateKey_traditional(bio.get(), key.get(), EVP_des_ede3_cbc(), pass,
                                                   static_cast<int>(password.size()), nullptr,
                                                   nullptr) != 1) {
    return ossl::failed(Errc::crypto, "writing a key as PEM");
  }
  const char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

namespace {

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

constexpr std::size_t certificates_max = 32;

/// In: the certificates in their order, the key's own among them.
Result<Archive> paired(EVP_PKEY* raw_key, std::vector<Certificate> certificates) {
  UMBRA_TRY(auto key, PrivateKey::adopt({raw_key, [](evp_pkey_st* p) { EVP_PKEY_free(p); }}));
  const auto own =
      std::find_if(certificates.begin(), certificates.end(),
                   [&](const Certificate& one) { return one.public_key() == key.public_key(); });
  if (own == certificates.end())
    return fail(Errc::conflict, "its key is not the one in its certificate");
  Archive archive{std::move(key), *own};
  certificates.erase(own);
  archive.others = std::move(certificates);
  return archive;
}

Result<Certificate> read(::X509* certificate) {
  std::uint8_t* raw = nullptr;
  const int size = i2d_X509(certificate, &raw);
  if (size <= 0) return ossl::failed(Errc::malformed, "a certificate in it cannot be read");
  const Bytes der(raw, raw + size);
  OPENSSL_free(raw);
  return Certificate::from_der(der);
}

/// All in the text, up to certificates_max of them.
Result<std::vector<Certificate>> certificates_in(std::string_view text) {
  constexpr std::string_view end = "-----END CERTIFICATE-----";
  std::vector<Certificate> all;
  while (all.size() < certificates_max) {
    const auto at = text.find(end);
    if (at == std::string_view::npos) break;
    UMBRA_TRY(auto one, Certificate::from_pem(text.substr(0, at + end.size())));
    all.push_back(std::move(one));
    text.remove_prefix(at + end.size());
  }
  if (all.empty()) return fail(Errc::malformed, "there is no certificate in it");
  return all;
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
  std::string pass(password);
  ArchiveCost cost;
  if (auto bearable = cost.add(archive.get(), pass); !bearable) {
    wipe(pass);
    return tl::unexpected(bearable.error());
  }
  EVP_PKEY* key = nullptr;
  ::X509* certificate = nullptr;
  STACK_OF(X509)* others = nullptr;
  const bool opened = PKCS12_parse(archive.get(), pass.c_str(), &key, &certificate, &others) == 1;
  const bool wrong = !opened && PKCS12_verify_mac(archive.get(), pass.c_str(), -1) != 1;
  wipe(pass);
  ossl::Pkey owned_key(key);
  const ossl::X509 owned_certificate(certificate);
  const ossl::X509Stack owned_others(others);
  if (wrong && legacy.is_here()) {
    ERR_clear_error();
    return fail(Errc::crypto, "it does not open with this passphrase");
  }
  if (!opened) return unreadable(legacy, "it does not open");
  if (!owned_key || !owned_certificate) {
    ERR_clear_error();
    return fail(Errc::malformed, "a key and its certificate are not both in it");
  }
  std::vector<Certificate> all;
  UMBRA_TRY(auto own, read(owned_certificate.get()));
  all.push_back(std::move(own));
  for (int i = 0; i < sk_X509_num(others) && all.size() < certificates_max; ++i) {
    UMBRA_TRY(auto other, read(sk_X509_value(others, i)));
    all.push_back(std::move(other));
  }
  return paired(owned_key.release(), std::move(all));
}

Result<Archive> from_pem_archive(std::string_view text, std::string_view password) {
  UMBRA_TRY(auto certificates, certificates_in(text));
  if (const auto sealed = pem_to_der(text, "ENCRYPTED PRIVATE KEY")) {
    const std::uint8_t* at = sealed->data();
    const ossl::Sealed parsed(d2i_X509_SIG(nullptr, &at, static_cast<long>(sealed->size())));
    const X509_ALGOR* algorithm = nullptr;
    if (parsed) X509_SIG_get0(parsed.get(), &algorithm, nullptr);
    ERR_clear_error();
    ArchiveCost cost;
    UMBRA_CHECK(cost.add(algorithm));
  }
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
  return paired(key.release(), std::move(certificates));
}

}  // namespace umbra::x509
