#include "x509/weak_key.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

namespace umbra::x509 {
namespace {

constexpr std::uint32_t trial_max = 400;
constexpr std::uint32_t roca_max = 167;
constexpr std::uint32_t exponent_usual = 65537;
constexpr std::size_t exponent_octets_min = 3;  // it is odd
constexpr std::uint32_t fermat_rounds = 32;

/// A long number in digits of 32 bits, the last one first. Not one of OpenSSL's: theirs are made to
/// tell nothing by the time they take, which nobody needs here and which costs twice as much.
using Digits = std::vector<std::uint32_t>;
using DigitsView = std::span<const std::uint32_t>;
using Wide = std::uint64_t;  ///< two digits
constexpr unsigned digit_bits = 32;
constexpr Wide digit_base = Wide{1} << digit_bits;
/// So many digits at a time are divided by a small number: by one small enough for the sum of their
/// products.
constexpr std::size_t block = 32;
constexpr std::uint32_t divisor_max = 1U << 26;
static_assert((block + 1) * (digit_base - 1) <= UINT64_MAX / divisor_max);

/// A length, filled up with leading zeros.
std::size_t in_blocks(std::size_t digits) { return (digits + block - 1) / block * block; }

/// Out: whole blocks.
Digits digits_of(ByteView big_endian) {
  constexpr std::size_t octets = digit_bits / 8;
  Digits out(in_blocks((big_endian.size() + octets - 1) / octets));
  std::size_t place = 0;
  for (auto octet = big_endian.rbegin(); octet != big_endian.rend(); ++octet, ++place)
    out[place / octets] |= std::uint32_t{*octet} << (place % octets * 8);
  return out;
}

/// Divides long numbers without a division for each digit: it adds up the digits, each times what
/// 2^32 to the power of its place leaves.
class Divisor {
 public:
  explicit Divisor(std::uint32_t divisor) : divisor_(divisor) {
    Wide power = 1;
    for (auto& one : powers_) {
      one = static_cast<std::uint32_t>(power);
      power = power * (digit_base % divisor) % divisor;
    }
    block_power_ = power;
  }
  /// In: whole blocks.
  [[nodiscard]] std::uint32_t rest_of(const Digits& number) const {
    Wide rest = 0;
    for (std::size_t end = number.size(); end > 0; end -= block) {
      const std::uint32_t* const digits = number.data() + end - block;
      Wide sum = rest * block_power_;
      for (std::size_t i = 0; i < block; ++i) sum += Wide{digits[i]} * powers_[i];
      rest = sum % divisor_;
    }
    return static_cast<std::uint32_t>(rest);
  }

