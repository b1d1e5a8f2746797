#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "console/ios_test.h"
#include "console/screens.h"

namespace umbra::console::ios {
namespace {

// -- show crypto pki certificates [verbose]

TEST(IosCertificates, OfTheGuide) {
  server::Status s = lab::root_ca();
  EXPECT_EQ(trimmed(certificates_screen({s}, {}, lab::cet, {})),
            screen("guide-show-crypto-pki-certificates-initial"));
  s.rollover = lab::certificate("guide/ca-rollover-03.hex");
  const lab::FixedClock clock(lab::at("2017-07-10T12:14:46Z"), 820);
  CertificatesOptions options;
  options.saved = [&](const x509::Certificate& c) { return c == *s.ca; };
  EXPECT_EQ(
      trimmed(timestamp(Load{}, clock, lab::cet) + certificates_screen({s}, {}, lab::cet, options)),
      screen("guide-show-crypto-pki-certificates-rollover"));
}

Wanted r12_ca() {
  return {.issuer = "CN=R12CA",
          .subject = "CN=R12CA",
          .from = "2025-09-21T01:19:16Z",
          .to = "2028-09-20T01:19:16Z",
          .usage = 0x86,
          .ca = true};
}

TEST(IosCertificates, OfAClientThatWaitsAndIsEnrolled) {
  const auto ca = certificate(r12_ca());
  const x509::DeviceAttributes device{"67109104", {}, "R15.otus.ru"};
  client::Status t = trustpoint("R12CA", ca);
  t.pending =
      *x509::sign_request({*x509::Name::from_ios("", device), {}, {}}, key(), x509::Digest::sha256);
  EXPECT_EQ(layout(certificates_screen({}, {t}, TimeZone{}, {})),
            layout(screen("lab-show-crypto-pki-certificates-pending")));
  t.pending.reset();
  t.identity = certificate({.issuer = "CN=R12CA",
                            .subject = "",
                            .serial = "02",
                            .from = "2025-09-21T03:08:21Z",
                            .to = "2026-09-21T03:08:21Z",
                            .device = device});
  EXPECT_EQ(certificates_screen({}, {t}, TimeZone{}, {}),
            screen("lab-show-crypto-pki-certificates-enrolled"));
}

TEST(IosCertificates, WithDistributionPointsRenewDateAndStorage) {
  const std::string cdp = "http://cdp.domain.com/crl/issuing-ca.crl";
  const std::string whole =
      "E=email.address@domain.com,CN=CommonName,OU=OrganizationalUnit,O=Organization,L=Locality,"
      "ST=StateOrProvinceName,C=CO";
  const auto identity =
      certificate({.issuer = whole,
                   .subject = "hostname=ROUTERNAME.domain.com,serialNumber=1234ABCD",
                   .serial = "1234567890ABCDEF01",
                   .from = "2022-06-22T09:17:52Z",
                   .to = "2023-06-22T09:17:52Z",
                   .crl_url = cdp});
  const auto ca = certificate({.issuer = whole,
                               .subject = whole,
                               .serial = "ABCDEF1234567890",
                               .from = "2018-11-09T00:00:00Z",
                               .to = "2028-11-09T00:00:00Z",
                               .usage = 0x86,
                               .ca = true,
                               .crl_url = cdp});
  const auto root = certificate({.issuer = whole,
                                 .subject = whole,
                                 .serial = "12345ABCDEF67890",
                                 .from = "2018-11-05T00:00:00Z",
                                 .to = "2038-11-05T00:00:00Z",
                                 .usage = 0x86,
                                 .ca = true});
  client::Status t = trustpoint("caserver.domain.com", ca, identity);
  t.renew_at = lab::at("2023-04-10T09:19:52Z");
  CertificatesOptions options;
  options.saved = [](const x509::Certificate&) { return true; };
  // Its author has put letters of his own into serial numbers and file names.
  const std::regex values("(\\(hex\\): |nvram:)[^\n]*|c=CountryName");
  const auto plain = [&](const std::string& text) {
    return trimmed(std::regex_replace(
        std::regex_replace(text, std::regex("c=CO\n"), "c=CountryName\n"), values, "$1..."));
  };
  EXPECT_EQ(plain(certificates_screen({}, {t, trustpoint("ROOT-CA", root)}, TimeZone{}, options)),
            plain(screen("ios-show-crypto-pki-certificates-renew-date")));
}

TEST(IosCertificates, OfADeviceAndItsMaker) {
  const auto identity =
      certificate({.issuer = "CN=Cisco Manufacturing CA SHA2,O=Cisco",
                   .subject = "CN=WS-C3850-24P-0057D21BC800,serialNumber=PID:WS-C3850-24P "
                              "SN:FCW1947C0GF",
                   .serial = "793B572700000003750B",
                   .from = "2015-11-20T00:34:52Z",
                   .to = "2025-11-20T00:44:52Z",
                   .crl_url = "http://www.cisco.com/security/pki/crl/cmca2.crl"});
  const auto ca = certificate({.issuer = "CN=Cisco Root CA M2,O=Cisco",
                               .subject = "CN=Cisco Manufacturing CA SHA2,O=Cisco",
                               .serial = "02",
                               .from = "2012-11-12T13:50:58Z",
                               .to = "2037-11-12T13:00:17Z",
                               .usage = 0x86,
                               .ca = true,
                               .crl_url = "http://www.cisco.com/security/pki/crl/crcam2.crl"});
  // There is no trust pool here; and an empty line of blanks is the capture's.
  EXPECT_EQ(
      certificates_screen({}, {trustpoint("CISCO_IDEVID_SUDI", ca, identity)}, TimeZone{}, {}),
      without(replaced(screen("xe-show-crypto-pki-certificates-sudi"), "SUDI Trustpool", "SUDI "),
              "^ +$"));
}

TEST(IosCertificates, SelfSigned) {
  const auto own = self_signed("4146203551");
  CertificatesOptions options;
  options.saved = [](const x509::Certificate&) { return true; };
  EXPECT_EQ(trimmed(certificates_screen({}, {trustpoint("TP-self-signed-4146203551", own, own)},
                                        TimeZone{}, options)),
            trimmed(screen("xe-show-crypto-pki-certificates-self-signed-storage")));
}

TEST(IosCertificates, VerboseOfAClientOfAServerHere) {
  const auto ca = certificate({.issuer = "CN=ROOT",
                               .subject = "CN=ROOT",
                               .from = "2021-11-10T16:27:41Z",
                               .to = "2024-11-09T16:27:41Z",
                               .usage = 0x86,
                               .ca = true,
                               .digest = x509::Digest::md5});
  const auto identity = certificate({.issuer = "CN=ROOT",
                                     .subject = "",
                                     .serial = "02",
                                     .from = "2021-11-10T16:28:50Z",
                                     .to = "2022-11-10T16:28:50Z",
                                     .device = {"9HI3W7WA3K8", {}, "pki-reg7"},
                                     .digest = x509::Digest::sha1});
  CertificatesOptions options;
  options.verbose = true;
  options.installed = [&](const x509::Certificate& c) {
    return lab::at(c == ca ? "2021-11-10T16:27:41Z" : "2021-11-10T16:28:51Z");
  };
  EXPECT_EQ(layout(certificates_screen(
                {}, {trustpoint("client", ca, identity), trustpoint("ROOT", ca)}, ist, options)),
            layout(screen("xe-show-crypto-pki-certificates-verbose-client-and-root")));
}

struct RouterOfOpenssl {
  x509::Certificate ca;
  x509::Certificate identity;
  std::string installed_ca;
  std::string installed;
};
std::string verbose(const RouterOfOpenssl& r) {
  CertificatesOptions options;
  options.verbose = true;
  options.installed = [&](const x509::Certificate& c) {
    return lab::at(c == r.ca ? r.installed_ca : r.installed);
  };
  return certificates_screen({}, {trustpoint("openssl_test", r.ca, r.identity)}, ist, options);
}

TEST(IosCertificates, VerboseWithoutKeyIdentifiers) {
  const RouterOfOpenssl r{certificate({.issuer = "CN=RSA-CA,O=cisco",
                                       .subject = "CN=RSA-CA,O=cisco",
                                       .serial = "4BE62C7CF3A30DDB6F133B50B2CFDCCD4F84D0B0",
                                       .from = "2021-11-17T17:38:44Z",
                                       .to = "2031-11-15T17:38:44Z",
                                       .usage = 0x86,
                                       .ids = false}),
                          certificate({.issuer = "CN=RSA-CA,O=cisco",
                                       .subject = "CN=ROUTER,OU=PKI,O=cisco",
                                       .serial = "03",
                                       .from = "2021-11-17T17:39:23Z",
                                       .to = "2026-11-16T17:39:23Z",
                                       .usage = 0xB0,
                                       .ids = false}),
                          "2021-11-17T17:39:50Z", "2021-11-17T17:39:51Z"};
  EXPECT_EQ(layout(verbose(r)), layout(screen("xe-show-crypto-pki-certificates-verbose-no-skid")));
}

TEST(IosCertificates, VerboseWithOtherNames) {
  const RouterOfOpenssl r{certificate({.issuer = "CN=RSA-CA,O=cisco",
                                       .subject = "CN=RSA-CA,O=cisco",
                                       .serial = "55722CE2042FD3DD40C3013FF430616170845853",
                                       .from = "2021-11-20T10:02:34Z",
                                       .to = "2031-11-18T10:02:34Z",
                                       .usage = 0x86,
                                       .ids = false}),
                          certificate({.issuer = "CN=RSA-CA,O=cisco",
                                       .subject = "CN=ROUTER,OU=PKI,O=cisco",
                                       .serial = "03",
                                       .from = "2021-11-20T10:03:15Z",
                                       .to = "2026-11-19T10:03:15Z",
                                       .usage = 0xB0,
                                       .ids = false,
                                       .others = {{x509::AltNameKind::ip, "100.100.100.1"}}}),
                          "2021-11-20T10:03:42Z", "2021-11-20T10:03:42Z"};
  // The same instant in nanoseconds is a line of that release alone.
  EXPECT_EQ(layout(trimmed(verbose(r))),
            layout(without(screen("xe-show-crypto-pki-certificates-verbose-san"), "in nsec")));
}

TEST(IosCertificates, OtherNamesStandBelowOneAnother) {
  const auto c = certificate({.issuer = "CN=a",
                              .subject = "CN=b",
                              .from = "2021-11-20T10:02:34Z",
                              .to = "2031-11-18T10:02:34Z",
                              .others = {{x509::AltNameKind::dns, "b.example"},
                                         {x509::AltNameKind::dns, "c.example"},
                                         {x509::AltNameKind::ip, "2001:db8::1"},
                                         {x509::AltNameKind::uri, "https://b.example/"},
                                         {x509::AltNameKind::email, "b@example.org"}}});
  CertificatesOptions options;
  options.verbose = true;
  EXPECT_THAT(certificates_screen({}, {trustpoint("T", {}, c)}, TimeZone{}, options),
              ::testing::HasSubstr("    X509v3 Subject Alternative Name:\n"
                                   "        b.example\n        c.example\n"
                                   "        IP Address : 2001:db8::1\n"
                                   "        OtherNames : https://b.example/ b@example.org\n"));
}

}  // namespace
}  // namespace umbra::console::ios
