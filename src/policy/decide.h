#pragma once

#include <optional>
#include <string>
#include <variant>

#include "scep/message.h"

/// Grant, pend or reject: a pure answer on facts. No clock, no store, no OpenSSL.
namespace umbra::policy {

enum class GrantMode {
  manual,
  automatic,
  none,
  trusted,  ///< `grant auto trustpoint`: what a trusted certificate signed; the rest waits
};

/// What a request asks for, or a certificate of ours was granted as.
enum class Class {
  router,
  ra,              ///< OU or CN "ioscs RA", which makes nobody an RA: only a person's grant does
  subordinate_ca,  ///< CA:TRUE or keyCertSign
};

struct Rules {
  GrantMode grant = GrantMode::manual;
  bool ra_auto = false;                    ///< `grant ra-auto`: what an RA of ours signed
  bool rollover_ca_cert = false;           ///< `grant auto rollover ca-cert`
  bool rollover_ra_cert = false;           ///< `grant auto rollover ra-cert`
  std::optional<std::string> challenge{};  ///< what first enrolments must carry under `grant auto`
  int rsa_bits_min = 2048;                 ///< 1024 with `allow legacy rsa-1024`
  /// This is an RA: what it signs counts for more than what its devices could ask for themselves,
  /// so it asks for no CA's and no RA's certificate, its own name included.
  bool devices_only = false;
};

/// What the store knows of the certificate that signed a request.
enum class Signer {
  stranger,       ///< self-signed, or issued by somebody else: a first enrolment
  ours,           ///< issued here, byte for byte, valid now and not revoked
  not_yet_valid,  ///< a shadow certificate before its day
  expired,
  late,  ///< expired, but no longer ago than `renewal grace` allows: as good as ours
  revoked,
};

struct RequestFacts {
  scep::MessageType type = scep::MessageType::pkcs_req;
  Signer signer = Signer::stranger;
  bool subject_matches_signer = false;  ///< equal names, RFC 5280 7.1
  bool subject_empty = false;
  bool subject_has_nul = false;  ///< one name to some readers, another to the rest
  Class asked = Class::router;
  Class signer_class = Class::router;  ///< what the signer's certificate was granted as
  bool shadow = false;                 ///< enveloped for the next CA
  x509::KeyAlgorithm key_algorithm = x509::KeyAlgorithm::rsa;
  int key_bits = 2048;
  bool subject_is_the_ca = false;  ///< the server's own name: it would look self-issued
  bool new_alt_names = false;      ///< a subjectAltName that the signer's certificate has not
  /// `grant auto trustpoint`: the signer's certificate is of such a trustpoint's CA, and neither
  /// expired nor revoked.
  bool signer_trusted = false;
  /// A certificate was made for this very request, and is revoked.
  bool answer_revoked = false;
  bool key_is_a_ca_key = false;  ///< the requested key is one of this server's own
  /// Nobody knows whether the signer's certificate is revoked: the CA above has told no CRL.
  bool signer_unchecked = false;
  /// Why the requested key hides nothing, whatever its size (x509::weakness_of).
  std::optional<std::string> key_weakness{};
  bool key_is_signers = true;  ///< the request asks for the very key that signs it
  bool signer_self_issued = true;
  std::optional<int> signer_rsa_bits{};  ///< of the key that signs; nothing if it is no RSA key
  std::optional<std::string> challenge;
  bool one_time_password = false;  ///< the challenge is the live one-time password
};

struct Grant {
  bool spends_password = false;  ///< the one-time password is what let it through
};
struct Pend {};
using Decision = std::variant<Grant, Pend, scep::Refusal>;

/// Source: IOS sorts by OU=ioscs RA or CN=ioscs RA, and by what the request's extensions ask for.
[[nodiscard]] Class class_of(const x509::Request& request);
/// What a certificate makes its holder, if nobody remembers what it was granted as.
[[nodiscard]] Class class_of(const x509::Certificate& certificate);
/// A renewal: signed by a certificate of ours for itself, whichever of the two message types says
/// so (IOS knows only PKCSReq).
[[nodiscard]] bool is_renewal(const RequestFacts& facts);
/// Signed by an RA of ours for somebody else.
[[nodiscard]] bool is_forwarded(const RequestFacts& facts);
/// Whether the static challenge password decides: whoever is refused then has tried one.
[[nodiscard]] bool hangs_on_challenge(const RequestFacts& facts, const Rules& rules);
/// What a request says is the static challenge password. Cost: the same for every one of a length.
[[nodiscard]] bool challenge_matches(const std::optional<std::string>& given,
                                     const std::string& wanted);

/// Requests for CA and RA certificates wait for an administrator under every grant mode, whatever
/// password or trusted signature they come with. One thing alone is granted without a person:
/// `grant auto rollover`, for a shadow request that a valid certificate of the same name and class
/// has signed.
[[nodiscard]] Decision decide(const RequestFacts& facts, const Rules& rules);

}  // namespace umbra::policy
