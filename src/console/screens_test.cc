#include "console/screens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config.h"
#include "console/lab_test.h"
#include "golden.h"

namespace umbra::console {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using vectors::expect_golden;

TEST(ServerScreen, IsTheGuidesAfterShadowGeneration) {
  server::Status s = lab::root_ca();
  s.rollover = lab::certificate("guide/ca-rollover-03.hex");
  s.autorollover_at = std::nullopt;
  s.granting = "manual";
  s.database_url = "unix:/iosca-root/";
  s.last_serial = x509::Serial(6);
  s.crl_next_update = lab::at("2017-07-10T18:11:54Z");
  expect_golden("screens/guide-server-rollover.txt", server_screen({s}, lab::cet));
}

TEST(ServerScreen, ShowsWhenTheRolloverWillBeMade) {
  server::Status shut = lab::root_ca();
  shut.name = "BRANCH";
  shut.status = shut.state = "disabled";
  shut.shut = true;
  shut.issuer_name = "CN=BRANCH";
  shut.ca = std::nullopt;
  shut.crl_next_update = std::nullopt;
  shut.autorollover_at = std::nullopt;
  shut.auto_rollover_text = "0 0 20";
  shut.last_serial = x509::Serial(0);
  shut.database_level = "minimum";
  expect_golden("screens/server-before-rollover.txt",
                server_screen({lab::root_ca(), shut}, lab::cet));
}

TEST(ServerScreen, SaysThatTheClockIsNotAuthoritative) {
  server::Status s = lab::root_ca();
  s.status = "disabled, HTTP Server is disabled";
  s.state = "check failed";
  s.clock_authoritative = false;
  s.database_level = "names";
  s.auto_rollover_text.clear();
  s.autorollover_at = std::nullopt;
  expect_golden("screens/server-clock.txt", server_screen({s}, TimeZone{}));
}

TEST(ServerScreen, ShowsWhereFilesGoAndWhatWaits) {
  server::Status s = lab::root_ca();
  s.database_url = "ftp://10.1.1.1/DB/ROOTCA/";
  s.database_urls_of = {{"crl", "unix:/srv/crl"}, {"ser", "flash:"}};
  s.backlog = {{s.database_url, 6, lab::at("2017-07-10T18:11:54Z"), "refused\n    State: enabled"},
               {"unix:/srv/crl", 120, lab::at("2017-07-10T18:11:54Z"), ""}};
  s.scarce = {{"nvram:", 5 << 20}};
  expect_golden("screens/server-publishing.txt", server_screen({s}, lab::cet));
}

TEST(ServerScreen, OfASubordinateCaNamesTheOneAbove) {
  server::Status s = lab::root_ca();
  s.name = "SUB";
  s.mode = config::ServerMode::subordinate;
  s.issuer_name = "CN=Sub,O=Umbra";
  s.ca = lab::certificate("guide/ca-rollover-03.hex");
  s.upper = lab::certificate("guide/ca-01.hex");
  s.autorollover_at = std::nullopt;
  server::Status waits = s;
  waits.status = "disabled, Fingerprint pending";
  waits.state = "pending";
  waits.ca.reset();
  waits.upper.reset();
  waits.awaited = "not authenticated";
  waits.crl_next_update = std::nullopt;
  expect_golden("screens/server-sub-cs.txt", server_screen({s, waits}, lab::cet));
}

TEST(ServerScreen, OfARegistrationAuthorityIsIoss) {
  server::Status s = lab::root_ca();
  s.name = "ios_ra";
  s.mode = config::ServerMode::ra;
  s.issuer_name = "cn=ra, ou=ioscs RA, o=cisco C=pki";
  s.ra = lab::certificate("lab/lab-client-02.hex");
  s.database_url = "nvram:";
  s.database_urls_of = {{"crl", "tftp://6.28.19.3"}};
  s.database_level = "minimum";
  s.auto_rollover_text.clear();
  s.autorollover_at = std::nullopt;
  s.crl_next_update = std::nullopt;
  server::Status next = s;
  next.name = "next";
  next.database_urls_of.clear();
  next.awaited = "does not answer; what is authorized waits";
  next.rollover = lab::certificate("guide/ca-rollover-03.hex");
  next.ra_rollover = s.ra;
  server::Status transparent = s;
  transparent.name = "relay";
  transparent.mode = config::ServerMode::ra_transparent;
  transparent.ra = std::nullopt;
  transparent.database_urls_of.clear();
  expect_golden("screens/server-ra.txt", server_screen({s, next, transparent}, lab::cet));
}

TEST(RequestsScreen, HasThreeTablesNewestFirst) {
  expect_golden("screens/requests.txt", requests_screen(lab::requests()));
}

TEST(RequestsScreen, LetsNoSubjectForgeALine) {
  auto lines = lab::requests();
  lines[2].subject = "cn=a\n13     granted    ";
  EXPECT_THAT(requests_screen(lines), HasSubstr(" cn=a\\x0A13     granted    \n"));
}

TEST(TimersScreen, IsTheGuidesJustAfterEnable) {
  const lab::FixedClock clock(lab::at("2015-10-09T12:19:58Z"), 946);
  const std::string head = timestamp(Load{}, clock, lab::cet);
  expect_golden("screens/guide-timers-initial.txt",
                head + timers_screen({lab::root_ca()}, {}, clock, false));
  expect_golden("screens/guide-timers-detail.txt",
                timers_screen({lab::root_ca()}, {lab::spoke()}, clock, true));
}

TEST(TimersScreen, IsEmptyWithoutTimersAndSaysSoWithoutAnAuthoritativeClock) {
  lab::FixedClock clock(lab::at("2015-10-09T12:19:58Z"), 946);
  EXPECT_EQ(timers_screen({}, {}, clock, false), "");
  clock.authoritative_now = false;
  EXPECT_EQ(timers_screen({lab::root_ca()}, {}, clock, false),
            "% Clock is not authoritative: no timer is armed\n");
}

TEST(TimersScreen, SeparatesThePkiGroupFromTheServersByAnEmptyLine) {
  const lab::FixedClock clock(lab::at("2016-01-01T00:00:00Z"), 0);
  client::Status client = lab::spoke();
  client.deadlines = {{lab::at("2016-01-01T00:00:48Z"), lifecycle::Timer::poll, "Root-CA"}};
  server::Status server = lab::root_ca();
  server.deadlines = {{lab::at("2016-01-04T07:05:24Z"), lifecycle::Timer::er_expire, "3"}};
  EXPECT_EQ(timers_screen({server}, {client}, clock, false),
            "PKI Timers\n|          48.000\n  |          48.000  POLL Root-CA\n\n"
            "CS Timers\n|  3d 7:05:24.000\n  |  3d 7:05:24.000  ER EXPIRE 3\n");
}

TEST(CertificatesScreen, IsTheGuidesJustAfterEnable) {
  expect_golden("screens/guide-certificates-initial.txt",
                certificates_screen({lab::root_ca()}, {}, lab::cet, {}));
}

TEST(CertificatesScreen, IsTheGuidesAfterShadowGeneration) {
  server::Status s = lab::root_ca();
  s.rollover = lab::certificate("guide/ca-rollover-03.hex");
  const lab::FixedClock clock(lab::at("2017-07-10T12:14:46Z"), 820);
  CertificatesOptions options;
  options.saved = [&](const x509::Certificate& c) { return c == *s.ca; };
  expect_golden(
      "screens/guide-certificates-rollover.txt",
      timestamp(Load{}, clock, lab::cet) + certificates_screen({s}, {}, lab::cet, options));
}

TEST(CertificatesScreen, ShowsAClientsIdentityAboveItsCa) {
  CertificatesOptions options;
  options.saved = [](const x509::Certificate&) { return true; };
  expect_golden("screens/certificates-client.txt",
                certificates_screen({lab::root_ca()}, {lab::spoke()}, TimeZone{}, options));
  options.trustpoint = "Root-CA";
  options.verbose = true;
  expect_golden("screens/certificates-client-verbose.txt",
                certificates_screen({lab::root_ca()}, {lab::spoke()}, TimeZone{}, options));
}

TEST(CertificatesScreen, ShowsBothRolloversFirst) {
  client::Status t = lab::spoke();
  t.rollover_identity = t.identity;
  t.rollover_ca = t.ca;
  const std::string screen = certificates_screen({}, {t}, TimeZone{}, {});
  const auto first = screen.find("Certificate (Rollover)\n");
  const auto second = screen.find("\nCA Certificate (Rollover)\n");
  const auto third = screen.find("\nCertificate\n");
  const auto fourth = screen.find("\nCA Certificate\n");
  EXPECT_EQ(first, 0U);
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_LT(third, fourth);
  EXPECT_NE(fourth, std::string::npos);
}

TEST(CertificatesScreen, NamesAllHoldersOfOneCertificate) {
  client::Status t = lab::spoke();
  t.identity = std::nullopt;
  t.ca = lab::root_ca().ca;
  EXPECT_THAT(certificates_screen({lab::root_ca()}, {t}, TimeZone{}, {}),
              HasSubstr("  Associated Trustpoints: ROOTCA Root-CA \n"));
}

TEST(CertificatesScreen, ShowsAWaitingRequestLast) {
  client::Status t = lab::spoke();
  t.identity = std::nullopt;
  t.pending = lab::request();
  expect_golden("screens/certificates-pending.txt", certificates_screen({}, {t}, TimeZone{}, {}));
}

TEST(TrustpointsScreen, ShowsHowFarEachHasCome) {
  client::Status fresh;
  fresh.name = "other";
  fresh.enrollment_url = "http://10.1.1.1:80/cgi-bin";
  expect_golden("screens/trustpoints.txt",
                trustpoints_screen({lab::root_ca()}, {lab::spoke(), fresh}));
  expect_golden("screens/trustpoints-status.txt",
                trustpoints_status_screen({lab::root_ca()}, {lab::spoke(), fresh}));
}

TEST(TrustpointsScreen, SaysThatAnotherCasFingerprintIsConfigured) {
  client::Status t = lab::spoke();
  t.contradicts_pin = true;
  EXPECT_THAT(trustpoints_status_screen({}, {t}),
              HasSubstr("    Issuing CA authenticated ....... No (another CA's fingerprint is "
                        "configured)\n"));
}

TEST(RunningConfigScreen, HoldsTheChainsBelowTheBlocksOfCertificates) {
  server::Status s = lab::root_ca();
  s.rollover = lab::certificate("guide/ca-rollover-03.hex");
  const config::Parsed parsed =
      config::parse("hostname ROOTCA\nip http server\n" + vectors::text("config/guide-server.txt"));
  const std::string screen = running_config_screen(parsed.running_config, {s}, {});
  expect_golden("screens/running-config.txt", screen);
  EXPECT_THAT(screen, HasSubstr(vectors::text("config/guide-chain.txt")));
  EXPECT_THAT(running_config_screen("!\nhostname A\n!\nip http server\n!\n", {s}, {}),
              HasSubstr("!\nhostname A\n!\ncrypto pki certificate chain ROOTCA\n"));
}

TEST(RunningConfigScreen, IsReadBackWithTheSameChains) {
  server::Status s = lab::root_ca();
  const std::string screen = running_config_screen("!\nhostname A\n!\n", {s}, {lab::spoke()});
  const config::Parsed parsed = config::parse(screen);
  ASSERT_TRUE(parsed.faults.empty()) << to_string(parsed.faults[0], "screen");
  ASSERT_EQ(parsed.chains.size(), 2U);
  EXPECT_EQ(parsed.chains[0], chain_of(s));
  EXPECT_EQ(parsed.chains[1], chain_of(lab::spoke()));
  // Chains of the file give way to those held.
  EXPECT_EQ(running_config_screen(parsed.running_config, {s}, {lab::spoke()}), screen);
}

TEST(ClockScreen, MarksATimeThatIsNotAuthoritative) {
  lab::FixedClock clock(lab::at("2017-07-10T12:14:46Z"), 820);
  EXPECT_EQ(clock_screen(clock, lab::cet, true),
            "13:14:46.820 CET Mon Jul 10 2017\nTime source is NTP\n"
            "The time is authoritative: the kernel says that it is synchronised\n");
  clock.authoritative_now = false;
  EXPECT_THAT(clock_screen(clock, lab::cet, true),
              StartsWith("*13:14:46.820 CET Mon Jul 10 2017\nNo time source\n"
                         "The time is not authoritative: "));
  EXPECT_THAT(timestamp(Load{}, clock, lab::cet),
              HasSubstr("No time source, *13:14:46.820 CET Mon Jul 10 2017\n\n"));
}

}  // namespace
}  // namespace umbra::console
