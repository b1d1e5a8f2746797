#include "io/daemon.h"

#include <fmt/format.h>
#include <signal.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "client/trustpoint.h"
#include "config/config.h"
#include "console/exec.h"
#include "io/clock.h"
#include "io/driver.h"
#include "io/exec_socket.h"
#include "io/file_places.h"
#include "io/files.h"
#include "io/http_client.h"
#include "io/http_server.h"
#include "io/log.h"
#include "io/notify.h"
#include "io/outlet.h"
#include "io/publishing.h"
#include "io/random.h"
#include "plan/check.h"
#include "server/router.h"
#include "store/store.h"

namespace umbra::io {
namespace {

namespace asio = boost::asio;

constexpr std::size_t config_octets_max = 16U << 20;
constexpr std::size_t files_of_our_own = 256;
constexpr std::chrono::seconds seconds_for_last_files{5};

void complain(const std::string& text) { fmt::print(stderr, "umbrad: {}\n", text); }

Result<std::unique_ptr<Clock>> make_clock(const DaemonOptions& options, bool calendar_valid) {
  if (options.time_lapse.empty())
    return std::unique_ptr<Clock>(std::make_unique<SystemClock>(calendar_valid));
  UMBRA_TRY(auto lapse, LapseClock::parse(options.time_lapse));
  return std::unique_ptr<Clock>(std::make_unique<LapseClock>(lapse));
}

/// What the configuration asks for that is weak today: asked for by name, and said at each start.
std::vector<std::string> weaknesses(const config::Configuration& configuration) {
  std::vector<std::string> found;
  const auto look = [&found](const char* kind, const auto& block) {
    const std::string owner = fmt::format("{} {}", kind, block.name);
    if (block.allow_des) found.push_back(owner + " allows single DES");
    if (block.allow_md5) found.push_back(owner + " allows MD5");
    if (block.allow_rsa_1024) found.push_back(owner + " allows RSA keys of 1024 bits");
    if (block.hash == config::HashName::sha1) found.push_back(owner + " signs with SHA-1");
  };
  for (const auto& server : configuration.servers) look("certificate server", server);
  for (const auto& trustpoint : configuration.trustpoints) {
    look("trustpoint", trustpoint);
    if (trustpoint.allow_flat_next_ca) {
      found.push_back("trustpoint " + trustpoint.name +
                      " takes a next CA certificate that no signature covers");
    }
    constexpr std::size_t md5_digits = 32;
    if (trustpoint.fingerprint.size() == md5_digits) {
      found.push_back("trustpoint " + trustpoint.name +
                      " pins its CA by an MD5 fingerprint, which can be forged; 64 digits pin it "
                      "by SHA-256");
    }
  }
  return found;
}

/// Everything one daemon is made of, in the order it is built; taken down in the reverse.
class Daemon {
 public:
  Daemon(const DaemonOptions& options, config::Parsed parsed, std::unique_ptr<Clock> clock)
      : options_(options),
        parsed_(std::move(parsed)),
        clock_(std::move(clock)),
        log_(*clock_, parsed_.configuration.zone, options.debug),
        publishing_(*clock_),
        cores_(std::max(2U, std::thread::hardware_concurrency())),
        workers_(cores_),
        life_(cores_) {}

