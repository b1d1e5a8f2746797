#include <fmt/format.h>

#include <algorithm>

#include "client/agent.h"
#include "client/announcement.h"

namespace umbra::client {
namespace {

constexpr std::uint32_t doublings_max = 6;  // about an hour between tries, with the usual period

}  // namespace

void Trustpoint::Agent::announce() {
  const std::string certificates = certificates_of(state_, configuration_);
  if (certificates.empty()) return announced();
  // What failed is not tried before its time, unless there is something new to tell.
  if (announce_at_ && now() < *announce_at_ && certificates == announce_failed_) return;
  if (published_ != certificates) {
    if (const auto published = publish_files(); !published)
      return announce_later("STORAGE", published.error(), certificates);
    published_ = certificates;
  }
  if (hook_runs_) return;  // it looks again when it ends
  const std::string event = event_between(state_.row.announced, certificates);
  if (configuration_.on_change_exec.empty() || event.empty()) {
    announce_tries_ = 0;
    return announced();
  }
  hook_runs_ = true;
  announced();
  environment_.outlet.run({.trustpoint = configuration_.name,
                           .command = configuration_.on_change_exec,
                           .limit = configuration_.on_change_limit,
                           .variables = variables_of(state_, configuration_, event)},
                          [weak = weak_from_this(), event, certificates](const Result<void>& ran) {
                            const auto self = weak.lock();
                            if (!self) return;
                            self->post([event, certificates, ran](Agent& agent) {
                              agent.on_hook_ended(event, certificates, ran);
                            });
                          });
}

void Trustpoint::Agent::on_hook_ended(const std::string& event, const std::string& certificates,
                                      const Result<void>& ran) {
  hook_runs_ = false;
  if (certificates_of(state_, configuration_).empty()) return announced();  // gone meanwhile
  if (!ran) {
    announce_later("ON_CHANGE",
                   {ran.error().code, fmt::format("the command of \"on change exec\" for {} {}",
                                                  event, ran.error().detail)},
                   certificates);
    return announce();
  }
  auto row = state_.row;
  row.announced = certificates;
  if (const auto stored = environment_.store.commit(store::Batch{store::PutTrustpoint{row}});
      !stored) {
    return announce_later("ON_CHANGE", stored.error(), certificates);
  }
  state_.row.announced = certificates;
  announce_tries_ = 0;
  log(Severity::informational, "ON_CHANGE",
      fmt::format("Trustpoint {}: the command of \"on change exec\" has been run for {}",
                  configuration_.name, event),
      "UMBRA");
  announced();
  announce();
}

Result<void> Trustpoint::Agent::publish_files() const {
  if (!configuration_.storage_pem.path.empty()) {
    UMBRA_TRY(auto files, pem_files(state_, configuration_.storage_pem.rollover_ca));
    const auto published = environment_.outlet.publish_pem(configuration_.storage_pem, files);
    wipe_keys(files);
    UMBRA_CHECK(published);
  }
  if (!configuration_.storage_pkcs12.path.empty()) {
    UMBRA_TRY(const Bytes archive, active_archive(state_, configuration_));
    UMBRA_CHECK(environment_.outlet.publish_pkcs12(configuration_.storage_pkcs12, archive));
  }
  return {};
}

Result<void> Trustpoint::Agent::withdraw_files() {
  forget_published();
  if (!configuration_.storage_pem.path.empty())
    UMBRA_CHECK(environment_.outlet.withdraw_pem(configuration_.storage_pem));
  if (configuration_.storage_pkcs12.path.empty()) return {};
  const auto ours = [this](ByteView content) {
    const auto archive = x509::from_pkcs12(content, configuration_.pkcs12_password);
    if (!archive) return false;
    // One that could not be replaced in its time has a key of before.
    return (state_.key && archive->key.public_key() == state_.key->public_key()) ||
           (state_.ca && archive->certificate.verify_signed_by(state_.ca->public_key()));
  };
  const auto withdrawn = environment_.outlet.withdraw_pkcs12(configuration_.storage_pkcs12, ours);
  if (!withdrawn && withdrawn.error().code != Errc::conflict) return withdrawn;
  if (!withdrawn) {
    log(Severity::warning, "STORAGE",
        fmt::format("Trustpoint {}: {}", configuration_.name, withdrawn.error().detail), "UMBRA");
  }
  return {};
}

void Trustpoint::Agent::forget_published() {
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

void Trustpoint::Agent::announced() {
  const bool waited = announce_at_.has_value();
  announce_at_.reset();
  announce_failed_.clear();
  if (waited) publish_snapshot();
}

}  // namespace umbra::client
