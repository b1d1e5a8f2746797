#include <fmt/format.h>

#include <algorithm>

#include "client/agent.h"
#include "client/announcement.h"

namespace umbra::client {
namespace {

constexpr std::uint32_t doublings_max = 6;  // about an hour between tries, with the usual period

/// In: what others find in one place. `worst`: of the places before.
void look_into(const Result<Bytes>& found, const std::function<Outdated(ByteView)>& look,
               Outdated& worst) {
  if (!found) return;
  const Outdated here =
      found->empty() ? Outdated{.known = true, .not_after = {}, .anothers = false} : look(*found);
  if (!here.known) return;
  const bool sooner = here.anothers == worst.anothers && here.not_after < worst.not_after;
  if (!worst.known || here.anothers > worst.anothers || sooner) worst = here;
}

Outdated outdated_by(const x509::Certificate& certificate, const State& state) {
  return {.known = true,
          .not_after = certificate.not_after(),
          .anothers = !is_of_trustpoint(state, certificate)};
}

}  // namespace

void Trustpoint::Agent::announce() {
  const std::string certificates = certificates_of(state_, configuration_);
  if (certificates.empty()) return announced();
  // What failed is not tried before its time, unless there is something new to tell.
  if (announce_at_ && now() < *announce_at_ && certificates == announce_failed_) return;
  if (published_ != certificates) {
    if (const auto published = publish_files(); !published) {
      outdated_ = outdated_files();
      return announce_later("STORAGE", published.error(), certificates);
    }
    published_ = certificates;
  }
  if (hook_runs_) return;  // it looks again when it ends
  const std::string event = event_between(state_.row.announced, certificates);
  if (configuration_.on_change_exec.empty() || event.empty()) {
    announce_tries_ = 0;
    return announced();
  }
  hook_runs_ = true;
  const std::string announcement = announcement_of(state_, configuration_);
  announced(false);
  environment_.outlet.run(
      {.trustpoint = configuration_.name,
       .command = configuration_.on_change_exec,
       .limit = configuration_.on_change_limit,
       .variables = variables_of(state_, configuration_, event)},
      [weak = weak_from_this(), event, certificates, announcement](const Result<void>& ran) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([event, certificates, announcement, ran](Agent& agent) {
          agent.on_hook_ended(event, certificates, announcement, ran);
        });
      });
}

void Trustpoint::Agent::on_hook_ended(const std::string& event, const std::string& certificates,
                                      const std::string& announcement, const Result<void>& ran) {
  hook_runs_ = false;
  if (certificates_of(state_, configuration_).empty()) return announced();  // gone meanwhile
  if (!ran) {
    // What they were told of last is what they may have read.
    const auto end = end_told(state_.row.announced);
    outdated_ = Outdated{.known = end.has_value(), .not_after = end, .anothers = false};
    announce_later("ON_CHANGE",
                   {ran.error().code, fmt::format("the command of \"on change exec\" for {} {}",
                                                  event, ran.error().detail)},
                   certificates);
    return announce();
  }
  auto row = state_.row;
  row.announced = announcement;
  if (const auto stored = environment_.store.commit(store::Batch{store::PutTrustpoint{row}});
      !stored) {
    return announce_later("ON_CHANGE", stored.error(), certificates);
  }
  state_.row.announced = announcement;
  announce_tries_ = 0;
  log(Severity::informational, "ON_CHANGE",
      fmt::format("Trustpoint {}: the command of \"on change exec\" has been run for {}",
                  configuration_.name, event),
      "UMBRA");
  announced();
  announce();
}

Result<void> Trustpoint::Agent::publish_files() {
  if (!configuration_.storage_pem.path.empty()) {
    UMBRA_TRY(auto files, pem_files(state_, configuration_.storage_pem.rollover_ca));
    const auto published =
        environment_.outlet.publish_pem(name_, configuration_.storage_pem, files);
    wipe_keys(files);
    UMBRA_CHECK(published);
  }
  if (configuration_.storage_pkcs12.path.empty()) return {};
  return publish_archive();
}

Result<void> Trustpoint::Agent::publish_archive() {
  const config::Storage& storage = configuration_.storage_pkcs12;
  auto row = state_.row;
  if (const auto found = environment_.outlet.read_pkcs12(storage); found && !found->empty()) {
    // Whoever wrote it died before he could say so, or was told that it failed.
    if (is_on_its_way(row, *found)) finish_archive(row, *found, nullptr);
    if (went_in_last(row, *found, storage) && is_active_archive(*found, state_, configuration_)) {
      archive_on_its_way_.clear();
      // Or another trustpoint, whose place a link has made it since, takes it for free.
      return environment_.outlet.hold_pkcs12(name_, storage);
    }
  }
  if (!is_active_archive(archive_on_its_way_, state_, configuration_)) {
    UMBRA_TRY(archive_on_its_way_, active_archive(state_, configuration_));
  }
  // Before it is there: a process that dies in between knows it again.
  begin_archive(row, archive_on_its_way_);
  if (row.held_since != state_.row.held_since) {
    UMBRA_CHECK(environment_.store.commit(store::Batch{store::PutTrustpoint{row}}));
    state_.row.held_since = row.held_since;
  }
  UMBRA_CHECK(environment_.outlet.publish_pkcs12(
      name_, storage, archive_on_its_way_,
      [this](ByteView content) { return is_ours(content) || is_a_neighbours(content); }));
  finish_archive(row, archive_on_its_way_, &storage);
  archive_on_its_way_.clear();
  state_.row.held_since = row.held_since;
  // It is in place, whatever becomes of this: the store knows it as the one on its way, and is told
  // with the next change.
  static_cast<void>(environment_.store.commit(store::Batch{store::PutTrustpoint{row}}));
  return {};
}

