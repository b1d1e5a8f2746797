// The next CA: made, announced, switched to, cancelled, and missed.

#include <sstream>

#include "server/lab_test.h"
#include "vectors.h"

namespace umbra::server {
namespace {

using namespace lab;

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

}  // namespace
}  // namespace umbra::server
