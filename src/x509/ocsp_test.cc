#include "x509/ocsp.h"

#include <gtest/gtest.h>
#include <openssl/ocsp.h>

#include "x509/ossl.h"
#include "x509/request.h"

namespace umbra::x509 {
namespace {

const Time now = *from_rfc3339("2030-06-01T12:00:00Z");
const Bytes nonce(16, 7);

struct Party {
  PrivateKey key;
  Certificate certificate;
};

Party party(const std::string& name, const Party* issuer, std::vector<Extension> extensions) {
  auto key = *PrivateKey::generate_ec(256);
  const Name subject = *Name::from_ios(name);
  const CertificateTemplate what{.serial = Serial(issuer ? 42 : 1),
                                 .issuer = issuer ? issuer->certificate.subject() : subject,
                                 .subject = subject,
                                 .not_before = now - Days{10},
                                 .not_after = now + Days{10},
                                 .spki = to_bytes(key.public_key().spki()),
                                 .extensions = std::move(extensions)};
  const auto made = *sign_certificate(what, issuer ? issuer->key : key, Digest::sha256);
  return {key, made};
}

class OcspTest : public testing::Test {
 protected:
  ossl::X509 opened(const Certificate& certificate) {
    const std::uint8_t* at = certificate.der().data();
    return ossl::X509(d2i_X509(nullptr, &at, static_cast<long>(certificate.der().size())));
  }
  /// What a responder would send, by OpenSSL.
  Bytes answer(int status, const Party& signer, const Certificate& about, bool with_nonce = true) {
    OCSP_BASICRESP* const basic = OCSP_BASICRESP_new();
    const auto subject = opened(about);
    const auto issuer = opened(ca.certificate);
    OCSP_CERTID* const id = OCSP_cert_to_id(EVP_sha1(), subject.get(), issuer.get());
    const auto text = [](Time at) {
      return ASN1_GENERALIZEDTIME_set(nullptr, at.time_since_epoch().count());
    };
    ASN1_TIME* const from = text(this_update);
    ASN1_TIME* const until = text(next_update);
    OCSP_basic_add1_status(basic, id, status, OCSP_REVOKED_STATUS_NOSTATUS, from, from, until);
    Bytes octets = answered_nonce;
    if (with_nonce) OCSP_basic_add1_nonce(basic, octets.data(), static_cast<int>(octets.size()));
    const auto by = opened(signer.certificate);
    EXPECT_EQ(OCSP_basic_sign(basic, by.get(), signer.key.get(), EVP_sha256(), nullptr, 0), 1);
    OCSP_RESPONSE* const response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    std::uint8_t* raw = nullptr;
    const int size = i2d_OCSP_RESPONSE(response, &raw);
    Bytes out(raw, raw + size);
    OPENSSL_free(raw);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_GENERALIZEDTIME_free(from);
    ASN1_GENERALIZEDTIME_free(until);
    return out;
  }
  Result<OcspStatus> read(const Bytes& response) {
    return read_ocsp_response(response, box.certificate, ca.certificate, nonce, now);
  }
  Errc error(const Bytes& response) { return read(response).error().code; }

