#include "lab_passphrase.h"
#include "server/lab_test.h"
#include "store/forwarding_store.h"

namespace umbra::server {
namespace {

using namespace lab;

class Overlap : public ServerTest {
 protected:
  HttpReply fetch_next(const std::string& address) {
    HttpRequest request{"GET", "/cgi-bin/pkiclient.exe?operation=GetNextCACert", {}};
    request.address = address;
    auto reply = http(request);
    static_cast<void>(store->commit(store::Batch{}));  // what is noted is noted behind the answer
    return reply;
  }
  /// Enrolled in the first CA, with a certificate that reaches to its end.
  Device spoke(const std::string& name) {
    Device device(name);
    device.signer = granted(enroll(device));
    return device;
  }
  x509::Certificate shadow(const Device& device) {
    return granted(
        send(device, MessageType::pkcs_req, csr(device).der(), *server->status().rollover));
  }
};

TEST_F(Overlap, ShowsWhoIsReadyForTheNextCaAndWhoIsNot) {
  start();
  go_to(day(500));
  const Device a = spoke("CN=a"), b = spoke("CN=b");
  auto report = *server->overlap();
  EXPECT_FALSE(report.rollover);
  EXPECT_EQ(report.made_at, day(640));
  EXPECT_EQ(report.holders.size(), 2U);
  go_to(day(650));
  EXPECT_EQ(fetch_next("192.0.2.7").status, 200U);
  EXPECT_EQ(fetch_next("192.0.2.7").status, 200U);
  EXPECT_EQ(fetch_next("192.0.2.8").status, 200U);
  const auto certificate = shadow(a);
  start();  // what is known survives
  EXPECT_EQ(fetch_next("192.0.2.7").status, 200U);
  report = *server->overlap();
  EXPECT_EQ(report.rollover->not_before(), day(730));
  ASSERT_EQ(report.fetches.size(), 2U);
  EXPECT_EQ(report.fetches[0].address, "192.0.2.7");
  EXPECT_EQ(report.fetches[0].first_at, day(650));
  ASSERT_EQ(report.holders.size(), 2U);
  EXPECT_EQ(report.holders[0].subject, "cn=b");
  EXPECT_EQ(report.holders[0].not_after, day(730));
  EXPECT_FALSE(report.holders[0].shadow);
  EXPECT_EQ(report.holders[1].subject, "cn=a");
  EXPECT_EQ(report.holders[1].shadow, certificate.serial());
}

TEST_F(Overlap, ACancelWithClientsThatHoldTheNextCaNeedsForce) {
  start();
  go_to(day(500));
  const Device a = spoke("CN=a"), b = spoke("CN=b");
  go_to(day(650));
  const auto next = *server->status().rollover;
  fetch_next("192.0.2.7");
  const auto certificate = shadow(a);
  const auto refused_cancel = server->rollover_cancel(false);
  ASSERT_FALSE(refused_cancel);
  EXPECT_EQ(refused_cancel.error().code, Errc::conflict);
  EXPECT_NE(refused_cancel.error().detail.find("1 client(s) hold"), std::string::npos);
  EXPECT_TRUE(server->status().rollover) << "nothing was changed";

  const auto report = *server->rollover_cancel(true);
  ASSERT_EQ(report.holders.size(), 1U) << "who must be enrolled anew";
  EXPECT_EQ(report.holders[0].subject, "cn=a");
  EXPECT_EQ(fetch_next("192.0.2.7").status, 404U);
  EXPECT_EQ((*store->certificate("ROOTCA", certificate.serial()))->reason,
            x509::RevocationReason::cessation_of_operation);
  EXPECT_EQ(server->unrevoke(certificate.serial()).error().code, Errc::conflict);

  // The next one is another: it shares neither number, archive nor readers with the cancelled one.
  ASSERT_TRUE(server->rollover());
  EXPECT_NE(server->status().rollover->serial(), next.serial());
  publish();
  EXPECT_TRUE(files.files.contains("ROOTCA_00001.p12"));
  EXPECT_TRUE(files.files.contains("ROOTCA_00002.p12"));
  const auto fresh = *server->overlap();
  EXPECT_TRUE(fresh.fetches.empty());
  for (const auto& holder : fresh.holders) EXPECT_FALSE(holder.shadow);
  shadow(a);
  go_to(day(730));
  EXPECT_TRUE(server->crl()->revoked.empty()) << "the cancelled CA's are not the new one's";
}

TEST_F(Overlap, ARevocationSaysWhichCrlItIsOn) {
  start();
  go_to(day(500));
  const Device a = spoke("CN=a"), b = spoke("CN=b");
  go_to(day(650));
  const auto next = shadow(a);
  EXPECT_EQ(*server->revoke(x509::Serial(2), x509::RevocationReason::none), OnCrl::now);
  EXPECT_EQ(*server->revoke(next.serial(), x509::RevocationReason::none), OnCrl::at_switch_over);
  EXPECT_EQ(server->crl()->revoked.size(), 1U);
  go_to(day(730));
  ASSERT_EQ(server->crl()->revoked.size(), 1U);
  EXPECT_EQ(server->crl()->revoked[0].serial, next.serial());
  EXPECT_EQ(*server->revoke(x509::Serial(3), x509::RevocationReason::none), OnCrl::never);
  EXPECT_EQ(server->crl()->revoked.size(), 1U) << "b's was the first CA's";
}

/// Somebody stops the server while a request is being judged.
class StoppingStore final : public store::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  Result<store::Known> known(const store::Asked& asked) override {
    if (stop) std::exchange(stop, nullptr)();
    return ForwardingStore::known(asked);
  }
  std::function<void()> stop;
};

TEST_F(Overlap, WhatIsUnderWayWhenItIsStoppedIsNotIssued) {
  for (const bool granted_at_once : {true, false}) {
    configuration.grant = granted_at_once ? config::Grant::automatic : config::Grant::manual;
    server.reset();
    store.reset();
    auto stopping = std::make_unique<StoppingStore>(*store::open_sqlite(directory + "/umbra.db"));
    stopping->stop = [this] { EXPECT_TRUE(server->stop()); };
    store = std::move(stopping);
    server = *CertificateServer::open(
        configuration, true, {*store, clock, random, log, files, lab_passphrase, trusted_ca});
    ASSERT_TRUE(server->run_due());
    EXPECT_EQ(enroll(Device("CN=a")).http_status, 503U);
    EXPECT_EQ(store->certificates("ROOTCA", x509::Serial(1), 10)->size(), 0U);
    EXPECT_TRUE(store->requests("ROOTCA")->empty());
  }
}

/// Its CAs cannot be read, as on a disk that fails, once they could be so many times.
class FailingStore final : public store::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  Result<std::vector<store::CaGeneration>> generations(const std::string& name) override {
    if (readable && (*readable)-- == 0) {
      readable = 0;
      return fail(Errc::storage, "disk I/O error");
    }
    return ForwardingStore::generations(name);
  }
  std::optional<int> readable;
};

