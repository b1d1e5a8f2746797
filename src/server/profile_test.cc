#include "ca/authority.h"
#include "lab_passphrase.h"
#include "lifecycle/validity.h"
#include "server/lab_test.h"
#include "x509/crl.h"
#include "x509/der.h"

/// What is in the certificates: serial numbers, key purposes, names, digests, ends.
namespace umbra::server::lab {
namespace {

using ProfileTest = ServerTest;

std::vector<std::string> oids(const x509::Certificate& certificate) {
  std::vector<std::string> all;
  for (const auto& extension : certificate.extensions()) all.push_back(extension.oid);
  return all;
}

TEST_F(ProfileTest, KeyPurposesAreInDevicesCertificatesAndNotInTheCas) {
  configuration.eku = {x509::KeyPurpose::ipsec_end_system, x509::KeyPurpose::client_auth};
  start();
  EXPECT_EQ(oids(ca()),
            (std::vector<std::string>{"2.5.29.19", "2.5.29.15", "2.5.29.35", "2.5.29.14"}));
  EXPECT_EQ(oids(granted(enroll(Device("CN=a")))),
            (std::vector<std::string>{"2.5.29.15", "2.5.29.37", "2.5.29.35", "2.5.29.14"}));
  configuration.eku.clear();
  start();
  const Device asking("CN=b");
  const auto own = x509::extended_key_usage({x509::KeyPurpose::code_signing});
  EXPECT_EQ(oids(granted(send(asking, MessageType::pkcs_req, csr(asking, {own}).der(), ca()))),
            (std::vector<std::string>{"2.5.29.15", "2.5.29.35", "2.5.29.14"}))
      << "no purpose comes from a request";
}

TEST_F(ProfileTest, AlternativeNamesAreCopiedUnlessToldNotTo) {
  start();
  const auto alt = x509::subject_alt_dns("a.example");
  const Device first("CN=a");
  EXPECT_FALSE(
      ca::alt_names_of(
          granted(send(first, MessageType::pkcs_req, csr(first, {alt}).der(), ca())).extensions())
          .empty());
  configuration.copy_alt_names = false;
  configuration.challenge_password = "secret";
  start();
  Device second("CN=b");
  second.challenge = "secret";
  const auto bare = granted(send(second, MessageType::pkcs_req, csr(second, {alt}).der(), ca()));
  EXPECT_TRUE(umbra::ca::alt_names_of(bare.extensions()).empty());
  Device renewing = second;
  renewing.signer = bare;
  renewing.challenge.reset();
  EXPECT_EQ(send(renewing, MessageType::renewal_req, csr(renewing, {alt}).der(), ca()).reply.status,
            PkiStatus::success)
      << "a name that is not copied needs no challenge";
}

TEST_F(ProfileTest, SerialsBeginWhereTheyAreToldAndOnlyOnce) {
  configuration.serial_start = 0x1FF;
  start();
  EXPECT_EQ(ca().serial(), x509::Serial(0x200));
  EXPECT_EQ(server->status().last_serial, x509::Serial(0x200));
  EXPECT_EQ(granted(enroll(Device("CN=a"))).serial(), x509::Serial(0x201));
  start();  // the line is still in the configuration
  EXPECT_GT(granted(enroll(Device("CN=b"))).serial(), x509::Serial(0x201));
  const auto open = [&] {
    server.reset();
    store.reset();
    store = *store::open_sqlite(directory + "/umbra.db");
    return CertificateServer::open(configuration, true,
                                   {*store, clock, random, log, files, lab_passphrase, trusted_ca});
  };
  configuration.serial_start = 0x10;
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("serial-number 0x10 in crypto pki server ROOTCA: the CA "
                                        "certificate exists"),
            std::string::npos)
      << refused.error().detail;
  EXPECT_NE(refused.error().detail.find("take the line out"), std::string::npos);
  configuration.serial_start.reset();
  EXPECT_TRUE(open());
}

TEST_F(ProfileTest, ASerialStartCanBeChangedUntilThereIsACa) {
  // A process that died between taking the CA's serial and storing the CA.
  store = *store::open_sqlite(directory + "/umbra.db");
  ASSERT_TRUE(store->commit({store::PutServer{
      {.server = "ROOTCA", .last_serial = 0x1FF, .serial_lease = 0x23F, .serial_start = 0x1FF}}}));
  configuration.serial_start = 0xF;
  start();
  EXPECT_EQ(ca().serial(), x509::Serial(0x10));
}

TEST_F(ProfileTest, SerialsByChanceWorkEverywhere) {
  configuration.serial_random = true;
  start();
  const x509::Serial of_ca = ca().serial();
  EXPECT_FALSE(of_ca.to_uint64());
  EXPECT_EQ(server->status().last_serial, of_ca);
  const Device device("CN=a");
  const auto first = granted(enroll(device));
  EXPECT_FALSE(first.serial().to_uint64());
  EXPECT_EQ(first.serial().integer_der().size(), 18U);
  EXPECT_EQ(server->status().last_serial, first.serial());
  EXPECT_EQ(granted(enroll(device)), first) << "the same request";

  const scep::IssuerAndSerial wanted{ca().subject(), first.serial()};
  EXPECT_EQ(granted(send(device, MessageType::get_cert, scep::to_der(wanted), ca())), first);
  ASSERT_TRUE(server->revoke(first.serial(), x509::RevocationReason::superseded));
  EXPECT_EQ(server->crl()->revoked.at(0).serial, first.serial());
  // Revoked, the same request gets a new certificate if a person says so, and then that one again,
  // however the two numbers happen to compare.
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(enroll(device).reply.status, PkiStatus::pending);
    ASSERT_TRUE(server->grant(std::nullopt));
    const auto next = granted(poll(device));
    EXPECT_EQ(granted(enroll(device)), next);
    ASSERT_TRUE(server->revoke(next.serial(), x509::RevocationReason::superseded));
  }
  const auto revoked = server->crl()->revoked;
  ASSERT_EQ(revoked.size(), 7U);
  EXPECT_TRUE(std::is_sorted(revoked.begin(), revoked.end(),
                             [](const auto& a, const auto& b) { return a.serial < b.serial; }));

