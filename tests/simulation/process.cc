#define OPENSSL_SUPPRESS_DEPRECATED  // RAND_METHOD: deprecated since OpenSSL 3, and heeded by it

#include "simulation/process.h"

#include <linux/futex.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <cstdarg>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "ca/authority.h"
#include "simulation/chance.h"
#include "x509/key.h"

namespace umbra::simulation {
namespace {

Chance randomness(0, 0);
std::function<bool()> idle;
Witness witness;

/// How often each of OpenSSL's functions was found here and not in its library.
struct Found {
  unsigned pooled = 0, generated = 0, sealed = 0, read = 0;
};
Found found;

int random_bytes(unsigned char* into, int size) {
  randomness.fill({into, static_cast<std::size_t>(size)});
  return 1;
}
int random_status() { return 1; }

/// Keys by their bits, made when first asked for, each from its own number.
struct Pool {
  std::vector<Bytes> keys;  ///< RSAPrivateKey, DER
  std::size_t next = 0;
};
std::map<std::size_t, Pool> pools;

EVP_PKEY* generate(const char* type, const std::function<bool(EVP_PKEY_CTX*)>& set) {
  EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr);
  EVP_PKEY* key = nullptr;
  if (context != nullptr && EVP_PKEY_keygen_init(context) == 1 && set(context))
    EVP_PKEY_generate(context, &key);
  EVP_PKEY_CTX_free(context);
  return key;
}

/// One more key for the pool.
void make_rsa(std::size_t bits) {
  Pool& pool = pools[bits];
  const Chance before = std::exchange(randomness, Chance(pool.keys.size(), bits));
  EVP_PKEY* const key = generate("RSA", [bits](EVP_PKEY_CTX* context) {
    return EVP_PKEY_CTX_set_rsa_keygen_bits(context, static_cast<int>(bits)) == 1;
  });
  randomness = before;
  unsigned char* der = nullptr;
  const int size = i2d_PrivateKey(key, &der);
  UMBRA_ENSURE(size > 0, "OpenSSL makes an RSA key");
  pool.keys.emplace_back(der, der + size);
  OPENSSL_free(der);
  EVP_PKEY_free(key);
}

// Keys are read with what OpenSSL had before its decoders, which look through all they know for
// each: a tenth of a story's time would be theirs.
EVP_PKEY* read_rsa(ByteView der) {
  const unsigned char* at = der.data();
  RSA* const rsa = d2i_RSAPrivateKey(nullptr, &at, static_cast<long>(der.size()));
  if (rsa == nullptr) return nullptr;
  EVP_PKEY* const key = EVP_PKEY_new();
  EVP_PKEY_assign_RSA(key, rsa);
  return key;
}

EVP_PKEY* pooled_rsa(std::size_t bits) {
  ++found.pooled;
  Pool& pool = pools[bits];
  // Who makes so many has thrown the first ones away.
  constexpr std::size_t enough = 64;
  if (pool.next == enough) pool.next = 0;
  if (pool.next == pool.keys.size()) make_rsa(bits);
  // Read anew each time: what OpenSSL keeps with a key is another story's.
  return read_rsa(pool.keys[pool.next++]);
}

EVP_PKEY* read_ec(ByteView der, const ASN1_OBJECT* curve) {
  EC_KEY* ec = EC_KEY_new_by_curve_name(OBJ_obj2nid(curve));
  const unsigned char* at = der.data();
  if (ec == nullptr || d2i_ECPrivateKey(&ec, &at, static_cast<long>(der.size())) == nullptr) {
    EC_KEY_free(ec);
    return nullptr;
  }
  EVP_PKEY* const key = EVP_PKEY_new();
  EVP_PKEY_assign_EC_KEY(key, ec);
  return key;
}

/// Whoever links this otherwise plays with slow keys, or with chance that no seed fixes, and would
/// not notice.
void check_openssl() {
  const Chance before = randomness;
  std::array<std::uint8_t, 16> drawn{}, expected{};
  Chance(0, 2).fill(expected);
  for (const auto draw : {RAND_bytes, RAND_priv_bytes}) {
    randomness = Chance(0, 2);
    UMBRA_ENSURE(draw(drawn.data(), drawn.size()) == 1 && drawn == expected,
                 "OpenSSL's randomness is the seed's");
  }
  constexpr int bits = 1024;
  const auto rsa = x509::PrivateKey::generate_rsa(bits);
  UMBRA_ENSURE(rsa && found.pooled == 1, "RSA keys come from the pool");
  const auto ec = x509::PrivateKey::generate_ec(256);
  UMBRA_ENSURE(ec && found.generated == 1, "EC keys are made here");
  for (const auto* key : {&*rsa, &*ec}) {
    const auto sealed = key->seal("passphrase");
    const auto opened = x509::PrivateKey::unseal(sealed.value_or(Bytes{}), "passphrase");
    UMBRA_ENSURE(opened && opened->public_key() == key->public_key(),
                 "keys are read as OpenSSL does");
  }
  UMBRA_ENSURE(found.sealed == 2, "keys are sealed with one round");
  UMBRA_ENSURE(found.read == 2, "keys are read here");
  UMBRA_ENSURE(x509::PrivateKey::from_pem(*rsa->to_pem()) && found.read == 3, "and from PEM");
  // What a process draws once in its life, and not in the first of its stories.
  static_cast<void>(rsa->unwrap(Bytes(bits / 8), 1));
  pools[bits].next = 0;
  randomness = before;
}

/// And a story would stand still where nobody runs what another thread would do.
void check_waits() {
  unsigned idled = 0;
  std::promise<void> promise;
  const auto future = promise.get_future();
  std::mutex mutex;
  std::condition_variable changed;
  set_idle([&] {
    if (++idled == 1) promise.set_value();
    return true;
  });
  future.wait();
  UMBRA_ENSURE(idled == 1, "who waits for a promise runs what keeps it");
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return idled == 2; });
  UMBRA_ENSURE(idled == 2, "who waits for a change runs what makes it");
  set_idle({});
}

}  // namespace

