#include <gmock/gmock.h>

#include <algorithm>

#include "scep/cms.h"
#include "server/lab_test.h"
#include "vectors.h"
#include "x509/der.h"

/// What attackers send, and what they hear: docs/security.md has the list.
namespace umbra::server {
namespace {

using namespace lab;
using ::testing::HasSubstr;
using ::testing::Not;
namespace der = x509::der;

class HostileTest : public ServerTest {
 protected:
  /// A pkiMessage around an envelope that is there already.
  Bytes around(const Bytes& enveloped, const x509::Certificate& signer, const x509::PrivateKey& key,
               const std::string& transaction, std::vector<Bytes> more = {}, int type = 19) {
    scep::cms::SignTemplate what;
    what.content = enveloped;
    what.attributes = {
        scep::cms::attribute(der::Oid("2.16.840.1.113733.1.9.2"),
                             der::printable(std::to_string(type))),
        scep::cms::attribute(der::Oid("2.16.840.1.113733.1.9.7"), der::printable(transaction)),
        scep::cms::attribute(der::Oid("2.16.840.1.113733.1.9.5"), der::tag::octet_string,
                             Bytes(16, 0x42))};
    what.attributes.insert(what.attributes.end(), more.begin(), more.end());
    what.bag = {signer};
    return *scep::cms::sign(what, signer, key);
  }
  HttpReply post(const Bytes& message) {
    return http({"POST", "/scep?operation=PKIOperation", message, from});
  }
  scep::Envelope answer(const Bytes& message) {
    const HttpReply reply = post(message);
    EXPECT_EQ(reply.status, 200U) << as_text(reply.content());
    const auto opened = scep::open_envelope(reply.content(), {});
    EXPECT_TRUE(opened) << opened.error().detail;
    return opened->envelope;
  }
  Bytes message_of(const Device& device, ByteView body, MessageType type = MessageType::pkcs_req) {
    return *scep::request(body,
                          {.type = type,
                           .transaction_id = device.transaction(),
                           .sender_nonce = Bytes(16, 0x41),
                           .recipient = ca(),
                           .signer = device.signer,
                           .cipher = scep::Cipher::aes128_cbc,
                           .digest = x509::Digest::sha256},
                          device.key, random);
  }
  Bytes enveloped_in(const Bytes& message) {
    return scep::open_envelope(message, {})->envelope.enveloped;
  }
  std::size_t issued() { return store->certificates("ROOTCA", x509::Serial(1), 100)->size(); }
  static x509::PrivateKey weak(const std::string& file) {
    return *x509::PrivateKey::from_pem(vectors::text("weak_keys/" + file + ".pem"));
  }
  int count = 0;  ///< of transactions
  static const x509::PrivateKey& another_key() {
    static const auto made = *x509::PrivateKey::generate_rsa(2048);
    return made;
  }
};

// ---- again, and in other words

TEST_F(HostileTest, TheSameMessageTwiceIsOneCertificate) {
  start();
  const Device device("CN=a");
  const Bytes message = message_of(device, csr(device).der());
  std::vector<x509::Certificate> got;
  for (int i = 0; i < 3; ++i) {
    const auto opened = scep::open_cert_rep(
        post(message).content(), {device.transaction(), Bytes(16, 0x41), {ca()}, device.signer},
        device.key, {});
    ASSERT_TRUE(opened) << opened.error().detail;
    got.push_back(opened->certificates.at(0));
  }
  EXPECT_EQ(got[0], got[1]);
  EXPECT_EQ(got[0], got[2]);
  EXPECT_EQ(issued(), 1U);
}

TEST_F(HostileTest, AnEnvelopeThatWasRecordedIsWorthNothingInAnothersMessage) {
  configuration.challenge_password = "secret";
  start();
  Device victim("CN=victim");
  victim.challenge = "secret";
  const Bytes recorded = enveloped_in(message_of(victim, csr(victim).der()));

  const Device thief("CN=victim", another_key());
  for (const std::string& transaction : {victim.transaction(), std::string("another")}) {
    const auto heard = answer(around(recorded, thief.signer, thief.key, transaction));
    EXPECT_EQ(heard.status, PkiStatus::failure);
    EXPECT_EQ(heard.fail_info, FailInfo::bad_request);
  }
  // With a certificate of a CA of his own.
  const auto made = *x509::sign_certificate({.serial = x509::Serial(7),
                                             .issuer = *x509::Name::from_ios("CN=my own CA"),
                                             .subject = thief.name,
                                             .not_before = day(0),
                                             .not_after = day(9),
                                             .spki = to_bytes(thief.key.public_key().spki()),
                                             .extensions = {}},
                                            thief.key, x509::Digest::sha256);
  EXPECT_EQ(answer(around(recorded, made, thief.key, "third")).status, PkiStatus::pending)
      << "a person looks at it";
  EXPECT_EQ(issued(), 0U);
  granted(enroll(victim));
}

TEST_F(HostileTest, WhoRepeatsAnEnvelopeSpendsNobodysOneTimePassword) {
  configuration.grant = config::Grant::manual;
  start();
  Device victim("CN=victim");
  victim.challenge = *server->generate_password(std::chrono::minutes{60});
  const Bytes recorded = enveloped_in(message_of(victim, csr(victim).der()));
  const Device thief("CN=victim", another_key());
  EXPECT_EQ(answer(around(recorded, thief.signer, thief.key, "x")).status, PkiStatus::failure);
  granted(enroll(victim));
}

TEST_F(HostileTest, ItsOwnNonceIsInEachAnswer) {
  configuration.grant = config::Grant::manual;
  start();
  const Device device("CN=a");
  const Bytes message = message_of(device, csr(device).der());
  const auto first = answer(message);
  const auto second = answer(message);
  EXPECT_EQ(first.recipient_nonce, Bytes(16, 0x41));
  EXPECT_EQ(first.sender_nonce.size(), 16U);
  EXPECT_NE(first.sender_nonce, Bytes(16, 0x41)) << "no echo of the client's";
  EXPECT_NE(first.sender_nonce, second.sender_nonce);
}

TEST_F(HostileTest, ACertRepIsNoRequest) {
  start();
  const Device device("CN=a");
  // Our own answer, sent back.
  EXPECT_EQ(answer(post(message_of(device, csr(device).der())).content()).fail_info,
            FailInfo::bad_request);
  // One of his own, for us.
  const Bytes success =
      scep::cms::attribute(der::Oid("2.16.840.1.113733.1.9.3"), der::printable("0"));
  EXPECT_EQ(answer(around(enveloped_in(message_of(device, csr(device).der())), device.signer,
                          device.key, "t", {success}, 3))
                .fail_info,
            FailInfo::bad_request);
  EXPECT_EQ(issued(), 1U);
}

// ---- renewals

TEST_F(HostileTest, ARenewalIsSignedByWhatIsValidNow) {
  configuration.challenge_password = "secret";
  start();
  Device device("CN=a");
  device.challenge = "secret";
  device.signer = granted(enroll(device));
  device.challenge.reset();

  // By a CA of the same name.
  Device foreign = device;
  foreign.signer = *x509::sign_certificate({.serial = device.signer.serial(),
                                            .issuer = ca().subject(),
                                            .subject = device.name,
                                            .not_before = device.signer.not_before(),
                                            .not_after = device.signer.not_after(),
                                            .spki = to_bytes(device.key.public_key().spki()),
                                            .extensions = {}},
                                           another_key(), x509::Digest::sha256);
  EXPECT_EQ(refused(enroll(foreign, MessageType::renewal_req)), "badRequest");
  EXPECT_EQ(refused(enroll(foreign, MessageType::pkcs_req)), "badRequest");

  // By the next CA, before its day.
  go_to(day(700));
  Device shadow("CN=b");
  shadow.challenge = "secret";
  shadow.signer = granted(enroll(shadow));
  const x509::Certificate ended = shadow.signer;
  shadow.challenge.reset();
  const x509::Certificate next = *server->status().rollover;
  shadow.signer = granted(send(shadow, MessageType::renewal_req, csr(shadow).der(), next));
  EXPECT_EQ(refused(enroll(shadow, MessageType::renewal_req)), "badTime");

  // By the CA that was, after it.
  go_to(day(731));
  ASSERT_EQ(ca(), next);
  Device late = shadow;
  late.signer = ended;
  const auto anew = [&](const Device& one) {  // the same as before would get the same as before
    return send(one, MessageType::renewal_req, csr(one).der(), ca(), false,
                "t" + std::to_string(++count));
  };
  EXPECT_EQ(refused(anew(late)), "badTime");
  EXPECT_EQ(refused(enroll(device, MessageType::renewal_req)), "badTime") << "ended long ago";
  granted(anew(shadow));
  ASSERT_TRUE(server->revoke(shadow.signer.serial(), x509::RevocationReason::none));
  EXPECT_EQ(refused(anew(shadow)), "badRequest");
}

TEST_F(HostileTest, ARenewalIsForItsSignersNameAndAnyKey) {
  start();
  Device device("CN=a");
  device.signer = granted(enroll(device));
  const Device other("CN=b", another_key());
  EXPECT_EQ(refused(send(device, MessageType::renewal_req, csr(other).der(), ca())), "badRequest");
  EXPECT_EQ(refused(send(device, MessageType::pkcs_req, csr(other).der(), ca())), "badRequest");
  const Device anew("CN=a", another_key());
  const auto renewed = granted(send(device, MessageType::renewal_req, csr(anew).der(), ca()));
  EXPECT_EQ(renewed.public_key(), another_key().public_key());
}

TEST_F(HostileTest, AFirstRequestIsSignedByTheKeyItIsFor) {
  start();
  const Device device("CN=a");
  const Device other("CN=a", another_key());
  EXPECT_EQ(refused(send(device, MessageType::pkcs_req, csr(other).der(), ca())), "badRequest");
  EXPECT_EQ(issued(), 0U);
}

// ---- what is asked for

TEST_F(HostileTest, NoExtensionIsSmuggledIn) {
  start();
  const Device device("CN=a");
  const auto ask = [&](std::vector<x509::Extension> extensions) {
    return send(device, MessageType::pkcs_req, csr(device, std::move(extensions)).der(), ca(),
                false, "t" + std::to_string(++count));
  };
  EXPECT_EQ(ask({x509::basic_constraints_ca()}).reply.status, PkiStatus::pending);
  EXPECT_EQ(ask({x509::key_usage({0x06, true})}).reply.status, PkiStatus::pending);
  EXPECT_EQ(ask({{"2.5.29.19", true, Bytes{0x30, 0x03, 0x01, 0x01, 0x01}}}).reply.status,
            PkiStatus::pending)
      << "TRUE that is not 0xFF";
  EXPECT_EQ(ask({{"2.5.29.19", true, Bytes{0x04, 0x00}}}).reply.status, PkiStatus::pending)
      << "unreadable";
  EXPECT_EQ(issued(), 0U);

  const Bytes any_purpose = der::sequence(
      {der::object_identifier("2.5.29.37.0"), der::object_identifier("1.3.6.1.5.5.7.3.9")});
  const auto certificate =
      granted(ask({{"2.5.29.37", true, any_purpose},
                   x509::crl_distribution_point("http://attacker.example/crl"),
                   {"1.3.6.1.5.5.7.1.1", false, Bytes{0x30, 0x00}},       // authorityInfoAccess
                   {"2.5.29.32", false, Bytes{0x30, 0x00}},               // certificatePolicies
                   {"2.5.29.30", true, Bytes{0x30, 0x00}},                // nameConstraints
                   {"1.3.6.1.5.5.7.48.1.5", false, Bytes{0x05, 0x00}},    // OCSP nocheck
                   {"1.3.6.1.4.1.11129.2.4.3", true, Bytes{0x05, 0x00}},  // CT poison
                   {"1.3.6.1.4.1.311.25.2", false, Bytes{0x30, 0x00}},    // a Windows SID
                   x509::subject_alt_dns(std::string_view("good.example\0.evil.example", 26)),
                   {"1.2.3.4", true, Bytes(100, 0x41)}}));
  std::vector<std::string> oids;
  for (const auto& one : certificate.extensions()) oids.push_back(one.oid);
  EXPECT_THAT(oids, testing::UnorderedElementsAre("2.5.29.15", "2.5.29.35", "2.5.29.14"));
  EXPECT_FALSE(certificate.is_ca());
}

TEST_F(HostileTest, WhatComesTwiceIsRefused) {
  start();
  const Device device("CN=a");
  const Bytes again =
      scep::cms::attribute(der::Oid("2.16.840.1.113733.1.9.7"), der::printable("other"));
  const Bytes enveloped = enveloped_in(message_of(device, csr(device).der()));
  EXPECT_EQ(post(around(enveloped, device.signer, device.key, "one", {again})).status, 400U);
  // Of extensions and passwords in a PKCS #10 twice: x509.Request.WhatCannotBeReadOrComesTwice...
  EXPECT_EQ(issued(), 0U);
}

TEST_F(HostileTest, AKeyThatHidesNothingIsRefused) {
  start();
  for (const char* file : {"roca", "close_primes", "neighbours", "small_factor", "exponent_3"}) {
    const Asked asked = enroll(Device("CN=weak", weak(file)));
    EXPECT_EQ(refused(asked), "badAlg") << file;
    EXPECT_THAT(asked.reply.fail_info_text,
                testing::AnyOf(HasSubstr("weak"), HasSubstr("exponent")))
        << file;
  }
  EXPECT_EQ(refused(enroll(Device("CN=short", weak("rsa_512")))), "badAlg");
  // And nobody's request is signed by such a key either.
  Device device("CN=a");
  device.key = weak("rsa_512");
  device.signer =
      *x509::self_signed_signer(device.name, zero - Days{1}, device.key, x509::Digest::sha256);
  EXPECT_EQ(refused(send(device, MessageType::pkcs_req, csr(Device("CN=a")).der(), ca())),
            "badAlg");
  EXPECT_EQ(issued(), 0U);
}

TEST_F(HostileTest, AKeyOfAnotherSizeIsRefusedBeforeAnythingIsComputedWithIt) {
  start();
  const Device device("CN=a");
  const auto with_key = [&](std::size_t octets, const Bytes& exponent) {
    Bytes modulus(octets, 0xFF);
    const Bytes numbers =
        der::sequence({der::unsigned_integer(modulus), der::unsigned_integer(exponent)});
    const Bytes spki = der::sequence({der::sequence({der::object_identifier("1.2.840.113549.1.1.1"),
                                                     der::tlv(der::tag::null, {})}),
                                      der::bit_string_of(numbers)});
    const Bytes information =
        der::sequence({der::small_integer(0), device.name.der(), spki, Bytes{0xA0, 0x00}});
    return der::sequence(
        {information,
         x509::to_der(x509::SignatureAlgorithm{x509::KeyAlgorithm::rsa, x509::Digest::sha256}),
         der::bit_string_of(Bytes(octets, 0x01))});
  };
  const Bytes usual = {1, 0, 1};
  const auto ask = [&](const Bytes& request) {
    return refused(send(device, MessageType::pkcs_req, request, ca()));
  };
  EXPECT_EQ(ask(with_key(2048, usual)), "badAlg") << "16384 bits";
  EXPECT_EQ(ask(with_key(1032, usual)), "badAlg");
  EXPECT_EQ(ask(with_key(32, usual)), "badAlg");
  EXPECT_EQ(ask(with_key(256, Bytes{1})), "badAlg") << "e = 1";
  EXPECT_EQ(ask(with_key(256, Bytes(9, 0xFF))), "badAlg")
      << "an exponent that makes others compute";
  EXPECT_EQ(ask(with_key(256, Bytes{4})), "badMessageCheck") << "e is even";
}

TEST_F(HostileTest, NamesAreNoPathsNoLinesAndNoCommandsToATerminal) {
  configuration.database_level = config::DatabaseLevel::complete;
  start();
  const auto name_of = [](std::string_view text) {
    return *x509::Name::from_der(der::sequence({der::tlv(
        der::tag::set, der::sequence({der::object_identifier("2.5.4.3"),
                                      der::tlv(der::tag::utf8_string, as_bytes(text))}))}));
  };
  for (const std::string& text :
       {std::string("../../../etc/cron.d/x"), std::string("/etc/passwd"), std::string("a\tb"),
        std::string("a\n%PKI-6-CS_GRANT: forged"), std::string("a\r\nb"),
        std::string("\x1B]0;owned\x07\x1B[2J"), std::string("\xC2\x9B[31m"),
        std::string("user\xE2\x80\xAEgpj.exe"),
        std::string("a\xE2\x80\xA8"
                    "b"),
        std::string("$(reboot)`id`;|&"), std::string("%s%n%x")}) {
    Device device("CN=a");
    device.name = name_of(text);
    device.signer =
        *x509::self_signed_signer(device.name, zero - Days{1}, device.key, x509::Digest::sha256);
    const auto asked = send(device, MessageType::pkcs_req, csr(device).der(), ca(), false,
                            "t" + std::to_string(++count));
    granted(asked);
  }
  publish();
  for (const auto& [file, content] : files.files)
    EXPECT_EQ(file.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789_."),
              std::string::npos)
        << file;
  const auto quiet = [](const std::string& text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; }) &&
           text.find("\xC2\x9B") == std::string::npos &&
           text.find("\xE2\x80\xAE") == std::string::npos &&
           text.find("\xE2\x80\xA8") == std::string::npos;
  };
  const auto rows = *store->certificates("ROOTCA", x509::Serial(1), 100);
  EXPECT_EQ(rows.size(), 11U);
  for (const auto& row : rows) EXPECT_TRUE(quiet(row.subject)) << row.subject;
  for (const auto& line : log.lines) EXPECT_TRUE(quiet(line)) << line;

