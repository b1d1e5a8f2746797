#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "console/held_screens.h"
#include "console/ios_test.h"
#include "console/screens.h"

namespace umbra::console::ios {
namespace {

const TimeZone msk{"MSK", std::chrono::minutes{180}};

// -- show crypto pki server ...

server::Status server_of(const std::string& name, const std::string& issuer) {
  server::Status s;
  s.name = name;
  s.status = s.state = "enabled";
  s.issuer_name = issuer;
  s.granting = "manual";
  s.last_serial = x509::Serial(1);
  s.database_url = "nvram:";
  s.database_level = "complete";
  return s;
}
x509::Certificate ca_until(const std::string& name, const std::string& end) {
  return certificate({.issuer = name,
                      .subject = name,
                      .from = "2020-01-01T00:00:00Z",
                      .to = end,
                      .usage = 0x86,
                      .ca = true});
}

TEST(IosServer, EveryStateOfIt) {
  server::Status s = lab::root_ca();
  s.rollover = lab::certificate("guide/ca-rollover-03.hex");
  s.granting = "manual";
  s.database_url = "unix:/iosca-root/";
  s.last_serial = x509::Serial(6);
  s.crl_next_update = lab::at("2017-07-10T18:11:54Z");
  EXPECT_EQ(server_screen({s}, lab::cet), screen("guide-show-crypto-pki-server-rollover"));

  s = server_of("MY-CS", "CN=MY-CS,OU=VPN,O=Cisco,C=RU");
  s.status = "disabled, HTTP Server is disabled";
  s.state = "check failed";
  s.ca = ca_until(s.issuer_name, "2028-08-22T01:34:18Z");
  s.crl_next_update = lab::at("2025-12-10T01:34:18Z");
  s.database_url = "unix:/cerbase";
  EXPECT_EQ(layout(server_screen({s}, msk)),
            layout(screen("lab-show-crypto-pki-server-http-disabled")));

  s = server_of("R12", "CN=R12");
  s.ca = ca_until(s.issuer_name, "2028-03-23T05:52:21Z");
  s.crl_next_update = lab::at("2025-03-24T06:52:21Z");
  EXPECT_EQ(layout(server_screen({s}, TimeZone{})),
            layout(screen("lab-show-crypto-pki-server-manual")));

  s = server_of("root", "CN=root");
  s.granting = "auto";
  s.ca = ca_until(s.issuer_name, "2025-01-04T12:58:34Z");
  s.crl_next_update = lab::at("2022-01-06T00:58:35Z");
  s.auto_rollover_text = "1";
  s.autorollover_at = lab::at("2025-01-03T12:58:34Z");
  EXPECT_EQ(layout(server_screen({s}, TimeZone{})),
            layout(screen("xe-show-crypto-pki-server-root-rollover-armed")));

  s = server_of("ios_ra", "cn=ra, ou=ioscs RA, o=cisco C=pki");
  s.mode = config::ServerMode::ra;
  s.granting = "auto";
  s.ca = s.ra = ca_until("CN=a", "2025-01-04T12:58:34Z");
  s.database_urls_of = {{"crl", "tftp://6.28.19.3"}};
  s.database_level = "minimum";
  EXPECT_EQ(trimmed(layout(server_screen({s}, TimeZone{}))),
            layout(screen("xe-show-crypto-pki-server-ra-mode")));
}

TEST(IosServer, Requests) {
  const std::string reg2 = "744566E755B84AEE18A86DF715D8EE33";
  const std::string subject = "hostname=pki-reg2.cisco.com,cn=R1";
  EXPECT_EQ(requests_screen({{2, 3, "pending", "7E45F866CE223D17463622FC17DD0F6E",
                              "serialNumber=67109296+hostname=R27.LABITNANGI"},
                             {3, 3, "pending", "DCA83FF8BB8BF209C8CF0A933B4D7BAD",
                              "serialNumber=67109312+hostname=R28.CHOKURDACH"}}),
            screen("lab-show-crypto-pki-server-requests-two-pending"));
  EXPECT_EQ(requests_screen({{1, 2, "pending", reg2, subject}}),
            screen("xe-show-crypto-pki-server-requests-ra-pending"));
  EXPECT_EQ(requests_screen({{1, 3, "granted", reg2, subject + " C=pki"}}),
            screen("xe-show-crypto-pki-server-requests-router-granted"));
  // An empty line too many is that capture's.
  EXPECT_EQ(requests_screen({{1, 1, "granted", reg2, subject}}),
            replaced(screen("xe-show-crypto-pki-server-requests-subca-granted"), "\n\n\n", "\n\n"));
  // Routers print the newest first, this capture the oldest.
  std::vector<server::RequestLine> all;
  for (int kind = 1; kind <= 3; ++kind) {
    all.push_back({1, kind, "granted", reg2, subject + " C=pki"});
    all.push_back({2, kind, "granted", reg2, subject + " C=pki"});
  }
  const std::string twos = std::regex_replace(requests_screen(all), std::regex("\n2 "), "\n1 ");
  EXPECT_EQ(twos, std::regex_replace(screen("xe-show-crypto-pki-server-requests-mixed"),
                                     std::regex("\n2 "), "\n1 "));
}

TEST(IosServer, CertificatesAndCrl) {
  EXPECT_EQ(certificate_list_head() +
                certificate_list_line({x509::Serial(1),
                                       lab::at("2025-03-24T05:52:21Z"),
                                       lab::at("2028-03-23T05:52:21Z"),
                                       "cn=R12",
                                       {}},
                                      TimeZone{}) +
                certificate_list_line({x509::Serial(2),
                                       lab::at("2025-03-24T06:14:56Z"),
                                       lab::at("2026-03-24T06:14:56Z"),
                                       "serialNumber=67109088+hostname=R14.moscow.ru",
                                       {}},
                                      TimeZone{}),
            screen("lab-show-crypto-pki-server-certificates"));
  const std::string typed = "show crypto pki server ios_rootca crl\n";
  server::CrlView crl{
      "cn=RCA1 C=pki", lab::at("2025-10-23T16:57:54Z"), lab::at("2025-10-23T22:57:54Z"), 353, {}};
  EXPECT_EQ(typed + crl_screen(crl, ist), screen("xe-show-crypto-pki-server-crl-empty"));
  crl = {"cn=RCA1 C=pki",
         lab::at("2025-10-23T16:59:17Z"),
         lab::at("2025-10-23T22:59:17Z"),
         375,
         {{x509::Serial(2), lab::at("2025-10-23T16:59:17Z"), x509::RevocationReason::none}}};
  EXPECT_EQ(typed + crl_screen(crl, ist), screen("xe-show-crypto-pki-server-crl-one-entry"));
}

TEST(IosServer, ShowInItsSubmode) {
  const std::string after =
      "!\ncrypto pki server OTHER\n hash sha1\n!\ncrypto pki server R12\n database level complete\n"
      " lifetime crl 1\n no shutdown\n!\nip http server\n!\n";
  EXPECT_EQ("R12(cs-server)#show\n" + server_settings_screen(after, "R12", x509::Serial(1)),
            screen("lab-cs-server-show-after-enable"));
  EXPECT_EQ("CA(cs-server)#show\n" + server_settings_screen(after, "CA", {}),
            screen("lab-cs-server-show-defaults-before-enable"));
  EXPECT_EQ(server_settings_screen("crypto pki server X\n database archive pem password 7 00\n"
                                   " issuer-name CN=X\n grant auto rollover ca-cert\n grant auto\n"
                                   " hash sha384\n cdp-url http://x\n",
                                   "X", x509::Serial(0xAB)),
            " serial-number 0xAB\n database level minimum\n database archive pem password 7 00\n"
            " issuer-name CN=X\n grant auto rollover ca-cert\n grant auto\n lifetime crl 6\n"
            " lifetime certificate 365\n lifetime ca-certificate 1095\n"
            " lifetime enrollment-request 168\n hash sha384\n cdp-url http://x\n");
}

// -- the rest

TEST(IosTimers, Detail) {
  // Umbra has no such timers, and lines of other captures were pasted in.
  const std::string foreign = "SESSION CLEANUP|TRUSTPOOL|Trustpool|^\\|";
  const auto members = [&](const std::string& text, const std::string& more = "^$") {
    return without(without(text, foreign), more);
  };
  client::Status client = trustpoint("client", ca_until("CN=root", "2026-10-18T14:04:37Z"));
  client.deadlines = {{lab::at("2025-10-19T14:07:56Z"), lifecycle::Timer::renew, "client"}};
  const lab::FixedClock first(lab::at("2025-10-19T14:05:11Z"), 220);
  // The two groups were read some milliseconds apart.
  EXPECT_EQ(
      members(timers_screen({}, {client}, first, true)),
      replaced(members(screen("xe-show-crypto-pki-timers-detail-client")), "25.387", "25.780"));

  server::Status root = server_of("root", "CN=root");
  root.deadlines = {
      {lab::at("2025-10-19T19:41:17Z"), lifecycle::Timer::cs_shadow_cert_generation, ""},
      {lab::at("2025-10-19T19:56:18Z"), lifecycle::Timer::cs_cert_expire, ""}};
  const lab::FixedClock second(lab::at("2025-10-19T19:36:39Z"), 23);
  EXPECT_EQ(members(timers_screen({root}, {}, second, true)),
            replaced(without(without(screen("xe-show-crypto-pki-timers-detail-cs"),
                                     "^PKI|SHADOW client|RENEW|POLL|^$"),
                             foreign),
                     "38.555", "38.977"));

  root.ca = ca_until("CN=root", "2025-01-14T08:48:17Z");
  root.deadlines = {
      {lab::at("2022-01-15T14:48:17Z"), lifecycle::Timer::cs_crl_update, ""},
      {lab::at("2025-01-14T08:28:17Z"), lifecycle::Timer::cs_shadow_cert_generation, ""},
      {lab::at("2025-01-14T08:48:17Z"), lifecycle::Timer::cs_cert_expire, ""}};
  client.ca.reset();
  client.identity = certificate({.issuer = "CN=root",
                                 .subject = "CN=c",
                                 .from = "2022-01-15T08:52:28Z",
                                 .to = "2023-01-15T08:52:28Z"});
  client.deadlines = {{lab::at("2024-09-26T20:48:17Z"), lifecycle::Timer::shadow, "client"}};
  const HeldCrl crl{"cn=root", lab::at("2022-01-15T08:48:17Z"), lab::at("2022-01-15T14:48:17Z"),
                    350,       lab::at("2022-01-15T08:50:00Z"), ""};
  const lab::FixedClock third(lab::at("2022-01-15T08:53:46Z"), 111);
  const auto seconds = [](const std::string& text) {
    return std::regex_replace(text, std::regex("\\.\\d{3} "), ".mmm ");
  };
  // The server's alert comes with its next CA: there is auto-rollover here.
  EXPECT_EQ(seconds(members(timers_screen({root}, {client}, third, true, {crl}), "CS\\(root\\)")),
            seconds(members(screen("xe-show-crypto-pki-timers-detail-server-and-client"),
                            "POLL|RENEW|auto-download|CRL UPDATE \\*|estclient|CS\\(root\\)")));
}

TEST(IosTimers, OfTheGuide) {
  const lab::FixedClock clock(lab::at("2015-10-09T12:19:58Z"), 946);
  server::Status s = lab::root_ca();
  // Its timers stand 923 ms behind the second, ours on it.
  const auto seconds = [](const std::string& text) {
    return std::regex_replace(text, std::regex("\\.\\d{3}( |\n)"), ".mmm$1");
  };
  EXPECT_EQ(seconds(timestamp(Load{}, clock, lab::cet) + timers_screen({s}, {}, clock, false)),
            seconds(replaced(screen("guide-show-crypto-pki-timers-initial"),
                             "PKI Timers\n|        7:49.003\n  |        7:49.003  SESSION CLEANUP\n"
                             "  |  3d 7:05:24.003  TRUSTPOOL\n\n",
                             "")));
}

TEST(IosTrustpoints, Short) {
  client::Status r14 = trustpoint("R14", ca_until("CN=R12", "2026-01-01T00:00:00Z"));
  r14.enrollment_url = "http://10.1.255.12:80/cgi-bin";
  EXPECT_EQ(trustpoints_screen({}, {r14}), screen("lab-show-crypto-pki-trustpoints"));

  const auto maker = [](const std::string& name, const std::string& subject,
                        const std::string& serial) {
    return trustpoint(name, certificate({.issuer = subject,
                                         .subject = subject,
                                         .serial = serial,
                                         .from = "2018-04-23T21:37:27Z",
                                         .to = "2030-01-01T00:00:00Z",
                                         .ca = true}));
  };
  const auto own = self_signed("1504826562");
  const std::string old_root = "5FF87B282B54DC8D42A315B568C9ADFF";
  // One of its empty lines is lost in front of the last trustpoint.
  EXPECT_EQ(
      trustpoints_screen(
          {}, {maker("SLA-TrustPoint", "CN=Cisco Licensing Root CA,O=Cisco", "01"),
               maker("CISCO_IDEVID_SUDI", "CN=ACT2 SUDI CA,O=Cisco", "61096E7D00000000000C"),
               maker("CISCO_IDEVID_SUDI0", "CN=Cisco Root CA 2048,O=Cisco Systems", old_root),
               trustpoint("TP-self-signed-1504826562", own, own),
               maker("CISCO_IDEVID_CMCA2_SUDI", "CN=Cisco Manufacturing CA SHA2,O=Cisco", "02"),
               maker("CISCO_IDEVID_CMCA2_SUDI0", "CN=Cisco Root CA M2,O=Cisco", "01"),
               maker("CISCO_IDEVID_CMCA_SUDI", "CN=Cisco Manufacturing CA,O=Cisco Systems",
                     "6A6967B3000000000003"),
               maker("CISCO_IDEVID_CMCA_SUDI0", "CN=Cisco Root CA 2048,O=Cisco Systems", old_root),
               trustpoint("trustpoint1")}),
      replaced(screen("xe-show-crypto-pki-trustpoints"), "\n\nTrustpoint trustpoint1",
               "\n\n\nTrustpoint trustpoint1"));
}

TEST(IosTrustpoints, Status) {
  const auto ca = [](const std::string& name) { return ca_until(name, "2030-01-01T00:00:00Z"); };
  const auto own = self_signed("1215158049");
  client::Status granted =
      trustpoint("PROXY-SIGNING-CA", ca("CN=176vManCluster,OU=SDWAN-ENT,O=Cisco,L=BLR,ST=KA,C=IN"),
                 ca("CN=ISR4451-X/K9-FOC23231DPE"));
  granted.last_enrollment_status = "Granted";
  EXPECT_EQ(
      layout(trustpoints_status_screen(
          {}, {trustpoint("SLA-TrustPoint", ca("CN=Cisco Licensing Root CA,O=Cisco")),
               trustpoint("CISCO_IDEVID_SUDI", ca("CN=ACT2 SUDI CA,O=Cisco"),
                          ca("CN=ISR4451-X/K9,OU=ACT-2 Lite "
                             "SUDI,O=Cisco,serialNumber=PID:ISR4451-X/K9 SN:FOC23231DPE")),
               trustpoint("CISCO_IDEVID_SUDI0", ca("CN=Cisco Root CA 2048,O=Cisco Systems")),
               trustpoint("TP-self-signed-1215158049", own, own), granted,
               trustpoint("PROXY-SIGNING-ROOT-CA", ca("CN=OCSP-CA,DC=pki,DC=pki-dt,DC=com"))})),
      layout(screen("xe-show-crypto-pki-trustpoints-status")));
}

TEST(IosKeys, OfTheGuideAndOneThatIsNamed) {
  const lab::FixedClock clock(lab::at("2017-07-10T12:19:19Z"), 652);
  const auto line = [](const char* label, const char* file, const char* made) {
    return x509::KeyLine{label, lab::certificate(file).public_key(), lab::at(made), false};
  };
  EXPECT_EQ(timestamp(Load{}, clock, lab::cet) +
                keys_screen(
                    {{line("ROOTCA", "guide/ca-01.hex", "2015-10-09T12:14:16Z"), true},
                     {line("ROOTCA#", "guide/ca-rollover-03.hex", "2017-07-10T12:14:18Z"), false}},
                    lab::cet),
            screen("guide-show-crypto-key-mypubkey-rsa-rollover"));
  const auto octets = [](const std::string& text) {
    return std::regex_replace(layout(text), std::regex("[0-9A-F]{2}020301 0001"), "..020301 0001");
  };
  // Redundancy is that of two supervisors.
  EXPECT_EQ(octets(keys_screen(
                {{{"test_rsa", key().public_key(), lab::at("2024-03-22T09:24:31Z"), false}, false}},
                TimeZone{}, true)),
            octets(replaced(screen("xe-show-crypto-key-mypubkey-rsa-one-key-with-size"),
                            " Redundancy enabled.", "")));
  std::string several = screen("xe-show-crypto-key-mypubkey-rsa");
  several.erase(0, several.find('\n') + 1);  // what was typed
  const std::string first = several.substr(0, several.find("% Key pair", 1));
  EXPECT_EQ(octets(keys_screen({{{"TP-self-signed-1331515841", key().public_key(),
                                  lab::at("2021-08-26T16:38:25Z"), false},
                                 true}},
                               TimeZone{})),
            octets(replaced(first, " Redundancy enabled.", "")));
}

TEST(IosRunningConfig, ChainSection) {
  server::Status s = lab::root_ca();
  s.rollover = lab::certificate("guide/ca-rollover-03.hex");
  EXPECT_THAT(running_config_screen("!\nhostname A\n!\n", {s}, {}),
              ::testing::HasSubstr(screen("guide-show-run-section-chain")));
}

TEST(IosHeld, CrlsAndCounters) {
  EXPECT_EQ(crls_screen({{"cn=root C=pki", lab::at("2025-01-27T07:09:13Z"),
                          lab::at("2025-01-27T07:39:13Z"), 350, lab::at("2025-01-27T07:10:18Z"),
                          "** CDP Not Published - Retrieved via SCEP"}},
                        ist),
            replaced(screen("xe-show-crypto-pki-crls"), "is 65536 bytes", "is 8388608 bytes"));
  Counters counters;
  counters.sessions_started = counters.sessions_ended = 12;
  counters.validated = 6;
  EXPECT_EQ(counters_screen(counters), screen("xe-show-crypto-pki-counters"));
}

}  // namespace
}  // namespace umbra::console::ios
