#include "io/site.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

#include "io/findings.h"
#include "io/interface_address.h"
#include "x509/name.h"

namespace umbra::io {
namespace {

namespace asio = boost::asio;

using WeakServer = std::shared_ptr<std::weak_ptr<server::CertificateServer>>;

/// A server's way to other servers: what comes back to one that is gone is dropped, and one that is
/// being told is there until it has heard.
class WhileThere final : public HttpTransport {
 public:
  WhileThere(HttpTransport& transport, WeakServer whose)
      : transport_(transport), whose_(std::move(whose)) {}
  void send(HttpCall call, HttpAnswered answered) override {
    transport_.send(std::move(call),
                    [whose = whose_, answered = std::move(answered)](Result<HttpReply> reply) {
                      if (const auto there = whose->lock()) answered(std::move(reply));
                    });
  }

 private:
  HttpTransport& transport_;
  const WeakServer whose_;
};

/// What IOS changes no more once there is a CA certificate; what that says itself may be said, as
/// when a server that was taken out of the configuration is typed again.
std::optional<std::string> settled(const server::Status& is, const config::Server& before,
                                   const config::Server& after) {
  if (!is.ca || before.mode == config::ServerMode::ra ||
      before.mode == config::ServerMode::ra_transparent)
    return std::nullopt;
  const auto old_name = x509::Name::from_ios(before.issuer_name);
  const auto new_name = x509::Name::from_ios(after.issuer_name);
  if (!new_name || !(*new_name == is.ca->subject() || (old_name && *old_name == *new_name)))
    return "issuer-name";
  const auto mode =
      is.ca->self_issued() ? config::ServerMode::root : config::ServerMode::subordinate;
  if (before.mode != after.mode && after.mode != mode) return "mode";
  const x509::PublicKey& key = is.ca->public_key();
  const int ec_bits = key.algorithm() == x509::KeyAlgorithm::ec ? key.bits() : 0;
  if (before.ec_bits != after.ec_bits && after.ec_bits.value_or(0) != ec_bits) return "keytype";
  if (before.archive_format != after.archive_format) return "database archive";
  if (after.serial_start && before.serial_start != after.serial_start) return "serial-number";
  return std::nullopt;
}

}  // namespace

server::Router router_of(const Roster& roster) {
  std::vector<server::CertificateServer*> all;
  for (const auto& one : roster.servers) all.push_back(one.get());
  return server::Router(std::move(all));
}

RosterPtr Site::roster() const {
  const std::lock_guard lock(mutex_);
  return roster_;
}

void Site::install(std::shared_ptr<Roster> next) {
  for (const auto& one : next->trustpoints) next->trustpoint_of.emplace(one->name(), one);
  next->router = router_of(*next);
  const std::lock_guard lock(mutex_);
  roster_ = std::move(next);
}

/// `grant auto trustpoint`: asked while requests are answered.
server::TrustedCa Site::trusted_ca(const std::string& name) const {
  const RosterPtr all = roster();
  const auto trustpoint = all ? all->trustpoint(name) : nullptr;
  if (!trustpoint) return {};
  const auto* const configured = config::find_trustpoint(all->configuration(), name);
  const bool unchecked = configured && !configured->revocation_check.empty() &&
                         configured->revocation_check.front() == "none";
  return {trustpoint->status().ca, unchecked};
}

Result<Site::ServerPtr> Site::open_server(const config::Server& server, bool http_enabled) {
  const auto itself = std::make_shared<std::weak_ptr<server::CertificateServer>>();
  auto transport = std::make_shared<WhileThere>(in_.transport, itself);
  UMBRA_TRY(auto opened,
            server::CertificateServer::open(
                server, http_enabled,
                {.store = in_.store,
                 .clock = in_.clock,
                 .random = in_.random,
                 .log = in_.log,
                 .files = in_.files,
                 .key_passphrase = in_.key_passphrase,
                 .trusted_ca = [this](const std::string& name) { return trusted_ca(name); },
                 .publish = [this] { in_.publishing.wake(); },
                 .enroll = [this](const std::string& name) -> Result<void> {
                   const auto trustpoint = roster()->trustpoint(name);
                   if (!trustpoint) return fail(Errc::not_found, "no trustpoint " + name);
                   return trustpoint->enroll();
                 },
                 .transport = transport.get(),
                 .post =
                     [this, itself](std::function<void()> task) {
                       asio::post(in_.workers,
                                  [itself, task = std::move(task), &store = in_.store] {
                                    const auto there = itself->lock();
                                    if (!there) return;
                                    task();
                                    store.write_what_waits();
                                  });
                     },
                 .counters = in_.counters,
                 .contradicts_pin =
                     [this](const std::string& name) {
                       const RosterPtr all = roster();
                       const auto trustpoint = all ? all->trustpoint(name) : nullptr;
                       return trustpoint && trustpoint->contradicts_pin();
                     },
                 .writes_afterwards = true}));
  // What it was given lives as long as it does, and no longer: `transport` knows the server weakly,
  // and a deleter lives on with its control block as long as anybody does.
  ServerPtr made(opened.release(), [transport](server::CertificateServer* p) mutable {
    delete p;
    transport.reset();
  });
  *itself = made;
  return made;
}

Result<Site::TrustpointPtr> Site::open_trustpoint(const config::Trustpoint& trustpoint,
                                                  const std::string& fqdn) {
  auto strand =
      std::make_shared<asio::strand<asio::thread_pool::executor_type>>(in_.life.get_executor());
  return client::Trustpoint::open(
      trustpoint,
      {.store = in_.store,
       .clock = in_.clock,
       .random = in_.random,
       .log = in_.log,
       .transport = in_.transport,
       .outlet = in_.outlet,
       .post = [strand](std::function<void()> task) { asio::post(*strand, std::move(task)); },
       .changed =
           [this, name = trustpoint.name] {
             // A server that is no root has its certificate from the trustpoint of its name.
             if (const RosterPtr all = roster()) {
               if (const auto server = all->server(name)) server->upstream_changed();
             }
             in_.moved(name);
           },
       .key_passphrase = in_.key_passphrase,
       .fqdn = fqdn,
       .board_serial = in_.board_serial,
       .counters = in_.counters,
       .credential = [this](const std::string& name) -> std::optional<client::Credential> {
         const RosterPtr all = roster();
         const auto other = all ? all->trustpoint(name) : nullptr;
         return other ? other->credential() : std::nullopt;
       },
       .address_of = &ipv4_address_of,
       .trustpoints =
           [this] {
             std::vector<std::string> names;
             if (const RosterPtr all = roster()) {
               for (const auto& one : all->configuration().trustpoints) names.push_back(one.name);
             }
             return names;
           }});
}

Result<void> Site::open(std::shared_ptr<const config::Parsed> parsed,
                        std::shared_ptr<const plan::Report> plan) {
  auto next = std::make_shared<Roster>();
  next->parsed = std::move(parsed);
  next->plan = std::move(plan);
  const config::Configuration& configuration = next->configuration();
  for (const auto& server : configuration.servers) {
    UMBRA_TRY(auto opened, open_server(server, configuration.http_server));
    next->servers.push_back(std::move(opened));
  }
  const std::string fqdn = configuration.fqdn();
  for (const auto& trustpoint : configuration.trustpoints) {
    UMBRA_TRY(auto opened, open_trustpoint(trustpoint, fqdn));
    next->trustpoints.push_back(std::move(opened));
  }
  install(std::move(next));
  return {};
}

void Site::retire(const ServerPtr& server) {
  in_.publishing.stop(server);
  if (const auto closed = server->retire(); !closed)
    in_.log.event({Severity::warning, "CS_CLOSE", closed.error().detail});
}

void Site::run(const ServerPtr& server) {
  // What could not be done is logged, shown as the server's status, and tried again by the driver.
  if (const auto done = server->run_due(); !done) {
    in_.log.event({Severity::error, "CS_START",
                   fmt::format("certificate server {}: {}", server->name(), done.error().detail)});
  }
}

void Site::close() {
  const RosterPtr all = roster();
  if (all) {
    for (const auto& server : all->servers) {
      if (const auto closed = server->close(); !closed)
        in_.log.event({Severity::warning, "CS_CLOSE", closed.error().detail});
    }
  }
  // Whatever was queued for the store is on the disk, and its callbacks have run, before their
  // owners go.
  static_cast<void>(in_.store.commit(store::Batch{}));
  const std::lock_guard lock(mutex_);
  roster_.reset();
}

namespace {

/// What a file server that is down may hold up a change, after the last one that it has not.
constexpr std::chrono::seconds settling_max{5};

/// Trustpoints that have been told something, and have not done it yet.
class Settling : public std::enable_shared_from_this<Settling> {
 public:
  /// To be called when it has.
  [[nodiscard]] std::function<void()> one(const std::string& name) {
    const std::lock_guard lock(mutex_);
    names_.insert(name);
    return [self = shared_from_this(), name] {
      const std::lock_guard done(self->mutex_);
      self->names_.erase(name);
      self->changed_.notify_all();
    };
  }
  /// Waits while one after another has done it, each within `limit`. Out: who has not.
  [[nodiscard]] std::set<std::string> wait(std::chrono::seconds limit) {
    std::unique_lock lock(mutex_);
    while (!names_.empty()) {
      const std::size_t before = names_.size();
      if (!changed_.wait_for(lock, limit, [&] { return names_.size() < before; })) break;
    }
    return names_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> names_;
};

}  // namespace

/// One change on its way.
class Site::Change {
 public:
  Change(Site& site, std::shared_ptr<const config::Parsed> next)
      : site_(site),
        before_(site.roster()),
        next_(std::move(next)),
        from_(before_->configuration()),
        to_(next_->configuration),
        difference_(config::difference(from_, to_)) {}

