#include "client/trustpoint.h"

#include <tuple>
#include <utility>

#include "client/agent.h"

namespace umbra::client {
namespace {

Error ended() {
  return {Errc::conflict, "the trustpoint was taken out of the configuration meanwhile"};
}

/// Calls `done` once: with what it is called with, or with `otherwise` when nobody is left who
/// could call it.
template <class... T>
class Answer {
 public:
  Answer(std::function<void(T...)> done, T... otherwise)
      : done_(std::move(done)), otherwise_(std::move(otherwise)...) {}
  ~Answer() {
    if (done_) std::apply(done_, std::move(otherwise_));
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  void operator()(T... value) {
    if (const auto done = std::exchange(done_, nullptr)) done(std::move(value)...);
  }

 private:
  std::function<void(T...)> done_;
  std::tuple<T...> otherwise_;
};

template <class... T>
std::shared_ptr<Answer<T...>> answered_anyway(std::function<void(T...)> done, T... otherwise) {
  return std::make_shared<Answer<T...>>(std::move(done), std::move(otherwise)...);
}

}  // namespace

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

const std::string& Trustpoint::name() const { return agent_->name(); }

bool Trustpoint::contradicts_pin() const { return agent_->contradicts_pin(); }

IsOurs Trustpoint::made() const { return agent_->made(); }

std::optional<Credential> Trustpoint::credential() const { return agent_->credential(); }

void Trustpoint::reconfigure(config::Trustpoint configuration, std::string fqdn,
                             std::function<void()> done) {
  // Answered when the last one who holds it lets it go.
  const auto answer = answered_anyway<>(std::move(done));
  agent_->post([configuration = std::move(configuration), fqdn = std::move(fqdn),
                answer](Agent& agent) { agent.reconfigure(configuration, fqdn, answer); });
}

void Trustpoint::retire(std::function<void()> done) {
  const auto answer = answered_anyway<>(std::move(done));
  agent_->post([answer](Agent& agent) { agent.retire(answer); });
}

void Trustpoint::look_at_files() {
  agent_->post([](Agent& agent) { agent.look_at_files_anew(); });
}

void Trustpoint::fetch_ca(std::function<void(Result<x509::Certificate>)> done) {
  const auto answer =
      answered_anyway<Result<x509::Certificate>>(std::move(done), tl::unexpected(ended()));
  agent_->post([answer](Agent& agent) {
    agent.fetch_ca([answer](Result<x509::Certificate> ca) { (*answer)(std::move(ca)); });
  });
}

void Trustpoint::accept_ca(const x509::Certificate& certificate,
                           std::function<void(Result<void>)> done) {
  const auto answer = answered_anyway<Result<void>>(std::move(done), tl::unexpected(ended()));
  agent_->post([certificate, answer](Agent& agent) {
    agent.accept_ca(certificate,
                    [answer](Result<void> accepted) { (*answer)(std::move(accepted)); });
  });
}

Result<void> Trustpoint::enroll() {
  UMBRA_CHECK(agent_->may_enroll());
  agent_->post([](Agent& agent) { agent.enroll_by_hand(); });
  return {};
}

void Trustpoint::request_by_hand(std::function<void(Result<x509::Request>)> done) {
  const auto answer =
      answered_anyway<Result<x509::Request>>(std::move(done), tl::unexpected(ended()));
  agent_->post([answer](Agent& agent) { (*answer)(agent.request_by_hand()); });
}

void Trustpoint::import_certificate(std::vector<x509::Certificate> received,
                                    std::function<void(Result<void>)> done) {
  const auto answer = answered_anyway<Result<void>>(std::move(done), tl::unexpected(ended()));
  agent_->post([received = std::move(received), answer](Agent& agent) {
    const auto imported = agent.import_certificate(received);
    if (!imported) return (*answer)(imported);
    agent.after_files([answer, imported] { (*answer)(imported); });
  });
}

void Trustpoint::import_archive(x509::Archive archive, bool exportable,
                                std::function<void(Result<void>)> done) {
  const auto answer = answered_anyway<Result<void>>(std::move(done), tl::unexpected(ended()));
  agent_->post([archive = std::move(archive), exportable, answer](Agent& agent) {
    const auto imported = agent.import_archive(archive, exportable);
    if (!imported) return (*answer)(imported);
    agent.after_files([answer, imported] { (*answer)(imported); });
  });
}

void Trustpoint::exported(std::function<void(Result<Exported>)> done) {
  const auto answer = answered_anyway<Result<Exported>>(std::move(done), tl::unexpected(ended()));
  agent_->post([answer](Agent& agent) { (*answer)(agent.exported()); });
}

void Trustpoint::cancel(std::function<void(Result<void>)> done) {
  const auto answer = answered_anyway<Result<void>>(std::move(done), tl::unexpected(ended()));
  agent_->post([answer](Agent& agent) { (*answer)(agent.cancel()); });
}

void Trustpoint::zeroize(std::function<void(Result<std::vector<std::string>>)> done) {
  const auto answer =
      answered_anyway<Result<std::vector<std::string>>>(std::move(done), tl::unexpected(ended()));
  agent_->post([answer](Agent& agent) {
    agent.zeroize([answer](Result<std::vector<std::string>> gone) { (*answer)(std::move(gone)); });
  });
}

void Trustpoint::request_crl(std::function<void(Result<x509::CrlFacts>)> done) {
  const auto answer =
      answered_anyway<Result<x509::CrlFacts>>(std::move(done), tl::unexpected(ended()));
  agent_->post([answer](Agent& agent) {
    agent.request_crl([answer](Result<x509::CrlFacts> crl) { (*answer)(std::move(crl)); });
  });
}

void Trustpoint::validate(std::function<void(Result<Validation>)> done) {
  const auto answer = answered_anyway<Result<Validation>>(std::move(done), tl::unexpected(ended()));
  agent_->post([answer](Agent& agent) {
    agent.validate([answer](Result<Validation> all) { (*answer)(std::move(all)); });
  });
}

}  // namespace umbra::client
