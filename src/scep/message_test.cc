#include "scep/message.h"

#include <gtest/gtest.h>

#include "vectors.h"
#include "x509/crl.h"

namespace umbra::scep {
namespace {

class CountingRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (auto& octet : out) octet = ++next_;
  }

 private:
  std::uint8_t next_ = 0;
};

const Time now = *from_rfc3339("2026-03-01T00:00:00Z");

struct Party {
  x509::PrivateKey key;
  x509::Certificate certificate;
};
Party make(const std::string& name, std::uint64_t serial) {
  auto key = *x509::PrivateKey::generate_rsa(2048);
  const auto subject = *x509::Name::from_ios(name);
  auto certificate = *x509::sign_certificate({.serial = x509::Serial(serial),
                                              .issuer = subject,
                                              .subject = subject,
                                              .not_before = now - Days{1},
                                              .not_after = now + Days{365},
                                              .spki = to_bytes(key.public_key().spki()),
                                              .extensions = {x509::basic_constraints_ca()}},
                                             key, x509::Digest::sha256);
  return {key, certificate};
}
const Party& ca() {
  static const Party made = make("CN=RootCA", 1);
  return made;
}
const Party& rollover() {
  static const Party made = make("CN=RootCA", 3);
  return made;
}
const Party& device() {
  static const Party made = make("CN=spoke", 1);
  return made;
}
std::vector<Recipient> recipients() {
  return {{ca().certificate, ca().key}, {rollover().certificate, rollover().key}};
}
x509::Request csr() {
  return *x509::sign_request({*x509::Name::from_ios("CN=spoke"), "challenge", {}}, device().key,
                             x509::Digest::sha256);
}
RequestContext context(const x509::Certificate& recipient,
                       MessageType type = MessageType::pkcs_req) {
  return {.type = type,
          .transaction_id = transaction_id(device().key.public_key()),
          .sender_nonce = Nonce(16, 7),
          .recipient = recipient,
          .signer = device().certificate,
          .cipher = Cipher::aes128_cbc,
          .digest = x509::Digest::sha256};
}
Bytes send(ByteView body, const RequestContext& with) {
  CountingRandom random;
  return *request(body, with, device().key, random);
}

TEST(TransactionId, IsUpperHexMd5OfTheKeyAsARealRouterHasIt) {
  const auto request = *x509::Request::from_der(vectors::hex("lab/xe-pkcs10-request.hex"));
  EXPECT_EQ(transaction_id(request.public_key()), "A793AE7C3292F4099CD4CEC65FCE0682");
}

TEST(PkiMessage, EveryRequestTypeArrivesAsItWasSent) {
  const auto everybody = recipients();
  for (const auto type : {MessageType::pkcs_req, MessageType::renewal_req}) {
    auto opened = open_envelope(send(csr().der(), context(ca().certificate, type)), {});
    ASSERT_TRUE(opened);
    EXPECT_FALSE(opened->refused);
    EXPECT_EQ(opened->envelope.type, type);
    EXPECT_EQ(opened->envelope.signer, device().certificate);
    const auto request = open_request(opened->envelope, everybody, {});
    ASSERT_TRUE(request);
    EXPECT_TRUE(equal(std::get<x509::Request>(request->body).der(), csr().der()));
    EXPECT_EQ(request->cipher, Cipher::aes128_cbc);
  }
  const Bytes poll = to_der(IssuerAndSubject{ca().certificate.subject(), csr().subject()});
  auto opened = open_envelope(send(poll, context(ca().certificate, MessageType::cert_poll)), {});
  auto request = open_request(opened->envelope, everybody, {});
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<IssuerAndSubject>(request->body).subject, csr().subject());
  const Bytes wanted = to_der(IssuerAndSerial{ca().certificate.subject(), x509::Serial(9)});
  opened = open_envelope(send(wanted, context(ca().certificate, MessageType::get_cert)), {});
  request = open_request(opened->envelope, everybody, {});
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<IssuerAndSerial>(request->body).serial, x509::Serial(9));
}