bool Trustpoint::Agent::is_ours(ByteView archive) const {
  if (knows_archive(state_.row, archive)) return true;
  // Or one of a version, or a database, that does not know what it has made.
  const auto opened = x509::from_pkcs12(archive, configuration_.pkcs12_password);
  if (!opened) return false;
  const auto& key = opened->key.public_key();
  return (state_.key && key == state_.key->public_key()) ||
         (state_.shadow_key && key == state_.shadow_key->public_key());
}

bool Trustpoint::Agent::is_a_neighbours(ByteView archive) const {
  if (!environment_.trustpoints) return false;
  for (const auto& neighbour : environment_.trustpoints()) {
    if (neighbour == name_) continue;
    const auto row = environment_.store.trustpoint(neighbour);
    if (row && *row && knows_archive(**row, archive)) return true;
  }
  return false;
}

Outdated Trustpoint::Agent::outdated_files() const {
  Outdated worst;
  if (!configuration_.storage_pem.path.empty()) {
    look_into(
        environment_.outlet.read_pem(configuration_.storage_pem),
        [this](ByteView text) {
          const auto one = x509::Certificate::from_pem(as_text(text));
          return one ? outdated_by(*one, state_) : Outdated();
        },
        worst);
  }
  if (!configuration_.storage_pkcs12.path.empty()) {
    look_into(
        environment_.outlet.read_pkcs12(configuration_.storage_pkcs12),
        [this](ByteView archive) {
          const auto opened = x509::from_pkcs12(archive, configuration_.pkcs12_password);
          if (opened) return outdated_by(opened->certificate, state_);
          // Under whatever password.
          const bool neighbours = is_a_neighbours(archive);
          return Outdated{.known = neighbours, .not_after = {}, .anothers = neighbours};
        },
        worst);
  }
  return worst;
}

Result<std::vector<std::string>> Trustpoint::Agent::withdraw_files() {
  forget_published();
  std::vector<std::string> staying;
  const auto stays = [&](const Error& error) {
    log(Severity::warning, "STORAGE",
        fmt::format("Trustpoint {}: {}", configuration_.name, error.detail), "UMBRA");
    staying.push_back(error.detail + "; nothing of it is removed");
  };
  const auto keep = [&](const config::Storage& storage, bool archive) {
    for (const auto& path : environment_.outlet.kept_keys(storage, archive)) {
      staying.push_back(path +
                        " is not umbrad's, may hold a key, and stays: it is yours to remove");
    }
  };
  if (const auto& pem = configuration_.storage_pem; !pem.path.empty()) {
    const auto withdrawn = environment_.outlet.withdraw_pem(name_, pem);
    if (!withdrawn && withdrawn.error().code != Errc::conflict)
      return tl::unexpected(withdrawn.error());
    if (!withdrawn) stays(withdrawn.error());
    keep(pem, false);
  }
  if (const auto& pkcs12 = configuration_.storage_pkcs12; !pkcs12.path.empty()) {
    const auto withdrawn = environment_.outlet.withdraw_pkcs12(
        name_, pkcs12, [this](ByteView content) { return is_ours(content); });
    if (!withdrawn && withdrawn.error().code != Errc::conflict)
      return tl::unexpected(withdrawn.error());
    if (!withdrawn) stays(withdrawn.error());
    keep(pkcs12, true);
  }
  return staying;
}

void Trustpoint::Agent::leave_places(const config::Trustpoint* next) const {
  for (const auto place : {&config::Trustpoint::storage_pem, &config::Trustpoint::storage_pkcs12}) {
    const config::Storage& storage = configuration_.*place;
    if (!storage.path.empty() && (!next || (next->*place).path != storage.path))
      environment_.outlet.leave(name_, storage);
  }
}

void Trustpoint::Agent::forget_published() {
  outdated_.reset();
  published_.clear();
  announce_at_.reset();
  announce_failed_.clear();
  announce_tries_ = 0;
}

void Trustpoint::Agent::announce_later(std::string_view mnemonic, const Error& error,
                                       const std::string& certificates) {
  announce_failed_ = certificates;
  announce_failed_at_ = now();
  announce_at_ =
      announce_failed_at_ +
      configuration_.retry_period * (std::int64_t{1} << std::min(announce_tries_++, doublings_max));
  log(Severity::error, mnemonic,
      fmt::format("Trustpoint {}: {}; next try at {}", configuration_.name, error.detail,
                  to_rfc3339(*announce_at_)),
      "UMBRA");
  publish_snapshot();
}

void Trustpoint::Agent::announced(bool told) {
  const bool waited = announce_at_ || (told && outdated_);
  announce_at_.reset();
  announce_failed_.clear();
  if (told) outdated_.reset();
  if (waited) publish_snapshot();
}

}  // namespace umbra::client
