#include "x509/key.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>

#include "base/assert.h"
#include "x509/der.h"
#include "x509/digest_engine.h"
#include "x509/ossl.h"

namespace umbra::x509 {
namespace {

constexpr der::Oid oid_rsa("1.2.840.113549.1.1.1");
constexpr der::Oid oid_ec("1.2.840.10045.2.1");
// What OWASP asks for of what people think up (2023). To 256 random bits no number of rounds adds
// anything, and at each start there is a key to open for every CA that has not ended.
constexpr int rounds_for_people = 600000;
constexpr int rounds_for_random = 10000;

/// 32 octets in base64 or hexadecimal, as umbrad and `openssl rand` make them.
bool is_random(std::string_view passphrase) {
  constexpr std::size_t octets = 32;
  constexpr std::size_t in_base64 = 44;
  if (passphrase.size() != in_base64 && passphrase.size() != 2 * octets) return false;
  auto meant = passphrase.size() == in_base64 ? from_base64(passphrase) : from_hex(passphrase);
  if (!meant) return false;
  const bool whole = meant->size() == octets;
  wipe(*meant);
  return whole;
}

struct Curve {
  der::Oid oid;
  const char* name;
  int bits;
};
constexpr std::array<Curve, 3> curves = {{{der::Oid("1.2.840.10045.3.1.7"), "P-256", 256},
                                          {der::Oid("1.3.132.0.34"), "P-384", 384},
                                          {der::Oid("1.3.132.0.35"), "P-521", 521}}};

std::shared_ptr<evp_pkey_st> shared(ossl::Pkey key) {
  EVP_PKEY* const raw = key.release();
  return {raw, [](evp_pkey_st* p) { EVP_PKEY_free(p); }};
}

/// In: `context`, of this type and made ready by this thread before.
Result<ossl::Pkey> from_params(EVP_PKEY_CTX* context, OSSL_PARAM* params) {
  EVP_PKEY* raw = nullptr;
  if (context == nullptr || EVP_PKEY_fromdata(context, &raw, EVP_PKEY_PUBLIC_KEY, params) != 1)
    return ossl::failed(Errc::malformed, "a public key OpenSSL does not take");
  return ossl::Pkey(raw);
}

/// What public keys are made with. Kept by each thread: to look the algorithm up costs as much as
/// to make a key.
ossl::PkeyContext maker_of(const char* type) {
  ossl::PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1) return nullptr;
  return context;
}

/// RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }, RFC 8017 A.1.1.
struct ParsedRsa {
  ByteView modulus;
  ByteView exponent;
  int bits;
};
Result<ParsedRsa> parse_rsa(ByteView key_bits) {
  UMBRA_TRY(const der::Element outer,
            der::parse_one(key_bits, der::tag::sequence, "an RSAPublicKey"));
  der::Reader reader(outer.content);
  UMBRA_TRY(const der::Element n, reader.expect(der::tag::integer, "an RSA modulus"));
  UMBRA_TRY(const der::Element e, reader.expect(der::tag::integer, "an RSA exponent"));
  UMBRA_CHECK(reader.finish("an RSAPublicKey"));
  const auto magnitude = [](ByteView in) {
    while (!in.empty() && in[0] == 0) in = in.subspan(1);
    return in;
  };
  if (n.content.empty() || (n.content[0] & 0x80) != 0 || e.content.empty() ||
      (e.content[0] & 0x80) != 0) {
    return fail(Errc::malformed, "an RSA key with a negative number");
  }
  const ByteView modulus = magnitude(n.content);
  const ByteView exponent = magnitude(e.content);
  if (modulus.empty() || exponent.empty() || (exponent.back() & 1) == 0 ||
      (modulus.back() & 1) == 0) {
    return fail(Errc::malformed, "an RSA key whose numbers cannot be");
  }
  // 1 leaves everything as it is; a large one only makes others compute.
  if (exponent.size() > 8 || (exponent.size() == 1 && exponent[0] == 1))
    return fail(Errc::unsupported, "an RSA key whose public exponent is 1 or over 64 bits");
  int bits = static_cast<int>(modulus.size()) * 8;
  for (std::uint8_t top = modulus[0]; (top & 0x80) == 0; top = static_cast<std::uint8_t>(top << 1))
    --bits;
  if (bits < 512 || bits > 8192)
    return fail(Errc::unsupported, "an RSA key outside 512 to 8192 bits");
  return ParsedRsa{modulus, exponent, bits};
}

/// As OpenSSL's parameters have numbers.
Bytes native(ByteView big_endian) {
  Bytes out = to_bytes(big_endian);
  if constexpr (std::endian::native == std::endian::little) std::reverse(out.begin(), out.end());
  return out;
}

Result<ossl::Pkey> build_rsa(ByteView key_bits) {
  UMBRA_TRY(const ParsedRsa numbers, parse_rsa(key_bits));
  thread_local const ossl::PkeyContext maker = maker_of("RSA");
  Bytes n = native(numbers.modulus);
  Bytes e = native(numbers.exponent);
  std::array<OSSL_PARAM, 3> params = {OSSL_PARAM_construct_BN("n", n.data(), n.size()),
                                      OSSL_PARAM_construct_BN("e", e.data(), e.size()),
                                      OSSL_PARAM_construct_end()};
  return from_params(maker.get(), params.data());
}

Result<ossl::Pkey> build_ec(ByteView point, const Curve& curve) {
  thread_local const ossl::PkeyContext maker = maker_of("EC");
  std::string group = curve.name;
  Bytes pub = to_bytes(point);
  std::array<OSSL_PARAM, 3> params = {
      OSSL_PARAM_construct_utf8_string("group", group.data(), group.size()),
      OSSL_PARAM_construct_octet_string("pub", pub.data(), pub.size()), OSSL_PARAM_construct_end()};
  return from_params(maker.get(), params.data());
}

Result<Bytes> spki_of(EVP_PKEY* key) {
  std::uint8_t* raw = nullptr;
  const int size = i2d_PUBKEY(key, &raw);
  if (size <= 0) return ossl::failed(Errc::crypto, "encoding a public key");
  Bytes out(raw, raw + size);
  OPENSSL_free(raw);
  return out;
}

std::string bio_text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

namespace {

/// What OpenSSL needs to use a key in one way, made ready: that costs as much as some uses. With
/// its digest, if there is one.
struct Prepared {
  ossl::PkeyContext context{};
  Digest digest{};
};

/// As many as were ever in use at once, and no more than there are likely to be threads. One that
/// has failed is not put back.
class Pool {
 public:
  /// Out: nothing in it if there is none of this digest.
  Prepared take(Digest digest) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(idle_.rbegin(), idle_.rend(),
                                    [&](const Prepared& one) { return one.digest == digest; });
    if (found == idle_.rend()) return {};
    Prepared taken = std::move(*found);
    idle_.erase(std::next(found).base());
    return taken;
  }
  /// Any, to be made ready anew: nothing if none is idle.
  ossl::PkeyContext take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return nullptr;
    ossl::PkeyContext taken = std::move(idle_.back().context);
    idle_.pop_back();
    return taken;
  }
  void put_back(Prepared one) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < idle_max) idle_.push_back(std::move(one));
  }

 private:
  static constexpr std::size_t idle_max = 64;
  std::mutex mutex_;
  std::vector<Prepared> idle_;
};

}  // namespace