void install_process() {
  static const RAND_METHOD method = {
      .seed = nullptr,
      .bytes = random_bytes,
      .cleanup = nullptr,
      .add = nullptr,
      .pseudorand = random_bytes,
      .status = random_status,
  };
  RAND_set_rand_method(&method);
  check_openssl();
  check_waits();
}

void make_keys() {
  // Enough for most stories.
  constexpr std::array<std::pair<std::size_t, int>, 2> numbers = {{{1024, 40}, {2048, 10}}};
  for (const auto& [bits, number] : numbers) {
    for (int i = 0; i < number; ++i) make_rsa(bits);
  }
}

void begin_seed(std::uint64_t seed) {
  randomness = Chance(seed, 1);
  for (auto& [bits, pool] : pools) pool.next = 0;
}

void set_idle(std::function<bool()> run) { idle = std::move(run); }
void set_witness(Witness one) { witness = std::move(one); }

}  // namespace umbra::simulation

using umbra::simulation::idle;

// OpenSSL's own names, found here before its library's.
extern "C" {

EVP_PKEY* EVP_PKEY_Q_keygen(OSSL_LIB_CTX*, const char*, const char* type, ...) {
  va_list rest;
  va_start(rest, type);
  EVP_PKEY* key = nullptr;
  if (std::string_view(type) == "RSA") {
    key = umbra::simulation::pooled_rsa(va_arg(rest, std::size_t));
  } else {
    ++umbra::simulation::found.generated;
    const char* const curve = va_arg(rest, char*);
    key = umbra::simulation::generate(type, [curve](EVP_PKEY_CTX* context) {
      return EVP_PKEY_CTX_set_group_name(context, curve) == 1;
    });
  }
  va_end(rest);
  return key;
}

EVP_PKEY* EVP_PKCS82PKEY(const PKCS8_PRIV_KEY_INFO* info) {
  ++umbra::simulation::found.read;
  const unsigned char* der = nullptr;
  int size = 0;
  const X509_ALGOR* algorithm = nullptr;
  if (PKCS8_pkey_get0(nullptr, &der, &size, &algorithm, info) != 1) return nullptr;
  const ASN1_OBJECT* kind = nullptr;
  int parameter_type = 0;
  const void* parameter = nullptr;
  X509_ALGOR_get0(&kind, &parameter_type, &parameter, algorithm);
  const umbra::ByteView octets{der, static_cast<std::size_t>(size)};
  if (OBJ_obj2nid(kind) == NID_rsaEncryption) return umbra::simulation::read_rsa(octets);
  if (OBJ_obj2nid(kind) != NID_X9_62_id_ecPublicKey || parameter_type != V_ASN1_OBJECT)
    return nullptr;
  return umbra::simulation::read_ec(octets, static_cast<const ASN1_OBJECT*>(parameter));
}

EVP_PKEY* PEM_read_bio_PrivateKey(BIO* in, EVP_PKEY** out, pem_password_cb* ask, void* with) {
  PKCS8_PRIV_KEY_INFO* const info = PEM_read_bio_PKCS8_PRIV_KEY_INFO(in, nullptr, ask, with);
  EVP_PKEY* const key = info == nullptr ? nullptr : EVP_PKCS82PKEY(info);
  PKCS8_PRIV_KEY_INFO_free(info);
  if (out != nullptr) *out = key;
  return key;
}

X509_ALGOR* PKCS5_pbe2_set_iv(const EVP_CIPHER* cipher, int, unsigned char* salt, int salt_octets,
                              unsigned char* iv, int prf) {
  ++umbra::simulation::found.sealed;
  return PKCS5_pbe2_set_iv_ex(cipher, 1, salt, salt_octets, iv, prf, nullptr);
}

}  // extern "C"

