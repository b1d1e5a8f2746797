#include "simulation/hosts.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "simulation/vfs.h"

namespace umbra::simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// Of the random kind, which is opened with fewer rounds.
constexpr auto passphrase = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
// io::Driver waits 5 s; what is tried in vain need not be tried so often here.
constexpr milliseconds driver_pause{60'000};

}  // namespace

class Host::HostLog final : public Log {
 public:
  explicit HostLog(Host& host) : host_(host) {}
  void event(const LogEvent& event) override {
    if (host_.world_.tells() && host_.disk_.on()) host_.world_.tell(host_.name_, to_string(event));
  }
  void debug(std::string_view, std::string_view) override {}

 private:
  Host& host_;
};

class Host::HostRandom final : public Random {
 public:
  explicit HostRandom(Chance chance) : chance_(chance) {}
  void fill(std::span<std::uint8_t> out) override { chance_.fill(out); }

 private:
  Chance chance_;
};

Host::Host(World& world, Oracle& oracle, std::string name, const std::string& directory,
           Chance chance)
    : Peer(world, std::move(name)),
      oracle_(oracle),
      chance_(chance),
      disk_(Chance(chance_.below(~std::uint64_t{0}), 2)),
      clock_(world),
      directory_(directory + "/" + name_),
      path_(directory_ + "/umbra.db"),
      log_(std::make_unique<HostLog>(*this)),
      random_(std::make_unique<HostRandom>(Chance(chance_.below(~std::uint64_t{0}), 3))) {
  mount(directory_, &disk_);
  disk_.died = [this] {
    went_dark("at its last change", down_for ? down_for() : milliseconds{1000});
  };
  if (world.tells()) {
    disk_.tell = [this](const std::string& what) { world_.tell(name_, "disk: " + what); };
  }
}

Host::~Host() { mount(directory_, nullptr); }

void Host::take_apart() {
  runs_ = false;
  disk_.crash();
  bury();
}

milliseconds Host::turn() { return milliseconds{chance_.below(12)}; }

void Host::post(milliseconds delay, std::function<void()> task) {
  world_.post(this, delay, std::move(task));
}

bool Host::write() {
  UMBRA_ENSURE(!writing_, "who commits does not wait for a commit");
  if (writers_.empty()) return false;
  const auto task = std::move(writers_.front());
  writers_.pop_front();
  writing_ = true;
  task();
  writing_ = false;
  return true;
}

bool Host::idle() { return write(); }

void Host::start() {
  if (runs_) return;
  bury();
  disk_.power_on();
  ++process_;
  const std::uint64_t epoch = disk_.epoch();
  runs_ = true;
  const std::uint64_t failed = disk_.counts().failed();
  const auto opened = [&]() -> Result<void> {
    UMBRA_TRY(store_, store::open_sqlite(path_, [this](std::function<void()> task) {
                writers_.push_back(std::move(task));
                post(turn(), [this] { write(); });
              }));
    return open();
  }();
  if (disk_.epoch() != epoch) return;  // it died while it started
  world_.tell(name_, opened ? "runs" : "does not start: " + opened.error().detail);
  if (opened) {
    ++starts_;
    failed_starts_ = 0;
    disk_.spared = true;
    check();
    disk_.spared = false;
    if (started) started();
    return;
  }
  if (disk_.counts().failed() == failed)
    oracle_.violated(name_, "it does not start: " + opened.error().detail);
  end_process();
  // Whoever starts it tries less often after a while.
  constexpr unsigned doublings = 6;
  const seconds wait{30 << std::min(failed_starts_++, doublings)};
  world_.post_on(*this, wait, [this] { start(); });
}

void Host::set_clock(milliseconds ahead) {
  if (clock_.ahead == ahead) return;
  clock_.ahead = ahead;
  world_.tell(name_, fmt::format("CLOCK is at {}", to_rfc3339(to_time(clock_.now()))));
  look_at_clock();
}