  Device nul("CN=a");
  nul.name = name_of(std::string_view("admin\0.example", 14));
  nul.signer = *x509::self_signed_signer(nul.name, zero - Days{1}, nul.key, x509::Digest::sha256);
  EXPECT_EQ(refused(send(nul, MessageType::pkcs_req, csr(nul).der(), ca(), false, "n")),
            "badRequest");
  const Device device("CN=a");
  for (const char* transaction : {"a\nb", "\x1B[2J", "a\tb", ""}) {
    EXPECT_EQ(post(around(enveloped_in(message_of(device, csr(device).der())), device.signer,
                          device.key, transaction))
                  .status,
              400U);
  }
}

// ---- octets

TEST_F(HostileTest, WhatIsNoMessageIs400AndTellsNothingOfTheInside) {
  start();
  const Device device("CN=a");
  const Bytes good = message_of(device, csr(device).der());
  std::vector<Bytes> bad;
  bad.emplace_back();
  bad.emplace_back(4096, 0xFF);
  Bytes endless(65000, 0xFF);
  endless[0] = 0x1F;  // a tag whose octets never end
  bad.push_back(endless);
  Bytes nested;
  while (nested.size() < 65000) nested.insert(nested.end(), {0x30, 0x80});
  bad.push_back(nested);
  Bytes strings;
  while (strings.size() < 65000) strings.insert(strings.end(), {0x24, 0x80});
  bad.push_back(strings);
  bad.push_back(good);
  bad.back().push_back(0);  // trailing
  bad.push_back(good);
  bad.back().insert(bad.back().end(), good.begin(), good.end());
  bad.emplace_back(good.begin(), good.end() - 1);
  bad.push_back(good);
  bad.back()[good.size() - 20] ^= 1;  // the signature
  for (const Bytes& message : bad) {
    std::vector<HttpReply> replies = {post(message)};
    // A GET of more than 90 KiB is refused for that.
    if (message.size() < 40000)
      replies.push_back(http({"GET", scep::pki_operation_get_url("/scep", message), {}, from}));
    for (const HttpReply& reply : replies) {
      EXPECT_EQ(reply.status, 400U);
      const std::string text(as_text(reply.content()));
      EXPECT_THAT(text, HasSubstr("not a SCEP message"));
      for (const char* inside : {"error:", "rsa", "openssl", "/", ".cc", "sql"})
        EXPECT_THAT(text, Not(HasSubstr(inside)));
    }
  }
  EXPECT_EQ(get("operation=PKIOperation&message=%%%").status, 400U);
  EXPECT_EQ(get("operation=../../etc/passwd").status, 400U);
  EXPECT_EQ(get("operation=PKIOperation&message=%00%0a%0d").status, 400U);
  granted(enroll(device));
}

