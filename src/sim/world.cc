#include "sim/world.h"

#include <algorithm>

#include "base/assert.h"

namespace umbra::sim {
namespace {

// Of the random kind, which is opened with fewer rounds: a world has many keys.
constexpr const char* passphrase = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

}  // namespace

class World::WorldLog final : public Log {
 public:
  explicit WorldLog(World& world) : world_(world) {}
  void event(const LogEvent& event) override { keep(to_string(event)); }
  void debug(std::string_view category, std::string_view text) override {
    keep(std::string(category) + ": " + std::string(text));
  }

 private:
  void keep(std::string text) {
    const std::lock_guard lock(world_.mutex_);
    world_.log_.push_back({world_.clock_.now(), std::move(text)});
  }
  World& world_;
};

class World::Network final : public HttpTransport {
 public:
  explicit Network(World& world) : world_(world) {}

  void send(HttpCall call, HttpAnswered answered) override {
    constexpr std::string_view scheme = "http://";
    UMBRA_ENSURE(call.url.starts_with(scheme), "a world speaks plain HTTP");
    const std::size_t path = std::min(call.url.find('/', scheme.size()), call.url.size());
    std::string host = call.url.substr(scheme.size(), path - scheme.size());
    HttpRequest request{call.method, path < call.url.size() ? call.url.substr(path) : "/",
                        std::move(call.body)};
    const std::size_t index = world_.calls_.size();
    world_.calls_.push_back(
        {world_.clock_.now(), host, request.method, request.target, request.body, 0});
    world_.begin();
    world_.post([this, host = std::move(host), request = std::move(request),
                 answered = std::move(answered),
                 index] { deliver(host, request, answered, index); });
  }

 private:
  void deliver(const std::string& host, const HttpRequest& request, const HttpAnswered& answered,
               std::size_t index) {
    const auto entry =
        std::find_if(world_.servers_.begin(), world_.servers_.end(), [&](const auto& candidate) {
          return candidate->host == host && candidate->server && candidate->http_enabled;
        });
    if (entry == world_.servers_.end() || world_.cut_.contains(host)) {
      answered(fail(Errc::unreachable, "connection refused: " + host));
      world_.end();
      return;
    }
    (*entry)->server->handle(request, [this, answered, index](HttpReply reply) {
      if (reply.shared) reply.body = *std::exchange(reply.shared, nullptr);
      world_.post([this, answered, index, reply = std::move(reply)] {
        world_.calls_[index].status = reply.status;
        answered(reply);
        world_.end();
      });
    });
  }
  World& world_;
};

class World::Files final : public server::FileSink {
 public:
  explicit Files(World& world) : world_(world) {}
  server::Delivery deliver(const config::FilePlace&,
                           const std::vector<server::PublishedFile>& files,
                           const std::atomic<bool>&) override {
    for (const auto& file : files) world_.files_[file.name] = file.content;
    return {files.size(), std::nullopt};
  }

 private:
  World& world_;
};

class World::PemOutlet final : public client::NoOutlet {
 public:
  explicit PemOutlet(World& world) : world_(world) {}
  Result<void> publish_pem(std::string_view, const config::Storage& storage,
                           const client::PemFiles& files) override {
    world_.published_[storage.path] = files.active;
    return {};
  }
  Result<void> withdraw_pem(std::string_view, const config::Storage& storage,
                            const client::IsOurs&) override {
    world_.published_.erase(storage.path);
    return {};
  }
  void run(client::Hook hook, std::function<void(Result<void>)> ended) override {
    {
      const std::lock_guard lock(world_.mutex_);
      world_.log_.push_back(
          {world_.clock_.now(), "exec for " + hook.trustpoint + ": " + hook.command});
    }
    ended({});
  }

 private:
  World& world_;
};

World::World(std::string directory, Time start, std::uint64_t seed)
    : directory_(std::move(directory)),
      clock_(start),
      random_(seed),
      log_sink_(std::make_unique<WorldLog>(*this)),
      network_(std::make_unique<Network>(*this)),
      file_sink_(std::make_unique<Files>(*this)),
      outlet_(std::make_unique<PemOutlet>(*this)) {
  open_store();
}

World::~World() {
  settle();
  trustpoints_.clear();
  servers_.clear();
}

void World::open_store() {
  auto real = store::open_sqlite(directory_ + "/umbra.db");
  UMBRA_ENSURE(real, "a world's store opens");
  store_ = std::make_unique<TrackedStore>(
      *std::move(real), [this] { begin(); }, [this] { end(); });
}

void World::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  wake_.notify_all();
}

void World::begin() {
  const std::lock_guard lock(mutex_);
  ++in_flight_;
}

void World::end() {
  const std::lock_guard lock(mutex_);
  UMBRA_ENSURE(in_flight_ > 0, "what ends has begun");
  --in_flight_;
  wake_.notify_all();
}

void World::run_one(std::unique_lock<std::mutex>& lock) {
  auto task = std::move(tasks_.front());
  tasks_.pop_front();
  lock.unlock();
  task();
  lock.lock();
}

void World::settle() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !tasks_.empty() || in_flight_ == 0; });
    if (tasks_.empty()) return;
    run_one(lock);
  }
}