/// OpenSSL's form of the key, made when first used: a key that is only stored or compared never
/// pays for it.
struct PublicKey::Engine {
  Pool verifiers;
  std::once_flag once;
  std::shared_ptr<evp_pkey_st> key;
  Error error{Errc::malformed, ""};
};

Result<PublicKey> PublicKey::from_spki(ByteView der, const PublicKey& known) {
  if (equal(der, known.spki_)) return known;
  return from_spki(der);
}

Result<PublicKey> PublicKey::from_spki(ByteView der) {
  UMBRA_TRY(const der::Element outer,
            der::parse_one(der, der::tag::sequence, "a SubjectPublicKeyInfo"));
  der::Reader reader(outer.content);
  UMBRA_TRY(const der::Element algorithm,
            reader.expect(der::tag::sequence, "a key's AlgorithmIdentifier"));
  UMBRA_TRY(const der::Element bits, reader.expect(der::tag::bit_string, "a key's BIT STRING"));
  UMBRA_CHECK(reader.finish("a SubjectPublicKeyInfo"));
  if (bits.content.empty() || bits.content[0] != 0)
    return fail(Errc::malformed, "a key with unused bits");
  const ByteView key_bits = bits.content.subspan(1);
  der::Reader parameters(algorithm.content);
  UMBRA_TRY(const der::Element oid, parameters.expect(der::tag::oid, "a key's algorithm"));

  PublicKey key;
  if (oid_rsa.is(oid.content)) {
    UMBRA_TRY(const auto null, parameters.take_if(der::tag::null));
    UMBRA_CHECK(parameters.finish("a key's algorithm"));
    if (null && !null->content.empty()) {
      return fail(Errc::malformed, "an RSA key's algorithm with parameters");
    }
    UMBRA_TRY(const ParsedRsa numbers, parse_rsa(key_bits));
    key.algorithm_ = KeyAlgorithm::rsa;
    key.bits_ = numbers.bits;
  } else if (oid_ec.is(oid.content)) {
    UMBRA_TRY(const der::Element curve_oid, parameters.expect(der::tag::oid, "a named curve"));
    UMBRA_CHECK(parameters.finish("a key's algorithm"));
    for (const Curve& curve : curves) {
      if (curve.oid.is(curve_oid.content)) key.bits_ = curve.bits;
    }
    const auto field = static_cast<std::size_t>((key.bits_ + 7) / 8);
    if (key.bits_ == 0 || key_bits.size() != 1 + 2 * field || key_bits[0] != 4) {
      return fail(Errc::unsupported,
                  "an EC key that is not an uncompressed point on P-256, P-384 or P-521");
    }
    key.algorithm_ = KeyAlgorithm::ec;
  } else {
    return fail(Errc::unsupported, "key algorithm " + der::to_dotted(oid.content));
  }
  key.spki_ = to_bytes(der);
  key.key_bits_ = to_bytes(key_bits);
  key.engine_ = std::make_shared<Engine>();
  return key;
}