 private:
  std::uint32_t divisor_;
  std::array<std::uint32_t, block> powers_{};
  Wide block_power_ = 0;
};

/// Odd primes whose product one long division tells apart.
struct Trial {
  Divisor product;
  std::vector<std::uint32_t> primes;
};

const std::vector<Trial>& trials() {
  static const std::vector<Trial> all = [] {
    std::vector<Trial> made;
    std::vector<std::uint32_t> primes;
    std::uint32_t product = 1;
    for (std::uint32_t n = 3; n < trial_max; n += 2) {
      bool prime = true;
      for (std::uint32_t d = 3; d * d <= n; d += 2) prime = prime && n % d != 0;
      if (!prime) continue;
      if (Wide{product} * n > divisor_max) {
        made.push_back({Divisor(product), std::exchange(primes, {})});
        product = 1;
      }
      product *= n;
      primes.push_back(n);
    }
    made.push_back({Divisor(product), primes});
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

Residues residues_of(const Digits& modulus) {
  Residues found;
  for (const Trial& trial : trials()) {
    const std::uint32_t rest = trial.product.rest_of(modulus);
    for (const std::uint32_t prime : trial.primes) {
      found.small_factor = found.small_factor || rest % prime == 0;
      if (prime <= roca_max) found.roca = found.roca && is_power(rest % prime, prime);
    }
  }
  return found;
}

Wide pair(std::uint32_t high, std::uint32_t low) { return Wide{high} << digit_bits | low; }
std::uint32_t low_of(Wide two) { return static_cast<std::uint32_t>(two); }

/// number -= factor * digit. In: `number`, of one digit more. Out: whether it would be negative; it
/// is then that much too large, which add() puts right.
bool subtract(std::uint32_t* number, DigitsView factor, std::uint32_t digit) {
  Wide carry = 0;  // of the sum of what is subtracted and the number's complement
  for (const std::uint32_t one : factor) {
    carry += Wide{one} * digit + ~*number;
    *number++ = ~low_of(carry);
    carry >>= digit_bits;
  }
  carry += ~*number;
  *number = ~low_of(carry);
  return carry >= digit_base;
}

/// number += more + carry. Out: whether a digit more is needed: what was negative no longer is.
bool add(std::uint32_t* number, DigitsView more, Wide carry) {
  for (const std::uint32_t one : more) {
    carry += Wide{*number} + one;
    *number++ = low_of(carry);
    carry >>= digit_bits;
  }
  carry += *number;
  *number = low_of(carry);
  return carry >= digit_base;
}

double leading(const std::uint32_t* three) {
  constexpr auto base = static_cast<double>(digit_base);
  return (three[2] * base + three[1]) * base + three[0];
}

struct Root {
  Digits whole;
  bool exact = false;
};

/// Whole digits of a square root, one by one, as on paper: the next digit q of a root r is the
/// largest for which (2r * 2^32 + q) * q is no more than what is left.
Root square_root(Digits left) {
  while (!left.empty() && left.back() == 0) left.pop_back();
  if (left.empty()) return {Digits(block), true};
  // The leading digit is made large, by an even number of bits: a quotient of leading digits is
  // then too large by two at most.
  int shift = std::countl_zero(left.back()) / 2 * 2;
  for (std::size_t i = left.size() - 1; i > 0; --i)
    left[i] = low_of(pair(left[i], left[i - 1]) << shift >> digit_bits);
  left[0] <<= shift;
  if (left.size() % 2 != 0) {
    left.insert(left.begin(), 0);
    shift += digit_bits;
  }
  const std::size_t size = left.size() / 2;
  left.push_back(0);
  // Twice the root so far, and the digit that is tried.
  Digits twice(size + 1);
  for (std::size_t place = size; place-- > 0;) {
    // More than a double is wrong by, of numbers of this size: the digit is never too small.
    constexpr double margin = 1.0 / 1024;
    const double most = leading(&left[place + size - 1]);
    const double estimate =
        place == size - 1 ? std::sqrt(most) : most / leading(&twice[size - 2]) * digit_base;
    auto q = low_of(std::min(static_cast<Wide>(estimate + margin), digit_base - 1));
    const DigitsView factor = DigitsView(twice).subspan(place);
    twice[place] = q;
    bool negative = subtract(&left[2 * place], factor, q);
    while (negative) {
      twice[place] = --q;
      negative = !add(&left[2 * place], factor, Wide{q} + 1);
    }
    twice[place] = low_of(Wide{q} * 2);
    twice[place + 1] += low_of(Wide{q} * 2 >> digit_bits);  // to an even one
  }
  Root root{Digits(in_blocks(size)),
            std::all_of(left.begin(), left.end(), [](std::uint32_t digit) { return digit == 0; })};
  for (std::size_t i = 0; i < size; ++i)
    root.whole[i] = low_of(pair(twice[i + 1], twice[i]) >> (shift / 2 + 1));
  return root;
}

/// Whether a^2 - n is a square, with a this much above the whole root of n: so little that the
/// difference is at most a digit longer than the root, and only the last digits are reckoned with.
bool is_difference_square(const Digits& root, std::uint32_t above, const Digits& n) {
  Digits a = root;
  a.push_back(0);
  Wide carry = above;
  for (std::uint32_t& digit : a) {
    carry += digit;
    digit = low_of(carry);
    carry >>= digit_bits;
  }
  Digits negative = n;  // n - a^2, from the digit after on without meaning
  negative.resize(a.size() + 1);
  for (std::size_t i = 0; i < a.size(); ++i)
    subtract(&negative[i], DigitsView(a).first(a.size() - i), a[i]);
  Digits difference(a.size() + 1);
  subtract(difference.data(), DigitsView(negative).first(a.size()), 1);
  difference.pop_back();
  return square_root(std::move(difference)).exact;
}

/// Which remainders squares leave.
struct Sieve {
  explicit constexpr Sieve(std::uint32_t of) : modulus(of) {
    for (std::uint32_t x = 0; x < of; ++x) squares |= std::uint64_t{1} << (x * x % of);
  }
  [[nodiscard]] bool passes(std::uint32_t number) const {
    return (squares >> (number % modulus) & 1) != 0;
  }
  std::uint32_t modulus;
  std::uint64_t squares = 0;
};
constexpr Sieve last_bits(64);
constexpr std::array<Sieve, 5> sieves{Sieve(63), Sieve(55), Sieve(13), Sieve(17), Sieve(19)};
constexpr std::uint32_t sieves_product = 63 * 55 * 13 * 17 * 19;
static_assert(sieves_product <= divisor_max);

/// Fermat: n = a^2 - b^2, beginning at the root of n.
bool has_close_primes(const Digits& modulus) {
  static const Divisor by_sieves(sieves_product);
  const Root root = square_root(modulus);
  if (root.exact) return true;
  const Wide modulus_rest = by_sieves.rest_of(modulus);
  const Wide root_rest = by_sieves.rest_of(root.whole);
  for (std::uint32_t round = 1; round < fermat_rounds; ++round) {
    // One number in 400 that is no square passes for one by its last bits and small remainders.
    const std::uint32_t end = root.whole[0] + round;
    if (!last_bits.passes(end * end - modulus[0])) continue;
    const Wide a_rest = root_rest + round;
    const auto rest = low_of((a_rest * a_rest + sieves_product - modulus_rest) % sieves_product);
    if (!std::all_of(sieves.begin(), sieves.end(),
                     [rest](const Sieve& sieve) { return sieve.passes(rest); })) {
      continue;
    }
    if (is_difference_square(root.whole, round, modulus)) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> weakness_of(const PublicKey& key) {
  const auto numbers = key.rsa();
  if (!numbers) return std::nullopt;
  if (numbers->exponent.size() < exponent_octets_min)
    return "an RSA key with a public exponent under 65537 is refused here";
  const Digits modulus = digits_of(numbers->modulus);
  const Residues residues = residues_of(modulus);
  if (residues.small_factor) return "the RSA key is weak: its modulus has a small factor";
  if (residues.roca) {
    return "the RSA key is weak: it was made by a faulty library (ROCA, CVE-2017-15361); update "
           "the "
           "device's or the token's firmware and make another one";
  }
  if (has_close_primes(modulus)) return "the RSA key is weak: its primes lie close to each other";
  return std::nullopt;
}

}  // namespace umbra::x509
