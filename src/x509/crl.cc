#include "x509/crl.h"

#include <openssl/asn1.h>

#include "x509/der.h"
#include "x509/ossl.h"

namespace umbra::x509 {
namespace {

constexpr std::string_view oid_crl_number = "2.5.29.20";
constexpr std::string_view oid_reason = "2.5.29.21";

Result<Time> time_of(const ASN1_TIME* time) {
  if (time == nullptr) return fail(Errc::malformed, "a CRL without a time");
  const auto tag = static_cast<std::uint8_t>(ASN1_STRING_type(time));
  const ByteView text(ASN1_STRING_get0_data(time),
                      static_cast<std::size_t>(ASN1_STRING_length(time)));
  return der::parse_time({tag, text, {}});
}

}  // namespace

Result<Bytes> sign_crl(const CrlTemplate& what, const PrivateKey& key, Digest digest) {
  const SignatureAlgorithm algorithm{key.public_key().algorithm(), digest};
  Bytes entries;
  for (const RevokedEntry& entry : what.revoked) {
    Bytes extensions;
    if (entry.reason != RevocationReason::none) {
      const Bytes reason =
          der::tlv(0x0A, Bytes{static_cast<std::uint8_t>(entry.reason)});  // ENUMERATED
      extensions = der::sequence({to_der(Extension{std::string(oid_reason), false, reason})});
    }
    const Bytes one =
        der::sequence({entry.serial.integer_der(), der::time(entry.revoked_at), extensions});
    entries.insert(entries.end(), one.begin(), one.end());
  }
  // revokedCertificates is absent, not empty, when nothing is revoked (RFC 5280 5.1.2.6).
  const Bytes list = entries.empty() ? Bytes{} : der::tlv(der::tag::sequence, entries);
  std::vector<std::uint8_t> number(8);
  for (std::size_t i = 0; i < 8; ++i)
    number[7 - i] = static_cast<std::uint8_t>(what.number >> (8 * i));
  const Bytes extensions =
      der::tlv(der::context(0), der::sequence({to_der(authority_key_id(what.issuer_key_id)),
                                               to_der(Extension{std::string(oid_crl_number), false,
                                                                der::unsigned_integer(number)})}));
  const Bytes tbs =
      der::sequence({der::small_integer(1), to_der(algorithm), what.issuer.der(),
                     der::time(what.this_update), der::time(what.next_update), list, extensions});
  UMBRA_TRY(const Bytes signature, key.sign(digest, tbs));
  return der::sequence({tbs, to_der(algorithm), der::bit_string_of(signature)});
}

Result<CrlFacts> parse_crl(ByteView input) {
  const std::uint8_t* at = input.data();
  const ossl::Crl crl(d2i_X509_CRL(nullptr, &at, static_cast<long>(input.size())));
  if (!crl) return ossl::failed(Errc::malformed, "not a CRL");
  CrlFacts facts;
  std::uint8_t* name = nullptr;
  const int size = i2d_X509_NAME(X509_CRL_get_issuer(crl.get()), &name);
  if (size <= 0) return ossl::failed(Errc::malformed, "a CRL without an issuer");
  const Bytes issuer(name, name + size);
  OPENSSL_free(name);
  UMBRA_TRY(facts.issuer, Name::from_der(issuer));
  UMBRA_TRY(facts.this_update, time_of(X509_CRL_get0_lastUpdate(crl.get())));
  if (X509_CRL_get0_nextUpdate(crl.get()) != nullptr) {
    UMBRA_TRY(const Time next, time_of(X509_CRL_get0_nextUpdate(crl.get())));
    facts.next_update = next;
  }
  STACK_OF(X509_REVOKED)* const revoked = X509_CRL_get_REVOKED(crl.get());
  for (int i = 0; i < sk_X509_REVOKED_num(revoked); ++i) {
    const X509_REVOKED* const entry = sk_X509_REVOKED_value(revoked, i);
    const ASN1_INTEGER* const serial = X509_REVOKED_get0_serialNumber(entry);
    RevokedEntry out;
    UMBRA_TRY(out.serial,
              Serial::from_big_endian({ASN1_STRING_get0_data(serial),
                                       static_cast<std::size_t>(ASN1_STRING_length(serial))}));
    UMBRA_TRY(out.revoked_at, time_of(X509_REVOKED_get0_revocationDate(entry)));
    int critical = 0;
    auto* const reason = static_cast<ASN1_ENUMERATED*>(
        X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, &critical, nullptr));
    if (reason != nullptr) {
      out.reason = static_cast<RevocationReason>(ASN1_ENUMERATED_get(reason));
      ASN1_ENUMERATED_free(reason);
    }
    facts.revoked.push_back(out);
  }
  int critical = 0;
  auto* const number = static_cast<ASN1_INTEGER*>(
      X509_CRL_get_ext_d2i(crl.get(), NID_crl_number, &critical, nullptr));
  if (number != nullptr) {
    std::uint64_t value = 0;
    if (ASN1_INTEGER_get_uint64(&value, number) == 1) facts.number = value;
    ASN1_INTEGER_free(number);
  }
  ERR_clear_error();
  return facts;
}

Result<void> verify_crl(ByteView input, const Certificate& issuer) {
  const std::uint8_t* at = input.data();
  const ossl::Crl crl(d2i_X509_CRL(nullptr, &at, static_cast<long>(input.size())));
  at = issuer.der().data();
  const ossl::X509 certificate(d2i_X509(nullptr, &at, static_cast<long>(issuer.der().size())));
  if (!crl || !certificate) return ossl::failed(Errc::malformed, "not a CRL");
  if (X509_CRL_verify(crl.get(), X509_get0_pubkey(certificate.get())) != 1)
    return ossl::failed(Errc::crypto, "the CRL's signature does not match");
  return {};
}

}  // namespace umbra::x509
