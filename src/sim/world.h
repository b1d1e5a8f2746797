#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/log.h"
#include "client/trustpoint.h"
#include "config/model.h"
#include "server/certificate_server.h"
#include "sim/tracked_store.h"
#include "sim/virtual_clock.h"

namespace umbra::sim {

/// One line of a world's log, with the virtual time it was written at.
struct LogLine {
  Instant at;
  std::string text;
};
/// One HTTP exchange that a trustpoint began.
struct Call {
  Instant at;
  std::string host;  ///< as in the URL, with its port
  std::string method;
  std::string target;  ///< path and query
  Bytes body;
  unsigned status = 0;  ///< 0 while under way or when unreachable
};

/// A small world: certificate servers and trustpoints, the production code unchanged, on a clock
/// that jumps from one deadline to the next, a network that is a function call, and a real store in
/// a directory. One thread runs everything but the store's commits; the clock stands still while
/// anything is in flight, so a run repeats event for event.
class World {
 public:
  /// `directory` holds the database, and is what survives `restart`.
  World(std::string directory, Time start, std::uint64_t seed = 1);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] VirtualClock& clock() { return clock_; }
  [[nodiscard]] store::Store& store() { return *store_; }

  /// Opens the server (its first enable runs at once if the clock allows) and answers for `host` on
  /// the network.
  server::CertificateServer& add_server(const config::Server& configuration,
                                        const std::string& host, bool http_enabled = true);
  client::Trustpoint& add_trustpoint(const config::Trustpoint& configuration,
                                     const std::string& fqdn);
  [[nodiscard]] server::CertificateServer& server(const std::string& name);
  [[nodiscard]] client::Trustpoint& trustpoint(const std::string& name);

  /// Lets everything happen that is due up to and including `until`, deadline by deadline, and
  /// leaves the clock there.
  void run_until(Time until);
  /// Finishes what is under way without moving the clock.
  void settle();
  /// The nearest deadline of anybody.
  [[nodiscard]] std::optional<lifecycle::Deadline> next_deadline() const;

  /// Nobody reaches this host any more, until mended.
  void cut(const std::string& host) { cut_.insert(host); }
  void mend(const std::string& host) { cut_.erase(host); }
  /// All processes die (nothing is closed in order) and start again `at`, from what the store has.
  void restart(Time at);

  [[nodiscard]] const std::vector<LogLine>& log() const { return log_; }
  [[nodiscard]] const std::vector<Call>& calls() const { return calls_; }
  /// Files written by servers, by name.
  [[nodiscard]] const std::map<std::string, Bytes>& files() const { return files_; }
  /// What each trustpoint last published with `storage pem`, by directory.
  [[nodiscard]] const std::map<std::string, client::PemSet>& published() const {
    return published_;
  }

 private:
  class WorldLog;
  class Network;
  class Files;
  class PemOutlet;
  struct ServerEntry {
    config::Server configuration;
    std::string host;
    bool http_enabled;
    std::unique_ptr<server::CertificateServer> server;
  };
  struct TrustpointEntry {
    config::Trustpoint configuration;
    std::string fqdn;
    std::shared_ptr<client::Trustpoint> trustpoint;
  };

  void post(std::function<void()> task);
  void begin();
  void end();
  void open(ServerEntry& entry);
  void open(TrustpointEntry& entry);
  void open_store();
  void run_due();
  /// A server that is no root has its certificate from the trustpoint of its name.
  void changed(const std::string& trustpoint);
  void run_one(std::unique_lock<std::mutex>& lock);

  std::string directory_;
  VirtualClock clock_;
  SeededRandom random_;
  std::unique_ptr<WorldLog> log_sink_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Files> file_sink_;
  std::unique_ptr<PemOutlet> outlet_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::size_t in_flight_ = 0;

  std::vector<LogLine> log_;
  std::vector<Call> calls_;
  std::map<std::string, Bytes> files_;
  std::map<std::string, client::PemSet> published_;
  std::set<std::string> cut_;

  std::unique_ptr<TrackedStore> store_;
  std::vector<std::unique_ptr<ServerEntry>> servers_;
  std::vector<std::unique_ptr<TrustpointEntry>> trustpoints_;
};

}  // namespace umbra::sim
