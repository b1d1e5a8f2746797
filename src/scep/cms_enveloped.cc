#include <openssl/evp.h>
#include <openssl/provider.h>

#include <algorithm>
#include <array>
#include <memory>

#include "scep/cms.h"
#include "x509/der.h"

namespace umbra::scep::cms {
namespace {

namespace der = x509::der;
namespace tag = x509::der::tag;

struct CipherRow {
  Cipher cipher;
  der::Oid oid;
  const char* name;
  std::size_t key;
  std::size_t block;
};
constexpr std::array<CipherRow, 4> cipher_rows = {{
    {Cipher::des_cbc, der::Oid("1.3.14.3.2.7"), "DES-CBC", 8, 8},
    {Cipher::des_ede3_cbc, der::Oid("1.2.840.113549.3.7"), "DES-EDE3-CBC", 24, 8},
    {Cipher::aes128_cbc, der::Oid("2.16.840.1.101.3.4.1.2"), "AES-128-CBC", 16, 16},
    {Cipher::aes256_cbc, der::Oid("2.16.840.1.101.3.4.1.42"), "AES-256-CBC", 32, 16},
}};

const CipherRow& row(Cipher cipher) { return cipher_rows[static_cast<std::size_t>(cipher) - 1]; }

/// Fetched once. Single DES lives in OpenSSL's legacy provider, loaded into a context of its own
/// when first asked for, so that nothing else of it becomes available.
const EVP_CIPHER* evp_cipher(Cipher cipher) {
  if (cipher == Cipher::des_cbc) {
    static const EVP_CIPHER* const legacy = []() -> const EVP_CIPHER* {
      OSSL_LIB_CTX* const context = OSSL_LIB_CTX_new();
      if (context == nullptr || OSSL_PROVIDER_load(context, "legacy") == nullptr) return nullptr;
      return EVP_CIPHER_fetch(context, "DES-CBC", nullptr);
    }();
    return legacy;
  }
  static const std::array<const EVP_CIPHER*, 3> fetched = {
      EVP_CIPHER_fetch(nullptr, "DES-EDE3-CBC", nullptr),
      EVP_CIPHER_fetch(nullptr, "AES-128-CBC", nullptr),
      EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr)};
  return fetched[static_cast<std::size_t>(cipher) - 2];
}

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

Result<Bytes> run_cipher(Cipher cipher, bool encrypt, const Bytes& key, const Bytes& iv,
                         ByteView in) {
  const EVP_CIPHER* const method = evp_cipher(cipher);
  if (method == nullptr) {
    return fail(Errc::unsupported, std::string(to_string(cipher)) +
                                       " is not available in this OpenSSL (no legacy provider)");
  }
  const CipherContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Bytes out(in.size() + 32);
  int head = 0;
  int tail = 0;
  if (!context ||
      EVP_CipherInit_ex(context.get(), method, nullptr, key.data(), iv.data(), encrypt ? 1 : 0) !=
          1 ||
      EVP_CipherUpdate(context.get(), out.data(), &head, in.data(), static_cast<int>(in.size())) !=
          1 ||
      EVP_CipherFinal_ex(context.get(), out.data() + head, &tail) != 1) {
    wipe(out);
    return fail(Errc::crypto, "the envelope does not open");
  }
  out.resize(static_cast<std::size_t>(head + tail));
  return out;
}

}  // namespace

