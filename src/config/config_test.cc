#include "config/config.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/lab_test.h"
#include "config/reference.h"

namespace umbra::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(Config, TakesTheGuidesServerWordForWord) {
  const Parsed parsed = good(file("guide-server.txt"));
  ASSERT_EQ(parsed.configuration.servers.size(), 1U);
  const Server& server = parsed.configuration.servers.front();
  EXPECT_EQ(server.name, "ROOTCA");
  EXPECT_EQ(server.database_level, DatabaseLevel::complete);
  EXPECT_EQ(server.archive_password, "cisco123");
  EXPECT_EQ(server.issuer_name, "CN=RootCA,OU=TAC,O=Cisco");
  EXPECT_EQ(server.grant, Grant::automatic);
  EXPECT_EQ(server.lifetime_certificate, Days{365});
  EXPECT_EQ(server.lifetime_ca_certificate, Days{730});
  EXPECT_EQ(server.database.url, "ftp://10.1.1.1/DB/ROOTCA/");
  EXPECT_EQ(server.auto_rollover, Days{90});
  EXPECT_EQ(server.auto_rollover_text, "90");
  EXPECT_EQ(server.modulus, 2048);
  EXPECT_EQ(server.hash, HashName::sha256);
  EXPECT_TRUE(server.shutdown);
  EXPECT_THAT(not_effective(parsed), IsEmpty());
}

TEST(Config, SaysInWhichLineEachSettingStands) {
  const Parsed parsed = good(
      "hostname ca\n"
      "crypto pki server ROOTCA\n"
      " lifetime crl 6\n"
      " database archive pem password s3cret\n"
      " lifetime crl 12 0\n"
      " auto-rollover 90\n"
      " no auto-rollover\n"
      "crypto pki trustpoint SPOKE\n"
      " enrollment retry count 5\n");
  std::string found;
  for (const SettingLine& one : parsed.lines) {
    found += std::to_string(one.line) + " " + one.block + " [" + one.key + "] " + one.text + "\n";
  }
  EXPECT_EQ(found,
            "1  [hostname] hostname ca\n"
            "2 ROOTCA [] crypto pki server ROOTCA\n"
            "5 ROOTCA [lifetime crl] lifetime crl 12\n"
            "4 ROOTCA [database archive] database archive pem password <removed>\n"
            "8 SPOKE [] crypto pki trustpoint SPOKE\n"
            "9 SPOKE [enrollment retry count] enrollment retry count 5\n");
}

TEST(Config, TakesTheGuidesTrustpointWordForWord) {
  const Parsed parsed = good(file("guide-client.txt"));
  ASSERT_EQ(parsed.configuration.trustpoints.size(), 1U);
  const Trustpoint& trustpoint = parsed.configuration.trustpoints.front();
  EXPECT_EQ(trustpoint.name, "Root-CA");
  EXPECT_EQ(trustpoint.enrollment_url, "http://172.16.1.1:80");
  EXPECT_TRUE(trustpoint.serial_number);
  EXPECT_EQ(trustpoint.ip_address, std::nullopt);
  EXPECT_EQ(trustpoint.password, "Rev0cati0n$Passw0rd");
  EXPECT_EQ(trustpoint.subject_name, "CN=spoke-1.cisco.com,OU=CVO");
  EXPECT_THAT(trustpoint.revocation_check, ElementsAre("crl"));
  EXPECT_EQ(trustpoint.key_label, "spoke-1-RSA");
  EXPECT_EQ(trustpoint.auto_enroll, 80);
  EXPECT_FALSE(trustpoint.regenerate);
  EXPECT_EQ(trustpoint.retry_count, 999);
  EXPECT_EQ(trustpoint.retry_period, std::chrono::minutes{1});
}

TEST(Config, NamesTheLookAlikeLetterInTheGuidesText) {
  const Parsed parsed = parse(
      "crypto pki trustpoint Root-CA\n enrollment url http://172.16.1.1\n"
      " rs\xD0\xB0keypair spoke-1-RSA\n auto-enroll 80\n");
  EXPECT_EQ(faults(parsed),
            "umbra.cfg:3:4: CYRILLIC SMALL LETTER A (U+0430) looks like \"a\"\n"
            " rs\xD0\xB0keypair spoke-1-RSA\n"
            "   ^\n"
            "  expected: a trustpoint command in ASCII letters; did you mean \"rsakeypair\"?\n");
}

TEST(Config, MendsAWordThatIsAllLookAlikes) {
  const Parsed parsed = parse(
      "crypto pki trustpoint A\n \xD0\xB3\xD1\x95\xD0\xB0"
      "keypair L\n");
  ASSERT_EQ(parsed.faults.size(), 1U);
  EXPECT_THAT(parsed.faults[0].hint, HasSubstr("did you mean \"rsakeypair\"?"));
  EXPECT_EQ(parsed.faults[0].column, 2U);
}

TEST(Config, TakesForeignLettersInDistinguishedNames) {
  const Parsed parsed = good("crypto pki server A\n issuer-name CN=M\xC3\xBCnchen,O=\xD0\x90\n");
  EXPECT_EQ(parsed.configuration.servers[0].issuer_name, "CN=M\xC3\xBCnchen,O=\xD0\x90");
}

