#include "ca/authority.h"
#include "lab_passphrase.h"
#include "server/certificate_server.h"
#include "server/lab_test.h"
#include "store/forwarding_store.h"

namespace umbra::server {
namespace {

using namespace lab;
using std::chrono::minutes;

/// A CA that is not ours, and a device that has a certificate of it.
struct Factory {
  Factory()
      : key(*x509::PrivateKey::generate_rsa(2048)),
        root(*umbra::ca::make_root(*x509::Name::from_ios("CN=Factory"), x509::Serial(1),
                                   {zero - Days{100}, zero + Days{3000}}, key,
                                   x509::Digest::sha256)) {}
  [[nodiscard]] x509::Certificate issue(const Device& device, Time from, Time to) const {
    const auto request =
        *x509::sign_request({device.name, {}, {}}, device.key, x509::Digest::sha256);
    return *umbra::ca::issue({1, root, key}, request, x509::Serial(77), {from, to}, {});
  }
  x509::PrivateKey key;
  x509::Certificate root;
};

class Granting : public ServerTest {
 protected:
  Granting() {
    configuration.grant = config::Grant::trustpoints;
    configuration.grant_trustpoints = {"TP"};
    trusted_ca = [this](const std::string& name) { return name == "TP" ? trusted : TrustedCa{}; };
  }
  TrustedCa trusted;
};

TEST_F(Granting, ByTheServersOwnCaLetsRenewalsThroughAndNothingElse) {
  start();
  trusted.certificate = ca();
  Device device("CN=a");
  EXPECT_EQ(enroll(device).reply.status, PkiStatus::pending) << "a first enrolment waits";
  ASSERT_TRUE(server->grant(std::nullopt));
  device.signer = granted(poll(device));
  go_to(day(300));
  EXPECT_NE(granted(enroll(device)), device.signer);

  Device liar("CN=b");
  liar.signer = device.signer;  // the same key: this one could sign as a
  EXPECT_EQ(refused(enroll(liar)), "badRequest") << "another name";
  const auto revoked = device.signer;
  ASSERT_TRUE(server->revoke(revoked.serial(), x509::RevocationReason::key_compromise));
  const x509::Extension other{"1.3.6.1.4.1.9.9.9", false, Bytes(2, 0x05)};
  EXPECT_EQ(refused(send(device, MessageType::renewal_req, csr(device, {other}).der(), ca())),
            "badRequest");
}

TEST_F(Granting, AForgedCertificateOfTheOwnCaVouchesForNobody) {
  start();
  trusted.certificate = ca();
  // The right issuer and a serial that exists, signed by somebody else.
  Factory forger;
  Device device("CN=a");
  const auto fake = *umbra::ca::make_root(ca().subject(), x509::Serial(1), {zero, day(700)},
                                          forger.key, x509::Digest::sha256);
  forger.root = fake;
  device.signer = forger.issue(device, zero, day(300));
  EXPECT_EQ(enroll(device).reply.status, PkiStatus::pending);
}

TEST_F(Granting, ByAnotherCaTakesItsValidCertificatesIfNobodyMustAskForRevocation) {
  const Factory factory;
  start();
  Device device("CN=a");
  device.signer = factory.issue(device, zero - Days{1}, day(1000));
  EXPECT_EQ(enroll(device).reply.status, PkiStatus::pending) << "the trustpoint has no CA yet";
  ASSERT_TRUE(server->remove(std::nullopt));
  trusted.certificate = factory.root;
  EXPECT_EQ(enroll(device).reply.status, PkiStatus::pending) << "revocation-check crl";
  EXPECT_TRUE(log.has("whether its certificate is revoked cannot be checked"));
  ASSERT_TRUE(server->remove(std::nullopt));
  trusted.unchecked = true;
  EXPECT_EQ(granted(enroll(device)).subject(), device.name);

  Device expired("CN=old");
  expired.signer = factory.issue(expired, zero - Days{10}, zero);
  EXPECT_EQ(enroll(expired).reply.status, PkiStatus::pending);
  Device early("CN=early");
  early.signer = factory.issue(early, day(1), day(2));
  EXPECT_EQ(enroll(early).reply.status, PkiStatus::pending);
  Factory impostor;
  Device forged("CN=forged");
  forged.signer = impostor.issue(forged, zero - Days{1}, day(1000));
  EXPECT_EQ(enroll(forged).reply.status, PkiStatus::pending) << "the same names, another key";
  EXPECT_EQ(enroll(Device("CN=self")).reply.status, PkiStatus::pending) << "self-signed";
  Device root("CN=Factory", factory.key);
  root.signer = factory.root;
  EXPECT_EQ(enroll(root).reply.status, PkiStatus::pending) << "the CA itself vouches for nobody";
}

/// Counts what a caller has waited for.
class CountingStore final : public store::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  using Store::commit;
  void commit(store::Batch batch, store::Committed done, store::Wake wake) override {
    ++commits;
    ForwardingStore::commit(std::move(batch), std::move(done), wake);
  }
  std::atomic<int> commits = 0;
};

TEST_F(ServerTest, TheWholeQueueIsRejectedOrRemovedInOneCommit) {
  configuration.grant = config::Grant::manual;
  auto counting = std::make_unique<CountingStore>(*store::open_sqlite(directory + "/umbra.db"));
  auto& commits = counting->commits;
  store = std::move(counting);
  server = *CertificateServer::open(
      configuration, true, {*store, clock, random, log, files, lab_passphrase, trusted_ca});
  ASSERT_TRUE(server->run_due());
  for (const char* name : {"CN=a", "CN=b", "CN=c"}) enroll(Device(name));
  commits = 0;
  ASSERT_TRUE(server->reject(std::nullopt));
  EXPECT_EQ(commits, 1);
  const auto lines = *server->requests();
  for (const auto& line : lines) EXPECT_EQ(line.state, "rejected");
  commits = 0;
  ASSERT_TRUE(server->reject(std::nullopt)) << "nothing is pending";
  EXPECT_EQ(commits, 0);
  ASSERT_TRUE(server->remove(std::nullopt));
  EXPECT_EQ(commits, 1);
  EXPECT_TRUE(server->requests()->empty());
}

TEST_F(ServerTest, TheWholeQueueIsGrantedInTheOrderOfArrival) {
  configuration.grant = config::Grant::manual;
  start();
  const std::vector<Device> devices = {Device("CN=a"), Device("CN=b"), Device("CN=c")};
  for (const Device& device : devices) enroll(device);
  const auto report = server->grant(std::nullopt);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->failed.empty());
  std::uint64_t serial = 2;
  for (const Device& device : devices)
    EXPECT_EQ(granted(poll(device)).serial(), x509::Serial(serial++));
  EXPECT_EQ(*store->pending_count("ROOTCA"), 0U);
}

