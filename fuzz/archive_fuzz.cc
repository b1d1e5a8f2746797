// What opens is a key with its own certificate, whatever file it was; and no answer about
// revocation is believed that the CA has not signed.

#include <cstdlib>

#include "x509/ocsp.h"
#include "x509/pkcs12.h"
#include "x509/request.h"

using namespace umbra;

namespace {

const x509::Certificate& authority() {
  static const x509::Certificate made = [] {
    const auto key = *x509::PrivateKey::generate_ec(256);
    return *x509::self_signed_signer(*x509::Name::from_ios("CN=CA"),
                                     *from_rfc3339("2026-01-01T00:00:00Z"), key,
                                     x509::Digest::sha256);
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  for (const auto& opened :
       {x509::from_pkcs12(input, "secret"), x509::from_pem_archive(as_text(input), "secret")}) {
    if (opened && !(opened->key.public_key() == opened->certificate.public_key())) std::abort();
  }
  const Bytes nonce(16, 1);
  if (x509::read_ocsp_response(input, authority(), authority(), nonce,
                               *from_rfc3339("2026-06-01T00:00:00Z"))) {
    std::abort();
  }
  return 0;
}
