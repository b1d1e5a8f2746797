#include "x509/certificate.h"

#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "vectors.h"
#include "x509/crl.h"
#include "x509/der.h"
#include "x509/ossl.h"
#include "x509/pkcs12.h"
#include "x509/request.h"

namespace umbra::x509 {
namespace {

const PrivateKey& key() {
  static const PrivateKey made = *PrivateKey::generate_rsa(2048);
  return made;
}
const Time start = *from_rfc3339("2026-01-01T00:00:00Z");

Certificate make_ca(Time not_after = start + Days{730}) {
  const Name name = *Name::from_ios("CN=RootCA,OU=TAC,O=Cisco");
  const Bytes id = key().public_key().key_identifier();
  return *sign_certificate(
      {.serial = Serial(1),
       .issuer = name,
       .subject = name,
       .not_before = start,
       .not_after = not_after,
       .spki = to_bytes(key().public_key().spki()),
       .extensions = {basic_constraints_ca(), key_usage({0x86, true}), authority_key_id(id),
                      subject_key_id(id), crl_distribution_point("http://ca/x.crl")}},
      key(), Digest::sha256);
}

TEST(GuideCertificates, DecodeVerifyAndPrintTheirFingerprints) {
  const Certificate first = *Certificate::from_der(vectors::hex("guide/ca-01.hex"));
  const Certificate next = *Certificate::from_der(vectors::hex("guide/ca-rollover-03.hex"));
  EXPECT_EQ(to_hex_groups(first.fingerprint(Digest::md5)), "CC748544 A0AB7832 935D8CD0 214A152E ");
  EXPECT_EQ(to_hex_groups(next.fingerprint(Digest::md5)), "031904DC F4FAD1FD 8A866373 C63CE20F ");
  EXPECT_TRUE(first.verify_signed_by(first.public_key()));
  EXPECT_TRUE(next.verify_signed_by(next.public_key()));
  EXPECT_EQ(next.verify_signed_by(first.public_key()).error().code, Errc::crypto);
  EXPECT_TRUE(equal(first.subject().der(), next.subject().der()));
  EXPECT_NE(first.subject_key_id(), next.subject_key_id());
  EXPECT_EQ(next.not_before(), first.not_after());
  EXPECT_EQ(to_rfc3339(first.not_after()), "2017-10-08T12:14:16Z");
  EXPECT_EQ(first.key_usage()->bits, 0x86);
  EXPECT_TRUE(first.is_ca());
  EXPECT_EQ(*first.subject_key_id(), first.public_key().key_identifier());
  EXPECT_EQ(first.subject().screen_lines(),
            (std::vector<std::string>{"cn=RootCA", "ou=TAC", "o=Cisco"}));
}

TEST(GuideCertificates, OurProfileIsTheGuidesOctetForOctetInLength) {
  // A 1024-bit CA with the guide's name is exactly 571 octets.
  EXPECT_EQ(vectors::hex("guide/ca-01.hex").size(), 571U);
}

TEST(LabCertificates, ARoutersCertificateVerifiesUnderItsCa) {
  const Certificate ca = *Certificate::from_der(vectors::hex("lab/lab-ca-01.hex"));
  const Certificate client = *Certificate::from_der(vectors::hex("lab/lab-client-02.hex"));
  EXPECT_TRUE(client.verify_signed_by(ca.public_key()));
  EXPECT_EQ(client.key_usage()->bits, 0xA0);
  EXPECT_FALSE(client.key_usage()->critical);
  EXPECT_EQ(client.authority_key_id(), ca.subject_key_id());
}

TEST(LabRequest, OfARealRouterVerifiesAndHasItsFingerprint) {
  const Request request = *Request::from_der(vectors::hex("lab/xe-pkcs10-request.hex"));
  EXPECT_TRUE(request.verify());
  EXPECT_EQ(to_hex(request.fingerprint(Digest::md5)), "9370C6491708685B731927DBD60606D4");
  EXPECT_EQ(to_hex(hash(Digest::md5, request.public_key().spki())),
            "A793AE7C3292F4099CD4CEC65FCE0682");
  EXPECT_TRUE(request.challenge_password());
  EXPECT_FALSE(request.asks_for_ca());
}

TEST(Certificate, OpenSslReadsAndVerifiesWhatWeSign) {
  for (const Time end : {start + Days{730}, start + Days{365 * 40}}) {
    const Certificate ours = make_ca(end);
    const std::uint8_t* at = ours.der().data();
    const ossl::X509 theirs(d2i_X509(nullptr, &at, static_cast<long>(ours.der().size())));
    ASSERT_TRUE(theirs);
    EXPECT_EQ(X509_verify(theirs.get(), key().get()), 1);
    EXPECT_EQ(X509_check_ca(theirs.get()), 1);
    EXPECT_EQ(ASN1_INTEGER_get(X509_get0_serialNumber(theirs.get())), 1);
    EXPECT_EQ(ours.not_after(), end);
    EXPECT_EQ(ours.crl_urls(), std::vector<std::string>{"http://ca/x.crl"});
    EXPECT_EQ(*Certificate::from_pem(ours.to_pem()), ours);
  }
}

TEST(Certificate, EveryTruncationAndForgeryFailsCleanly) {
  const Certificate ours = make_ca();
  for (std::size_t cut = 0; cut < ours.der().size(); ++cut)
    EXPECT_FALSE(Certificate::from_der(ours.der().first(cut)));
  Bytes forged = to_bytes(ours.der());
  forged[forged.size() - 1] ^= 1;
  EXPECT_EQ(Certificate::from_der(forged)->verify_signed_by(key().public_key()).error().code,
            Errc::crypto);
  forged.push_back(0);
  EXPECT_FALSE(Certificate::from_der(forged));
}

TEST(Request, OpenSslVerifiesWhatWeSignAndWeReadItBack) {
  const Request ours = *sign_request({*Name::from_ios("CN=spoke-1,OU=CVO"),
                                      "Rev0cati0n$Passw0rd",
                                      {key_usage({0xA0, true}), subject_alt_dns("a.b")}},
                                     key(), Digest::sha256);
  const std::uint8_t* at = ours.der().data();
  X509_REQ* const theirs = d2i_X509_REQ(nullptr, &at, static_cast<long>(ours.der().size()));
  ASSERT_NE(theirs, nullptr);
  EXPECT_EQ(X509_REQ_verify(theirs, key().get()), 1);
  X509_REQ_free(theirs);
  EXPECT_EQ(*ours.challenge_password(), "Rev0cati0n$Passw0rd");
  EXPECT_EQ(ours.extensions().size(), 2U);
  EXPECT_TRUE(ours.verify());
  const Request ca = *sign_request(
      {*Name::from_ios("CN=x"), std::nullopt, {basic_constraints_ca()}}, key(), Digest::sha256);
  EXPECT_TRUE(ca.asks_for_ca());
  for (std::size_t cut = 0; cut < ours.der().size(); ++cut)
    EXPECT_FALSE(Request::from_der(ours.der().first(cut)));
}

TEST(Request, WhatCannotBeReadOrComesTwiceNeverHidesAWishForACa) {
  const auto asked = [](std::vector<Extension> extensions) {
    return sign_request({*Name::from_ios("CN=x"), std::nullopt, std::move(extensions)}, key(),
                        Digest::sha256);
  };
  const Extension harmless{basic_constraints_ca().oid, true, der::sequence({})};
  EXPECT_FALSE(asked({harmless})->asks_for_ca());
  EXPECT_EQ(asked({harmless, basic_constraints_ca()}).error().code, Errc::malformed);
  for (const Extension& known : {basic_constraints_ca(), key_usage({0xA0, false})}) {
    EXPECT_TRUE(asked({{known.oid, false, Bytes{0x30, 0x05}}})->asks_for_ca());
  }
}

/// With the attributes as they are given, in the order they are given.
Result<Request> request_with(const std::vector<Bytes>& attributes) {
  Bytes all;
  for (const Bytes& one : attributes) all.insert(all.end(), one.begin(), one.end());
  const Bytes set = der::tlv(der::context(0), all);
  const Bytes information = der::sequence(
      {der::small_integer(0), Name::from_ios("CN=x")->der(), key().public_key().spki(), set});
  return Request::from_der(
      der::sequence({information, to_der(SignatureAlgorithm{KeyAlgorithm::rsa, Digest::sha256}),
                     der::bit_string_of(*key().sign(Digest::sha256, information))}));
}

TEST(Request, HasOneListOfExtensionsForAllWhoReadIt) {
  const Bytes wish = der::sequence({to_der(basic_constraints_ca())});
  const Bytes modest = der::sequence({to_der(key_usage({0xA0, false}))});
  const auto attribute = [](const char* oid, std::vector<Bytes> values) {
    return der::sequence({der::object_identifier(oid), der::set_of(std::move(values))});
  };
  const char* const pkcs9 = "1.2.840.113549.1.9.14";
  const char* const verisign = "2.16.840.1.113733.1.9.8";
  EXPECT_TRUE(request_with({attribute(pkcs9, {wish})})->asks_for_ca());
  const auto same = request_with({attribute(pkcs9, {modest}), attribute(verisign, {modest})});
  ASSERT_TRUE(same) << "the same under two names";
  EXPECT_EQ(same->extensions().size(), 1U);
  for (const auto& [first, second] : {std::pair{wish, modest}, std::pair{modest, wish}}) {
    const std::vector<std::vector<Bytes>> bad = {
        {attribute(pkcs9, {first}), attribute(verisign, {second})},
        {attribute(pkcs9, {first}), attribute(pkcs9, {second})},
        {attribute(pkcs9, std::vector<Bytes>{first, second})}};
    for (const auto& attributes : bad)
      EXPECT_EQ(request_with(attributes).error().code, Errc::malformed);
  }
  const Bytes password = der::tlv(der::tag::printable_string, as_bytes("a"));
  const Bytes other = der::tlv(der::tag::printable_string, as_bytes("b"));
  EXPECT_TRUE(request_with({attribute("1.2.840.113549.1.9.7", {password})}));
  EXPECT_FALSE(request_with({attribute("1.2.840.113549.1.9.7", {password, other})}));
}

TEST(Pkcs12, WhatNobodyHasSealedOrTakesHoursToOpenIsRefusedAtOnce) {
  const Certificate ca = make_ca();
  const Bytes good = *to_pkcs12(key(), ca, "CA", "secret");
  EXPECT_TRUE(from_pkcs12(good, "secret"));
  const auto changed = [&](const std::function<void(::PKCS12*)>& change) {
    const std::uint8_t* at = good.data();
    const ossl::Pkcs12 archive(d2i_PKCS12(nullptr, &at, static_cast<long>(good.size())));
    change(archive.get());
    std::uint8_t* raw = nullptr;
    const int size = i2d_PKCS12(archive.get(), &raw);
    Bytes out(raw, raw + size);
    OPENSSL_free(raw);
    return out;
  };
  for (const long rounds : {2147483647L, 100000000L, -1L}) {
    const Bytes slow = changed([&](::PKCS12* archive) {
      const ASN1_INTEGER* have = nullptr;
      PKCS12_get0_mac(nullptr, nullptr, nullptr, &have, archive);
      ASSERT_EQ(ASN1_INTEGER_set(const_cast<ASN1_INTEGER*>(have), rounds), 1);
    });
    EXPECT_EQ(from_pkcs12(slow, "secret").error().code, Errc::unsupported) << rounds;
  }
  const ossl::Pkcs12 bare(PKCS12_init(NID_pkcs7_data));
  std::uint8_t* raw = nullptr;
  const int size = i2d_PKCS12(bare.get(), &raw);
  const Bytes unsealed(raw, raw + size);
  OPENSSL_free(raw);
  EXPECT_NE(from_pkcs12(unsealed, "secret").error().detail.find("no MAC"), std::string::npos);
}

TEST(Certificate, AnUnreadableBasicConstraintsMakesNoCa) {
  const Name name = *Name::from_ios("CN=x");
  const Certificate made =
      *sign_certificate({.serial = Serial(1),
                         .issuer = name,
                         .subject = name,
                         .not_before = start,
                         .not_after = start + Days{1},
                         .spki = to_bytes(key().public_key().spki()),
                         .extensions = {{basic_constraints_ca().oid, true, Bytes{0x30, 0x05}}}},
                        key(), Digest::sha256);
  EXPECT_FALSE(made.is_ca());
}

TEST(Key, IsSealedUnderAPassphraseAndOpensWithItAlone) {
  const Bytes sealed = *key().seal("a passphrase");
  EXPECT_EQ(PrivateKey::unseal(sealed, "a passphrase")->public_key(), key().public_key());
  EXPECT_EQ(PrivateKey::unseal(sealed, "another").error().code, Errc::crypto);
  EXPECT_EQ(PrivateKey::unseal(Bytes{1, 2, 3}, "a passphrase").error().code, Errc::malformed);
  EXPECT_EQ(PrivateKey::from_pem(*key().to_pem())->public_key(), key().public_key());
}

TEST(Key, IsSealedWithMoreRoundsUnderWhatSomebodyThoughtUp) {
  // INTEGER in PBKDF2-params (RFC 8018 A.2).
  const Bytes many = {0x02, 0x03, 0x09, 0x27, 0xC0};
  const Bytes fewer = {0x02, 0x02, 0x27, 0x10};
  const auto holds = [](const Bytes& whole, const Bytes& part) {
    return std::search(whole.begin(), whole.end(), part.begin(), part.end()) != whole.end();
  };
  const std::string base64 = "bHJ3xP1f3n0m2b0Rk8wTq5v7y9zA4cD6eF1gH2iJ3kM=";
  for (const std::string& random : {base64, std::string(64, 'a')}) {
    const Bytes sealed = *key().seal(random);
    EXPECT_TRUE(holds(sealed, fewer) && !holds(sealed, many)) << random;
    EXPECT_TRUE(PrivateKey::unseal(sealed, random));
  }
  for (const std::string& typed : {std::string("correct horse"), base64.substr(1), base64 + "A",
                                   std::string(44, '-'), std::string(64, 'g'), std::string()}) {
    const Bytes sealed = *key().seal(typed);
    EXPECT_TRUE(holds(sealed, many) && !holds(sealed, fewer)) << typed;
  }
}

TEST(Key, EncryptsForItsOwnerAlone) {
  const Bytes secret = {1, 2, 3, 4};
  const Bytes sent = *key().public_key().encrypt(secret);
  EXPECT_EQ(key().unwrap(sent, 4), secret);
  for (const std::size_t size : {16U, 24U, 32U}) {
    Bytes longer(size);
    random_octets(longer);
    EXPECT_EQ(key().unwrap(*key().public_key().encrypt(longer), size), longer);
  }
}

TEST(Key, WhatHoldsNoKeyGivesAnotherThatNobodyKnows) {
  const Bytes secret(16, 7);
  const Bytes sent = *key().public_key().encrypt(secret);
  std::vector<Bytes> given = {secret};
  const auto differs = [&](const Bytes& encrypted, std::size_t size) {
    const Bytes got = key().unwrap(encrypted, size);
    EXPECT_EQ(got.size(), size);
    EXPECT_EQ(key().unwrap(encrypted, size), got) << "else whoever repeats it learns which it was";
    for (const Bytes& other : given) EXPECT_NE(got, other);
    given.push_back(got);
  };
  Bytes spoiled = sent;
  spoiled[10] ^= 1;
  differs(spoiled, 16);
  differs(*key().public_key().encrypt(Bytes(15, 7)), 16);  // a byte short
  differs(*key().public_key().encrypt(Bytes(17, 7)), 16);  // a byte long
  differs(*key().public_key().encrypt(Bytes(24, 7)), 32);
  differs(Bytes{}, 16);
  differs(Bytes(3, 1), 16);
  differs(Bytes(256, 0xFF), 16);  // no smaller than the modulus
  differs(Bytes(300, 1), 16);
}

TEST(Crl, OpenSslReadsItAndItsEntriesComeBack) {
  const Certificate ca = make_ca();
  const Serial longest = *Serial::from_hex("F" + std::string(39, '0'));
  CrlEntries revoked;
  revoked.add({Serial(2), start + Seconds{5}, RevocationReason::none});
  revoked.add({Serial(300), start + Seconds{9}, RevocationReason::key_compromise});
  revoked.add({longest, *from_rfc3339("2050-01-01T00:00:00Z"), RevocationReason::superseded});
  const Bytes crl = *sign_crl(
      {ca.subject(), key().public_key().key_identifier(), 7, start, start + std::chrono::hours{6}},
      revoked, key(), Digest::sha256);
  const CrlFacts facts = *parse_crl(crl);
  EXPECT_EQ(facts.issuer, ca.subject());
  EXPECT_EQ(*facts.next_update, start + std::chrono::hours{6});
  ASSERT_EQ(facts.revoked.size(), 3U);
  EXPECT_EQ(facts.revoked[0].reason, RevocationReason::none);
  EXPECT_EQ(facts.revoked[1].revoked_at, start + Seconds{9});
  EXPECT_EQ(facts.revoked[2].serial, longest);
  EXPECT_EQ(to_rfc3339(facts.revoked[2].revoked_at), "2050-01-01T00:00:00Z");
  EXPECT_EQ(facts.revoked[1].serial, Serial(300));
  EXPECT_EQ(facts.revoked[1].reason, RevocationReason::key_compromise);
  const std::uint8_t* at = crl.data();
  const ossl::Crl theirs(d2i_X509_CRL(nullptr, &at, static_cast<long>(crl.size())));
  EXPECT_EQ(X509_CRL_verify(theirs.get(), key().get()), 1);
  const STACK_OF(X509_REVOKED)* const list = X509_CRL_get_REVOKED(theirs.get());
  ASSERT_EQ(sk_X509_REVOKED_num(list), 3);
  const X509_REVOKED* const second = sk_X509_REVOKED_value(list, 1);
  EXPECT_EQ(ASN1_INTEGER_get(X509_REVOKED_get0_serialNumber(second)), 300);
  auto* const reason = static_cast<ASN1_ENUMERATED*>(
      X509_REVOKED_get_ext_d2i(second, NID_crl_reason, nullptr, nullptr));
  EXPECT_EQ(ASN1_ENUMERATED_get(reason), 1);
  ASN1_ENUMERATED_free(reason);
  const Bytes empty =
      *sign_crl({ca.subject(), key().public_key().key_identifier(), 8, start, start + Seconds{60}},
                {}, key(), Digest::sha256);
  EXPECT_TRUE(parse_crl(empty)->revoked.empty());
}

TEST(Crl, IsItsCasAlone) {
  const Certificate ca = make_ca();
  Bytes crl =
      *sign_crl({ca.subject(), key().public_key().key_identifier(), 7, start, start + Seconds{60}},
                {}, key(), Digest::sha256);
  EXPECT_EQ(parse_crl(crl)->number, 7U);
  EXPECT_TRUE(verify_crl(crl, ca));
  crl.back() ^= 1;
  EXPECT_EQ(verify_crl(crl, ca).error().code, Errc::crypto);
  EXPECT_EQ(verify_crl(Bytes{0x30, 0x00}, ca).error().code, Errc::malformed);
}

TEST(Archive, IsReadBackAndBelongsTogether) {
  const Certificate ca = make_ca();
  const Bytes p12 = *to_pkcs12(key(), ca, "ROOTCA", "secret pass");
  const std::string base64 = to_base64(p12, 64);
  for (const ByteView content : {ByteView(p12), as_bytes(base64)}) {
    const auto read = from_pkcs12(content, "secret pass");
    ASSERT_TRUE(read) << read.error().detail;
    EXPECT_EQ(read->certificate, ca);
    EXPECT_EQ(read->key.public_key(), key().public_key());
  }
  EXPECT_EQ(from_pkcs12(p12, "another").error().code, Errc::crypto);
  EXPECT_EQ(from_pkcs12(Bytes{0x30, 0x03, 1, 1, 1}, "x").error().code, Errc::malformed);

  const std::string pem = *to_pem_archive(key(), ca, "secret pass");
  EXPECT_EQ(from_pem_archive(pem, "secret pass")->certificate, ca);
  EXPECT_EQ(from_pem_archive(pem, "another").error().code, Errc::crypto);
  EXPECT_EQ(from_pem_archive(ca.to_pem(), "secret pass").error().code, Errc::malformed);
  const auto other = *PrivateKey::generate_rsa(2048);
  EXPECT_EQ(from_pem_archive(*to_pem_archive(other, ca, "secret pass"), "secret pass").error().code,
            Errc::conflict);
}

TEST(Pkcs12, OpensWithItsPasswordAndHoldsKeyAndCertificate) {
  const Certificate ca = make_ca();
  const Bytes archive = *to_pkcs12(key(), ca, "ROOTCA", "secret pass");
  const std::uint8_t* at = archive.data();
  const ossl::Pkcs12 read(d2i_PKCS12(nullptr, &at, static_cast<long>(archive.size())));
  EVP_PKEY* opened_key = nullptr;
  ::X509* opened_certificate = nullptr;
  EXPECT_EQ(PKCS12_parse(read.get(), "wrong", &opened_key, &opened_certificate, nullptr), 0);
  ASSERT_EQ(PKCS12_parse(read.get(), "secret pass", &opened_key, &opened_certificate, nullptr), 1);
  EXPECT_EQ(EVP_PKEY_eq(opened_key, key().get()), 1);
  EVP_PKEY_free(opened_key);
  X509_free(opened_certificate);
  EXPECT_NE(to_pem_archive(key(), ca, "x")->find("ENCRYPTED PRIVATE KEY"), std::string::npos);
  ERR_clear_error();
}

}  // namespace
}  // namespace umbra::x509
