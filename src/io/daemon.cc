#include "io/daemon.h"

#include <fmt/format.h>
#include <signal.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>

#include "client/keys.h"
#include "client/trustpoint.h"
#include "config/config.h"
#include "console/exec.h"
#include "io/admission.h"
#include "io/audit_log.h"
#include "io/backup.h"
#include "io/clock.h"
#include "io/console_door.h"
#include "io/driver.h"
#include "io/exec_socket.h"
#include "io/file_places.h"
#include "io/files.h"
#include "io/findings.h"
#include "io/http_client.h"
#include "io/http_door.h"
#include "io/idle_memory.h"
#include "io/live_configuration.h"
#include "io/log.h"
#include "io/notify.h"
#include "io/outlet.h"
#include "io/privacy.h"
#include "io/privileges.h"
#include "io/publishing.h"
#include "io/random.h"
#include "io/site.h"
#include "io/spread_transport.h"
#include "io/storage_places.h"
#include "plan/check.h"
#include "store/store.h"

namespace umbra::io {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds seconds_for_last_files{5};

/// As systemd counts it, to know a reload from the one before.
std::int64_t monotonic_microseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void complain(const std::string& text) { fmt::print(stderr, "umbrad: {}\n", text); }

OwnPlaces own_places(const DaemonOptions& options) {
  return {options.data_directory, options.config_path, options.passphrase_file,
          options.socket_path};
}

Result<std::unique_ptr<Clock>> make_clock(const DaemonOptions& options, bool calendar_valid) {
  if (options.time_lapse.empty())
    return std::unique_ptr<Clock>(std::make_unique<SystemClock>(calendar_valid));
  UMBRA_TRY(auto lapse, LapseClock::parse(options.time_lapse));
  return std::unique_ptr<Clock>(std::make_unique<LapseClock>(lapse));
}

/// Everything one daemon is made of, in the order it is built; taken down in the reverse.
class Daemon {
 public:
  Daemon(const DaemonOptions& options, std::shared_ptr<const config::Parsed> parsed,
         std::string file, std::unique_ptr<Clock> clock, std::vector<RefusedPlace> refused)
      : options_(options),
        parsed_(std::move(parsed)),
        file_(std::move(file)),
        clock_(std::move(clock)),
        stderr_(*clock_, parsed_->configuration.zone, options.debug, monitor_),
        publishing_(*clock_),
        cores_(std::max(2U, std::thread::hardware_concurrency())),
        workers_(cores_),
        life_(cores_) {
    outlet_.refuse(std::move(refused));
  }

  Result<void> open() {
    UMBRA_CHECK(make_directory(options_.data_directory));
    UMBRA_TRY(lock_, DirectoryLock::take(options_.data_directory));
    remove_abandoned_drafts(options_.data_directory, "");
    std::error_code none;
    if (std::filesystem::exists(options_.data_directory + "/" + restoring_directory, none)) {
      return fail(Errc::conflict,
                  options_.data_directory +
                      ": a restore into it was broken off; empty it, and restore again");
    }
    auto plan = tell_findings(*parsed_, options_.config_path, log_);
    UMBRA_TRY(const auto kept, kept_passphrase(options_.data_directory, options_.passphrase_file));
    if (!kept && std::filesystem::exists(options_.data_directory + "/umbra.db", none)) {
      // A new one would open none of the keys that are there.
      return fail(Errc::not_found,
                  fmt::format("{0}/passphrase is missing, and {0}/umbra.db is there: put back the "
                              "passphrase that sealed its keys, or say where it is with "
                              "--passphrase-file",
                              options_.data_directory));
    }
    UMBRA_TRY(const Passphrase secret,
              passphrase(options_.data_directory, options_.passphrase_file, random_));
    if (secret.made) {
      log_.event({Severity::notice, "PASSPHRASE",
                  fmt::format("made {}: it seals the keys in the database; keep a copy of it apart "
                              "from the backup",
                              secret.origin),
                  "UMBRA"});
    }
    UMBRA_TRY(const std::string serial, board_serial(options_.data_directory, random_));
    UMBRA_TRY(store_, store::open_sqlite(options_.data_directory + "/umbra.db"));
    UMBRA_TRY(audit_, AuditLog::open(options_.data_directory, *clock_, stderr_, *store_));
    store_ = audited(std::move(store_), *audit_);
    log_.tell(audit_.get());
    UMBRA_CHECK(audit_->append(
        {{"CONFIGURATION",
          {{"file", options_.config_path},
           {"sha256", to_hex(x509::hash(x509::Digest::sha256, as_bytes(file_)))}}}}));
    keys_ = std::make_shared<client::KeyRing>(*store_, *clock_, log_, secret.text);
    name_what_is_kept();
    files_ = std::make_unique<FilePlaces>(options_.data_directory);
    door_ = std::make_unique<HttpDoor>(
        loop_, log_, [this](std::shared_ptr<const HttpRequest> request, HttpDone done) {
          at_rest_.disturb();
          admission_.admit(std::move(request), std::move(done));
        });
    site_ = std::make_unique<Site>(
        Surroundings{.store = *store_,
                     .clock = *clock_,
                     .random = random_,
                     .log = log_,
                     .files = *files_,
                     .transport = spread_,
                     .outlet = outlet_,
                     .publishing = publishing_,
                     .door = *door_,
                     .workers = workers_,
                     .life = life_,
                     .key_passphrase = secret.text,
                     .board_serial = serial,
                     .counters = counters_.get(),
                     .moved =
                         [this](const std::string& trustpoint) {
                           if (const auto driver = current_driver()) driver->changed(trustpoint);
                         },
                     .replaced = [this](const RosterPtr& roster) { follow(roster)->start(); }});
    return site_->open(parsed_, std::move(plan));
  }

