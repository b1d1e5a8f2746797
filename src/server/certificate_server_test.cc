#include "server/certificate_server.h"

#include <gmock/gmock.h>

#include "lab_passphrase.h"
#include "server/lab_test.h"

namespace umbra::server {
namespace {

using namespace lab;

TEST_F(ServerTest, TheFirstEnableMakesTheCaItsArchiveItsCrlAndItsTimers) {
  start();
  EXPECT_EQ(ca().serial(), x509::Serial(1));
  EXPECT_EQ(ca().not_before(), day(0));
  EXPECT_EQ(ca().not_after(), day(730));
  EXPECT_EQ(ca().subject().joined(), "cn=RootCA,ou=TAC,o=Cisco");
  EXPECT_TRUE(files.files.contains("ROOTCA.p12"));
  EXPECT_EQ(server->status().status, "enabled");
  EXPECT_TRUE(log.has("%PKI-6-CS_ENABLED: Certificate server now enabled."));
  EXPECT_TRUE(
      log.has("%PKI-6-CS_GRANT_AUTO: All enrollment requests will be automatically granted."));
  const auto timers = server->deadlines();
  ASSERT_EQ(timers.size(), 3U);
  EXPECT_EQ(timers[0].at, zero + hours{6});
  EXPECT_EQ(timers[1].at, day(640));
  EXPECT_EQ(timers[2].at, day(730));
}

TEST_F(ServerTest, WithoutHttpTheCaExistsAndTheCheckFails) {
  start(false);
  EXPECT_EQ(server->status().status, "disabled, HTTP Server is disabled");
  EXPECT_EQ(server->status().state, "check failed");
  EXPECT_TRUE(server->status().ca);
  EXPECT_FALSE(log.has("CS_ENABLED"));
}

TEST_F(ServerTest, WithoutAnAuthoritativeClockNothingIsMadeAndNothingArmed) {
  clock.good = false;
  start();
  EXPECT_FALSE(server->status().ca);
  EXPECT_TRUE(server->deadlines().empty());
  EXPECT_TRUE(log.has("%PKI-2-NON_AUTHORITATIVE_CLOCK"));
  EXPECT_EQ(get("operation=GetCACert").status, 503U);
  clock.good = true;
  ASSERT_TRUE(server->run_due());
  EXPECT_TRUE(server->status().ca);
  EXPECT_EQ(server->deadlines().size(), 3U);
}

TEST_F(ServerTest, WithADatabaseThatIsStrictAPlaceThatIsFullStopsTheEnableAndLosesNothing) {
  configuration.database_strict = true;
  files.full = true;
  store = *store::open_sqlite(directory + "/umbra.db");
  server = *CertificateServer::open(
      configuration, true, {*store, clock, random, log, files, lab_passphrase, trusted_ca});
  EXPECT_EQ(server->run_due().error().code, Errc::storage);
  EXPECT_FALSE(server->status().ca);
  EXPECT_TRUE(
      log.has("%PKI-3-CS_CRIT_STORAGE: Critical certificate server storage, nvram:, is "
              "inaccessible, server disabled."));
  files.full = false;
  clock.set(zero + Seconds{5});
  publish();
  EXPECT_TRUE(server->run_due());
  EXPECT_TRUE(server->status().ca);
  EXPECT_TRUE(files.files.contains("ROOTCA.p12"));
}

TEST_F(ServerTest, WithADatabaseThatIsStrictNothingIsIssuedWhileItsFilesCannotBeWritten) {
  configuration.database_strict = true;
  start();
  Device device("CN=a");
  granted(enroll(device));
  EXPECT_EQ(as_text(files.files.at("ROOTCA.ser")), "db_version = 1\nlast_serial = 0x2");
  files.full = true;
  EXPECT_EQ(enroll(Device("CN=b")).http_status, 503U);
  EXPECT_EQ(server->status().status, "disabled, storage is inaccessible");
  EXPECT_EQ(server->status().state, "check failed");
  EXPECT_EQ(get("operation=GetCACert").status, 503U);
  EXPECT_EQ(store->certificates("ROOTCA", x509::Serial(), 10)->size(), 2U);
  files.full = false;
  publish();
  EXPECT_EQ(enroll(Device("CN=b")).http_status, 503U) << "it has not been tried again yet";
  clock.set(zero + Seconds{5});
  publish();
  EXPECT_EQ(server->status().status, "enabled");
  EXPECT_EQ(granted(enroll(Device("CN=b"))).serial(), x509::Serial(4)) << "3 was written nowhere";
}

TEST_F(ServerTest, WithoutItsPlaceTheServerGoesOnAndShowsWhatWaits) {
  configuration.database_level = config::DatabaseLevel::complete;
  files.full = true;
  start();
  granted(enroll(Device("CN=a")));
  publish();
  const auto behind = server->status();
  EXPECT_EQ(behind.status, "enabled");
  ASSERT_EQ(behind.backlog.size(), 1U);
  EXPECT_EQ(behind.backlog[0].url, "nvram:");
  EXPECT_EQ(behind.backlog[0].waiting, 7U) << "archive, CRL and serial; 1.cnm, 1.crt, 2.cnm, 2.crt";
  EXPECT_EQ(behind.backlog[0].since, zero);
  EXPECT_EQ(behind.backlog[0].error, "no space left on device");
  EXPECT_TRUE(log.has("%PKI-3-CS_PUBLISH: files of ROOTCA cannot be written to nvram:: no space"));
  files.full = false;
  clock.set(zero + Seconds{5});
  publish();
  EXPECT_TRUE(server->status().backlog.empty());
  EXPECT_THAT(files.deliveries,
              testing::ElementsAre("nvram: ROOTCA.p12", "nvram: ROOTCA.crl", "nvram: ROOTCA.ser",
                                   "nvram: 1.cnm", "nvram: 1.crt", "nvram: 2.cnm", "nvram: 2.crt"));
  EXPECT_TRUE(log.has("%PKI-5-CS_PUBLISHED: all that ROOTCA had kept for nvram: since"));
}

TEST_F(ServerTest, EveryOperationHasItsContentType) {
  start();
  EXPECT_EQ(as_text(get("operation=GetCACaps").body),
            "GetNextCACert\nRenewal\nSHA-1\nSHA-256\nSHA-384\nSHA-"
            "512\nAES\nDES3\nPOSTPKIOperation\nSCEPStandard\n");
  for (const char* message :
       {"", "&message=0", "&message=*", "&message=CAIdentifier", "&message=ROOTCA"}) {
    const auto reply = get(std::string("operation=GetCACert") + message);
    EXPECT_EQ(reply.content_type, scep::type_ca_cert);
    EXPECT_EQ(scep::parse_ca_cert(reply.body)->front(), ca());
  }
  EXPECT_EQ(get("operation=GetNextCACert").status, 404U);
  EXPECT_EQ(get("operation=GetCAChain").status, 400U);
  EXPECT_EQ(get("operation=PKIOperation&message=AAAA").status, 400U);
  EXPECT_EQ(http({"POST", "/scep?operation=PKIOperation", Bytes(10, 0x30)}).status, 400U);
}

TEST_F(ServerTest, IssuesByPostAndGetAndNothingOutlivesTheCa) {
  start();
  const auto first = granted(enroll(Device("CN=a")));
  EXPECT_EQ(first.serial(), x509::Serial(2));
  EXPECT_EQ(first.not_after(), day(365));
  EXPECT_TRUE(first.verify_signed_by(ca().public_key()));
  go_to(day(585));
  const auto second = granted(enroll(Device("CN=b"), MessageType::pkcs_req, true));
  EXPECT_EQ(second.serial(), x509::Serial(3));
  EXPECT_EQ(second.not_after(), day(730));
  EXPECT_EQ(server->status().last_serial, x509::Serial(3));
  const auto row = store->certificate("ROOTCA", x509::Serial(3));
  EXPECT_EQ((*row)->certificate, to_bytes(second.der())) << "what left the server is in the store";
}

TEST_F(ServerTest, TheSameRequestGetsTheSameCertificate) {
  start();
  Device device("CN=a");
  const auto first = granted(enroll(device));
  EXPECT_EQ(granted(enroll(device)), first);
  // A client that makes a new self-signed certificate for every try asks for the same thing.
  device.signer = *x509::self_signed_signer(device.name, zero, device.key, x509::Digest::sha256);
  EXPECT_EQ(granted(enroll(device)), first);
  start();
  EXPECT_EQ(granted(enroll(device)), first) << "after a restart too";
}

TEST_F(ServerTest, WhatAClockThatWasAheadHasDatedIsNotGivenAgainBeforeItsTime) {
  start();
  const Device device("CN=a");
  clock.set(zero + hours{24 * 300});
  const auto ahead = granted(enroll(device));
  clock.set(zero + hours{24 * 300} - std::chrono::minutes{1});
  EXPECT_EQ(granted(enroll(device)), ahead) << "a clock that is corrected makes no second one";
  clock.set(zero + hours{24});
  const auto now = granted(enroll(device));
  EXPECT_EQ(now.not_before(), zero + hours{24});
  EXPECT_EQ(granted(enroll(device)), now);
}

TEST_F(ServerTest, TheSameRequestManyTimesAtOnceGetsOneCertificate) {
  start();
  const Device device("CN=a");
  const Bytes body = to_bytes(csr(device).der());
  const scep::RequestContext context{.type = MessageType::pkcs_req,
                                     .transaction_id = "T",
                                     .sender_nonce = Bytes(16, 1),
                                     .recipient = ca(),
                                     .signer = device.signer,
                                     .cipher = scep::Cipher::aes128_cbc,
                                     .digest = x509::Digest::sha256};
  const Bytes message = *scep::request(body, context, device.key, random);
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      EXPECT_EQ(http({"POST", "/scep?operation=PKIOperation", message}).status, 200U);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(store->certificates("ROOTCA", x509::Serial(1), 100)->size(), 1U);
}

TEST_F(ServerTest, ParallelRequestsAreAllServedWithSerialsOfTheirOwn) {
  start();
  std::vector<Bytes> messages;
  for (int i = 0; i < 24; ++i) {
    const Device device("CN=d" + std::to_string(i));
    const scep::RequestContext context{.type = MessageType::pkcs_req,
                                       .transaction_id = "T" + std::to_string(i),
                                       .sender_nonce = Bytes(16, 1),
                                       .recipient = ca(),
                                       .signer = device.signer,
                                       .cipher = scep::Cipher::aes128_cbc,
                                       .digest = x509::Digest::sha256};
    messages.push_back(*scep::request(csr(device).der(), context, device.key, random));
  }
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = next++; i < messages.size(); i = next++) {
        EXPECT_EQ(http({"POST", "/scep?operation=PKIOperation", messages[i]}).status, 200U);
        static_cast<void>(server->status());
        static_cast<void>(server->deadlines());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(store->certificates("ROOTCA", x509::Serial(1), 100)->size(), 24U);
}

TEST_F(ServerTest, ARenewalThatKeepsItsKeyAndItsTransactionGetsANewCertificate) {
  start();
  Device device("CN=a");
  const auto first = granted(enroll(device));
  device.signer = first;
  go_to(day(292));
  const auto second = granted(enroll(device));
  EXPECT_NE(second, first);
  EXPECT_EQ(second.not_before(), day(292));
  EXPECT_EQ(granted(enroll(device)), second) << "repeated, it gets the same one";
  device.signer = second;
  go_to(day(500));
  EXPECT_EQ(granted(enroll(device, MessageType::renewal_req)).not_before(), day(500));
}

TEST_F(ServerTest, AChallengeGuardsFirstEnrolmentsOnly) {
  configuration.challenge_password = "secret";
  start();
  Device device("CN=a");
  EXPECT_EQ(refused(enroll(device)), "badRequest");
  device.challenge = "Secret";
  EXPECT_EQ(refused(enroll(device)), "badRequest");
  EXPECT_FALSE(log.has("Secret")) << "no password is ever logged";
  device.challenge = "secret";
  device.signer = granted(enroll(device));
  device.challenge.reset();
  granted(enroll(device, MessageType::renewal_req));
}

TEST_F(ServerTest, RefusesWithTheRightFailInfo) {
  start();
  const Device weak("CN=weak", *x509::PrivateKey::generate_rsa(1024));
  EXPECT_EQ(refused(enroll(weak)), "badAlg");
  EXPECT_EQ(refused(enroll(Device("CN=x"), MessageType::renewal_req)), "badRequest");
  const auto other_name =
      *x509::sign_certificate({.serial = x509::Serial(99),
                               .issuer = ca().subject(),
                               .subject = ca().subject(),
                               .not_before = day(0),
                               .not_after = day(1),
                               .spki = to_bytes(Device::shared_key().public_key().spki()),
                               .extensions = {}},
                              Device::shared_key(), x509::Digest::sha256);
  EXPECT_EQ(
      refused(send(Device("CN=x"), MessageType::pkcs_req, csr(Device("CN=x")).der(), other_name)),
      "badRequest");
  EXPECT_EQ(refused(send(Device("CN=x"), MessageType::pkcs_req, Bytes{0x30, 0}, ca())),
            "badMessageCheck");
  EXPECT_EQ(
      refused(send(Device("CN=x"), MessageType::get_cert,
                   scep::to_der(scep::IssuerAndSerial{ca().subject(), x509::Serial(77)}), ca())),
      "badCertId");
  EXPECT_EQ(refused(poll(Device("CN=never"))), "badCertId");
  EXPECT_EQ(store->certificates("ROOTCA", x509::Serial(1), 10)->size(), 0U);
}

TEST_F(ServerTest, ACertificateThatOnlyLooksLikeOursIsAStrangers) {
  configuration.challenge_password = "secret";
  start();
  Device device("CN=a");
  // Right issuer name, a serial that exists, signed by the device itself.
  device.signer = *x509::sign_certificate({.serial = x509::Serial(1),
                                           .issuer = ca().subject(),
                                           .subject = device.name,
                                           .not_before = day(0),
                                           .not_after = day(365),
                                           .spki = to_bytes(device.key.public_key().spki()),
                                           .extensions = {}},
                                          device.key, x509::Digest::sha256);
  EXPECT_EQ(refused(enroll(device)), "badRequest");
  EXPECT_EQ(refused(enroll(device, MessageType::renewal_req)), "badRequest");
}

TEST_F(ServerTest, ARevokedOrEndedSignerRenewsNothing) {
  start();
  Device device("CN=a");
  device.signer = granted(enroll(device));
  ASSERT_TRUE(store->commit({store::RevokeCertificate{"ROOTCA", device.signer.serial(), day(1),
                                                      x509::RevocationReason::none}}));
  EXPECT_EQ(refused(enroll(device, MessageType::renewal_req)), "badRequest");
  Device other("CN=b");
  other.signer = granted(enroll(other));
  go_to(day(366));
  EXPECT_EQ(refused(enroll(other, MessageType::renewal_req)), "badTime");
}

TEST_F(ServerTest, ARevocationIsOnTheNewCrlAtOnceAndCanBeTakenBack) {
  start();
  Device device("CN=a");
  device.signer = granted(enroll(device));
  const auto serial = device.signer.serial();
  const auto before = *server->crl();
  EXPECT_TRUE(before.revoked.empty());
  clock.set(zero + hours{1});
  ASSERT_TRUE(server->revoke(serial, x509::RevocationReason::key_compromise));
  const auto after = *server->crl();
  ASSERT_EQ(after.revoked.size(), 1U);
  EXPECT_EQ(after.revoked[0].serial, serial);
  EXPECT_EQ(after.revoked[0].reason, x509::RevocationReason::key_compromise);
  EXPECT_EQ(after.this_update, zero + hours{1});
  EXPECT_EQ(server->status().crl_next_update, zero + hours{7});
  EXPECT_EQ(x509::parse_crl(http({"GET", "/crl/ROOTCA.crl", {}}).body)->revoked.size(), 1U);
  EXPECT_EQ(refused(enroll(device, MessageType::renewal_req)), "badRequest");
  EXPECT_EQ(server->revoke(serial, x509::RevocationReason::none).error().code, Errc::conflict);
  start();  // also after a restart
  EXPECT_EQ(server->crl()->revoked.size(), 1U);
  ASSERT_TRUE(server->unrevoke(serial));
  EXPECT_TRUE(server->crl()->revoked.empty());
  EXPECT_EQ(server->unrevoke(serial).error().code, Errc::conflict);
  granted(enroll(device, MessageType::renewal_req));
}

TEST_F(ServerTest, OnlyWhatWasIssuedHereIsRevokedAndNoCaRevokesItself) {
  start();
  EXPECT_EQ(server->revoke(x509::Serial(77), x509::RevocationReason::none).error().code,
            Errc::not_found);
  const auto refusal = server->revoke(ca().serial(), x509::RevocationReason::none);
  EXPECT_EQ(refusal.error().code, Errc::conflict);
  EXPECT_NE(refusal.error().detail.find("cannot revoke itself"), std::string::npos);
  EXPECT_EQ(server->unrevoke(x509::Serial(77)).error().code, Errc::not_found);
}

TEST_F(ServerTest, ALateDeviceRenewsInsideTheGraceAndThatIsLogged) {
  configuration.renewal_grace = Days{30};
  start();
  Device device("CN=late");
  device.signer = granted(enroll(device));
  go_to(day(365 + 29));
  const auto renewed = granted(enroll(device, MessageType::renewal_req));
  EXPECT_EQ(renewed.not_before(), day(394));
  EXPECT_TRUE(log.has("%PKI-5-CS_LATE_RENEWAL: renewal of \"cn=late\" granted 29 days after"));
  Device later("CN=later");
  later.signer = granted(enroll(later));
  go_to(day(394 + 365 + 30));
  EXPECT_EQ(refused(enroll(later, MessageType::renewal_req)), "badTime");
}

TEST_F(ServerTest, ADeviceThatSleptThroughTheSwitchRenewsInsideTheGrace) {
  configuration.renewal_grace = Days{30};
  start();
  const auto old_ca = ca();
  go_to(day(600));
  Device device("CN=asleep");
  device.signer = granted(enroll(device));
  ASSERT_EQ(device.signer.not_after(), day(730));
  go_to(day(640));
  go_to(day(740));
  // It still envelopes for the CA it knows.
  const auto asked = send(device, MessageType::renewal_req, csr(device).der(), old_ca);
  const auto renewed = granted(asked);
  EXPECT_TRUE(renewed.verify_signed_by(ca().public_key()));
  EXPECT_EQ(renewed.not_before(), day(740));
  // A stranger does not get in that way, nor does a revoked one.
  EXPECT_EQ(refused(send(Device("CN=stranger"), MessageType::pkcs_req,
                         csr(Device("CN=stranger")).der(), old_ca)),
            "badRequest");
  ASSERT_TRUE(server->revoke(device.signer.serial(), x509::RevocationReason::none));
  Device again("CN=asleep", *x509::PrivateKey::generate_rsa(2048));
  again.signer = device.signer;
  again.key = device.key;
  go_to(day(741));
  EXPECT_EQ(
      refused(send(again, MessageType::renewal_req,
                   csr(Device("CN=asleep", *x509::PrivateKey::generate_rsa(2048))).der(), old_ca)),
      "badRequest");
}

TEST_F(ServerTest, ARenewalKeepsItsNamesUnlessItHasTheChallenge) {
  configuration.challenge_password = "secret";
  start();
  Device device("CN=a");
  device.challenge = "secret";
  const auto names = [](const char* dns) { return std::vector{x509::subject_alt_dns(dns)}; };
  const auto ask = [&](std::vector<x509::Extension> extensions) {
    return send(device, MessageType::pkcs_req, csr(device, std::move(extensions)).der(), ca());
  };
  device.signer = granted(ask(names("a.example")));
  device.challenge.reset();
  EXPECT_EQ(refused(ask(names("admin.example"))), "badRequest");
  granted(ask(names("a.example")));
  granted(ask({}));
  device.challenge = "secret";
  granted(ask(names("b.example")));
}

TEST_F(ServerTest, NobodyIsCalledLikeTheCa) {
  start();
  EXPECT_EQ(refused(enroll(Device("CN=rootca,OU=TAC,O=Cisco"))), "badRequest");
}

TEST_F(ServerTest, AfterACrashNoSerialIsUsedTwice) {
  start();
  const auto before = granted(enroll(Device("CN=a"))).serial();
  start();  // nothing was closed: the rest of the lease is skipped
  const auto after = granted(enroll(Device("CN=b"))).serial();
  EXPECT_GT(after, before);
  ASSERT_TRUE(server->close());
  start();
  EXPECT_EQ(*granted(enroll(Device("CN=c"))).serial().to_uint64(), *after.to_uint64() + 1)
      << "closed in order, no gap";
}

TEST_F(ServerTest, RefusesAPassphraseThatDoesNotOpenItsKeys) {
  start();
  server.reset();
  const auto opened =
      CertificateServer::open(configuration, true, {*store, clock, random, log, files, "another"});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::crypto);
}

TEST_F(ServerTest, DeliversItsCrlByScepAndPlainHttp) {
  start();
  const auto reply = send(Device("CN=a"), MessageType::get_crl,
                          scep::to_der(scep::IssuerAndSerial{ca().issuer(), ca().serial()}), ca());
  ASSERT_EQ(reply.reply.crls.size(), 1U);
  const auto plain = http({"GET", "/crl/ROOTCA.crl", {}});
  EXPECT_EQ(plain.content_type, "application/pkix-crl");
  EXPECT_EQ(plain.body, reply.reply.crls.front());
  go_to(zero + hours{6});
  EXPECT_NE(http({"GET", "/crl/ROOTCA.crl", {}}).body, plain.body) << "made anew at CS CRL UPDATE";
}

}  // namespace
}  // namespace umbra::server