  // The rollover, and the shadow certificates asked of it by its serial.
  go_to(day(640));
  const auto next = *server->status().rollover;
  EXPECT_FALSE(next.serial().to_uint64());
  EXPECT_EQ(granted(send(Device("CN=s"), MessageType::pkcs_req, csr(Device("CN=s")).der(), next))
                .not_before(),
            next.not_before());

  // Back to counting: from where it stood, which is the beginning.
  configuration.serial_random = false;
  start();
  EXPECT_EQ(granted(enroll(Device("CN=b"))).serial(), x509::Serial(1));
  EXPECT_EQ(server->status().last_serial, x509::Serial(1));
}

TEST_F(ProfileTest, RevocationsAtOnceAreEachOnTheCrlWhenTheyReturn) {
  start();
  constexpr int devices = 12;
  std::vector<x509::Serial> serials;
  for (int i = 0; i < devices; ++i)
    serials.push_back(granted(enroll(Device("CN=d" + std::to_string(i)))).serial());
  const auto on_crl = [&](const x509::Serial& serial) {
    const auto revoked = server->crl()->revoked;
    return std::any_of(revoked.begin(), revoked.end(),
                       [&](const auto& entry) { return entry.serial == serial; });
  };
  const auto everyone = [&](const std::function<void(const x509::Serial&)>& act) {
    std::vector<std::thread> threads;
    for (const auto& serial : serials) threads.emplace_back([&] { act(serial); });
    for (auto& thread : threads) thread.join();
  };
  std::atomic<int> wrong = 0;
  everyone([&](const x509::Serial& serial) {
    const bool done = server->revoke(serial, x509::RevocationReason::superseded).has_value();
    const auto served = *x509::parse_crl(http({"GET", "/crl/ROOTCA.crl", {}}).body);
    const bool on_file = std::any_of(served.revoked.begin(), served.revoked.end(),
                                     [&](const auto& entry) { return entry.serial == serial; });
    if (!done || !on_crl(serial) || !on_file) ++wrong;
  });
  EXPECT_EQ(wrong, 0);
  const auto crl = server->crl()->revoked;
  EXPECT_EQ(crl.size(), serials.size());
  EXPECT_TRUE(std::is_sorted(crl.begin(), crl.end(),
                             [](const auto& a, const auto& b) { return a.serial < b.serial; }));
  // The same one twice at once: one of them is told.
  std::atomic<int> restored = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] { restored += server->unrevoke(serials.front()) ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(restored, 1);
  EXPECT_FALSE(on_crl(serials.front()));
  start();
  EXPECT_EQ(server->crl()->revoked.size(), serials.size() - 1U);
}