void World::open(ServerEntry& entry) {
  auto opened = server::CertificateServer::open(
      entry.configuration, entry.http_enabled,
      {*store_,
       clock_,
       random_,
       *log_sink_,
       *file_sink_,
       passphrase,
       {},
       {},
       [this](const std::string& name) { return trustpoint(name).enroll(); },
       network_.get(),
       [this](std::function<void()> task) { post(std::move(task)); },
       nullptr,
       [this](const std::string& name) {
         return std::any_of(trustpoints_.begin(), trustpoints_.end(), [&name](const auto& one) {
           return one->trustpoint && one->configuration.name == name &&
                  one->trustpoint->contradicts_pin();
         });
       }});
  UMBRA_ENSURE(opened, "a world's server opens");
  entry.server = *std::move(opened);
}

void World::open(TrustpointEntry& entry) {
  auto opened = client::Trustpoint::open(
      entry.configuration, {.store = *store_,
                            .clock = clock_,
                            .random = random_,
                            .log = *log_sink_,
                            .transport = *network_,
                            .outlet = *outlet_,
                            .post = [this](std::function<void()> task) { post(std::move(task)); },
                            .changed = [this, name = entry.configuration.name] { changed(name); },
                            .key_passphrase = passphrase,
                            .fqdn = entry.fqdn,
                            .board_serial = "67109104"});
  UMBRA_ENSURE(opened, "a world's trustpoint opens");
  entry.trustpoint = *std::move(opened);
}

server::CertificateServer& World::add_server(const config::Server& configuration,
                                             const std::string& host, bool http_enabled) {
  auto& entry = servers_.emplace_back(
      std::make_unique<ServerEntry>(ServerEntry{configuration, host, http_enabled, nullptr}));
  open(*entry);
  run_due();
  return *entry->server;
}

client::Trustpoint& World::add_trustpoint(const config::Trustpoint& configuration,
                                          const std::string& fqdn) {
  auto& entry = trustpoints_.emplace_back(
      std::make_unique<TrustpointEntry>(TrustpointEntry{configuration, fqdn, nullptr}));
  open(*entry);
  run_due();
  return *entry->trustpoint;
}

server::CertificateServer& World::server(const std::string& name) {
  for (auto& entry : servers_) {
    if (entry->configuration.name == name) return *entry->server;
  }
  ensure_failed("server", "no such server in this world", __FILE__, __LINE__);
}

client::Trustpoint& World::trustpoint(const std::string& name) {
  for (auto& entry : trustpoints_) {
    if (entry->configuration.name == name) return *entry->trustpoint;
  }
  ensure_failed("trustpoint", "no such trustpoint in this world", __FILE__, __LINE__);
}

std::optional<lifecycle::Deadline> World::next_deadline() const {
  std::optional<lifecycle::Deadline> soonest;
  const auto consider = [&soonest](const std::vector<lifecycle::Deadline>& deadlines) {
    if (!deadlines.empty() && (!soonest || deadlines.front() < *soonest))
      soonest = deadlines.front();
  };
  for (const auto& entry : servers_) consider(entry->server->deadlines());
  for (const auto& entry : trustpoints_) consider(entry->trustpoint->deadlines());
  return soonest;
}

void World::run_due() {
  // Servers before clients: what a client finds at an instant does not depend on who was asked
  // first.
  for (auto& entry : servers_) {
    // What could not be done is in the log already, and is tried again at the next deadline.
    static_cast<void>(entry->server->run_due());
    settle();
    for (std::size_t place = 0; place < entry->server->places(); ++place)
      static_cast<void>(entry->server->publish(place));
    settle();
  }
  for (auto& entry : trustpoints_) {
    entry->trustpoint->run_due();
    settle();
  }
  // What a trustpoint has just been given is its certificate server's at the same instant.
  for (auto& entry : servers_) {
    const auto deadlines = entry->server->deadlines();
    if (deadlines.empty() || deadlines.front().at > to_time(clock_.now())) continue;
    static_cast<void>(entry->server->run_due());
    settle();
  }
}

void World::changed(const std::string& trustpoint) {
  for (auto& entry : servers_) {
    if (entry->server && entry->configuration.name == trustpoint) entry->server->upstream_changed();
  }
}

void World::run_until(Time until) {
  settle();
  for (;;) {
    const auto next = next_deadline();
    if (!next || next->at > until) break;
    const Instant before = clock_.now();
    if (Instant{next->at} > before) {
      clock_.set(next->at);
    } else {
      // Somebody's deadline has passed and stays: run it a second later, or time would stand still
      // for ever.
      clock_.set(before + std::chrono::seconds{1});
      if (to_time(clock_.now()) > until) break;
    }
    run_due();
  }
  clock_.set(until);
  run_due();
}

void World::restart(Time at) {
  settle();
  for (auto& entry : trustpoints_) entry->trustpoint.reset();
  for (auto& entry : servers_) entry->server.reset();
  store_.reset();
  clock_.set(at);
  open_store();
  for (auto& entry : servers_) open(*entry);
  for (auto& entry : trustpoints_) open(*entry);
  run_due();
}

}  // namespace umbra::sim