TEST(Config, SetsWhatGlobalCommandsSay) {
  const Parsed parsed = good(
      "hostname spoke-1\nip domain name cisco.com\nclock timezone CET 1 0\n"
      "clock calendar-valid\nip http server\nip http port 8080\nip http address 127.0.0.1\n");
  const Configuration& c = parsed.configuration;
  EXPECT_EQ(c.fqdn(), "spoke-1.cisco.com");
  EXPECT_EQ(c.zone.name, "CET");
  EXPECT_EQ(c.zone.offset, std::chrono::hours{1});
  EXPECT_TRUE(c.calendar_valid);
  EXPECT_TRUE(c.http_server);
  EXPECT_EQ(c.http_port, 8080);
  EXPECT_EQ(c.http_address, "127.0.0.1");
  EXPECT_EQ(good("clock timezone NST -3 30\n").configuration.zone.offset,
            std::chrono::minutes{-210});
}

TEST(Config, SetsWhatServerCommandsSay) {
  const Parsed parsed = good(
      "crypto pki server CA\n grant none\n hash sha384\n modulus 3072\n lifetime crl 1 30\n"
      " lifetime certificate 0 0 20\n lifetime enrollment-request 2\n"
      " cdp-url http://ca/cgi-bin/pkiclient.exe?operation=GetCRL\n auto-rollover 1 2 3\n"
      " challenge password 0 let me in\n allow legacy des\n allow legacy md5\n no allow sha1\n"
      " database level names\n database archive pem password secret\n no shutdown\n"
      " eku ipsec-user server-auth\n serial-number 0x1F\n subject-alt-name none\n");
  const Server& s = parsed.configuration.servers.at(0);
  EXPECT_EQ(s.grant, Grant::none);
  EXPECT_THAT(s.eku, ElementsAre(x509::KeyPurpose::ipsec_user, x509::KeyPurpose::server_auth));
  EXPECT_EQ(s.serial_start, 0x1FU);
  EXPECT_FALSE(s.serial_random);
  EXPECT_FALSE(s.copy_alt_names);
  EXPECT_EQ(s.hash, HashName::sha384);
  EXPECT_EQ(s.modulus, 3072);
  EXPECT_EQ(s.lifetime_crl, std::chrono::minutes{90});
  EXPECT_EQ(s.lifetime_certificate, std::chrono::minutes{20});
  EXPECT_EQ(s.lifetime_enrollment_request, std::chrono::hours{2});
  EXPECT_EQ(s.cdp_url, "http://ca/cgi-bin/pkiclient.exe?operation=GetCRL");
  EXPECT_EQ(s.auto_rollover, Days{1} + std::chrono::hours{2} + std::chrono::minutes{3});
  EXPECT_EQ(s.auto_rollover_text, "1 2 3");
  EXPECT_EQ(s.challenge_password, "let me in");
  EXPECT_TRUE(s.allow_des);
  EXPECT_TRUE(s.allow_md5);
  EXPECT_FALSE(s.allow_rsa_1024);
  EXPECT_FALSE(s.allow_sha1);
  EXPECT_EQ(s.database_level, DatabaseLevel::names);
  EXPECT_EQ(s.archive_format, ArchiveFormat::pem);
  EXPECT_EQ(s.archive_password, "secret");
  EXPECT_FALSE(s.shutdown);
}

TEST(Config, SetsWhatTrustpointCommandsSay) {
  const Parsed parsed = good(
      "crypto ca trustpoint T\n enrollment url http://[2001:db8::1]:8080/scep\n"
      " enrollment retry count 3\n enrollment retry period 5\n fqdn none\n ip-address 10.0.0.1\n"
      " fingerprint cc748544 a0ab7832 935d8cd0 214a152e\n revocation-check ocsp crl none\n"
      " rsakeypair L 4096\n auto-enroll regenerate\n storage pem /var/lib/umbra/T\n"
      " on change exec /usr/bin/systemctl reload nginx\n allow legacy des\n hash sha512\n");
  const Trustpoint& t = parsed.configuration.trustpoints.at(0);
  EXPECT_EQ(t.enrollment_url, "http://[2001:db8::1]:8080/scep");
  EXPECT_EQ(t.retry_count, 3);
  EXPECT_EQ(t.retry_period, std::chrono::minutes{5});
  EXPECT_TRUE(t.fqdn_none);
  EXPECT_EQ(t.ip_address, "10.0.0.1");
  EXPECT_EQ(t.fingerprint, "CC748544A0AB7832935D8CD0214A152E");
  EXPECT_THAT(t.revocation_check, ElementsAre("ocsp", "crl", "none"));
  EXPECT_EQ(t.key_label, "L");
  EXPECT_EQ(t.modulus, 4096);
  EXPECT_EQ(t.auto_enroll, 100);
  EXPECT_TRUE(t.regenerate);
  EXPECT_EQ(t.storage_pem.path, "/var/lib/umbra/T");
  EXPECT_EQ(t.on_change_exec, "/usr/bin/systemctl reload nginx");
  EXPECT_TRUE(t.allow_des);
  EXPECT_EQ(t.hash, HashName::sha512);
}

