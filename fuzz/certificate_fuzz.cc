// What we take for a certificate, OpenSSL takes for the same one: serial, names and key agree, and
// the names are equal to themselves.

#include <cstdlib>

#include "x509/certificate.h"
#include "x509/ossl.h"

using namespace umbra;

namespace {

template <auto I2d>
Bytes encoded(const auto* object) {
  std::uint8_t* raw = nullptr;
  const int size = I2d(object, &raw);
  if (size <= 0) std::abort();
  Bytes out(raw, raw + size);
  OPENSSL_free(raw);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto ours = x509::Certificate::from_der({data, size});
  if (!ours) return 0;
  const std::uint8_t* at = data;
  const x509::ossl::X509 theirs(d2i_X509(nullptr, &at, static_cast<long>(size)));
  if (!theirs || at != data + size) std::abort();
  ::X509* const raw = theirs.get();
  if (encoded<&i2d_ASN1_INTEGER>(X509_get0_serialNumber(raw)) != ours->serial().integer_der() ||
      !equal(encoded<&i2d_X509_NAME>(X509_get_subject_name(raw)), ours->subject().der()) ||
      !equal(encoded<&i2d_X509_NAME>(X509_get_issuer_name(raw)), ours->issuer().der()) ||
      !equal(encoded<&i2d_X509_PUBKEY>(X509_get_X509_PUBKEY(raw)), ours->public_key().spki()) ||
      X509_get_ext_count(raw) != static_cast<int>(ours->extensions().size())) {
    std::abort();
  }
  const auto again = x509::Name::from_der(ours->subject().der());
  if (!again || !(*again == ours->subject())) std::abort();
  (void)ours->subject().joined();
  (void)ours->is_ca();
  (void)ours->crl_urls();
  (void)ours->ocsp_urls();
  (void)ours->authority_key_id();
  (void)ours->verify_signed_by(ours->public_key());
  ERR_clear_error();
  return 0;
}
