// Tests that are about something else than how keys are made are given them: to make an RSA key
// takes OpenSSL as long as a hundred enrolments. These are the first ones of a process, each a
// different one; then OpenSSL makes more.

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cstdarg>
#include <mutex>
#include <string_view>

namespace {

constexpr std::size_t bits_of_the_given = 2048;

/// Null when all have been given.
EVP_PKEY* given() {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  static BIO* const file = BIO_new_file(UMBRA_SOURCE_DIR "/tests/vectors/keys/rsa-2048.pem", "r");
  EVP_PKEY* const key =
      file == nullptr ? nullptr : PEM_read_bio_PrivateKey(file, nullptr, nullptr, nullptr);
  ERR_clear_error();
  return key;
}

}  // namespace

// OpenSSL's own name, found here before its library's.
extern "C" EVP_PKEY* EVP_PKEY_Q_keygen(OSSL_LIB_CTX* library, const char* properties,
                                       const char* type, ...) {
  std::va_list rest;
  va_start(rest, type);
  const bool rsa = std::string_view(type) == "RSA";
  const std::size_t bits = rsa ? va_arg(rest, std::size_t) : 0;
  const char* const curve = rsa ? nullptr : va_arg(rest, char*);
  va_end(rest);
  if (bits == bits_of_the_given) {
    if (EVP_PKEY* const key = given()) return key;
  }
  EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new_from_name(library, type, properties);
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_keygen_init(context) == 1 &&
      (rsa ? EVP_PKEY_CTX_set_rsa_keygen_bits(context, static_cast<int>(bits))
           : EVP_PKEY_CTX_set_group_name(context, curve)) == 1)
    EVP_PKEY_generate(context, &key);
  EVP_PKEY_CTX_free(context);
  return key;
}