TEST_F(ProfileTest, ALargeCrlIsStoredInPartsAndServedWhole) {
  start();
  const auto serial = granted(enroll(Device("CN=a"))).serial();
  store::Batch batch;
  constexpr std::uint64_t many = 40000;
  for (std::uint64_t i = 0; i < many; ++i) {
    store::IssuedCertificate row;
    row.server = "ROOTCA";
    row.serial = x509::Serial(1000 + i);
    row.not_after = day(700);
    row.revoked_at = zero;
    row.reason = x509::RevocationReason::key_compromise;
    batch.emplace_back(store::InsertCertificate{std::move(row)});
  }
  ASSERT_TRUE(store->commit(std::move(batch)));
  ASSERT_TRUE(server->revoke(serial, x509::RevocationReason::none));
  const Bytes whole = http({"GET", "/crl/ROOTCA.crl", {}}).body;
  EXPECT_GT(whole.size(), std::size_t{1} << 20);
  const auto facts = *x509::parse_crl(whole);
  ASSERT_EQ(facts.revoked.size(), many + 1);
  EXPECT_EQ(facts.revoked.front().serial, serial);
  EXPECT_EQ(facts.revoked.back().serial, x509::Serial(1000 + many - 1));
  ASSERT_TRUE(server->unrevoke(serial));
  EXPECT_EQ(server->crl()->revoked.size(), many);
  go_to(day(701));
  EXPECT_TRUE(server->crl()->revoked.empty()) << "what has expired is on no CRL";
  EXPECT_LT(http({"GET", "/crl/ROOTCA.crl", {}}).body.size(), 1000U);
}

TEST_F(ProfileTest, TheDigestIsInWhatIsSignedNextAndNotInWhatIs) {
  configuration.hash = config::HashName::sha1;
  start();
  EXPECT_EQ(ca().signature_algorithm()->digest, x509::Digest::sha1);
  EXPECT_EQ(granted(enroll(Device("CN=a"))).signature_algorithm()->digest, x509::Digest::sha1);
  for (const auto& [name, digest] : {std::pair{config::HashName::sha384, x509::Digest::sha384},
                                     {config::HashName::sha512, x509::Digest::sha512}}) {
    configuration.hash = name;
    start();
    EXPECT_EQ(ca().signature_algorithm()->digest, x509::Digest::sha1) << "as it was made";
    const auto issued = granted(enroll(Device(digest == x509::Digest::sha384 ? "CN=b" : "CN=c")));
    EXPECT_EQ(issued.signature_algorithm()->digest, digest);
  }
  go_to(day(640));
  EXPECT_EQ(server->status().rollover->signature_algorithm()->digest, x509::Digest::sha512);
}

TEST_F(ProfileTest, ACaAtTheEndOfTimeIsCutThereAndNotFollowed) {
  const Time end = lifecycle::end_of_time;
  clock.set(end - Days{30});
  configuration.lifetime_ca_certificate = Days{20};
  configuration.auto_rollover = Days{5};
  configuration.lifetime_certificate = Days{7305};
  start();
  EXPECT_EQ(ca().not_after(), end - Days{10});
  go_to(end - Days{15});
  ASSERT_TRUE(server->status().rollover);
  EXPECT_EQ(server->status().rollover->not_before(), end - Days{10});
  EXPECT_EQ(server->status().rollover->not_after(), end) << "20 days would end in the year 10000";
  go_to(end - Days{10});
  EXPECT_EQ(ca().not_after(), end);
  go_to(end - hours{1});
  EXPECT_FALSE(server->status().rollover) << "no CA can begin when time has ended";
  EXPECT_FALSE(server->status().autorollover_at);
  const auto by_hand = server->rollover();
  ASSERT_FALSE(by_hand);
  EXPECT_NE(by_hand.error().detail.find("9999-12-31T23:59:59Z"), std::string::npos);
  EXPECT_EQ(server->crl()->next_update, end);
  EXPECT_EQ(granted(enroll(Device("CN=last"))).not_after(), end);
  go_to(end);
  EXPECT_EQ(server->status().status, "disabled, CA certificate has expired");
}

}  // namespace
}  // namespace umbra::server::lab