Result<evp_pkey_st*> PublicKey::engine() const {
  std::call_once(engine_->once, [this] {
    Result<ossl::Pkey> built = tl::unexpected(Error{Errc::unsupported, "key"});
    if (algorithm_ == KeyAlgorithm::rsa) {
      built = build_rsa(key_bits_);
    } else {
      for (const Curve& curve : curves) {
        if (curve.bits == bits_) built = build_ec(key_bits_, curve);
      }
    }
    if (built) {
      engine_->key = shared(*std::move(built));
    } else {
      engine_->error = built.error();
    }
  });
  if (!engine_->key) return tl::unexpected(engine_->error);
  return engine_->key.get();
}

std::optional<PublicKey::RsaNumbers> PublicKey::rsa() const {
  if (algorithm_ != KeyAlgorithm::rsa) return std::nullopt;
  const auto numbers = parse_rsa(key_bits_);
  if (!numbers) return std::nullopt;
  return RsaNumbers{numbers->modulus, numbers->exponent};
}

Bytes PublicKey::key_identifier() const { return hash(Digest::sha1, key_bits_); }

Result<void> PublicKey::verify(const SignatureAlgorithm& algorithm, ByteView data,
                               ByteView signature) const {
  if (algorithm.key != algorithm_)
    return fail(Errc::unsupported, "a signature algorithm of another kind of key");
  UMBRA_TRY(evp_pkey_st* const key, engine());
  const Bytes digest = hash(algorithm.digest, data);
  Prepared prepared = engine_->verifiers.take(algorithm.digest);
  if (!prepared.context) {
    prepared = {ossl::PkeyContext(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr)),
                algorithm.digest};
    EVP_PKEY_CTX* const context = prepared.context.get();
    if (context == nullptr || EVP_PKEY_verify_init(context) != 1 ||
        (algorithm_ == KeyAlgorithm::rsa &&
         EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) != 1) ||
        EVP_PKEY_CTX_set_signature_md(context, evp_md(algorithm.digest)) != 1) {
      return ossl::failed(Errc::crypto, "preparing to verify a signature");
    }
  }
  if (EVP_PKEY_verify(prepared.context.get(), signature.data(), signature.size(), digest.data(),
                      digest.size()) != 1) {
    return ossl::failed(Errc::crypto, "the signature does not match");
  }
  engine_->verifiers.put_back(std::move(prepared));
  return {};
}

