#pragma once

#include "x509/ossl.h"

namespace umbra::x509 {

/// What opening an archive of somebody else's may cost: rounds of key derivation, in all of it.
/// Counted before they are run, for a file may name any number.
class ArchiveCost {
 public:
  /// Errors: unsupported, if the archive needs more rounds than anybody waits for.
  [[nodiscard]] Result<void> add(const PKCS12* archive, const std::string& password);
  [[nodiscard]] Result<void> add(const X509_ALGOR* algorithm);

 private:
  [[nodiscard]] Result<void> add(const ASN1_INTEGER* rounds);
  [[nodiscard]] Result<void> add(std::uint64_t rounds);
  [[nodiscard]] Result<void> add(const STACK_OF(PKCS12_SAFEBAG) * bags, int depth);
  std::uint64_t rounds_ = 0;
};

}  // namespace umbra::x509
