#include "x509/weak_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "vectors.h"
#include "x509/der.h"
#include "x509/ossl.h"

namespace umbra::x509 {
namespace {

using ::testing::HasSubstr;

std::string weakness_in(const std::string& file) {
  const auto key = PrivateKey::from_pem(vectors::text("weak_keys/" + file + ".pem"));
  EXPECT_TRUE(key) << key.error().detail;
  return weakness_of(key->public_key()).value_or("none");
}

TEST(WeakKey, EachFaultIsNamed) {
  EXPECT_THAT(weakness_in("roca"), HasSubstr("ROCA"));
  EXPECT_THAT(weakness_in("close_primes"), HasSubstr("close to each other"));
  EXPECT_THAT(weakness_in("neighbours"), HasSubstr("close to each other"));
  EXPECT_THAT(weakness_in("small_factor"), HasSubstr("small factor"));
  EXPECT_THAT(weakness_in("exponent_3"), HasSubstr("exponent"));
}

TEST(WeakKey, HonestKeysHaveNone) {
  for (const int bits : {1024, 2048, 3072}) {
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(weakness_of(PrivateKey::generate_rsa(bits)->public_key()), std::nullopt);
  }
  EXPECT_EQ(weakness_of(PrivateKey::generate_ec(256)->public_key()), std::nullopt);
}

/// The same numbers in every run; what weakness_of says of them, and what the plain way says.
class WeakModulus : public ::testing::Test {
 protected:
  enum class Fault { none, small_factor, roca, close_primes };

  static Fault found(const BIGNUM* modulus) {
    Bytes octets(static_cast<std::size_t>(BN_num_bytes(modulus)));
    BN_bn2bin(modulus, octets.data());
    const Bytes exponent = {1, 0, 1};
    const Bytes numbers =
        der::sequence({der::unsigned_integer(octets), der::unsigned_integer(exponent)});
    const Bytes algorithm = der::sequence({der::object_identifier("1.2.840.113549.1.1.1")});
    const auto key = PublicKey::from_spki(der::sequence({algorithm, der::bit_string_of(numbers)}));
    EXPECT_TRUE(key) << key.error().detail;
    const std::string weakness = weakness_of(*key).value_or("");
    if (weakness.empty()) return Fault::none;
    if (weakness.find("small factor") != std::string::npos) return Fault::small_factor;
    return weakness.find("ROCA") != std::string::npos ? Fault::roca : Fault::close_primes;
  }

  Fault plainly(const BIGNUM* modulus) {
    bool roca = true;
    for (const unsigned prime : primes()) {
      const auto rest = static_cast<unsigned>(BN_mod_word(modulus, prime));
      if (rest == 0) return Fault::small_factor;
      roca = roca && (prime > 167 || is_power(rest, prime));
    }
    if (roca) return Fault::roca;
    const ossl::Bn a = root_of(modulus);
    const ossl::Bn b(BN_new());
    for (int round = 0; round < 32; ++round) {
      BN_sqr(b.get(), a.get(), context.get());
      BN_sub(b.get(), b.get(), modulus);
      if (!BN_is_negative(b.get())) {
        const ossl::Bn root = root_of(b.get());
        BN_sqr(root.get(), root.get(), context.get());
        if (BN_cmp(root.get(), b.get()) == 0) return Fault::close_primes;
      }
      BN_add_word(a.get(), 1);
    }
    return Fault::none;
  }
  void expect_the_same(const BIGNUM* modulus) { expect(modulus, plainly(modulus)); }
  static void expect(const BIGNUM* modulus, Fault fault) {
    if (found(modulus) == fault) return;
    char* const digits = BN_bn2hex(modulus);
    ADD_FAILURE() << "modulus " << digits << ", fault " << static_cast<int>(fault) << " expected";
    OPENSSL_free(digits);
  }