  Result<void> open() {
    const config::Configuration& configuration = parsed_.configuration;
    UMBRA_CHECK(make_directory(options_.data_directory));
    UMBRA_TRY(lock_, DirectoryLock::take(options_.data_directory));
    for (const auto& line : parsed_.not_effective) {
      log_.event({Severity::warning, "NOT_EFFECTIVE",
                  fmt::format("line {}: \"{}\" is kept, and not acted on by this version",
                              line.line, line.text),
                  "UMBRA"});
    }
    for (const auto& weakness : weaknesses(configuration))
      log_.event({Severity::warning, "WEAK", weakness, "UMBRA"});
    look_ahead();
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
    name_what_is_kept();
    files_ = std::make_unique<FilePlaces>(options_.data_directory);

    for (const auto& server : configuration.servers) {
      UMBRA_TRY(
          auto opened,
          server::CertificateServer::open(
              server, configuration.http_server,
              {*store_, *clock_, random_, log_, *files_, secret.text,
               [this](const std::string& name) { return trusted_ca(name); },
               [this] { publishing_.wake(); },
               [this](const std::string& name) { return enroll(name); }, &transport_,
               [this](std::function<void()> task) { asio::post(workers_, std::move(task)); }}));
      servers_.push_back(std::move(opened));
    }
    for (const auto& trustpoint : configuration.trustpoints) {
      auto strand =
          std::make_shared<asio::strand<asio::thread_pool::executor_type>>(life_.get_executor());
      UMBRA_TRY(auto opened,
                client::Trustpoint::open(trustpoint, {.store = *store_,
                                                      .clock = *clock_,
                                                      .random = random_,
                                                      .log = log_,
                                                      .transport = transport_,
                                                      .outlet = outlet_,
                                                      .post =
                                                          [strand](std::function<void()> task) {
                                                            asio::post(*strand, std::move(task));
                                                          },
                                                      .changed =
                                                          [this, name = trustpoint.name] {
                                                            upstream_changed(name);
                                                            poke();
                                                          },
                                                      .key_passphrase = secret.text,
                                                      .fqdn = configuration.fqdn(),
                                                      .board_serial = serial}));
      trustpoints_.push_back(std::move(opened));
    }
    return {};
  }

  /// What is due from before the start is done before the first request is answered.
  Result<void> start() {
    for (auto& server : servers_) {
      // What could not be done is logged, shown as the server's status, and tried again by the
      // driver.
      if (const auto done = server->run_due(); !done) {
        log_.event({Severity::error, "CS_START",
                    fmt::format("certificate server {}: {}", server->name(), done.error().detail)});
      }
    }
    std::vector<server::CertificateServer*> all;
    for (auto& server : servers_) all.push_back(server.get());
    router_ = std::make_unique<server::Router>(all);
    watch_ = std::make_unique<ExpiryWatch>(
        *clock_, log_,
        [this] {
          std::vector<server::Status> statuses;
          for (const auto& server : servers_) statuses.push_back(server->status());
          return statuses;
        },
        [this] {
          std::vector<client::Status> statuses;
          for (const auto& trustpoint : trustpoints_) statuses.push_back(trustpoint->status());
          return statuses;
        });
    driver_ = std::make_shared<Driver>(loop_, life_, *clock_, all, trustpoints_, *watch_);
    UMBRA_CHECK(listen());
    UMBRA_CHECK(open_console());
    driver_->start();
    publishing_.start(all);
    log_.event({Severity::notice, "STARTED",
                fmt::format("umbrad {} runs {} certificate server(s) and {} trustpoint(s)",
                            options_.version, servers_.size(), trustpoints_.size()),
                "UMBRA"});
    notify("READY=1");
    return {};
  }

  void run() {
    signals_.async_wait([this](boost::system::error_code, int) { loop_.stop(); });
    asio::signal_set reload(loop_, SIGHUP);
    wait_for_reload(reload);
    loop_.run();
  }

  void stop() {
    notify("STOPPING=1");
    log_.event({Severity::notice, "STOPPING", "umbrad is stopping", "UMBRA"});
    if (http_) http_->stop();
    if (driver_) driver_->stop();
    transport_.stop();
    workers_.join();
    life_.join();
    // What rested is published before the end; what cannot be sent stays in the outbox.
    if (files_) files_->finish_within(seconds_for_last_files);
    publishing_.stop();
    for (auto& server : servers_) {
      if (const auto closed = server->close(); !closed) {
        log_.event({Severity::warning, "CS_CLOSE", closed.error().detail});
      }
    }
    // Whatever was queued for the store is on the disk, and its callbacks have run, before their
    // owners go.
    if (store_) static_cast<void>(store_->commit(store::Batch{}));
    console_.reset();
    http_.reset();
    driver_.reset();
    trustpoints_.clear();
    servers_.clear();
    store_.reset();
  }

