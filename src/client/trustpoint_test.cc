#include "client/trustpoint.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "client/lab_test.h"

namespace umbra::client {
namespace {

using scep::MessageType;
using std::chrono::minutes;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TrustpointTest : public Lab {
 protected:
  void enrolled() {
    start();
    authenticate();
    ASSERT_TRUE(status().identity);
  }
  void grant_pending() { ASSERT_TRUE(server->grant(std::nullopt)); }
};

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

TEST_F(TrustpointTest, WhatATimerSendsIsSpreadByATenthOfWhatIsLeftAtMostAndACommandIsNot) {
  spoke.spread = Seconds{3600};
  ca.lifetime_certificate = minutes{100};
  start();
  authenticate();
  const auto spread_of = [this](std::size_t n) { return sent.at(n).spread; };
  EXPECT_EQ(spread_of(0), Seconds{0}) << "GetCACert was commanded";
  EXPECT_EQ(spread_of(1), Seconds{0}) << "and GetCACaps with it";
  EXPECT_EQ(spread_of(2), Seconds{3600}) << "RENEW: the CA has years to live";
  auto before = sent.size();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_EQ(spread_of(before), Seconds{0});
  before = sent.size();
  run_until(zero + minutes{80});
  ASSERT_EQ(sent.size(), before + 1);
  EXPECT_EQ(spread_of(before), minutes{2}) << "a tenth of the certificate's last twenty minutes";
  cut = true;
  run_until(zero + minutes{161});
  EXPECT_EQ(spread_of(before + 1), minutes{2});
  EXPECT_EQ(spread_of(before + 2), Seconds{114}) << "a retry a minute later";
}

TEST_F(TrustpointTest, APollLeavesInTimeToBeAnsweredBeforeTheNextOneHoweverLongTheSpread) {
  spoke.spread = Seconds{3600};
  ca.grant = config::Grant::manual;
  start();
  authenticate();
  const auto before = sent.size();
  run_until(zero + minutes{7});
  ASSERT_EQ(sent.size(), before + 3) << "after one, two and four minutes";
  EXPECT_EQ(sent[before].spread, Seconds{30}) << "half of the minute to the next";
  EXPECT_EQ(sent[before + 1].spread, minutes{1});
  EXPECT_EQ(sent[before + 2].spread, minutes{2});
  spoke.spread = Seconds{10};
  start_spoke();
  run_until(zero + minutes{8});
  ASSERT_EQ(sent.size(), before + 4);
  EXPECT_EQ(sent.back().spread, Seconds{10});
}

TEST_F(TrustpointTest, TriesItsServersInTurnAndStaysWithTheOneThatAnswers) {
  spoke.enrollment_url = "http://a";
  spoke.more_urls = {"http://b", "http://c"};
  down = {"a", "b"};
  start();
  authenticate();
  EXPECT_EQ(status().enrollment_url, "http://c/cgi-bin");
  EXPECT_THAT(operations(),
              ElementsAre("GetCACert", "GetCACert", "GetCACert", "GetCACaps", "PKIOperation"));
  EXPECT_EQ(log.count("%UMBRA-5-ENROLLMENT_URL: Trustpoint Root-CA: http://c answers"), 1U);
  // The first one is back: nobody is left who answers for its sake, not even by a restart.
  down = {"b"};
  start_spoke();
  const std::size_t before = sent.size();
  run_until(day(292));
  EXPECT_THAT(operations(before), ElementsAre("PKIOperation"));
  EXPECT_TRUE(sent.back().target.starts_with("http://c/")) << sent.back().target;
}

TEST_F(TrustpointTest, WhenNoServerAnswersAllOfThemAreTriedAtEachRetry) {
  spoke.more_urls = {"http://b"};
  start();
  authenticate();
  cut = true;
  run_until(day(292));
  std::size_t before = sent.size();
  EXPECT_EQ(armed().substr(0, 13), "CONNECT RETRY");
  run_until(day(292) + minutes{1});
  EXPECT_EQ(sent.size(), before + 2);
  EXPECT_NE(sent[before].target.substr(0, 9), sent[before + 1].target.substr(0, 9));
  cut = false;
  run_until(day(292) + minutes{2});
  EXPECT_EQ(status().identity->not_before(), day(292) + minutes{2});
}

TEST_F(TrustpointTest, AServerThatTalksNonsenseIsFollowedByTheNextOne) {
  spoke.enrollment_url = "http://a";
  spoke.more_urls = {"http://b"};
  start();
  authenticate();
  tamper = [](const Sent& one, HttpReply reply) {
    if (one.target.starts_with("http://a/")) reply.body = to_bytes(as_bytes("<html>hello</html>"));
    return reply;
  };
  const auto first = *status().identity;
  run_until(day(292));
  EXPECT_EQ(*status().identity, first);
  run_until(day(292) + minutes{1});
  EXPECT_FALSE(*status().identity == first);
  EXPECT_EQ(status().enrollment_url, "http://b/cgi-bin");
}

TEST_F(TrustpointTest, APendingRequestStaysWithItsServerThroughARestart) {
  ca.grant = config::Grant::manual;
  spoke.enrollment_url = "http://a";
  spoke.more_urls = {"http://b"};
  down = {"a"};
  start();
  authenticate();
  EXPECT_EQ(status().last_enrollment_status, "Pending");
  down = {"b"};
  start_spoke();
  const std::size_t before = sent.size();
  run_until(zero + minutes{20});
  ASSERT_GT(sent.size(), before);
  for (std::size_t i = before; i < sent.size(); ++i)
    EXPECT_TRUE(sent[i].target.starts_with("http://b/")) << sent[i].target;
  down.clear();
  grant_pending();
  run_until(zero + minutes{40});
  EXPECT_TRUE(status().identity);
}

TEST_F(TrustpointTest, AsksForTheCaThatTheServerKnowsByAnotherName) {
  spoke.enrollment_url = "http://a/scep?site=1";
  spoke.ca_identifier = "CA 2";
  start();
  authenticate();
  EXPECT_EQ(sent[0].target, "http://a/scep?site=1&operation=GetCACert&message=CA%202");
}

TEST_F(TrustpointTest, TheCaMayBeGotElsewhereThanCertificates) {
  spoke.authentication_url = "http://auth/scep";
  start();
  authenticate();
  EXPECT_EQ(sent[0].target.substr(0, 28), "http://auth/scep/pkiclient.e");
  EXPECT_EQ(operations().front(), "GetCACert");
  for (std::size_t i = 1; i < sent.size(); ++i)
    EXPECT_TRUE(sent[i].target.starts_with(spoke.enrollment_url)) << sent[i].target;
  EXPECT_TRUE(status().identity);
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

TEST_F(TrustpointTest, ARejectThatCameWhileTheClockWasAheadDoesNotOutliveIt) {
  enrolled();
  const auto before = *status().identity;
  ca.grant = config::Grant::none;
  start_server();
  clock.set(day(300));
  run_due();
  ASSERT_EQ(log.count("%PKI-6-CERTREJECT"), 1U);
  ASSERT_EQ(armed(), "");
  start_spoke();
  EXPECT_EQ(armed(), "") << "it is remembered";
  clock.set(day(10));
  run_due();
  EXPECT_EQ(log.count("%UMBRA-5-CLOCK_WAS_AHEAD: Trustpoint Root-CA was stopped at "), 1U);
  EXPECT_EQ(armed(), "RENEW Root-CA " + to_rfc3339(day(292)));
  EXPECT_EQ(*status().identity, before);
  // One that came by the right clock stays, whatever the clock does afterwards.
  run_until(day(292));
  EXPECT_EQ(log.count("%PKI-6-CERTREJECT"), 2U);
  clock.set(day(400));
  run_due();
  clock.set(day(292) + minutes{5});
  run_due();
  EXPECT_EQ(armed(), "");
}

TEST_F(TrustpointTest, AServerThatIsDownIsTriedAgainWithTheSameRequest) {
  enrolled();
  const auto before = *status().identity;
  cut = true;
  run_until(day(292) + minutes{2});
  EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(day(292) + minutes{4}));
  EXPECT_EQ(*status().identity, before);
  EXPECT_EQ(log.count("%PKI-3-SOCKETSEND: Failed to send out message to CA server."), 3U);
  EXPECT_EQ(log.count("%PKI-6-AUTOCERTFAIL"), 1U);
  const auto request = row().request;
  cut = false;
  run_until(day(292) + minutes{4});
  EXPECT_FALSE(*status().identity == before);
  EXPECT_FALSE(request.empty());
  EXPECT_TRUE(row().request.empty());
}

TEST_F(TrustpointTest, ACaThatCannotBeReachedForItsCapabilitiesIsAskedAgain) {
  start();
  tamper = [this](const Sent& call, HttpReply reply) {
    cut = call.operation == "GetCACert";
    return reply;
  };
  authenticate();
  EXPECT_TRUE(status().ca);
  EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(zero + minutes{1}));
  cut = false;
  run_until(zero + minutes{1});
  EXPECT_TRUE(status().identity);
}

TEST_F(TrustpointTest, WithoutAnAuthoritativeClockNothingIsArmedAndNothingIsSent) {
  enrolled();
  clock.good = false;
  const auto calls = sent.size();
  clock.set(day(300));
  run_due();
  run_due();
  EXPECT_THAT(trustpoint->deadlines(), IsEmpty());
  EXPECT_EQ(sent.size(), calls);
  EXPECT_EQ(log.count("%PKI-2-NON_AUTHORITATIVE_CLOCK"), 1U);
  clock.good = true;
  run_due();
  EXPECT_EQ(log.count("%PKI-6-AUTHORITATIVE_CLOCK"), 1U);
  EXPECT_GT(sent.size(), calls);
}

TEST_F(TrustpointTest, AClockThatStepsBackRenewsNothing) {
  enrolled();
  run_until(day(292));
  const auto calls = sent.size();
  clock.set(day(100));
  run_due();
  EXPECT_EQ(sent.size(), calls);
}

TEST_F(TrustpointTest, AFirstRequestOfATimeThatHasNotComeIsDroppedWithAllThatWasStoredForIt) {
  spoke.regenerate = true;
  enrolled();
  const auto before = *status().identity;
  const auto key = row().sealed_key;
  hold_answers = true;
  clock.set(day(400));  // the certificate has ended by that clock, the CA has not
  run_due();
  ASSERT_EQ(held.size(), 1U);
  ASSERT_TRUE(status().pending);
  EXPECT_EQ(sent.back().envelope->type, MessageType::pkcs_req);
  EXPECT_NE(row().request, Bytes{});
  EXPECT_NE(row().transaction_id, "");
  EXPECT_NE(row().sealed_shadow_key, Bytes{});
  clock.set(day(10));
  run_due();
  const auto dropped = [&] {
    EXPECT_FALSE(status().pending);
    EXPECT_EQ(row().request, Bytes{});
    EXPECT_EQ(row().request_signer, Bytes{});
    EXPECT_EQ(row().transaction_id, "");
    EXPECT_EQ(row().sealed_shadow_key, Bytes{}) << "its key is gone with it";
    EXPECT_EQ(row().sealed_key, key);
    EXPECT_EQ(status().last_enrollment_status, "Granted");
    EXPECT_EQ(*status().identity, before);
    EXPECT_EQ(armed(), "RENEW Root-CA " + to_rfc3339(day(292)));
  };
  dropped();
  // Its answer is nobody's any more, and a restart finds nothing of it.
  const auto calls = sent.size();
  hold_answers = false;
  for (const auto& answer : std::exchange(held, {})) answer();
  settle();
  dropped();
  start_spoke();
  dropped();
  EXPECT_EQ(sent.size(), calls);
  run_until(day(292));
  EXPECT_FALSE(*status().identity == before);
}

TEST_F(TrustpointTest, AFirstRequestThatWaitsForAPersonIsDroppedTheSameWay) {
  enrolled();
  ca.grant = config::Grant::manual;
  start_server();
  clock.set(day(400));
  run_due();
  ASSERT_EQ(status().last_enrollment_status, "Pending");
  clock.set(day(10));
  run_due();
  EXPECT_FALSE(status().pending);
  EXPECT_EQ(status().last_enrollment_status, "Granted");
  EXPECT_EQ(armed(), "RENEW Root-CA " + to_rfc3339(day(292)));
}

TEST_F(TrustpointTest, WhatWasPutOffByAClockThatWasAheadIsNotPutOffUntilThen) {
  enrolled();
  clock.set(day(364));
  cut = true;
  run_due();
  EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(day(364) + minutes{1}));
  outlet.failing = true;
  clock.set(day(10));
  run_due();
  EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(day(10) + minutes{1}));
  cut = false;
  run_until(day(10) + minutes{1});
  EXPECT_EQ(status().identity->not_before(), day(10) + minutes{1});
  // The command failed then, and the store refuses, while the clock is ahead again.
  clock.set(day(300));
  run_due();
  store->refuse = true;
  run_until(day(303));
  store->refuse = false;
  outlet.failing = false;
  clock.set(day(10) + minutes{2});
  const auto hooks = outlet.hooks.size();
  run_due();
  EXPECT_GT(outlet.hooks.size(), hooks) << "ANNOUNCE";
  EXPECT_EQ(armed().substr(0, 5), "RENEW");
  EXPECT_LT(trustpoint->deadlines().front().at, day(303)) << "nor held until then";
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

