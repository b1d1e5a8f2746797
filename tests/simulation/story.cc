#include "simulation/story.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/assert.h"
#include "config/config.h"
#include "scep/ca_messages.h"
#include "simulation/hosts.h"
#include "simulation/network.h"
#include "simulation/oracle.h"
#include "simulation/process.h"
#include "simulation/vfs.h"
#include "simulation/world.h"

namespace umbra::simulation {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto server_name = "CA";
constexpr auto server_host = "ca:80";
constexpr auto ra_host = "ra:80";
const Time beginning = *from_rfc3339("2030-01-01T00:00:00Z");

config::Configuration configured(const std::string& text) {
  const auto parsed = config::parse(text);
  for (const auto& fault : parsed.faults)
    UMBRA_ENSURE(false, config::to_string(fault, "story").c_str());
  return parsed.configuration;
}

/// What a seed decides before anything happens.
struct Plan {
  std::string server;
  std::vector<std::vector<std::string>> clients;  ///< trustpoints by machine
  bool has_ra = false;                            ///< on the last one of these machines
  unsigned ca_days = 10;
  Seconds troubled{};  ///< how long there are faults
  bool empty_disks = false;
  int checkpoint_pages = 1000;
};

Plan plan_of(Chance& chance) {
  Plan plan;
  plan.ca_days = static_cast<unsigned>(chance.between(6, 14));
  const auto certificate_days = chance.between(3, plan.ca_days);
  const auto overlap_days = chance.between(1, plan.ca_days / 2);
  plan.server = fmt::format(
      "crypto pki server {}\n issuer-name CN=CA,O=Example\n lifetime certificate {}\n"
      " lifetime ca-certificate {}\n lifetime crl {}\n auto-rollover {}\n",
      server_name, certificate_days, plan.ca_days, chance.between(12, 96), overlap_days);
  if (!chance.one_in(3)) plan.server += " grant auto\n";
  // What a key is worth is not what is played here: most are small, and quick to use.
  const auto kind = chance.below(8);
  const bool small = kind != 0;
  if (small) plan.server += kind < 3 ? " keytype ec 256\n" : " modulus 1024\n";
  if (small) plan.server += " allow legacy rsa-1024\n";
  if (chance.one_in(6)) plan.server += " serial-number random\n";
  if (chance.one_in(3)) plan.server += " database level complete\n";
  plan.has_ra = chance.one_in(8);
  if (plan.has_ra && chance.one_in(2))
    plan.server += " grant ra-auto\n grant auto rollover ra-cert\n";
  plan.server += " no shutdown\n";
  const auto machines = chance.one_in(3) ? 2 : 1;
  int number = 0;
  for (int machine = 0; machine < machines; ++machine) {
    auto& trustpoints = plan.clients.emplace_back();
    for (std::uint64_t i = 0, all = chance.one_in(4) ? 2 : 1; i < all; ++i) {
      ++number;
      trustpoints.push_back(fmt::format(
          "crypto pki trustpoint T{0}\n enrollment url http://{1}\n enrollment retry period {2}\n"
          " subject-name CN=t{0}\n revocation-check none\n rsakeypair T{0}{6}\n auto-enroll "
          "{3}{4}\n"
          "{5}",
          number, plan.has_ra && !chance.one_in(4) ? ra_host : server_host, chance.between(5, 60),
          chance.between(50, 90), chance.one_in(3) ? " regenerate" : "",
          chance.one_in(2) ? fmt::format(" storage pem /etc/T{}\n", number) : "",
          small ? " 1024\n allow legacy rsa-1024" : ""));
    }
  }
  if (plan.has_ra) {
    plan.clients.push_back(
        {fmt::format("crypto pki server RA\n grant auto\n mode ra\n{} no shutdown\n"
                     "crypto pki trustpoint RA\n enrollment url http://{}\n"
                     " enrollment retry period {}\n{}{}",
                     small ? " modulus 1024\n allow legacy rsa-1024\n" : "", server_host,
                     chance.between(5, 60), chance.one_in(2) ? " revocation-check none\n" : "",
                     small ? " allow legacy rsa-1024\n" : "")});
  }
  // Half of them end before the CA does, few see three CAs.
  const auto percent = chance.one_in(2)    ? chance.between(10, 70)
                       : chance.one_in(12) ? chance.between(200, 250)
                                           : chance.between(90, 130);
  plan.troubled = Seconds{Days{plan.ca_days}} * static_cast<std::int64_t>(percent) / 100;
  plan.empty_disks = chance.one_in(10);
  plan.checkpoint_pages = static_cast<int>(chance.of_any_size(9));
  return plan;
}

class Story {
 public:
  Story(std::uint64_t seed, const std::string& directory, const Disk::Image& fresh, bool tells)
      : chance_(seed, 10),
        plan_(plan_of(chance_)),
        world_(beginning, seed, tells),
        oracle_(world_),
        network_(world_, Chance(seed, 11)) {
    begin_seed(seed);
    seed_sqlite(seed);
    set_checkpoint_pages(plan_.checkpoint_pages);
    set_witness({[this](const x509::Certificate& one) { oracle_.saw_signature(one); },
                 [this](ByteView crl) { oracle_.saw_crl_signed(crl); },
                 [this](const scep::Answer& answer, const Bytes& reply) {
                   if (const auto* granted = std::get_if<scep::Granted>(&answer))
                     oracle_.made_answer(granted->certificates.front(), reply);
                 }});
    std::string text = "ip http server\n" + plan_.server;
    ca_ = std::make_unique<ServerHost>(world_, oracle_, directory, Chance(seed, 12),
                                       configured(text).servers.front());
    hosts_.push_back(ca_.get());
    for (std::size_t i = 0; i < plan_.clients.size(); ++i) {
      std::string all;
      for (const auto& one : plan_.clients[i]) all += one;
      text += all;
      const auto configuration = configured(all);
      clients_.push_back(std::make_unique<ClientHost>(
          world_, oracle_, network_, fmt::format("host{}", i + 1), directory, Chance(seed, 20 + i),
          configuration.trustpoints,
          configuration.servers.empty() ? std::nullopt
                                        : std::optional(configuration.servers.front())));
      hosts_.push_back(clients_.back().get());
      if (!configuration.servers.empty()) network_.add(ra_host, *clients_.back());
    }
    network_.add(server_host, *ca_);
    network_.leaves = [this](Peer& from, const HttpRequest& request, const HttpReply& reply) {
      leaves(from, request, reply);
    };
    for (Host* host : hosts_) {
      if (!plan_.empty_disks) host->disk().load(fresh);
      world_.add(*host);
    }
    world_.tell("seed", fmt::format("{}", seed));
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
      world_.tell("", text.substr(at, text.find('\n', at) - at));
  }