  static const std::vector<unsigned>& primes() {
    static const std::vector<unsigned> all = [] {
      std::vector<unsigned> made;
      for (unsigned n = 3; n < 400; ++n) {
        bool prime = true;
        for (unsigned d = 2; d < n; ++d) prime = prime && n % d != 0;
        if (prime) made.push_back(n);
      }
      return made;
    }();
    return all;
  }
  static bool is_power(unsigned rest, unsigned prime) {
    unsigned power = 1;
    do {
      if (power == rest) return true;
      power = power * 65537 % prime;
    } while (power != 1);
    return false;
  }
  bool has_small_factor(const BIGNUM* number) {
    return std::any_of(primes().begin(), primes().end(),
                       [&](unsigned prime) { return BN_mod_word(number, prime) == 0; });
  }
  /// The whole part of the square root: Newton from above.
  ossl::Bn root_of(const BIGNUM* number) {
    ossl::Bn root(BN_new());
    ossl::Bn next(BN_new());
    BN_zero(next.get());
    if (BN_is_zero(number)) return next;
    BN_set_bit(next.get(), (BN_num_bits(number) + 1) / 2);
    do {
      BN_copy(root.get(), next.get());
      BN_div(next.get(), nullptr, number, root.get(), context.get());
      BN_add(next.get(), next.get(), root.get());
      BN_rshift1(next.get(), next.get());
    } while (BN_cmp(next.get(), root.get()) < 0);
    return root;
  }
  /// Of exactly this many bits.
  ossl::Bn random(int bits) {
    Bytes octets(static_cast<std::size_t>(bits + 7) / 8);
    for (auto& octet : octets) octet = static_cast<std::uint8_t>(engine_());
    ossl::Bn made(BN_bin2bn(octets.data(), static_cast<int>(octets.size()), nullptr));
    BN_mask_bits(made.get(), bits);
    BN_set_bit(made.get(), bits - 1);
    return made;
  }
  ossl::Bn random_odd(int bits) {
    ossl::Bn made = random(bits);
    BN_set_bit(made.get(), 0);
    return made;
  }
  ossl::Bn without_small_factor(int bits) {
    for (;;) {
      ossl::Bn made = random_odd(bits);
      if (!has_small_factor(made.get())) return made;
    }
  }

  const std::unique_ptr<BN_CTX, ossl::Deleter<&BN_CTX_free>> context{BN_CTX_new()};