  /// What is due from before the start is done before the first request is answered.
  Result<void> start() {
    const RosterPtr all = site_->roster();
    for (const auto& server : all->servers) {
      // What could not be done is logged, shown as the server's status, and tried again by the
      // driver.
      if (const auto done = server->run_due(); !done) {
        log_.event({Severity::error, "CS_START",
                    fmt::format("certificate server {}: {}", server->name(), done.error().detail)});
      }
    }
    watch_ = std::make_unique<ExpiryWatch>(
        *clock_, log_,
        [this] {
          std::vector<server::Status> statuses;
          for (const auto& server : site_->roster()->servers) statuses.push_back(server->status());
          return statuses;
        },
        [this] {
          std::vector<client::Status> statuses;
          for (const auto& one : site_->roster()->trustpoints) statuses.push_back(one->status());
          return statuses;
        });
    audit_->sign_with([this](bool before) {
      std::vector<AuditLog::Signer> out;
      for (const auto& server : site_->roster()->servers) {
        for (auto& one : server->signing_keys(before))
          out.push_back({server->name(), one.generation, std::move(one.key)});
      }
      return out;
    });
    live_ = std::make_unique<LiveConfiguration>(
        *site_, log_, life_, options_.config_path, file_, own_places(options_),
        [this](std::vector<RefusedPlace> places) { outlet_.refuse(std::move(places)); });
    const auto driver = follow(all);
    UMBRA_CHECK(door_->open(all->configuration(), !all->servers.empty()));
    UMBRA_CHECK(open_console());
    driver->start();
    for (const auto& server : all->servers) publishing_.start(server);
    log_.event({Severity::notice, "STARTED",
                fmt::format("umbrad {} runs {} certificate server(s) and {} trustpoint(s)",
                            options_.version, all->servers.size(), all->trustpoints.size()),
                "UMBRA"});
    notify("READY=1");
    return {};
  }

  void run() {
    signals_.async_wait([this](boost::system::error_code, int) { loop_.stop(); });
    asio::signal_set reload(loop_, SIGHUP);
    wait_for_reload(reload);
    at_rest_.disturb();
    for (;;) {
      try {
        loop_.run();
        return;
      } catch (const std::exception& thrown) {
        // A defect of ours or a library's, and one connection's end: not everybody's.
        log_.event({Severity::critical, "BROKEN",
                    std::string("broken invariant: ") + thrown.what() +
                        "; the connection was closed, umbrad goes on. Please report this",
                    "UMBRA"});
      }
    }
  }

