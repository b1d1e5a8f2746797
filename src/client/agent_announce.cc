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
  if (withdrawing_) return;  // the same when that ends
  // What is not valid yet, as its CA's clock is ahead of ours, takes no valid one's place.
  const Time from = state_.identity->not_before();
  const bool early = published_ != certificates && now() < from;
  if (early != announce_from_.has_value()) {
    announce_from_ = early ? std::optional(from) : std::nullopt;
    publish_snapshot();
  }
  if (early) return;
  if (published_ != certificates) return publish_files();
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
      [weak = weak_from_this(), event, certificates, announcement,
       withdrawals = withdrawals_](const Result<void>& ran) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([event, certificates, announcement, withdrawals, ran](Agent& agent) {
          agent.on_hook_ended(event, certificates, announcement, withdrawals, ran);
        });
      });
}

void Trustpoint::Agent::on_hook_ended(const std::string& event, const std::string& certificates,
                                      const std::string& announcement, std::uint64_t withdrawals,
                                      const Result<void>& ran) {
  hook_runs_ = false;
  // Withdrawn meanwhile: whatever there is by now, nobody was told of anything before it.
  if (withdrawals != withdrawals_) return announce();
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
  const bool waited = announce_at_ || announce_from_ || (told && outdated_);
  announce_from_.reset();
  announce_at_.reset();
  announce_failed_.clear();
  if (told) outdated_.reset();
  if (waited) publish_snapshot();
}

}  // namespace umbra::client
