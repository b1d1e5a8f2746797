#include "x509/ocsp.h"

#include <openssl/ocsp.h>

#include <ctime>

#include "x509/ossl.h"

namespace umbra::x509 {
namespace {

using Question = std::unique_ptr<OCSP_REQUEST, ossl::Deleter<&OCSP_REQUEST_free>>;
using Response = std::unique_ptr<OCSP_RESPONSE, ossl::Deleter<&OCSP_RESPONSE_free>>;
using Basic = std::unique_ptr<OCSP_BASICRESP, ossl::Deleter<&OCSP_BASICRESP_free>>;
using CertId = std::unique_ptr<OCSP_CERTID, ossl::Deleter<&OCSP_CERTID_free>>;
using Store = std::unique_ptr<X509_STORE, ossl::Deleter<&X509_STORE_free>>;
using Param = std::unique_ptr<X509_VERIFY_PARAM, ossl::Deleter<&X509_VERIFY_PARAM_free>>;

/// Owns the list, and not what is in it.
void free_list(STACK_OF(X509) * list) { sk_X509_free(list); }
using List = std::unique_ptr<STACK_OF(X509), ossl::Deleter<&free_list>>;

constexpr Seconds clocks_apart = std::chrono::minutes{5};
constexpr Seconds age_without_nonce = Days{1};

ossl::X509 opened(const Certificate& certificate) {
  const std::uint8_t* at = certificate.der().data();
  return ossl::X509(d2i_X509(nullptr, &at, static_cast<long>(certificate.der().size())));
}

/// Responders know certificates by SHA-1 of the issuer's name and key, as RFC 5019 wants.
CertId id_of(const Certificate& subject, const Certificate& issuer) {
  const auto one = opened(subject);
  const auto above = opened(issuer);
  if (!one || !above) return nullptr;
  return CertId(OCSP_cert_to_id(EVP_sha1(), one.get(), above.get()));
}

Result<Question> question(const Certificate& subject, const Certificate& issuer, ByteView nonce) {
  Question made(OCSP_REQUEST_new());
  CertId id = id_of(subject, issuer);
  Bytes octets = to_bytes(nonce);
  if (!made || !id || OCSP_request_add0_id(made.get(), id.get()) == nullptr)
    return ossl::failed(Errc::crypto, "making an OCSP request");
  static_cast<void>(id.release());
  if (OCSP_request_add1_nonce(made.get(), octets.data(), static_cast<int>(octets.size())) != 1)
    return ossl::failed(Errc::crypto, "making an OCSP request");
  return made;
}

Result<Time> time_of(const ASN1_GENERALIZEDTIME* text) {
  std::tm parts{};
  if (text == nullptr || ASN1_TIME_to_tm(text, &parts) != 1)
    return ossl::failed(Errc::malformed, "an OCSP response without a time");
  return Time{Seconds{::timegm(&parts)}};
}

Result<void> check_signature(OCSP_BASICRESP* basic, const Certificate& issuer, Time now) {
  const Store trusted(X509_STORE_new());
  const Param param(X509_VERIFY_PARAM_new());
  const auto anchor = opened(issuer);
  if (!trusted || !param || !anchor) return ossl::failed(Errc::crypto, "checking an OCSP response");
  X509_VERIFY_PARAM_set_time(param.get(), now.time_since_epoch().count());
  X509_VERIFY_PARAM_set_flags(param.get(), X509_V_FLAG_PARTIAL_CHAIN);
  if (X509_STORE_set1_param(trusted.get(), param.get()) != 1 ||
      X509_STORE_add_cert(trusted.get(), anchor.get()) != 1)
    return ossl::failed(Errc::crypto, "checking an OCSP response");
  const List beside(sk_X509_new_null());
  if (!beside || sk_X509_push(beside.get(), anchor.get()) <= 0)
    return ossl::failed(Errc::crypto, "checking an OCSP response");
  if (OCSP_basic_verify(basic, beside.get(), trusted.get(), 0) != 1)
    return ossl::failed(Errc::crypto, "the OCSP response is not signed by the CA or for it");
  return {};
}

}  // namespace

Result<Bytes> ocsp_request(const Certificate& subject, const Certificate& issuer, ByteView nonce) {
  UMBRA_TRY(const auto made, question(subject, issuer, nonce));
  std::uint8_t* raw = nullptr;
  const int size = i2d_OCSP_REQUEST(made.get(), &raw);
  if (size <= 0) return ossl::failed(Errc::crypto, "making an OCSP request");
  Bytes out(raw, raw + size);
  OPENSSL_free(raw);
  return out;
}

Result<OcspStatus> read_ocsp_response(ByteView input, const Certificate& subject,
                                      const Certificate& issuer, ByteView nonce, Time now) {
  const std::uint8_t* at = input.data();
  const Response response(d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(input.size())));
  if (!response || at != input.data() + input.size())
    return ossl::failed(Errc::malformed, "not an OCSP response");
  if (const int status = OCSP_response_status(response.get());
      status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return fail(Errc::unreachable,
                std::string("the OCSP responder says ") + OCSP_response_status_str(status));
  }
  const Basic basic(OCSP_response_get1_basic(response.get()));
  if (!basic) return ossl::failed(Errc::malformed, "not a basic OCSP response");
  UMBRA_CHECK(check_signature(basic.get(), issuer, now));
  UMBRA_TRY(const auto asked, question(subject, issuer, nonce));
  const int nonces = OCSP_check_nonce(asked.get(), basic.get());
  ERR_clear_error();
  if (nonces == 0) return fail(Errc::conflict, "the OCSP response has another nonce");
  const CertId id = id_of(subject, issuer);
  int status = V_OCSP_CERTSTATUS_UNKNOWN;
  ASN1_GENERALIZEDTIME* this_update = nullptr;
  ASN1_GENERALIZEDTIME* next_update = nullptr;
  if (!id || OCSP_resp_find_status(basic.get(), id.get(), &status, nullptr, nullptr, &this_update,
                                   &next_update) != 1) {
    ERR_clear_error();
    return fail(Errc::conflict, "the OCSP response is about another certificate");
  }
  UMBRA_TRY(const Time from, time_of(this_update));
  if (from > now + clocks_apart) return fail(Errc::conflict, "the OCSP response is of the future");
  if (next_update != nullptr) {
    UMBRA_TRY(const Time until, time_of(next_update));
    if (until < now - clocks_apart) return fail(Errc::conflict, "the OCSP response has ended");
  }
  if (nonces < 0 && from < now - age_without_nonce)
    return fail(Errc::conflict, "the OCSP response is old, and answers no question of ours");
  switch (status) {
    case V_OCSP_CERTSTATUS_GOOD:
      return OcspStatus::good;
    case V_OCSP_CERTSTATUS_REVOKED:
      return OcspStatus::revoked;
    default:
      return OcspStatus::unknown;
  }
}

}  // namespace umbra::x509
