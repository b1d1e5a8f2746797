#include "client/agent.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/before_switch.h"
#include "client/lineage.h"
#include "config/rules.h"

namespace umbra::client {
namespace {

using lifecycle::Phase;
using lifecycle::RequestKind;
using lifecycle::Timer;
using EventKind = lifecycle::TrustpointEventKind;

// More steps than a trustpoint can ever owe at one instant: promote, enrol, and one to spare.
constexpr int steps_at_once_max = 8;
constexpr std::uint32_t hold_doublings_max = 10;
constexpr Seconds hold_max = std::chrono::hours{1};  // no retry period is longer

bool same_progress(const lifecycle::TrustpointFacts& a, const lifecycle::TrustpointFacts& b) {
  return a.phase == b.phase && a.kind == b.kind && a.since == b.since && a.tries == b.tries &&
         a.failing == b.failing && a.come_again == b.come_again;
}

lifecycle::TrustpointFacts facts_of(const State& state, std::optional<Time> come_again) {
  auto facts = state.facts();
  facts.come_again = come_again;
  return facts;
}

}  // namespace

Trustpoint::Agent::Agent(config::Trustpoint configuration, Environment environment, State state)
    : name_(configuration.name),
      environment_(std::move(environment)),
      configuration_(std::move(configuration)),
      device_{environment_.fqdn, environment_.board_serial},
      settings_(config::trustpoint_settings(configuration_)),
      state_(std::move(state)),
      server_(state_.row.enrollment_url),
      contradicts_pin_(!configuration_.selfsigned &&
                       contradicts(configuration_.fingerprint, state_)),
      snapshot_{state_, {}, false, {}, {}, {}, false, contradicts_pin_} {}

void Trustpoint::Agent::post(std::function<void(Agent&)> task) {
  environment_.post([weak = weak_from_this(), task = std::move(task)] {
    if (const auto self = weak.lock(); self && !self->retired_) task(*self);
  });
}

void Trustpoint::Agent::reconfigure(const config::Trustpoint& configuration,
                                    const std::string& fqdn) {
  const std::string before = server_in_use();
  const std::string asked_before = asked_where();
  {
    const std::lock_guard lock(mutex_);
    configuration_ = configuration;
    device_.fqdn = fqdn;
    settings_ = config::trustpoint_settings(configuration_);
  }
  const bool elsewhere = server_in_use() != before;
  const bool contradicted = contradicts_pin_;
  look_at_pin();
  if (contradicts_pin_ && !contradicted) forget_call();
  if (contradicted && !contradicts_pin_) {
    log(Severity::notice, "FINGERPRINT",
        fmt::format(
            "Trustpoint {}: the configured fingerprint is no other CA's any more; it goes on",
            configuration_.name),
        "UMBRA");
    started_ = false;  // what was under way, and whose answer was dropped, is sent again
  }
  // Files and command are looked at anew, as after a start.
  forget_published();
  if (elsewhere) {
    exact_.clear();
    holds_ = 0;
    held_until_.reset();
    offer_.reset();
    come_again_.reset();
    forget_call();
    started_ = false;  // what is under way is sent again, to the new address
  }
  if (!state_.ca && asked_where() != asked_before) {
    // How often the wrong CA, or the wrong place, was tried says nothing of this one.
    auto row = state_.row;
    auto facts = state_.facts();
    facts.since.reset();
    facts.tries = 0;
    set_progress(row, facts);
    if (const auto stored = commit(std::move(row)); !stored) hold(stored.error());
  }
  publish_snapshot();
  if (started_ && environment_.clock.authoritative()) announce();
  run_due();
}

bool Trustpoint::Agent::clock_is_set() {
  if (environment_.clock.authoritative()) {
    if (clock_complained_)
      log(Severity::informational, "AUTHORITATIVE_CLOCK", "The system clock has been set.");
    clock_complained_ = false;
    return true;
  }
  if (!clock_complained_) {
    log(Severity::critical, "NON_AUTHORITATIVE_CLOCK",
        "PKI timers have not been initialized due to non-authoritative system clock. Ensure system "
        "clock is configured/updated.");
  }
  clock_complained_ = true;
  return false;
}

bool Trustpoint::Agent::wants_capabilities(const State& state) const {
  return state.ca && !state.row.capabilities_known && !configuration_.enrollment_url.empty();
}

void Trustpoint::Agent::look_at_pin() {
  contradicts_pin_ = !configuration_.selfsigned && contradicts(configuration_.fingerprint, state_);
  if (!contradicts_pin_) pin_complained_of_.clear();
}

bool Trustpoint::Agent::has_configured_fingerprint(const x509::Certificate& ca) const {
  const auto& pinned = configuration_.fingerprint;
  if (pinned.empty() || has_fingerprint(ca, pinned)) return true;
  // After a rollover it still is the first one's. What a database of old holds counts as accepted.
  return state_.ca && *state_.ca == ca && !contradicts(pinned, state_);
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

void Trustpoint::Agent::run_due() {
  forget_what_it_signed_itself();
  say_if_pin_contradicts();
  if (!clock_is_set()) return;
  forget_what_was_put_off_ahead();
  if (announce_at_) announce();
  if (contradicts_pin_) {
    if (!started_) announce();  // what it has, it has
    return;
  }
  switch_back_if_too_early();
  switch_over_if_due();
  if (held_until_ && now() < *held_until_) return;
  if (!started_) {
    started_ = true;
    announce();
    take({EventKind::restarted, {}});
  }
  if (wants_capabilities(state_)) {
    if (!asking_capabilities_) fetch_capabilities([](const Result<void>&) {}, spread());
    return;
  }
  for (int i = 0; i < steps_at_once_max; ++i) {
    if (!take({EventKind::deadline, {}})) break;
  }
}

void Trustpoint::Agent::switch_over_if_due() {
  if (!state_.rollover_ca || !state_.ca || now() < state_.ca->not_after()) return;
  if (switch_failed_ && held_until_ && now() < *held_until_) return;
  switch_failed_ = true;  // until it is stored
  take({EventKind::deadline, {}});
}

void Trustpoint::Agent::switch_back_if_too_early() {
  if (!state_.ca || now() >= state_.ca->not_before()) return;
  if (held_until_ && now() < *held_until_) return;
  auto row = before_switch(state_.row, now());
  if (!row) return;
  auto facts = state_.facts();
  facts.phase = Phase::idle;
  facts.since.reset();
  facts.tries = 0;
  facts.failing = false;
  set_progress(*row, facts);
  if (const auto stored = commit(*std::move(row)); !stored) return hold(stored.error());
  forget_call();
  come_again_.reset();
  log(Severity::notice, "SWITCH_BACK",
      fmt::format("The clock was ahead when trustpoint {} switched to the next CA, whose "
                  "certificates are not valid yet: those of before are active again, until {}",
                  configuration_.name, to_rfc3339(state_.ca->not_after())),
      "UMBRA");
  announce();
}

void Trustpoint::Agent::forget_what_was_put_off_ahead() {
  const bool held = held_until_ && now() < held_at_;
  const bool announcing = announce_at_ && now() < announce_failed_at_;
  if (held) held_until_.reset();
  if (announcing) announce_at_ = now();
  if (held || announcing) publish_snapshot();
}

bool Trustpoint::Agent::take(const Event& event, const Arrival& arrival) {
  const auto facts = facts_of(state_, come_again_);
  const auto step = lifecycle::step(settings_, facts, event, now());
  if (step.actions.empty() && same_progress(facts, step.next)) return false;

  auto row = state_.row;
  set_progress(row, step.next);
  note(row, event, arrival);
  const bool dropped =
      event.kind == EventKind::deadline && waiting(facts.phase) && step.next.phase == Phase::idle;
  if (dropped && step.actions.empty()) {
    // The certificate it was to replace has not ended after all: what was asked for is not awaited.
    drop_attempt(row);
    row.last_status = "Granted";
  }
  auto stored = Result<void>{};
  for (const auto action : step.actions) {
    stored = prepare(row, action, step.next.kind, arrival);
    if (!stored) break;
  }
  const auto before = std::exchange(come_again_, step.next.come_again);
  if (stored) stored = commit(std::move(row));
  if (!stored) {
    come_again_ = before;
    // What came is lost; what was asked is asked again.
    if (facts.phase == Phase::requesting || facts.phase == Phase::fetching_next_ca)
      state_.row.failing = true;
    hold(stored.error());
    return false;
  }
  const auto phase = step.next.phase;
  if (phase == Phase::idle || phase == Phase::stopped) forget_call();
  if (facts.phase == Phase::stopped && event.kind == EventKind::deadline && phase == Phase::idle) {
    log(Severity::notice, "CLOCK_WAS_AHEAD",
        fmt::format("Trustpoint {} was stopped at {}, when the clock was ahead of what it is now: "
                    "its timers run again",
                    configuration_.name, to_rfc3339(*facts.since)),
        "UMBRA");
  }
  auto told = arrival;
  if (facts.phase == Phase::polling) told.polls = facts.tries;
  for (const auto action : step.actions) act(action, told);
  announce();
  return true;
}

void Trustpoint::Agent::note(store::TrustpointRow& row, const Event& event,
                             const Arrival& arrival) const {
  const auto phase = static_cast<Phase>(state_.row.phase);
  switch (event.kind) {
    case EventKind::next_ca_received:
      if (phase == Phase::fetching_next_ca && arrival.certificate) {
        row.previous_ca_certificate.clear();
        row.rollover_ca_certificate = to_bytes(arrival.certificate->der());
        row.rollover_ra_certificates = joined(arrival.ras);
      }
      break;
    case EventKind::pending:
      if (waiting(phase)) row.last_status = "Pending";
      break;
    case EventKind::forgotten:
      // A server asks again; for a device it is a no like any other.
      if (settings_.is_ca || settings_.is_ra) break;
      [[fallthrough]];
    case EventKind::rejected:
      if (!waiting(phase)) break;
      row.last_status = "Rejected";
      drop_attempt(row);
      break;
    case EventKind::deadline:
    case EventKind::restarted:
    case EventKind::enroll:
    case EventKind::ca_accepted:
    case EventKind::granted:
    case EventKind::no_answer:
      break;
  }
}

Result<void> Trustpoint::Agent::prepare(store::TrustpointRow& row, Action action, RequestKind kind,
                                        const Arrival& arrival) const {
  const bool for_shadow_key =
      state_.shadow_key && state_.request_key() && state_.request_key() == &*state_.shadow_key;
  switch (action) {
    case Action::begin_request:
      return ask_for(row, kind);
    case Action::install_identity:
      row.identity = to_bytes(arrival.certificate->der());
      row.previous_ca_certificate.clear();
      if (for_shadow_key) {
        row.sealed_key = std::move(row.sealed_shadow_key);
        row.sealed_shadow_key.clear();
      }
      drop_attempt(row);
      row.last_status = "Granted";
      return {};
    case Action::store_rollover_identity:
      row.rollover_identity = to_bytes(arrival.certificate->der());
      if (!for_shadow_key) row.sealed_shadow_key.clear();
      clear_request(row);
      row.last_status = "Granted";
      return {};
    case Action::promote:
      promote(row);
      if (state_.ca && state_.rollover_ca) {
        // One of before lineages were kept, with the very CA that is configured.
        if (has_fingerprint(*state_.ca, configuration_.fingerprint)) begin_lineage(row, *state_.ca);
        follow_lineage(row, *state_.ca, *state_.rollover_ca);
      }
      if (configuration_.role == config::Role::device) keep_before_switch(row, state_.row);
      return {};
    case Action::give_up:
      drop_attempt(row);
      return {};
    case Action::fetch_ca:
    case Action::fetch_next_ca:
    case Action::send_request:
    case Action::send_poll:
      return {};
  }
  return {};
}

void Trustpoint::Agent::act(Action action, const Arrival& arrival) {
  const std::string& name = configuration_.name;
  switch (action) {
    case Action::fetch_ca:
      return configuration_.selfsigned ? sign_for_itself() : fetch_and_accept_pinned();
    case Action::fetch_next_ca:
      return fetch_next_ca();
    case Action::begin_request:
      if (arrival.by_hand) {
        log(Severity::informational, "CERT_ENROLL_MANUAL",
            "Manual enrollment for trustpoint " + name);
      } else if (state_.kind() == RequestKind::initial) {
        log(Severity::informational, "CERT_ENROLL_AUTO",
            "Auto initial enrollment for trustpoint " + name);
      } else {
        log(Severity::informational, "CERTRENEWAUTO",
            fmt::format("Renewing the {} certificate for trustpoint {}",
                        settings_.is_ca   ? "subordinate CA"
                        : settings_.is_ra ? "RA"
                                          : "router",
                        name));
      }
      for (const auto& [digest, word] : {std::pair{x509::Digest::md5, "MD5"},
                                         {x509::Digest::sha1, "SHA1"},
                                         {x509::Digest::sha256, "SHA2"}}) {
        debug(fmt::format(" Certificate Request Fingerprint {} :{}", word,
                          to_hex_groups(state_.request->fingerprint(digest))));
      }
      return exchange(Message::request, arrival.by_hand ? Seconds::zero() : spread());
    case Action::send_request:
      return exchange(Message::request, spread());
    case Action::send_poll:
      log(Severity::error, "POLLROUTERCERT", "Polling Router certificate .....");
      return exchange(Message::poll, spread_of_poll());
    case Action::install_identity: {
      log(Severity::informational, "CERTRET", "Certificate received from Certificate Authority");
      held_at_ = now();
      held_until_ = lifecycle::rest_after_install(settings_, state_.facts(), held_at_);
      if (held_until_) publish_snapshot();
      return;
    }
    case Action::store_rollover_identity:
      log(Severity::informational, "CERTRET", "Certificate received from Certificate Authority");
      log(Severity::informational, "SHADOW_CERT",
          fmt::format("Rollover certificate {} of trustpoint {} takes over at {}",
                      state_.rollover_identity->serial().to_hex_octets(), name,
                      to_rfc3339(state_.ca->not_after())),
          "UMBRA");
      return;
    case Action::promote:
      log(Severity::informational, "SWITCH_OVER",
          fmt::format("Rollover CA certificate {} of trustpoint {} is active now",
                      state_.ca->serial().to_hex_octets(), name),
          "UMBRA");
      return;
    case Action::give_up:
      if (arrival.polls > 0) {
        log(Severity::error, "POLLRETRYERR",
            fmt::format("Polling CA server failed after {} attempts", arrival.polls));
      }
      log(Severity::error, "AUTOCERTERR", "Auto Certificate reenrollment failed. Cannot retry.");
      return wants_a_person();
  }
}

void Trustpoint::Agent::wants_a_person() const {
  if (!state_.identity) return;
  log(Severity::informational, "CERTRENEWMANUAL",
      "Please perform a manual re-enrollment for identity " + configuration_.name);
}

Result<void> Trustpoint::Agent::commit(store::TrustpointRow row) {
  const auto added = [&](const Bytes& before, const Bytes& after, const char* suffix) {
    if (!after.empty() && before.empty()) {
      log(Severity::notice, "KEY_ADDITION",
          "A key named " + label_of(configuration_, device_) + suffix +
              " has been generated or imported by crypto-engine",
          "CRYPTO_ENGINE");
    }
  };
  row.enrollment_url = configuration_.more_urls.empty() ? std::string() : server_in_use();
  UMBRA_TRY(auto next, State::read(row, environment_.key_passphrase, &state_));
  HeldSince held = held_now(read_held_since(state_.row.held_since), next, now());
  store::Batch batch;
  if (state_.row.sealed_key.empty() && !row.sealed_key.empty()) {
    // A key of `crypto key generate` is this trustpoint's now.
    UMBRA_TRY(const auto waiting_keys, environment_.store.key_pairs());
    for (const auto& one : waiting_keys) {
      if (one.sealed_key != row.sealed_key) continue;
      batch.push_back(store::DropKeyPair{one.label});
      if (next.key)
        held[x509::hash(x509::Digest::sha256, next.key->public_key().spki())] = one.created_at;
    }
  }
  // One of before lineages were kept has the very CA that is configured.
  if (next.ca && has_fingerprint(*next.ca, configuration_.fingerprint))
    begin_lineage(row, *next.ca);
  row.held_since = next.row.held_since =
      to_text(held) + lineage_lines(row.held_since) + before_switch_line(row);
  batch.push_back(store::PutTrustpoint{std::move(row)});
  UMBRA_CHECK(environment_.store.commit(std::move(batch)));
  std::swap(state_, next);
  holds_ = 0;
  held_until_.reset();
  switch_failed_ = false;
  look_at_pin();
  publish_snapshot();
  added(next.row.sealed_key, state_.row.sealed_key, "");
  added(next.row.sealed_shadow_key, state_.row.sealed_shadow_key, "#");
  return {};
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
  // That it is the CA that is held says nothing of how that one came.
  const bool held = state_.ca && *state_.ca == ca;
  if (!held || !cannot_be_followed(configuration_.fingerprint, state_)) begin_lineage(row, ca);
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

void Trustpoint::Agent::enroll_by_hand() {
  if (configuration_.selfsigned) return sign_for_itself();
  if (contradicts_pin_) return;  // since it was asked for
  take({EventKind::enroll, {}}, {.certificate = {}, .by_hand = true});
}

void Trustpoint::Agent::hold(const Error& error) {
  // Whatever it is, a disk that is full or a CA that is out of order, may be put right any time.
  const Seconds wait =
      configuration_.retry_period * (std::int64_t{1} << std::min(holds_++, hold_doublings_max));
  hold_until(now() + std::min(wait, hold_max), error);
}

void Trustpoint::Agent::hold_until(Time at, const Error& error) {
  held_at_ = now();
  held_until_ = at;
  log(Severity::error, "TRUSTPOINT",
      fmt::format("Trustpoint {}: {}; next try at {}", configuration_.name, error.detail,
                  to_rfc3339(*held_until_)),
      "UMBRA");
  publish_snapshot();
}

void Trustpoint::Agent::publish_snapshot() {
  {
    const std::lock_guard lock(mutex_);
    snapshot_ = {state_,     held_until_, asking_capabilities_, announce_at_,
                 shown_crl_, come_again_, switch_failed_,       contradicts_pin_};
  }
  if (environment_.changed) environment_.changed();
}

std::vector<lifecycle::Deadline> Trustpoint::Agent::deadlines_of(const Snapshot& snapshot) const {
  if (!environment_.clock.authoritative()) return {};
  if (snapshot.contradicts_pin) {
    if (!snapshot.announce_at) return {};
    return {{*snapshot.announce_at, Timer::announce, configuration_.name}};
  }
  auto all = lifecycle::deadlines(settings_, facts_of(snapshot.state, snapshot.come_again),
                                  configuration_.name);
  if (wants_capabilities(snapshot.state)) {
    std::erase_if(all, [](const auto& deadline) { return deadline.timer != Timer::switch_over; });
    if (!snapshot.asking_capabilities)
      all.push_back(
          {snapshot.held_until.value_or(Time{}), Timer::connect_retry, configuration_.name});
  }
  for (auto& deadline : all) {
    const bool held = deadline.timer != Timer::switch_over || snapshot.switch_failed;
    if (held && snapshot.held_until) deadline.at = std::max(deadline.at, *snapshot.held_until);
  }
  if (snapshot.announce_at)
    all.push_back({*snapshot.announce_at, Timer::announce, configuration_.name});
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<lifecycle::Deadline> Trustpoint::Agent::deadlines() const {
  const std::lock_guard lock(mutex_);
  return deadlines_of(snapshot_);
}

bool Trustpoint::Agent::contradicts_pin() const {
  const std::lock_guard lock(mutex_);
  return snapshot_.contradicts_pin;
}

Status Trustpoint::Agent::status() const {
  const std::lock_guard lock(mutex_);
  const State& state = snapshot_.state;
  Status status;
  status.name = configuration_.name;
  status.role = configuration_.role;
  status.ca = state.ca;
  status.identity = state.identity;
  status.rollover_ca = state.rollover_ca;
  status.rollover_identity = state.rollover_identity;
  status.pending = state.request;
  status.fqdn = fqdn_of(configuration_, device_);
  status.keys_generated = state.key.has_value();
  status.exportable = state.row.exportable;
  status.by_hand = configuration_.terminal;
  status.ca_by_hand = configuration_.authenticate_by_hand ||
                      (configuration_.terminal && configuration_.authentication_url.empty());
  constexpr std::size_t md5_digits = 32;
  status.pinned = !configuration_.fingerprint.empty();
  status.pinned_by_md5 = configuration_.fingerprint.size() == md5_digits;
  status.contradicts_pin = snapshot_.contradicts_pin;
  status.ca_tells_next = state.capabilities.get_next_ca_cert;
  const auto phase = static_cast<Phase>(state.row.phase);
  status.awaits_next_ca = phase == Phase::fetching_next_ca;
  status.asking = (phase == Phase::requesting || status.awaits_next_ca) && !state.row.failing;
  status.key_label = label_of(configuration_, device_);
  status.last_enrollment_status = state.row.last_status;
  if (const auto urls = urls_of(configuration_); !urls.empty()) {
    status.enrollment_url = scep::request_url(urls[place_of(state.row.enrollment_url, urls)]);
    const std::string_view program = "/pkiclient.exe";
    if (status.enrollment_url.ends_with(program))
      status.enrollment_url.resize(status.enrollment_url.size() - program.size());
  }
  status.deadlines = deadlines_of(snapshot_);
  status.crl = snapshot_.crl;
  status.auto_enroll = settings_.auto_enroll.has_value();
  if (settings_.auto_enroll && state.identity) {
    for (const auto& deadline : status.deadlines) {
      if (deadline.timer == Timer::renew || deadline.timer == Timer::shadow)
        status.renew_at = deadline.at;
    }
  }
  status.held_since = read_held_since(state.row.held_since);
  const auto add_key = [&](const std::optional<x509::PrivateKey>& key, const char* suffix) {
    if (!key) return;
    const auto since =
        status.held_since.find(x509::hash(x509::Digest::sha256, key->public_key().spki()));
    status.keys.push_back(
        {status.key_label + suffix, key->public_key(),
         since == status.held_since.end() ? std::nullopt : std::optional<Time>(since->second),
         state.row.exportable});
  };
  add_key(state.key, "");
  add_key(state.shadow_key, "#");
  return status;
}

Result<void> Trustpoint::Agent::may_enroll() const {
  const std::lock_guard lock(mutex_);
  const State& state = snapshot_.state;
  if (configuration_.selfsigned) {
    if (environment_.clock.authoritative()) return {};
    return fail(Errc::conflict, "the clock is not authoritative");
  }
  if (configuration_.enrollment_url.empty())
    return fail(Errc::conflict, "no enrollment url is configured");
  if (!state.ca) return fail(Errc::conflict, "the CA is not authenticated");
  UMBRA_CHECK(trusted_ca(snapshot_.contradicts_pin));
  if (!state.row.capabilities_known)
    return fail(Errc::conflict, "the CA has not told its capabilities yet");
  if (!environment_.clock.authoritative())
    return fail(Errc::conflict, "the clock is not authoritative");
  if (waiting(static_cast<Phase>(state.row.phase)))
    return fail(Errc::conflict, "an enrollment request is under way");
  return {};
}

void Trustpoint::Agent::log(Severity severity, std::string_view mnemonic, std::string text,
                            std::string_view facility) const {
  environment_.log.event({severity, mnemonic, std::move(text), facility});
}

void Trustpoint::Agent::debug(std::string_view text) const {
  environment_.log.debug("CRYPTO_PKI", text);
}

void Trustpoint::Agent::debug_scep(std::string_view text) const {
  environment_.log.debug("CRYPTO_PKI_SCEP", text);
}

void Trustpoint::Agent::debug_message(std::string_view text) const {
  environment_.log.debug("CRYPTO_PKI/messages", text);
}

}  // namespace umbra::client