TEST(Config, SetsWhereOtherProgramsFindTheirCertificates) {
  const Parsed parsed = good(
      "crypto pki trustpoint T\n storage pem /etc/t/ group www-data mode 640 include rollover-ca\n"
      " storage pkcs12 /etc/t.p12 password 7 01100F175804575D72 owner radius mode 0400\n"
      " on change limit 5\n"
      "crypto pki trustpoint U\n storage pkcs12 /etc/u.p12 password seal\n");
  const Trustpoint& t = parsed.configuration.trustpoints.at(0);
  EXPECT_EQ(t.storage_pem, (Storage{"/etc/t", "", "www-data", 0640, true}));
  EXPECT_EQ(t.storage_pkcs12, (Storage{"/etc/t.p12", "radius", "", 0400, false}));
  EXPECT_EQ(t.pkcs12_password, "cisco123");
  EXPECT_EQ(t.on_change_limit, Seconds{5});
  const Trustpoint& u = parsed.configuration.trustpoints.at(1);
  EXPECT_EQ(u.storage_pkcs12, (Storage{"/etc/u.p12", "", "", 0600, false}));
  EXPECT_EQ(u.pkcs12_password, "seal");
  EXPECT_EQ(u.on_change_limit, Seconds{60});
  EXPECT_THAT(parsed.running_config, Not(HasSubstr("password seal")));
}

TEST(Config, RefusesAKeyThatOthersMayRead) {
  for (const char* mode :
       {"644", "604", "755", "601", "060", "600x", "0x600", "1600", "6", "888"}) {
    const Parsed parsed =
        parse("crypto pki trustpoint T\n storage pem /etc/t mode " + std::string(mode) + "\n");
    ASSERT_EQ(parsed.faults.size(), 1U) << mode;
    EXPECT_THAT(parsed.faults.front().what, HasSubstr("is no mode for a private key"));
    EXPECT_EQ(parsed.faults.front().line, 2U);
  }
  for (const char* mode : {"400", "440", "600", "640", "660", "0640"}) {
    EXPECT_TRUE(
        parse("crypto pki trustpoint T\n storage pem /etc/t mode " + std::string(mode) + "\n")
            .faults.empty())
        << mode;
  }
}

TEST(Config, AutoRolloverAloneIsThirtyDays) {
  const Parsed parsed = good("crypto pki server CA\n auto-rollover\n");
  EXPECT_EQ(parsed.configuration.servers[0].auto_rollover, Days{30});
  EXPECT_EQ(parsed.configuration.servers[0].auto_rollover_text, "30");
}

TEST(Config, TakesUniqueAbbreviations) {
  const Parsed parsed = good("cry pki serv CA\nlif certif 30\ngr a\nno sh\nip ht s\n");
  const Server& server = parsed.configuration.servers.at(0);
  EXPECT_EQ(server.lifetime_certificate, Days{30});
  EXPECT_EQ(server.grant, Grant::automatic);
  EXPECT_FALSE(server.shutdown);
  EXPECT_TRUE(parsed.configuration.http_server);
}

TEST(Config, TakesKeywordsInEitherCase) {
  const Parsed parsed = good("Crypto PKI Server CA\n Grant Auto\n NO SHUTDOWN\nEND\n");
  EXPECT_EQ(parsed.running_config, "!\ncrypto pki server CA\n grant auto\n no shutdown\n!\n");
}

TEST(Config, NoAndDefaultTakeASettingBack) {
  const Parsed parsed = good(
      "crypto pki server CA\n lifetime crl 1\n no lifetime crl\n grant auto\n no grant\n"
      " hash sha512\n default hash\n auto-rollover 90\n no auto-rollover 90\n no shutdown\n"
      " default shutdown\n allow legacy des\n allow legacy md5\n no allow legacy des\n"
      " cdp-url http://a/\n no cdp-url\n eku server-auth client-auth\n no eku\n"
      "crypto pki server GONE\nno crypto pki server GONE\n");
  ASSERT_EQ(parsed.configuration.servers.size(), 1U);
  Server expected;
  expected.name = "CA";
  expected.issuer_name = "CN=CA";
  expected.allow_md5 = true;
  EXPECT_EQ(parsed.configuration.servers[0], expected);
  EXPECT_EQ(parsed.running_config, "!\ncrypto pki server CA\n allow legacy md5\n!\n");
}

TEST(Config, SubmodesAreLeftAsOnTheRouter) {
  const Parsed parsed = good(
      "crypto pki server A\nip http server\n!\ncrypto pki server A\n      grant auto\n exit\n"
      "hostname one\ncrypto pki trustpoint B\nauto-enroll 80\nenrollment url http://h\nend\n"
      "crypto pki server C\n");
  EXPECT_EQ(parsed.configuration.servers.size(), 2U);
  EXPECT_EQ(parsed.configuration.servers[0].grant, Grant::automatic);
  EXPECT_EQ(parsed.configuration.hostname, "one");
  EXPECT_EQ(parsed.configuration.trustpoints.at(0).auto_enroll, 80);
}

TEST(Config, TakesAPastedSession) {
  const Parsed parsed = good(
      "Building configuration...\r\n\r\nCurrent configuration : 1234 bytes\r\n!\r\n"
      "ROOTCA#configure terminal\r\nROOTCA(config)#crypto pki server ROOTCA\r\n"
      "ROOTCA(cs-server)#grant auto\r\nROOTCA(cs-server)#no shutdown\r\nROOTCA(cs-server)#end\r\n"
      "ROOTCA#\r\n");
  EXPECT_EQ(parsed.configuration.servers.at(0).grant, Grant::automatic);
  EXPECT_FALSE(parsed.configuration.servers.at(0).shutdown);
}