void Host::set_clock_known(bool known) {
  if (clock_.known == known) return;
  clock_.known = known;
  world_.tell(name_, known ? "CLOCK is known" : "CLOCK is not known");
  look_at_clock();
}

/// As io::Driver does when it is told of a step.
void Host::look_at_clock() {
  if (runs_) post(turn(), [this] { run_all(); });
}

/// What a process leaves when it is gone at once: nothing. Its objects are taken apart here, and
/// none of that reaches disk or network.
void Host::bury() {
  while (write()) {
  }
  drop();
  store_.reset();
  writers_.clear();
}

void Host::end_process() {
  runs_ = false;
  bury();
}

void Host::lose_power(const std::string& why, milliseconds down) {
  if (!runs_) return;
  disk_.crash();
  went_dark(why, down);
}

/// The process goes on to the end of what it does just now, and nothing of that reaches anybody.
void Host::went_dark(const std::string& why, milliseconds down) {
  runs_ = false;
  world_.tell(name_, fmt::format("POWER LOST {}, for {} s", why,
                                 std::chrono::floor<seconds>(down).count()));
  world_.post_on(*this, milliseconds{0}, [this] { bury(); });
  world_.post_on(*this, down, [this] { start(); });
}

void Host::restart(milliseconds down) {
  if (!runs_) return;
  world_.tell(name_, "is stopped");
  const std::uint64_t epoch = disk_.epoch();
  close_in_order();
  if (disk_.epoch() != epoch) return;  // it died of it
  end_process();
  world_.post_on(*this, down, [this] { start(); });
}

std::optional<Instant> Turn::next(const std::vector<lifecycle::Deadline>& deadlines,
                                  milliseconds ahead) {
  if (deadlines.empty()) return std::nullopt;
  const Instant at = Instant{deadlines.front().at} - ahead;
  const Instant held = ran_for_ == deadlines.front() ? not_before_ : Instant{};
  return std::max({at, held, failed_until_});
}

void Turn::ran(Instant now, const std::vector<lifecycle::Deadline>& before, bool done) {
  ran_for_.reset();
  if (!before.empty()) ran_for_ = before.front();
  not_before_ = now + driver_pause;
  failed_until_ = done ? Instant{} : now + driver_pause;
}

// -- server ---------------------------------------------------------------------------------------

class ServerHost::Files final : public server::FileSink {
 public:
  explicit Files(ServerHost& host) : host_(host) {}
  server::Delivery deliver(const config::FilePlace&,
                           const std::vector<server::PublishedFile>& files,
                           const std::atomic<bool>&) override {
    if (!host_.runs_) return {0, Error{Errc::storage, "the machine is off"}};
    for (const auto& file : files) {
      host_.world_.tell(host_.name_, "publishes " + file.name);
      if (file.name.ends_with(".crl")) host_.oracle_.saw_crl(file.content, file.name);
    }
    return {files.size(), std::nullopt};
  }

 private:
  ServerHost& host_;
};

ServerHost::ServerHost(World& world, Oracle& oracle, const std::string& directory, Chance chance,
                       config::Server configuration)
    : Host(world, oracle, "ca", directory, chance),
      configuration_(std::move(configuration)),
      files_(std::make_unique<Files>(*this)) {}

ServerHost::~ServerHost() { take_apart(); }

Result<void> ServerHost::open() {
  UMBRA_TRY(server_,
            server::CertificateServer::open(
                configuration_, true,
                {.store = *store_,
                 .clock = clock_,
                 .random = *random_,
                 .log = *log_,
                 .files = *files_,
                 .key_passphrase = passphrase,
                 .publish = [this] { publish_soon(); },
                 .post = [this](std::function<void()> task) { post(turn(), std::move(task)); }}));
  turn_ = Turn{};
  publishing_ = false;
  post(turn(), [this] { run_all(); });
  publish_soon();
  return {};
}

