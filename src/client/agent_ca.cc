#include <fmt/format.h>

#include <utility>

#include "client/agent.h"
#include "client/answer.h"
#include "client/lineage.h"

/// Which CA a trustpoint has: how it is got and accepted, whether it is the one that is configured,
/// and who reads for it what is enveloped.
namespace umbra::client {
namespace {

using lifecycle::Phase;
using EventKind = lifecycle::TrustpointEventKind;

}  // namespace

void Trustpoint::Agent::fetch_ca(std::function<void(Result<x509::Certificate>)> done,
                                 Seconds spread) {
  debug_scep("Client sending GetCACert request for trustpoint " + configuration_.name);
  const auto& elsewhere = configuration_.authentication_url;
  if (elsewhere.empty() && configuration_.enrollment_url.empty())
    return done(fail(Errc::conflict, "no enrollment url is configured"));
  go(get(scep::Operation::get_ca_cert, spread), elsewhere.empty() ? ways() : ways_to(elsewhere),
     std::nullopt, std::nullopt, [done = std::move(done)](Agent& agent, Result<HttpReply> answer) {
       agent.ca_come_again_.reset();
       if (answer && busy(*answer)) agent.ca_come_again_ = come_again_at(*answer, agent.now());
       auto offer = agent.offer_in(std::move(answer));
       if (!offer) return done(tl::unexpected(offer.error()));
       if (!agent.has_configured_fingerprint(offer->ca)) {
         agent.log(Severity::error, "FINGERPRINT",
                   "The CA certificate offered to trustpoint " + agent.configuration_.name +
                       " has not the configured fingerprint and is refused",
                   "UMBRA");
         return done(fail(Errc::crypto, "the CA certificate has not the configured fingerprint"));
       }
       agent.offer_ = *std::move(offer);
       done(agent.offer_->ca);
     });
}

Result<Offer> Trustpoint::Agent::offer_in(Result<HttpReply> answer) const {
  UMBRA_TRY(const auto reply, usable(std::move(answer)));
  UMBRA_TRY(const auto received, scep::parse_ca_cert(reply.body));
  UMBRA_TRY(auto offer, choose_ca(received));
  if (configuration_.mode_ra && offer.ras.empty())
    return fail(Errc::conflict, "\"enrollment mode ra\" is configured, and the CA names no RA");
  return offer;
}

void Trustpoint::Agent::accept_ca(const x509::Certificate& certificate,
                                  std::function<void(Result<void>)> done) {
  Offer offer{.ca = certificate, .ras = {}};
  if (offer_ && offer_->ca == certificate) offer = *offer_;
  if (auto accepted = accept(offer); !accepted) return done(std::move(accepted));
  if (configuration_.enrollment_url.empty()) return done({});  // nobody to ask
  fetch_capabilities(std::move(done), Seconds::zero());
}

void Trustpoint::Agent::fetch_and_accept_pinned() {
  if (asking_ca_) return;
  asking_ca_ = true;
  fetch_ca(
      [weak = weak_from_this(), asked = asked_where()](const Result<x509::Certificate>& ca) {
        const auto self = weak.lock();
        if (!self) return;
        self->asking_ca_ = false;
        if (self->asked_where() != asked) {
          // By another configuration: without a fingerprint, nobody has vouched for this answer.
          if (!self->state_.ca && self->settings_.pinned) self->fetch_and_accept_pinned();
          return;
        }
        if (!ca) return self->on_no_ca(ca.error());
        // Somebody may have authenticated it by hand in the meantime.
        if (self->state_.ca) return;
        self->accept_ca(*ca, [name = self.get()](const Result<void>& accepted) {
          if (!accepted) name->no_answer(accepted.error());
        });
      },
      spread());
}

void Trustpoint::Agent::on_no_ca(const Error& error) {
  no_answer(error);
  if (!ca_come_again_ || state_.ca) return;
  // There is somebody, and he keeps order: the intervals begin anew, and not before he said.
  auto row = state_.row;
  auto facts = state_.facts();
  facts.since = now();
  facts.tries = 0;
  set_progress(row, facts);
  if (const auto stored = commit(std::move(row)); !stored) return hold(stored.error());
  held_at_ = now();
  held_until_ = ca_come_again_;
  publish_snapshot();
}

Result<void> Trustpoint::Agent::accept(const Offer& offer) {
  const auto& ca = offer.ca;
  if (!has_configured_fingerprint(ca))
    return fail(Errc::crypto, "the CA certificate has not the configured fingerprint");
  if (environment_.clock.authoritative() && ca.not_after() <= now()) {
    say_if_of_another_time(ca, false);
    return fail(Errc::conflict, "the CA certificate has expired");
  }
  auto row = state_.row;
  const auto step =
      lifecycle::step(settings_, state_.facts(),
                      {EventKind::ca_accepted, {ca.not_before(), ca.not_after()}}, now());
  set_progress(row, step.next);
  drop_attempt(row);
  if (!equal(row.ca_certificate, ca.der())) {
    row.ca_certificate = to_bytes(ca.der());
    row.previous_ca_certificate.clear();
    row.rollover_ca_certificate.clear();
    row.rollover_ra_certificates.clear();
    row.rollover_identity.clear();
    row.sealed_shadow_key.clear();
    if (state_.identity && !state_.identity->verify_signed_by(ca.public_key()))
      row.identity.clear();
  }
  begin_lineage(row, ca);
  row.ra_certificates = joined(offer.ras);
  row.capabilities.clear();
  row.capabilities_known = false;
  UMBRA_CHECK(commit(std::move(row)));
  forget_call();
  stranger_answered_ = false;
  say_who_reads(offer.ras);
  debug("trustpoint " + configuration_.name + ": CA certificate accepted");
  announce();
  return {};
}

void Trustpoint::Agent::say_who_reads(const std::vector<x509::Certificate>& ras) const {
  // The CA's fingerprint says nothing of them: whoever answered GetCACert chose them among all that
  // the CA has issued, and they read what is sent, the password too.
  for (const auto& ra : ras) {
    log(Severity::notice, "RA",
        fmt::format("Trustpoint {}: requests may be enveloped for the RA \"{}\", SHA-256 "
                    "fingerprint {}; if the CA has none, somebody is in between",
                    configuration_.name, ra.subject().joined(),
                    to_hex_groups(ra.fingerprint(x509::Digest::sha256))),
        "UMBRA");
  }
}

bool Trustpoint::Agent::lacks_recipient() const {
  if (configuration_.enrollment_url.empty()) return false;  // nobody to ask, nor to send to
  // Those of the next CA came with it, under the CA's signature: GetCACert does not tell them.
  if (state_.kind() == lifecycle::RequestKind::shadow) return false;
  return !recipient_of(state_) || stranger_answered_;
}

void Trustpoint::Agent::look_for_recipient(Message message, Seconds spread) {
  log(Severity::notice, "RECIPIENT",
      fmt::format("Trustpoint {}: {}; GetCACert is asked again", configuration_.name,
                  recipient_of(state_)
                      ? "the last answer was signed neither by the CA nor by an RA that is known"
                      : "nobody is known whom its requests can be enveloped for, as the CA has no "
                        "RSA key and no certificate with one came beside its own"),
      "UMBRA");
  const auto& elsewhere = configuration_.authentication_url;
  go(get(scep::Operation::get_ca_cert, spread), elsewhere.empty() ? ways() : ways_to(elsewhere),
     ++newest_call_, std::nullopt, [message](Agent& agent, const Result<HttpReply>& answer) {
       const auto offer = agent.offer_in(answer);
       if (!offer) return agent.on_no_answer(offer.error(), answer);
       agent.stranger_answered_ = false;
       if (const auto taken = agent.take_ras(*offer); !taken)
         return agent.on_no_answer(taken.error());
       agent.send_message(message, Seconds::zero());
     });
}

Result<void> Trustpoint::Agent::take_ras(const Offer& offer) {
  if (!(offer.ca == *state_.ca)) {
    return fail(Errc::conflict,
                fmt::format("GetCACert brought another CA certificate than the one of trustpoint "
                            "{}, SHA-256 fingerprint {}, and it is not taken",
                            configuration_.name,
                            to_hex_groups(offer.ca.fingerprint(x509::Digest::sha256))));
  }
  if (offer.ras == state_.ras) return {};
  auto row = state_.row;
  row.ra_certificates = joined(offer.ras);
  UMBRA_CHECK(commit(std::move(row)));
  say_who_reads(offer.ras);
  return {};
}

void Trustpoint::Agent::look_at_pin() {
  contradicts_pin_ = !configuration_.selfsigned && contradicts(configuration_.fingerprint, state_);
  if (!contradicts_pin_) pin_complained_of_.clear();
}

bool Trustpoint::Agent::has_configured_fingerprint(const x509::Certificate& ca) const {
  const auto& pinned = configuration_.fingerprint;
  if (pinned.empty() || has_fingerprint(ca, pinned)) return true;
  // After a rollover it still is the first one's, where it is known how that led to this one. That
  // a database of old is left in peace vouches for nobody who is to be accepted now.
  return state_.ca && *state_.ca == ca && !contradicts(pinned, state_) &&
         !cannot_be_followed(pinned, state_);
}

void Trustpoint::Agent::say_if_pin_cannot_be_followed() {
  if (configuration_.selfsigned || !cannot_be_followed(configuration_.fingerprint, state_)) return;
  const std::string held = to_hex(state_.ca->fingerprint(x509::Digest::sha256));
  if (std::exchange(pin_not_followed_, configuration_.fingerprint + held) ==
      configuration_.fingerprint + held)
    return;
  log(Severity::notice, "FINGERPRINT",
      fmt::format(
          "The fingerprint configured for trustpoint {} is not that of the CA it has (SHA-256 {}), "
          "and the database is of a version that did not keep how it came to that one: the "
          "fingerprint is taken for an earlier CA's, which cannot be followed any more, and the CA "
          "that is held for accepted",
          configuration_.name, held));
}

void Trustpoint::Agent::say_if_pin_contradicts() {
  say_if_pin_cannot_be_followed();
  if (!contradicts_pin_) return;
  const std::string held = to_hex(state_.ca->fingerprint(x509::Digest::sha256));
  if (pin_complained_of_ == configuration_.fingerprint + held) return;
  pin_complained_of_ = configuration_.fingerprint + held;
  log(Severity::warning, "FINGERPRINT",
      fmt::format(
          "The fingerprint configured for trustpoint {} is another CA's than the one it has "
          "(SHA-256 {}): nothing is asked of that one and nothing of it installed until "
          "\"crypto pki authenticate {}\", or until the fingerprint is corrected",
          configuration_.name, held, configuration_.name));
}

Result<void> Trustpoint::Agent::trusted_ca(bool contradicts_pin) const {
  if (!contradicts_pin) return {};
  return fail(
      Errc::conflict,
      fmt::format("the configured fingerprint is another CA's than the one of trustpoint {}; "
                  "\"crypto pki authenticate {}\" asks for that one",
                  name_, name_));
}

void Trustpoint::Agent::forget_what_it_signed_itself() {
  const bool own = state_.ca && state_.identity && *state_.ca == *state_.identity;
  if (!own || configuration_.selfsigned || configuration_.enrollment_url.empty() ||
      configuration_.role != config::Role::device)
    return;
  auto row = state_.row;
  row.ca_certificate.clear();
  row.capabilities.clear();
  row.capabilities_known = false;
  auto facts = state_.facts();
  facts.phase = Phase::idle;
  facts.since.reset();
  facts.tries = 0;
  facts.failing = false;
  set_progress(row, facts);
  drop_attempt(row);
  if (const auto stored = commit(std::move(row)); !stored) return hold(stored.error());
  forget_call();
}

}  // namespace umbra::client
