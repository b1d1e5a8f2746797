#include "lab_passphrase.h"
#include "scep/ca_messages.h"
#include "server/lab_test.h"
#include "x509/crl.h"
#include "x509/pkcs12.h"

/// A CA with an EC key, and the RSA exchange certificate that SCEP needs beside it.
namespace umbra::server::lab {
namespace {

class EllipticTest : public ServerTest {
 protected:
  EllipticTest() {
    configuration.ec_bits = 384;
    configuration.hash = config::HashName::sha384;
  }
  /// What GetCACert hands out: CA and exchange certificate.
  std::pair<x509::Certificate, x509::Certificate> offered() {
    const HttpReply reply = get("operation=GetCACert");
    EXPECT_EQ(reply.content_type, scep::type_ca_ra_cert);
    const auto both = *scep::parse_ca_cert(reply.body);
    EXPECT_EQ(both.size(), 2U);
    return both.at(0).is_ca() ? std::pair{both.at(0), both.at(1)}
                              : std::pair{both.at(1), both.at(0)};
  }
  Asked ask(const Device& device, const x509::Certificate& exchange,
            std::vector<x509::Extension> extensions = {}) {
    return send(device, MessageType::pkcs_req, csr(device, std::move(extensions)).der(), exchange);
  }
};

TEST_F(EllipticTest, TheExchangeCertificateIsAnRasAndEndsWithItsCa) {
  start();
  const auto [certificate, exchange] = offered();
  EXPECT_EQ(certificate, ca());
  EXPECT_EQ(ca().public_key().bits(), 384);
  EXPECT_EQ(ca().signature_algorithm(),
            (x509::SignatureAlgorithm{x509::KeyAlgorithm::ec, x509::Digest::sha384}));
  EXPECT_TRUE(ca().verify_signed_by(ca().public_key()));
  EXPECT_FALSE(exchange.is_ca());
  EXPECT_EQ(exchange.key_usage()->bits, 0xA0);
  EXPECT_TRUE(exchange.key_usage()->critical);
  EXPECT_EQ(exchange.public_key().algorithm(), x509::KeyAlgorithm::rsa);
  EXPECT_TRUE(exchange.verify_signed_by(ca().public_key()));
  EXPECT_EQ(exchange.not_before(), ca().not_before());
  EXPECT_EQ(exchange.not_after(), ca().not_after());
  EXPECT_EQ(exchange.subject().joined(), "cn=SCEP exchange,cn=RootCA,ou=TAC,o=Cisco");
  EXPECT_EQ(exchange.serial(), x509::Serial(2));
  EXPECT_EQ(server->status().last_serial, x509::Serial(2));
  EXPECT_TRUE(server->owns(exchange.issuer(), exchange.serial()));
  EXPECT_FALSE(server->revoke(exchange.serial(), x509::RevocationReason::key_compromise))
      << "it ends with its CA";
}

TEST_F(EllipticTest, IssuesRenewsRevokesAndComesBackAfterARestart) {
  start();
  const auto exchange = offered().second;
  Device device("CN=a");
  const auto identity = granted(ask(device, exchange));
  EXPECT_TRUE(identity.verify_signed_by(ca().public_key()));
  EXPECT_EQ(identity.serial(), x509::Serial(3));
  start();
  EXPECT_EQ(offered().second, exchange);
  device.signer = identity;
  const auto renewed = granted(send(device, MessageType::renewal_req, csr(device).der(), exchange));
  EXPECT_FALSE(renewed == identity);
  ASSERT_TRUE(server->revoke(identity.serial(), x509::RevocationReason::superseded));
  const Bytes crl = http({"GET", "/crl/ROOTCA.crl", {}}).body;
  EXPECT_TRUE(x509::verify_crl(crl, ca()));
  EXPECT_EQ(x509::parse_crl(crl)->revoked.size(), 1U);
}

TEST_F(EllipticTest, TheRolloverBringsItsOwnAndTheActiveCaSignsForBoth) {
  start();
  const auto exchange = offered().second;
  const Device device("CN=a");
  granted(ask(device, exchange));
  go_to(day(640));
  const HttpReply reply = get("operation=GetNextCACert");
  const auto next = *scep::parse_next_ca_cert(reply.body, {ca()});
  ASSERT_EQ(next.size(), 2U);
  const auto& next_ca = next[0].is_ca() ? next[0] : next[1];
  const auto& next_exchange = next[0].is_ca() ? next[1] : next[0];
  EXPECT_EQ(next_ca, *server->status().rollover);
  EXPECT_EQ(next_ca.public_key().bits(), 384);
  EXPECT_TRUE(next_exchange.verify_signed_by(next_ca.public_key()));
  EXPECT_EQ(next_exchange.not_before(), day(730));
  EXPECT_FALSE(scep::parse_next_ca_cert(reply.body, {exchange})) << "no RA names the next CA";
  // The exchange certificate that a request is enveloped for says which CA it means.
  const Device shadow("CN=s");
  also_trusted = {exchange};
  const auto identity = granted(ask(shadow, next_exchange));
  EXPECT_TRUE(identity.verify_signed_by(next_ca.public_key()));
  EXPECT_EQ(identity.not_before(), day(730));
  go_to(day(730));
  EXPECT_EQ(offered(), (std::pair{next_ca, next_exchange}));
  EXPECT_EQ(refused(ask(Device("CN=b"), exchange)), "badRequest") << "the old one has ended";
}

TEST_F(EllipticTest, AnEcDeviceIsToldWhyAndGetsNoCertificate) {
  start();
  const auto exchange = offered().second;
  const Device device("CN=ec", *x509::PrivateKey::generate_ec(256));
  const auto asked = ask(device, exchange);
  EXPECT_EQ(refused(asked), "badAlg");
  EXPECT_NE(asked.reply.fail_info_text.find("RSA"), std::string::npos);
  EXPECT_EQ(server->status().last_serial, x509::Serial(2)) << "nothing was issued";
}

TEST_F(EllipticTest, NobodyIsCertifiedForTheKeysOfTheServer) {
  start();
  const auto exchange = offered().second;
  const auto sealed = store->generations("ROOTCA")->front().sealed_exchange_key;
  const Device thief("CN=thief", *x509::PrivateKey::unseal(sealed, lab_passphrase));
  EXPECT_EQ(refused(ask(thief, exchange)), "badRequest");
  EXPECT_EQ(refused(ask(Device("CN=RootCA,OU=TAC,O=Cisco"), exchange)), "badRequest");
  EXPECT_EQ(server->status().last_serial, x509::Serial(2));
}

TEST_F(EllipticTest, TheKindOfKeyStaysWhatItIs) {
  start();
  EXPECT_FALSE(log.has("keytype of ROOTCA"));
  configuration.ec_bits.reset();
  start();
  EXPECT_TRUE(
      log.has("keytype of ROOTCA cannot be changed after CA certificate generation: its key "
              "is, and its successors' will be, EC of 384 bits"));
  go_to(day(640));
  EXPECT_EQ(server->status().rollover->public_key().bits(), 384);
}

TEST_F(EllipticTest, AGenerationWithoutOneGetsOneWhenItIsStarted) {
  start();
  const auto first = offered().second;
  auto rows = *store->generations("ROOTCA");
  rows.front().exchange_certificate.clear();
  rows.front().sealed_exchange_key.clear();
  ASSERT_TRUE(store->commit({store::PutGeneration{rows.front()}}));
  start();
  const auto second = offered().second;
  EXPECT_FALSE(first == second);
  EXPECT_GT(second.serial(), first.serial());
  granted(ask(Device("CN=a"), second));
}

TEST_F(EllipticTest, TheArchiveHoldsTheCaAlone) {
  start();
  const auto pkcs12 = *x509::from_pkcs12(files.files.at("ROOTCA.p12"), "archive pass");
  EXPECT_EQ(pkcs12.certificate, ca());
  EXPECT_EQ(pkcs12.key.public_key(), ca().public_key());
  const auto pem = *x509::to_pem_archive(pkcs12.key, pkcs12.certificate, "archive pass");
  EXPECT_EQ(x509::from_pem_archive(pem, "archive pass")->certificate, ca());
}

}  // namespace
}  // namespace umbra::server::lab
