#include <gmock/gmock.h>

#include "client/lab_test.h"

/// Whom requests are enveloped for: GetCACert tells it beside the CA certificate, under nobody's
/// signature, and what is damaged of it on its way is dropped.
namespace umbra::client {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;

class RecipientTest : public Lab {
 protected:
  RecipientTest() {
    tamper = [this](const Sent& call, HttpReply reply) {
      if (call.operation != "GetCACert" || whole) return reply;
      reply.body = scep::certs_only({instead.value_or(*server->status().ca)});
      return reply;
    };
  }
  void until_retry() {
    for (const auto& deadline : trustpoint->deadlines()) {
      if (deadline.timer == lifecycle::Timer::connect_retry) return run_until(deadline.at);
    }
    ADD_FAILURE() << "nothing is armed";
  }
  bool whole = false;
  std::optional<x509::Certificate> instead;  ///< of the CA certificate
};

TEST_F(RecipientTest, AnExchangeCertificateThatWasLostOnItsWayIsAskedForAgain) {
  ca.ec_bits = 256;
  start();
  authenticate();
  const auto pinned = *status().ca;
  EXPECT_THAT(operations(), ElementsAre("GetCACert", "GetCACaps", "GetCACert"))
      << "before the first request, as that could be read by nobody";
  EXPECT_EQ(log.count("%UMBRA-5-RECIPIENT: Trustpoint Root-CA: nobody is known whom its requests"),
            1U);
  EXPECT_EQ(log.count("nobody is known whom a message can be enveloped for"), 1U);
  EXPECT_EQ(armed().substr(0, 13), "CONNECT RETRY");
  until_retry();
  until_retry();
  EXPECT_EQ(operations(3), (std::vector<std::string>{"GetCACert", "GetCACert"}));
  // A process that starts anew knows no more.
  start_spoke();
  EXPECT_EQ(sent.back().operation, "GetCACert");
  EXPECT_FALSE(status().identity);
  whole = true;
  const auto before = sent.size();
  until_retry();
  EXPECT_EQ(operations(before), (std::vector<std::string>{"GetCACert", "PKIOperation"}));
  EXPECT_TRUE(status().identity);
  EXPECT_EQ(*status().ca, pinned);
  EXPECT_EQ(log.count("%UMBRA-5-RA: "), 1U) << "whom it is for now is said";
  EXPECT_NE(row().ra_certificates, Bytes{});
  // It is known from then on.
  const auto enrolled = sent.size();
  run_until(status().renew_at.value() + minutes{1});
  EXPECT_EQ(operations(enrolled), (std::vector<std::string>{"PKIOperation"}));
}

TEST_F(RecipientTest, APollAsksForItToo) {
  ca.ec_bits = 256;
  ca.grant = config::Grant::manual;
  whole = true;
  start();
  authenticate();
  ASSERT_EQ(status().last_enrollment_status, "Pending");
  auto stored = row();
  stored.ra_certificates.clear();
  ASSERT_TRUE(store->commit(store::Batch{store::PutTrustpoint{stored}}));
  start_spoke();
  ASSERT_TRUE(server->grant(std::nullopt));
  const auto before = sent.size();
  run_until(zero + minutes{2});
  EXPECT_EQ(operations(before), (std::vector<std::string>{"GetCACert", "PKIOperation"}));
  EXPECT_TRUE(status().identity);
}

TEST_F(RecipientTest, AnotherCaIsNotTakenWithIt) {
  ca.ec_bits = 256;
  start();
  authenticate();
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  const auto name = status().ca->subject();
  instead = *x509::sign_certificate({.serial = x509::Serial(7),
                                     .issuer = name,
                                     .subject = name,
                                     .not_before = day(0),
                                     .not_after = day(1000),
                                     .spki = to_bytes(key.public_key().spki()),
                                     .extensions = {x509::basic_constraints_ca()}},
                                    key, x509::Digest::sha256);
  const auto before = sent.size();
  until_retry();
  EXPECT_EQ(operations(before), (std::vector<std::string>{"GetCACert"}));
  EXPECT_EQ(log.count("GetCACert brought another CA certificate than the one of trustpoint"), 1U);
  EXPECT_EQ(*status().ca, *server->status().ca);
  EXPECT_EQ(row().ra_certificates, Bytes{});
  EXPECT_EQ(armed().substr(0, 13), "CONNECT RETRY");
}

TEST_F(RecipientTest, ACaThatCannotBeReachedForItIsAskedAsTheTimersSay) {
  ca.ec_bits = 256;
  start();
  authenticate();
  whole = true;
  cut = true;
  until_retry();
  until_retry();
  EXPECT_EQ(sent.back().operation, "GetCACert");
  EXPECT_FALSE(status().identity);
  cut = false;
  until_retry();
  EXPECT_TRUE(status().identity);
}

TEST_F(RecipientTest, WithoutAnUrlNobodyIsAskedForIt) {
  ca.ec_bits = 256;
  start();
  authenticate();
  ASSERT_TRUE(status().pending);
  spoke.enrollment_url.clear();
  trustpoint->reconfigure(spoke, "spoke.lab", [] {});
  settle();
  const auto before = sent.size();
  run_until(zero + minutes{10});
  EXPECT_EQ(sent.size(), before);
  EXPECT_FALSE(status().identity);
}

/// An RA between the trustpoint and its CA, which answers with its own signature.
class BelowRaTest : public RecipientTest {
 protected:
  void below_ra() {
    start_server();
    const auto rows = *server_store->generations("ROOTCA");
    authority = scep::Recipient{*x509::Certificate::from_der(rows[0].certificate),
                                *x509::PrivateKey::unseal(rows[0].sealed_key, spoke_passphrase)};
    const auto key = *x509::PrivateKey::generate_rsa(2048);
    ra = scep::Recipient{signed_for(key.public_key(), *x509::Name::from_ios("CN=RA,OU=ioscs RA")),
                         key};
    tamper = [this](const Sent& call, HttpReply reply) {
      if (call.operation == "GetCACert") {
        std::vector<x509::Certificate> all = {authority->certificate};
        if (whole) all.push_back(ra->certificate);
        reply.body = scep::certs_only(all);
      }
      if (call.operation == "PKIOperation") reply = answer(call);
      return reply;
    };
    start_spoke();
  }
  x509::Certificate signed_for(const x509::PublicKey& key, const x509::Name& subject) {
    return *x509::sign_certificate({.serial = x509::Serial(++serial),
                                    .issuer = authority->certificate.subject(),
                                    .subject = subject,
                                    .not_before = to_time(clock.now()) + ahead,
                                    .not_after = to_time(clock.now()) + Days{100},
                                    .spki = to_bytes(key.spki()),
                                    .extensions = {}},
                                   authority->key, x509::Digest::sha256);
  }
  HttpReply answer(const Sent& call) {
    const bool for_us = call.recipient == ra->certificate.serial();
    scep::Answer what = scep::Refusal{scep::FailInfo::bad_message_check, "for somebody else"};
    const auto pending = status().pending;
    if (for_us && pending) {
      const auto& request = *pending;
      what = scep::Granted{{signed_for(request.public_key(), request.subject())}};
    }
    return {200,
            std::string(scep::type_pki_message),
            *scep::cert_rep(what,
                            {*call.envelope, scep::Cipher::aes128_cbc, scep::NoContent::absent,
                             to_time(clock.now())},
                            *ra, random),
            {}};
  }
  std::optional<scep::Recipient> authority;
  std::optional<scep::Recipient> ra;
  std::uint32_t serial = 1000;
  Seconds ahead = Seconds::zero();  ///< the CA's clock
};

TEST_F(BelowRaTest, AnAnswerThatNobodyKnownHasSignedLetsItLookWhoAnswers) {
  below_ra();
  authenticate();
  EXPECT_THAT(operations(), ElementsAre("GetCACert", "GetCACaps", "PKIOperation"));
  EXPECT_EQ(log.count("the reply is not signed by the CA"), 1U);
  whole = true;
  until_retry();
  EXPECT_EQ(operations(3), (std::vector<std::string>{"GetCACert", "PKIOperation"}));
  EXPECT_EQ(log.count("%UMBRA-5-RECIPIENT: Trustpoint Root-CA: the last answer was signed"), 1U);
  EXPECT_TRUE(status().identity);
}

TEST_F(BelowRaTest, WhoHasHadACertificateTakesNobodyNew) {
  whole = true;
  below_ra();
  authenticate();
  ASSERT_TRUE(status().identity);
  auto stored = row();
  stored.ra_certificates.clear();
  ASSERT_TRUE(store->commit(store::Batch{store::PutTrustpoint{stored}}));
  start_spoke();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  const auto before = sent.size();
  until_retry();
  EXPECT_EQ(operations(before), (std::vector<std::string>{"PKIOperation"}));
}

TEST_F(BelowRaTest, WhatIsNotValidYetTakesNoValidOnesPlace) {
  whole = true;
  below_ra();
  authenticate();
  ASSERT_TRUE(status().identity);
  const auto first = *status().identity;
  ASSERT_EQ(outlet.published.at("/etc/spoke").cert, first.to_pem());
  ahead = Seconds{3600};
  outlet.refuse = true;  // what failed before is no reason to try
  trustpoint->look_at_files();
  settle();
  ASSERT_TRUE(status().announced_again_at);
  outlet.refuse = false;
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  ASSERT_NE(*status().identity, first);
  EXPECT_FALSE(status().announced_again_at);
  const Time from = status().identity->not_before();
  run_until(from - Seconds{1});
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, first.to_pem());
  start_spoke();
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, first.to_pem()) << "nor at a start";
  run_until(from);
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
  EXPECT_EQ(outlet.told("UMBRA_EVENT"), "renewed");
}

}  // namespace
}  // namespace umbra::client
