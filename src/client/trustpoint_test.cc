#include "client/trustpoint.h"

#include <gmock/gmock.h>

#include "client/lab_test.h"

namespace umbra::client {
namespace {

using scep::MessageType;
using std::chrono::minutes;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(TrustpointTest, AuthenticatesWithGetCaCertThenGetCaCapsAndNothingElse) {
  spoke.auto_enroll.reset();
  start();
  authenticate();
  EXPECT_THAT(operations(), ElementsAre("GetCACert", "GetCACaps"));
  EXPECT_EQ(sent[0].target,
            "http://10.1.255.12:80/cgi-bin/pkiclient.exe?operation=GetCACert&message=Root-CA");
  EXPECT_EQ(*status().ca, *server->status().ca);
  EXPECT_EQ(armed(), "SHADOW Root-CA 2017-07-27T12:14:16Z");
  EXPECT_EQ(status().enrollment_url, "http://10.1.255.12:80/cgi-bin");
}

TEST_F(TrustpointTest, WithoutCaNorFingerprintItFiresAgainAndAgainAndSendsNothing) {
  start();
  run_until(day(3));
  EXPECT_EQ(armed().substr(0, 5), "RENEW");
  EXPECT_THAT(sent, IsEmpty());
  EXPECT_FALSE(trustpoint->enroll()) << "nobody to enrol with";
}

TEST_F(TrustpointTest, WithFingerprintItAuthenticatesAndEnrolsByItself) {
  start_server();
  spoke.fingerprint = to_hex(server->status().ca->fingerprint(x509::Digest::sha1));
  start_spoke();
  EXPECT_THAT(operations(), ElementsAre("GetCACert", "GetCACaps", "PKIOperation"));
  EXPECT_TRUE(status().identity);
  EXPECT_EQ(log.count("POLLROUTERCERT"), 0U) << "said of polls alone";
}

TEST_F(TrustpointTest, ACaWithAnotherFingerprintIsRefusedByHandAndByItself) {
  spoke.fingerprint = std::string(64, 'A');
  start();
  run_until(zero + minutes{3});
  EXPECT_THAT(operations(), Each("GetCACert"));
  EXPECT_GT(sent.size(), 1U);
  EXPECT_FALSE(status().ca);
  EXPECT_GT(log.count("%UMBRA-3-FINGERPRINT"), 0U);
  std::optional<Errc> code;
  trustpoint->fetch_ca([&](const Result<x509::Certificate>& got) { code = got.error().code; });
  settle();
  EXPECT_EQ(code, Errc::crypto);
  trustpoint->accept_ca(*server->status().ca,
                        [&](const Result<void>& got) { EXPECT_FALSE(got.has_value()); });
  settle();
  EXPECT_FALSE(status().ca);
}

TEST_F(TrustpointTest, AsksForOtherNamesAndKeyPurposes) {
  spoke.alt_names = {{x509::AltNameKind::dns, "vpn.example.net"},
                     {x509::AltNameKind::ip, "192.0.2.1"}};
  spoke.eku_request = {x509::KeyPurpose::client_auth};
  ca.eku = {x509::KeyPurpose::server_auth};
  enrolled();
  const auto find = [this](const x509::Extension& wanted) {
    const auto& all = status().identity->extensions();
    const auto at = std::find_if(all.begin(), all.end(),
                                 [&](const auto& one) { return one.oid == wanted.oid; });
    return at == all.end() ? Bytes{} : at->value;
  };
  const auto names = x509::subject_alt_names(spoke.alt_names);
  EXPECT_EQ(find(names), names.value);
  const auto purposes = x509::extended_key_usage(ca.eku);
  EXPECT_EQ(find(purposes), purposes.value) << "the CA decides";
}

TEST_F(TrustpointTest, TheAddressOfAnInterfaceIsTheOneItHasAtFirst) {
  spoke.ip_interface = "eth1";
  start();
  authenticate();
  EXPECT_FALSE(status().pending) << "not without the address";
  EXPECT_GE(log.count("%UMBRA-3-TRUSTPOINT: Trustpoint Root-CA: there is no interface eth1; next "
                      "try at"),
            1U);
  interfaces["eth1"] = "192.0.2.7";
  run_until(trustpoint->deadlines().front().at);
  ASSERT_TRUE(status().identity);
  EXPECT_THAT(status().identity->subject().joined(), HasSubstr("192.0.2.7"));
  interfaces["eth1"] = "192.0.2.8";
  const auto before = *status().identity;
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_FALSE(*status().identity == before) << "renewed";
  EXPECT_EQ(status().identity->subject(), before.subject()) << "under the name it has";
}

TEST_F(TrustpointTest, AsksForTheKeyPurposesOfItsUsageWhereNoOthersAreNamed) {
  spoke.usage = {x509::KeyPurpose::server_auth};
  ca.grant = config::Grant::manual;
  start();
  authenticate();
  const auto asked = x509::extended_key_usage(spoke.usage);
  const auto& all = status().pending->extensions();
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const auto& one) {
    return one.oid == asked.oid && one.value == asked.value;
  }));
}