TEST_F(HostileTest, EveryFaultOfAnEnvelopeHasOneAnswer) {
  start();
  const Device device("CN=a");
  const Bytes request = to_bytes(csr(device).der());
  Bytes wrong_signature = request;
  wrong_signature.back() ^= 1;
  Bytes trailing = request;
  trailing.push_back(0);
  Bytes indefinite = {0x30, 0x80};
  indefinite.insert(indefinite.end(), request.begin() + 4, request.end());
  indefinite.insert(indefinite.end(), {0, 0});
  std::vector<Bytes> messages;
  for (const Bytes& body : {wrong_signature, trailing, indefinite, Bytes(600, 0xFF), Bytes{},
                            Bytes{0x30, 0}, to_bytes(device.signer.der())})
    messages.push_back(message_of(device, body));
  // Spoiled within: the key's block, and the content's last one.
  const Bytes enveloped = enveloped_in(message_of(device, request));
  const std::array<std::uint8_t, 4> octets_of_a_key = {0x04, 0x82, 0x01, 0x00};
  const auto key_at = std::search(enveloped.begin(), enveloped.end(), octets_of_a_key.begin(),
                                  octets_of_a_key.end()) -
                      enveloped.begin();
  for (const std::size_t at : {static_cast<std::size_t>(key_at) + 4 + 200, enveloped.size() - 1,
                               enveloped.size() - 20, enveloped.size() - 400}) {
    Bytes spoiled = enveloped;
    spoiled.at(at) ^= 1;
    messages.push_back(around(spoiled, device.signer, device.key, device.transaction()));
  }
  std::optional<std::size_t> size;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const HttpReply reply = post(messages[i]);
    ASSERT_EQ(reply.status, 200U);
    EXPECT_TRUE(reply.unhurried) << i;
    EXPECT_EQ(reply.content().size(), size.value_or(reply.content().size())) << i;
    size = reply.content().size();
    const auto heard = scep::open_envelope(reply.content(), {})->envelope;
    EXPECT_EQ(heard.fail_info, FailInfo::bad_message_check) << i;
    EXPECT_EQ(heard.fail_info_text, "the message does not open, or is not what was signed") << i;
    EXPECT_TRUE(heard.enveloped.empty());
  }
  EXPECT_EQ(issued(), 0U);
}

