#include "ca/authority.h"

#include <gtest/gtest.h>

#include "x509/der.h"

namespace umbra::ca {
namespace {

const Time start = *from_rfc3339("2015-10-09T12:14:16Z");
const lifecycle::Validity validity{start, start + Days{730}};
const x509::PrivateKey& ca_key() {
  static const auto key = *x509::PrivateKey::generate_rsa(2048);
  return key;
}
const x509::PrivateKey& device_key() {
  static const auto key = *x509::PrivateKey::generate_rsa(2048);
  return key;
}
Authority authority() {
  const auto name = *x509::Name::from_ios("CN=RootCA,OU=TAC,O=Cisco");
  return {1, *make_root(name, x509::Serial(1), validity, ca_key(), x509::Digest::sha256), ca_key()};
}
x509::Request request(std::vector<x509::Extension> extensions) {
  return *x509::sign_request(
      {*x509::Name::from_ios("CN=spoke-1,OU=CVO"), {}, std::move(extensions)}, device_key(),
      x509::Digest::sha256);
}
std::vector<std::string> oids(const x509::Certificate& certificate) {
  std::vector<std::string> all;
  for (const auto& extension : certificate.extensions()) all.push_back(extension.oid);
  return all;
}

TEST(Root, HasIossProfileInIossOrder) {
  const auto ca = authority().certificate;
  EXPECT_EQ(oids(ca),
            (std::vector<std::string>{"2.5.29.19", "2.5.29.15", "2.5.29.35", "2.5.29.14"}));
  EXPECT_TRUE(ca.extensions()[0].critical);
  EXPECT_TRUE(ca.extensions()[1].critical);
  EXPECT_EQ(ca.key_usage()->bits, 0x86);
  EXPECT_EQ(ca.authority_key_id(), ca.subject_key_id());
  EXPECT_TRUE(ca.verify_signed_by(ca_key().public_key()));
  EXPECT_TRUE(ca.crl_urls().empty());
}

TEST(Root, OfTheGuidesNameAndKeySizeIsAsLongAsTheGuides) {
  const auto key = *x509::PrivateKey::generate_rsa(1024);
  const auto ca = *make_root(*x509::Name::from_ios("CN=RootCA,OU=TAC,O=Cisco"), x509::Serial(1),
                             validity, key, x509::Digest::md5);
  EXPECT_EQ(ca.der().size(), 571U);
}

TEST(Issue, HasIossProfileWithTheDistributionPointFirst) {
  const auto plain = *issue(authority(), request({x509::key_usage({0xA0, false})}), x509::Serial(2),
                            {start, start + Days{365}}, {});
  EXPECT_EQ(oids(plain), (std::vector<std::string>{"2.5.29.15", "2.5.29.35", "2.5.29.14"}));
  EXPECT_FALSE(plain.key_usage()->critical);
  const auto full =
      *issue(authority(),
             request({x509::key_usage({0xA0, true}), x509::subject_alt_dns("spoke-1.cisco.com")}),
             x509::Serial(3), {start, start + Days{365}},
             {.digest = x509::Digest::sha512, .cdp_url = "http://ca/ROOTCA.crl"});
  EXPECT_EQ(oids(full), (std::vector<std::string>{"2.5.29.31", "2.5.29.15", "2.5.29.17",
                                                  "2.5.29.35", "2.5.29.14"}));
  EXPECT_TRUE(full.key_usage()->critical);
  EXPECT_EQ(full.signature_algorithm()->digest, x509::Digest::sha512);
  EXPECT_EQ(full.authority_key_id(), authority().certificate.subject_key_id());
  EXPECT_TRUE(full.verify_signed_by(ca_key().public_key()));
}

TEST(Issue, KeyPurposesAreTheCasInItsOrderAndNeverTheRequests) {
  const x509::Extension asked = x509::extended_key_usage({x509::KeyPurpose::code_signing});
  const auto none =
      *issue(authority(), request({asked}), x509::Serial(2), {start, start + Days{365}}, {});
  EXPECT_EQ(oids(none), (std::vector<std::string>{"2.5.29.15", "2.5.29.35", "2.5.29.14"}));
  using enum x509::KeyPurpose;
  const auto all =
      *issue(authority(), request({asked, x509::subject_alt_dns("spoke-1.cisco.com")}),
             x509::Serial(3), {start, start + Days{365}},
             {.cdp_url = "http://ca/ROOTCA.crl",
              .key_purposes = {ipsec_user, server_auth, client_auth, code_signing, email_protection,
                               ipsec_end_system, ipsec_tunnel, ocsp_signing, time_stamping}});
  EXPECT_EQ(oids(all), (std::vector<std::string>{"2.5.29.31", "2.5.29.15", "2.5.29.37", "2.5.29.17",
                                                 "2.5.29.35", "2.5.29.14"}));
  const auto& purposes = all.extensions()[2];
  EXPECT_FALSE(purposes.critical);
  const auto list = *x509::der::parse_one(purposes.value, x509::der::tag::sequence, "purposes");
  std::string read;
  for (x509::der::Reader each(list.content); !each.empty();)
    read += x509::der::to_dotted(each.next()->content) + " ";
  EXPECT_EQ(read,
            "1.3.6.1.5.5.7.3.7 1.3.6.1.5.5.7.3.1 1.3.6.1.5.5.7.3.2 1.3.6.1.5.5.7.3.3 "
            "1.3.6.1.5.5.7.3.4 1.3.6.1.5.5.7.3.5 1.3.6.1.5.5.7.3.6 1.3.6.1.5.5.7.3.9 "
            "1.3.6.1.5.5.7.3.8 ");
  const auto bare = *issue(authority(), request({x509::subject_alt_dns("spoke-1.cisco.com")}),
                           x509::Serial(4), {start, start + Days{365}}, {.copy_alt_names = false});
  EXPECT_TRUE(alt_names_of(bare.extensions()).empty());
}

TEST(Issue, TimesBeforeAndAfter2050AreInTheFormOfTheirYear) {
  const auto name = *x509::Name::from_ios("CN=Late");
  const Time last_utc = *from_rfc3339("2049-12-31T23:59:59Z");
  const auto ca_until = [&](Time from, Time to) {
    return *make_root(name, x509::Serial(1), {from, to}, ca_key(), x509::Digest::sha256);
  };
  const auto utc = ca_until(last_utc - Seconds{1}, last_utc);
  EXPECT_EQ(utc.not_after(), last_utc);
  const auto both = ca_until(last_utc, last_utc + Seconds{1});
  EXPECT_EQ(both.not_before(), last_utc);
  EXPECT_EQ(both.not_after(), last_utc + Seconds{1});
  EXPECT_EQ(both.der().size(), utc.der().size() + 2) << "GeneralizedTime has two figures more";
  const auto endless = ca_until(start, lifecycle::end_of_time);
  const std::string text(as_text(endless.der()));
  EXPECT_NE(text.find("\x18\x0F"
                      "99991231235959Z"),
            std::string::npos);
  EXPECT_EQ(endless.not_after(), lifecycle::end_of_time);
}

TEST(Issue, NoRequestBecomesACaOrSignsCrls) {
  const auto certificate =
      *issue(authority(), request({x509::basic_constraints_ca(), x509::key_usage({0xFE, true})}),
             x509::Serial(2), {start, start + Days{365}}, {});
  EXPECT_FALSE(certificate.is_ca());
  EXPECT_EQ(certificate.key_usage()->bits, 0xF8);
  const auto only = *issue(authority(), request({x509::key_usage({0x06, true})}), x509::Serial(2),
                           {start, start + Days{365}}, {});
  EXPECT_EQ(only.key_usage()->bits, 0xA0);
}

TEST(Issue, ASubordinateCaGetsItsProfileAndNothingElseOfItsRequest) {
  const auto asking = request({x509::basic_constraints_ca(), x509::key_usage({0xFE, false}),
                               x509::subject_alt_dns("sub.cisco.com")});
  const auto sub = *issue(authority(), asking, x509::Serial(2), {start, start + Days{365}},
                          {.cdp_url = "http://ca/ROOTCA.crl", .subordinate_ca = true});
  EXPECT_EQ(oids(sub), (std::vector<std::string>{"2.5.29.31", "2.5.29.19", "2.5.29.15", "2.5.29.35",
                                                 "2.5.29.14"}));
  EXPECT_TRUE(sub.is_ca());
  EXPECT_EQ(sub.key_usage()->bits, 0x86);
  EXPECT_TRUE(sub.key_usage()->critical);
  EXPECT_EQ(sub.authority_key_id(), authority().certificate.subject_key_id());
  EXPECT_EQ(*sub.subject_key_id(), device_key().public_key().key_identifier());
  const auto namesake = *x509::sign_request({authority().certificate.subject(), {}, {}},
                                            device_key(), x509::Digest::sha256);
  EXPECT_FALSE(issue(authority(), namesake, x509::Serial(3), {start, start + Days{365}},
                     {.subordinate_ca = true}));
}

TEST(Issue, OnlyNamesThatEveryReaderReadsAlikeAreTakenOver) {
  using x509::der::context;
  using x509::der::context_primitive;
  using x509::der::tlv;
  const auto taken = [](std::uint8_t tag, const Bytes& content) {
    const x509::Extension asked{"2.5.29.17", false, x509::der::sequence({tlv(tag, content)})};
    const auto issued =
        *issue(authority(), request({asked}), x509::Serial(9), {start, start + Days{1}}, {});
    const Bytes names = alt_names_of(issued.extensions());
    EXPECT_TRUE(names.empty() || names == asked.value);
    return !names.empty();
  };
  const auto text = [](std::string_view words) { return to_bytes(as_bytes(words)); };
  const Bytes directory = to_bytes(x509::Name::from_ios("CN=other")->der());
  EXPECT_TRUE(taken(context_primitive(2), text("spoke.example")));
  EXPECT_TRUE(taken(context_primitive(1), text("a@b.example")));
  EXPECT_TRUE(taken(context_primitive(6), text("urn:uuid:1")));
  EXPECT_TRUE(taken(context_primitive(7), {10, 1, 255, 12}));
  EXPECT_TRUE(taken(context(4), directory));
  EXPECT_FALSE(taken(context_primitive(2), text({"good.example\0.evil.example", 26})));
  EXPECT_FALSE(taken(context_primitive(2), text("a\nb")));
  EXPECT_FALSE(taken(context_primitive(2), text("sp\xC3\xB6ke")));
  EXPECT_FALSE(taken(context_primitive(7), {10, 1, 255}));
  EXPECT_FALSE(taken(context_primitive(3), text("x.400")));
  EXPECT_FALSE(taken(context_primitive(4), directory));
}

TEST(Issue, NothingReachesBeyondTheCaOrCarriesItsKeyOrSerial) {
  EXPECT_FALSE(issue(authority(), request({}), x509::Serial(2), {start, start + Days{731}}, {}));
  EXPECT_FALSE(
      issue(authority(), request({}), x509::Serial(2), {start - Seconds{1}, start + Days{1}}, {}));
  EXPECT_FALSE(issue(authority(), request({}), x509::Serial(1), {start, start + Days{1}}, {}));
  const auto own =
      *x509::sign_request({*x509::Name::from_ios("CN=x"), {}, {}}, ca_key(), x509::Digest::sha256);
  EXPECT_FALSE(issue(authority(), own, x509::Serial(2), {start, start + Days{1}}, {}));
  auto keyless = authority();
  keyless.key.reset();
  EXPECT_EQ(issue(keyless, request({}), x509::Serial(2), {start, start + Days{1}}, {}).error().code,
            Errc::unsupported);
}

}  // namespace
}  // namespace umbra::ca