TEST(Config, KeepsWhatIsNotYetEffectiveAndNamesIt) {
  const std::string text =
      "!\nclock summer-time CEST recurring\n!\ncrypto pki server A\n"
      " database url crl publish ftp://10.0.0.1 username u password "
      "7 01100F175804575D72\n redundancy\n!\ncrypto pki trustpoint B\n match certificate MAP "
      "10\n!\nntp server "
      "10.0.0.1\nntp server 10.0.0.2 prefer\n!\n";
  const Parsed parsed = good(text);
  EXPECT_EQ(parsed.running_config, text);
  EXPECT_THAT(not_effective(parsed), ElementsAre("clock summer-time CEST recurring", "redundancy",
                                                 "match certificate MAP 10", "ntp server 10.0.0.1",
                                                 "ntp server 10.0.0.2 prefer"));
}

TEST(Config, KnowsWhereACaIsAndHowToGetThere) {
  const std::string text =
      "!\ncrypto pki trustpoint B\n enrollment mode ra\n enrollment url http://10.0.0.1 pem\n"
      " enrollment url http://ca/scep?ca=x identifier CA2\n usage ssl-server ssl-client\n"
      " source interface Loopback 0\n vrf BLUE\n!\n";
  const Parsed parsed = good(text);
  EXPECT_EQ(parsed.running_config, text);
  EXPECT_THAT(not_effective(parsed), IsEmpty());
  const Trustpoint& t = parsed.configuration.trustpoints.at(0);
  EXPECT_EQ(t.enrollment_url, "http://10.0.0.1");
  EXPECT_THAT(t.more_urls, ElementsAre("http://ca/scep?ca=x"));
  EXPECT_EQ(t.ca_identifier, "CA2");
  EXPECT_TRUE(t.mode_ra);
  EXPECT_EQ(t.from, (From{"Loopback0", "BLUE"}));
  EXPECT_THAT(t.usage, ElementsAre(x509::KeyPurpose::server_auth, x509::KeyPurpose::client_auth));
  const auto again = good(
      "crypto pki trustpoint B\n enrollment url http://a\n enrollment url http://b\n"
      " enrollment url http://a\n no enrollment url http://b\n usage ike ssl-client\n");
  EXPECT_THAT(again.configuration.trustpoints.at(0).more_urls, IsEmpty());
  EXPECT_THAT(again.configuration.trustpoints.at(0).usage, IsEmpty());
  EXPECT_EQ(parse("crypto pki trustpoint B\n vrf SIXTEEN-LETTERS-\n").faults.size(), 1U);
}

TEST(Config, KnowsHowRevocationIsChecked) {
  const auto trustpoint = [](const std::string& lines) {
    const Parsed parsed = good("crypto pki trustpoint A\n" + lines);
    EXPECT_THAT(not_effective(parsed), IsEmpty());
    return parsed.configuration.trustpoints.at(0);
  };
  const auto all = trustpoint(
      " revocation-check ocsp crl none\n ocsp url http://ocsp/x\n crl cache extend 30\n");
  EXPECT_THAT(all.revocation_check, ElementsAre("ocsp", "crl", "none"));
  EXPECT_EQ(all.ocsp_url, "http://ocsp/x");
  EXPECT_EQ(all.crl_cache_extend, std::chrono::minutes{30});
  EXPECT_EQ(all.crl_cache_max, std::nullopt);
  EXPECT_THAT(trustpoint("").revocation_check, ElementsAre("crl"));
  EXPECT_EQ(trustpoint(" crl cache none\n").crl_cache_max, Seconds{0});
  EXPECT_EQ(trustpoint(" crl cache delete-after 5\n").crl_cache_max, std::chrono::minutes{5});
  EXPECT_EQ(parse("crypto pki trustpoint A\n ocsp url ldap://x\n").faults.size(), 1U);
}

TEST(Config, AProfileSaysHowItsTrustpointsEnrol) {
  const std::string text =
      "!\ncrypto pki trustpoint A\n enrollment profile P\n auto-enroll 70\n"
      "!\ncrypto pki trustpoint B\n enrollment profile Q\n"
      "!\ncrypto pki profile enrollment P\n authentication url http://ra/scep\n"
      " enrollment url http://ca1\n enrollment url http://ca2 identifier X\n"
      "!\ncrypto pki profile enrollment Q\n authentication terminal\n enrollment terminal\n"
      " enrollment credential A\n!\n";
  const Parsed parsed = good(text);
  EXPECT_EQ(parsed.running_config, text);
  EXPECT_EQ(good(parsed.running_config).configuration, parsed.configuration);
  EXPECT_THAT(not_effective(parsed), testing::IsEmpty());
  const auto& t = parsed.configuration.trustpoints;
  EXPECT_EQ(t.at(0).authentication_url, "http://ra/scep");
  EXPECT_EQ(t.at(0).enrollment_url, "http://ca1");
  EXPECT_THAT(t.at(0).more_urls, ElementsAre("http://ca2"));
  EXPECT_EQ(t.at(0).ca_identifier, "X");
  EXPECT_TRUE(t.at(1).terminal);
  EXPECT_TRUE(t.at(1).authenticate_by_hand);
  EXPECT_EQ(t.at(1).credential, "A");
}