  /// Out: false, if a file server keeps somebody who is to be ended with the process.
  [[nodiscard]] bool stop() {
    notify("STOPPING=1");
    log_.event({Severity::notice, "STOPPING", "umbrad is stopping", "UMBRA"});
    if (door_) door_->stop();
    if (const auto driver = current_driver()) driver->stop();
    transport_.stop();
    spread_.stop();
    workers_.join();
    // Before the pool that hears what became of it, and everybody who is told.
    const bool answered = outlet_.finish_within(seconds_for_last_files);
    life_.join();
    // What rested is published before the end; what cannot be sent stays in the outbox.
    if (files_) files_->finish_within(seconds_for_last_files);
    publishing_.stop();
    // While there are servers to sign with.
    log_.tell(nullptr);
    if (audit_) audit_->stop();
    if (site_) site_->close();
    console_.reset();
    if (console_door_) console_door_->close();
    if (!answered) {
      log_.event({Severity::warning, "STORAGE",
                  "a place that \"storage\" names does not answer: umbrad ends without it",
                  "UMBRA"});
      return false;
    }
    environment_.reset();
    door_.reset();
    driver_.reset();
    store_.reset();
    return true;
  }

 private:
  /// Whoever is asked is there until he has answered.
  void answer(const HttpRequest& request, HttpDone done) const {
    const RosterPtr all = site_->roster();
    // A queued request adds a deadline (ER EXPIRE), but one that lies far enough ahead for the
    // driver's next look.
    all->router.handle(request,
                       [all, done = std::move(done)](HttpReply reply) { done(std::move(reply)); });
  }

  [[nodiscard]] std::shared_ptr<Driver> current_driver() const {
    const std::lock_guard lock(mutex_);
    return driver_;
  }

  void poke() const {
    if (const auto driver = current_driver()) driver->poke();
  }

  /// Deadlines and screens are those of this roster from now on. Out: its driver, not started yet.
  std::shared_ptr<Driver> follow(const RosterPtr& roster) {
    const config::Configuration& configuration = roster->configuration();
    stderr_.set_zone(configuration.zone);
    admission_.set_wait_max(configuration.http_max_wait);
    if (auto* const system = dynamic_cast<SystemClock*>(clock_.get()))
      system->set_calendar_valid(configuration.calendar_valid);
    auto driver = std::make_shared<Driver>(loop_, life_, *clock_, roster->servers,
                                           roster->trustpoints, *watch_);
    auto environment = std::make_shared<const console::ExecEnvironment>(environment_of(*roster));
    std::shared_ptr<Driver> before;
    {
      const std::lock_guard lock(mutex_);
      before = std::exchange(driver_, driver);
      environment_ = std::move(environment);
    }
    if (before) before->stop();
    return driver;
  }

  [[nodiscard]] console::ExecEnvironment environment_of(const Roster& roster) {
    const config::Configuration& configuration = roster.configuration();
    console::ExecEnvironment environment{
        .clock = *clock_,
        .zone = configuration.zone,
        .version = options_.version,
        .hostname = configuration.hostname,
        .running_config = roster.parsed->running_config,
        .servers = {},
        .trustpoints = {},
        .load = {},
        .fetch = [this](const std::string& url, auto done) { fetch(url, std::move(done)); },
        .fqdn = configuration.fqdn(),
        .write = write_new,
        .shown = shown_,
        .keys = keys_,
        .destroy_server = [this](const std::string& name) { return site_->destroy(name); },
        .plan = plan::to_text(*roster.plan),
        .plan_json = plan::to_json(*roster.plan),
        .configurator = live_.get(),
        .saved = saved_,
        .monitor = monitor_,
        .counters = counters_,
        .started_at = started_at_,
        .config_file = options_.config_path,
        .audit =
            [this](const std::string& by, const std::string& line) {
              return audit_->append({{"COMMAND", {{"by", by}, {"line", line}}}});
            }};
    for (const auto& server : roster.servers)
      environment.servers.push_back(console::control(server));
    for (const auto& trustpoint : roster.trustpoints)
      environment.trustpoints.push_back(console::control(trustpoint));
    return environment;
  }

  Result<void> open_console() {
    const std::string path = options_.socket_path.empty() ? options_.data_directory + "/umbra.sock"
                                                          : options_.socket_path;
    console_door_ = std::make_unique<ConsoleDoor>(
        life_,
        [this] {
          const std::lock_guard lock(mutex_);
          return environment_;
        },
        [this] { poke(); });
    UMBRA_TRY(console_, ExecSocket::listen(loop_, path, [this](const Peer& peer) {
                return console_door_->open(peer);
              }));
    return {};
  }

