#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/lab_test.h"

namespace umbra::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct FaultCase {
  const char* name;
  const char* text;
  std::size_t line;
  std::size_t column;
  const char* what;
  const char* hint;
};
class ConfigFault : public ::testing::TestWithParam<FaultCase> {};

TEST_P(ConfigFault, IsNamedWithPlaceAndRemedy) {
  const FaultCase& c = GetParam();
  const Parsed parsed = parse(c.text);
  ASSERT_EQ(parsed.faults.size(), 1U) << faults(parsed);
  const Fault& fault = parsed.faults[0];
  EXPECT_EQ(fault.line, c.line);
  EXPECT_EQ(fault.column, c.column);
  EXPECT_THAT(fault.what, HasSubstr(c.what));
  EXPECT_THAT(fault.hint, HasSubstr(c.hint));
}

#define SERVER "crypto pki server A\n"
#define TRUSTPOINT "crypto pki trustpoint A\n enrollment url http://h\n"

INSTANTIATE_TEST_SUITE_P(
    , ConfigFault,
    ::testing::Values(
        FaultCase{"UnknownCommand", SERVER " isuer-name CN=A\n", 2, 2,
                  "unknown command \"isuer-name\"",
                  "expected: a certificate server command; did you mean \"issuer-name\"?"},
        FaultCase{"UnknownGlobal", "hostnam e\nhosntame x\n", 2, 1, "unknown command \"hosntame\"",
                  "expected: a global command; did you mean \"hostname\"?"},
        FaultCase{"UnknownWord", SERVER " database level compleet\n", 2, 17,
                  "unknown word \"compleet\"",
                  "expected: \"minimum\", \"names\" or \"complete\"; did you mean \"complete\"?"},
        FaultCase{"NoPlace", SERVER " database url rcp://h/x\n", 2, 15,
                  "files cannot be kept on rcp:", "expected: a device such as nvram:"},
        FaultCase{"RelativePlace", SERVER " database url unix:x\n", 2, 15,
                  "unix: without an absolute path", "unix:/DIR"},
        FaultCase{"PlaceWithoutHost", SERVER " database url crl ftp:/x\n", 2, 19,
                  "ftp: without a host", "HOST/DIR"},
        FaultCase{"PlaceAbove", SERVER " database url nvram:/../keys\n", 2, 15,
                  "a directory above the one that is named", ""},
        FaultCase{"AccountInUrl", SERVER " database url ftp://u:Hush@h/x\n", 2, 15,
                  "an account inside a URL", "URL username USER password PASSWORD"},
        FaultCase{"CopyOfSerials", SERVER " database url ser publish unix:/x\n", 2, 27,
                  "a copy for readers of what no reader needs", "cnm, crl or crt"},
        FaultCase{"SharedDatabase",
                  SERVER " database level complete\ncrypto pki server B\n database url nvram:\n"
                         " database level names\n",
                  5, 2, "server A already keeps files named by serial numbers on nvram:",
                  "a \"database url\" for each server"},
        FaultCase{"Range", SERVER " lifetime certificate 9999\n", 2, 23, "9999 is out of range",
                  "expected: DAYS (0-7305)"},
        FaultCase{"EcWithModulus", SERVER " keytype ec 256\n modulus 3072\n", 3, 10,
                  "an EC key has no modulus", "either \"modulus\" or \"keytype ec\""},
        FaultCase{"EcWithMd5", SERVER " keytype ec 256\n allow legacy md5\n hash md5\n", 4, 2,
                  "there is no ECDSA with MD5", "hash sha256"},
        FaultCase{"EcOfAnotherSize", SERVER " keytype ec 521\n", 2, 13, "\"521\"",
                  "\"256\" or \"384\""},
        FaultCase{"EkuTwice", SERVER " eku server-auth client-auth server-auth\n", 2, 2,
                  "server-auth is there twice", "expected: each purpose once"},
        FaultCase{"EkuUnknown", SERVER " eku server-auth ipsec\n", 2, 18, "\"ipsec\"",
                  "expected: "},
        FaultCase{"SerialNoNumber", SERVER " serial-number 12AB\n", 2, 16,
                  "\"12AB\" is no serial number", "hexadecimal behind 0x"},
        FaultCase{"SerialNegative", SERVER " serial-number -1\n", 2, 16,
                  "\"-1\" is no serial number", "expected: decimal"},
        FaultCase{"SerialBare0x", SERVER " serial-number 0x\n", 2, 16, "\"0x\" is no serial number",
                  "expected: decimal"},
        FaultCase{"SerialAtTheEnd", SERVER " serial-number 0xFFFFFFFFFFFFFFF0\n", 2, 16,
                  "0xFFFFFFFFFFFFFFF0 leaves too few serial numbers above it",
                  "expected: 0 to 0x3FFFFFFFFFFFFFFF"},
        FaultCase{"SerialBeyond64Bits", SERVER " serial-number 0x10000000000000000\n", 2, 16,
                  "leaves too few serial numbers above it", "\"random\""},
        FaultCase{"SerialFirstAboveTheLimit", SERVER " serial-number 4611686018427387904\n", 2, 16,
                  "leaves too few", "expected: 0 to"},
        FaultCase{"LifetimeOfNothing", SERVER " lifetime certificate 0 0 0\n", 2, 2,
                  "a lifetime of nothing", "at least one minute"},
        FaultCase{"LifetimeHours", SERVER " lifetime ca-certificate 1 24\n", 2, 28,
                  "24 is out of range", "expected: HOURS (0-23)"},
        FaultCase{"LifetimeMinutes", SERVER " lifetime ca-certificate 1 23 60\n", 2, 31,
                  "60 is out of range", "expected: MINUTES (0-59)"},
        FaultCase{"LifetimeTooLong", SERVER " lifetime ca-certificate 7306\n", 2, 26,
                  "7306 is out of range", "expected: DAYS (0-7305)"},
        FaultCase{"NoNumber", SERVER " lifetime crl six\n", 2, 15, "\"six\" is not a number",
                  "expected: HOURS (0-336)"},
        FaultCase{"Percent", TRUSTPOINT " auto-enroll 101\n", 3, 14, "unknown word \"101\"",
                  "expected: PERCENT (10-100) or \"regenerate\""},
        FaultCase{"Incomplete", SERVER " lifetime crl\n", 2, 15, "incomplete command",
                  "expected: HOURS (0-336)"},
        FaultCase{"Ambiguous", SERVER " lifetime c 5\n", 2, 11, "\"c\" is short for several words",
                  "\"crl\", \"certificate\" or \"ca-certificate\""},
        FaultCase{"TooMuch", SERVER " lifetime crl 5 0 0\n", 2, 19, "\"0\" is too much",
                  "expected: the end of the line"},
        FaultCase{"OtherMode", SERVER " enrollment url http://h\n", 2, 2,
                  "unknown command \"enrollment\"", "a command of crypto pki trustpoint NAME"},
        FaultCase{"WrongOpenerIsOneFault", "crypto pki sever A\n grant auto\n no shutdown\n", 1, 12,
                  "unknown word \"sever\"", "did you mean \"server\"?"},
        FaultCase{"OpenerWithTooMuch", "crypto pki server A B\n grant auto\n", 1, 21,
                  "unknown word \"B\"", "\"rollover\""},
        FaultCase{"Name", "crypto pki server ../etc\n grant auto\n", 1, 19,
                  "\"../etc\" cannot be a name", "figures, dots"},
        FaultCase{"NoAlone", "no\n", 1, 4, "incomplete command", "a global command"},
        FaultCase{"NoServer", "crypto pki server A\nno crypto pki server\n", 2, 22,
                  "incomplete command", "expected: NAME"},
        FaultCase{"NoTrustpoint", "default cry ca trustp\n", 1, 23, "incomplete command", "NAME"},
        FaultCase{"NoProfile", "no crypto pki profile enrollment\n", 1, 34, "incomplete command",
                  "NAME"},
        FaultCase{"NoChain", "no crypto pki certificate chain\n", 1, 33, "incomplete command",
                  "NAME"},
        FaultCase{"NoHalf", SERVER " no lifetime\n", 2, 14, "incomplete command", "\"crl\""},
        FaultCase{"Issuer", SERVER " issuer-name RootCA\n", 2, 14,
                  "DN is not a valid subject name: \"RootCA\"", "CN=RootCA"},
        FaultCase{"IssuerType", SERVER " issuer-name CN=A,XX=B\n", 2, 14, "\"XX\" is no name type",
                  "TYPE=value"},
        FaultCase{"Subject", TRUSTPOINT " subject-name CN=spoke-1, CVO\n", 3, 15,
                  "Invalid subject name: \"CVO\" in a name is not TYPE=value (character 13 of the "
                  "name)",
                  "such as CN=spoke-1.cisco.com,OU=CVO"},
        FaultCase{"IssuerQuote", SERVER " issuer-name CN=\"A\n", 2, 14, "not closed", ""},
        FaultCase{"Overlap", SERVER " lifetime ca-certificate 90\n auto-rollover 90\n", 3, 16,
                  "not shorter", "less than 90 days"},
        FaultCase{"Nothing", SERVER " lifetime certificate 0\n", 2, 2, "a lifetime of nothing", ""},
        FaultCase{"Md5", SERVER " hash md5\n", 2, 2, "MD5", "allow legacy md5"},
        FaultCase{"Sha1", SERVER " hash sha1\n no allow sha1\n", 2, 2, "contradicts", "sha256"},
        FaultCase{"Modulus", SERVER " modulus 1024\n", 2, 10, "1024 bits is too weak",
                  "allow legacy rsa-1024"},
        FaultCase{"ModulusTooSmall", SERVER " modulus 512\n allow legacy rsa-1024\n", 2, 10,
                  "512 bits is refused", "2048"},
        FaultCase{"ClientMd5", TRUSTPOINT " hash md5\n", 3, 2, "MD5", "allow legacy md5"},
        FaultCase{"ClientModulus", TRUSTPOINT " rsakeypair L 1024\n", 3, 15, "too weak",
                  "allow legacy rsa-1024"},
        FaultCase{"NoUrl", "crypto pki trustpoint A\n auto-enroll 80\n", 2, 2,
                  "auto-enroll without an enrollment url", "enrollment url http://HOST"},
        FaultCase{"Url", "crypto pki trustpoint A\n enrollment url 10.1.1.1\n", 2, 17,
                  "\"10.1.1.1\" is not a URL", "URL"},
        FaultCase{"UrlScheme", "crypto pki trustpoint A\n enrollment url tftp://10.1.1.1\n", 2, 17,
                  "SCEP runs over HTTP", "http://HOST"},
        FaultCase{"UrlPort", "crypto pki trustpoint A\n enrollment url http://h:99999\n", 2, 17,
                  "\"99999\" is no port", "http://HOST"},
        FaultCase{"Fingerprint", TRUSTPOINT " fingerprint ABCD\n", 3, 14,
                  "a fingerprint of 4 digits", "64 (SHA-256)"},
        FaultCase{"Type7", TRUSTPOINT " password 7 zz\n", 3, 13, "not a type 7 password",
                  "behind 0"},
        FaultCase{"Type6WithWordsOfAScreen",
                  TRUSTPOINT " password 6 Building configuration...57504575D44\n", 3, 11,
                  "a type 6 password cannot be read here", "behind 0"},
        FaultCase{"Type6", TRUSTPOINT " password 6 RHOfSAIQDhGTEHgO\n", 3, 11,
                  "a type 6 password cannot be read here", "behind 0"},
        FaultCase{"Port", "ip http port 443\n", 1, 14, "443 is out of range", "1024-65535"},
        FaultCase{"Address", "ip http address 10.0.0\n", 1, 17, "\"10.0.0\" is not an IPv4 address",
                  "ADDRESS"},
        FaultCase{"OwnTrustpoint", SERVER " no shutdown\n" TRUSTPOINT, 4, 2,
                  "A is a root certificate server", "another name"},
        FaultCase{"Namesakes", SERVER "crypto pki server a\n", 2, 1, "only in the case of letters",
                  ""},
        FaultCase{"SharedDirectory",
                  "crypto pki trustpoint A\n storage pem /d\ncrypto pki trustpoint B\n storage pem "
                  "/d\n",
                  4, 14, "trustpoint A already writes", "a place of its own for each"},
        FaultCase{"SharedDirectoryDot",
                  "crypto pki trustpoint A\n storage pem /d\ncrypto pki trustpoint B\n storage pem "
                  "/./d/\n",
                  4, 14, "trustpoint A already writes", "a place of its own for each"},
        FaultCase{
            "SharedDirectoryUp",
            "crypto pki trustpoint A\n storage pem /d/../d\ncrypto pki trustpoint B\n storage "
            "pem /d//\n",
            4, 14, "trustpoint A already writes", "a place of its own for each"},
        FaultCase{"SharedArchive",
                  "crypto pki trustpoint A\n storage pkcs12 /d/a.p12 password 0 secret-42\n"
                  "crypto pki trustpoint B\n storage pkcs12 /d/./a.p12 password 0 secret-42\n",
                  4, 17, "trustpoint A already writes", "a place of its own for each"},
        FaultCase{"ArchiveInDirectory",
                  "crypto pki trustpoint A\n storage pkcs12 /d/sub/a.p12 password 0 secret-42\n"
                  "crypto pki trustpoint B\n storage pem /x/../d\n",
                  2, 17, "within the directory of trustpoint B", "a place of its own for each"},
        FaultCase{"ArchiveAsKey",
                  "crypto pki trustpoint A\n storage pem /d\n storage pkcs12 /d/key.pem password 0 "
                  "secret-42\n",
                  3, 17, "of trustpoint A keeps key.pem there", "another name"},
        FaultCase{"DirectoryAsRollover",
                  "crypto pki trustpoint A\n storage pem /d\ncrypto pki trustpoint B\n storage pem "
                  "/d/rollover\n",
                  4, 14, "of trustpoint A keeps rollover there", "another directory"},
        FaultCase{"DirectoryInFile",
                  "crypto pki trustpoint A\n storage pkcs12 /d password 0 secret-42\n"
                  "crypto pki trustpoint B\n storage pem /d/b\n",
                  4, 14, "the file of trustpoint A", "a place of its own for each"},
        FaultCase{"Hostname",
                  "hostname aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 1,
                  10, "a name of 64 characters", "at most 63"},
        FaultCase{"Control", "hostname a\x01\n", 1, 11, "control character U+0001", "text"},
        FaultCase{"NotUtf8", "hostname a\xFF\n", 1, 11, "octet 0xFF is no UTF-8", "UTF-8"},
        FaultCase{"NoBreakSpace", "hostname\xC2\xA0x\n", 1, 9,
                  "NO-BREAK SPACE (U+00A0) looks like a blank", "did you mean \"hostname x\"?"},
        FaultCase{"Dash", SERVER " auto\xE2\x80\x93rollover 90\n", 2, 6,
                  "EN DASH (U+2013) looks like \"-\"", "did you mean \"auto-rollover\"?"},
        FaultCase{"NameLookAlike", "crypto pki server R\xD0\xBEot\n", 1, 20,
                  "CYRILLIC SMALL LETTER O (U+043E)", "did you mean \"Root\"?"},
        FaultCase{"ChainCutOff",
                  "crypto pki certificate chain A\n certificate ca 01\n  30820237 308201A0\n "
                  "quit\n",
                  4, 2, "cut off", "DER"},
        FaultCase{"ChainNotHex", "crypto pki certificate chain A\n certificate 02\n  3082ZZ\n", 3,
                  3, "no part of a certificate", "quit"},
        FaultCase{"ChainOpenEnd", "crypto pki certificate chain A\n certificate 02\n  3000\n", 2, 1,
                  "has no end", "quit"}),
    [](const auto& one) { return one.param.name; });