TEST_F(ServerTest, ARenewalThatWaitsIsNotGrantedOnceItsSignerIsRevoked) {
  configuration.grant = config::Grant::manual;
  start();
  Device thief("CN=a");
  Device honest("CN=b", *x509::PrivateKey::generate_rsa(2048));
  EXPECT_EQ(enroll(thief).reply.status, PkiStatus::pending);
  ASSERT_TRUE(server->grant(std::nullopt));
  thief.signer = granted(poll(thief));
  go_to(day(10));
  EXPECT_EQ(enroll(thief).reply.status, PkiStatus::pending);
  EXPECT_EQ(enroll(honest).reply.status, PkiStatus::pending);
  ASSERT_TRUE(server->revoke(thief.signer.serial(), x509::RevocationReason::key_compromise));
  const auto all = server->grant(std::nullopt);
  ASSERT_TRUE(all) << "the others are not held up";
  ASSERT_EQ(all->failed.size(), 1U);
  EXPECT_NE(all->failed.front().find("request 2: "), std::string::npos) << all->failed.front();
  EXPECT_EQ(granted(poll(honest)).subject(), honest.name);
  EXPECT_EQ(poll(thief).reply.status, PkiStatus::pending);
  EXPECT_FALSE(server->grant(2));
  ASSERT_TRUE(server->unrevoke(thief.signer.serial()));
  ASSERT_TRUE(server->grant(2));
  EXPECT_EQ(granted(poll(thief)).subject(), thief.name);
}