TEST_F(TrustpointTest, AnotherTrustpointsCertificateSignsTheFirstRequestAndNoOther) {
  spoke.credential = "OTHER";
  start();
  authenticate();
  EXPECT_FALSE(status().identity);
  EXPECT_EQ(
      log.count("certificate of trustpoint OTHER (enrollment credential), which has none yet"), 1U);
  EXPECT_EQ(operations().back(), "GetCACaps") << "nothing is sent without it";
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  // Of another CA: servers take no self-signed one for a key that is not its own.
  const auto ca_key = *x509::PrivateKey::generate_rsa(2048);
  const auto certificate = x509::sign_certificate({x509::Serial(5),
                                                   *x509::Name::from_ios("CN=other CA"),
                                                   *x509::Name::from_ios("CN=other"),
                                                   zero,
                                                   day(365),
                                                   to_bytes(key.public_key().spki()),
                                                   {}},
                                                  ca_key, x509::Digest::sha256);
  ASSERT_TRUE(certificate) << certificate.error().detail;
  voucher = Credential{*certificate, key};
  start_spoke();  // a restart goes on with the same request
  ASSERT_TRUE(status().identity);
  EXPECT_EQ(sent.back().envelope->signer, voucher->certificate);
  const auto first = *status().identity;
  EXPECT_FALSE(first.public_key() == key.public_key());
  run_until(day(292));
  EXPECT_NE(*status().identity, first);
  EXPECT_EQ(sent.back().envelope->signer, first) << "RENEW is its own";
}

TEST_F(TrustpointTest, ACaWithoutAnRaIsRefusedWhereAnRaIsConfigured) {
  spoke.mode_ra = true;
  start();
  std::string why;
  trustpoint->fetch_ca([&](const Result<x509::Certificate>& got) { why = got.error().detail; });
  settle();
  EXPECT_EQ(why, "\"enrollment mode ra\" is configured, and the CA names no RA");
}

TEST_F(TrustpointTest, AKeyHasANameEvenWhereTheSubjectHasNone) {
  spoke.key_label.clear();
  spoke.fqdn_none = true;
  enrolled();
  EXPECT_EQ(log.count("%CRYPTO_ENGINE-5-KEY_ADDITION: A key named spoke.lab has been"), 1U);
  EXPECT_EQ(status().key_label, "spoke.lab");
}

TEST_F(TrustpointTest, TheFirstRequestIsSignedByItsOwnKey) {
  enrolled();
  const auto& first = *sent[2].envelope;
  EXPECT_EQ(first.type, MessageType::pkcs_req);
  EXPECT_TRUE(first.signer.self_issued());
  EXPECT_EQ(first.signer.public_key(), status().identity->public_key());
  EXPECT_EQ(first.transaction_id, scep::transaction_id(status().identity->public_key()));
  EXPECT_EQ(sent[2].recipient, status().ca->serial());
  EXPECT_EQ(status().last_enrollment_status, "Granted");
  EXPECT_EQ(log.count("%PKI-6-CERTRET: Certificate received from Certificate Authority"), 1U);
  EXPECT_EQ(armed(), "RENEW Root-CA " + to_rfc3339(day(292)));
  EXPECT_EQ(status().renew_at, day(292));
}

TEST_F(TrustpointTest, PublishesIdentityKeyAndChainThatBelongTogether) {
  enrolled();
  const auto& set = outlet.published.at("/etc/spoke");
  EXPECT_EQ(set.cert, status().identity->to_pem());
  EXPECT_EQ(set.ca, status().ca->to_pem());
  EXPECT_EQ(set.chain, set.cert + set.ca);
  EXPECT_EQ(x509::PrivateKey::from_pem(set.key)->public_key(), status().identity->public_key());
  EXPECT_THAT(outlet.commands, ElementsAre("reload"));
}

