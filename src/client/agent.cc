#include "client/agent.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/announcement.h"
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
      snapshot_{state_, {}, false, {}, {}, {}, false, contradicts_pin_, {}, {}, {}} {}

void Trustpoint::Agent::post(std::function<void(Agent&)> task) {
  environment_.post([weak = weak_from_this(), task = std::move(task)] {
    if (const auto self = weak.lock(); self && !self->retired_) task(*self);
  });
}

void Trustpoint::Agent::retire(std::shared_ptr<void> until) {
  retired_ = true;
  go_on_after_files();
  leave_places(nullptr, std::move(until));
}

void Trustpoint::Agent::reconfigure(const config::Trustpoint& configuration,
                                    const std::string& fqdn, std::shared_ptr<void> until) {
  const std::string before = server_in_use();
  const std::string asked_before = asked_where();
  leave_places(&configuration, std::move(until));
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
  if (elsewhere) {
    exact_.clear();
    holds_ = 0;
    held_until_.reset();
    offer_.reset();
    come_again_.reset();
    forget_call();
    ++newest_capabilities_call_;
    asking_capabilities_ = false;
    stranger_answered_ = false;
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
  look_at_files_anew();
  run_due();
}

void Trustpoint::Agent::look_at_files_anew() {
  forget_published();
  publish_snapshot();
  if (started_ && environment_.clock.authoritative()) announce();
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

void Trustpoint::Agent::run_due() {
  forget_what_it_signed_itself();
  say_if_pin_contradicts();
  if (!clock_is_set()) return;
  forget_what_was_put_off_ahead();
  if (announce_at_ || announce_from_) announce();
  say_if_slow();
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
  for (const auto waits : {&publishing_, &withdrawing_}) {
    if (*waits) (*waits)->since = std::min((*waits)->since, now());
  }
  if (held) held_until_.reset();
  if (announcing) announce_at_ = now();
  if (held || announcing) publish_snapshot();
}

bool Trustpoint::Agent::take(const Event& event, const Arrival& arrival) {
  const auto facts = state_.facts(come_again_);
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
  announce();  // the files get on their way before the next request is made
  for (const auto action : step.actions) act(action, told);
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
  if (state_.key && !(next.key && next.key->public_key() == state_.key->public_key()))
    add_former_key(row, state_.key->public_key());
  row.held_since = next.row.held_since = to_text(held) + lineage_lines(row.held_since) +
                                         before_switch_line(row) +
                                         announcement_lines(row.held_since);
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

void Trustpoint::Agent::enroll_by_hand() {
  if (configuration_.selfsigned) return sign_for_itself();
  // Another CA, or one that has not told what it can do, since it was asked for.
  if (contradicts_pin_ || wants_capabilities(state_)) return;
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
