#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/lab_test.h"

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

TEST(Config, ActionsAreNamedAndNotKept) {
  const Parsed parsed = good(
      "crypto pki authenticate T\ncrypto pki server A rollover cancel\n"
      "crypto key generate rsa label L modulus 2048\n");
  EXPECT_EQ(parsed.running_config, "!\n");
  EXPECT_THAT(not_effective(parsed),
              ElementsAre("crypto pki authenticate T", "crypto pki server A rollover cancel",
                          "crypto key generate rsa label L modulus 2048"));
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

}  // namespace
}  // namespace umbra::config
