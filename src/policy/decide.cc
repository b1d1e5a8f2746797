#include "policy/decide.h"

namespace umbra::policy {
namespace {

using scep::FailInfo;
using scep::Refusal;

constexpr int rsa_bits_max = 8192;

Decision refuse(FailInfo info, std::string text) { return Refusal{info, std::move(text)}; }

/// A first request proves the key that it asks for twice: by the PKCS #10 and by the message.
/// Whoever has recorded an envelope with somebody's PKCS #10 and password in it can put it into a
/// message of his own, and not sign that with the same key.
std::optional<Refusal> stranger_objection(const RequestFacts& facts, const Rules& rules) {
  if (facts.signer_rsa_bits &&
      (*facts.signer_rsa_bits < rules.rsa_bits_min || *facts.signer_rsa_bits > rsa_bits_max)) {
    return Refusal{FailInfo::bad_alg, "the request is signed by an RSA key of " +
                                          std::to_string(*facts.signer_rsa_bits) + " bits"};
  }
  if (facts.signer_self_issued && !facts.key_is_signers)
    return Refusal{FailInfo::bad_request,
                   "a first request is signed by the key that it asks a certificate for"};
  return std::nullopt;
}

/// What no grant mode lets through. Nothing = no objection.
std::optional<Refusal> objection(const RequestFacts& facts, const Rules& rules) {
  if (facts.subject_empty) return Refusal{FailInfo::bad_request, "the request has no subject name"};
  if (facts.subject_has_nul)
    return Refusal{FailInfo::bad_request, "the requested name has a NUL, at which some stop"};
  if (facts.subject_is_the_ca)
    return Refusal{FailInfo::bad_request, "the requested name is the CA's own"};
  if (facts.key_is_a_ca_key)
    return Refusal{FailInfo::bad_request, "the requested key is the CA's own"};
  if (rules.devices_only && facts.asked != Class::router) {
    return Refusal{FailInfo::bad_request,
                   "an RA asks for certificates of devices alone; ask the CA itself"};
  }
  if (facts.key_algorithm == x509::KeyAlgorithm::rsa &&
      (facts.key_bits < rules.rsa_bits_min || facts.key_bits > rsa_bits_max)) {
    return Refusal{FailInfo::bad_alg, "an RSA key of " + std::to_string(facts.key_bits) +
                                          " bits is refused here; at least " +
                                          std::to_string(rules.rsa_bits_min) + " are asked for"};
  }
  if (facts.key_weakness) return Refusal{FailInfo::bad_alg, *facts.key_weakness};
  switch (facts.signer) {
    case Signer::stranger:
      return stranger_objection(facts, rules);
    case Signer::ours:
    case Signer::late:
      return std::nullopt;
    case Signer::not_yet_valid:
      return Refusal{FailInfo::bad_time,
                     "the request is signed by a certificate that is not valid yet"};
    case Signer::expired:
      return Refusal{FailInfo::bad_time,
                     "the request is signed by a certificate that has ended; enrol anew with a "
                     "self-signed one"};
    case Signer::revoked:
      return Refusal{FailInfo::bad_request,
                     "the request is signed by a certificate that is revoked"};
  }
  return std::nullopt;
}

/// `grant auto rollover`: nobody becomes a CA or an RA by it, those who are go on being it.
bool rollover_granted(const RequestFacts& facts, const Rules& rules) {
  const bool asked_for =
      facts.asked == Class::subordinate_ca ? rules.rollover_ca_cert : rules.rollover_ra_cert;
  return asked_for && facts.shadow && facts.signer == Signer::ours && is_renewal(facts) &&
         facts.subject_matches_signer && facts.signer_class == facts.asked && !facts.new_alt_names;
}

Class class_named(const x509::Name& subject) {
  const bool ra = subject.has(x509::oid_organizational_unit, "ioscs RA") ||
                  subject.has(x509::oid_common_name, "ioscs RA");
  return ra ? Class::ra : Class::router;
}

}  // namespace

Class class_of(const x509::Request& request) {
  return request.asks_for_ca() ? Class::subordinate_ca : class_named(request.subject());
}

Class class_of(const x509::Certificate& certificate) {
  return certificate.is_ca() ? Class::subordinate_ca : class_named(certificate.subject());
}

bool is_forwarded(const RequestFacts& facts) {
  return facts.signer != Signer::stranger && facts.signer_class == Class::ra &&
         !facts.subject_matches_signer;
}

bool is_renewal(const RequestFacts& facts) {
  return facts.signer != Signer::stranger && !is_forwarded(facts);
}

bool challenge_matches(const std::optional<std::string>& given, const std::string& wanted) {
  // Compared even if absent, so that presence cannot be told from the time taken.
  return equal_constant_time(as_bytes(given.value_or("")), as_bytes(wanted)) && given.has_value();
}

bool hangs_on_challenge(const RequestFacts& facts, const Rules& rules) {
  if (!rules.challenge || rules.grant != GrantMode::automatic || facts.one_time_password)
    return false;
  if (objection(facts, rules)) return false;
  if (!is_renewal(facts)) return facts.type != scep::MessageType::renewal_req;
  return facts.new_alt_names && facts.subject_matches_signer && facts.asked == facts.signer_class;
}

Decision decide(const RequestFacts& facts, const Rules& rules) {
  if (rules.grant == GrantMode::none)
    return refuse(FailInfo::bad_request, "this server grants no requests");
  if (auto refusal = objection(facts, rules)) return *std::move(refusal);
  const bool challenged = rules.challenge && rules.grant == GrantMode::automatic;
  const bool renewal = is_renewal(facts);
  if (renewal) {
    if (!facts.subject_matches_signer) {
      return refuse(FailInfo::bad_request,
                    "a renewal keeps the subject of the certificate that signs it");
    }
    if (facts.asked != facts.signer_class) {
      return refuse(FailInfo::bad_request,
                    "a renewal asks for what its signer's certificate is: a CA's, an RA's or a "
                    "device's; enrol anew with a self-signed certificate");
    }
    // Else whoever was let in under one name could take every other.
    if (challenged && facts.new_alt_names && !facts.one_time_password &&
        !challenge_matches(facts.challenge, *rules.challenge)) {
      return refuse(FailInfo::bad_request,
                    "a renewal with another subjectAltName needs the challenge password");
    }
  } else if (facts.type == scep::MessageType::renewal_req) {
    return refuse(FailInfo::bad_request,
                  "a RenewalReq is signed by a certificate of this CA; enrol with PKCSReq");
  } else if (challenged && !facts.one_time_password &&
             !challenge_matches(facts.challenge, *rules.challenge)) {
    return refuse(FailInfo::bad_request, facts.challenge ? "the challenge password is wrong"
                                                         : "a challenge password is required");
  }
  // Whoever recorded the request can send it again, with whatever let it through then.
  if (facts.answer_revoked || facts.signer_unchecked) return Pend{};
  // Nor does a certificate of somebody's own making prove that its holder knows what is inside.
  const bool by_password = challenged || facts.one_time_password;
  if (facts.signer == Signer::stranger && !facts.key_is_signers && !facts.signer_trusted &&
      by_password) {
    return Pend{};
  }
  if (facts.asked != Class::router)
    return rollover_granted(facts, rules) ? Decision{Grant{}} : Pend{};
  // The RA has looked at it.
  if (is_forwarded(facts) && rules.ra_auto && facts.signer == Signer::ours) return Grant{};
  // Spent only where nothing else would do: a renewal, or `grant auto` for everybody, needs none.
  const bool needs_none =
      rules.grant == GrantMode::automatic && (!challenged || (renewal && !facts.new_alt_names) ||
                                              challenge_matches(facts.challenge, *rules.challenge));
  if (needs_none) return Grant{};
  // A renewal proves who asks, not that it may have names it did not have: a person looks at those.
  if (rules.grant == GrantMode::trusted && facts.signer_trusted &&
      !(renewal && facts.new_alt_names)) {
    return Grant{};
  }
  if (facts.one_time_password) return Grant{.spends_password = true};
  return Pend{};
}

}  // namespace umbra::policy