TEST(Config, DirectoriesBesideEachOtherAndAnArchiveInItsOwnAreFine) {
  const Parsed parsed = parse(
      "crypto pki trustpoint A\n storage pem /d\n storage pkcs12 /d/a.p12 password 0 secret-42\n"
      "crypto pki trustpoint B\n storage pem /d/b\n"
      "crypto pki trustpoint C\n storage pem /dd\n storage pkcs12 /dd.p12 password 0 secret-42\n");
  EXPECT_TRUE(parsed.faults.empty()) << faults(parsed);
}

TEST(Config, NamesAllFaultsAtOnce) {
  const Parsed parsed = parse(
      "hostnam\ncrypto pki server A\n grant sometimes\n modulus 1024\ncrypto pki trustpoint B\n "
      "auto-enroll 80\n");
  std::vector<std::size_t> lines;
  for (const Fault& fault : parsed.faults) lines.push_back(fault.line);
  EXPECT_THAT(lines, ElementsAre(1U, 3U, 4U, 6U)) << faults(parsed);
}

TEST(Config, FaultsNeverShowSecrets) {
  const Parsed parsed = parse(
      "crypto pki trustpoint B\n password 7 Hush123\n pasword Hush123\n"
      "crypto pki server A\n challenge Hush123\n challenge password 7 Hush123\n"
      " database archive pkcs12 password 0 Hush123 Hush123\n"
      " database url ftp://Hush123:Hush123@h/x\n");
  EXPECT_EQ(parsed.faults.size(), 6U);
  EXPECT_THAT(faults(parsed), Not(HasSubstr("Hush123")));
}

TEST(Config, EndsWithManyBlocksFaultsAndLines) {
  std::string text;
  for (int i = 0; i < 20000; ++i)
    text += "crypto pki server S" + std::to_string(i) + "\n grant auto\n";
  EXPECT_EQ(parse(text).faults.size(), 1001U);  // a thousand, and that there are more
  const std::string wrong(5000, 'x');
  EXPECT_THAT(parse(wrong).faults.at(0).what, HasSubstr("5000 octets"));
  std::string words = "hostname";
  while (words.size() < 4000) words += " a";
  EXPECT_EQ(parse(words).faults.size(), 1U);
  EXPECT_EQ(parse(std::string((16U << 20U) + 1, '!')).faults.size(), 1U);
}

}  // namespace
}  // namespace umbra::config
