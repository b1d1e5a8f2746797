#include "server/lab_test.h"

/// Requests for CA and RA certificates, and what follows from having one.
namespace umbra::server::lab {
namespace {

const std::vector<x509::Extension> ca_extensions = {x509::basic_constraints_ca(),
                                                    x509::key_usage({0x86, true})};

class ClassesTest : public ServerTest {
 protected:
  Asked ask_for_ca(const Device& device, const x509::Certificate& at) {
    return send(device, MessageType::pkcs_req, csr(device, ca_extensions).der(), at);
  }
  /// Grants the one request that waits, and fetches the certificate.
  x509::Certificate granted_by_hand(const Device& device) {
    const auto waiting = *server->requests();
    EXPECT_TRUE(server->grant(waiting.front().id));
    return granted(poll(device));
  }
  static Device with_identity(const Device& device, const x509::Certificate& identity) {
    Device next = device;
    next.signer = identity;
    return next;
  }
  std::string state_of(std::uint64_t id) {
    const auto lines = *server->requests();
    for (const auto& line : lines) {
      if (line.id == id) return line.state;
    }
    return "gone";
  }
};

TEST_F(ClassesTest, ARequestForACaCertificateWaitsForItsOwnGrantUnderGrantAuto) {
  configuration.lifetime_subordinate_ca = Days{500};
  start();
  Device sub("CN=SubCA,O=Cisco", *x509::PrivateKey::generate_rsa(2048));
  EXPECT_EQ(ask_for_ca(sub, ca()).reply.status, PkiStatus::pending);
  ASSERT_EQ(server->requests()->size(), 1U);
  EXPECT_EQ(server->requests()->front().request_class, 1);
  const auto all = server->grant(std::nullopt);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->left_pending, std::vector<std::uint64_t>{1});
  EXPECT_EQ(poll(sub).reply.status, PkiStatus::pending);
  const auto certificate = granted_by_hand(sub);
  EXPECT_TRUE(certificate.is_ca());
  EXPECT_EQ(certificate.key_usage()->bits, 0x86);
  EXPECT_EQ(certificate.not_after(), day(500));
  EXPECT_TRUE(server->revoke(certificate.serial(), x509::RevocationReason::ca_compromise))
      << "a subordinate's certificate can be revoked";
}

TEST_F(ClassesTest, GrantAllGrantsTheDevicesAndNamesTheRest) {
  configuration.grant = config::Grant::manual;
  start();
  EXPECT_EQ(enroll(Device("CN=a")).reply.status, PkiStatus::pending);
  EXPECT_EQ(ask_for_ca(Device("CN=SubCA"), ca()).reply.status, PkiStatus::pending);
  EXPECT_EQ(enroll(Device("CN=ra,OU=ioscs RA")).reply.status, PkiStatus::pending);
  EXPECT_EQ(server->grant(std::nullopt)->left_pending, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(state_of(1), "granted");
  EXPECT_EQ(state_of(2), "pending");
  EXPECT_EQ(state_of(3), "pending");
}

TEST_F(ClassesTest, AShadowRequestOfASubordinateIsGrantedByGrantAutoRolloverAlone) {
  configuration.grant = config::Grant::manual;
  configuration.grant_rollover_ca_cert = true;
  start();
  const Device first("CN=SubCA,O=Cisco", *x509::PrivateKey::generate_rsa(2048));
  EXPECT_EQ(ask_for_ca(first, ca()).reply.status, PkiStatus::pending);
  const Device sub = with_identity(first, granted_by_hand(first));
  EXPECT_EQ(ask_for_ca(sub, ca()).reply.status, PkiStatus::pending)
      << "from the active CA it waits";
  EXPECT_TRUE(server->remove(std::nullopt));

  go_to(day(340));
  ASSERT_TRUE(server->rollover());
  const auto next = *server->status().rollover;
  EXPECT_EQ(ask_for_ca(Device("CN=SubCA,O=Cisco"), next).reply.status, PkiStatus::pending)
      << "a stranger of the same name waits";
  EXPECT_TRUE(server->remove(std::nullopt));
  const auto shadow = granted(ask_for_ca(sub, next));
  EXPECT_TRUE(shadow.is_ca());
  EXPECT_EQ(shadow.not_before(), next.not_before());
  EXPECT_TRUE(shadow.verify_signed_by(next.public_key()));

  ASSERT_TRUE(server->revoke(sub.signer.serial(), x509::RevocationReason::ca_compromise));
  Device again = sub;
  again.name = *x509::Name::from_ios("CN=SubCA,O=Cisco");
  again.challenge = "another request";
  EXPECT_EQ(refused(ask_for_ca(again, next)), "badRequest") << "a revoked one gets nothing";
}

TEST_F(ClassesTest, ADeviceCannotRenewItselfIntoACa) {
  start();
  const Device device("CN=a");
  const Device enrolled = with_identity(device, granted(enroll(device)));
  EXPECT_EQ(refused(ask_for_ca(enrolled, ca())), "badRequest");
  EXPECT_TRUE(server->requests()->empty());
}

TEST_F(ClassesTest, WhatAnRaSignsIsGrantedByRaAutoAndAnRaIsMadeByHandAlone) {
  configuration.grant = config::Grant::manual;
  configuration.grant_ra_auto = true;
  start();
  const Device named("CN=ra,OU=ioscs RA,O=Cisco", *x509::PrivateKey::generate_rsa(2048));
  EXPECT_EQ(enroll(named).reply.status, PkiStatus::pending) << "the name makes no RA";
  EXPECT_EQ(server->requests()->front().request_class, 2);
  const Device ra = with_identity(named, granted_by_hand(named));

  const Device client("CN=client", *x509::PrivateKey::generate_rsa(2048));
  const auto forward = [&](const Device& by) {
    return send(by, MessageType::pkcs_req, csr(client).der(), ca());
  };
  const auto issued = granted(forward(ra));
  EXPECT_EQ(issued.subject(), client.name);
  EXPECT_EQ(issued.public_key(), client.key.public_key());

  const Device device("CN=b", *x509::PrivateKey::generate_rsa(2048));
  EXPECT_EQ(enroll(device).reply.status, PkiStatus::pending);
  const Device enrolled = with_identity(device, granted_by_hand(device));
  EXPECT_EQ(refused(send(enrolled, MessageType::pkcs_req, csr(client).der(), ca())), "badRequest")
      << "a device vouches for nobody";

  ASSERT_TRUE(server->revoke(ra.signer.serial(), x509::RevocationReason::none));
  const Device other("CN=other", *x509::PrivateKey::generate_rsa(2048));
  EXPECT_EQ(refused(send(ra, MessageType::pkcs_req, csr(other).der(), ca())), "badRequest");
}

TEST_F(ClassesTest, WhatIsRevokedIsRememberedWhicheverOfItsCertificatesAnRaSignsWith) {
  configuration.grant = config::Grant::manual;
  configuration.grant_ra_auto = true;
  start();
  const Device named("CN=ra,OU=ioscs RA,O=Cisco", *x509::PrivateKey::generate_rsa(2048));
  EXPECT_EQ(enroll(named).reply.status, PkiStatus::pending);
  const Device ra = with_identity(named, granted_by_hand(named));
  const Device client("CN=client");
  const auto forward = [&](const Device& by) {
    return send(by, MessageType::pkcs_req, csr(client).der(), ca(), false, "the client's");
  };
  const auto issued = granted(forward(ra));

  Device renewing = ra;
  renewing.name = *x509::Name::from_ios("cn=RA,OU=ioscs RA,O=Cisco");  // another transaction
  EXPECT_EQ(enroll(renewing).reply.status, PkiStatus::pending);
  const Device renewed = with_identity(ra, granted_by_hand(renewing));
  ASSERT_NE(renewed.signer, ra.signer);
  EXPECT_EQ(granted(forward(renewed)), issued) << "asked for again, the same";
  ASSERT_TRUE(server->revoke(issued.serial(), x509::RevocationReason::key_compromise));
  EXPECT_EQ(forward(ra).reply.status, PkiStatus::pending);
  EXPECT_EQ(forward(renewed).reply.status, PkiStatus::pending);
}

TEST_F(ClassesTest, WhatWasCalledAnRaBeforeThereWereAnyIsADevice) {
  configuration.grant = config::Grant::automatic;
  start();
  const Device device("CN=a");
  const auto certificate = granted(enroll(device));
  const auto row = *store->certificate("ROOTCA", certificate.serial());
  ASSERT_TRUE(row);
  EXPECT_EQ(row->granted_as, store::RequestClass::router);
}

}  // namespace
}  // namespace umbra::server::lab
