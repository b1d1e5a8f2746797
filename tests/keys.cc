// Tests that are about something else than how keys are made are given them: to make an RSA key
// takes OpenSSL hundreds of times as long as to use it. These are the first ones of a process, each
// a different one; then OpenSSL makes more.

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <string_view>

namespace {

constexpr std::size_t bits_of_the_given = 2048;

/// Null when all have been given.
EVP_PKEY* given() {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  static const std::string text = [] {
    std::ifstream file(UMBRA_SOURCE_DIR "/tests/vectors/keys/rsa-2048.pem");
    return std::string{std::istreambuf_iterator<char>(file), {}};
  }();
  if (text.empty()) {
    std::fputs("tests/vectors/keys/rsa-2048.pem cannot be read\n", stderr);
    std::abort();
  }
  static BIO* const keys = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
  ERR_set_mark();
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(keys, nullptr, nullptr, nullptr);
  ERR_pop_to_mark();
  return key;
}

}  // namespace

// OpenSSL's own name, found here before its library's.
extern "C" EVP_PKEY* EVP_PKEY_Q_keygen(OSSL_LIB_CTX* library, const char* properties,
                                       const char* type, ...) {
  std::va_list rest;
  va_start(rest, type);
  const std::string_view kind(type);
  const std::size_t bits = kind == "RSA" ? va_arg(rest, std::size_t) : 0;
  const char* const curve = kind == "EC" ? va_arg(rest, char*) : nullptr;
  va_end(rest);
  if (bits == bits_of_the_given) {
    if (EVP_PKEY* const key = given()) return key;
  }
  EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new_from_name(library, type, properties);
  EVP_PKEY* key = nullptr;
  bool ready = EVP_PKEY_keygen_init(context) == 1;
  if (ready && bits > 0)
    ready = EVP_PKEY_CTX_set_rsa_keygen_bits(context, static_cast<int>(bits)) == 1;
  if (ready && curve != nullptr) ready = EVP_PKEY_CTX_set_group_name(context, curve) == 1;
  if (ready) EVP_PKEY_generate(context, &key);
  EVP_PKEY_CTX_free(context);
  return key;
}