TEST(Config, ATrustpointEnrolsInOneWayThatThereIs) {
  const auto fault = [](const std::string& lines) {
    const Parsed parsed = parse("crypto pki trustpoint A\n" + lines);
    return parsed.faults.empty() ? "" : parsed.faults.front().what;
  };
  EXPECT_EQ(fault(" enrollment profile P\n"), "there is no enrollment profile P");
  EXPECT_EQ(fault(" enrollment profile P\ncrypto pki profile enrollment P\n"),
            "enrollment profile P does not say how to enrol");
  const std::string profile = "crypto pki profile enrollment P\n enrollment url http://ca\n";
  EXPECT_EQ(fault(" enrollment profile P\n" + profile + " enrollment credential B\n"),
            "enrollment profile P names the trustpoint B, which is not there");
  EXPECT_EQ(fault(" enrollment profile P\n" + profile + " enrollment credential A\n"),
            "enrollment profile P has A sign its own first request");
  EXPECT_EQ(fault(" enrollment url http://a\n enrollment terminal\n"),
            "a trustpoint enrols in one way");
  EXPECT_EQ(fault(" enrollment url http://a\n eckeypair K\n"),
            "SCEP envelopes its answers for RSA keys alone");
  EXPECT_EQ(fault(" enrollment terminal\n eckeypair K\n"), "");
  EXPECT_THAT(not_effective(good("crypto pki trustpoint A\n enrollment terminal\n auto-enroll\n")),
              ElementsAre("auto-enroll: people carry the requests of this trustpoint"));
}

TEST(Config, AnEcCaSignsWithTheDigestOfItsCurve) {
  const auto server = [](const std::string& lines) {
    return good("crypto pki server A\n" + lines).configuration.servers.front();
  };
  EXPECT_EQ(server("").ec_bits, std::nullopt);
  EXPECT_EQ(server(" keytype ec 256\n").ec_bits, 256);
  EXPECT_EQ(server(" keytype ec 256\n").hash, HashName::sha256);
  EXPECT_EQ(server(" keytype ec 384\n").hash, HashName::sha384);
  EXPECT_EQ(server(" keytype ec 384\n hash sha512\n").hash, HashName::sha512);
  EXPECT_EQ(server(" keytype ec 384\n no keytype\n").hash, HashName::sha256);
}