TEST_F(Overlap, WhatWasStoredAndCouldNotBeReadAgainIsReadBeforeAnythingElseIsDone) {
  auto failing = std::make_unique<FailingStore>(*store::open_sqlite(directory + "/umbra.db"));
  auto& disk = *failing;
  store = std::move(failing);
  server = *CertificateServer::open(
      configuration, true, {*store, clock, random, log, files, lab_passphrase, trusted_ca});
  ASSERT_TRUE(server->run_due());
  const auto first = ca();

  clock.set(day(650));
  disk.readable = 0;
  EXPECT_FALSE(server->run_due());
  EXPECT_FALSE(server->run_due());
  EXPECT_EQ(server->deadlines().front().at, Time{}) << "it is tried again at once";
  disk.readable.reset();
  EXPECT_TRUE(server->run_due());
  EXPECT_EQ(store->generations("ROOTCA")->size(), 2U) << "and not made again";
  const auto next = server->status().rollover;
  ASSERT_TRUE(next);
  EXPECT_GT(server->deadlines().front().at, day(650));

  clock.set(day(731));
  disk.readable = 1;  // the switch-over reads them itself
  EXPECT_FALSE(server->run_due());
  EXPECT_EQ(ca(), first);
  disk.readable.reset();
  EXPECT_TRUE(server->run_due());
  EXPECT_EQ(ca(), *next);
  EXPECT_EQ(server->status().status, "enabled");

  ASSERT_TRUE(server->rollover());
  disk.readable = 0;
  EXPECT_TRUE(server->rollover_cancel(true)) << "it is cancelled, whatever can be read";
  EXPECT_EQ(server->deadlines().front().at, Time{});
  EXPECT_FALSE(server->rollover());
  disk.readable.reset();
  EXPECT_TRUE(server->run_due());
  EXPECT_FALSE(server->status().rollover);
  EXPECT_EQ(store->generations("ROOTCA")->size(), 2U);
}

