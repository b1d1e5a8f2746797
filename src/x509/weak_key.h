#pragma once

#include <optional>
#include <string>

#include "x509/key.h"

namespace umbra::x509 {

/// Why an RSA key hides nothing although it is long enough: its private key is found by whoever
/// cares to look. Nothing for a key with none of these faults, and for EC keys.
///
/// - a public exponent under 65537: what is enveloped for it, and who verifies its signatures
///   carelessly, is at risk; nobody has made such keys for twenty years
/// - a factor under 400: random numbers, taken for primes
/// - primes close to each other: Fermat finds them (CVE-2022-26320)
/// - the primes of Infineon's RSALib, ROCA (CVE-2017-15361), by the fingerprint of Nemec et al.,
/// The
///   Return of Coppersmith's Attack, CCS 2017: one honest key in 2^27 has it too
///
/// Not looked for: keys that other devices have a prime in common with, which takes all of the keys
/// at once; Debian's of 2008, whose lists no Debian has any more.
/// Cost: some microseconds for 2048 bits.
[[nodiscard]] std::optional<std::string> weakness_of(const PublicKey& key);

}  // namespace umbra::x509
