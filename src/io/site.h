#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/log.h"
#include "base/random.h"
#include "client/outlet.h"
#include "config/difference.h"
#include "io/http_door.h"
#include "io/publishing.h"
#include "io/roster.h"
#include "store/store.h"

namespace boost::asio {
class thread_pool;
}

namespace umbra::io {

/// What everything of a site lives in.
struct Surroundings {
  store::Store& store;
  const Clock& clock;
  Random& random;
  Log& log;
  server::FileSink& files;
  HttpTransport& transport;
  client::Outlet& outlet;
  Publishing& publishing;
  HttpDoor& door;
  boost::asio::thread_pool& workers;  ///< for requests
  boost::asio::thread_pool& life;     ///< for deadlines, keys and changes of the configuration
  std::string key_passphrase;
  std::string board_serial;
  Counters* counters = nullptr;
  /// The deadlines of this trustpoint may have changed. From any thread.
  std::function<void(const std::string& trustpoint)> moved;
  /// Another roster is in force: drivers and screens take it from now on.
  std::function<void(const RosterPtr&)> replaced;
};

/// The certificate servers and trustpoints of the configuration in force, and the way from one
/// configuration to the next.
///
/// What a change does is what a restart with the changed configuration would come to, for what it
/// changes alone: everything else is not touched, with its requests, timers and connections. A
/// trustpoint goes on under its new settings with the request it has under way. A server that is
/// changed in more than `shutdown` is closed and opened again from the store; requests that were
/// let in before are answered first.
class Site {
 public:
  explicit Site(Surroundings surroundings) : in_(std::move(surroundings)) {}

  /// At the start. Errors: as CertificateServer::open and Trustpoint::open.
  [[nodiscard]] Result<void> open(std::shared_ptr<const config::Parsed> parsed,
                                  std::shared_ptr<const plan::Report> plan);
  /// All of it at one moment. Whoever hands a request to its router calls the store's
  /// write_what_waits() afterwards. Thread-safe.
  [[nodiscard]] RosterPtr roster() const;

  /// From the configuration in force to this one, as a whole or not at all. One at a time, on a
  /// thread of the life pool; waits until it is done. Errors: what cannot be changed, or could not
  /// be opened; nothing has changed then.
  [[nodiscard]] Result<config::Difference> change(std::shared_ptr<const config::Parsed> next);

  /// Destroys what is kept of a server that is configured no more. Errors: conflict if it is;
  /// not_found, storage.
  [[nodiscard]] Result<void> destroy(const std::string& server);

  /// In the end: gives back serial leases; nobody may use anything any more.
  void close();

 private:
  using ServerPtr = std::shared_ptr<server::CertificateServer>;
  using TrustpointPtr = std::shared_ptr<client::Trustpoint>;
  class Change;

  [[nodiscard]] Result<ServerPtr> open_server(const config::Server& server, bool http_enabled);
  [[nodiscard]] Result<TrustpointPtr> open_trustpoint(const config::Trustpoint& trustpoint,
                                                      const std::string& fqdn);
  /// Nothing comes of it any more, and its numbers are given back.
  void retire(const ServerPtr& server);
  void install(std::shared_ptr<Roster> next);
  void run(const ServerPtr& server);
  [[nodiscard]] server::TrustedCa trusted_ca(const std::string& name) const;
  void log(Severity severity, std::string_view mnemonic, std::string text) const {
    in_.log.event({severity, mnemonic, std::move(text), "UMBRA"});
  }

  const Surroundings in_;
  std::mutex changing_;  ///< held while what runs here changes
  mutable std::mutex mutex_;
  RosterPtr roster_;
};

/// The server of this roster by its names, in the order of the configuration.
[[nodiscard]] server::Router router_of(const Roster& roster);

}  // namespace umbra::io