 private:
  /// `grant auto trustpoint`: asked while requests are answered, when all trustpoints are there.
  [[nodiscard]] server::TrustedCa trusted_ca(const std::string& name) const {
    for (const auto& trustpoint : trustpoints_) {
      const client::Status status = trustpoint->status();
      if (status.name != name) continue;
      const auto& configured = parsed_.configuration.trustpoints;
      const auto found = std::find_if(configured.begin(), configured.end(),
                                      [&](const auto& one) { return one.name == name; });
      const bool unchecked = found != configured.end() && !found->revocation_check.empty() &&
                             found->revocation_check.front() == "none";
      return {status.ca, unchecked};
    }
    return {};
  }

  /// A server that is no root has its certificate from the trustpoint of its name.
  void upstream_changed(const std::string& name) {
    for (auto& server : servers_) {
      if (server->name() == name) server->upstream_changed();
    }
  }

  Result<void> enroll(const std::string& name) {
    for (auto& trustpoint : trustpoints_) {
      if (trustpoint->status().name == name) return trustpoint->enroll();
    }
    return fail(Errc::not_found, "no trustpoint " + name);
  }

  void poke() {
    if (driver_) driver_->poke();
  }

  Result<void> listen() {
    const config::Configuration& configuration = parsed_.configuration;
    if (!configuration.http_server || servers_.empty()) return {};
    // Peers may take every connection there is, and never the store's and the key files' turn.
    HttpLimits limits;
    const std::size_t files = allow_open_files(limits.connections + files_of_our_own);
    limits.connections =
        std::min(limits.connections, std::max(files, 2 * files_of_our_own) - files_of_our_own);
    // Nor one address the turn of all the others, where files are few.
    limits.connections_per_address =
        std::min(limits.connections_per_address, limits.connections / 4);
    UMBRA_TRY(http_, HttpServer::listen(loop_, workers_, configuration.http_address,
                                        configuration.http_port, limits,
                                        [this](const HttpRequest& request, HttpDone done) {
                                          // A queued request adds a deadline (ER EXPIRE), but one
                                          // that lies far enough ahead for the driver's next look.
                                          router_->handle(request, std::move(done));
                                        }));
    log_.event({Severity::notice, "LISTEN",
                fmt::format("HTTP on {} port {}",
                            configuration.http_address.empty() ? "all addresses"
                                                               : configuration.http_address,
                            http_->port()),
                "UMBRA"});
    return {};
  }

