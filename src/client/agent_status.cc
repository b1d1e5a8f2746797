#include <fmt/format.h>

#include <algorithm>

#include "client/agent.h"

/// What others see of a trustpoint, from any thread: a copy that the strand has left.
namespace umbra::client {
namespace {

using lifecycle::Phase;
using lifecycle::Timer;

}  // namespace

void Trustpoint::Agent::publish_snapshot() {
  {
    const std::lock_guard lock(mutex_);
    snapshot_ = {state_,     held_until_, asking_capabilities_, next_try(),
                 shown_crl_, come_again_, switch_failed_,       contradicts_pin_,
                 outdated_,  slow_at(),   announce_from_};
  }
  if (environment_.changed) environment_.changed();
}

std::vector<lifecycle::Deadline> Trustpoint::Agent::deadlines_of(const Snapshot& snapshot) const {
  if (!environment_.clock.authoritative()) return {};
  std::vector<lifecycle::Deadline> of_files;
  for (const auto& at : {snapshot.announce_at, snapshot.announce_from, snapshot.slow_at}) {
    if (at) of_files.push_back({*at, Timer::announce, configuration_.name});
  }
  if (snapshot.contradicts_pin) {
    std::sort(of_files.begin(), of_files.end());
    return of_files;
  }
  auto all = lifecycle::deadlines(settings_, snapshot.state.facts(snapshot.come_again),
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
  all.insert(all.end(), of_files.begin(), of_files.end());
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

IsOurs Trustpoint::Agent::made() const {
  const std::lock_guard lock(mutex_);
  return is_ours(std::make_shared<const State>(snapshot_.state), configuration_);
}

std::optional<Credential> Trustpoint::Agent::credential() const {
  const std::lock_guard lock(mutex_);
  const State& state = snapshot_.state;
  if (!state.identity || !state.key) return std::nullopt;
  return Credential{*state.identity, *state.key};
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
  status.outdated = snapshot_.outdated;
  status.announced_again_at = snapshot_.announce_at;
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

}  // namespace umbra::client