TEST_F(TrustpointTest, ABusyCaSaysWhenToComeAgain) {
  enrolled();
  std::vector<Seconds> waits = {Seconds{7}, Seconds{90}, Seconds{86400}};
  std::vector<Time> asked;
  tamper = [&](const Sent& call, HttpReply reply) {
    asked.push_back(call.at);
    if (waits.empty()) return reply;
    reply = {503, "text/plain", {}};
    reply.retry_after = waits.front();
    waits.erase(waits.begin());
    return reply;
  };
  run_until(day(293));
  EXPECT_THAT(asked, ElementsAre(day(292), day(292) + Seconds{7}, day(292) + Seconds{97},
                                 day(292) + Seconds{97 + 3600}))
      << "an hour at most";
  EXPECT_EQ(log.count("%UMBRA-5-COME_AGAIN: Trustpoint Root-CA: the CA is busy"), 3U);
  EXPECT_EQ(log.count("NO_ANSWER"), 0U);
  EXPECT_EQ(status().identity->not_before(), day(292));
}

TEST_F(TrustpointTest, ACaThatIsBusyAtFirstSaysWhenToComeAgainToo) {
  start_server();
  spoke.fingerprint = to_hex(server->status().ca->fingerprint(x509::Digest::sha256));
  std::map<std::string, std::vector<Time>> asked;
  tamper = [&](const Sent& call, HttpReply reply) {
    auto& times = asked[call.operation];
    times.push_back(call.at);
    if (call.operation == "PKIOperation" || times.size() > 2) return reply;
    reply = {503, "text/plain", {}};
    reply.retry_after = times.size() == 1 ? Seconds{600} : Seconds{86400};
    return reply;
  };
  start_spoke();
  run_until(day(1));
  const Time there = zero + Seconds{600 + 3600};
  EXPECT_THAT(asked["GetCACert"], ElementsAre(zero, zero + Seconds{600}, there));
  EXPECT_THAT(asked["GetCACaps"], ElementsAre(there, there + Seconds{600}, there + Seconds{4200}));
  EXPECT_TRUE(status().identity);
}

