#include "client/trustpoint.h"

#include "client/agent.h"

namespace umbra::client {

Trustpoint::Trustpoint(std::shared_ptr<Agent> agent) : agent_(std::move(agent)) {}
Trustpoint::~Trustpoint() = default;

Result<std::shared_ptr<Trustpoint>> Trustpoint::open(const config::Trustpoint& configuration,
                                                     Environment environment) {
  UMBRA_TRY(auto stored, environment.store.trustpoint(configuration.name));
  store::TrustpointRow row;
  row.name = configuration.name;
  if (stored) row = *std::move(stored);
  UMBRA_TRY(auto state, State::read(std::move(row), environment.key_passphrase));
  auto agent = std::make_shared<Agent>(configuration, std::move(environment), std::move(state));
  return std::shared_ptr<Trustpoint>(new Trustpoint(std::move(agent)));
}

void Trustpoint::run_due() {
  agent_->post([](Agent& agent) { agent.run_due(); });
}

std::vector<lifecycle::Deadline> Trustpoint::deadlines() const { return agent_->deadlines(); }

Status Trustpoint::status() const { return agent_->status(); }

void Trustpoint::fetch_ca(std::function<void(Result<x509::Certificate>)> done) {
  agent_->post([done = std::move(done)](Agent& agent) { agent.fetch_ca(done); });
}

void Trustpoint::accept_ca(const x509::Certificate& certificate,
                           std::function<void(Result<void>)> done) {
  agent_->post(
      [certificate, done = std::move(done)](Agent& agent) { agent.accept_ca(certificate, done); });
}

Result<void> Trustpoint::enroll() {
  UMBRA_CHECK(agent_->may_enroll());
  agent_->post([](Agent& agent) { agent.enroll_by_hand(); });
  return {};
}

}  // namespace umbra::client
