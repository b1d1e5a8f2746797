// What we take for a CRL, OpenSSL takes for the same one: issuer, times, number and each entry; one
// that it cannot read is not believed. And a CRL of our own writing with these entries says the
// same.

#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "x509/crl.h"
#include "x509/ossl.h"
#include "x509/request.h"

using namespace umbra;

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

struct Signer {
  x509::PrivateKey key;
  x509::Certificate certificate;
};

const Signer& authority() {
  static const Signer made = [] {
    const auto key = *x509::PrivateKey::generate_ec(256);
    return Signer{key, *x509::self_signed_signer(*x509::Name::from_ios("CN=CA"),
                                                 *from_rfc3339("2026-01-01T00:00:00Z"), key,
                                                 x509::Digest::sha256)};
  }();
  return made;
}

bool same_time(const ASN1_TIME* theirs, Time ours) {
  std::tm parts{};
  return ASN1_TIME_to_tm(theirs, &parts) == 1 && Time(Seconds(timegm(&parts))) == ours;
}

Bytes encoded(const ASN1_INTEGER* number) {
  std::uint8_t* raw = nullptr;
  const int size = i2d_ASN1_INTEGER(number, &raw);
  must(size > 0);
  Bytes out(raw, raw + size);
  OPENSSL_free(raw);
  return out;
}

void must_agree(X509_CRL* theirs, const x509::CrlFacts& ours) {
  std::uint8_t* raw = nullptr;
  const int size = i2d_X509_NAME(X509_CRL_get_issuer(theirs), &raw);
  must(size > 0 && equal({raw, static_cast<std::size_t>(size)}, ours.issuer.der()));
  OPENSSL_free(raw);
  must(same_time(X509_CRL_get0_lastUpdate(theirs), ours.this_update));
  const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(theirs);
  must((next != nullptr) == ours.next_update.has_value());
  must(next == nullptr || same_time(next, *ours.next_update));
  STACK_OF(X509_REVOKED)* const list = X509_CRL_get_REVOKED(theirs);
  must(static_cast<std::size_t>(std::max(sk_X509_REVOKED_num(list), 0)) == ours.revoked.size());
  for (std::size_t i = 0; i < ours.revoked.size(); ++i) {
    const X509_REVOKED* const one = sk_X509_REVOKED_value(list, static_cast<int>(i));
    must(encoded(X509_REVOKED_get0_serialNumber(one)) == ours.revoked[i].serial.integer_der());
    must(same_time(X509_REVOKED_get0_revocationDate(one), ours.revoked[i].revoked_at));
  }
}

void must_come_back(const x509::CrlFacts& facts) {
  x509::CrlEntries entries;
  for (const auto& one : facts.revoked) entries.add(one);
  const auto made = x509::sign_crl({.issuer = facts.issuer,
                                    .issuer_key_id = Bytes(20, 1),
                                    .number = facts.number.value_or(1),
                                    .this_update = facts.this_update,
                                    .next_update = facts.next_update.value_or(facts.this_update)},
                                   entries, authority().key, x509::Digest::sha256);
  must(made.has_value());
  const auto again = x509::parse_crl(*made);
  must(again && again->issuer == facts.issuer && again->this_update == facts.this_update &&
       again->number == facts.number.value_or(1) && !again->partial &&
       again->revoked.size() == facts.revoked.size());
  for (std::size_t i = 0; i < facts.revoked.size(); ++i) {
    const auto& was = facts.revoked[i];
    const auto& is = again->revoked[i];
    must(is.serial == was.serial && is.revoked_at == was.revoked_at);
    const bool known = was.reason <= static_cast<x509::RevocationReason>(10);  // RFC 5280 5.3.1
    must(is.reason == (known ? was.reason : x509::RevocationReason::none));
  }
  must(x509::verify_crl(*made, authority().certificate).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const auto ours = x509::parse_crl(input);
  must(!x509::verify_crl(input, authority().certificate));  // a key that has signed none of these
  if (!ours) return 0;
  const std::uint8_t* at = data;
  const x509::ossl::Crl theirs(d2i_X509_CRL(nullptr, &at, static_cast<long>(size)));
  if (theirs) {
    must(at == data + size);
    must_agree(theirs.get(), *ours);
  }
  must_come_back(*ours);
  ERR_clear_error();
  return 0;
}
