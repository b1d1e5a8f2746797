#include "client/enrollment.h"

#include <algorithm>

namespace umbra::client {
namespace {

using lifecycle::RequestKind;

// A rollover CA certificate may begin this long before the active one ends (seed: on the second).
constexpr Seconds rollover_early_max = std::chrono::hours{1};
constexpr std::uint8_t usage_digital_signature_key_encipherment = 0xA0;
constexpr std::uint8_t usage_key_encipherment = 0x20;
constexpr std::uint8_t usage_ca = 0x86;  // digitalSignature, keyCertSign, cRLSign

Result<x509::Name> subject_of(const config::Trustpoint& configuration, const Device& device) {
  x509::DeviceAttributes attributes;
  if (configuration.serial_number && !device.board_serial.empty())
    attributes.serial_number = device.board_serial;
  attributes.ip_address = configuration.ip_address;
  if (const auto fqdn = fqdn_of(configuration, device); !fqdn.empty()) attributes.fqdn = fqdn;
  return x509::Name::from_ios(configuration.subject_name, attributes);
}

/// Which key a request of this kind certifies; made and sealed into the row where it is missing.
Result<x509::PrivateKey> key_for(store::TrustpointRow& row, const State& state,
                                 const config::Trustpoint& configuration,
                                 std::string_view passphrase) {
  // LABEL# of a stored rollover identity is not for another request; that one keeps LABEL.
  const bool replace = configuration.regenerate && state.identity && !state.rollover_identity;
  const auto& present = replace ? state.shadow_key : state.key;
  // No two CA certificates have one key.
  if (present && configuration.role != config::Role::subordinate_ca) return *present;
  constexpr int curve = 256;
  UMBRA_TRY(auto key, configuration.ec_key ? x509::PrivateKey::generate_ec(curve)
                                           : x509::PrivateKey::generate_rsa(configuration.modulus));
  UMBRA_TRY(auto sealed, key.seal(passphrase));
  (replace ? row.sealed_shadow_key : row.sealed_key) = std::move(sealed);
  return key;
}

bool has_rsa_key(const x509::Certificate& certificate) {
  return certificate.public_key().algorithm() == x509::KeyAlgorithm::rsa;
}

/// Whom a message is enveloped for: with RAs the one that may decipher, else the CA itself; null if
/// none of them has an RSA key.
const x509::Certificate* recipient_among(const std::vector<x509::Certificate>& ras,
                                         const x509::Certificate& ca) {
  for (const auto& ra : ras) {
    const auto usage = ra.key_usage();
    if (has_rsa_key(ra) && (!usage || (usage->bits & usage_key_encipherment))) return &ra;
  }
  return has_rsa_key(ca) ? &ca : nullptr;
}

tl::unexpected<Error> no_recipient() {
  return fail(Errc::not_found,
              "nobody is known whom a message can be enveloped for: the CA has no RSA key, and no "
              "certificate with one came beside its own");
}

HttpCall call_with(const State& state, Bytes message) {
  HttpCall call;
  if (state.capabilities.post_pki_operation || state.capabilities.scep_standard) {
    call.method = "POST";
    call.url = scep::operation_url("", scep::Operation::pki_operation);
    call.content_type = std::string(scep::type_pki_message);
    call.body = std::move(message);
  } else {
    call.url = scep::pki_operation_get_url("", message);
  }
  return call;
}

scep::MessageType type_of(const State& state, Message message) {
  if (message == Message::poll) return scep::MessageType::cert_poll;
  const bool standard = state.capabilities.renewal && state.capabilities.scep_standard;
  return state.kind() != RequestKind::initial && standard ? scep::MessageType::renewal_req
                                                          : scep::MessageType::pkcs_req;
}

/// The CA itself, or somebody it made an RA.
std::vector<x509::Certificate> active_signers(const State& state) {
  std::vector<x509::Certificate> signers = state.ras;
  if (state.ca) signers.insert(signers.begin(), *state.ca);
  return signers;
}

bool may_sign_certificates(const x509::Certificate& certificate) {
  const auto usage = certificate.key_usage();
  return certificate.is_ca() && (!usage || usage->key_cert_sign());
}

Result<void> check_validity(const State& state, const x509::Certificate& granted, Time now) {
  const auto misfit = lifecycle::misfit(state.kind(), {granted.not_before(), granted.not_after()},
                                        {state.ca->not_before(), state.ca->not_after()}, now);
  if (misfit == lifecycle::Misfit::expired)
    return fail(Errc::conflict, "the certificate received has expired");
  if (misfit == lifecycle::Misfit::ends_with_active_ca)
    return fail(Errc::conflict, "the rollover certificate received ends with the active CA");
  if (misfit == lifecycle::Misfit::not_valid_yet)
    return fail(Errc::conflict, "the certificate received is not valid yet");
  if (state.kind() != RequestKind::shadow && state.identity && granted == *state.identity)
    return fail(Errc::conflict, "the certificate received is the one to be renewed");
  return {};
}

/// Whoever asked to be a CA is to be one, and under its own name: it is the issuer of all it signs.
Result<void> check_ca(const State& state, const x509::Certificate& granted) {
  if (!may_sign_certificates(granted)) {
    return fail(Errc::conflict,
                "the certificate received is not a CA's: the upper CA has granted the request as a "
                "device's");
  }
  if (!(granted.subject() == state.request->subject()))
    return fail(Errc::conflict, "the CA certificate received has another name than was asked for");
  return {};
}

/// What an RA does is open what is enveloped for it and sign; a CA's certificate makes it none.
Result<void> check_ra(const x509::Certificate& granted) {
  const auto usage = granted.key_usage();
  const bool can_both = !usage || (usage->bits & usage_digital_signature_key_encipherment) ==
                                      usage_digital_signature_key_encipherment;
  if (!granted.is_ca() && can_both) return {};
  return fail(Errc::conflict,
              "the certificate received is not an RA's: it must be for signatures and for key "
              "encipherment, and no CA's");
}

/// The CA above another one of the chain. An RA or exchange certificate under it is no CA.
bool issued_another_ca(const x509::Certificate& candidate,
                       const std::vector<x509::Certificate>& received) {
  return std::any_of(received.begin(), received.end(), [&](const auto& other) {
    return !(other == candidate) && may_sign_certificates(other) &&
           other.issuer() == candidate.subject() && other.verify_signed_by(candidate.public_key());
  });
}

}  // namespace

std::string fqdn_of(const config::Trustpoint& configuration, const Device& device) {
  if (configuration.fqdn_none) return {};
  return configuration.fqdn.value_or(device.fqdn);
}

void drop_attempt(store::TrustpointRow& row) {
  clear_request(row);
  if (row.rollover_identity.empty()) row.sealed_shadow_key.clear();
}

std::vector<std::string> urls_of(const config::Trustpoint& configuration) {
  std::vector<std::string> all = configuration.more_urls;
  if (!configuration.enrollment_url.empty()) all.insert(all.begin(), configuration.enrollment_url);
  return all;
}

std::size_t place_of(const std::string& url, const std::vector<std::string>& urls) {
  const auto found = std::find(urls.begin(), urls.end(), url);
  return found == urls.end() ? 0 : static_cast<std::size_t>(found - urls.begin());
}

std::string label_of(const config::Trustpoint& configuration, const Device& device) {
  if (!configuration.key_label.empty()) return configuration.key_label;
  const std::string fqdn = fqdn_of(configuration, device);
  return fqdn.empty() ? device.fqdn : fqdn;
}

x509::Digest digest_of(config::HashName name) {
  switch (name) {
    case config::HashName::md5:
      return x509::Digest::md5;
    case config::HashName::sha1:
      return x509::Digest::sha1;
    case config::HashName::sha256:
      return x509::Digest::sha256;
    case config::HashName::sha384:
      return x509::Digest::sha384;
    case config::HashName::sha512:
      return x509::Digest::sha512;
  }
  return x509::Digest::sha256;
}

Result<void> prepare_request(store::TrustpointRow& row, const State& state, RequestKind kind,
                             const config::Trustpoint& configuration, const Device& device,
                             std::string_view passphrase, Time now) {
  UMBRA_TRY(const auto subject, subject_of(configuration, device));
  UMBRA_TRY(const auto key, key_for(row, state, configuration, passphrase));
  const auto digest = scep::best_digest(state.capabilities, digest_of(configuration.hash));
  const bool initial = kind == RequestKind::initial;
  x509::RequestTemplate wanted;
  wanted.subject = subject;
  // Renewals too, as IOS does: RFC 8894 2.4 lets them, and micromdm's server asks for it.
  wanted.challenge_password = configuration.password;
  if (configuration.role == config::Role::subordinate_ca) {
    wanted.extensions = {x509::basic_constraints_ca(), x509::key_usage({usage_ca, true})};
  } else {
    wanted.extensions = {x509::key_usage({usage_digital_signature_key_encipherment, false})};
    const auto& purposes =
        configuration.eku_request.empty() ? configuration.usage : configuration.eku_request;
    if (!purposes.empty()) wanted.extensions.push_back(x509::extended_key_usage(purposes));
    if (!configuration.alt_names.empty())
      wanted.extensions.push_back(x509::subject_alt_names(configuration.alt_names));
  }
  UMBRA_TRY(const auto request, x509::sign_request(wanted, key, digest));
  if (initial) {
    UMBRA_TRY(const auto signer, x509::self_signed_signer(subject, now, key, digest));
    row.request_signer = to_bytes(signer.der());
  } else {
    row.request_signer = row.identity;
  }
  row.request = to_bytes(request.der());
  row.transaction_id = scep::transaction_id(key.public_key());
  return {};
}

const x509::Certificate* recipient_of(const State& state) {
  if (!state.issuer()) return nullptr;
  return recipient_among(state.kind() == RequestKind::shadow ? state.rollover_ras : state.ras,
                         *state.issuer());
}

Result<Exchange> make_exchange(const State& state, Message message,
                               const config::Trustpoint& configuration, Random& random,
                               const Credential* instead) {
  const auto* signer_key = instead ? &instead->key : state.signer_key();
  if (!state.request || !state.request_signer || !signer_key || !state.issuer())
    return fail(Errc::not_found, "no request is under way");
  const auto* const recipient = recipient_of(state);
  if (!recipient) return no_recipient();
  const scep::RequestContext context{
      .type = type_of(state, message),
      .transaction_id = state.row.transaction_id,
      .sender_nonce = scep::make_nonce(random),
      .recipient = *recipient,
      .signer = instead ? instead->certificate : *state.request_signer,
      .cipher = scep::best_cipher(state.capabilities),
      .digest = scep::best_digest(state.capabilities, digest_of(configuration.hash))};
  const Bytes body = message == Message::poll
                         ? scep::to_der(scep::IssuerAndSubject{state.issuer()->subject(),
                                                               state.request->subject()})
                         : to_bytes(state.request->der());
  UMBRA_TRY(auto sealed, scep::request(body, context, *signer_key, random));

  Exchange out{.type = context.type,
               .call = {},
               .expected = {.transaction_id = context.transaction_id,
                            .sender_nonce = context.sender_nonce,
                            .signers = active_signers(state),
                            .recipient = context.signer}};
  // A shadow request may be answered by either CA.
  if (state.kind() == RequestKind::shadow) {
    out.expected.signers.push_back(*state.rollover_ca);
    for (const auto& ra : state.rollover_ras) out.expected.signers.push_back(ra);
  }
  out.call = call_with(state, std::move(sealed));
  return out;
}

Result<Exchange> make_crl_exchange(const State& state, const config::Trustpoint& configuration,
                                   Random& random) {
  const auto* const recipient = recipient_among(state.ras, *state.ca);
  if (!recipient) return no_recipient();
  constexpr std::size_t transaction_octets = 16;
  Bytes transaction(transaction_octets);
  random.fill(transaction);
  const scep::RequestContext context{
      .type = scep::MessageType::get_crl,
      .transaction_id = to_hex(transaction),
      .sender_nonce = scep::make_nonce(random),
      .recipient = *recipient,
      .signer = *state.identity,
      .cipher = scep::best_cipher(state.capabilities),
      .digest = scep::best_digest(state.capabilities, digest_of(configuration.hash))};
  const Bytes body =
      scep::to_der(scep::IssuerAndSerial{state.identity->issuer(), state.identity->serial()});
  UMBRA_TRY(auto sealed, scep::request(body, context, *state.key, random));
  return Exchange{.type = context.type,
                  .call = call_with(state, std::move(sealed)),
                  .expected = {.transaction_id = context.transaction_id,
                               .sender_nonce = context.sender_nonce,
                               .signers = active_signers(state),
                               .recipient = context.signer}};
}

scep::Legacy legacy_of(const config::Trustpoint& configuration) {
  return {.des = configuration.allow_des, .md5 = configuration.allow_md5, .sha1 = true};
}

Result<scep::CertRep> open_answer(const State& state, ByteView body,
                                  const scep::ReplyExpectation& expected,
                                  const config::Trustpoint& configuration,
                                  const Credential* instead) {
  const auto* key = instead ? &instead->key : state.signer_key();
  if (!key) return fail(Errc::not_found, "no request is under way");
  return scep::open_cert_rep(body, expected, *key, legacy_of(configuration));
}

Result<x509::Certificate> choose_granted(const State& state,
                                         const std::vector<x509::Certificate>& received,
                                         config::Role role, Time now) {
  if (!state.request || !state.issuer()) return fail(Errc::not_found, "no request is under way");
  for (const auto& certificate : received) {
    if (!(certificate.public_key() == state.request->public_key())) continue;
    if (!(certificate.issuer() == state.issuer()->subject()) ||
        !certificate.verify_signed_by(state.issuer()->public_key()))
      continue;
    UMBRA_CHECK(check_validity(state, certificate, now));
    if (role == config::Role::subordinate_ca) UMBRA_CHECK(check_ca(state, certificate));
    if (role == config::Role::ra) UMBRA_CHECK(check_ra(certificate));
    return certificate;
  }
  return fail(Errc::crypto, "no certificate received is for our key and signed by the CA");
}

Result<Offer> choose_ca(const std::vector<x509::Certificate>& received) {
  std::optional<x509::Certificate> ca;
  for (const auto& candidate : received) {
    // A root of old has no extensions to say so with.
    const bool lone_root = received.size() == 1 && candidate.extensions().empty();
    if (!candidate.is_ca() && !lone_root) continue;
    // With a whole chain, the CA is the one that issues to the RAs, or the lowest.
    const bool issues_to_all = std::all_of(received.begin(), received.end(), [&](const auto& one) {
      return one.is_ca() || one.verify_signed_by(candidate.public_key()).has_value();
    });
    const bool below = ca && !candidate.self_issued() && candidate.issuer() == ca->subject();
    if (issues_to_all && (!ca || below)) ca = candidate;
  }
  if (!ca) return fail(Errc::malformed, "the answer to GetCACert holds no CA certificate");
  Offer offer{.ca = *ca, .ras = {}};
  for (const auto& certificate : received) {
    if (!certificate.is_ca() && !(certificate == *ca)) offer.ras.push_back(certificate);
  }
  return offer;
}

bool has_fingerprint(const x509::Certificate& certificate, std::string_view hex) {
  const auto wanted = from_hex(hex);
  if (!wanted) return false;
  for (const auto digest : {x509::Digest::md5, x509::Digest::sha1, x509::Digest::sha256}) {
    if (equal(certificate.fingerprint(digest), *wanted)) return true;
  }
  return false;
}

Result<Offer> choose_next_ca(const State& state, ByteView body,
                             const config::Trustpoint& configuration) {
  if (!state.ca) return fail(Errc::not_found, "no CA is authenticated");
  // The CA's own signature alone. Who is an RA was told by a GetCACert that nobody signed: any
  // device of the CA could have put itself there, and would name the next CA.
  UMBRA_TRY(const auto received,
            scep::parse_next_ca_cert(
                body, {*state.ca},
                {.legacy = legacy_of(configuration), .flat = configuration.allow_flat_next_ca}));
  for (const auto& candidate : received) {
    if (!may_sign_certificates(candidate) || candidate == *state.ca) continue;
    if (candidate.self_issued() && !candidate.verify_signed_by(candidate.public_key())) continue;
    if (issued_another_ca(candidate, received)) continue;
    const bool root = candidate.self_issued();
    if (root && candidate.not_before() < state.ca->not_after() - rollover_early_max) continue;
    if (candidate.not_after() <= std::max(candidate.not_before(), state.ca->not_after())) continue;
    Offer next{.ca = candidate, .ras = {}};
    for (const auto& other : received) {
      if (!other.is_ca() && other.issuer() == candidate.subject() &&
          other.verify_signed_by(candidate.public_key()))
        next.ras.push_back(other);
    }
    return next;
  }
  return fail(Errc::conflict, "no certificate received can follow the active CA");
}

}  // namespace umbra::client