TEST(Config, SerialNumbersAreCountedFromANumberOrDrawn) {
  const auto server = [](const std::string& line) {
    return good("crypto pki server A\n" + line + "\n").configuration.servers.front();
  };
  EXPECT_EQ(server(" serial-number 0").serial_start, 0U);
  EXPECT_EQ(server(" serial-number 16").serial_start, 16U);
  EXPECT_EQ(server(" serial-number 0x3FFFFFFFFFFFFFFF").serial_start, 0x3FFF'FFFF'FFFF'FFFFU);
  EXPECT_EQ(server(" serial-number random").serial_start, std::nullopt);
  EXPECT_TRUE(server(" serial-number random").serial_random);
  EXPECT_TRUE(server(" serial-number 7\n serial-number random").serial_random);
  EXPECT_FALSE(server(" serial-number random\n no serial-number").serial_random);
  EXPECT_THAT(good("crypto pki server A\n serial-number random\n").running_config,
              HasSubstr("\n serial-number random\n"));
}

TEST(Config, KnowsWhatIsGrantedToCasAndRas) {
  const Parsed parsed = good(
      "crypto pki server A\n grant ra-auto\n grant auto rollover ca-cert\n"
      " grant auto rollover ra-cert\n lifetime subordinate-ca 730 12\n");
  EXPECT_THAT(not_effective(parsed), ElementsAre());
  const Server& server = parsed.configuration.servers.front();
  EXPECT_EQ(server.grant, Grant::manual);
  EXPECT_TRUE(server.grant_ra_auto);
  EXPECT_TRUE(server.grant_rollover_ca_cert);
  EXPECT_TRUE(server.grant_rollover_ra_cert);
  EXPECT_EQ(server.lifetime_subordinate_ca, Days{730} + std::chrono::hours{12});
  const Parsed later = good("crypto pki server A\n grant ra-auto\n grant auto\n");
  EXPECT_FALSE(later.configuration.servers.front().grant_ra_auto) << "the later mode counts";
}

TEST(Config, ASubordinatesTrustpointAsksForTheServersOwnCertificate) {
  const Parsed parsed = good(
      "crypto pki server SUB\n issuer-name CN=Sub,O=Umbra\n mode sub-cs\n auto-rollover 90\n"
      " no shutdown\ncrypto pki trustpoint SUB\n enrollment url http://root\n");
  EXPECT_EQ(parsed.configuration.servers.front().mode, ServerMode::subordinate);
  ASSERT_EQ(parsed.configuration.trustpoints.size(), 1U);
  const Trustpoint& own = parsed.configuration.trustpoints.front();
  EXPECT_EQ(own.role, Role::subordinate_ca);
  EXPECT_EQ(own.subject_name, "CN=Sub,O=Umbra");
  EXPECT_EQ(own.overlap, Days{90});
  EXPECT_TRUE(own.fqdn_none);
  EXPECT_TRUE(own.auto_enroll);
  const Parsed shut = good(
      "crypto pki server SUB\n mode sub-cs\ncrypto pki trustpoint SUB\n enrollment url "
      "http://root\n subject-name CN=Sub\n");
  EXPECT_FALSE(shut.configuration.trustpoints.front().auto_enroll) << "shut: it asks for nothing";
  EXPECT_EQ(shut.configuration.servers.front().issuer_name, "CN=Sub");
}

TEST(Config, AShutRootMayStillBecomeOneWithACaAboveIt) {
  const std::string typed = "crypto pki trustpoint SUB\n enrollment url http://root\n";
  const Parsed parsed = good("crypto pki server SUB\n" + typed);
  EXPECT_TRUE(parsed.configuration.trustpoints.empty()) << "the server's own, until it says so";
  EXPECT_THAT(parsed.running_config, HasSubstr(" enrollment url http://root"));
  EXPECT_EQ(good(parsed.running_config + "crypto pki server SUB\n mode sub-cs\n")
                .configuration.trustpoints.size(),
            1U);
  EXPECT_FALSE(parse("crypto pki server SUB\n no shutdown\n" + typed).faults.empty());
}

TEST(Config, DefaultIsShortenedAsEveryOtherWord) {
  for (const char* head : {"def", "defa", "default", "DEFAU"}) {
    const Parsed parsed = good("crypto pki server A\n lifetime crl 12\n grant auto\n " +
                               std::string(head) + " lifetime crl\n");
    EXPECT_EQ(parsed.running_config, "!\ncrypto pki server A\n grant auto\n!\n") << head;
  }
}

TEST(Config, ACertificateIsTakenBackAndTypedAgain) {
  const std::string chain = "crypto pki certificate chain A\n";
  const std::string one = " certificate ca 01\n  3001 00\n  quit\n";
  const std::string other = " certificate ca 01\n  3002 0101\n  quit\n";
  const std::string rest = " certificate 01\n  3000\n  quit\n";
  const Parsed twice = good(chain + one + rest + other);
  ASSERT_EQ(twice.chains.size(), 1U);
  ASSERT_EQ(twice.chains[0].certificates.size(), 2U);
  EXPECT_EQ(twice.chains[0].certificates[1].der, (Bytes{0x30, 0x02, 0x01, 0x01}));
  const Parsed gone = good(chain + one + rest + " no certificate ca 1\n no certificate ca 07\n");
  ASSERT_EQ(gone.chains[0].certificates.size(), 1U);
  EXPECT_EQ(gone.chains[0].certificates[0].kind, ChainKind::identity);
}

TEST(Config, ARegistrationAuthoritysTrustpointAsksForItsCertificate) {
  const Parsed parsed = good(
      "crypto pki server RA\n grant auto\n mode ra\n no shutdown\n"
      "crypto pki trustpoint RA\n enrollment url http://ca\n hash sha384\n");
  const Server& server = parsed.configuration.servers.front();
  EXPECT_EQ(server.mode, ServerMode::ra);
  EXPECT_EQ(server.issuer_name, "CN=RA, OU=ioscs RA");
  ASSERT_TRUE(server.upstream);
  EXPECT_EQ(server.upstream->url, "http://ca");
  EXPECT_EQ(server.upstream->hash, HashName::sha384);
  EXPECT_FALSE(server.upstream->unchecked);
  const Trustpoint& own = parsed.configuration.trustpoints.front();
  EXPECT_EQ(own.role, Role::ra);
  EXPECT_EQ(own.subject_name, "CN=RA, OU=ioscs RA");
  EXPECT_EQ(own.auto_enroll, 50) << "early, for its devices need it before them";
  EXPECT_TRUE(own.fqdn_none);

  const Parsed named = good(
      "crypto pki server RA\n mode ra transparent\n no shutdown\ncrypto pki trustpoint RA\n"
      " enrollment url http://ca\n subject-name CN=any\n revocation-check none\n");
  EXPECT_EQ(named.configuration.servers.front().mode, ServerMode::ra_transparent);
  EXPECT_TRUE(named.configuration.servers.front().upstream->unchecked);
  EXPECT_FALSE(named.configuration.trustpoints.front().auto_enroll) << "it has none of its own";
  EXPECT_TRUE(named.configuration.trustpoints.front().relays);
}

TEST(Config, WhatARegistrationAuthorityHasNoUseForIsNamed) {
  const Parsed parsed = good(
      "crypto pki server RA\n issuer-name CN=x\n lifetime certificate 100\n auto-rollover 90\n"
      " lifetime enrollment-request 10\n mode ra\n no shutdown\n"
      "crypto pki trustpoint RA\n enrollment url http://ca\n");
  EXPECT_THAT(not_effective(parsed),
              ElementsAre("issuer-name CN=x: an RA issues nothing; its name is the subject-name of "
                          "its trustpoint",
                          "lifetime certificate 100: an RA issues nothing, the CA above it does",
                          "auto-rollover 90: an RA issues nothing, the CA above it does"));
  EXPECT_FALSE(parsed.configuration.servers.front().auto_rollover);
  EXPECT_EQ(parsed.configuration.servers.front().lifetime_enrollment_request,
            std::chrono::hours{10});
  const Parsed transparent = good(
      "crypto pki server RA\n grant auto\n mode ra transparent\n no shutdown\n"
      "crypto pki trustpoint RA\n enrollment url http://ca\n");
  EXPECT_THAT(not_effective(transparent),
              ElementsAre("grant auto: a transparent RA passes everything on"));
}

TEST(Config, AServerThatIsNoRootNeedsItsUpperCaAndAgreesWithItsTrustpoint) {
  const auto what = [](const std::string& text) {
    const Parsed parsed = parse(text);
    return parsed.faults.empty() ? std::string() : parsed.faults.front().what;
  };
  EXPECT_EQ(what("crypto pki server SUB\n mode sub-cs\n no shutdown\n"), "SUB has no upper CA");
  EXPECT_EQ(what("crypto pki server SUB\n mode sub-cs\n no shutdown\ncrypto pki trustpoint SUB\n"),
            "SUB has no upper CA");
  for (const std::string mode : {"sub-cs", "ra", "ra transparent"}) {
    EXPECT_EQ(what("crypto pki server A\n keytype ec 256\n mode " + mode +
                   "\ncrypto pki trustpoint A\n enrollment url http://root\n"),
              "a server with a CA above it has an RSA key")
        << mode;
    EXPECT_EQ(what("crypto pki server A\n no shutdown\n mode " + mode + "\n"), "A has no upper CA")
        << mode;
    // Typed line by line, whichever of the two comes first.
    EXPECT_EQ(what("crypto pki server A\n mode " + mode + "\n"), "") << mode;
    EXPECT_EQ(what("crypto pki server A\n mode " + mode + "\ncrypto pki trustpoint A\n"), "");
    EXPECT_EQ(what("crypto pki trustpoint A\n enrollment url http://root\ncrypto pki server A\n"),
              "");
  }
  EXPECT_EQ(what("crypto pki server RA\n mode ra\ncrypto pki trustpoint RA\n enrollment url "
                 "http://ca\n subject-name CN=ra\n"),
            "the CA above knows no RA by this name");
  EXPECT_EQ(what("crypto pki server SUB\n issuer-name CN=a\n mode sub-cs\n"
                 "crypto pki trustpoint SUB\n enrollment url http://root\n subject-name CN=b\n"),
            "the server's issuer-name says something else");
  EXPECT_EQ(what("crypto pki server SUB\n mode sub-cs\ncrypto pki trustpoint SUB\n enrollment "
                 "url http://root\n storage pem /tmp\n"),
            "the key of certificate server SUB is not written in the clear");
}

TEST(Config, ActionsAreNamedAndNotKept) {
  const Parsed parsed = good(
      "crypto pki authenticate T\ncrypto pki server A rollover cancel\n"
      "crypto key generate rsa label L modulus 2048\n");
  EXPECT_EQ(parsed.running_config, "!\n");
  EXPECT_THAT(not_effective(parsed),
              ElementsAre("crypto pki authenticate T", "crypto pki server A rollover cancel",
                          "crypto key generate rsa label L modulus 2048"));
}

TEST(Config, RunningConfigurationIsInOrderWithoutDefaultsAndWithObscuredSecrets) {
  const Parsed parsed = good(
      "ip http port 8080\nip http server\n"
      "crypto pki trustpoint T\n auto-enroll 080\n enrollment url http://h\n password 0 hush\n"
      "crypto pki server S\n no shutdown\n lifetime crl 6 0\n lifetime certificate 10 0 0\n"
      " grant auto\n issuer-name CN=S\n database level complete\n challenge password hush\n"
      "hostname here\n");
  EXPECT_EQ(
      parsed.running_config,
      "!\nhostname here\n!\ncrypto pki server S\n database level complete\n"
      " issuer-name CN=S\n grant auto\n lifetime certificate 10\n"
      " challenge password 7 " +
          encode_type7("hush", 'h' + 'u' + 's' + 'h') +
          "\n no shutdown\n!\ncrypto pki trustpoint T\n enrollment url http://h\n password 7 " +
          encode_type7("hush", 'h' + 'u' + 's' + 'h') +
          "\n auto-enroll 80\n!\nip http server\nip http port 8080\n!\n");
}

TEST(Config, ReadsItsOwnRunningConfigurationBack) {
  for (const std::string& text : {file("guide-server.txt"), file("guide-client.txt"),
                                  file("guide-chain.txt"), file("everything.txt")}) {
    const Parsed once = good(text);
    const Parsed again = good(once.running_config);
    EXPECT_EQ(again.configuration, once.configuration);
    EXPECT_EQ(again.chains, once.chains);
    EXPECT_EQ(again.running_config, once.running_config);
  }
}

TEST(Config, EverythingMatchesItsGoldenText) {
  vectors::expect_golden("config/everything-running.txt",
                         good(file("everything.txt")).running_config);
}

TEST(Config, ReadsWhereFilesArePublished) {
  const Parsed parsed = good(
      "crypto pki server A\n database level names\n database url ftp://10.0.0.1/db\n"
      " database url crl unix:/srv/crl\n database url crl publish http://h/x username u password 0 "
      "p\n"
      " database url ser flash:/CA\n database username all password 7 01100F175804575D72\n"
      " database strict\n");
  const Server& s = parsed.configuration.servers.at(0);
  EXPECT_EQ(s.database, (FilePlace{"ftp://10.0.0.1/db", "", std::nullopt}));
  EXPECT_EQ(s.database_of.at(FileType::crl), (FilePlace{"unix:/srv/crl", "", std::nullopt}));
  EXPECT_EQ(s.database_of.at(FileType::ser), (FilePlace{"flash:/CA", "", std::nullopt}));
  EXPECT_EQ(s.database_copies.at(FileType::crl), (FilePlace{"http://h/x", "u", "p"}));
  EXPECT_EQ(s.database_username, "all");
  EXPECT_EQ(s.database_password, "cisco123");
  EXPECT_TRUE(s.database_strict);
  EXPECT_THAT(not_effective(parsed), IsEmpty());
  EXPECT_EQ(good("crypto pki server A\n database url crl unix:/a\n database url crl publish "
                 "unix:/b\n no database url crl publish\n")
                .configuration.servers.at(0)
                .database_copies.size(),
            0U);
}

TEST(Config, TheServersOwnTrustpointIsLetPass) {
  const Parsed parsed =
      good("crypto pki server A\ncrypto pki trustpoint A\n revocation-check crl\n rsakeypair A\n");
  EXPECT_THAT(parsed.configuration.trustpoints, IsEmpty());
  EXPECT_THAT(not_effective(parsed), ElementsAre("crypto pki trustpoint A"));
}

TEST(Chain, IsPrintedAsTheRouterPrintsIt) {
  const std::string text = file("guide-chain.txt");
  const auto chain = parse_chain(text);
  ASSERT_TRUE(chain) << chain.error().detail;
  ASSERT_EQ(chain->certificates.size(), 2U);
  EXPECT_EQ(chain->certificates[0].kind, ChainKind::ca_rollover);
  EXPECT_EQ(chain->certificates[0].serial, "03");
  EXPECT_EQ(chain->certificates[1].der.size(), 571U);
  EXPECT_EQ(to_string(*chain), text);
}

TEST(CommandTable, EveryWordHasItsHelp) {
  for (const Command& command : command_table()) {
    const auto bars = std::count(command.help.begin(), command.help.end(), '|');
    EXPECT_EQ(static_cast<std::size_t>(bars + 1), words_of(command).size()) << command.syntax;
    for (const Word& word : words_of(command)) EXPECT_FALSE(word.help.empty()) << command.syntax;
  }
}

TEST(CommandTable, DefaultsAreCommandsOfTheirOwnMode) {
  for (const Command& command : command_table()) {
    if (command.otherwise.starts_with('[')) continue;
    const Outcome outcome =
        grammar(command.mode).match(command.otherwise, tokenize(command.otherwise));
    ASSERT_EQ(outcome.verdict, Verdict::matched) << command.otherwise;
    EXPECT_EQ(outcome.match.command->key, command.key);
  }
}

TEST(CommandTable, IsTheCommandReference) {
  const std::string path = std::string(UMBRA_SOURCE_DIR) + "/docs/commands.md";
  if (std::getenv("UPDATE_GOLDEN")) std::ofstream(path) << command_reference();
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), command_reference()) << "UPDATE_GOLDEN=1 rewrites docs/commands.md";
}

