#include "server/certificate_server.h"

#include <gmock/gmock.h>

#include <sstream>

#include "lab_passphrase.h"
#include "server/lab_test.h"
#include "vectors.h"

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

TEST_F(ServerTest, ARevokedShadowCertificateIsOnTheFirstCrlOfItsCa) {
  start();
  go_to(day(640));
  const auto rollover = *server->status().rollover;
  Device device("CN=a");
  const auto shadow = granted(send(device, MessageType::pkcs_req, csr(device).der(), rollover));
  ASSERT_TRUE(server->revoke(shadow.serial(), x509::RevocationReason::none));
  EXPECT_TRUE(server->crl()->revoked.empty()) << "the active CA did not issue it";
  go_to(day(730));
  ASSERT_EQ(server->crl()->revoked.size(), 1U);
  EXPECT_EQ(server->crl()->revoked[0].serial, shadow.serial());
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

TEST_F(ServerTest, AClockThatIsPutBackEndsTheEnd) {
  configuration.auto_rollover.reset();
  start();
  go_to(day(9000));
  EXPECT_NE(server->status().status, "enabled");
  EXPECT_TRUE(server->deadlines().empty());
  clock.set(day(1));
  ASSERT_FALSE(server->deadlines().empty()) << "nobody would ever look again";
  EXPECT_LE(server->deadlines().front().at, day(1));
  go_to(day(1));
  EXPECT_EQ(server->status().status, "enabled");
  EXPECT_EQ(server->deadlines().size(), 2U);
  granted(enroll(Device("CN=a")));
}

TEST_F(ServerTest, WhatIsLargerThanAnyHonestRequestDoesNotWait) {
  configuration.grant = config::Grant::manual;
  start();
  const Device device("CN=a");
  const auto ask = [&](std::size_t octets) {
    const x509::Extension padding{"1.3.6.1.4.1.9.9.9", false, Bytes(octets, 0x04)};
    return send(device, MessageType::pkcs_req, csr(device, {padding}).der(), ca());
  };
  EXPECT_EQ(refused(ask(20000)), "badRequest");
  EXPECT_TRUE(server->requests()->empty());
  EXPECT_EQ(ask(8000).reply.status, PkiStatus::pending);
}

TEST_F(ServerTest, NobodyTakesAnothersPlaceInTheQueue) {
  configuration.grant = config::Grant::manual;
  start();
  const Device device("CN=a");
  enroll(device);
  // The same transaction id, seen on the wire, with another key.
  const Device thief("CN=a", *x509::PrivateKey::generate_rsa(2048));
  const scep::RequestContext context{.type = MessageType::pkcs_req,
                                     .transaction_id = device.transaction(),
                                     .sender_nonce = scep::make_nonce(random),
                                     .recipient = ca(),
                                     .signer = thief.signer,
                                     .cipher = scep::Cipher::aes256_cbc,
                                     .digest = x509::Digest::sha256};
  const auto steal = [&] {
    const auto reply = http({"POST", "/scep?operation=PKIOperation",
                             *scep::request(csr(thief).der(), context, thief.key, random)});
    return scep::open_envelope(reply.body, {})->envelope.status;
  };
  EXPECT_EQ(steal(), PkiStatus::failure);
  ASSERT_EQ(server->requests()->size(), 1U);
  ASSERT_TRUE(server->grant(std::nullopt));
  EXPECT_EQ(steal(), PkiStatus::failure) << "before the owner has fetched it";
  EXPECT_EQ(granted(poll(device)).public_key(), device.key.public_key());
}

TEST_F(ServerTest, ManualGrantingPendsListsGrantsAndRejects) {
  configuration.grant = config::Grant::manual;
  start();
  const Device a("CN=a");
  const Device b("CN=b");
  EXPECT_EQ(enroll(a).reply.status, PkiStatus::pending);
  EXPECT_EQ(enroll(a).reply.status, PkiStatus::pending);
  EXPECT_EQ(enroll(b, MessageType::pkcs_req, true).reply.status, PkiStatus::pending);
  auto lines = *server->requests();
  ASSERT_EQ(lines.size(), 2U) << "a repeated request is not queued twice";
  EXPECT_EQ(lines[0].id, 2U);
  EXPECT_EQ(lines[1].subject, "cn=a");
  EXPECT_EQ(lines[1].fingerprint, to_hex(csr(a).fingerprint(x509::Digest::md5)));
  EXPECT_EQ(poll(a).reply.status, PkiStatus::pending);
  const auto timers = server->deadlines();
  EXPECT_EQ(label(timers[1]), "ER EXPIRE 1");
  EXPECT_EQ(timers[1].at, day(7));
  go_to(day(1));
  start();  // the queue survives
  ASSERT_TRUE(server->grant(1));
  ASSERT_TRUE(server->reject(2));
  EXPECT_EQ(server->grant(1).error().code, Errc::conflict);
  EXPECT_EQ(server->grant(9).error().code, Errc::not_found);
  const auto certificate = granted(poll(a));
  EXPECT_EQ(certificate.not_before(), day(1)) << "valid from the grant";
  EXPECT_EQ(granted(enroll(a)), certificate) << "a repeated PKCSReq is a poll";
  EXPECT_EQ(refused(poll(b)), "badRequest");
  EXPECT_EQ(refused(enroll(b)), "badRequest");
  Device thief("CN=a", *x509::PrivateKey::generate_rsa(2048));
  EXPECT_EQ(refused(poll(thief)), "badCertId");
}

TEST_F(ServerTest, NobodyPollsForAnothersRequest) {
  configuration.grant = config::Grant::manual;
  start();
  const Device a("CN=a");
  EXPECT_EQ(enroll(a).reply.status, PkiStatus::pending);
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  const auto signer = *x509::self_signed_signer(a.name, zero, key, x509::Digest::sha256);
  const scep::RequestContext context{.type = MessageType::cert_poll,
                                     .transaction_id = a.transaction(),
                                     .sender_nonce = Bytes(16, 1),
                                     .recipient = ca(),
                                     .signer = signer,
                                     .cipher = scep::Cipher::aes128_cbc,
                                     .digest = x509::Digest::sha256};
  const auto reply =
      http({"POST", "/scep?operation=PKIOperation",
            *scep::request(scep::to_der(scep::IssuerAndSubject{ca().subject(), a.name}), context,
                           key, random)});
  EXPECT_EQ(scep::open_cert_rep(
                reply.body, {context.transaction_id, context.sender_nonce, {ca()}, signer}, key, {})
                ->fail_info,
            FailInfo::bad_request);
}

TEST_F(ServerTest, QueuedRequestsExpire) {
  configuration.grant = config::Grant::manual;
  start();
  EXPECT_EQ(enroll(Device("CN=a")).reply.status, PkiStatus::pending);
  go_to(day(7) - Seconds{1});
  EXPECT_EQ(server->requests()->size(), 1U);
  go_to(day(7));
  EXPECT_TRUE(server->requests()->empty());
  EXPECT_EQ(refused(poll(Device("CN=a"))), "badCertId");
}

TEST_F(ServerTest, GrantNoneRejectsEverything) {
  configuration.grant = config::Grant::none;
  start();
  EXPECT_EQ(refused(enroll(Device("CN=a"))), "badRequest");
}

TEST_F(ServerTest, TheRolloverIsMadeOnItsSecondAnnouncedAndSwitchedToOnItsSecond) {
  start();
  const auto old = ca();
  Device device("CN=a");
  go_to(day(400));
  device.signer = granted(enroll(device));
  go_to(day(640) - Seconds{1});
  EXPECT_FALSE(server->status().rollover);
  EXPECT_TRUE(server->status().autorollover_at);
  go_to(day(640));
  const auto next = *server->status().rollover;
  EXPECT_FALSE(server->status().autorollover_at);
  EXPECT_EQ(next.not_before(), day(730));
  EXPECT_EQ(next.not_after(), day(1460));
  EXPECT_EQ(next.serial(), x509::Serial(3));
  EXPECT_TRUE(equal(next.subject().der(), old.subject().der()));
  EXPECT_FALSE(next.public_key() == old.public_key());
  EXPECT_TRUE(files.files.contains("ROOTCA_00001.p12"));
  // As the guide's router says it, but for the place of its files.
  std::istringstream lines(vectors::text("ios/guide-debug-cs-shadow-generation.txt"));
  int said = 0;
  for (std::string line; std::getline(lines, line); ++said) {
    std::string text = line.substr(line.find("CRYPTO_CS"));
    if (const auto url = text.find("ftp://10.1.1.1/DB/ROOTCA/"); url != std::string::npos)
      text = text.substr(0, url) + "nvram:" + text.substr(text.rfind('/') + 1);
    EXPECT_TRUE(log.has(text)) << text;
  }
  EXPECT_EQ(said, 5);
  const auto announced = get("operation=GetNextCACert");
  EXPECT_EQ(announced.content_type, scep::type_next_ca_cert);
  EXPECT_EQ(scep::parse_next_ca_cert(announced.body, {old})->front(), next);

  go_to(day(650));
  const auto normal = granted(enroll(Device("CN=late")));
  EXPECT_TRUE(normal.verify_signed_by(old.public_key()));
  EXPECT_EQ(normal.not_before(), day(650));
  EXPECT_EQ(normal.not_after(), day(730));
  const auto shadow = granted(send(device, MessageType::pkcs_req, csr(device).der(), next));
  EXPECT_TRUE(shadow.verify_signed_by(next.public_key()));
  EXPECT_EQ(shadow.not_before(), day(730));
  EXPECT_EQ(shadow.not_after(), day(1095));
  EXPECT_EQ(granted(send(device, MessageType::pkcs_req, csr(device).der(), next)), shadow);

  go_to(day(730) - Seconds{1});
  EXPECT_EQ(ca(), old);
  go_to(day(730));
  EXPECT_EQ(ca(), next);
  EXPECT_FALSE(server->status().rollover);
  EXPECT_EQ(server->status().status, "enabled");
  const auto timers = server->deadlines();
  EXPECT_EQ(timers[1].at, day(1370));
  EXPECT_EQ(timers[2].at, day(1460));
  EXPECT_EQ(x509::parse_crl((*store->crl("ROOTCA", 2))->crl)->this_update, day(730));
  EXPECT_TRUE(*store->crl("ROOTCA", 1)) << "the old CA's CRL stays available";
  device.signer = shadow;
  EXPECT_EQ(granted(enroll(device, MessageType::renewal_req)).not_before(), day(730));
  // One that missed everything: enveloped for the CA that has ended, signed by its certificate.
  Device late("CN=late");
  EXPECT_EQ(refused(send(late, MessageType::pkcs_req, csr(Device("CN=late2")).der(), old)),
            "badRequest");
}

TEST_F(ServerTest, ARolloverByHandAndItsCancelling) {
  configuration.auto_rollover.reset();
  start();
  go_to(day(100));
  ASSERT_TRUE(server->rollover());
  EXPECT_EQ(server->status().rollover->not_before(), day(730));
  EXPECT_EQ(server->rollover().error().code, Errc::conflict);
  const auto cancelled = *server->status().rollover;
  ASSERT_TRUE(server->rollover_cancel(false));
  EXPECT_FALSE(server->status().rollover);
  EXPECT_EQ(get("operation=GetNextCACert").status, 404U);
  EXPECT_EQ(
      refused(send(Device("CN=x"), MessageType::pkcs_req, csr(Device("CN=x")).der(), cancelled)),
      "badRequest");
  EXPECT_EQ(server->rollover_cancel(false).error().code, Errc::conflict);
}

TEST_F(ServerTest, ACancelledAutoRolloverStaysCancelledUntilMadeByHand) {
  start();
  go_to(day(650));
  ASSERT_TRUE(server->rollover_cancel(false));
  go_to(day(651));
  start();
  EXPECT_FALSE(server->status().rollover);
  ASSERT_TRUE(server->rollover());
  go_to(day(730));
  EXPECT_EQ(ca().not_before(), day(730));
}

TEST_F(ServerTest, WithoutARolloverTheServerIsDisabledAtItsEnd) {
  configuration.auto_rollover.reset();
  start();
  go_to(day(730));
  EXPECT_EQ(server->status().status, "disabled, CA certificate has expired");
  EXPECT_EQ(server->status().state, "check failed");
  EXPECT_EQ(get("operation=GetCACert").status, 503U);
  EXPECT_TRUE(server->deadlines().empty());
}

TEST_F(ServerTest, DownAcrossTheSwitchItHasSwitchedBeforeTheFirstAnswer) {
  start();
  go_to(day(700));
  const auto next = *server->status().rollover;
  clock.set(day(800));
  start();
  EXPECT_EQ(scep::parse_ca_cert(get("operation=GetCACert").body)->front(), next);
}

TEST_F(ServerTest, BetweenTheCasEndAndTheSwitchARequestIsToComeAgain) {
  start();
  go_to(zero + Days{640});
  clock.set(zero + Days{730});  // due, and not carried out yet
  EXPECT_EQ(enroll(Device("CN=punctual")).http_status, 503U) << "a FAILURE would stop the client";
  go_to(zero + Days{730});
  EXPECT_EQ(granted(enroll(Device("CN=punctual"))).not_before(), zero + Days{730});
}

TEST_F(ServerTest, DownForYearsItCatchesUpStepByStep) {
  start();
  go_to(day(600));
  clock.set(day(2000));  // two generations and two switches were missed
  start();
  EXPECT_EQ(ca().not_before(), day(1460));
  EXPECT_EQ(ca().not_after(), day(2190));
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