Result<Bytes> PublicKey::encrypt(ByteView secret) const {
  if (algorithm_ != KeyAlgorithm::rsa)
    return fail(Errc::unsupported, "an envelope needs an RSA key");
  UMBRA_TRY(evp_pkey_st* const key, engine());
  // Whom we answer has signed what we answer: the context that has verified it is there.
  ossl::PkeyContext context = engine_->verifiers.take();
  if (!context) context.reset(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  Bytes out(static_cast<std::size_t>((bits_ + 7) / 8));
  std::size_t size = out.size();
  if (!context || EVP_PKEY_encrypt_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) != 1 ||
      EVP_PKEY_encrypt(context.get(), out.data(), &size, secret.data(), secret.size()) != 1) {
    return ossl::failed(Errc::crypto, "encrypting for a public key");
  }
  out.resize(size);
  return out;
}

void random_octets(std::span<std::uint8_t> out) {
  UMBRA_ENSURE(RAND_priv_bytes(out.data(), static_cast<int>(out.size())) == 1,
               "OpenSSL has randomness");
}

/// What was made ready lives as long as the last copy of the key.
struct PrivateKey::Ready {
  Pool signers;
  Pool decrypters;
};

PrivateKey::PrivateKey(std::shared_ptr<evp_pkey_st> key, PublicKey pub)
    : key_(std::move(key)), public_(std::move(pub)), ready_(std::make_shared<Ready>()) {}

Result<PrivateKey> PrivateKey::adopt(std::shared_ptr<evp_pkey_st> key) {
  UMBRA_TRY(const Bytes spki, spki_of(key.get()));
  UMBRA_TRY(PublicKey pub, PublicKey::from_spki(spki));
  return PrivateKey(std::move(key), std::move(pub));
}

Result<PrivateKey> PrivateKey::generate_rsa(int bits) {
  if (bits < 1024 || bits > 8192)
    return fail(Errc::unsupported, "an RSA key has 1024 to 8192 bits");
  ossl::Pkey key(EVP_RSA_gen(static_cast<unsigned>(bits)));
  if (!key) return ossl::failed(Errc::crypto, "generating an RSA key");
  return adopt(shared(std::move(key)));
}

Result<PrivateKey> PrivateKey::generate_ec(int bits) {
  for (const Curve& curve : curves) {
    if (curve.bits != bits) continue;
    ossl::Pkey key(EVP_EC_gen(curve.name));
    if (!key) return ossl::failed(Errc::crypto, "generating an EC key");
    return adopt(shared(std::move(key)));
  }
  return fail(Errc::unsupported, "an EC key is on P-256, P-384 or P-521");
}

Result<Bytes> PrivateKey::seal(std::string_view passphrase) const {
  const ossl::Pkcs8 plain(EVP_PKEY2PKCS8(key_.get()));
  if (!plain) return ossl::failed(Errc::crypto, "sealing a key");
  const int rounds = is_random(passphrase) ? rounds_for_random : rounds_for_people;
  X509_ALGOR* const algorithm =
      PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), rounds, nullptr, 0, nullptr, NID_hmacWithSHA256);
  const ossl::Sealed sealed(
      algorithm == nullptr ? nullptr
                           : PKCS8_set0_pbe(passphrase.data(), static_cast<int>(passphrase.size()),
                                            plain.get(), algorithm));
  std::uint8_t* raw = nullptr;
  const int size = sealed ? i2d_X509_SIG(sealed.get(), &raw) : 0;
  if (size <= 0) return ossl::failed(Errc::crypto, "sealing a key");
  Bytes out(raw, raw + size);
  OPENSSL_free(raw);
  return out;
}

Result<PrivateKey> PrivateKey::unseal(ByteView encrypted_pkcs8, std::string_view passphrase) {
  const std::uint8_t* at = encrypted_pkcs8.data();
  const ossl::Sealed sealed(d2i_X509_SIG(nullptr, &at, static_cast<long>(encrypted_pkcs8.size())));
  if (!sealed) return ossl::failed(Errc::malformed, "a stored key is not an encrypted PKCS #8");
  const ossl::Pkcs8 plain(
      PKCS8_decrypt(sealed.get(), passphrase.data(), static_cast<int>(passphrase.size())));
  if (!plain) return ossl::failed(Errc::crypto, "a stored key does not open with this passphrase");
  ossl::Pkey key(EVP_PKCS82PKEY(plain.get()));
  if (!key) return ossl::failed(Errc::malformed, "a stored key that OpenSSL does not take");
  return adopt(shared(std::move(key)));
}