  Result<config::Difference> run() {
    UMBRA_CHECK(nothing_settled());
    auto ready = open_new();
    if (ready) ready = replace_changed();
    if (ready) ready = site_.in_.door.change(to_, !to_.servers.empty());
    if (!ready) {
      put_back();
      return tl::unexpected(ready.error());
    }
    commit();
    return difference_;
  }

 private:
  Result<void> nothing_settled() const {
    for (const std::string& name : difference_.servers_changed) {
      const auto which = settled(before_->server(name)->status(), *config::find_server(from_, name),
                                 *config::find_server(to_, name));
      if (!which) continue;
      return fail(Errc::conflict,
                  fmt::format("{} of certificate server {} cannot be changed after CA certificate "
                              "generation. To begin anew under another: \"no crypto pki server "
                              "{}\" in the configuration, then \"no crypto pki server {}\" as an "
                              "exec command, which deletes its keys and certificates",
                              *which, name, name, name));
    }
    return {};
  }

  Result<void> open_new() {
    for (const std::string& name : difference_.servers_added) {
      UMBRA_TRY(opened_[name], site_.open_server(*config::find_server(to_, name), to_.http_server));
    }
    for (const std::string& name : difference_.trustpoints_added) {
      UMBRA_TRY(opened_trustpoints_[name],
                site_.open_trustpoint(*config::find_trustpoint(to_, name), to_.fqdn()));
    }
    return {};
  }

