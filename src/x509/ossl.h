#pragma once

// OpenSSL handles with one owner each, for .cc files of x509/ and scep/cms only.

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include <memory>

#include "base/result.h"

namespace umbra::x509::ossl {

template <auto Free>
struct Deleter {
  void operator()(auto* p) const noexcept { Free(p); }
};
inline void free_bio(::BIO* bio) { BIO_free_all(bio); }

using Bio = std::unique_ptr<::BIO, Deleter<&free_bio>>;
using Bn = std::unique_ptr<::BIGNUM, Deleter<&BN_free>>;
using Cipher = std::unique_ptr<::EVP_CIPHER_CTX, Deleter<&EVP_CIPHER_CTX_free>>;
using Crl = std::unique_ptr<::X509_CRL, Deleter<&X509_CRL_free>>;
using Digest = std::unique_ptr<::EVP_MD_CTX, Deleter<&EVP_MD_CTX_free>>;
using Params = std::unique_ptr<::OSSL_PARAM, Deleter<&OSSL_PARAM_free>>;
using ParamsBuilder = std::unique_ptr<::OSSL_PARAM_BLD, Deleter<&OSSL_PARAM_BLD_free>>;
using Pkcs12 = std::unique_ptr<::PKCS12, Deleter<&PKCS12_free>>;
using Pkcs8 = std::unique_ptr<::PKCS8_PRIV_KEY_INFO, Deleter<&PKCS8_PRIV_KEY_INFO_free>>;
using Pkey = std::unique_ptr<::EVP_PKEY, Deleter<&EVP_PKEY_free>>;
using PkeyContext = std::unique_ptr<::EVP_PKEY_CTX, Deleter<&EVP_PKEY_CTX_free>>;
using Sealed = std::unique_ptr<::X509_SIG, Deleter<&X509_SIG_free>>;
using X509 = std::unique_ptr<::X509, Deleter<&X509_free>>;
inline void free_stack(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }
using X509Stack = std::unique_ptr<STACK_OF(X509), Deleter<&free_stack>>;
static_assert(sizeof(X509) == sizeof(void*));

/// The thread's OpenSSL errors as one Error; the queue is empty afterwards.
[[nodiscard]] inline Error take_error(Errc code, std::string detail) {
  char text[256];
  while (const unsigned long e = ERR_get_error()) {
    ERR_error_string_n(e, text, sizeof text);
    detail.append("; ").append(text);
  }
  return {code, std::move(detail)};
}
[[nodiscard]] inline tl::unexpected<Error> failed(Errc code, std::string detail) {
  return tl::unexpected(take_error(code, std::move(detail)));
}

}  // namespace umbra::x509::ossl
