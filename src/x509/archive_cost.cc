#include "x509/archive_cost.h"

#include <openssl/asn1t.h>
#include <openssl/pkcs7.h>

namespace umbra::x509 {
namespace {

// Some seconds. OpenSSL writes 2048 for each part, Java 10,000, NSS and Windows up to 600,000.
constexpr std::uint64_t rounds_max = 4'000'000;
// A step of scrypt is that much more than a round of PBKDF2.
constexpr std::uint64_t scrypt_step = 4;
constexpr int depth_max = 4;

void free_safes(STACK_OF(PKCS7) * safes) { sk_PKCS7_pop_free(safes, PKCS7_free); }
void free_bags(STACK_OF(PKCS12_SAFEBAG) * bags) {
  sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
}
using Safes = std::unique_ptr<STACK_OF(PKCS7), ossl::Deleter<&free_safes>>;
using Bags = std::unique_ptr<STACK_OF(PKCS12_SAFEBAG), ossl::Deleter<&free_bags>>;
using Pbe = std::unique_ptr<PBEPARAM, ossl::Deleter<&PBEPARAM_free>>;
using Pbe2 = std::unique_ptr<PBE2PARAM, ossl::Deleter<&PBE2PARAM_free>>;
using Pbkdf2 = std::unique_ptr<PBKDF2PARAM, ossl::Deleter<&PBKDF2PARAM_free>>;
using Scrypt = std::unique_ptr<SCRYPT_PARAMS, ossl::Deleter<&SCRYPT_PARAMS_free>>;

template <class Owner>
Owner unpacked(const ASN1_ITEM* item, const X509_ALGOR* algorithm) {
  return Owner(
      static_cast<typename Owner::pointer>(ASN1_TYPE_unpack_sequence(item, algorithm->parameter)));
}

int kind_of(const X509_ALGOR* algorithm) { return OBJ_obj2nid(algorithm->algorithm); }

}  // namespace

Result<void> ArchiveCost::add(std::uint64_t rounds) {
  rounds_ = rounds > rounds_max ? rounds : rounds_ + rounds;
  if (rounds_ <= rounds_max) return {};
  return fail(Errc::unsupported,
              "it is sealed with more than 4,000,000 rounds of key derivation; seal it anew where "
              "it is: openssl pkcs12 -in OLD -nodes | openssl pkcs12 -export -out NEW");
}

Result<void> ArchiveCost::add(const ASN1_INTEGER* rounds) {
  std::uint64_t number = 1;
  if (rounds != nullptr && ASN1_INTEGER_get_uint64(&number, rounds) != 1) {
    ERR_clear_error();
    number = rounds_max + 1;
  }
  return add(number);
}

/// What OpenSSL cannot read either is left to it.
Result<void> ArchiveCost::add(const X509_ALGOR* algorithm) {
  if (algorithm == nullptr) return {};
  if (kind_of(algorithm) != NID_pbes2) {
    const auto pbe = unpacked<Pbe>(ASN1_ITEM_rptr(PBEPARAM), algorithm);
    return pbe ? add(pbe->iter) : Result<void>();
  }
  const auto pbe2 = unpacked<Pbe2>(ASN1_ITEM_rptr(PBE2PARAM), algorithm);
  if (!pbe2) return {};
  if (kind_of(pbe2->keyfunc) == NID_id_pbkdf2) {
    const auto derived = unpacked<Pbkdf2>(ASN1_ITEM_rptr(PBKDF2PARAM), pbe2->keyfunc);
    return derived ? add(derived->iter) : Result<void>();
  }
  if (kind_of(pbe2->keyfunc) != NID_id_scrypt) return {};
  const auto scrypt = unpacked<Scrypt>(ASN1_ITEM_rptr(SCRYPT_PARAMS), pbe2->keyfunc);
  if (!scrypt) return {};
  std::uint64_t steps = scrypt_step;
  for (const ASN1_INTEGER* factor :
       {scrypt->costParameter, scrypt->blockSize, scrypt->parallelizationParameter}) {
    std::uint64_t number = 0;
    if (ASN1_INTEGER_get_uint64(&number, factor) != 1 || number > rounds_max) {
      ERR_clear_error();
      return add(rounds_max + 1);
    }
    steps = std::min(steps * number, rounds_max + 1);  // below 2^44: no overflow
  }
  return add(steps);
}

Result<void> ArchiveCost::add(const STACK_OF(PKCS12_SAFEBAG) * bags, int depth) {
  if (depth > depth_max) return fail(Errc::unsupported, "its parts are nested too deep");
  for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); ++i) {
    const PKCS12_SAFEBAG* const bag = sk_PKCS12_SAFEBAG_value(bags, i);
    if (PKCS12_SAFEBAG_get_nid(bag) == NID_pkcs8ShroudedKeyBag) {
      const X509_ALGOR* algorithm = nullptr;
      X509_SIG_get0(PKCS12_SAFEBAG_get0_pkcs8(bag), &algorithm, nullptr);
      UMBRA_CHECK(add(algorithm));
    }
    if (const auto* inner = PKCS12_SAFEBAG_get0_safes(bag)) UMBRA_CHECK(add(inner, depth + 1));
  }
  return {};
}

Result<void> ArchiveCost::add(const PKCS12* archive, const std::string& password) {
  const ASN1_INTEGER* mac_rounds = nullptr;
  if (PKCS12_mac_present(archive) == 1)
    PKCS12_get0_mac(nullptr, nullptr, nullptr, &mac_rounds, archive);
  UMBRA_CHECK(add(mac_rounds));
  const Safes safes(PKCS12_unpack_authsafes(archive));
  for (int i = 0; safes && i < sk_PKCS7_num(safes.get()); ++i) {
    PKCS7* const safe = sk_PKCS7_value(safes.get(), i);
    Bags bags;
    if (PKCS7_type_is_data(safe)) {
      bags.reset(PKCS12_unpack_p7data(safe));
    } else if (PKCS7_type_is_encrypted(safe)) {
      UMBRA_CHECK(add(safe->d.encrypted->enc_data->algorithm));
      bags.reset(PKCS12_unpack_p7encdata(safe, password.c_str(), -1));
    }
    if (bags) UMBRA_CHECK(add(bags.get(), 0));
  }
  ERR_clear_error();
  return {};
}

}  // namespace umbra::x509
