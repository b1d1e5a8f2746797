// What we take for a request, OpenSSL takes for the same one; what verifies here, verifies there.

#include <cstdlib>

#include "x509/ossl.h"
#include "x509/request.h"

using namespace umbra;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto ours = x509::Request::from_der({data, size});
  if (!ours) return 0;
  const std::uint8_t* at = data;
  X509_REQ* const theirs = d2i_X509_REQ(nullptr, &at, static_cast<long>(size));
  if (theirs == nullptr || at != data + size) std::abort();
  std::uint8_t* spki = nullptr;
  const int spki_size = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(theirs), &spki);
  if (spki_size <= 0 ||
      !equal({spki, static_cast<std::size_t>(spki_size)}, ours->public_key().spki())) {
    std::abort();
  }
  OPENSSL_free(spki);
  if (ours->verify()) {
    EVP_PKEY* const key = X509_REQ_get0_pubkey(theirs);
    if (key == nullptr || X509_REQ_verify(theirs, key) != 1) std::abort();
  }
  (void)ours->asks_for_ca();
  X509_REQ_free(theirs);
  ERR_clear_error();
  return 0;
}