// ---- many

TEST_F(HostileTest, TenThousandThatWaitAreAllAndTheNextIsToldToComeAgain) {
  configuration.grant = config::Grant::manual;
  start();
  const Device device("CN=a");
  EXPECT_EQ(enroll(device).reply.status, PkiStatus::pending);
  const auto one = *store->request_of("ROOTCA", device.transaction());
  store::Batch batch;
  for (std::uint64_t id = 2; id <= 10000; ++id) {
    auto entry = *one;
    entry.id = id;
    entry.transaction_id = "t" + std::to_string(id);
    batch.emplace_back(store::PutRequest{std::move(entry)});
  }
  ASSERT_TRUE(store->commit(std::move(batch)));
  start();
  EXPECT_EQ(server->requests()->size(), 10000U);
  const auto late = send(Device("CN=b"), MessageType::pkcs_req, csr(Device("CN=b")).der(), ca());
  EXPECT_EQ(late.http_status, 503U);
  EXPECT_EQ(poll(device).reply.status, PkiStatus::pending) << "who is in stays in";
  EXPECT_EQ(get("operation=GetCACert").status, 200U);
  ASSERT_TRUE(server->reject(1));
  EXPECT_EQ(enroll(Device("CN=b")).reply.status, PkiStatus::pending) << "there is room again";
  go_to(day(8));
  EXPECT_TRUE(server->requests()->empty());
}

