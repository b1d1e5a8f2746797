#include "scep/ca_messages.h"

#include <gtest/gtest.h>

#include "scep/cms.h"
#include "x509/der.h"

namespace umbra::scep {
namespace {

const Time now = *from_rfc3339("2026-03-01T00:00:00Z");

Recipient make(std::uint64_t serial) {
  auto key = *x509::PrivateKey::generate_rsa(2048);
  const auto name = *x509::Name::from_ios("CN=RootCA,OU=TAC,O=Cisco");
  return {*x509::sign_certificate({.serial = x509::Serial(serial),
                                   .issuer = name,
                                   .subject = name,
                                   .not_before = now,
                                   .not_after = now + Days{730},
                                   .spki = to_bytes(key.public_key().spki()),
                                   .extensions = {x509::basic_constraints_ca()}},
                                  key, x509::Digest::sha256),
          key};
}
const Recipient& ca() {
  static const Recipient made = make(1);
  return made;
}
const Recipient& next() {
  static const Recipient made = make(3);
  return made;
}

TEST(Capabilities, AreListedInIossOrderWithoutABlankLine) {
  const Capabilities all{true, true, true, true, true, true, true, true, true, true};
  EXPECT_EQ(to_text(all),
            "GetNextCACert\nRenewal\nSHA-1\nSHA-256\nSHA-384\nSHA-"
            "512\nAES\nDES3\nPOSTPKIOperation\nSCEPStandard\n");
  EXPECT_LT(to_text(all).size(), 1024U);
}

TEST(Capabilities, AreReadWithoutCaseLineEndsOrAFinalNewline) {
  const auto got =
      parse_capabilities("renewal\r\nSHA-1\nsha-256\n\nAES\nunknown\nPOSTPKIOperation");
  EXPECT_TRUE(got.renewal && got.sha1 && got.sha256 && got.aes && got.post_pki_operation);
  EXPECT_FALSE(got.get_next_ca_cert || got.sha512 || got.des3);
  const auto standard = parse_capabilities("SCEPStandard");
  EXPECT_TRUE(standard.aes && standard.post_pki_operation && standard.sha256);
  EXPECT_EQ(best_cipher(parse_capabilities("")), Cipher::des_ede3_cbc);
  EXPECT_EQ(best_digest(parse_capabilities("SHA-512"), x509::Digest::sha256), x509::Digest::sha512);
}

TEST(CaCert, IsOneCertificateOrABag) {
  EXPECT_EQ(parse_ca_cert(ca().certificate.der())->front(), ca().certificate);
  EXPECT_EQ(parse_ca_cert(certs_only({ca().certificate, next().certificate}))->size(), 2U);
  EXPECT_FALSE(parse_ca_cert(Bytes{1, 2, 3}));
  EXPECT_FALSE(parse_ca_cert(certs_only({})));
}

TEST(NextCaCert, TheUnionFormIsReadBackAndSignedByTheActiveCa) {
  const Bytes body = *next_ca_cert({next().certificate}, ca(), now);
  const auto got = parse_next_ca_cert(body, {ca().certificate});
  ASSERT_TRUE(got);
  ASSERT_EQ(got->size(), 1U);
  EXPECT_EQ(got->front(), next().certificate);
  EXPECT_EQ(parse_next_ca_cert(body, {next().certificate}).error().code, Errc::crypto);
  EXPECT_TRUE(equal(cms::parse_signed_data(body)->content_type, cms::oid_data));
  EXPECT_EQ(cms::parse_signed_data(body)->certificates.size(), 2U);
}

TEST(NextCaCert, TheNestedFormIsReadTooAndTheFlatOneWhereItIsAllowed) {
  cms::SignTemplate nested{.content = cms::degenerate(std::vector{next().certificate}, {}),
                           .form = cms::Content::octets,
                           .attributes = {},
                           .bag = {},
                           .digest = x509::Digest::sha256};
  EXPECT_EQ(parse_next_ca_cert(*cms::sign(nested, ca().certificate, ca().key), {ca().certificate})
                ->front(),
            next().certificate);
  cms::SignTemplate flat{.content = {},
                         .form = cms::Content::absent,
                         .attributes = {},
                         .bag = {next().certificate},
                         .digest = x509::Digest::sha256};
  const Bytes body = *cms::sign(flat, ca().certificate, ca().key);
  EXPECT_EQ(parse_next_ca_cert(body, {ca().certificate}).error().code, Errc::unsupported);
  EXPECT_EQ(parse_next_ca_cert(body, {ca().certificate}, {.legacy = {}, .flat = true})->front(),
            next().certificate);
}

TEST(NextCaCert, AWeakDigestIsRefusedUnlessItIsAllowed) {
  cms::SignTemplate nested{.content = cms::degenerate(std::vector{next().certificate}, {}),
                           .form = cms::Content::octets,
                           .attributes = {},
                           .bag = {},
                           .digest = x509::Digest::sha1};
  const Bytes body = *cms::sign(nested, ca().certificate, ca().key);
  EXPECT_TRUE(parse_next_ca_cert(body, {ca().certificate}));
  EXPECT_EQ(parse_next_ca_cert(body, {ca().certificate}, {.legacy = {.sha1 = false}}).error().code,
            Errc::unsupported);
}

TEST(NextCaCert, UnsignedForgedAndDisguisedAnswersAreRefused) {
  EXPECT_FALSE(parse_next_ca_cert(certs_only({next().certificate}), {ca().certificate}));
  cms::SignTemplate forged{.content = cms::degenerate(std::vector{next().certificate}, {}),
                           .form = cms::Content::octets,
                           .attributes = {},
                           .bag = {ca().certificate},
                           .digest = x509::Digest::sha256};
  // The signature names the active CA, but another key made it.
  EXPECT_FALSE(
      parse_next_ca_cert(*cms::sign(forged, ca().certificate, next().key), {ca().certificate}));
  // A CertRep without content whose bag somebody filled with a CA of his own.
  cms::SignTemplate disguised{
      .content = {},
      .form = cms::Content::absent,
      .attributes = {cms::attribute(x509::der::Oid("2.16.840.1.113733.1.9.2"),
                                    x509::der::printable("3"))},
      .bag = {next().certificate},
      .digest = x509::Digest::sha256};
  EXPECT_FALSE(parse_next_ca_cert(*cms::sign(disguised, ca().certificate, ca().key),
                                  {ca().certificate}, {.legacy = {}, .flat = true}));
  EXPECT_FALSE(parse_next_ca_cert(Bytes{}, {ca().certificate}));
}

TEST(Query, IsReadInEitherOrderAndPercentDecoded) {
  EXPECT_EQ(parse_query("operation=GetCACert&message=Root-CA")->message, "Root-CA");
  EXPECT_EQ(parse_query("message=%2A&operation=GetCACaps")->message, "*");
  EXPECT_EQ(parse_query("operation=GetCACert")->operation, Operation::get_ca_cert);
  EXPECT_EQ(parse_query("operation=GetCAChain").error().code, Errc::unsupported);
  EXPECT_EQ(parse_query("message=1").error().code, Errc::malformed);
  EXPECT_FALSE(parse_query("operation=GetCACert&message=%zz"));
  EXPECT_FALSE(parse_query("operation=GetCACert&message=%4"));
}

TEST(GetMessage, IsDecodedAsRealClientsSendIt) {
  const Bytes message(100, 0xFB);  // base64 full of '+', '/' and 's'
  const std::string url = pki_operation_get_url("http://h/cgi-bin/pkiclient.exe", message);
  EXPECT_NE(url.find("%0A"), std::string::npos);
  const auto query = parse_query(std::string_view(url).substr(url.find('?') + 1));
  EXPECT_EQ(*parse_get_message(query->message), message);
  std::string blanks = to_base64(message);
  for (char& c : blanks) c = c == '+' ? ' ' : c;
  EXPECT_EQ(*parse_get_message(blanks), message);
  EXPECT_EQ(*parse_get_message(
                parse_query("operation=PKIOperation&message=" + to_base64(message))->message),
            message);
  EXPECT_FALSE(parse_get_message("!!!"));
}

TEST(RequestUrl, IsBuiltAsIosBuildsIt) {
  EXPECT_EQ(request_url("http://H:80"), "http://H:80/cgi-bin/pkiclient.exe");
  EXPECT_EQ(request_url("http://H/"), "http://H/cgi-bin/pkiclient.exe");
  EXPECT_EQ(request_url("http://H/scep/scep"), "http://H/scep/scep/pkiclient.exe");
  EXPECT_EQ(request_url("http://H/cgi-bin/pkiclient.exe"), "http://H/cgi-bin/pkiclient.exe");
  EXPECT_EQ(operation_url("http://H/x", Operation::get_ca_cert, "Root-CA"),
            "http://H/x?operation=GetCACert&message=Root-CA");
}

}  // namespace
}  // namespace umbra::scep