  /// Closed before it is opened again: one at a time counts serial numbers.
  Result<void> replace_changed() {
    for (const std::string& name : difference_.servers_changed) {
      site_.retire(before_->server(name));
      closed_.push_back(name);
      UMBRA_TRY(opened_[name], site_.open_server(*config::find_server(to_, name), to_.http_server));
    }
    return {};
  }

  /// What was closed is opened again as it was.
  void put_back() {
    for (const std::string& name : difference_.servers_added) {
      if (const auto found = opened_.find(name); found != opened_.end() && found->second)
        static_cast<void>(found->second->retire());
    }
    if (closed_.empty()) return;
    auto roster = std::make_shared<Roster>();
    roster->parsed = before_->parsed;
    roster->plan = before_->plan;
    roster->trustpoints = before_->trustpoints;
    std::vector<ServerPtr> again;
    for (const auto& server : before_->servers) {
      const std::string& name = server->name();
      if (std::find(closed_.begin(), closed_.end(), name) == closed_.end()) {
        roster->servers.push_back(server);
        continue;
      }
      if (const auto half = opened_.find(name); half != opened_.end() && half->second)
        static_cast<void>(half->second->retire());
      auto opened = site_.open_server(*config::find_server(from_, name), from_.http_server);
      if (!opened) {
        site_.log(Severity::alert, "CS_LOST",
                  fmt::format("certificate server {} could not be opened again: {}; restart umbrad",
                              name, opened.error().detail));
        continue;
      }
      again.push_back(*opened);
      roster->servers.push_back(*std::move(opened));
    }
    site_.install(roster);
    for (const auto& server : again) {
      site_.run(server);
      site_.in_.publishing.start(server);
    }
    site_.in_.replaced(site_.roster());
  }

