#pragma once

#include <optional>
#include <string>

#include "lifecycle/validity.h"
#include "store/store.h"
#include "x509/certificate.h"
#include "x509/crl.h"
#include "x509/request.h"

/// The only folder that issues: profiles, checks before signing, signatures.
namespace umbra::ca {

/// The RSA key pair a CA of another kind speaks SCEP with, which needs RSA to open an envelope: an
/// RA's certificate that the CA has issued to itself.
struct Exchange {
  x509::Certificate certificate;
  x509::PrivateKey key;
};

/// One CA key and certificate, ready to sign.
struct Authority {
  std::uint32_t generation = 1;
  x509::Certificate certificate;
  std::optional<x509::PrivateKey>
      key;  ///< nothing: only the certificate is known, nothing can be issued
  std::optional<Exchange> exchange{};  ///< only beside a key that is not RSA
};

struct Profile {
  x509::Digest digest = x509::Digest::sha256;
  std::string cdp_url{};  ///< empty = no CRL distribution point
  /// CDP, basicConstraints critical CA:TRUE, keyUsage critical 0x86, key identifiers; nothing of
  /// what the request asks for is taken over.
  bool subordinate_ca = false;
  std::vector<x509::KeyPurpose> key_purposes{};  ///< empty = no extendedKeyUsage
  bool copy_alt_names = true;                    ///< the request's subjectAltName is taken over
};

/// A root CA certificate in IOS's profile: v3; basicConstraints critical CA:TRUE, keyUsage critical
/// 0x86, authorityKeyIdentifier (its own), subjectKeyIdentifier, in this order; never a CRL
/// distribution point.
[[nodiscard]] Result<x509::Certificate> make_root(const x509::Name& name,
                                                  const x509::Serial& serial,
                                                  const lifecycle::Validity& validity,
                                                  const x509::PrivateKey& key, x509::Digest digest);

/// The exchange certificate of a CA: named as the CA with one `CN=SCEP exchange` more, keyUsage
/// critical 0xA0, key identifiers, and the CA's own validity, with which it ends.
[[nodiscard]] Result<x509::Certificate> make_exchange(const x509::Certificate& ca,
                                                      const x509::PrivateKey& ca_key,
                                                      const x509::PublicKey& key,
                                                      const x509::Serial& serial,
                                                      x509::Digest digest);

/// The subjectAltName that a request or certificate has, if it is one that is issued here: names,
/// addresses and directory names that every reader reads alike. Empty = none.
[[nodiscard]] Bytes alt_names_of(const std::vector<x509::Extension>& extensions);

/// A device's certificate in IOS's profile: CDP, keyUsage, extendedKeyUsage, subjectAltName,
/// authorityKeyIdentifier, subjectKeyIdentifier. keyUsage and its criticality are the request's
/// (0xA0 if it asks for none), without keyCertSign and cRLSign whatever it asks; subjectAltName is
/// the request's if it parses and the profile copies it; extendedKeyUsage is the profile's alone.
/// Nothing else of a request's extensions is taken over. Errors: conflict if the validity reaches
/// beyond the CA's or the result fails its lint: nothing was signed then, or
///         the signature is thrown away. unsupported without the CA's key.
[[nodiscard]] Result<x509::Certificate> issue(const Authority& authority,
                                              const x509::Request& request,
                                              const x509::Serial& serial,
                                              const lifecycle::Validity& validity,
                                              const Profile& profile);

struct CrlFacts {
  std::uint64_t number = 1;
  Time this_update;
  Time next_update;
};
[[nodiscard]] Result<Bytes> make_crl(const Authority& authority, const CrlFacts& facts,
                                     const x509::CrlEntries& revoked, x509::Digest digest);

/// The row that keeps an issued certificate.
[[nodiscard]] store::IssuedCertificate row_of(const std::string& server, std::uint32_t generation,
                                              const x509::Certificate& certificate,
                                              const std::string& transaction_id,
                                              const Bytes& request_digest, Time now,
                                              store::RequestClass granted_as);

}  // namespace umbra::ca
