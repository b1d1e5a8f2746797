#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "lifecycle/trustpoint.h"
#include "scep/ca_messages.h"
#include "store/store.h"
#include "x509/certificate.h"
#include "x509/key.h"
#include "x509/request.h"

namespace umbra::client {

/// A trustpoint's row, read: the row is the truth, the rest is what its octets mean. Always made
/// from a whole row, so that a running trustpoint and a restarted one cannot differ.
struct State {
  store::TrustpointRow row;
  std::optional<x509::Certificate> ca;
  std::vector<x509::Certificate> ras;
  std::vector<x509::Certificate> rollover_ras;
  std::optional<x509::Certificate> previous_ca;  ///< that the last switch ended
  std::optional<x509::Certificate> identity;
  std::optional<x509::Certificate> rollover_ca;
  std::optional<x509::Certificate> rollover_identity;
  std::optional<x509::PrivateKey> key;         ///< LABEL
  std::optional<x509::PrivateKey> shadow_key;  ///< LABEL#
  std::optional<x509::Request> request;        ///< under way
  std::optional<x509::Certificate> request_signer;
  scep::Capabilities capabilities;

  /// In:     `before` lends its opened keys where the sealed ones are still the same; opening one
  ///         costs a key derivation.
  /// Errors: crypto (wrong passphrase, or a certificate or request whose key is not here),
  ///         malformed (the row's octets do not parse).
  [[nodiscard]] static Result<State> read(store::TrustpointRow row, std::string_view passphrase,
                                          const State* before = nullptr);
  /// In: `come_again`, which no row has: a CA that is busy has asked for it since the start.
  [[nodiscard]] lifecycle::TrustpointFacts facts(std::optional<Time> come_again = {}) const;
  [[nodiscard]] lifecycle::RequestKind kind() const;
  /// The key that the request under way asks a certificate for: LABEL#, or LABEL.
  [[nodiscard]] const x509::PrivateKey* request_key() const;
  /// The key behind `request_signer`: the request's own at first, LABEL at renewal.
  [[nodiscard]] const x509::PrivateKey* signer_key() const;
  /// Who issues what is asked for: the rollover CA for a shadow request.
  [[nodiscard]] const std::optional<x509::Certificate>& issuer() const;
};

/// The part of the row that the lifecycle decides; certificates and keys are not touched.
void set_progress(store::TrustpointRow& row, const lifecycle::TrustpointFacts& facts);
/// As the row keeps several certificates.
[[nodiscard]] Bytes joined(const std::vector<x509::Certificate>& certificates);
/// Forgets the request under way, its transaction and its signer.
void clear_request(store::TrustpointRow& row);
/// The rollover certificates become the active ones, LABEL# becomes LABEL; whatever was under way
/// under the old CA is over. Without a rollover identity the old one goes with its CA.
void promote(store::TrustpointRow& row);

}  // namespace umbra::client