TEST_F(HostileTest, WhoTriesPasswordsIsLockedOutAndTheOthersAreNot) {
  configuration.challenge_password = "secret";
  start();
  Device honest("CN=honest");
  honest.challenge = "secret";
  from = "192.0.2.1";
  Device renewing("CN=renewing");
  renewing.challenge = "secret";
  renewing.signer = granted(enroll(renewing));

  from = "203.0.113.66";
  Device thief("CN=thief", another_key());
  for (int i = 0; i < 10; ++i) {
    thief.challenge = "guess number " + std::to_string(i);
    EXPECT_EQ(refused(enroll(thief)), "badRequest");
  }
  EXPECT_TRUE(log.has("CHALLENGE"));
  EXPECT_TRUE(log.has("too many wrong challenge passwords from 203.0.113.66"));
  EXPECT_FALSE(log.has("guess number"));
  thief.challenge = "secret";
  EXPECT_EQ(enroll(thief).http_status, 503U) << "right or wrong, it is not looked at";
  thief.challenge = "wrong";
  EXPECT_EQ(enroll(thief).http_status, 503U);
  thief.challenge.reset();
  EXPECT_EQ(refused(enroll(thief)), "badRequest") << "no password is no try";

  renewing.challenge.reset();
  granted(enroll(renewing, MessageType::renewal_req));
  from = "192.0.2.2";
  granted(enroll(honest));
  from = "203.0.113.66";
  clock.set(zero + Seconds{60});
  Device behind("CN=behind the same address");
  behind.challenge = "secret";
  granted(enroll(behind));
}

}  // namespace
}  // namespace umbra::server