TEST_F(TrustpointTest, RenewIsSignedByTheIdentityAndKeepsKeyAndTransaction) {
  enrolled();
  const auto first = *status().identity;
  for (int renewal = 1; renewal <= 2; ++renewal) {
    const auto before = *status().identity;
    run_until(day(292 * renewal));
    const auto& message = sent.back();
    EXPECT_EQ(message.envelope->signer, before);
    EXPECT_EQ(message.recipient, status().ca->serial());
    EXPECT_EQ(message.envelope->transaction_id, sent[2].envelope->transaction_id);
    EXPECT_FALSE(*status().identity == before) << "the same PKCS #10 gets a new certificate";
    EXPECT_EQ(status().identity->public_key(), first.public_key());
  }
  EXPECT_EQ(status().identity->not_after(), day(730));
  EXPECT_EQ(armed().substr(0, 6), "SHADOW");
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
}

TEST_F(TrustpointTest, RenewUsesTheMessageTypeItsCaAsksFor) {
  enrolled();
  const auto caps = scep::parse_capabilities(row().capabilities);
  run_until(day(292));
  EXPECT_EQ(sent.back().envelope->type,
            caps.renewal && caps.scep_standard ? MessageType::renewal_req : MessageType::pkcs_req);
  // An IOS server's list: no SCEPStandard, no POST.
  tamper = [](const Sent& call, HttpReply reply) {
    if (call.operation == "GetCACaps")
      reply.body = to_bytes(as_bytes("GetNextCACert\nRenewal\nSHA-1\nSHA-256\n"));
    return reply;
  };
  authenticate();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_EQ(sent.back().envelope->type, MessageType::pkcs_req);
  EXPECT_NE(sent.back().target.find("message="), std::string::npos) << "by GET";
  EXPECT_EQ(status().last_enrollment_status, "Granted");
}

TEST_F(TrustpointTest, RegenerateMakesAShadowKeyThatBecomesTheKey) {
  spoke.regenerate = true;
  enrolled();
  const auto old_key = status().identity->public_key();
  cut = true;
  run_until(day(292));
  EXPECT_FALSE(row().sealed_shadow_key.empty());
  EXPECT_EQ(log.count("A key named spoke-1-RSA# has been generated"), 1U);
  EXPECT_EQ(status().identity->public_key(), old_key);
  cut = false;
  run_until(day(292) + minutes{1});
  EXPECT_FALSE(status().identity->public_key() == old_key);
  EXPECT_TRUE(row().sealed_shadow_key.empty());
  EXPECT_NE(sent.back().envelope->transaction_id, sent[2].envelope->transaction_id);
  EXPECT_EQ(x509::PrivateKey::from_pem(outlet.published.at("/etc/spoke").key)->public_key(),
            status().identity->public_key());
}

TEST_F(TrustpointTest, PendingIsPolledAtDoublingIntervalsUntilGranted) {
  ca.grant = config::Grant::manual;
  start();
  authenticate();
  EXPECT_EQ(status().last_enrollment_status, "Pending");
  EXPECT_TRUE(status().pending);
  EXPECT_FALSE(trustpoint->enroll()) << "one request at a time";
  run_until(zero + minutes{8});
  std::vector<long> polls;
  for (const auto& one : sent) {
    if (one.envelope && one.envelope->type == MessageType::cert_poll)
      polls.push_back((one.at - zero) / minutes{1});
  }
  EXPECT_THAT(polls, ElementsAre(1, 2, 4, 8));
  grant_pending();
  run_until(zero + minutes{16});
  EXPECT_TRUE(status().identity);
  EXPECT_FALSE(status().pending);
  EXPECT_EQ(status().last_enrollment_status, "Granted");
}

TEST_F(TrustpointTest, PollsAreCountedAndTheirEndIsSaid) {
  ca.grant = config::Grant::manual;
  spoke.retry_count = 2;
  start();
  authenticate();
  run_until(day(1));
  EXPECT_EQ(log.count("%PKI-3-POLLROUTERCERT: Polling Router certificate ....."), 3U);
  EXPECT_EQ(log.count("%PKI-3-POLLRETRYERR: Polling CA server failed after 3 attempts"), 1U);
  EXPECT_EQ(log.count("%PKI-3-AUTOCERTERR: Auto Certificate reenrollment failed. Cannot retry."),
            1U);
  EXPECT_EQ(log.count("CERTRENEWMANUAL"), 0U) << "there is no certificate to renew";
  EXPECT_EQ(armed(), "");
}

