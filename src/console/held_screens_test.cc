#include "console/held_screens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "console/lab_test.h"
#include "golden.h"

namespace umbra::console {
namespace {

using vectors::expect_golden;

TEST(CertificateList, HasIosColumns) {
  std::string screen = certificate_list_head();
  const TimeZone utc;
  for (const server::CertificateLine& line : std::vector<server::CertificateLine>{
           {x509::Serial(1), lab::at("2025-03-24T05:52:21Z"), lab::at("2028-03-23T05:52:21Z"),
            "cn=R12", std::nullopt},
           {x509::Serial(2), lab::at("2025-03-24T06:14:56Z"), lab::at("2026-03-24T06:14:56Z"),
            "serialNumber=67109088+hostname=R14.moscow.ru", std::nullopt},
           {*x509::Serial::from_hex("7FEDCBA98765432100112233445566AA"),
            lab::at("2025-04-02T06:14:56Z"), lab::at("2026-04-02T06:14:56Z"), "cn=\n1  forged",
            std::nullopt}})
    screen += certificate_list_line(line, utc);
  expect_golden("screens/server-certificates.txt", screen);
}

TEST(KeysScreen, IsTheGuides) {
  const auto key = [](const char* name) { return lab::certificate(name).public_key(); };
  expect_golden(
      "screens/keys.txt",
      keys_screen(
          {{{"ROOTCA", key("guide/ca-01.hex"), lab::at("2015-10-09T12:14:16Z")}, true},
           {{"ROOTCA#", key("guide/ca-rollover-03.hex"), lab::at("2017-07-10T12:14:18Z")}, false}},
          lab::cet));
}

TEST(KeysScreen, SaysWhatIsNotKnownAndWhatMayLeave) {
  const auto key = x509::PrivateKey::generate_ec(256).value().public_key();
  const std::string screen = keys_screen({{{"EC", key, std::nullopt, true}, false}}, lab::cet);
  EXPECT_THAT(screen, ::testing::StartsWith("% Key pair was generated at: (not recorded)\n"
                                            "Key name: EC\n"
                                            "Key type: EC KEYS\n"
                                            " Storage Device: not specified\n"
                                            " Usage: Signature Key\n"
                                            " Key is exportable.\n"
                                            " Key Data:\n  30593013 "));
}

TEST(CrlsScreen, TellsWhatWasFetchedFromWhatWasMade) {
  expect_golden("screens/crls.txt",
                crls_screen({{"cn=root,C=pki", lab::at("2025-01-27T07:09:13Z"),
                              lab::at("2025-01-27T07:39:13Z"), 350, lab::at("2025-01-27T07:10:18Z"),
                              "** CDP Not Published - Retrieved via SCEP"},
                             {"cn=RootCA,ou=TAC,o=Cisco", lab::at("2025-01-27T06:00:00Z"),
                              lab::at("2025-01-27T12:00:00Z"), 375, std::nullopt,
                              "** Signed by certificate server ROOTCA"}},
                            {"IST", std::chrono::minutes{330}}));
}

TEST(CountersScreen, HasTwelveLines) {
  Counters counters;
  counters.validated = 6;
  for (int i = 0; i < 11; ++i) static_cast<void>(counted_session(&counters));
  const auto active = counted_session(&counters);
  expect_golden("screens/counters.txt", counters_screen(counters));
  EXPECT_EQ(counted_session(nullptr), nullptr);
}

}  // namespace
}  // namespace umbra::console
