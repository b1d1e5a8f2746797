#include "x509/name.h"

#include <gtest/gtest.h>

namespace umbra::x509 {
namespace {

TEST(Name, IsTypedInReverseOfItsDer) {
  const Name name = *Name::from_ios("CN=RootCA,OU=TAC,O=Cisco");
  EXPECT_EQ(to_hex(name.der()),
            "302F310E300C060355040A1305436973636F310C300A060355040B1303544143310F300D06035504031306"
            "526F6F744341");
  EXPECT_EQ(name.screen_lines(), (std::vector<std::string>{"cn=RootCA", "ou=TAC", "o=Cisco"}));
  EXPECT_EQ(name.joined(), "cn=RootCA,ou=TAC,o=Cisco");
  EXPECT_EQ(*name.first(oid_common_name), "RootCA");
}

TEST(Name, DeviceAttributesAreOneRdnAtTheEnd) {
  const Name name =
      *Name::from_ios("", {.serial_number = "67109104", .ip_address = {}, .fqdn = "R15.otus.ru"});
  EXPECT_EQ(name.screen_lines(),
            (std::vector<std::string>{"serialNumber=67109104+hostname=R15.otus.ru"}));
}

TEST(Name, ProtectedSeparatorsBelongToTheValue) {
  const Name name = *Name::from_ios("CN=A\\, B+OU=\"x,y\", O=Umbra Networks");  // a SET is sorted
  EXPECT_EQ(name.screen_lines(), (std::vector<std::string>{"ou=x,y+cn=A, B", "o=Umbra Networks"}));
}

TEST(Name, SaysWhichPartIsWrong) {
  for (const char* text : {"RootCA", "CN=", "XX=1", "CN=a,", "C=Germany", "CN=\"a", "CN=a\\"}) {
    EXPECT_FALSE(Name::from_ios(text)) << text;
  }
  EXPECT_NE(Name::from_ios("CN=a,FOO=b").error().detail.find("FOO"), std::string::npos);
}

TEST(Name, EqualityFoldsCaseAndBlanksAndStringTypes) {
  EXPECT_EQ(*Name::from_ios("CN=root  ca"), *Name::from_ios("CN=Root CA"));
  EXPECT_FALSE(*Name::from_ios("CN=root") == *Name::from_ios("OU=root"));
  EXPECT_FALSE(*Name::from_ios("CN=a,O=b") == *Name::from_ios("O=b,CN=a"));
}

TEST(Name, FindsAValueAsNamesAreCompared) {
  const Name name = *Name::from_ios("CN=ra,OU=Branch+OU=IOSCS  ra,O=Cisco");
  EXPECT_TRUE(name.has(oid_organizational_unit, "ioscs RA"));
  EXPECT_TRUE(name.has(oid_organizational_unit, "branch"));
  EXPECT_FALSE(name.has(oid_organizational_unit, "ioscs"));
  EXPECT_FALSE(name.has(oid_common_name, "ioscs RA"));
  EXPECT_FALSE(Name().has(oid_common_name, ""));
}

TEST(Name, NoPeerForgesAScreenLine) {
  const Name name = *Name::from_ios("CN=a\nCertificate");
  EXPECT_EQ(name.screen_lines(), (std::vector<std::string>{"cn=a\\0ACertificate"}));
  EXPECT_EQ(Name::from_ios("CN=a\xC2\x9B"
                           "2J")
                ->joined(),
            "cn=a\\C2\\9B2J");
}

TEST(Name, WritesOnlyCharactersThatTheStringTypeHas) {
  EXPECT_NE(to_hex(Name::from_ios("serialNumber=a_1")->der()).find("0C03615F31"),
            std::string::npos);  // UTF8String
  EXPECT_FALSE(Name::from_ios("C=_1"));
  EXPECT_FALSE(Name::from_ios("hostname=m\xC3\xBCnchen"));
  EXPECT_FALSE(Name::from_ios("", {.serial_number = {}, .ip_address = {}, .fqdn = "\xC3\xBC"}));
}

}  // namespace
}  // namespace umbra::x509