TEST_F(ServerTest, ARecordedRequestBringsBackNothingThatWasRevoked) {
  configuration.challenge_password = "secret";
  start();
  Device device("CN=a");
  device.challenge = "secret";
  const auto request = csr(device);
  const auto first = granted(send(device, MessageType::pkcs_req, request.der(), ca()));
  ASSERT_TRUE(server->revoke(first.serial(), x509::RevocationReason::key_compromise));
  // The challenge in it was right once: whoever sends it again need not know it.
  EXPECT_EQ(send(device, MessageType::pkcs_req, request.der(), ca()).reply.status,
            PkiStatus::pending);
  // Nor under another transaction id.
  EXPECT_EQ(send(device, MessageType::pkcs_req, request.der(), ca(), false, "other").reply.status,
            PkiStatus::pending);
}

TEST_F(Granting, SaysOnTheScreenWhomItTrusts) {
  start();
  EXPECT_EQ(server->status().granting, "auto for trustpoint TP, manual else");
}

TEST_F(ServerTest, AOneTimePasswordLetsOneEnrolmentThrough) {
  configuration.grant = config::Grant::manual;
  start();
  const std::string first = *server->generate_password(minutes{60});
  const std::string password = *server->generate_password(minutes{60});
  EXPECT_EQ(password.size(), 20U);
  EXPECT_NE(first, password);
  Device late("CN=late");
  late.challenge = first;
  EXPECT_EQ(enroll(late).reply.status, PkiStatus::pending) << "only the newest counts";
  Device device("CN=a");
  device.challenge = password;
  start();  // it survives a restart
  const auto certificate = granted(enroll(device));
  EXPECT_EQ(granted(enroll(device)), certificate) << "a lost answer is given again";
  Device second("CN=b");
  second.challenge = password;
  EXPECT_EQ(enroll(second).reply.status, PkiStatus::pending) << "used up";
  start();
  Device third("CN=c");
  third.challenge = password;
  EXPECT_EQ(enroll(third).reply.status, PkiStatus::pending) << "used up on the disk as well";
}

TEST_F(ServerTest, AOneTimePasswordEndsOnItsSecond) {
  configuration.grant = config::Grant::manual;
  start();
  Device device("CN=a");
  device.challenge = *server->generate_password(minutes{5});
  clock.set(zero + minutes{5});
  EXPECT_EQ(enroll(device).reply.status, PkiStatus::pending);
  Device in_time("CN=b");
  in_time.challenge = device.challenge;
  clock.set(zero + minutes{5} - Seconds{1});
  granted(enroll(in_time));
}

TEST_F(ServerTest, OnePasswordAndTwentyRequestsAtOnceMakeOneCertificate) {
  configuration.grant = config::Grant::manual;
  start();
  const std::string password = *server->generate_password(minutes{60});
  std::atomic<int> grants = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&, i] {
      Device device("CN=d" + std::to_string(i));
      device.challenge = password;
      if (enroll(device).reply.status == PkiStatus::success) ++grants;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(grants, 1);
  EXPECT_EQ(server->requests()->size(), 19U);
}

TEST_F(ServerTest, APasswordIsNotSpentOnWhatCannotBeIssued) {
  configuration.grant = config::Grant::manual;
  start();
  Device device("CN=a", *x509::PrivateKey::generate_rsa(1024));
  device.challenge = *server->generate_password(minutes{60});
  EXPECT_EQ(refused(enroll(device)), "badAlg");
  Device good("CN=b");
  good.challenge = device.challenge;
  granted(enroll(good));
}

TEST_F(ServerTest, ThePasswordItselfIsNowhere) {
  configuration.grant = config::Grant::manual;
  start();
  const std::string password = *server->generate_password(minutes{60});
  server.reset();
  store.reset();
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::stringstream all;
    all << file.rdbuf();
    EXPECT_EQ(all.str().find(password), std::string::npos) << entry.path();
  }
  EXPECT_FALSE(log.has(password));
}

}  // namespace
}  // namespace umbra::server
