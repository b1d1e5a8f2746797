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

TEST(Name, AsTypedItIsReadAgain) {
  for (const char* text : {"CN=RootCA,O=\"Cisco Systems, Inc.\"", "CN=a\\+b+OU=c\\\"d\\\\41,O=e=f",
                           "CN=\\20x\\20,O=\\0A", "CN=\\,41,2.5.4.9=Main Street,hostname=r1",
                           "CN=M\xC3\xBCnchen,O=#41", "CN=a,2.5.4.6=DEU"}) {
    const Name name = *Name::from_ios(text);
    const auto again = Name::from_ios(name.typed());
    ASSERT_TRUE(again) << name.typed() << ": " << again.error().detail;
    EXPECT_TRUE(equal(again->der(), name.der())) << text << " became " << name.typed();
  }
  EXPECT_EQ(Name::from_ios("CN=RootCA,O=\"Cisco Systems, Inc.\"")->typed(),
            "cn=RootCA,o=Cisco Systems\\, Inc.");
}

TEST(Name, ANulInItIsSeen) {
  EXPECT_FALSE(Name::from_ios("CN=a\\0A,O=b")->has_nul());
  // CN=a NUL b, as PrintableString, and as BMPString
  EXPECT_TRUE(Name::from_der(*from_hex("300E310C300A06035504031303610062"))->has_nul());
  EXPECT_TRUE(Name::from_der(*from_hex("300F310D300B06035504031E0400610000"))->has_nul());
}

TEST(Name, TextOfUnknownOriginIsPrintable) {
  EXPECT_EQ(printable("cn=M\xC3\xBCnchen"), "cn=M\xC3\xBCnchen");
  EXPECT_EQ(printable("cn=\x1b[31m\n\xC2\x9B"), "cn=\\1B[31m\\0A\\C2\\9B");
  EXPECT_EQ(printable("cn=M\xFCnchen\x07"), "cn=M\\FCnchen\\07");
}

TEST(Name, SaysWhichPartIsWrong) {
  for (const char* text : {"RootCA", "CN=", "XX=1", "CN=a,", "C=Germany", "CN=\"a", "CN=a\\"}) {
    EXPECT_FALSE(Name::from_ios(text)) << text;
  }
  EXPECT_NE(Name::from_ios("CN=a,FOO=b").error().detail.find("FOO"), std::string::npos);
}

TEST(Name, SaysWhereItIsWrong) {
  const auto wrong = [](const char* text) { return Name::from_ios(text).error().detail; };
  EXPECT_EQ(wrong("CN=a, Root,O=b"),
            "\"Root\" in a name is not TYPE=value (character 7 of the name)");
  EXPECT_EQ(wrong("CN=M\xC3\xBCller,OU="),
            "\"OU=\" in a name has no value (character 11 of the name)");
  EXPECT_NE(wrong("CN=a+XX=1").find("\"XX\" is no name type (character 6 of the name)"),
            std::string::npos);
  EXPECT_NE(wrong("CN=a,O=\"b,C=DE").find("not closed in a name (character 8 "), std::string::npos);
  EXPECT_NE(wrong("CN=a\\").find("(character 5 "), std::string::npos);
  EXPECT_NE(wrong("O=a,c=Germany").find("two letters (character 5 "), std::string::npos);
  EXPECT_NE(wrong("O=a,CN=b\\00c").find("has a NUL"), std::string::npos);
  EXPECT_NE(wrong("O=a,CN=\\FF").find("is not UTF-8 (character 5 "), std::string::npos);
}

TEST(Name, EveryTypeIsReadAndShown) {
  const Name name = *Name::from_ios(
      "cn=a,OU=b,o=c,L=d,ST=e,C=DE,serialNumber=f,sn=g,gn=h,t=i,dnQualifier=j,e=k@l,hostname=m,"
      "ipaddress=10.0.0.1,dc=n,2.5.4.9=Main Street");
  EXPECT_EQ(name.joined(),
            "cn=a,ou=b,o=c,l=d,st=e,c=DE,serialNumber=f,sn=g,gn=h,t=i,dnQualifier=j,e=k@l,"
            "hostname=m,ipaddress=10.0.0.1,dc=n,2.5.4.9=Main Street");
  EXPECT_EQ(*Name::from_ios(name.joined()), name);
  const std::string der(as_text(name.der()));
  EXPECT_NE(der.find("\x16\x03k@l"), std::string::npos) << "e= is an IA5String";
  EXPECT_NE(der.find("\x13\x02"
                     "DE"),
            std::string::npos);
}

TEST(Name, QuotesEscapesAndUtf8) {
  EXPECT_EQ(*Name::from_ios("CN=\"a \\\"b\\\" + c\""), *Name::from_ios("CN=a \\\"b\\\" \\+ c"));
  EXPECT_EQ(Name::from_ios("CN=\\4D\\C3\\BCller")->joined(), "cn=M\xC3\xBCller");
  EXPECT_EQ(*Name::from_ios("CN=back\\\\slash")->first(oid_common_name), "back\\slash");
  EXPECT_EQ(*Name::from_ios("CN=Dom\\User")->first(oid_common_name), "DomUser");
  EXPECT_NE(as_text(Name::from_ios("CN=M\xC3\xBCller")->der()).find("\x0C\x07M"),
            std::string_view::npos)
      << "UTF8String where PrintableString has no letter for it";
  EXPECT_NE(as_text(Name::from_ios("CN=Muller")->der()).find("\x13\x06M"), std::string_view::npos);
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
