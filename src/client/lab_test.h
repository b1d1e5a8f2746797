#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <set>

#include "client/trustpoint.h"
#include "scep/ca_messages.h"
#include "server/certificate_server.h"
#include "store/forwarding_store.h"

/// One spoke and one certificate server, both the production code with a real database each, on a
/// clock that is moved by hand and a network that is a function call.
namespace umbra::client {

inline const Time zero = *from_rfc3339("2015-10-09T12:14:16Z");
/// Of the random kind, which is opened with fewer rounds; the server's too.
inline constexpr const char* spoke_passphrase = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
inline Time day(int n) { return zero + Days{n}; }

class LabClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant{std::chrono::milliseconds{ms}}; }
  [[nodiscard]] bool authoritative() const override { return good; }
  [[nodiscard]] std::string source() const override { return "NTP"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant) const override { return {}; }
  void set(Time at) { ms = Instant{at}.time_since_epoch().count(); }
  std::atomic<Instant::rep> ms = Instant{zero}.time_since_epoch().count();
  std::atomic<bool> good = true;
};

class LabRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override { x509::random_octets(out); }
};

class LabLog final : public Log {
 public:
  void event(const LogEvent& event) override { keep(to_string(event)); }
  void debug(std::string_view category, std::string_view text) override {
    keep(std::string(category) + ": " + std::string(text));
  }
  [[nodiscard]] std::size_t count(const std::string& text) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(
        std::count_if(lines_.begin(), lines_.end(),
                      [&](const auto& line) { return line.find(text) != std::string::npos; }));
  }

  [[nodiscard]] std::string last() {
    const std::lock_guard lock(mutex_);
    return lines_.empty() ? "" : lines_.back();
  }

 private:
  void keep(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

class LabFiles final : public server::FileSink {
 public:
  server::Delivery deliver(const config::FilePlace&,
                           const std::vector<server::PublishedFile>& files,
                           const std::atomic<bool>&) override {
    return {files.size(), std::nullopt};
  }
};

class LabOutlet final : public Outlet {
 public:
  void away(std::string_view, std::function<void()> work) override {
    if (server_down || !held.empty()) return held.push_back(std::move(work));
    work();
  }
  /// The file server is there again.
  void answers() {
    server_down = false;
    while (!held.empty()) {
      const auto work = std::move(held.front());
      held.pop_front();
      work();
    }
  }
  Result<void> publish_pem(std::string_view, const config::Storage& storage,
                           const PemFiles& files) override {
    if (refuse) return fail(Errc::storage, "disk full");
    published[storage.path] = files.active;
    rollover[storage.path] = files.rollover;
    previous[storage.path] = files.previous;
    return {};
  }
  Result<void> publish_pkcs12(std::string_view, const config::Storage& storage, ByteView archive,
                              const IsOurs& ours) override {
    if (refuse) return fail(Errc::storage, "disk full");
    if (const auto found = archives.find(storage.path);
        found != archives.end() && !ours(found->second))
      others_archives.push_back(found->second);
    archives[storage.path] = to_bytes(archive);
    if (fails_afterwards) return fail(Errc::storage, "cannot sync");
    return {};
  }
  Result<void> hold_pkcs12(std::string_view, const config::Storage& storage) override {
    if (anothers.contains(storage.path)) return fail(Errc::conflict, storage.path + " is B's");
    return {};
  }
  Result<void> withdraw_pem(std::string_view, const config::Storage& storage,
                            const IsOurs& ours) override {
    if (refuse) return fail(Errc::storage, "read-only");
    if (const auto found = published.find(storage.path);
        found != published.end() && !ours(as_bytes(found->second.cert)))
      return fail(Errc::conflict, storage.path + " is somebody else's");
    published.erase(storage.path);
    rollover.erase(storage.path);
    previous.erase(storage.path);
    return {};
  }
  Result<void> withdraw_pkcs12(std::string_view, const config::Storage& storage,
                               const IsOurs& ours) override {
    if (refuse) return fail(Errc::storage, "read-only");
    const auto found = archives.find(storage.path);
    if (found == archives.end()) return {};
    if (!ours(found->second)) return fail(Errc::conflict, storage.path + " is somebody else's");
    archives.erase(found);
    return {};
  }
  void leave(std::string_view, const config::Storage& storage) override {
    left.push_back(storage.path);
  }
  Result<Bytes> read_pem(const config::Storage& storage) override {
    const auto found = published.find(storage.path);
    return found == published.end() ? Bytes() : to_bytes(as_bytes(found->second.cert));
  }
  Result<Bytes> read_pkcs12(const config::Storage& storage) override {
    const auto found = archives.find(storage.path);
    return found == archives.end() ? Bytes() : found->second;
  }
  std::vector<std::string> kept_keys(const config::Storage& storage, bool archive) override {
    if (archive) return {};
    return kept.contains(storage.path) ? std::vector<std::string>{storage.path + "/kept"}
                                       : std::vector<std::string>();
  }
  void run(Hook hook, std::function<void(Result<void>)> ended) override {
    commands.push_back(hook.command);
    hooks.push_back(hook);
    if (hangs) return waiting.push_back(std::move(ended));
    ended(failing ? Result<void>(fail(Errc::unreachable, "ended with status 1")) : Result<void>());
  }
  /// What the last command was told.
  [[nodiscard]] std::string told(const std::string& name) const {
    for (const auto& [key, value] : hooks.back().variables) {
      if (key == name) return value;
    }
    return "";
  }
  std::map<std::string, PemSet> published;
  std::map<std::string, PemSet> rollover;
  std::map<std::string, PemSet> previous;
  std::map<std::string, Bytes> archives;
  std::vector<Bytes> others_archives;  ///< that were in the way
  std::vector<std::string> left;
  std::set<std::string> anothers;  ///< archives of another trustpoint
  std::set<std::string> kept;      ///< directories with somebody else's key
  std::vector<std::string> commands;
  std::vector<Hook> hooks;
  std::vector<std::function<void(Result<void>)>> waiting;
  std::deque<std::function<void()>> held;
  bool server_down = false;  ///< what is to be done away from the strand is not done
  bool refuse = false;
  bool fails_afterwards = false;  ///< the archive is in place, and it says that it is not
  bool failing = false;
  bool hangs = false;
};

/// A trustpoint's store that can be made to refuse, and that counts its commits.
class LabStore final : public store::ForwardingStore {
 public:
  explicit LabStore(const std::string& path) : ForwardingStore(*store::open_sqlite(path)) {}
  using store::Store::commit;
  void commit(store::Batch batch, store::Committed done, store::Wake wake) override {
    if (refuse) return done(fail(Errc::storage, "disk full"));
    real_->commit(
        std::move(batch),
        [this, done](const Result<void>& stored) {
          ++commits;
          done(stored);
        },
        wake);
  }
  std::atomic<bool> refuse = false;
  std::atomic<std::size_t> commits = 0;
};

/// What the spoke sent, and what came back.
struct Sent {
  Time at;
  std::string target;
  std::string operation;  ///< GetCACert, GetCACaps, GetNextCACert, PKIOperation
  std::optional<scep::Envelope> envelope;
  std::optional<x509::Serial> recipient;
  Seconds spread{};
};

class Lab : public testing::Test, public HttpTransport {
 protected:
  Lab() {
    std::string shape = (std::filesystem::temp_directory_path() / "umbra-client-XXXXXX").string();
    directory = ::mkdtemp(shape.data());
    ca.name = "ROOTCA";
    ca.issuer_name = "CN=RootCA,OU=TAC,O=Cisco";
    ca.grant = config::Grant::automatic;
    ca.lifetime_ca_certificate = Days{730};
    ca.auto_rollover = Days{90};
    ca.lifetime_crl = Days{14};  // years pass here, and each CRL is signed
    ca.archive_password = "archive pass";
    ca.shutdown = false;
    spoke.name = "Root-CA";
    spoke.enrollment_url = "http://10.1.255.12:80";
    spoke.subject_name = "CN=spoke,OU=TAC,O=Cisco";
    spoke.auto_enroll = 80;
    spoke.key_label = "spoke-1-RSA";
    spoke.storage_pem.path = "/etc/spoke";
    spoke.on_change_exec = "reload";
  }
  ~Lab() override {
    trustpoint.reset();
    server.reset();
    server_store.reset();
    store.reset();
    std::filesystem::remove_all(directory);
  }

  void start_server() {
    server.reset();
    server_store.reset();
    server_store = *store::open_sqlite(directory + "/server.db");
    server = *server::CertificateServer::open(
        ca, true, {*server_store, clock, random, server_log, files, spoke_passphrase});
    ASSERT_TRUE(server->run_due());
  }
  /// Also a restart: whatever was on the strand is gone.
  void start_spoke() {
    trustpoint.reset();
    tasks.clear();
    held.clear();
    outlet.held.clear();
    store.reset();
    store = std::make_unique<LabStore>(directory + "/spoke.db");
    auto opened = Trustpoint::open(
        spoke, {.store = *store,
                .clock = clock,
                .random = random,
                .log = log,
                .transport = *this,
                .outlet = outlet,
                .post = [this](std::function<void()> task) { tasks.push_back(std::move(task)); },
                .changed = [] {},
                .key_passphrase = spoke_passphrase,
                .fqdn = "spoke.lab",
                .board_serial = "67109104",
                .counters = &counters,
                .credential = [this](const std::string&) { return voucher; },
                .address_of = [this](const std::string& interface) -> Result<std::string> {
                  if (const auto found = interfaces.find(interface); found != interfaces.end())
                    return found->second;
                  return fail(Errc::not_found, "there is no interface " + interface);
                },
                .trustpoints = [this] { return neighbours; }});
    ASSERT_TRUE(opened) << opened.error().detail;
    trustpoint = *opened;
    run_due();
  }
  void start() {
    start_server();
    start_spoke();
  }
  void settle() {
    while (!tasks.empty() && !dead()) {
      const auto task = std::move(tasks.front());
      tasks.pop_front();
      task();
    }
    if (dead()) {
      die_after.reset();
      start_spoke();
    }
  }
  void run_due() {
    trustpoint->run_due();
    settle();
  }
  /// Deadline by deadline, the server first; the clock is left at `until`.
  void run_until(Time until) {
    settle();
    for (int i = 0; i < 5000; ++i) {
      std::optional<Time> soonest;
      const auto server_deadlines = server->deadlines();
      const auto spoke_deadlines = trustpoint->deadlines();
      if (!server_deadlines.empty()) soonest = server_deadlines.front().at;
      if (!spoke_deadlines.empty() && (!soonest || spoke_deadlines.front().at < *soonest))
        soonest = spoke_deadlines.front().at;
      if (!soonest || *soonest > until) break;
      if (*soonest > to_time(clock.now())) clock.set(*soonest);
      EXPECT_TRUE(server->run_due());
      run_due();
    }
    if (until > to_time(clock.now())) clock.set(until);
  }
  void authenticate() {
    trustpoint->fetch_ca([this](const Result<x509::Certificate>& ca_certificate) {
      ASSERT_TRUE(ca_certificate) << ca_certificate.error().detail;
      trustpoint->accept_ca(*ca_certificate, [](const Result<void>& accepted) {
        EXPECT_TRUE(accepted) << accepted.error().detail;
      });
    });
    settle();
  }
  void enrolled_on(int n) {
    start_server();
    clock.set(day(n));
    ASSERT_TRUE(server->run_due());
    start_spoke();
    authenticate();
    ASSERT_TRUE(status().identity);
  }
  [[nodiscard]] Status status() const { return trustpoint->status(); }
  [[nodiscard]] std::string armed() const {
    const auto all = trustpoint->deadlines();
    return all.empty() ? "" : lifecycle::label(all[0]) + " " + to_rfc3339(all[0].at);
  }
  [[nodiscard]] std::vector<std::string> operations(std::size_t from = 0) const {
    std::vector<std::string> all;
    for (std::size_t i = from; i < sent.size(); ++i) all.push_back(sent[i].operation);
    return all;
  }
  [[nodiscard]] std::vector<store::IssuedCertificate> issued() {
    return *server_store->certificates("ROOTCA", x509::Serial(), 1000);
  }
  [[nodiscard]] store::TrustpointRow row() { return **store->trustpoint(spoke.name); }

  void send(HttpCall call, HttpAnswered answered) override {
    if (dead() && !reply_lost) return;  // the process died before the first octet
    if (elsewhere) {
      if (auto reply = elsewhere(call)) return answered(*std::move(reply));
    }
    record(call);
    const auto host = call.url.find("://") + 3;
    const auto path = call.url.find('/', host);
    if (cut || down.contains(call.url.substr(host, path - host)))
      return answered(fail(Errc::unreachable, "connection refused"));
    std::promise<HttpReply> promise;
    auto future = promise.get_future();
    server->handle({call.method, call.url.substr(path), call.body},
                   [&](HttpReply reply) { promise.set_value(std::move(reply)); });
    auto reply = future.get();
    if (reply.shared) reply.body = *std::exchange(reply.shared, nullptr);
    if (tamper) reply = tamper(sent.back(), std::move(reply));
    if (dead()) return;
    if (hold_answers) {
      held.push_back([answered, reply] { answered(reply); });
      return;
    }
    answered(reply);
  }
  void record(const HttpCall& call) {
    Sent one{.at = to_time(clock.now()),
             .target = call.url,
             .operation = "",
             .envelope = {},
             .recipient = {},
             .spread = call.spread};
    const auto query = scep::parse_query(call.url.substr(call.url.find('?') + 1));
    ASSERT_TRUE(query);
    switch (query->operation) {
      case scep::Operation::get_ca_caps:
        one.operation = "GetCACaps";
        break;
      case scep::Operation::get_ca_cert:
        one.operation = "GetCACert";
        break;
      case scep::Operation::get_next_ca_cert:
        one.operation = "GetNextCACert";
        break;
      case scep::Operation::pki_operation: {
        one.operation = "PKIOperation";
        const Bytes message =
            call.method == "POST" ? call.body : *scep::parse_get_message(query->message);
        auto opened = scep::open_envelope(message, {});
        ASSERT_TRUE(opened) << opened.error().detail;
        one.envelope = opened->envelope;
        if (const auto recipient = scep::recipient_of(*one.envelope))
          one.recipient = recipient->serial;
        break;
      }
    }
    sent.push_back(std::move(one));
  }
  /// The process dies right after this commit of its store.
  [[nodiscard]] bool dead() const { return die_after && store && store->commits >= *die_after; }

  std::string directory;
  LabClock clock;
  LabRandom random;
  LabLog log;
  LabLog server_log;
  LabFiles files;
  LabOutlet outlet;
  Counters counters;
  config::Server ca;
  config::Trustpoint spoke;
  std::unique_ptr<store::Store> server_store;
  std::unique_ptr<server::CertificateServer> server;
  std::unique_ptr<LabStore> store;
  std::shared_ptr<Trustpoint> trustpoint;
  std::deque<std::function<void()>> tasks;
  std::vector<Sent> sent;
  bool cut = false;
  std::set<std::string> down;  ///< hosts, with their ports
  bool hold_answers = false;
  std::vector<std::function<void()>> held;
  std::function<HttpReply(const Sent&, HttpReply)> tamper;
  /// Answers what does not go to the server.
  std::function<std::optional<Result<HttpReply>>(const HttpCall&)> elsewhere;
  std::map<std::string, std::string> interfaces;  ///< of the host, with their addresses
  std::optional<Credential> voucher;              ///< another trustpoint's certificate and key
  std::vector<std::string> neighbours;            ///< the names of trustpoints in the same store
  std::optional<std::size_t> die_after;
  bool reply_lost = false;
};

/// One that has its first certificate, and what the CA's administrator does.
class TrustpointTest : public Lab {
 protected:
  void enrolled() {
    start();
    authenticate();
    ASSERT_TRUE(status().identity);
  }
  void grant_pending() { ASSERT_TRUE(server->grant(std::nullopt)); }
};

}  // namespace umbra::client