  ~Story() {
    world_.end();
    set_witness({});
  }

  Outcome tell() {
    prepare_trouble();
    for (Host* host : hosts_) world_.post_on(*host, milliseconds{0}, [host] { host->start(); });
    const Instant calm = Instant{beginning} + plan_.troubled;
    world_.run_until(calm);
    if (oracle_.violations().empty()) heal();
    if (oracle_.violations().empty()) look_once_more();
    return outcome();
  }

 private:
  // story_trouble.cc
  void prepare_trouble();
  void prepare_power(Host& host, bool server);
  void prepare_disk(Host& host, bool server);
  void prepare_clock(Host& host);
  void prepare_network();
  void prepare_people();
  void administrate();
  void grant();
  void revoke();
  void unrevoke(const x509::Serial& serial);
  void ask_for_crl();
  void make_rollover();
  void cancel_rollover();
  void ask_for_another_rollover();
  void look_after(ClientHost& client, std::size_t i);
  [[nodiscard]] Instant some_time() {
    return Instant{beginning} + milliseconds{chance_.below(static_cast<std::uint64_t>(
                                    milliseconds(plan_.troubled).count()))};
  }
  void at(Instant when, Host& host, std::function<void()> task) {
    world_.post_on(host, when - world_.now(), std::move(task));
  }
  [[nodiscard]] milliseconds some_outage() { return seconds{chance_.of_any_size(16)}; }