bool ServerHost::run() {
  const auto done = server_->run_due();
  if (!done && runs_) world_.tell(name_, "what is due could not be done: " + done.error().detail);
  if (runs_) oracle_.saw_status(server_->status());
  return done.has_value();
}

void ServerHost::run_all() { turn_.ran(world_.now(), {}, run()); }

std::optional<Instant> ServerHost::wakes() {
  if (!server_) return std::nullopt;
  return turn_.next(server_->deadlines(), clock_.ahead);
}

void ServerHost::wake() {
  const auto before = server_->deadlines();
  turn_.ran(world_.now(), before, run());
}

void ServerHost::publish_soon() {
  if (std::exchange(publishing_, true)) return;
  post(milliseconds{chance_.between(1, 3000)}, [this] { publish(); });
}

void ServerHost::publish() {
  publishing_ = false;
  for (std::size_t place = 0; place < server_->places(); ++place) {
    const auto again = server_->publish(place);
    if (!again || std::exchange(publishing_, true)) continue;
    const auto wait = std::max<milliseconds>(Instant{*again} - clock_.now(), seconds{1});
    post(wait, [this] { publish(); });
  }
}

void ServerHost::handle(const HttpRequest& request, HttpDone done) {
  if (server_) server_->handle(request, std::move(done));
}

void ServerHost::close_in_order() { static_cast<void>(server_->close()); }
void ServerHost::drop() { server_.reset(); }
void ServerHost::check() { oracle_.check_server(*store_, configuration_.name); }

// -- client ---------------------------------------------------------------------------------------

class ClientHost::Transport final : public HttpTransport {
 public:
  Transport(ClientHost& host, Network& network) : host_(host), network_(network) {}
  void send(HttpCall call, HttpAnswered answered) override {
    if (host_.runs_) network_.send(host_, std::move(call), std::move(answered));
  }

 private:
  ClientHost& host_;
  Network& network_;
};

class ClientHost::Outlet final : public client::NoOutlet {
 public:
  explicit Outlet(ClientHost& host) : host_(host) {}
  Result<void> publish_pem(std::string_view, const config::Storage& storage,
                           const client::PemFiles& files) override {
    if (!host_.runs_) return fail(Errc::storage, "the machine is off");
    host_.oracle_.saw_pem(host_.name_ + ":" + storage.path, files.active);
    return {};
  }
  void run(client::Hook, std::function<void(Result<void>)> ended) override {
    if (!host_.runs_) return;
    host_.post(seconds{1}, [ended = std::move(ended)] { ended({}); });
  }

 private:
  ClientHost& host_;
};

/// A registration authority publishes nothing.
class ClientHost::NoFiles final : public server::FileSink {
 public:
  server::Delivery deliver(const config::FilePlace&,
                           const std::vector<server::PublishedFile>& files,
                           const std::atomic<bool>&) override {
    return {files.size(), std::nullopt};
  }
};

ClientHost::ClientHost(World& world, Oracle& oracle, Network& network, std::string name,
                       const std::string& directory, Chance chance,
                       std::vector<config::Trustpoint> configurations,
                       std::optional<config::Server> ra)
    : Host(world, oracle, std::move(name), directory, chance),
      configurations_(std::move(configurations)),
      transport_(std::make_unique<Transport>(*this, network)),
      outlet_(std::make_unique<Outlet>(*this)),
      ra_configuration_(std::move(ra)),
      no_files_(std::make_unique<NoFiles>()) {}

ClientHost::~ClientHost() { take_apart(); }

client::Trustpoint* ClientHost::trustpoint(std::size_t i) {
  return runs_ && i < trustpoints_.size() ? trustpoints_[i].get() : nullptr;
}

Result<void> ClientHost::open_ra() {
  ra_turn_ = Turn{};
  if (!ra_configuration_) return {};
  UMBRA_TRY(ra_, server::CertificateServer::open(*ra_configuration_, true,
                                                 {.store = *store_,
                                                  .clock = clock_,
                                                  .random = *random_,
                                                  .log = *log_,
                                                  .files = *no_files_,
                                                  .key_passphrase = passphrase,
                                                  .transport = transport_.get(),
                                                  .post = [this](std::function<void()> task) {
                                                    post(turn(), std::move(task));
                                                  }}));
  return {};
}