TEST_F(TrustpointTest, ACaThatIsOutOfOrderAtFirstIsAskedEveryHourAtLeastAndNamed) {
  start_server();
  spoke.fingerprint = to_hex(server->status().ca->fingerprint(x509::Digest::sha256));
  std::vector<Time> asked;
  bool good = false;
  tamper = [&](const Sent& call, HttpReply reply) {
    if (call.operation != "GetCACaps") return reply;
    asked.push_back(call.at);
    if (!good) reply = {500, "text/html", {}};
    return reply;
  };
  start_spoke();
  run_until(day(2));
  for (std::size_t i = 1; i < asked.size(); ++i)
    EXPECT_LE(asked[i] - asked[i - 1], std::chrono::hours{1});
  EXPECT_GT(asked.size(), 40U);
  EXPECT_EQ(log.count("GetCACaps: HTTP status 500; next try at"), asked.size());
  EXPECT_TRUE(status().ca);
  EXPECT_FALSE(status().identity);
  start_spoke();
  EXPECT_EQ(asked.back(), day(2)) << "a start asks at once";
  good = true;
  run_until(day(2) + std::chrono::hours{1});
  EXPECT_TRUE(status().identity);
}

TEST_F(TrustpointTest, AStoreThatRefusesIsTriedAgainEveryHourAtLeast) {
  ca.lifetime_crl = Days{14};
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

TEST_F(TrustpointTest, APageInsteadOfCapabilitiesIsNamedOnceForEachAnswer) {
  std::string page = "<html>\n<h1>It works!</h1>";
  tamper = [&](const Sent& call, HttpReply reply) {
    if (call.operation == "GetCACaps")
      reply = {200, "text/html; charset=utf-8", to_bytes(as_bytes(page))};
    return reply;
  };
  const std::string line =
      "%UMBRA-4-CAPABILITIES: Trustpoint Root-CA: the answer to GetCACaps has ";
  start();
  authenticate();
  authenticate();
  EXPECT_EQ(log.count(line), 1U);
  EXPECT_EQ(log.count("(text/html, \"<html>.<h1>It works!</h1>\")"), 1U);
  page = "another page";
  authenticate();
  EXPECT_EQ(log.count(line), 2U);
  page = "";
  authenticate();
  EXPECT_EQ(log.count(line), 2U) << "an old CA may say so with nothing";
  page = "Renewal\nX-New\n";
  authenticate();
  EXPECT_EQ(log.count(line), 2U);
}

TEST_F(TrustpointTest, ItAsksFromTheCallUntilSomethingFails) {
  ca.lifetime_crl = Days{14};
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

TEST_F(TrustpointTest, AnAnswerThatComesTooLateIsIgnored) {
  ca.grant = config::Grant::manual;
  start();
  authenticate();
  hold_answers = true;
  run_until(zero + minutes{1});
  ASSERT_EQ(held.size(), 1U);
  hold_answers = false;
  const auto before = row();
  // Authenticating anew ends what was under way; its answer belongs to nothing any more.
  tamper = [](const Sent& call, HttpReply reply) {
    if (call.operation == "PKIOperation") reply.status = 500;
    return reply;
  };
  authenticate();
  const auto since = row().since;
  held[0]();
  settle();
  EXPECT_EQ(row().since, since);
  EXPECT_TRUE(row().failing) << "the newer request's own failure stands";
}

TEST_F(TrustpointTest, AnAnswerToAnOlderMessageIsNoAnswer) {
  enrolled();
  std::optional<HttpReply> first;
  tamper = [&](const Sent&, HttpReply reply) {
    if (!first) first = reply;
    return *first;
  };
  const auto before = *status().identity;
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  const auto renewed = *status().identity;
  EXPECT_FALSE(renewed == before);
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_EQ(*status().identity, renewed);
  EXPECT_EQ(armed().substr(0, 13), "CONNECT RETRY");
}

TEST_F(TrustpointTest, AServerOfAnotherMakeIsReachedAtItsUrlAsGiven) {
  start_server();
  spoke.enrollment_url = "http://10.1.255.12:80/scep";
  tamper = [](const Sent& call, HttpReply reply) {
    if (call.target.find("/scep?") == std::string::npos) reply.status = 404;
    return reply;
  };
  start_spoke();
  authenticate();
  EXPECT_TRUE(status().identity);
  const auto calls = sent.size();
  start_spoke();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_EQ(sent.size(), calls + 2) << "a new process finds the way again";
  EXPECT_EQ(status().last_enrollment_status, "Granted");
}

TEST_F(TrustpointTest, AServerOutOfOrderAtGetCaCapsHasNotSaidThatItHasNone) {
  unsigned answered_with = 0;
  tamper = [&](const Sent& call, HttpReply reply) {
    if (call.operation == "GetCACaps" && answered_with != 0) {
      reply.status = answered_with;
      reply.body.clear();
    }
    return reply;
  };
  start();
  for (const unsigned status_code : {500U, 502U, 503U, 504U, 408U, 429U}) {
    answered_with = status_code;
    authenticate();
    EXPECT_FALSE(row().capabilities_known) << status_code;
    EXPECT_EQ(log.count(fmt::format("Trustpoint Root-CA: GetCACaps: HTTP status {}; next try at {}",
                                    status_code, to_rfc3339(zero + minutes{1}))),
              1U);
    EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(zero + minutes{1}));
  }
  EXPECT_FALSE(status().identity) << "nothing is asked of it before it has told";
  answered_with = 0;
  run_until(zero + minutes{1});
  EXPECT_TRUE(status().identity);
  EXPECT_TRUE(status().ca_tells_next) << "SHADOW comes";
  for (const unsigned status_code : {400U, 403U, 404U, 501U}) {
    answered_with = status_code;
    authenticate();
    EXPECT_TRUE(row().capabilities_known) << status_code;
    EXPECT_FALSE(status().ca_tells_next) << status_code;
  }
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