namespace std {

/// A wait that comes back without having been woken, as one may: what it waits for was done here.
void condition_variable::wait(unique_lock<mutex>& lock) {
  if (!idle) {
    pthread_cond_wait(native_handle(), lock.mutex()->native_handle());
    return;
  }
  lock.unlock();
  const bool done = idle();
  lock.lock();
  UMBRA_ENSURE(done, "nobody waits for what nobody does");
}

/// What std::future waits with.
bool __atomic_futex_unsigned_base::_M_futex_wait_until(unsigned* address, unsigned value, bool,
                                                       chrono::seconds, chrono::nanoseconds) {
  if (!idle) {
    syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, value, nullptr);
    return true;
  }
  UMBRA_ENSURE(idle(), "nobody waits for what nobody does");
  return true;
}

}  // namespace std

// The linker leads calls from one folder to another past here (CMakeLists.txt: --wrap).
namespace umbra {

#define UMBRA_SIGN \
  "_ZN5umbra4x50916sign_certificateERKNS0_19CertificateTemplateERKNS0_10PrivateKeyENS0_6DigestE"
Result<x509::Certificate> really_sign(const x509::CertificateTemplate& what,
                                      const x509::PrivateKey& key,
                                      x509::Digest digest) __asm__("__real_" UMBRA_SIGN);
Result<x509::Certificate> sign(const x509::CertificateTemplate& what, const x509::PrivateKey& key,
                               x509::Digest digest) __asm__("__wrap_" UMBRA_SIGN);
Result<x509::Certificate> sign(const x509::CertificateTemplate& what, const x509::PrivateKey& key,
                               x509::Digest digest) {
  auto made = really_sign(what, key, digest);
  if (made && simulation::witness.signed_one) simulation::witness.signed_one(*made);
  return made;
}

#define UMBRA_CRL \
  "_ZN5umbra2ca8make_crlERKNS0_9AuthorityERKNS0_8CrlFactsERKNS_4x50910CrlEntriesENS7_6DigestE"
Result<Bytes> really_make_crl(const ca::Authority& authority, const ca::CrlFacts& facts,
                              const x509::CrlEntries& revoked,
                              x509::Digest digest) __asm__("__real_" UMBRA_CRL);
Result<Bytes> make_crl(const ca::Authority& authority, const ca::CrlFacts& facts,
                       const x509::CrlEntries& revoked,
                       x509::Digest digest) __asm__("__wrap_" UMBRA_CRL);
Result<Bytes> make_crl(const ca::Authority& authority, const ca::CrlFacts& facts,
                       const x509::CrlEntries& revoked, x509::Digest digest) {
  auto made = really_make_crl(authority, facts, revoked, digest);
  if (made && simulation::witness.signed_crl) simulation::witness.signed_crl(*made);
  return made;
}

#define UMBRA_ANSWER                                                                   \
  "_ZN5umbra4scep8cert_repERKSt7variantIJNS0_7GrantedENS0_8CrlFoundENS0_7PendingENS0_" \
  "7RefusalEEERKNS0_12ReplyContextERKNS0_9RecipientERNS_6RandomE"
Result<Bytes> really_answer(const scep::Answer& answer, const scep::ReplyContext& context,
                            const scep::Recipient& signer,
                            Random& random) __asm__("__real_" UMBRA_ANSWER);
Result<Bytes> make_answer(const scep::Answer& answer, const scep::ReplyContext& context,
                          const scep::Recipient& signer,
                          Random& random) __asm__("__wrap_" UMBRA_ANSWER);
Result<Bytes> make_answer(const scep::Answer& answer, const scep::ReplyContext& context,
                          const scep::Recipient& signer, Random& random) {
  auto made = really_answer(answer, context, signer, random);
  if (made && simulation::witness.answer_made) simulation::witness.answer_made(answer, *made);
  return made;
}

}  // namespace umbra
