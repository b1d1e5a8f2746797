#include "x509/weak_key.h"

#include <algorithm>
#include <array>
#include <vector>

#include "x509/ossl.h"

namespace umbra::x509 {
namespace {

constexpr std::uint32_t trial_max = 400;
constexpr std::uint32_t roca_max = 167;
constexpr std::uint32_t exponent_usual = 65537;
constexpr std::size_t exponent_octets_min = 3;  // it is odd
constexpr int fermat_rounds = 32;

/// Odd primes whose product one division tells apart.
struct Trial {
  std::uint32_t product = 1;
  std::vector<std::uint32_t> primes;
};

const std::vector<Trial>& trials() {
  static const std::vector<Trial> all = [] {
    std::vector<Trial> made(1);
    for (std::uint32_t n = 3; n < trial_max; n += 2) {
      bool prime = true;
      for (std::uint32_t d = 3; d * d <= n; d += 2) prime = prime && n % d != 0;
      if (!prime) continue;
      if (static_cast<std::uint64_t>(made.back().product) * n > UINT32_MAX) made.emplace_back();
      made.back().product *= n;
      made.back().primes.push_back(n);
    }
    return made;
  }();
  return all;
}

/// The powers of 65537 modulo each prime of the fingerprint: RSALib's primes are one of them,
/// modulo all of those at once, and so are its moduli.
bool is_power(std::uint32_t residue, std::uint32_t prime) {
  static const auto powers = [] {
    std::array<std::array<bool, roca_max + 1>, roca_max + 1> made{};
    for (const Trial& trial : trials()) {
      for (const std::uint32_t p : trial.primes) {
        if (p > roca_max) continue;
        std::uint32_t power = 1;
        do {
          made[p][power] = true;
          power = power * (exponent_usual % p) % p;
        } while (power != 1);
      }
    }
    return made;
  }();
  return powers[prime][residue];
}

struct Residues {
  bool small_factor = false;
  bool roca = true;
};

Residues residues_of(const BIGNUM* modulus) {
  Residues found;
  for (const Trial& trial : trials()) {
    const auto rest = static_cast<std::uint32_t>(BN_mod_word(modulus, trial.product));
    for (const std::uint32_t prime : trial.primes) {
      found.small_factor = found.small_factor || rest % prime == 0;
      if (prime <= roca_max) found.roca = found.roca && is_power(rest % prime, prime);
    }
  }
  return found;
}

/// Numbers of one computation. Of what fails for want of memory nothing is found.
struct Workshop {
  std::unique_ptr<BN_CTX, ossl::Deleter<&BN_CTX_free>> context{BN_CTX_new()};
};

/// The whole part of the square root, by Newton's iteration from above.
bool square_root(BIGNUM* root, const BIGNUM* of, Workshop& shop) {
  const ossl::Bn next(BN_new());
  BN_zero(root);
  if (!next || BN_set_bit(root, (BN_num_bits(of) + 1) / 2) != 1) return false;
  for (;;) {
    if (BN_div(next.get(), nullptr, of, root, shop.context.get()) != 1 ||
        BN_add(next.get(), next.get(), root) != 1 || BN_rshift1(next.get(), next.get()) != 1) {
      return false;
    }
    if (BN_cmp(next.get(), root) >= 0) return true;
    if (BN_copy(root, next.get()) == nullptr) return false;
  }
}

bool is_square(const BIGNUM* number, Workshop& shop) {
  // Eleven of twelve numbers are told from squares by their last six bits alone, nearly all of the
  // others by two divisions more.
  constexpr std::uint64_t last_bits = 0x0202021202030213;
  constexpr std::uint32_t modulus = 3U * 5 * 7 * 11 * 13 * 17;
  if ((last_bits >> BN_mod_word(number, 64) & 1) == 0) return false;
  const auto rest = static_cast<std::uint32_t>(BN_mod_word(number, modulus));
  for (const std::uint32_t prime : {3U, 5U, 7U, 11U, 13U, 17U}) {
    bool square = false;
    for (std::uint32_t x = 0; x <= prime / 2; ++x) square = square || x * x % prime == rest % prime;
    if (!square) return false;
  }
  const ossl::Bn root(BN_new());
  const ossl::Bn again(BN_new());
  return root && again && square_root(root.get(), number, shop) &&
         BN_sqr(again.get(), root.get(), shop.context.get()) == 1 &&
         BN_cmp(again.get(), number) == 0;
}

/// Fermat: n = a^2 - b^2, beginning at the root of n.
bool has_close_primes(const BIGNUM* modulus) {
  Workshop shop;
  const ossl::Bn a(BN_new());
  const ossl::Bn difference(BN_new());
  if (!shop.context || !a || !difference || !square_root(a.get(), modulus, shop)) return false;
  for (int round = 0; round < fermat_rounds; ++round) {
    // For an odd modulus the root itself is tried too: of a square.
    if (BN_sqr(difference.get(), a.get(), shop.context.get()) != 1 ||
        BN_sub(difference.get(), difference.get(), modulus) != 1) {
      return false;
    }
    if (!BN_is_negative(difference.get()) && is_square(difference.get(), shop)) return true;
    if (BN_add_word(a.get(), 1) != 1) return false;
  }
  return false;
}

}  // namespace

std::optional<std::string> weakness_of(const PublicKey& key) {
  const auto numbers = key.rsa();
  if (!numbers) return std::nullopt;
  if (numbers->exponent.size() < exponent_octets_min)
    return "an RSA key with a public exponent under 65537 is refused here";
  const ossl::Bn modulus(
      BN_bin2bn(numbers->modulus.data(), static_cast<int>(numbers->modulus.size()), nullptr));
  if (!modulus) return std::nullopt;
  const Residues residues = residues_of(modulus.get());
  if (residues.small_factor) return "the RSA key is weak: its modulus has a small factor";
  if (residues.roca) {
    return "the RSA key is weak: it was made by a faulty library (ROCA, CVE-2017-15361); update "
           "the "
           "device's or the token's firmware and make another one";
  }
  if (has_close_primes(modulus.get()))
    return "the RSA key is weak: its primes lie close to each other";
  return std::nullopt;
}

}  // namespace umbra::x509