TEST(PkiMessage, TheRecipientsSerialChoosesBetweenCasOfOneName) {
  const auto everybody = recipients();
  const auto normal = open_request(
      open_envelope(send(csr().der(), context(ca().certificate)), {})->envelope, everybody, {});
  const auto shadow =
      open_request(open_envelope(send(csr().der(), context(rollover().certificate)), {})->envelope,
                   everybody, {});
  ASSERT_TRUE(normal);
  ASSERT_TRUE(shadow);
  EXPECT_EQ(normal->recipient, 0U);
  EXPECT_EQ(shadow->recipient, 1U);
  const Party stranger = make("CN=RootCA", 99);
  const auto unknown = open_request(
      open_envelope(send(csr().der(), context(stranger.certificate)), {})->envelope, everybody, {});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().info, FailInfo::bad_request);
  EXPECT_EQ(
      recipient_of(open_envelope(send(csr().der(), context(rollover().certificate)), {})->envelope)
          ->serial,
      x509::Serial(3));
}

TEST(PkiMessage, RefusesTheWeakUnlessAskedForByName) {
  auto with = context(ca().certificate);
  with.digest = x509::Digest::md5;
  EXPECT_EQ(open_envelope(send(csr().der(), with), {})->refused->info, FailInfo::bad_alg);
  EXPECT_FALSE(open_envelope(send(csr().der(), with), {.md5 = true})->refused);
  with.digest = x509::Digest::sha1;
  EXPECT_FALSE(open_envelope(send(csr().der(), with), {})->refused);
  EXPECT_EQ(open_envelope(send(csr().der(), with), {.sha1 = false})->refused->info,
            FailInfo::bad_alg);
  with.digest = x509::Digest::sha256;
  with.cipher = Cipher::des_cbc;
  const auto envelope = open_envelope(send(csr().der(), with), {})->envelope;
  EXPECT_EQ(open_request(envelope, recipients(), {}).error().info, FailInfo::bad_alg);
  EXPECT_TRUE(open_request(envelope, recipients(), {.des = true}));
}

TEST(PkiMessage, EveryTruncationAndEveryFlippedBitIsRefusedCleanly) {
  const Bytes message = send(csr().der(), context(ca().certificate));
  for (std::size_t cut = 0; cut < message.size(); cut += 7)
    EXPECT_FALSE(open_envelope(ByteView(message).first(cut), {}));
  const auto everybody = recipients();
  for (std::size_t at = 0; at < message.size(); at += 5) {
    Bytes spoiled = message;
    spoiled[at] ^= 0x10;
    const auto opened = open_envelope(spoiled, {});
    if (!opened || opened->refused) continue;
    // Only what no signature covers may still pass: algorithm parameters and the like. The content
    // never changes.
    const auto request = open_request(opened->envelope, everybody, {});
    if (request) {
      EXPECT_TRUE(equal(std::get<x509::Request>(request->body).der(), csr().der())) << at;
    }
  }
}

TEST(PkiMessage, NoAnswerTellsHowADecryptionFailed) {
  // The same envelope with a spoiled key block, and with a spoiled last block of content, both
  // signed properly.
  std::vector<std::string> answers;
  const auto everybody = recipients();
  const auto request = csr();
  for (const auto& other : {request.der(), ByteView(device().certificate.der())}) {
    auto envelope = open_envelope(send(other, context(ca().certificate)), {})->envelope;
    for (const std::size_t from_end :
         {std::size_t{1}, envelope.enveloped.size() / 2, envelope.enveloped.size() - 200}) {
      auto spoiled = envelope;
      spoiled.enveloped[spoiled.enveloped.size() - from_end] ^= 1;
      const auto refused = open_request(spoiled, everybody, {});
      if (refused) continue;
      answers.push_back(std::string(to_string(refused.error().info)) + refused.error().text);
    }
  }
  ASSERT_GE(answers.size(), 3U);
  for (const auto& answer : answers) EXPECT_EQ(answer, answers.front());
}

