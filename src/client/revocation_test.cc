#include <gmock/gmock.h>

#include "client/lab_test.h"
#include "x509/crl.h"
#include "x509/request.h"

namespace umbra::client {
namespace {

using std::chrono::minutes;
using testing::HasSubstr;

class RevocationTest : public TrustpointTest {
 protected:
  RevocationTest() { ca.lifetime_crl = std::chrono::hours{6}; }
  Result<x509::CrlFacts> request_crl() {
    Result<x509::CrlFacts> got = fail(Errc::conflict, "not called");
    trustpoint->request_crl([&](Result<x509::CrlFacts> crl) { got = std::move(crl); });
    settle();
    return got;
  }
  /// The line about the identity.
  Validation::Line validate() {
    Validation all;
    trustpoint->validate([&](Result<Validation> got) {
      ASSERT_TRUE(got) << got.error().detail;
      all = *std::move(got);
    });
    settle();
    for (const auto& line : all.lines) {
      if (line.what == "Certificate") return line;
    }
    return {"no certificate", false, ""};
  }
  void revoke() {
    ASSERT_TRUE(server->revoke(status().identity->serial(), x509::RevocationReason::superseded));
  }
};

TEST_F(RevocationTest, TheCaIsAskedForItsCrlByScepWhereNoUrlIsNamed) {
  enrolled();
  auto line = validate();
  EXPECT_TRUE(line.good) << line.why;
  EXPECT_THAT(line.why, HasSubstr("CRL of 2015-10-09T12:14:16Z: not revoked"));
  const std::size_t before = sent.size();
  EXPECT_TRUE(validate().good);
  EXPECT_EQ(sent.size(), before) << "it is held";
  revoke();
  EXPECT_TRUE(validate().good) << "until its end";
  const auto crl = request_crl();
  ASSERT_TRUE(crl) << crl.error().detail;
  EXPECT_EQ(crl->revoked.size(), 1U);
  line = validate();
  EXPECT_FALSE(line.good);
  EXPECT_THAT(line.why, HasSubstr("revoked at"));
  EXPECT_EQ(log.count("%PKI-3-CERTIFICATE_REVOKED: Certificate chain validation has failed.  The "
                      "certificate (SN: 02) is revoked"),
            1U);
}

TEST_F(RevocationTest, ACrlIsFetchedWhereTheCertificateSaysAndOnlyTheCasNewestOneCounts) {
  ca.cdp_url = "http://crl.example.net/root.crl";
  Bytes served;
  std::size_t asked = 0;
  elsewhere = [&](const HttpCall& call) -> std::optional<Result<HttpReply>> {
    if (call.url != ca.cdp_url) return std::nullopt;
    ++asked;
    return HttpReply{200, "application/pkix-crl", served, {}};
  };
  enrolled();
  const auto newest = [this] { return (*server_store->crl("ROOTCA", 1))->crl; };
  const Bytes old = newest();
  served = old;
  EXPECT_TRUE(validate().good);
  EXPECT_EQ(asked, 1U);
  clock.set(zero + minutes{5});
  revoke();
  const Bytes fresh = newest();
  served = fresh;
  ASSERT_TRUE(request_crl());
  EXPECT_FALSE(validate().good);
  // An old one is replayed, and the CA cannot be asked instead.
  served = old;
  cut = true;
  const auto replayed = request_crl();
  ASSERT_FALSE(replayed);
  EXPECT_THAT(replayed.error().detail, HasSubstr("older than the last one"));
  EXPECT_FALSE(validate().good);
  EXPECT_EQ(log.count("%PKI-3-CRL_FETCH_FAIL: CRL fetch for trustpoint Root-CA failed"), 1U);
  // Somebody else's, a broken one, one that has ended.
  const auto stranger = *x509::PrivateKey::generate_rsa(2048);
  served = *x509::sign_crl({.issuer = status().ca->subject(),
                            .issuer_key_id = {},
                            .number = 9,
                            .this_update = zero + minutes{6},
                            .next_update = day(1)},
                           {}, stranger, x509::Digest::sha256);
  EXPECT_THAT(request_crl().error().detail, HasSubstr("signature does not match"));
  served = fresh;
  served.resize(served.size() - 1);
  EXPECT_FALSE(request_crl());
  served = fresh;
  clock.set(day(1));
  EXPECT_THAT(request_crl().error().detail, HasSubstr("has ended at"));
  EXPECT_FALSE(validate().good) << "nothing is known, and that is not good";
}

TEST_F(RevocationTest, AnOlderCrlIsNotTakenBecauseTheNewerOneIsNotHeldAnyMore) {
  ca.cdp_url = "http://crl.example.net/root.crl";
  Bytes served;
  elsewhere = [&](const HttpCall& call) -> std::optional<Result<HttpReply>> {
    if (call.url == ca.cdp_url) return HttpReply{200, "application/pkix-crl", served, {}};
    return std::nullopt;
  };
  spoke.crl_cache_max = Seconds{0};
  enrolled();
  const auto newest = [this] { return (*server_store->crl("ROOTCA", 1))->crl; };
  const Bytes old = newest();
  clock.set(zero + minutes{5});
  revoke();
  served = newest();
  EXPECT_FALSE(validate().good);
  EXPECT_FALSE(status().crl) << "crl cache none";
  served = old;
  cut = true;
  EXPECT_THAT(request_crl().error().detail, HasSubstr("older than the last one"));
  EXPECT_FALSE(validate().good);
  cut = false;
  served = newest();
  EXPECT_TRUE(request_crl()) << "the same one again is none that is older";
  // What has ended says nothing against another one.
  const auto all = *server_store->generations("ROOTCA");
  const auto key = *x509::PrivateKey::unseal(all.front().sealed_key, spoke_passphrase);
  served = *x509::sign_crl({.issuer = status().ca->subject(),
                            .issuer_key_id = {},
                            .number = 9,
                            .this_update = zero + minutes{1},
                            .next_update = day(3)},
                           {}, key, x509::Digest::sha256);
  cut = true;
  EXPECT_FALSE(request_crl());
  clock.set(day(1));
  EXPECT_TRUE(request_crl());
}

TEST_F(RevocationTest, AFetchByScepIsCountedAsTheOthersAre) {
  enrolled();
  ASSERT_TRUE(request_crl());
  EXPECT_EQ(counters.crl_fetches, 1U);
  EXPECT_EQ(counters.crl_failures, 0U);
  cut = true;
  ASSERT_FALSE(request_crl());
  EXPECT_EQ(counters.crl_fetches, 2U);
  EXPECT_EQ(counters.crl_failures, 1U);
}

TEST_F(RevocationTest, MethodsAreTriedInTheirOrder) {
  spoke.revocation_check = {"ocsp", "crl", "none"};
  enrolled();
  auto line = validate();
  EXPECT_TRUE(line.good);
  EXPECT_THAT(line.why, HasSubstr("OCSP: no http responder is named; CRL of"));
  revoke();
  ASSERT_TRUE(request_crl());
  EXPECT_FALSE(validate().good) << "a no is an answer: the next method is not asked";
  cut = true;
  clock.set(day(1));
  line = validate();
  EXPECT_TRUE(line.good);
  EXPECT_THAT(line.why, HasSubstr("not checked for revocation (none)"));
  spoke.revocation_check = {"none"};
  start_spoke();
  EXPECT_EQ(validate().why, "not checked for revocation (none)");
}

TEST_F(RevocationTest, ACrlIsHeldAsTheConfigurationSays) {
  spoke.crl_cache_max = Seconds{0};
  enrolled();
  std::size_t before = sent.size();
  EXPECT_TRUE(validate().good);
  EXPECT_TRUE(validate().good);
  EXPECT_EQ(sent.size(), before + 2);
  EXPECT_FALSE(status().crl);
  spoke.crl_cache_max = minutes{10};
  start_spoke();
  before = sent.size();
  EXPECT_TRUE(validate().good);
  ASSERT_TRUE(status().crl);
  EXPECT_EQ(status().crl->issuer, status().ca->subject().joined());
  EXPECT_EQ(status().crl->fetched_at, zero);
  EXPECT_EQ(status().crl->source, "") << "by SCEP";
  EXPECT_GT(status().crl->octets, 100U);
  clock.set(zero + minutes{9});
  EXPECT_TRUE(validate().good);
  EXPECT_EQ(sent.size(), before + 1);
  clock.set(zero + minutes{11});
  EXPECT_TRUE(validate().good);
  EXPECT_EQ(sent.size(), before + 2);
  spoke.crl_cache_max.reset();
  spoke.crl_cache_extend = std::chrono::hours{48};
  start_spoke();
  EXPECT_TRUE(validate().good);
  cut = true;
  clock.set(day(1));
  EXPECT_TRUE(validate().good) << "extended";
  clock.set(day(3));
  EXPECT_FALSE(validate().good);
}

/// An RA in front of the lab's CA: opens requests, has the CA certify them, and signs the answers.
class RaTest : public RevocationTest {
 protected:
  void SetUp() override {
    ca.cdp_url = "http://crl.example.net/root.crl";
    start_server();
    const auto asked =
        *x509::sign_request({*x509::Name::from_ios("CN=ra"), {}, {}}, key, x509::Digest::sha256);
    certificate = *server->request_pkcs10(asked.der())->certificate;
    elsewhere = [this](const HttpCall& call) { return answer(call); };
    spoke.fingerprint = to_hex(server->status().ca->fingerprint(x509::Digest::sha256));
  }
  std::optional<Result<HttpReply>> answer(const HttpCall& call) {
    if (call.url == ca.cdp_url) {
      if (hidden) return fail(Errc::unreachable, "no route to host");
      return HttpReply{200, "application/pkix-crl", (*server_store->crl("ROOTCA", 1))->crl, {}};
    }
    if (call.url.find("GetCACert") != std::string::npos) {
      return HttpReply{200,
                       std::string(scep::type_ca_ra_cert),
                       scep::certs_only({*server->status().ca, certificate}),
                       {}};
    }
    if (call.method != "POST") return std::nullopt;
    const auto opened = *scep::open_envelope(call.body, {});
    const scep::Recipient self{certificate, key};
    const auto request = scep::open_request(opened.envelope, {&self, 1}, {});
    EXPECT_TRUE(request);
    const auto& pkcs10 = std::get<x509::Request>(request->body);
    scep::Answer what = scep::Refusal{scep::FailInfo::bad_request, "no"};
    if (!refuses) what = scep::Granted{{*server->request_pkcs10(pkcs10.der())->certificate}};
    const auto reply = scep::cert_rep(
        what, {.request = opened.envelope, .now = to_time(clock.now())}, self, random);
    return HttpReply{200, std::string(scep::type_pki_message), *reply, {}};
  }

