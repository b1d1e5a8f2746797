#pragma once

#include <string>
#include <vector>

#include "base/http.h"
#include "base/random.h"
#include "client/state.h"
#include "client/trustpoint.h"
#include "config/model.h"

/// What a trustpoint says to its CA and what it believes of the answers: values in, values out, no
/// network and no clock.
///
/// Where IOS and RFC 8894 differ: IOS renews with messageType PKCSReq (19) signed by the active
/// identity, RFC 8894 with RenewalReq (17). We send 17 to a CA that lists both SCEPStandard and
/// Renewal, since such servers ask a PKCSReq for a challenge, and 19 to all others, as an IOS
/// server's clients do.
namespace umbra::client {

/// What the device puts into its requests beside the configured subject.
struct Device {
  std::string fqdn;
  std::string board_serial;
};

/// `fqdn` of the trustpoint, or the device's; empty with `fqdn none`.
[[nodiscard]] std::string fqdn_of(const config::Trustpoint& configuration, const Device& device);
[[nodiscard]] x509::Digest digest_of(config::HashName name);
/// The `enrollment url`s, in their order.
[[nodiscard]] std::vector<std::string> urls_of(const config::Trustpoint& configuration);
/// Where `url` stands among them; one that does not counts as the first.
[[nodiscard]] std::size_t place_of(const std::string& url, const std::vector<std::string>& urls);
/// The key pair's name, for people: it has one even where `fqdn none` leaves it out of the subject.
[[nodiscard]] std::string label_of(const config::Trustpoint& configuration, const Device& device);

/// Puts a new transaction of `kind` into the row: the key (a new one where there is none, or LABEL#
/// with `regenerate`), the PKCS #10, its signer and the transaction id. A renewal is signed by the
/// active identity and carries no challenge. Cost: an RSA key where one must be made.
/// Errors: malformed (subject name), crypto, unsupported (key size).
[[nodiscard]] Result<void> prepare_request(store::TrustpointRow& row, const State& state,
                                           lifecycle::RequestKind kind,
                                           const config::Trustpoint& configuration,
                                           const Device& device, std::string_view passphrase,
                                           Time now);

/// Forgets the request under way; a key that was made for it goes with it, unless a rollover
/// identity lives on it.
void drop_attempt(store::TrustpointRow& row);

/// Whom the request under way is enveloped for: of the RAs the first that may decipher, else the
/// CA. Null if none of them has an RSA key, for which alone SCEP envelopes (RFC 8894 3.1).
[[nodiscard]] const x509::Certificate* recipient_of(const State& state);

/// A pkiMessage ready to be sent, and what its answer must match.
struct Exchange {
  scep::MessageType type = scep::MessageType::pkcs_req;
  HttpCall call;
  scep::ReplyExpectation expected;
};
enum class Message { request, poll };
/// The request under way, or a poll for it, signed by `instead` where that is given; the call's URL
/// is the query alone. By POST where the CA takes it, by GET else. Errors: crypto, not_found
/// (nothing under way; nobody to envelope it for).
[[nodiscard]] Result<Exchange> make_exchange(const State& state, Message message,
                                             const config::Trustpoint& configuration,
                                             Random& random, const Credential* instead = nullptr);
/// GetCRL for the active CA's CRL, signed by the identity, which there must be. Errors: crypto,
/// not_found (nobody to envelope it for).
[[nodiscard]] Result<Exchange> make_crl_exchange(const State& state,
                                                 const config::Trustpoint& configuration,
                                                 Random& random);
[[nodiscard]] scep::Legacy legacy_of(const config::Trustpoint& configuration);
/// Opens a CertRep with the key of whoever signed the request. Errors: crypto, malformed,
/// not_found.
[[nodiscard]] Result<scep::CertRep> open_answer(const State& state, ByteView body,
                                                const scep::ReplyExpectation& expected,
                                                const config::Trustpoint& configuration,
                                                const Credential* instead = nullptr);

/// The certificate that was asked for, among those that came.
/// Errors: crypto if none is for our key and signed by the issuing CA; conflict if its validity is
/// of no use: over, begun far in the future, a shadow certificate that ends with the active CA, or
/// the very certificate that was to be renewed; or if a CA certificate was asked for and this is
/// none, or one of another name.
[[nodiscard]] Result<x509::Certificate> choose_granted(
    const State& state, const std::vector<x509::Certificate>& received, config::Role role,
    Time now);

/// A CA as GetCACert gave it.
struct Offer {
  x509::Certificate ca;
  std::vector<x509::Certificate> ras;
};
/// Tells the CA from its RAs. Errors: malformed if there is no CA among them.
[[nodiscard]] Result<Offer> choose_ca(const std::vector<x509::Certificate>& received);
/// Is this the configured fingerprint (MD5, SHA-1 or SHA-256, told by length)?
[[nodiscard]] bool has_fingerprint(const x509::Certificate& certificate, std::string_view hex);

/// The rollover CA out of GetNextCACert's answer: signed by the active CA, a CA itself, with
/// another key or serial than the active one, beginning when that one ends (an hour before at the
/// earliest; a subordinate's begins when its own CA granted it) and ending after it; of a chain,
/// the lowest; with the RAs that came beside it and that it has signed. Errors: crypto, malformed,
/// conflict.
[[nodiscard]] Result<Offer> choose_next_ca(const State& state, ByteView body,
                                           const config::Trustpoint& configuration);

}  // namespace umbra::client