class CertRepTest : public testing::Test {
 protected:
  CertRepTest()
      : asked(open_envelope(send(csr().der(), context(ca().certificate)), {})->envelope) {}
  Bytes reply(const Answer& answer, NoContent form = NoContent::absent,
              Cipher cipher = Cipher::aes256_cbc) {
    CountingRandom random;
    return *cert_rep(answer, {asked, cipher, form, now}, {ca().certificate, ca().key}, random);
  }
  ReplyExpectation expectation() {
    return {asked.transaction_id, asked.sender_nonce, {ca().certificate}, device().certificate};
  }
  Envelope asked;
};

TEST_F(CertRepTest, SuccessDeliversTheCertificateToTheRequestsSignerAlone) {
  for (const auto cipher : {Cipher::aes128_cbc, Cipher::aes256_cbc, Cipher::des_ede3_cbc}) {
    const auto got =
        open_cert_rep(reply(Granted{{device().certificate}}, NoContent::absent, cipher),
                      expectation(), device().key, {});
    ASSERT_TRUE(got) << got.error().detail;
    EXPECT_EQ(got->status, PkiStatus::success);
    ASSERT_EQ(got->certificates.size(), 1U);
    EXPECT_EQ(got->certificates.front(), device().certificate);
  }
  EXPECT_FALSE(
      open_cert_rep(reply(Granted{{device().certificate}}), expectation(), rollover().key, {}));
}

TEST_F(CertRepTest, PendingAndFailureHaveNoContentInEitherForm) {
  for (const auto form : {NoContent::absent, NoContent::empty_octet_string}) {
    EXPECT_EQ(open_cert_rep(reply(Pending{}, form), expectation(), device().key, {})->status,
              PkiStatus::pending);
    const auto failure = open_cert_rep(reply(Refusal{FailInfo::bad_alg, "use SHA-256"}, form),
                                       expectation(), device().key, {});
    EXPECT_EQ(failure->status, PkiStatus::failure);
    EXPECT_EQ(failure->fail_info, FailInfo::bad_alg);
    EXPECT_EQ(failure->fail_info_text, "use SHA-256");
  }
  EXPECT_EQ(reply(Pending{}, NoContent::empty_octet_string).size(), reply(Pending{}).size() + 4)
      << "A0 02 04 00";
}

TEST_F(CertRepTest, ACrlComesBack) {
  const Bytes crl = *x509::sign_crl(
      {ca().certificate.subject(), ca().key.public_key().key_identifier(), 1, now, now + Days{1}},
      {}, ca().key, x509::Digest::sha256);
  const auto got = open_cert_rep(reply(CrlFound{crl}), expectation(), device().key, {});
  ASSERT_EQ(got->crls.size(), 1U);
  EXPECT_EQ(got->crls.front(), crl);
}

TEST_F(CertRepTest, AnythingThatDoesNotMatchTheRequestIsRefused) {
  const Bytes good = reply(Granted{{device().certificate}});
  auto wrong = expectation();
  wrong.signers = {rollover().certificate};
  EXPECT_EQ(open_cert_rep(good, wrong, device().key, {}).error().code, Errc::crypto);
  wrong = expectation();
  wrong.transaction_id = "other";
  EXPECT_FALSE(open_cert_rep(good, wrong, device().key, {}));
  wrong = expectation();
  wrong.sender_nonce = Nonce(16, 8);
  EXPECT_FALSE(open_cert_rep(good, wrong, device().key, {}));
  EXPECT_FALSE(
      open_cert_rep(send(csr().der(), context(ca().certificate)), expectation(), device().key, {}));
}

}  // namespace
}  // namespace umbra::scep