  void leaves(Peer& from, const HttpRequest& request, const HttpReply& reply);

  void heal();
  void forget_refused_at_ra();
  [[nodiscard]] std::string ailing(ClientHost& client, std::size_t i);
  void mend(ClientHost& client, std::size_t i, bool anew);
  void look_once_more();
  [[nodiscard]] Outcome outcome();

  Chance chance_;
  const Plan plan_;
  World world_;
  Oracle oracle_;
  Network network_;
  std::unique_ptr<ServerHost> ca_;
  std::vector<std::unique_ptr<ClientHost>> clients_;
  std::vector<Host*> hosts_;
  Figures figures_;
  bool troubled_ = true;
};

// -- trouble --------------------------------------------------------------------------------------

void Story::prepare_trouble() {
  prepare_power(*ca_, true);
  prepare_disk(*ca_, true);
  for (auto& client : clients_) {
    prepare_power(*client, false);
    if (chance_.one_in(2)) prepare_disk(*client, false);
  }
  // In most stories all clocks are right, as what is due depends on nothing else then.
  if (chance_.one_in(3)) {
    for (Host* host : hosts_) prepare_clock(*host);
  }
  prepare_network();
  prepare_people();
}

void Story::prepare_power(Host& host, bool server) {
  host.down_for = [this] { return some_outage(); };
  for (std::uint64_t i = chance_.below(server ? 4 : 2); i > 0; --i)
    at(some_time(), host, [this, &host] { host.lose_power("", some_outage()); });
  for (std::uint64_t i = chance_.below(2); i > 0; --i) {
    at(some_time(), host, [this, &host] {
      if (!host.runs()) return;
      ++figures_.restarts;
      host.restart(some_outage());
    });
  }
  // What is written from some time on has a last change.
  for (std::uint64_t i = chance_.below(server ? 6 : 3); i > 0; --i)
    at(some_time(), host, [this, &host] { host.disk().last_in = chance_.of_any_size(7); });
  // Again while it starts, or soon after.
  host.started = [this, &host] {
    if (troubled_ && chance_.one_in(4)) host.disk().last_in = chance_.of_any_size(6);
  };
}

void Story::prepare_disk(Host& host, bool server) {
  // A disk that fails now and then for a while, and calls that fail, of which nobody is spared.
  for (std::uint64_t i = chance_.below(3); i > 0; --i) {
    const Instant from = some_time();
    const auto rate = static_cast<unsigned>(chance_.of_any_size(16));
    at(from, host, [&host, rate] { host.disk().errors_per_million = rate; });
    at(from + seconds{chance_.of_any_size(16)}, host,
       [&host] { host.disk().errors_per_million = 0; });
  }
  for (std::uint64_t i = chance_.below(server ? 8 : 4); i > 0; --i) {
    at(some_time(), host, [this, &host] {
      const auto call = static_cast<Disk::Call>(chance_.below(Disk::kinds));
      host.disk().fail_later(call, chance_.of_any_size(7) - 1,
                             chance_.one_in(3) ? chance_.of_any_size(4) : 1);
    });
  }
  if (chance_.one_in(2)) {
    const Instant from = some_time();
    const auto room = chance_.of_any_size(16) - 1;
    at(from, host, [&host, room] { host.disk().room = room; });
    at(from + seconds{chance_.of_any_size(16)}, host, [&host] { host.disk().room.reset(); });
  }
}

/// Steps of minutes to a day, forwards and backwards. No clock is wrong by more than two days.
void Story::prepare_clock(Host& host) {
  for (std::uint64_t i = chance_.below(4); i > 0; --i) {
    at(some_time(), host, [this, &host] {
      ++figures_.clock_steps;
      if (chance_.one_in(3)) return host.set_clock(milliseconds{0});
      const milliseconds step = chance_.one_in(3)   ? milliseconds{hours{24}}
                                : chance_.one_in(2) ? milliseconds{hours{1}}
                                                    : seconds{chance_.of_any_size(15)};
      const milliseconds ahead = host.clock().ahead + (chance_.one_in(2) ? step : -step);
      host.set_clock(std::clamp<milliseconds>(ahead, -hours{48}, hours{48}));
    });
  }
  const auto started = std::move(host.started);
  host.started = [this, &host, started] {
    if (started) started();
    if (!troubled_ || !chance_.one_in(4)) return;
    ++figures_.clocks_unknown;
    host.set_clock_known(false);
    world_.post_on(host, seconds{chance_.of_any_size(12)}, [&host] { host.set_clock_known(true); });
  };
}

void Story::prepare_network() {
  for (std::uint64_t i = chance_.below(5); i > 0; --i) {
    const auto rate = static_cast<unsigned>(chance_.below(2) * chance_.of_any_size(8));
    at(some_time(), *ca_, [this, rate] { network_.faults_per_mille = rate; });
  }
}

void Story::prepare_people() {
  const auto visits = 4 + chance_.below(2 * plan_.ca_days);
  for (std::uint64_t i = 0; i < visits; ++i) at(some_time(), *ca_, [this] { administrate(); });
  for (auto& client : clients_) {
    for (std::size_t i = 0; i < client->size(); ++i) {
      // Soon, and now and then.
      at(Instant{beginning} + minutes{chance_.of_any_size(8)}, *client,
         [this, &client, i] { look_after(*client, i); });
      for (std::uint64_t visit = chance_.below(6); visit > 0; --visit)
        at(some_time(), *client, [this, &client, i] { look_after(*client, i); });
    }
  }
}

void Story::administrate() {
  if (!ca_->runs()) return;
  switch (chance_.below(12)) {
    case 0:
      return revoke();
    case 1:
      return ask_for_crl();
    case 2:
      if (chance_.one_in(3)) make_rollover();
      return;
    case 4:
      cancel_rollover();
      return;
    case 3: {
      const auto told = oracle_.told();
      if (told.empty() || !chance_.one_in(3)) return;
      const auto serial = told[chance_.below(told.size())].serial();
      if (!oracle_.may_be_revoked(serial)) return;
      return unrevoke(serial);
    }
    default:
      return grant();
  }
}

void Story::make_rollover() {
  const auto made = ca_->server()->rollover();
  world_.tell("admin", fmt::format("crypto pki server CA rollover: {}",
                                   made ? "done" : made.error().detail));
  if (ca_->runs()) oracle_.saw_status(ca_->server()->status());
}

/// Whoever takes the next CA back has to ask for another one before the active one ends.
void Story::cancel_rollover() {
  constexpr Seconds early_enough = Days{2};
  const auto status = ca_->server()->status();
  if (!status.rollover || !status.ca ||
      status.ca->not_after() < to_time(ca_->clock().now()) + early_enough)
    return;
  oracle_.tries_to_cancel(*status.rollover);
  const auto done = ca_->server()->rollover_cancel(chance_.one_in(2));
  world_.tell("admin", fmt::format("crypto pki server CA rollover cancel: {}",
                                   done ? "done" : done.error().detail));
  if (done && ca_->runs()) ++figures_.cancelled;
  ask_for_another_rollover();
}

void Story::ask_for_another_rollover() {
  world_.post_on(*ca_, seconds{chance_.of_any_size(15)}, [this] {
    if (ca_->runs()) {
      const auto status = ca_->server()->status();
      if (status.rollover || status.autorollover_at) return;
      make_rollover();
      if (ca_->runs() && ca_->server()->status().rollover) return;
    }
    ask_for_another_rollover();
  });
}

void Story::grant() {
  const auto requests = ca_->server()->requests();
  if (!requests) return;
  for (const auto& request : *requests) {
    // The same request again would be rejected again.
    if (!troubled_ && request.state == "rejected")
      static_cast<void>(ca_->server()->remove(request.id));
    if (request.state != "pending" || !ca_->runs()) continue;
    if (troubled_ && chance_.one_in(12)) {
      const auto done = ca_->server()->reject(request.id);
      world_.tell("admin",
                  fmt::format("reject {}: {}", request.id, done ? "done" : done.error().detail));
      continue;
    }
    const auto done = ca_->server()->grant(request.id);
    world_.tell("admin",
                fmt::format("grant {}: {}", request.id, done ? "done" : done.error().detail));
    if (!done || !ca_->runs()) continue;
    oracle_.granted(request.id);
    ++figures_.granted;
  }
}

void Story::revoke() {
  const auto told = oracle_.told();
  if (told.empty()) return;
  const auto serial = told[chance_.below(told.size())].serial();
  oracle_.tries_to_revoke(serial);
  const auto done = ca_->server()->revoke(serial, x509::RevocationReason::superseded);
  world_.tell("admin",
              fmt::format("revoke 0x{}: {}", serial.to_hex(), done ? "done" : done.error().detail));
  if (!done || !ca_->runs()) return;
  oracle_.revoked(serial);
  ++figures_.revoked;
}

void Story::unrevoke(const x509::Serial& serial) {
  oracle_.tries_to_restore(serial);
  const auto done = ca_->server()->unrevoke(serial);
  world_.tell("admin", fmt::format("unrevoke 0x{}: {}", serial.to_hex(),
                                   done ? "done" : done.error().detail));
}

void Story::ask_for_crl() {
  ca_->server()->handle({"GET", fmt::format("/crl/{}.crl", server_name), {}}, [this](HttpReply r) {
    if (r.status == http_ok && ca_->runs()) oracle_.saw_crl(r.content(), "HTTP");
  });
}

/// A person at a client: authenticates what is not, and enrols what has stopped.
void Story::look_after(ClientHost& client, std::size_t i) {
  auto* const trustpoint = client.trustpoint(i);
  if (trustpoint == nullptr) return;
  const auto status = trustpoint->status();
  const auto ca = oracle_.newest_ca();
  if (!status.ca) {
    if (ca) client.authenticate(i, *ca);
    return;
  }
  if (status.identity && !chance_.one_in(6)) return;
  const auto begun = trustpoint->enroll();
  world_.tell("person", fmt::format("crypto pki enroll {}: {}", status.name,
                                    begun ? "begun" : begun.error().detail));
}

void Story::leaves(Peer& from, const HttpRequest& request, const HttpReply& reply) {
  if (reply.status != http_ok) return;
  if (request.target.find("operation=PKIOperation") != std::string::npos) {
    oracle_.left_server(reply.body);
    if (troubled_ && chance_.one_in(60))
      dynamic_cast<Host&>(from).lose_power("as an answer leaves", some_outage());
    if (&from != ca_.get()) ++figures_.by_ras;
  } else if (&from != ca_.get()) {
    return;  // an RA hands out what it knows
  } else if (request.target.find("operation=GetCACert") != std::string::npos) {
    const auto received = scep::parse_ca_cert(reply.body);
    if (!received) return oracle_.violated("ca", "answers GetCACert with what does not parse");
    for (const auto& one : *received) {
      if (one.is_ca()) oracle_.saw_ca(one);
    }
  } else if (request.target.find("operation=GetNextCACert") != std::string::npos) {
    const auto ca = oracle_.newest_ca();
    const auto received =
        ca ? scep::parse_next_ca_cert(reply.body, {*ca}) : Result<std::vector<x509::Certificate>>{};
    if (!received) return;
    for (const auto& one : *received) {
      if (one.is_ca() && !(one == *ca)) oracle_.saw_next_ca(one);
    }
  }
}

// -- calm -----------------------------------------------------------------------------------------

/// Why this one does not have what it should have; empty: it has.
std::string Story::ailing(ClientHost& client, std::size_t i) {
  auto* const trustpoint = client.trustpoint(i);
  if (trustpoint == nullptr) return "it does not run";
  const auto ca = ca_->runs() ? ca_->server()->status().ca : std::nullopt;
  if (!ca || ca_->server()->status().status != "enabled") return "the certificate server is not up";
  const auto status = trustpoint->status();
  const Time now = to_time(world_.now());
  if (!status.ca || !(*status.ca == *ca)) return "it has another CA";
  if (!status.identity) return "it has no certificate";
  if (now < status.identity->not_before() || now >= status.identity->not_after())
    return "its certificate is not valid";
  if (!status.identity->verify_signed_by(ca->public_key()))
    return "its certificate is another CA's";
  const auto row = ca_->store()->certificate(server_name, status.identity->serial());
  if (!row || !*row || (*row)->revoked_at) return "its certificate is revoked";
  return {};
}

/// In: `anew` = the request under way has waited for long enough.
void Story::mend(ClientHost& client, std::size_t i, bool anew) {
  const std::string why = ailing(client, i);
  auto* const trustpoint = client.trustpoint(i);
  if (why.empty() || trustpoint == nullptr) return;
  const auto status = trustpoint->status();
  const auto ca = ca_->runs() ? ca_->server()->status().ca : std::nullopt;
  if (!ca) return;
  world_.tell("person", fmt::format("{}: {}", status.name, why));
  // Its clock was ahead, and it has switched over early: the CA will follow.
  if (status.ca && oracle_.follows(*status.ca, *ca)) return;
  if (!status.ca || !(*status.ca == *ca)) return client.authenticate(i, *ca);
  if (status.pending && !anew) return;  // it is granted now, and fetched by a poll
  trustpoint->cancel([](const Result<void>&) {});
  if (why == "its certificate is revoked" && client.ra() != nullptr) {
    // A registration authority's keys live with it: the revocation is taken back.
    const auto serial = status.identity->serial();
    world_.post_on(*ca_, milliseconds{0}, [this, serial] {
      if (ca_->runs()) unrevoke(serial);
    });
    return;
  }
  if (why == "its certificate is revoked") trustpoint->zeroize([](const auto&) {});
  world_.post(&client, seconds{anew ? 30 : 1}, [&client, i] {
    if (auto* const one = client.trustpoint(i)) static_cast<void>(one->enroll());
  });
}

/// The same request again would be rejected again, there too.
void Story::forget_refused_at_ra() {
  for (auto& client : clients_) {
    world_.post_on(*client, milliseconds{0}, [&client] {
      if (client->ra() == nullptr) return;
      const auto requests = client->ra()->requests();
      if (!requests) return;
      for (const auto& request : *requests) {
        if (client->ra() != nullptr && request.state == "rejected")
          static_cast<void>(client->ra()->remove(request.id));
      }
    });
  }
}

void Story::heal() {
  world_.tell("world", "NO MORE FAULTS");
  troubled_ = false;
  network_.faults_per_mille = 0;
  for (Host* host : hosts_) {
    host->disk().mend();
    host->set_clock(milliseconds{0});
    host->set_clock_known(true);
    world_.post_on(*host, milliseconds{0}, [host] { host->start(); });
  }
  // Letters of then are still under way; and a timer may be doubled up to some days.
  constexpr int rounds = 60;
  std::string why;
  for (int round = 0; round < rounds; ++round) {
    world_.run_until(world_.now() + (round < 6 ? minutes{20} : hours{3}));
    why.clear();
    for (auto& client : clients_) {
      for (std::size_t i = 0; i < client->size() && why.empty(); ++i) {
        if (const auto one = ailing(*client, i); !one.empty())
          why = fmt::format("{} {}: {}", client->name(), i + 1, one);
      }
    }
    if (why.empty()) return;
    // Nobody asked for another next CA in time, having taken one back: nothing follows then.
    if (oracle_.cancelled_any() && ca_->runs() &&
        ca_->server()->status().status.find("expired") != std::string::npos)
      return;
    world_.post_on(*ca_, milliseconds{0}, [this] {
      if (ca_->runs()) grant();
    });
    forget_refused_at_ra();
    for (auto& client : clients_) {
      for (std::size_t i = 0; i < client->size(); ++i)
        world_.post_on(*client, milliseconds{0},
                       [this, &client, i, anew = round % 8 == 7] { mend(*client, i, anew); });
    }
  }
  oracle_.violated("world", "it does not become sound again: " + why);
}

/// What is on the disks, and nothing that was only in memory.
void Story::look_once_more() {
  for (Host* host : hosts_) {
    world_.post_on(*host, milliseconds{0}, [host] { host->lose_power("at the end", seconds{1}); });
  }
  world_.run_until(world_.now() + seconds{10});
  for (Host* host : hosts_) {
    if (!host->runs()) oracle_.violated(host->name(), "does not run at the end");
  }
}

Outcome Story::outcome() {
  Outcome out;
  out.violations = oracle_.violations();
  out.story = world_.story();
  Figures& f = figures_;
  f.stories = 1;
  f.ras = plan_.has_ra ? 1 : 0;
  f.events = world_.events();
  f.days = static_cast<std::uint64_t>(
      std::chrono::floor<Days>(world_.now() - Instant{beginning}).count());
  for (Host* host : hosts_) {
    const auto& disk = host->disk().counts();
    f.starts += host->starts();
    f.crashes += disk.crashes;
    f.torn += disk.torn;
    f.changes += disk.changes;
    f.syncs += disk.syncs;
    f.last_changes += disk.last;
    const auto failed = [&disk](Disk::Call call) {
      return disk.errors[static_cast<std::size_t>(call)];
    };
    f.failed_reads += failed(Disk::Call::read);
    f.failed_writes += failed(Disk::Call::write);
    f.failed_syncs += failed(Disk::Call::sync);
    f.failed_others += failed(Disk::Call::other);
    f.disk_full += disk.full;
    world_.mix(disk.changes);
    world_.mix(disk.syncs);
    for (const auto& [name, octets] : host->disk().image()) {
      for (const auto octet : x509::hash(x509::Digest::sha256, octets)) world_.mix(octet);
    }
  }
  const auto& net = network_.counts();
  f.messages = net.sent;
  f.lost = net.lost;
  f.doubled = net.doubled;
  f.damaged = net.damaged;
  f.late = net.late;
  f.certificates = oracle_.told().size();
  f.cas = oracle_.cas();
  out.figures = f;
  out.digest = world_.digest();
  return out;
}

}  // namespace

void Figures::add(const Figures& other) {
  // All of them are numbers of the same kind, one after another.
  static_assert(sizeof(Figures) % sizeof(std::uint64_t) == 0);
  auto* const mine = reinterpret_cast<std::uint64_t*>(this);
  const auto* const theirs = reinterpret_cast<const std::uint64_t*>(&other);
  for (std::size_t i = 0; i < sizeof(Figures) / sizeof(std::uint64_t); ++i) mine[i] += theirs[i];
}

Outcome play(std::uint64_t seed, const std::string& directory, const Disk::Image& fresh,
             bool tells) {
  return Story(seed, directory, fresh, tells).tell();
}

}  // namespace umbra::simulation
