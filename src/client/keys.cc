#include "client/keys.h"

#include <fmt/format.h>

#include "x509/key.h"

namespace umbra::client {
namespace {

constexpr int rsa_bits_min = 2048;
constexpr int rsa_bits_max = 4096;

}  // namespace

KeyRing::KeyRing(store::Store& store, const Clock& clock, Log& log, std::string passphrase)
    : store_(store), clock_(clock), log_(log), passphrase_(std::move(passphrase)) {}

Result<void> KeyRing::generate(const KeyWish& wish) {
  if (!wish.ec && (wish.bits < rsa_bits_min || wish.bits > rsa_bits_max)) {
    return fail(Errc::unsupported, fmt::format("an RSA key of {} bits is refused: {} to {}",
                                               wish.bits, rsa_bits_min, rsa_bits_max));
  }
  UMBRA_TRY(const auto key, wish.ec ? x509::PrivateKey::generate_ec(wish.bits)
                                    : x509::PrivateKey::generate_rsa(wish.bits));
  UMBRA_TRY(auto sealed, key.seal(passphrase_));
  UMBRA_CHECK(store_.commit({store::PutKeyPair{
      {wish.label, std::move(sealed), wish.exportable, to_time(clock_.now())}}}));
  log_.event({Severity::notice, "KEY_ADDITION",
              "A key named " + wish.label + " has been generated or imported by crypto-engine",
              "CRYPTO_ENGINE"});
  return {};
}

Result<std::vector<WaitingKey>> KeyRing::waiting() const {
  UMBRA_TRY(const auto rows, store_.key_pairs());
  std::vector<WaitingKey> all;
  for (const auto& row : rows) all.push_back({row.label, row.exportable, row.created_at});
  return all;
}

Result<std::vector<x509::KeyLine>> KeyRing::lines() const {
  UMBRA_TRY(const auto rows, store_.key_pairs());
  std::vector<x509::KeyLine> all;
  for (const auto& row : rows) {
    UMBRA_TRY(const auto key, x509::PrivateKey::unseal(row.sealed_key, passphrase_));
    all.push_back({row.label, key.public_key(), row.created_at, row.exportable});
  }
  return all;
}

Result<void> KeyRing::remove(const std::string& label) {
  UMBRA_CHECK(store_.commit({store::DropKeyPair{label}}));
  log_.event({Severity::notice, "KEY_DELETION",
              fmt::format("A key named {} has been removed from key storage", label),
              "CRYPTO_ENGINE"});
  return {};
}

}  // namespace umbra::client
