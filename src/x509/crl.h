#pragma once

#include <optional>
#include <vector>

#include "x509/certificate.h"

namespace umbra::x509 {

/// RFC 5280 5.3.1 CRLReason; `none` writes no entry extension, as IOS.
enum class RevocationReason : std::uint8_t {
  none = 255,
  unspecified = 0,
  key_compromise = 1,
  ca_compromise = 2,
  affiliation_changed = 3,
  superseded = 4,
  cessation_of_operation = 5,
  certificate_hold = 6,
  privilege_withdrawn = 9
};
struct RevokedEntry {
  Serial serial;
  Time revoked_at;
  RevocationReason reason = RevocationReason::none;
};
/// The entries of a CRL as they will stand in it, one after another: a million of them are 40 MB.
class CrlEntries {
 public:
  /// In the order of their serials.
  void add(const RevokedEntry& entry);
  [[nodiscard]] ByteView der() const { return der_; }

 private:
  Bytes der_;
};
struct CrlTemplate {
  Name issuer;
  Bytes issuer_key_id;
  std::uint64_t number = 1;
  Time this_update;
  Time next_update;
};
/// v2 with authorityKeyIdentifier and cRLNumber (RFC 5280 5.2). Out: DER of CertificateList.
/// Memory: the entries once more.
[[nodiscard]] Result<Bytes> sign_crl(const CrlTemplate& what, const CrlEntries& entries,
                                     const PrivateKey& key, Digest digest);

/// What a screen or a check needs of a CRL. The signature is not checked.
struct CrlFacts {
  Name issuer;
  Time this_update;
  std::optional<Time> next_update;
  std::vector<RevokedEntry> revoked;
  std::optional<std::uint64_t> number;  ///< cRLNumber; IOS writes none
  /// There is a critical extension that is not known here: a partial, indirect or delta CRL, whose
  /// silence about a certificate says nothing (RFC 5280 5.2).
  bool partial = false;
};
[[nodiscard]] Result<CrlFacts> parse_crl(ByteView der);
/// The signature alone. Errors: crypto, malformed.
[[nodiscard]] Result<void> verify_crl(ByteView der, const Certificate& issuer);

}  // namespace umbra::x509