TEST_F(Overlap, StoppedItAnswersNothingAndStartedItCatchesUp) {
  start();
  ASSERT_TRUE(server->stop());
  EXPECT_EQ(server->stop().error().code, Errc::conflict);
  EXPECT_TRUE(log.has("%PKI-6-CS_DISABLED: Certificate server now disabled."));
  EXPECT_TRUE(server->deadlines().empty());
  EXPECT_EQ(get("operation=GetCACert").status, 503U);
  EXPECT_EQ(server->status().status, "disabled");
  go_to(day(800));
  EXPECT_EQ(ca().not_before(), zero) << "nothing happens while it is shut";
  ASSERT_TRUE(server->start());
  EXPECT_EQ(server->start().error().code, Errc::conflict);
  EXPECT_EQ(ca().not_before(), day(730));
  EXPECT_EQ(get("operation=GetCACert").status, 200U);
}

TEST_F(Overlap, BothCasCrlsAreServedAfterTheSwitch) {
  start();
  go_to(day(500));
  const auto certificate = spoke("CN=a").signer;
  ASSERT_TRUE(server->revoke(certificate.serial(), x509::RevocationReason::none));
  const auto file = [&](const std::string& name) {
    const auto reply = http({"GET", "/crl/" + name, {}});
    return reply.status == 200 ? reply.body : Bytes{};
  };
  const Bytes first = file("ROOTCA.crl");
  EXPECT_EQ(x509::parse_crl(first)->revoked.size(), 1U);
  EXPECT_EQ(file("ROOTCA_00000.crl"), first);
  EXPECT_EQ(http({"GET", "/cgi-bin/pkiclient.exe?operation=GetCRL", {}}).body, first)
      << "the SCEP form of cdp-url, for clients that just fetch it";
  EXPECT_TRUE(file("ROOTCA_00001.crl").empty());
  go_to(day(730));
  EXPECT_NE(file("ROOTCA.crl"), first);
  EXPECT_EQ(file("ROOTCA_00001.crl"), file("ROOTCA.crl"));
  EXPECT_EQ(x509::parse_crl(file("ROOTCA_00000.crl"))->revoked.size(), 1U);
  for (const char* none : {"ROOTCA_00002.crl", "ROOTCA_1.crl", "ROOTCA_00000", "OTHER.crl", ""})
    EXPECT_TRUE(file(none).empty()) << none;
}

TEST_F(Overlap, AnotherIssuerNameIsLeftAsideOnceThereIsACa) {
  start();
  configuration.issuer_name = "CN=Another";
  start();
  EXPECT_TRUE(log.has("issuer-name of ROOTCA cannot be changed after CA certificate generation"));
  EXPECT_EQ(server->status().issuer_name, "cn=RootCA,ou=TAC,o=Cisco");
  EXPECT_EQ(server->status().status, "enabled");
}

TEST_F(Overlap, ARequestByHandIsQueuedGrantedAndShown) {
  configuration.grant = config::Grant::manual;
  start();
  const Device device("CN=box");
  const auto request = csr(device);
  const auto queued = *server->request_pkcs10(request.der());
  EXPECT_EQ(queued.id, 1U);
  EXPECT_FALSE(queued.certificate);
  EXPECT_EQ(server->request_pkcs10(request.der())->id, 1U) << "the same request, the same entry";
  EXPECT_EQ(server->requests()->at(0).subject, "cn=box");
  enroll(Device("CN=other"));
  const auto shown = server->grant(std::nullopt)->by_hand;
  ASSERT_EQ(shown.size(), 1U) << "the other one polls";
  EXPECT_EQ(shown[0].subject(), device.name);
  EXPECT_EQ(*server->request_pkcs10(request.der())->certificate, shown[0]);
  EXPECT_EQ(server->request_pkcs10(to_bytes(as_bytes("x"))).error().code, Errc::malformed);
  Bytes forged = to_bytes(request.der());
  forged.back() ^= 1U;
  EXPECT_EQ(server->request_pkcs10(forged).error().code, Errc::crypto);
  const Device weak("CN=weak", *x509::PrivateKey::generate_rsa(1024));
  EXPECT_EQ(server->request_pkcs10(csr(weak).der()).error().code, Errc::conflict);
}