TEST(Config, ATrustpointMayAskForOtherNames) {
  const auto parsed = parse(
      "crypto pki trustpoint T\n enrollment url http://ca\n"
      " subject-alt-name vpn.example.net 192.0.2.1 email:noc@example.net\n"
      " eku request server-auth client-auth\n");
  ASSERT_TRUE(parsed.faults.empty());
  const auto& trustpoint = parsed.configuration.trustpoints.at(0);
  ASSERT_EQ(trustpoint.alt_names.size(), 3U);
  EXPECT_EQ(trustpoint.alt_names[1].kind, x509::AltNameKind::ip);
  EXPECT_EQ(trustpoint.eku_request.size(), 2U);
  EXPECT_NE(parsed.running_config.find(
                " subject-alt-name vpn.example.net 192.0.2.1 email:noc@example.net\n"),
            std::string::npos);
  const auto wrong =
      parse("crypto pki trustpoint T\n enrollment url http://ca\n subject-alt-name ip:1.2.3\n");
  ASSERT_EQ(wrong.faults.size(), 1U);
  EXPECT_EQ(wrong.faults[0].line, 3U);
  EXPECT_NE(wrong.faults[0].what.find("is no IP address"), std::string::npos);
  const auto place = [](const std::string& names) {
    const auto one = parse(
        "crypto pki trustpoint T\n enrollment url http://ca\n subject-alt-name " + names + "\n");
    return one.faults.size() == 1 ? one.faults[0].column : 0;
  };
  EXPECT_EQ(place("a.b 999.1.1.1"), 23U) << "an address that is none is no DNS name";
  EXPECT_EQ(place("ip 192.0.2.1"), 19U) << "the colon is missing";
}

TEST(Type7, IsDecodedAndEncodedAsOnTheRouter) {
  EXPECT_EQ(decode_type7("01100F175804575D72").value_or("?"), "cisco123");
  EXPECT_EQ(encode_type7("cisco123", 1), "01100F175804575D72");
  const std::string long_one(120, 'x');
  for (unsigned salt = 0; salt < 20; ++salt) {
    EXPECT_EQ(decode_type7(encode_type7(long_one, salt)).value_or("?"), long_one);
  }
  for (const char* text : {"", "01", "0", "99AA", "01G0", "0110 0F", "011"}) {
    EXPECT_FALSE(decode_type7(text)) << text;
  }
}

}  // namespace
}  // namespace umbra::config
