// Requests that wait for a person.

#include "server/lab_test.h"

namespace umbra::server {
namespace {

using namespace lab;

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

}  // namespace
}  // namespace umbra::server
