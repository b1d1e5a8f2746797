#include "server/router.h"

#include <gtest/gtest.h>

#include "server/lab_test.h"

namespace umbra::server {
namespace {

using Rank = Urgency::Rank;

unsigned status_of(const std::string& method, const std::string& target) {
  unsigned status = 0;
  Router({}).handle({method, target, {}}, [&](HttpReply reply) { status = reply.status; });
  return status;
}

TEST(Router, RefusesOtherMethodsAndUnknownPaths) {
  EXPECT_EQ(status_of("DELETE", "/scep?operation=GetCACaps"), 405U);
  for (const char* path : {"/", "/index.html", "/scep/../etc/passwd", "/cgi-bin/pkiclient.exe/x",
                           "/crl/a/b.crl", "/crl/a"}) {
    EXPECT_EQ(status_of("GET", path), 404U) << path;
  }
}

/// What a message looks like before it is opened.
class RouterTest : public lab::ServerTest {
 protected:
  Bytes message(const lab::Device& device) {
    const scep::RequestContext context{.type = scep::MessageType::renewal_req,
                                       .transaction_id = device.transaction(),
                                       .sender_nonce = scep::make_nonce(random),
                                       .recipient = ca(),
                                       .signer = device.signer,
                                       .cipher = scep::Cipher::aes128_cbc,
                                       .digest = x509::Digest::sha256};
    return *scep::request(csr(device).der(), context, device.key, random);
  }
  Sighting look(const lab::Device& device, bool by_get = false) {
    const Router router({server.get()});
    const Bytes sent = message(device);
    if (by_get) return router.look({"GET", scep::pki_operation_get_url("/scep", sent), {}});
    return router.look({"POST", "/scep?operation=PKIOperation", sent});
  }
  [[nodiscard]] bool vouched(const Sighting& seen) const {
    return Router({server.get()}).vouched(seen);
  }
  lab::Device enrolled() {
    lab::Device device("CN=spoke,O=Cisco");
    device.signer = granted(enroll(device));
    return device;
  }
  /// A certificate that says the CA has issued it, and it has not.
  static x509::Certificate forged(const x509::Certificate& ca, const lab::Device& device,
                                  Time not_after) {
    return *x509::sign_certificate({.serial = x509::Serial(2),
                                    .issuer = ca.subject(),
                                    .subject = device.name,
                                    .not_before = lab::zero,
                                    .not_after = not_after,
                                    .spki = to_bytes(device.key.public_key().spki()),
                                    .extensions = {}},
                                   device.key, x509::Digest::sha256);
  }
};

TEST_F(RouterTest, ARenewalIsKnownByTheEndOfItsSignersCertificateAndAFirstEnrolmentIsNot) {
  start();
  const auto device = enrolled();
  for (const bool by_get : {false, true}) {
    const auto seen = look(device, by_get);
    EXPECT_EQ(seen.urgency.rank, Rank::ending);
    EXPECT_EQ(seen.urgency.ends, device.signer.not_after());
    EXPECT_TRUE(equal(seen.certificate, device.signer.der()));
    EXPECT_TRUE(vouched(seen));
    EXPECT_EQ(look(lab::Device("CN=new,O=Cisco"), by_get).urgency.rank, Rank::others);
  }
}

TEST_F(RouterTest, ACertificateThatCanBeRenewedNoMoreGivesNoRank) {
  configuration.renewal_grace = Days{10};
  start();
  const auto device = enrolled();
  const Time end = device.signer.not_after();
  clock.set(end + Days{10} - Seconds{1});
  EXPECT_EQ(look(device).urgency.rank, Rank::ending);
  clock.set(end + Days{10});
  EXPECT_EQ(look(device).urgency.rank, Rank::others);
}

TEST_F(RouterTest, AForgedCertificateIsFoundOutBeforeItsTurn) {
  start();
  lab::Device device("CN=stranger,O=Cisco");
  device.signer = forged(ca(), device, lab::zero + Days{1});
  const auto seen = look(device);
  EXPECT_EQ(seen.urgency.rank, Rank::ending);
  EXPECT_FALSE(vouched(seen));
}

TEST_F(RouterTest, WhatIsNoPkiOperationIsAnsweredAtOnceAndRubbishLast) {
  start();
  const Router router({server.get()});
  EXPECT_EQ(router.look({"GET", "/scep?operation=GetCACert", {}}).urgency.rank, Rank::at_once);
  Bytes sent = message(enrolled());
  for (std::size_t size = 0; size < sent.size(); size += 37) {
    const Bytes cut(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(router.look({"POST", "/scep?operation=PKIOperation", cut}).urgency.rank,
              Rank::others);
  }
  EXPECT_EQ(router.look({"GET", "/scep?operation=PKIOperation&message=%zz", {}}).urgency.rank,
            Rank::others);
}

TEST(Urgency, GoesByRankAndThenByTheEnd) {
  const Time zero = lab::zero;
  EXPECT_LT((Urgency{Rank::at_once, {}}), (Urgency{Rank::ending, zero}));
  EXPECT_LT((Urgency{Rank::ending, zero}), (Urgency{Rank::ending, zero + Seconds{1}}));
  EXPECT_LT((Urgency{Rank::ending, zero + Days{1}}), (Urgency{Rank::others, {}}));
}

}  // namespace
}  // namespace umbra::server