  const Party ca = party("CN=CA", nullptr, {basic_constraints_ca()});
  const Party box = party("CN=box", &ca, {});
  Time this_update = now - std::chrono::minutes{1};
  Time next_update = now + Days{1};
  Bytes answered_nonce = nonce;
};

TEST_F(OcspTest, TheCaTellsWhoIsRevoked) {
  EXPECT_EQ(*read(answer(V_OCSP_CERTSTATUS_GOOD, ca, box.certificate)), OcspStatus::good);
  EXPECT_EQ(*read(answer(V_OCSP_CERTSTATUS_REVOKED, ca, box.certificate)), OcspStatus::revoked);
  EXPECT_EQ(*read(answer(V_OCSP_CERTSTATUS_UNKNOWN, ca, box.certificate)), OcspStatus::unknown);
}

TEST_F(OcspTest, SoDoesWhomItMadeAResponderAndNobodyElse) {
  const Party made = party("CN=responder", &ca, {extended_key_usage({KeyPurpose::ocsp_signing})});
  EXPECT_EQ(*read(answer(V_OCSP_CERTSTATUS_GOOD, made, box.certificate)), OcspStatus::good);
  EXPECT_EQ(error(answer(V_OCSP_CERTSTATUS_GOOD, box, box.certificate)), Errc::crypto);
  const Party stranger = party("CN=CA", nullptr, {basic_constraints_ca()});
  EXPECT_EQ(error(answer(V_OCSP_CERTSTATUS_GOOD, stranger, box.certificate)), Errc::crypto);
}

TEST_F(OcspTest, AnAnswerIsToThisQuestionAndOfThisTime) {
  const Party other = party("CN=other", &ca, {});
  const Certificate another = *sign_certificate({.serial = Serial(43),
                                                 .issuer = ca.certificate.subject(),
                                                 .subject = other.certificate.subject(),
                                                 .not_before = now,
                                                 .not_after = now + Days{1},
                                                 .spki = to_bytes(other.key.public_key().spki()),
                                                 .extensions = {}},
                                                ca.key, Digest::sha256);
  EXPECT_EQ(error(answer(V_OCSP_CERTSTATUS_GOOD, ca, another)), Errc::conflict);
  answered_nonce = Bytes(16, 8);
  EXPECT_EQ(error(answer(V_OCSP_CERTSTATUS_GOOD, ca, box.certificate)), Errc::conflict);
  answered_nonce = nonce;
  EXPECT_TRUE(read(answer(V_OCSP_CERTSTATUS_GOOD, ca, box.certificate, false))) << "fresh enough";
  this_update = now - Days{2};
  EXPECT_TRUE(read(answer(V_OCSP_CERTSTATUS_GOOD, ca, box.certificate)));
  EXPECT_EQ(error(answer(V_OCSP_CERTSTATUS_GOOD, ca, box.certificate, false)), Errc::conflict);
  next_update = now - Days{1};
  EXPECT_EQ(error(answer(V_OCSP_CERTSTATUS_GOOD, ca, box.certificate)), Errc::conflict);
  this_update = now + std::chrono::hours{1};
  next_update = now + Days{1};
  EXPECT_EQ(error(answer(V_OCSP_CERTSTATUS_GOOD, ca, box.certificate)), Errc::conflict);
}

TEST_F(OcspTest, WhatIsNoAnswerIsNone) {
  Bytes response = answer(V_OCSP_CERTSTATUS_GOOD, ca, box.certificate);
  const Bytes whole = response;
  response.push_back(0);
  EXPECT_EQ(error(response), Errc::malformed);
  for (std::size_t i = 0; i < whole.size(); i += 7) {
    EXPECT_FALSE(read(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(i))));
    response = whole;
    response[i] ^= 0x55U;
    const auto got = read(response);
    EXPECT_FALSE(got && *got != OcspStatus::good) << i;
  }
  OCSP_RESPONSE* const busy = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, nullptr);
  std::uint8_t* raw = nullptr;
  const int size = i2d_OCSP_RESPONSE(busy, &raw);
  EXPECT_EQ(error(Bytes(raw, raw + size)), Errc::unreachable);
  OPENSSL_free(raw);
  OCSP_RESPONSE_free(busy);
}

TEST_F(OcspTest, TheQuestionNamesTheCertificate) {
  const auto asked = *ocsp_request(box.certificate, ca.certificate, nonce);
  const std::uint8_t* at = asked.data();
  OCSP_REQUEST* const parsed = d2i_OCSP_REQUEST(nullptr, &at, static_cast<long>(asked.size()));
  ASSERT_NE(parsed, nullptr);
  EXPECT_EQ(OCSP_request_onereq_count(parsed), 1);
  OCSP_REQUEST_free(parsed);
}

}  // namespace
}  // namespace umbra::x509
