#include "base/bytes.h"

#include <gtest/gtest.h>

namespace umbra {
namespace {

TEST(Hex, PrintsUpperCaseAndReadsBothCasesWithBlanks) {
  const Bytes bytes = {0xCC, 0x74, 0x85, 0x44, 0xA0};
  EXPECT_EQ(to_hex(bytes), "CC748544A0");
  EXPECT_EQ(to_hex_groups(bytes), "CC748544 A0 ");
  EXPECT_EQ(*from_hex("cc74 8544\nA0"), bytes);
  EXPECT_EQ(from_hex("abc").error().code, Errc::malformed);
  EXPECT_EQ(from_hex("zz").error().code, Errc::malformed);
}

TEST(Base64, KnownAnswersOfRfc4648) {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : cases) {
    EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
    EXPECT_EQ(as_text(*from_base64(encoded)), plain);
  }
}

TEST(Base64, TakesUrlAlphabetLineEndsAndMissingPadding) {
  EXPECT_EQ(*from_base64("-_8"), (Bytes{0xFB, 0xFF}));
  EXPECT_EQ(*from_base64("+/8=\r\n"), (Bytes{0xFB, 0xFF}));
  EXPECT_EQ(to_base64(Bytes(48, 0), 64), std::string(64, 'A') + "\n");
}

TEST(Base64, RefusesWhatNoEncoderMakes) {
  for (const char* text : {"A", "AA=A", "AAA==", "A*==", "AA="}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

TEST(ConstantTime, ComparesContentAndLength) {
  EXPECT_TRUE(equal_constant_time(as_bytes("secret"), as_bytes("secret")));
  EXPECT_FALSE(equal_constant_time(as_bytes("secret"), as_bytes("Secret")));
  EXPECT_FALSE(equal_constant_time(as_bytes("secret"), as_bytes("secre")));
}

}  // namespace
}  // namespace umbra