  /// unix:/FILE, which is not there yet.
  static Result<void> write_new(const std::string& url, ByteView content) {
    constexpr std::string_view file = "unix:";
    if (!url.starts_with(file) || url.substr(file.size(), 1) != "/")
      return fail(Errc::unsupported, url + ": expected unix:/FILE; or show it on the terminal");
    const std::string path = url.substr(file.size());
    std::error_code error;
    if (std::filesystem::exists(std::filesystem::symlink_status(path, error)))
      return fail(Errc::conflict, path + ": there is such a file already");
    return write_file(path, content);
  }

  /// unix:/FILE or http://HOST/FILE; small things only.
  void fetch(const std::string& url, std::function<void(Result<Bytes>)> done) {
    constexpr std::string_view file = "unix:";
    constexpr std::size_t octets_max = 64 * 1024;
    if (url.starts_with(file)) {
      const std::string path = url.substr(file.size());
      std::error_code error;
      // A pipe without a writer would keep the console, and then the end of the daemon, waiting.
      if (!std::filesystem::is_regular_file(path, error))
        return done(fail(Errc::not_found, path + ": there is no such file that can be read"));
      return done(read_file(path, octets_max));
    }
    if (!url.starts_with("http://")) {
      return done(fail(Errc::unsupported,
                       url + ": expected unix:/FILE, or http://HOST/FILE; or give it on the "
                             "terminal"));
    }
    transport_.send({"GET", url, "", {}}, [url, done = std::move(done)](Result<HttpReply> reply) {
      constexpr unsigned good = 200;
      if (!reply) return done(tl::unexpected(reply.error()));
      if (reply->status != good)
        return done(fail(Errc::unreachable, fmt::format("{}: HTTP {}", url, reply->status)));
      done(std::move(reply->body));
    });
  }

  /// A server that is configured no more keeps its keys and certificates, and that is said.
  void name_what_is_kept() {
    const auto kept = store_->servers();
    if (!kept) return;
    for (const std::string& name : *kept) {
      const auto& configured = parsed_->configuration.servers;
      if (std::any_of(configured.begin(), configured.end(),
                      [&](const auto& server) { return server.name == name; }))
        continue;
      log_.event({Severity::notice, "CS_KEPT",
                  fmt::format("certificate server {} is not configured; its CA keys, certificates "
                              "and CRLs are kept (`no crypto pki server {}` on the console deletes "
                              "them)",
                              name, name),
                  "UMBRA"});
    }
  }

  void wait_for_reload(asio::signal_set& signals) {
    signals.async_wait([this, &signals](boost::system::error_code error, int) {
      if (error) return;
      notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", monotonic_microseconds()));
      live_->reload("SIGHUP", [](const Result<std::string>&) { notify("READY=1"); });
      wait_for_reload(signals);
    });
  }

  const DaemonOptions& options_;
  const std::shared_ptr<const config::Parsed> parsed_;  ///< of the start
  const std::string file_;                              ///< where it is from
  std::unique_ptr<Clock> clock_;
  const Time started_at_ = to_time(clock_->now());
  const std::shared_ptr<console::Monitor> monitor_ = console::Monitor::make();
  const std::shared_ptr<Counters> counters_ = std::make_shared<Counters>();
  StderrLog stderr_;
  AuditedLog log_{stderr_};
  OsRandom random_;
  std::unique_ptr<DirectoryLock> lock_;
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<store::Store> store_;
  std::shared_ptr<client::KeyRing> keys_;
  std::unique_ptr<FilePlaces> files_;
  Publishing publishing_;
  unsigned cores_;
  asio::thread_pool workers_;
  asio::thread_pool life_;
  // Destroyed before the pools: handlers that it never came to run own strands of theirs.
  asio::io_context loop_{1};
  // From the first moment: one that comes while it starts stops it in order as soon as it runs.
  asio::signal_set signals_{loop_, SIGTERM, SIGINT};
  CurlTransport transport_;
  SpreadTransport spread_{loop_, *clock_, random_, transport_};
  FileOutlet outlet_{loop_, log_};
  std::unique_ptr<HttpDoor> door_;
  std::unique_ptr<Site> site_;
  asio::steady_timer admission_timer_{loop_};
  MemoryAtRest at_rest_{loop_};
  Admission admission_{
      {.workers = cores_,
       .post = [this](Admission::Task task) { asio::post(workers_, std::move(task)); },
       .after =
           [this](std::chrono::seconds wait, Admission::Task task) {
             asio::post(loop_, [this, wait, task = std::move(task)]() mutable {
               admission_timer_.expires_after(wait);
               admission_timer_.async_wait(
                   [task = std::move(task)](boost::system::error_code error) {
                     if (!error) task();
                   });
             });
           },
       .handler = [this](const HttpRequest& request,
                         HttpDone done) { answer(request, std::move(done)); },
       .at_hand =
           [this](const HttpRequest& request) { return site_->roster()->router.at_hand(request); },
       .look = [this](const HttpRequest& request) { return site_->roster()->router.look(request); },
       .vouched =
           [this](const server::Sighting& sighting) {
             return site_->roster()->router.vouched(sighting);
           },
       .under_way = [this](std::size_t many) { store_->expect(many); },
       .afterwards = [this] { store_->write_what_waits(); },
       .log = log_,
       .counters = *counters_}};
  std::unique_ptr<LiveConfiguration> live_;
  std::unique_ptr<ExpiryWatch> watch_;
  const std::shared_ptr<console::ShownAuthorities> shown_ =
      std::make_shared<console::ShownAuthorities>();
  const std::shared_ptr<console::SavedCertificates> saved_ =
      std::make_shared<console::SavedCertificates>();
  mutable std::mutex mutex_;  ///< guards what follows: replaced when the configuration changes
  std::shared_ptr<Driver> driver_;
  std::shared_ptr<const console::ExecEnvironment> environment_;
  std::unique_ptr<ConsoleDoor> console_door_;
  std::unique_ptr<ExecSocket> console_;
};

}  // namespace