TEST_F(TrustpointTest, ARejectedRenewalStopsItAndKeepsTheOldCertificate) {
  spoke.regenerate = true;
  enrolled();
  const auto before = *status().identity;
  ca.grant = config::Grant::none;
  start_server();
  run_until(day(292));
  EXPECT_EQ(log.count("%PKI-6-CERTREJECT"), 1U);
  EXPECT_EQ(log.count("CRYPTO_PKI: status = 101: certificate request is rejected"), 1U);
  EXPECT_EQ(log.count("%PKI-6-CERTRENEWMANUAL: Please perform a manual re-enrollment for identity "
                      "Root-CA"),
            1U);
  EXPECT_EQ(armed(), "");
  EXPECT_EQ(*status().identity, before);
  EXPECT_TRUE(row().sealed_shadow_key.empty()) << "the attempt's key is gone";
  ca.grant = config::Grant::automatic;
  start_server();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_FALSE(*status().identity == before);
  EXPECT_EQ(log.count("%PKI-6-CERT_ENROLL_MANUAL: Manual enrollment for trustpoint Root-CA"), 1U);
}

TEST_F(TrustpointTest, NothingLeavesThatTheStoreHasNotTaken) {
  enrolled();
  store->refuse = true;
  const auto calls = sent.size();
  run_until(day(292) + minutes{3});
  EXPECT_EQ(sent.size(), calls);
  EXPECT_GT(log.count("%UMBRA-3-TRUSTPOINT: Trustpoint Root-CA: disk full"), 1U);
  store->refuse = false;
  run_until(day(293));
  EXPECT_EQ(status().identity->not_before(), day(292) + minutes{7}) << "tried at 0, 1, 3 and 7";
}

TEST_F(TrustpointTest, AnAnswerThatCouldNotBeStoredIsAskedForAgainAndIsTheSame) {
  enrolled();
  tamper = [this](const Sent&, HttpReply reply) {
    store->refuse = true;
    return reply;
  };
  run_until(day(292));
  tamper = nullptr;
  store->refuse = false;
  EXPECT_EQ(issued().size(), 3U) << "the CA, the identity and its renewal";
  run_until(day(293));
  EXPECT_EQ(issued().size(), 3U);
  EXPECT_EQ(status().identity->not_before(), day(292));
}

TEST_F(TrustpointTest, AStoreThatRefusesIsTriedAgainEveryHourAtLeast) {
  enrolled();
  run_until(day(291));
  store->refuse = true;
  run_until(day(294));
  const auto next = trustpoint->deadlines().front().at;
  EXPECT_LE(next - day(294), std::chrono::hours{1});
  store->refuse = false;
  run_until(next);
  EXPECT_EQ(status().identity->not_before(), next);
}

TEST_F(TrustpointTest, ItAsksFromTheCallUntilSomethingFails) {
  enrolled();
  EXPECT_FALSE(status().asking);
  hold_answers = true;
  run_until(day(292));
  EXPECT_TRUE(status().asking);
  EXPECT_FALSE(status().awaits_next_ca);
  hold_answers = false;
  cut = true;
  start_spoke();
  EXPECT_FALSE(status().asking) << "it has failed, and waits for its next try";
  cut = false;
  run_until(day(293));
  EXPECT_FALSE(status().asking) << "it is done";
  EXPECT_EQ(status().identity->not_before(), day(292)) << "the one that was made for it then";
}

TEST_F(TrustpointTest, AWrongPassphraseOpensNothing) {
  enrolled();
  auto opened = Trustpoint::open(spoke, {.store = *store,
                                         .clock = clock,
                                         .random = random,
                                         .log = log,
                                         .transport = *this,
                                         .outlet = outlet,
                                         .post = [](const std::function<void()>&) {},
                                         .changed = [] {},
                                         .key_passphrase = "another",
                                         .fqdn = "spoke.lab",
                                         .board_serial = ""});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::crypto);
}

}  // namespace
}  // namespace umbra::client