  x509::PrivateKey key = *x509::PrivateKey::generate_rsa(2048);
  x509::Certificate certificate = *x509::self_signed_signer(*x509::Name::from_ios("CN=nobody"),
                                                            zero, key, x509::Digest::sha256);
  bool hidden = false;
  bool refuses = false;
};

TEST_F(RaTest, AnRaThatTheCaHasRevokedIsNotListenedTo) {
  ASSERT_TRUE(server->revoke(certificate.serial(), x509::RevocationReason::key_compromise));
  start_spoke();
  EXPECT_TRUE(status().ca);
  EXPECT_FALSE(status().identity);
  EXPECT_EQ(log.count("signed by an RA whose certificate is revoked (CRL of"), 1U);
  EXPECT_EQ(armed().substr(0, 13), "CONNECT RETRY");
}

TEST_F(RaTest, ARefusalOfARevokedRaStopsNothing) {
  ASSERT_TRUE(server->revoke(certificate.serial(), x509::RevocationReason::key_compromise));
  refuses = true;
  start_spoke();
  EXPECT_EQ(log.count("signed by an RA whose certificate is revoked (CRL of"), 1U);
  EXPECT_EQ(log.count("%PKI-6-CERTREJECT"), 0U);
  EXPECT_EQ(armed().substr(0, 13), "CONNECT RETRY");
}

TEST_F(RaTest, ARefusalOfAGoodRaStopsIt) {
  refuses = true;
  start_spoke();
  EXPECT_EQ(log.count("%PKI-6-CERTREJECT"), 1U);
  EXPECT_EQ(armed(), "");
}

TEST_F(RaTest, AnRaOfWhichNothingIsKnownIsListenedToAndThatIsSaid) {
  hidden = true;
  start_spoke();
  EXPECT_TRUE(status().identity);
  EXPECT_EQ(log.count("%UMBRA-4-REVOCATION: Trustpoint Root-CA: whether the RA's certificate is "
                      "revoked is not known (CRL: no route to host"),
            1U);
}

TEST_F(RaTest, AGoodRaIsListenedToWithoutAWord) {
  start_spoke();
  EXPECT_TRUE(status().identity);
  EXPECT_EQ(log.count("REVOCATION"), 0U);
}

}  // namespace
}  // namespace umbra::client