DaemonExit run_daemon(const DaemonOptions& options) {
  if (!options.user.empty() && !options.check) {
    if (const auto became = become(options.user, options.data_directory); !became) {
      complain(became.error().detail);
      return DaemonExit::failed;
    }
  }
  keep_memory_private();
  // A peer that goes away is an error code. How a child ended is asked for, whatever whoever
  // started us thought of it.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // and so is a file that may not grow
  ::signal(SIGCHLD, SIG_DFL);
  const auto text = read_file(options.config_path, config_octets_max);
  if (!text) {
    complain(text.error().detail);
    return DaemonExit::bad_configuration;
  }
  auto parsed = std::make_shared<const config::Parsed>(config::parse(as_text(*text)));
  std::vector<config::Fault> faults = parsed->faults;
  std::vector<RefusedPlace> refused;
  if (faults.empty()) {
    auto places = misplaced_within(places_answer_within, parsed, own_places(options));
    if (!places) {
      complain(places_do_not_answer);
    } else if (options.check) {
      faults = places->all();
    } else {
      // What a host has come to since holds up its one trustpoint's files, and nobody else.
      for (const auto& one : places->unusable)
        fmt::print(stderr, "{}\n", config::to_string(one, options.config_path));
      faults = std::move(places->own);
      refused = std::move(places->refused);
    }
  }
  for (const auto& fault : faults)
    fmt::print(stderr, "{}\n", config::to_string(fault, options.config_path));
  if (!faults.empty()) {
    complain(fmt::format("{} fault(s) in {}; not started", faults.size(), options.config_path));
    return DaemonExit::bad_configuration;
  }
  if (options.check) {
    for (const auto& line : parsed->not_effective)
      fmt::print("{}:{}: \"{}\" is kept, and not acted on by this version\n", options.config_path,
                 line.line, line.text);
    fmt::print("{}: {} certificate server(s), {} trustpoint(s), no faults\n", options.config_path,
               parsed->configuration.servers.size(), parsed->configuration.trustpoints.size());
    return DaemonExit::stopped;
  }
  auto clock = make_clock(options, parsed->configuration.calendar_valid);
  if (!clock) {
    complain("--time-lapse: " + clock.error().detail);
    return DaemonExit::bad_configuration;
  }
  Daemon daemon(options, std::move(parsed), std::string(as_text(*text)), *std::move(clock),
                std::move(refused));
  auto started = daemon.open();
  if (started) started = daemon.start();
  if (started) daemon.run();
  const bool in_order = daemon.stop();
  if (!started) complain(started.error().detail);
  const DaemonExit exit = started ? DaemonExit::stopped : DaemonExit::failed;
  // All is on the disk. A thread is within the system, and comes back to what must be there still.
  if (!in_order) std::_Exit(static_cast<int>(exit));
  return exit;
}

}  // namespace umbra::io