  /// From here on nothing fails.
  void commit() {
    auto roster = std::make_shared<Roster>();
    roster->parsed = next_;
    for (const auto& server : to_.servers) {
      const auto opened = opened_.find(server.name);
      roster->servers.push_back(opened != opened_.end() ? opened->second
                                                        : before_->server(server.name));
    }
    for (const auto& trustpoint : to_.trustpoints) {
      const auto opened = opened_trustpoints_.find(trustpoint.name);
      roster->trustpoints.push_back(opened != opened_trustpoints_.end()
                                        ? opened->second
                                        : before_->trustpoint(trustpoint.name));
    }
    roster->plan = tell_findings(*next_, "running-config", site_.in_.log, before_->parsed.get(),
                                 before_->plan.get());
    site_.install(roster);
    for (const std::string& name : difference_.servers_removed) site_.retire(before_->server(name));
    settle_trustpoints();
    if (from_.http_server != to_.http_server) {
      for (const auto& server : roster->servers) server->set_http(to_.http_server);
    }
    start_and_stop(*roster);
    site_.in_.replaced(site_.roster());
  }

  void settle_trustpoints() {
    const auto settling = std::make_shared<Settling>();
    for (const std::string& name : difference_.trustpoints_removed)
      before_->trustpoint(name)->retire(settling->one(name));
    const std::string fqdn = to_.fqdn();
    if (difference_.fqdn) {
      for (const auto& one : to_.trustpoints) {
        if (!opened_trustpoints_.contains(one.name))
          before_->trustpoint(one.name)->reconfigure(one, fqdn, settling->one(one.name));
      }
    } else {
      for (const std::string& name : difference_.trustpoints_changed) {
        before_->trustpoint(name)->reconfigure(*config::find_trustpoint(to_, name), fqdn,
                                               settling->one(name));
      }
    }
    for (const std::string& name : settling->wait(settling_max)) {
      site_.log(
          Severity::warning, "STORAGE",
          fmt::format("Trustpoint {}: it has not done yet what the change asks of it, perhaps "
                      "as its files are where nothing answers; it goes on by itself",
                      name));
    }
  }

  void start_and_stop(const Roster& roster) {
    for (const auto& [name, server] : opened_) {
      site_.run(server);
      site_.in_.publishing.start(server);
    }
    for (const std::string& name : difference_.servers_shut) {
      if (!opened_.contains(name)) static_cast<void>(roster.server(name)->stop());
    }
    for (const std::string& name : difference_.servers_started) {
      if (opened_.contains(name)) continue;
      const auto server = roster.server(name);
      // An error of what is due is logged by the next try; a server may have been started by hand.
      if (const auto started = server->start(); !started && !server->status().shut)
        site_.run(server);
    }
  }

  Site& site_;
  const RosterPtr before_;
  const std::shared_ptr<const config::Parsed> next_;
  const config::Configuration& from_;
  const config::Configuration& to_;
  const config::Difference difference_;
  std::map<std::string, ServerPtr> opened_;
  std::map<std::string, TrustpointPtr> opened_trustpoints_;
  std::vector<std::string> closed_;
};

Result<void> Site::destroy(const std::string& server) {
  const std::lock_guard one_at_a_time(changing_);
  if (roster()->server(server)) {
    return fail(Errc::conflict,
                fmt::format("{} is configured: \"no crypto pki server {}\" in the configuration "
                            "first",
                            server, server));
  }
  return server::destroy(in_.store, server);
}

Result<config::Difference> Site::change(std::shared_ptr<const config::Parsed> next) {
  const std::lock_guard one_at_a_time(changing_);
  return Change(*this, std::move(next)).run();
}

}  // namespace umbra::io