Result<std::string> PrivateKey::to_pem() const {
  const ossl::Bio bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr,
                                            nullptr) != 1) {
    return ossl::failed(Errc::crypto, "writing a key as PEM");
  }
  return bio_text(bio.get());
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view pem) {
  const ossl::Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // An empty passphrase callback: OpenSSL would otherwise ask on the terminal.
  ossl::Pkey key(PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr));
  if (!key) return ossl::failed(Errc::malformed, "not an unencrypted private key in PEM");
  return adopt(shared(std::move(key)));
}

Result<Bytes> PrivateKey::sign(Digest digest, ByteView data) const {
  if (public_.algorithm() == KeyAlgorithm::ec && digest == Digest::md5) {
    return fail(Errc::unsupported, "there is no ECDSA with MD5");
  }
  const Bytes digested = hash(digest, data);
  Prepared prepared = ready_->signers.take(digest);
  if (!prepared.context) {
    prepared = {ossl::PkeyContext(EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr)),
                digest};
    EVP_PKEY_CTX* const context = prepared.context.get();
    if (context == nullptr || EVP_PKEY_sign_init(context) != 1 ||
        (public_.algorithm() == KeyAlgorithm::rsa &&
         EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) != 1) ||
        EVP_PKEY_CTX_set_signature_md(context, evp_md(digest)) != 1) {
      return ossl::failed(Errc::crypto, "preparing to sign");
    }
  }
  Bytes out(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())));
  std::size_t size = out.size();
  if (EVP_PKEY_sign(prepared.context.get(), out.data(), &size, digested.data(), digested.size()) !=
      1) {
    return ossl::failed(Errc::crypto, "signing");
  }
  ready_->signers.put_back(std::move(prepared));
  out.resize(size);
  return out;
}

Bytes PrivateKey::unwrap(ByteView encrypted, std::size_t size) const {
  // Of this process: who repeats a message after a restart learns nothing either.
  static const Bytes secret = [] {
    Bytes made(32);
    random_octets(made);
    return made;
  }();
  Bytes otherwise = hash(Digest::sha256, der::concat({secret, encrypted}));
  otherwise.resize(size);
  if (public_.algorithm() != KeyAlgorithm::rsa) return otherwise;
  Prepared prepared = ready_->decrypters.take({});
  if (!prepared.context) {
    prepared = {ossl::PkeyContext(EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr)), {}};
    EVP_PKEY_CTX* const context = prepared.context.get();
    if (context == nullptr || EVP_PKEY_decrypt_init(context) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING) != 1) {
      ERR_clear_error();
      return otherwise;
    }
  }
  Bytes block(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())));
  std::size_t got = block.size();
  constexpr std::size_t around = 3 + 8;  // 00 02, at least eight octets of padding, 00
  // Without OpenSSL's own unpadding, whose errors take time to tell. What fails here is seen by
  // everybody: a number that is no smaller than the modulus, or an octet too many.
  const bool opened = block.size() >= size + around &&
                      EVP_PKEY_decrypt(prepared.context.get(), block.data(), &got, encrypted.data(),
                                       encrypted.size()) == 1 &&
                      got == block.size();
  ready_->decrypters.put_back(std::move(prepared));
  if (!opened) {
    ERR_clear_error();
    return otherwise;
  }
  // RFC 8017 7.2.2, with no branch on what was decrypted.
  const std::size_t separator = block.size() - size - 1;
  std::uint32_t wrong = block[0] | (block[1] ^ 2U) | block[separator];
  for (std::size_t i = 2; i < separator; ++i) wrong |= (block[i] - 1U) >> 31;  // 1 for a zero
  // 0xFF if nothing is, else 0.
  const volatile auto keep = static_cast<std::uint8_t>((wrong - 1U) >> 24);
  for (std::size_t i = 0; i < size; ++i) {
    otherwise[i] = static_cast<std::uint8_t>((block[separator + 1 + i] & keep) |
                                             (otherwise[i] & static_cast<std::uint8_t>(~keep)));
  }
  wipe(block);
  return otherwise;
}

}  // namespace umbra::x509
