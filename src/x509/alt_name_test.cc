#include "x509/alt_name.h"

#include <gtest/gtest.h>

namespace umbra::x509 {
namespace {

std::string parsed(std::string_view text) {
  const auto name = parse_alt_name(text);
  if (!name) return "none";
  constexpr const char* kinds[] = {"dns ", "ip ", "email ", "uri "};
  return kinds[static_cast<int>(name->kind)] + name->text;
}

TEST(AltName, IsReadWithAndWithoutItsKind) {
  EXPECT_EQ(parsed("vpn.example.net"), "dns vpn.example.net");
  EXPECT_EQ(parsed("dns:1.example.3com"), "dns 1.example.3com");
  EXPECT_EQ(parsed("dns:*.example.net"), "dns *.example.net");
  EXPECT_EQ(parsed("192.0.2.1"), "ip 192.0.2.1");
  EXPECT_EQ(parsed("ip:2001:db8::1"), "ip 2001:db8::1");
  EXPECT_EQ(parsed("email:noc@example.net"), "email noc@example.net");
  EXPECT_EQ(parsed("uri:spiffe://example.net/vpn"), "uri spiffe://example.net/vpn");
  for (const char* wrong : {"",
                            "dns:",
                            "a..b",
                            "-a.b",
                            "a b",
                            "ip:300.1.1.1",
                            "ip:",
                            "email:noc",
                            "email:@a",
                            "uri:nothing",
                            "uri::x",
                            "a.b.",
                            "x@y",
                            "dns:a\nb",
                            "ü.example",
                            "999.1.1.1",
                            "dns:999.1.1.1",
                            "1.2.3",
                            "noc@192.0.2",
                            "ip",
                            "dns",
                            "email",
                            "uri"}) {
    EXPECT_EQ(parsed(wrong), "none") << wrong;
  }
  EXPECT_EQ(parsed(std::string(64, 'a') + ".b"), "none");
}

TEST(AltName, EncodesEachKindWithItsTag) {
  const auto extension = subject_alt_names({{AltNameKind::dns, "a.b"},
                                            {AltNameKind::ip, "192.0.2.1"},
                                            {AltNameKind::ip, "2001:db8::1"},
                                            {AltNameKind::email, "n@a.b"},
                                            {AltNameKind::uri, "x:y"}});
  EXPECT_EQ(extension.oid, "2.5.29.17");
  EXPECT_FALSE(extension.critical);
  EXPECT_EQ(to_hex(extension.value),
            "3029"
            "8203612E62"
            "8704C0000201"
            "871020010DB8000000000000000000000001"
            "81056E40612E62"
            "8603783A79");
}

}  // namespace
}  // namespace umbra::x509
