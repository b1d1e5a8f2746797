#include <fmt/format.h>

#include <utility>

#include "client/agent.h"
#include "client/announcement.h"

/// Files for other programs. What may wait for a file server is done away from the strand, with
/// copies of what it needs; what follows from it is decided on the strand again, by what is so by
/// then.
namespace umbra::client {
namespace {

/// Longer than a disk takes, and sooner than people wonder.
constexpr Seconds slow_after{10};

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

bool has_key(const State& state, const x509::PublicKey& key) {
  return (state.key && key == state.key->public_key()) ||
         (state.shadow_key && key == state.shadow_key->public_key());
}

std::string places_of(const config::Trustpoint& configuration) {
  const std::string& pem = configuration.storage_pem.path;
  const std::string& archive = configuration.storage_pkcs12.path;
  return pem + (pem.empty() || archive.empty() ? "" : " or ") + archive;
}

}  // namespace

/// What is on its way into the files.
struct Trustpoint::Agent::Publication {
  std::uint64_t number = 0;
  std::string certificates;          ///< that it puts there
  config::Trustpoint configuration;  ///< as it was when it began
  std::shared_ptr<const State> state;
  IsOurs replaceable;  ///< which archives are nobody else's
  Bytes archive;
  Result<void> result;
  Result<Bytes> archive_there;  ///< before anything is written
  Outdated outdated;            ///< what others have after an error
};

/// What `crypto key zeroize` takes out of the files.
struct Trustpoint::Agent::Withdrawal {
  std::vector<std::string> warnings;  ///< for the log
  std::vector<std::string> staying;   ///< for who asked
  Result<void> result;
};

void Trustpoint::Agent::away(std::function<void(Outlet&)> work, std::function<void(Agent&)> then) {
  environment_.outlet.away(name_, [weak = weak_from_this(), &outlet = environment_.outlet,
                                   work = std::move(work), then = std::move(then)] {
    work(outlet);
    if (const auto self = weak.lock()) self->post(then);
  });
}

void Trustpoint::Agent::publish_files() {
  if (publishing_) return;  // it looks again when that ends
  publishing_ = Waits{now(), false};
  publish_snapshot();
  const auto job = std::make_shared<Publication>();
  job->number = newest_publication_;
  away(
      [job, weak = weak_from_this()](Outlet& outlet) {
        if (const auto self = weak.lock()) self->fill(*job);
        if (job->certificates.empty()) return;
        const config::Trustpoint& to = job->configuration;
        if (!to.storage_pem.path.empty()) {
          auto files = pem_files(*job->state, to.storage_pem.rollover_ca);
          if (files) job->result = outlet.publish_pem(to.name, to.storage_pem, *files);
          if (!files) job->result = tl::unexpected(files.error());
          if (files) wipe_keys(*files);
        }
        if (!to.storage_pkcs12.path.empty())
          job->archive_there = outlet.read_pkcs12(to.storage_pkcs12);
        if (!job->result) look_at_files(outlet, *job);
      },
      [job](Agent& agent) { agent.publish_archive(job); });
}

void Trustpoint::Agent::fill(Publication& job) const {
  {
    const std::lock_guard lock(mutex_);
    job.state = std::make_shared<const State>(snapshot_.state);
    job.configuration = configuration_;
  }
  job.certificates = certificates_of(*job.state, job.configuration);
  // One that has come since it was given its turn, and is not valid yet, takes no valid one's
  // place.
  if (job.state->identity && now() < job.state->identity->not_before()) job.certificates.clear();
  job.replaceable = [ours = is_ours(job.state, job.configuration), neighbours = is_a_neighbours()](
                        ByteView archive) { return ours(archive) || neighbours(archive); };
}

void Trustpoint::Agent::publish_archive(const std::shared_ptr<Publication>& job) {
  const config::Storage& storage = job->configuration.storage_pkcs12;
  const bool overtaken = job->number != newest_publication_ || job->certificates.empty();
  // What there is by now goes into it; nothing, if that has gone, or is not valid yet.
  const bool there =
      !certificates_of(state_, configuration_).empty() && now() >= state_.identity->not_before();
  if (!job->result || storage.path.empty() || overtaken || !there) return on_published(*job);
  auto row = state_.row;
  if (const auto& found = job->archive_there; found && !found->empty()) {
    // Whoever wrote it died before he could say so, or was told that it failed.
    if (is_on_its_way(row, *found)) finish_archive(row, *found, nullptr);
    if (went_in_last(row, *found, storage) && is_active_archive(*found, state_, configuration_)) {
      archive_on_its_way_.clear();
      // Or another trustpoint, whose place a link has made it since, takes it for free.
      return away(
          [job, name = name_](Outlet& outlet) {
            job->result = outlet.hold_pkcs12(name, job->configuration.storage_pkcs12);
            if (!job->result) look_at_files(outlet, *job);
          },
          [job](Agent& agent) { agent.on_published(*job); });
    }
  }
  if (!is_active_archive(archive_on_its_way_, state_, configuration_)) {
    auto made = active_archive(state_, configuration_);
    if (!made) {
      job->result = tl::unexpected(made.error());
      return on_published(*job);
    }
    archive_on_its_way_ = *std::move(made);
  }
  // Before it is there: a process that dies in between knows it again.
  begin_archive(row, archive_on_its_way_);
  if (row.held_since != state_.row.held_since) {
    job->result = environment_.store.commit(store::Batch{store::PutTrustpoint{row}});
    if (!job->result) return on_published(*job);
    state_.row.held_since = row.held_since;
  }
  job->archive = archive_on_its_way_;
  away(
      [job, name = name_](Outlet& outlet) {
        job->result = outlet.publish_pkcs12(name, job->configuration.storage_pkcs12, job->archive,
                                            job->replaceable);
        if (!job->result) look_at_files(outlet, *job);
      },
      [job](Agent& agent) {
        if (job->result) agent.on_archive_there(*job);
        agent.on_published(*job);
      });
}

void Trustpoint::Agent::on_archive_there(const Publication& job) {
  if (archive_on_its_way_ == job.archive) archive_on_its_way_.clear();
  auto row = state_.row;
  finish_archive(row, job.archive, &job.configuration.storage_pkcs12);
  state_.row.held_since = row.held_since;
  // It is in place, whatever becomes of this: the store knows it as the one on its way, and is told
  // with the next change.
  static_cast<void>(environment_.store.commit(store::Batch{store::PutTrustpoint{row}}));
}

void Trustpoint::Agent::on_published(const Publication& job) {
  publishing_.reset();
  const bool overtaken = job.number != newest_publication_ || job.certificates.empty();
  if (!overtaken && job.result) {
    published_ = job.certificates;
    announce_at_.reset();
    announce_failed_.clear();
    if (outdated_ && !outdated_->known) outdated_.reset();
  }
  if (!overtaken && !job.result) {
    outdated_ = job.outdated;
    announce_later("STORAGE", job.result.error(), job.certificates);
  }
  publish_snapshot();
  announce();
  if (!publishing_) go_on_after_files();
}

void Trustpoint::Agent::after_files(std::function<void()> then) {
  after_files_.push_back(std::move(then));
  // Without a clock, nobody says that it takes long.
  const bool told = publishing_ && !publishing_->said && environment_.clock.authoritative();
  if (!told) go_on_after_files();
}

void Trustpoint::Agent::go_on_after_files() {
  for (const auto& then : std::exchange(after_files_, {})) then();
}

void Trustpoint::Agent::say_if_slow() {
  for (const auto waits : {&publishing_, &withdrawing_}) {
    if (!*waits || (*waits)->said || now() < (*waits)->since + slow_after) continue;
    (*waits)->said = true;
    // What they have is not known as long as nobody can look.
    outdated_ = Outdated();
    log(Severity::error, "STORAGE",
        fmt::format("Trustpoint {}: {} does not answer since {}; its files are not replaced until "
                    "it does, all else goes on",
                    configuration_.name, places_of(configuration_), to_rfc3339((*waits)->since)),
        "UMBRA");
    publish_snapshot();
    go_on_after_files();
  }
}

std::optional<Time> Trustpoint::Agent::next_try() const {
  if (publishing_ || withdrawing_ || announce_from_) return std::nullopt;
  return announce_at_;
}

std::optional<Time> Trustpoint::Agent::slow_at() const {
  std::optional<Time> soonest;
  for (const auto& waits : {publishing_, withdrawing_}) {
    if (!waits || waits->said) continue;
    const Time at = waits->since + slow_after;
    if (!soonest || at < *soonest) soonest = at;
  }
  return soonest;
}

IsOurs Trustpoint::Agent::is_ours(std::shared_ptr<const State> state,
                                  const config::Trustpoint& configuration) {
  return [state = std::move(state), password = configuration.pkcs12_password](ByteView archive) {
    if (knows_archive(state->row, archive)) return true;
    // Or one of a version, or a database, that does not know what it has made.
    const auto opened = x509::from_pkcs12(archive, password);
    return opened && has_key(*state, opened->key.public_key());
  };
}

IsOurs Trustpoint::Agent::is_a_neighbours() const {
  return [&store = environment_.store, names = environment_.trustpoints,
          name = name_](ByteView archive) {
    if (!names) return false;
    for (const auto& neighbour : names()) {
      if (neighbour == name) continue;
      const auto row = store.trustpoint(neighbour);
      if (row && *row && knows_archive(**row, archive)) return true;
    }
    return false;
  };
}

void Trustpoint::Agent::look_at_files(Outlet& outlet, Publication& job) {
  const config::Trustpoint& at = job.configuration;
  const State& state = *job.state;
  if (!at.storage_pem.path.empty()) {
    look_into(
        outlet.read_pem(at.storage_pem),
        [&state](ByteView text) {
          const auto one = x509::Certificate::from_pem(as_text(text));
          return one ? outdated_by(*one, state) : Outdated();
        },
        job.outdated);
  }
  if (!at.storage_pkcs12.path.empty()) {
    look_into(
        outlet.read_pkcs12(at.storage_pkcs12),
        [&](ByteView archive) {
          const auto opened = x509::from_pkcs12(archive, at.pkcs12_password);
          if (opened) return outdated_by(opened->certificate, state);
          // Under whatever password: one that may be replaced, and that it has not made.
          const bool neighbours = !knows_archive(state.row, archive) && job.replaceable(archive);
          return Outdated{.known = neighbours, .not_after = {}, .anothers = neighbours};
        },
        job.outdated);
  }
}

void Trustpoint::Agent::zeroize(std::function<void(Result<std::vector<std::string>>)> done) {
  if (auto allowed = no_server_of_ours(); !allowed)
    return done(tl::unexpected(std::move(allowed).error()));
  if (withdrawing_) return done(fail(Errc::conflict, "these keys are being removed already"));
  withdrawing_ = Waits{now(), false};
  forget_published();
  publish_snapshot();
  const auto job = std::make_shared<Withdrawal>();
  // The files first: a process that dies in between puts them back, and nothing has happened.
  away([job, name = name_, from = configuration_, state = std::make_shared<const State>(state_)](
           Outlet& outlet) { withdraw(outlet, name, from, state, *job); },
       [job, done = std::move(done)](Agent& agent) { agent.on_withdrawn(*job, done); });
}

void Trustpoint::Agent::withdraw(Outlet& outlet, const std::string& name,
                                 const config::Trustpoint& from,
                                 const std::shared_ptr<const State>& state, Withdrawal& job) {
  // False: an error, with which all of it ends.
  const auto gone = [&job](const Result<void>& withdrawn) {
    if (withdrawn) return true;
    if (withdrawn.error().code != Errc::conflict) {
      job.result = withdrawn;
      job.warnings.insert(job.warnings.end(), job.staying.begin(), job.staying.end());
      return false;
    }
    job.warnings.push_back(withdrawn.error().detail);
    job.staying.push_back(withdrawn.error().detail + "; nothing of it is removed");
    return true;
  };
  const auto keep = [&](const config::Storage& storage, bool archive) {
    for (const auto& path : outlet.kept_keys(storage, archive)) {
      job.staying.push_back(path +
                            " is not umbrad's, may hold a key, and stays: it is yours to remove");
    }
  };
  if (const auto& pem = from.storage_pem; !pem.path.empty()) {
    const auto ours = [&state](ByteView text) {
      const auto one = x509::Certificate::from_pem(as_text(text));
      return one && is_of_trustpoint(*state, *one);
    };
    if (!gone(outlet.withdraw_pem(name, pem, ours))) return;
    keep(pem, false);
  }
  if (const auto& pkcs12 = from.storage_pkcs12; !pkcs12.path.empty()) {
    if (!gone(outlet.withdraw_pkcs12(name, pkcs12, is_ours(state, from)))) return;
    keep(pkcs12, true);
  }
}

void Trustpoint::Agent::on_withdrawn(
    const Withdrawal& job, const std::function<void(Result<std::vector<std::string>>)>& done) {
  withdrawing_.reset();
  for (const std::string& warning : job.warnings) {
    log(Severity::warning, "STORAGE",
        fmt::format("Trustpoint {}: {}", configuration_.name, warning), "UMBRA");
  }
  auto result = job.result;
  if (result) result = forget_keys();
  publish_snapshot();
  if (!result) {
    announce();
    return done(tl::unexpected(result.error()));
  }
  announced();
  forget_call();
  ++withdrawals_;
  log(Severity::notice, "KEY_DELETION",
      fmt::format("A key named {} has been removed from key storage",
                  label_of(configuration_, device_)),
      "CRYPTO_ENGINE");
  done(job.staying);
}

void Trustpoint::Agent::leave_places(const config::Trustpoint* next,
                                     std::shared_ptr<void> until) const {
  std::vector<config::Storage> left;
  for (const auto place : {&config::Trustpoint::storage_pem, &config::Trustpoint::storage_pkcs12}) {
    const config::Storage& storage = configuration_.*place;
    if (!storage.path.empty() && (!next || (next->*place).path != storage.path))
      left.push_back(storage);
  }
  if (left.empty()) return;
  environment_.outlet.away(
      name_, [&outlet = environment_.outlet, name = name_, left, until = std::move(until)] {
        for (const auto& storage : left) outlet.leave(name, storage);
      });
}

void Trustpoint::Agent::forget_published() {
  ++newest_publication_;  // what is under way tells nothing of what is there now
  for (const auto waits : {&publishing_, &withdrawing_}) {
    if (*waits) (*waits)->said = false;
  }
  outdated_.reset();
  published_.clear();
  announce_from_.reset();
  announce_at_.reset();
  announce_failed_.clear();
  announce_tries_ = 0;
}

}  // namespace umbra::client