 private:
  std::mt19937 engine_{1};
};

TEST_F(WeakModulus, RandomOnesOfEveryKindOfLength) {
  for (const int bits : {512,  513,  543,  544,  575,  576,  577,  1023, 1024, 1025, 1026,
                         1055, 1056, 1057, 1087, 1088, 1089, 1151, 1536, 2046, 2047, 2048,
                         2049, 2050, 3071, 3072, 3073, 4095, 4096, 4097, 8191, 8192}) {
    for (int i = 0; i < (bits > 4096 ? 2 : 6); ++i) {
      expect_the_same(random_odd(bits).get());
      expect_the_same(without_small_factor(bits).get());
    }
    // All ones, and ones only at the ends.
    const ossl::Bn extreme(BN_new());
    BN_zero(extreme.get());
    BN_set_bit(extreme.get(), bits);
    BN_sub_word(extreme.get(), 1);
    expect_the_same(extreme.get());
    BN_zero(extreme.get());
    BN_set_bit(extreme.get(), bits - 1);
    for (BN_add_word(extreme.get(), 1); has_small_factor(extreme.get());)
      BN_add_word(extreme.get(), 2);
    expect_the_same(extreme.get());
  }
}

TEST_F(WeakModulus, EachSmallFactor) {
  for (const int bits : {1016, 1024, 2039, 2040, 4090}) {
    for (const unsigned prime : primes()) {
      const ossl::Bn modulus = without_small_factor(bits);
      BN_mul_word(modulus.get(), prime);
      expect(modulus.get(), Fault::small_factor);
    }
    const ossl::Bn modulus = without_small_factor(bits);
    BN_mul_word(modulus.get(), 401);
    expect(modulus.get(), Fault::none);
  }
}

/// The last and the first modulus that are found in each round near the ends: n = a^2 - b^2 with a
/// this far above the root of n.
TEST_F(WeakModulus, ClosePrimesAtTheLimit) {
  for (const int bits : {512, 525, 1000, 1024, 1027, 1536}) {
    for (const unsigned round : {1U, 2U, 16U, 30U, 31U, 32U, 33U, 34U}) {
      for (const bool last : {false, true}) {
        const ossl::Bn p(BN_new());
        const ossl::Bn q(BN_new());
        do {
          // (a - round)^2 <= a^2 - b^2 < (a - round + 1)^2
          const ossl::Bn a = random(bits);
          const std::uint64_t back = last ? round : round - 1;
          BN_copy(p.get(), a.get());
          BN_mul_word(p.get(), 2 * back);
          BN_sub_word(p.get(), back * back);
          const ossl::Bn b = root_of(p.get());
          if (!last) BN_add_word(b.get(), 1);
          BN_sub(p.get(), a.get(), b.get());
          BN_add(q.get(), a.get(), b.get());
        } while (!BN_is_odd(p.get()) || has_small_factor(p.get()) || has_small_factor(q.get()));
        BN_mul(p.get(), p.get(), q.get(), context.get());
        expect(p.get(), round < 32 ? Fault::close_primes : Fault::none);
        expect_the_same(p.get());
      }
    }
  }
}

TEST_F(WeakModulus, SquaresAndTheirNeighbours) {
  for (const int bits : {512, 521, 1024, 1039, 1536, 2048}) {
    const ossl::Bn root = without_small_factor(bits);
    const ossl::Bn modulus(BN_new());
    BN_sqr(modulus.get(), root.get(), context.get());
    expect(modulus.get(), Fault::close_primes);
    // The root is off by one between these.
    for (int i = 0; i < 8; ++i) {
      BN_sub_word(modulus.get(), 2);
      expect_the_same(modulus.get());
    }
    BN_add_word(modulus.get(), 16);
    for (int i = 0; i < 8; ++i) {
      BN_add_word(modulus.get(), 2);
      expect_the_same(modulus.get());
    }
  }
}

/// Those whose remainders are powers of 65537 modulo each prime of the fingerprint, and those for
/// which that is left to chance modulo one of them: 11 is the first and 157 the last of which not
/// every number is a power.
TEST_F(WeakModulus, Fingerprints) {
  const ossl::Bn product(BN_new());
  const ossl::Bn modulus(BN_new());
  const ossl::Bn exponent(BN_new());
  const ossl::Bn base(BN_new());
  BN_set_word(base.get(), 65537);
  for (const int bits : {512, 1024, 2047, 3072}) {
    for (const unsigned left_out : {0U, 3U, 11U, 13U, 17U, 19U, 37U, 97U, 151U, 157U, 167U}) {
      BN_one(product.get());
      for (const unsigned prime : primes()) {
        if (prime <= 167 && prime != left_out) BN_mul_word(product.get(), prime);
      }
      for (int i = 0; i < 4; ++i) {
        do {
          BN_set_word(exponent.get(), 1U + static_cast<unsigned>(BN_get_word(random(31).get())));
          BN_mod_exp(modulus.get(), base.get(), exponent.get(), product.get(), context.get());
          const ossl::Bn more = random(bits - BN_num_bits(product.get()));
          BN_mul(more.get(), more.get(), product.get(), context.get());
          BN_add(modulus.get(), modulus.get(), more.get());
        } while (!BN_is_odd(modulus.get()) || has_small_factor(modulus.get()) ||
                 BN_num_bits(modulus.get()) < 512);
        if (left_out == 0) expect(modulus.get(), Fault::roca);
        expect_the_same(modulus.get());
      }
    }
  }
}

}  // namespace
}  // namespace umbra::x509