  Result<void> open_console() {
    const config::Configuration& configuration = parsed_.configuration;
    console::ExecEnvironment environment{
        .clock = *clock_,
        .zone = configuration.zone,
        .version = options_.version,
        .hostname = configuration.hostname,
        .running_config = parsed_.running_config,
        .servers = {},
        .trustpoints = {},
        .load = {},
        .fetch = [this](const std::string& url, auto done) { fetch(url, std::move(done)); },
        .destroy_server =
            [this](const std::string& name) { return server::destroy(*store_, name); },
        .plan = plan::to_text(plan_),
        .plan_json = plan::to_json(plan_)};
    for (auto& server : servers_) environment.servers.push_back(console::control(*server));
    for (auto& trustpoint : trustpoints_)
      environment.trustpoints.push_back(console::control(trustpoint));
    exec_ = std::make_unique<console::Exec>(std::move(environment));
    auto strand =
        std::make_shared<asio::strand<asio::thread_pool::executor_type>>(life_.get_executor());
    const std::string path = options_.socket_path.empty() ? options_.data_directory + "/umbra.sock"
                                                          : options_.socket_path;
    UMBRA_TRY(
        console_,
        ExecSocket::listen(
            loop_, path, [this, strand](ExecRequest asked, std::function<void(ExecReply)> done) {
              asio::post(*strand, [this, asked = std::move(asked), done = std::move(done)] {
                exec_->execute(asked.line, asked.input, [this, done](console::ExecResult result) {
                  const char* const ask = result.ask == console::Ask::line   ? "line"
                                          : result.ask == console::Ask::text ? "text"
                                                                             : "";
                  done({result.ok, std::move(result.output), ask});
                  poke();
                });
              });
            }));
    return {};
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

  /// What the configuration will come to: who would go dark is said at each start, the rest is on
  /// the screen `show crypto pki plan`.
  void look_ahead() {
    const std::vector<plan::Source> sources = {{options_.config_path, parsed_}};
    plan_ = plan::check(sources, {});
    for (const plan::Finding& finding : plan_.findings) {
      if (finding.grade != plan::Grade::error) continue;
      log_.event({Severity::warning, "PLAN",
                  fmt::format("line {}: {}: {}", finding.at.line, finding.at.who, finding.text),
                  "UMBRA"});
    }
  }

  /// A server that is configured no more keeps its keys and certificates, and that is said.
  void name_what_is_kept() {
    const auto kept = store_->servers();
    if (!kept) return;
    for (const std::string& name : *kept) {
      const auto& configured = parsed_.configuration.servers;
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
      log_.event(
          {Severity::warning, "RELOAD",
           "SIGHUP: the configuration is read at the start; restart umbrad to apply a changed file",
           "UMBRA"});
      wait_for_reload(signals);
    });
  }

  const DaemonOptions& options_;
  config::Parsed parsed_;
  plan::Report plan_;
  std::unique_ptr<Clock> clock_;
  StderrLog log_;
  OsRandom random_;
  std::unique_ptr<DirectoryLock> lock_;
  std::unique_ptr<store::Store> store_;
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
  FileOutlet outlet_{loop_};
  std::vector<std::unique_ptr<server::CertificateServer>> servers_;
  std::vector<std::shared_ptr<client::Trustpoint>> trustpoints_;
  std::unique_ptr<server::Router> router_;
  std::unique_ptr<ExpiryWatch> watch_;
  std::shared_ptr<Driver> driver_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<console::Exec> exec_;
  std::unique_ptr<ExecSocket> console_;
};

}  // namespace

DaemonExit run_daemon(const DaemonOptions& options) {
  // A peer that goes away is an error code. How a child ended is asked for, whatever whoever
  // started us thought of it.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
  const auto text = read_file(options.config_path, config_octets_max);
  if (!text) {
    complain(text.error().detail);
    return DaemonExit::bad_configuration;
  }
  config::Parsed parsed = config::parse(as_text(*text));
  for (const auto& fault : parsed.faults)
    fmt::print(stderr, "{}\n", config::to_string(fault, options.config_path));
  if (!parsed.faults.empty()) {
    complain(
        fmt::format("{} fault(s) in {}; not started", parsed.faults.size(), options.config_path));
    return DaemonExit::bad_configuration;
  }
  if (options.check) {
    for (const auto& line : parsed.not_effective)
      fmt::print("{}:{}: \"{}\" is kept, and not acted on by this version\n", options.config_path,
                 line.line, line.text);
    fmt::print("{}: {} certificate server(s), {} trustpoint(s), no faults\n", options.config_path,
               parsed.configuration.servers.size(), parsed.configuration.trustpoints.size());
    return DaemonExit::stopped;
  }
  auto clock = make_clock(options, parsed.configuration.calendar_valid);
  if (!clock) {
    complain("--time-lapse: " + clock.error().detail);
    return DaemonExit::bad_configuration;
  }
  Daemon daemon(options, std::move(parsed), *std::move(clock));
  auto started = daemon.open();
  if (started) started = daemon.start();
  if (started) daemon.run();
  daemon.stop();
  if (started) return DaemonExit::stopped;
  complain(started.error().detail);
  return DaemonExit::failed;
}

}  // namespace umbra::io
