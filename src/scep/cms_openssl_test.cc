// What we write, OpenSSL reads; what OpenSSL writes, streamed BER too, we read.

#include <gtest/gtest.h>
#include <openssl/cms.h>

#include "scep/cms.h"
#include "scep/message.h"
#include "x509/ossl.h"

namespace umbra::scep {
namespace {

const Time now = *from_rfc3339("2026-03-01T00:00:00Z");

class FixedRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (auto& octet : out) octet = 0x42;
  }
};

struct Party {
  x509::PrivateKey key = *x509::PrivateKey::generate_rsa(2048);
  x509::Certificate certificate =
      *x509::self_signed_signer(*x509::Name::from_ios("CN=party"), now, key, x509::Digest::sha256);
  [[nodiscard]] x509::ossl::X509 theirs() const {
    const std::uint8_t* at = certificate.der().data();
    return x509::ossl::X509(d2i_X509(nullptr, &at, static_cast<long>(certificate.der().size())));
  }
};
const Party& party() {
  static const Party made;
  return made;
}

Bytes taken(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, data + size};
}

using Cms = std::unique_ptr<CMS_ContentInfo, x509::ossl::Deleter<&CMS_ContentInfo_free>>;

TEST(CmsAgainstOpenSsl, VerifiesAndDecryptsWhatWeWrite) {
  FixedRandom random;
  const Bytes content = to_bytes(as_bytes("what is sent"));
  const Bytes envelope = *cms::envelop(content, party().certificate, Cipher::aes256_cbc, random);
  const Bytes signed_message = *cms::sign({.content = envelope,
                                           .form = cms::Content::octets,
                                           .attributes = {},
                                           .bag = {party().certificate},
                                           .digest = x509::Digest::sha256},
                                          party().certificate, party().key);
  const std::uint8_t* at = signed_message.data();
  const Cms message(d2i_CMS_ContentInfo(nullptr, &at, static_cast<long>(signed_message.size())));
  ASSERT_TRUE(message);
  const x509::ossl::Bio out(BIO_new(BIO_s_mem()));
  ASSERT_EQ(CMS_verify(message.get(), nullptr, nullptr, nullptr, out.get(),
                       CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY),
            1);
  const Bytes inner = taken(out.get());
  EXPECT_EQ(inner, envelope);
  at = inner.data();
  const Cms enveloped(d2i_CMS_ContentInfo(nullptr, &at, static_cast<long>(inner.size())));
  ASSERT_TRUE(enveloped);
  const x509::ossl::Bio plain(BIO_new(BIO_s_mem()));
  ASSERT_EQ(CMS_decrypt(enveloped.get(), party().key.get(), party().theirs().get(), nullptr,
                        plain.get(), CMS_BINARY),
            1);
  EXPECT_EQ(taken(plain.get()), content);
}

TEST(CmsAgainstOpenSsl, ReadsWhatItWritesDefiniteAndStreamed) {
  const Bytes content(5000, 0x33);
  for (const unsigned stream : {0U, static_cast<unsigned>(CMS_STREAM)}) {
    const x509::ossl::Bio in(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
    const auto theirs = party().theirs();
    const Cms message(
        CMS_sign(theirs.get(), party().key.get(), nullptr, in.get(), CMS_BINARY | stream));
    ASSERT_TRUE(message);
    const x509::ossl::Bio out(BIO_new(BIO_s_mem()));
    if (stream != 0) {
      ASSERT_EQ(i2d_CMS_bio_stream(out.get(), message.get(), in.get(),
                                   static_cast<int>(CMS_BINARY | stream)),
                1);
    } else {
      ASSERT_EQ(i2d_CMS_bio(out.get(), message.get()), 1);
    }
    const auto data = cms::parse_signed_data(taken(out.get()));
    ASSERT_TRUE(data) << data.error().detail;
    EXPECT_EQ(*data->content, content);
    ASSERT_EQ(data->signers.size(), 1U);
    EXPECT_TRUE(cms::names(data->signers.front(), party().certificate));
    EXPECT_TRUE(cms::verify(*data, data->signers.front(), party().certificate.public_key()));

    const x509::ossl::Bio again(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
    STACK_OF(X509)* const stack = sk_X509_new_null();
    sk_X509_push(stack, theirs.get());
    const Cms enveloped(CMS_encrypt(stack, again.get(), EVP_aes_128_cbc(), CMS_BINARY | stream));
    sk_X509_free(stack);
    ASSERT_TRUE(enveloped);
    const x509::ossl::Bio sealed(BIO_new(BIO_s_mem()));
    if (stream != 0) {
      ASSERT_EQ(i2d_CMS_bio_stream(sealed.get(), enveloped.get(), again.get(),
                                   static_cast<int>(CMS_BINARY | stream)),
                1);
    } else {
      ASSERT_EQ(i2d_CMS_bio(sealed.get(), enveloped.get()), 1);
    }
    const auto opened = cms::parse_enveloped_data(taken(sealed.get()));
    ASSERT_TRUE(opened) << opened.error().detail;
    ASSERT_EQ(opened->recipients.size(), 1U);
    EXPECT_EQ(*cms::decrypt(*opened, opened->recipients.front().encrypted_key, party().key, false),
              content);
  }
}

TEST(CmsSigned, SignedAttributesAreBoundedBeforeAnythingIsVerified) {
  const auto with = [](unsigned extra) {
    cms::SignTemplate what{.content = {},
                           .form = cms::Content::absent,
                           .attributes = {},
                           .bag = {},
                           .digest = x509::Digest::sha256};
    for (unsigned i = 0; i < extra; ++i)
      what.attributes.push_back(cms::attribute(
          x509::der::object_identifier("1.2.3." + std::to_string(i)), Bytes{0x05, 0x00}));
    return cms::parse_signed_data(*cms::sign(what, party().certificate, party().key));
  };
  // contentType and messageDigest come on top.
  EXPECT_TRUE(with(30));
  EXPECT_EQ(with(31).error().code, Errc::malformed);
}

}  // namespace
}  // namespace umbra::scep