TEST_F(Overlap, ARequestByHandThatWaitsIsGrantedWhenItIsGivenAgainUnderGrantAuto) {
  configuration.grant = config::Grant::manual;
  start();
  const auto request = csr(Device("CN=box"));
  ASSERT_EQ(server->request_pkcs10(request.der())->id, 1U);
  // As if it had been stored, and the disk had then been too full for its certificate.
  configuration.grant = config::Grant::automatic;
  start();
  const auto again = *server->request_pkcs10(request.der());
  EXPECT_EQ(again.id, 1U);
  ASSERT_TRUE(again.certificate);
  EXPECT_EQ(server->requests()->at(0).state, "granted");
  EXPECT_EQ(*server->request_pkcs10(request.der())->certificate, *again.certificate);
}

TEST_F(Overlap, NobodyOnTheNetworkTakesThePlaceOfARequestByHand) {
  configuration.grant = config::Grant::manual;
  start();
  const auto mine = csr(Device("CN=box"));
  // Whoever has seen the file knows what it will be called in the queue.
  Device intruder("CN=box", *x509::PrivateKey::generate_rsa(2048));
  const std::string id = "by-hand-" + to_hex(x509::hash(x509::Digest::sha256, mine.der()));
  EXPECT_EQ(refused(send(intruder, MessageType::pkcs_req, csr(intruder).der(), ca(), false, id)),
            "badRequest");
  const auto queued = server->request_pkcs10(mine.der());
  ASSERT_TRUE(queued);
  ASSERT_TRUE(server->grant(queued->id));
  const auto certificate = server->request_pkcs10(mine.der())->certificate;
  ASSERT_TRUE(certificate);
  EXPECT_EQ(certificate->public_key(), mine.public_key());
}

TEST_F(Overlap, AnEntryOfTheNetworkIsNeverTakenForOneByHand) {
  configuration.grant = config::Grant::manual;
  start();
  const auto mine = csr(Device("CN=box"));
  Device intruder("CN=box", *x509::PrivateKey::generate_rsa(2048));
  // As an older version let it in.
  store::EnrollmentRequest entry;
  entry.server = "ROOTCA";
  entry.id = 0;
  entry.transaction_id = "by-hand-" + to_hex(x509::hash(x509::Digest::sha256, mine.der()));
  entry.request = to_bytes(csr(intruder).der());
  entry.request_digest = Bytes(32, 1);
  entry.signer = to_bytes(intruder.signer.der());
  entry.generation = 1;
  entry.received_at = zero;
  ASSERT_TRUE(store->commit({store::PutRequest{entry}}));
  const auto queued = server->request_pkcs10(mine.der());
  ASSERT_TRUE(queued);
  EXPECT_NE(queued->id, 0U);
  ASSERT_TRUE(server->grant(queued->id));
  const auto certificate = server->request_pkcs10(mine.der())->certificate;
  ASSERT_TRUE(certificate);
  EXPECT_EQ(certificate->public_key(), mine.public_key());
}

TEST_F(Overlap, UnderGrantAutoARequestByHandIsGrantedAtOnce) {
  configuration.challenge_password = "secret";
  start();
  const Device device("CN=box");
  const auto made = *server->request_pkcs10(csr(device).der());
  ASSERT_TRUE(made.certificate);
  EXPECT_EQ(made.certificate->subject(), device.name);
  EXPECT_EQ(server->requests()->at(0).state, "granted");
}

TEST_F(Overlap, AServerThatIsNoLongerConfiguredIsDestroyedOnlyWhenSaid) {
  start();
  server.reset();
  EXPECT_EQ(destroy(*store, "OTHER").error().code, Errc::not_found);
  EXPECT_EQ(*store->servers(), std::vector<std::string>{"ROOTCA"});
  ASSERT_TRUE(destroy(*store, "ROOTCA"));
  EXPECT_TRUE(store->servers()->empty());
}

}  // namespace
}  // namespace umbra::server