bool ClientHost::run_ra() {
  const auto done = ra_->run_due();
  if (!done && runs_) world_.tell(name_, "what is due could not be done: " + done.error().detail);
  return done.has_value();
}

void ClientHost::handle(const HttpRequest& request, HttpDone done) {
  if (ra_) ra_->handle(request, std::move(done));
}

Result<void> ClientHost::open() {
  trustpoints_.clear();
  UMBRA_CHECK(open_ra());
  for (const auto& configuration : configurations_) {
    UMBRA_TRY(
        auto opened,
        client::Trustpoint::open(
            configuration,
            {.store = *store_,
             .clock = clock_,
             .random = *random_,
             .log = *log_,
             .transport = *transport_,
             .outlet = *outlet_,
             .post = [this](std::function<void()> task) { post(milliseconds{0}, std::move(task)); },
             .changed =
                 [this] {
                   if (ra_) ra_->upstream_changed();
                 },
             .key_passphrase = passphrase,
             .fqdn = name_ + ".example",
             .board_serial = "67109104"}));
    trustpoints_.push_back(std::move(opened));
  }
  turns_.assign(configurations_.size(), Turn{});
  run_all();
  return {};
}

void ClientHost::run_all() {
  for (std::size_t i = 0; i < trustpoints_.size(); ++i) {
    post(turn(), [this, i] {
      trustpoints_[i]->run_due();
      turns_[i].ran(world_.now(), {}, true);
    });
  }
  if (ra_) post(turn(), [this] { ra_turn_.ran(world_.now(), {}, run_ra()); });
}

std::optional<Instant> ClientHost::wakes() {
  std::optional<Instant> soonest;
  for (std::size_t i = 0; i < trustpoints_.size(); ++i) {
    const auto next = turns_[i].next(trustpoints_[i]->deadlines(), clock_.ahead);
    if (next && (!soonest || *next < *soonest)) soonest = next;
  }
  const auto next = ra_ ? ra_turn_.next(ra_->deadlines(), clock_.ahead) : std::nullopt;
  if (next && (!soonest || *next < *soonest)) soonest = next;
  return soonest;
}

void ClientHost::wake() {
  for (std::size_t i = 0; i < trustpoints_.size(); ++i) {
    const auto before = trustpoints_[i]->deadlines();
    const auto next = turns_[i].next(before, clock_.ahead);
    if (!next || *next > world_.now()) continue;
    trustpoints_[i]->run_due();
    turns_[i].ran(world_.now(), before, true);
  }
  if (!ra_) return;
  const auto before = ra_->deadlines();
  const auto next = ra_turn_.next(before, clock_.ahead);
  if (next && *next <= world_.now()) ra_turn_.ran(world_.now(), before, run_ra());
}

void ClientHost::authenticate(std::size_t i, const x509::Certificate& genuine) {
  const auto trustpoint = runs_ && i < trustpoints_.size() ? trustpoints_[i] : nullptr;
  if (!trustpoint) return;
  trustpoint->fetch_ca([this, i, genuine, process = process_](Result<x509::Certificate> shown) {
    if (!runs_ || process != process_) return;
    if (!shown || !(*shown == genuine)) return;
    trustpoints_[i]->accept_ca(*shown, [](const Result<void>&) {});
  });
}

void ClientHost::close_in_order() {
  if (ra_) static_cast<void>(ra_->close());
}

void ClientHost::drop() {
  trustpoints_.clear();
  ra_.reset();
}

void ClientHost::check() {
  for (const auto& trustpoint : trustpoints_)
    oracle_.saw_client(name_, trustpoint->status(), to_time(clock_.now()));
}

}  // namespace umbra::simulation