Result<EnvelopedData> parse_enveloped_data(ByteView input) {
  UMBRA_TRY(const der::Definite message, der::definite(input));
  UMBRA_TRY(const der::Element outer, der::parse_one(message.der, tag::sequence, "a ContentInfo"));
  der::Reader info(outer.content);
  UMBRA_TRY(const der::Element type, info.expect(tag::oid, "a content type"));
  if (!oid_enveloped_data.is(type.content)) return fail(Errc::malformed, "not an EnvelopedData");
  UMBRA_TRY(const der::Element explicit_content, info.expect(der::context(0), "an EnvelopedData"));
  UMBRA_TRY(const der::Element body,
            der::parse_one(explicit_content.content, tag::sequence, "an EnvelopedData"));

  EnvelopedData data;
  der::Reader reader(body.content);
  UMBRA_CHECK(reader.expect(tag::integer, "an EnvelopedData version"));
  UMBRA_CHECK(reader.take_if(der::context(0)));  // originatorInfo
  UMBRA_TRY(const der::Element recipients, reader.expect(tag::set, "recipients"));
  for (der::Reader each(recipients.content); !each.empty();) {
    UMBRA_TRY(const der::Element one, each.next());
    if (one.tag != tag::sequence) continue;  // other kinds of RecipientInfo
    if (data.recipients.size() == 4)
      return fail(Errc::malformed, "more recipients than anybody needs");
    der::Reader fields(one.content);
    UMBRA_CHECK(fields.expect(tag::integer, "a recipient's version"));
    UMBRA_TRY(const der::Element rid, fields.next());
    if (rid.tag != tag::sequence) continue;  // by key identifier
    UMBRA_TRY(IssuerAndSerial id, parse_issuer_and_serial(rid.whole));
    UMBRA_TRY(const der::Element algorithm,
              fields.expect(tag::sequence, "a key encryption algorithm"));
    der::Reader algorithm_fields(algorithm.content);
    UMBRA_TRY(const der::Element oid,
              algorithm_fields.expect(tag::oid, "a key encryption algorithm"));
    UMBRA_TRY(const der::Element key, fields.expect(tag::octet_string, "an encrypted key"));
    if (!oid_rsa_encryption.is(oid.content)) continue;
    data.recipients.push_back({std::move(id), to_bytes(key.content)});
  }
  UMBRA_TRY(const der::Element content, reader.expect(tag::sequence, "an EncryptedContentInfo"));
  der::Reader fields(content.content);
  UMBRA_CHECK(fields.expect(tag::oid, "a content type"));
  UMBRA_TRY(const der::Element algorithm,
            fields.expect(tag::sequence, "a content encryption algorithm"));
  der::Reader algorithm_fields(algorithm.content);
  UMBRA_TRY(const der::Element oid,
            algorithm_fields.expect(tag::oid, "a content encryption algorithm"));
  const auto* const known =
      std::find_if(cipher_rows.begin(), cipher_rows.end(),
                   [&](const CipherRow& candidate) { return candidate.oid.is(oid.content); });
  if (known == cipher_rows.end()) {
    data.cipher =
        fail(Errc::unsupported, "content encryption algorithm " + der::to_dotted(oid.content));
  } else {
    data.cipher = known->cipher;
    UMBRA_TRY(const der::Element iv,
              algorithm_fields.expect(tag::octet_string, "an initialisation vector"));
    if (iv.content.size() != row(*data.cipher).block)
      return fail(Errc::malformed, "an initialisation vector of another size");
    data.iv = to_bytes(iv.content);
  }
  UMBRA_TRY(const der::Element encrypted, fields.next());
  if (encrypted.tag == der::context_primitive(0)) {
    data.encrypted = to_bytes(encrypted.content);
  } else if (encrypted.tag == der::context(0)) {  // BER: in pieces
    for (der::Reader parts(encrypted.content); !parts.empty();) {
      UMBRA_TRY(const der::Element part,
                parts.expect(tag::octet_string, "a piece of encrypted content"));
      data.encrypted.insert(data.encrypted.end(), part.content.begin(), part.content.end());
    }
  } else {
    return fail(Errc::malformed, "an envelope without encrypted content");
  }
  return data;
}

Result<Bytes> decrypt(const EnvelopedData& data, const Bytes& encrypted_key,
                      const x509::PrivateKey& key, bool allow_des) {
  if (!data.cipher) return tl::unexpected(data.cipher.error());
  if (*data.cipher == Cipher::des_cbc && !allow_des) {
    return fail(Errc::unsupported, "single DES, which only `allow legacy des` lets in");
  }
  Bytes content_key = key.unwrap(encrypted_key, row(*data.cipher).key);
  auto out = run_cipher(*data.cipher, false, content_key, data.iv, data.encrypted);
  wipe(content_key);
  return out;
}

Result<Bytes> envelop(ByteView content, const x509::Certificate& recipient, Cipher cipher,
                      Random& random) {
  const CipherRow& chosen = row(cipher);
  Bytes content_key(chosen.key);
  Bytes iv(chosen.block);
  x509::random_octets(content_key);
  random.fill(iv);
  auto encrypted_key = recipient.public_key().encrypt(content_key);
  auto encrypted = run_cipher(cipher, true, content_key, iv, content);
  wipe(content_key);
  if (!encrypted_key) return tl::unexpected(encrypted_key.error());
  if (!encrypted) return tl::unexpected(encrypted.error());
  constexpr std::array<std::uint8_t, 3> version_0 = {tag::integer, 1, 0};
  const Bytes recipient_info =
      der::sequence({version_0, to_der(recipient.issuer(), recipient.serial()),
                     der::sequence({oid_rsa_encryption, der::Header(tag::null, 0)}),
                     der::Header(tag::octet_string, encrypted_key->size()), *encrypted_key});
  const Bytes algorithm =
      der::sequence({chosen.oid, der::Header(tag::octet_string, iv.size()), iv});
  const der::Header octets(der::context_primitive(0), encrypted->size());
  const der::Header encrypted_info(tag::sequence, oid_data.whole().size() + algorithm.size() +
                                                      octets.size() + encrypted->size());
  return content_info(oid_enveloped_data,
                      {version_0, der::Header(tag::set, recipient_info.size()), recipient_info,
                       encrypted_info, oid_data, algorithm, octets, *encrypted});
}

}  // namespace umbra::scep::cms
