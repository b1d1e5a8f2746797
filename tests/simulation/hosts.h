#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/trustpoint.h"
#include "config/model.h"
#include "server/certificate_server.h"
#include "simulation/disk.h"
#include "simulation/network.h"
#include "simulation/oracle.h"
#include "store/store.h"

namespace umbra::simulation {

/// The clock of one machine, which may go wrong by some time and be put right again.
class HostClock final : public Clock {
 public:
  explicit HostClock(World& world) : world_(world) {}
  [[nodiscard]] Instant now() const override { return world_.now() + ahead; }
  [[nodiscard]] bool authoritative() const override { return known; }
  [[nodiscard]] std::string source() const override { return known ? "NTP" : "unknown"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant) const override {
    return std::chrono::nanoseconds{0};
  }
  std::chrono::milliseconds ahead{0};
  bool known = true;

 private:
  World& world_;
};

/// One machine with its disk: a process that dies with it and starts anew from what the disk has.
class Host : public Peer {
 public:
  Host(World& world, Oracle& oracle, std::string name, const std::string& directory, Chance chance);
  ~Host() override;

  [[nodiscard]] Disk& disk() { return disk_; }
  [[nodiscard]] const HostClock& clock() const { return clock_; }
  /// It is so much ahead of the world now, or behind.
  void set_clock(std::chrono::milliseconds ahead);
  /// Nobody has told it the time since it started, or somebody has.
  void set_clock_known(bool known);
  [[nodiscard]] store::Store* store() { return store_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Starts the process; again a little later, while the disk does not let it.
  void start();
  /// Power is lost; it comes back after `down`.
  void lose_power(const std::string& why, std::chrono::milliseconds down);
  /// The process ends in order, and is started again after `down`.
  void restart(std::chrono::milliseconds down);
  /// How long it stays down when its disk says that a change was the last.
  std::function<std::chrono::milliseconds()> down_for;
  /// It runs again: what its disk does next may be decided.
  std::function<void()> started;

  bool idle() override;
  [[nodiscard]] std::uint64_t starts() const { return starts_; }

 protected:
  class HostLog;
  class HostRandom;
  /// Opens what runs here from the store. Errors: as it says.
  virtual Result<void> open() = 0;
  virtual void close_in_order() = 0;
  virtual void drop() = 0;
  virtual void check() = 0;
  /// Everything that may be due: after a start, and when its clock has moved.
  virtual void run_all() = 0;

  /// For destructors: what runs here ends as if by a loss of power.
  void take_apart();
  void post(std::chrono::milliseconds delay, std::function<void()> task);
  /// How long another thread takes to come to its turn.
  [[nodiscard]] std::chrono::milliseconds turn();

  Oracle& oracle_;
  Chance chance_;
  Disk disk_;
  HostClock clock_;
  const std::string directory_;
  const std::string path_;
  std::unique_ptr<HostLog> log_;
  std::unique_ptr<HostRandom> random_;
  std::unique_ptr<store::Store> store_;

 private:
  bool write();
  void went_dark(const std::string& why, std::chrono::milliseconds down);
  void bury();
  void end_process();
  void look_at_clock();
  std::deque<std::function<void()>> writers_;
  bool writing_ = false;
  std::uint64_t starts_ = 0;
  unsigned failed_starts_ = 0;  ///< since the last one that did not fail
};

/// When something with deadlines is run: on their second, and again a minute later while they
/// stay, much as io::Driver does.
class Turn {
 public:
  /// In: deadlines of a clock that is so much ahead of the world. Out: by the world's time.
  [[nodiscard]] std::optional<Instant> next(const std::vector<lifecycle::Deadline>& deadlines,
                                            std::chrono::milliseconds ahead);
  void ran(Instant now, const std::vector<lifecycle::Deadline>& before, bool done);

 private:
  std::optional<lifecycle::Deadline> ran_for_;
  Instant not_before_{};
  Instant failed_until_{};
};

class ServerHost final : public Host {
 public:
  ServerHost(World& world, Oracle& oracle, const std::string& directory, Chance chance,
             config::Server configuration);
  ~ServerHost() override;

  [[nodiscard]] server::CertificateServer* server() { return server_.get(); }
  [[nodiscard]] std::optional<Instant> wakes() override;
  void wake() override;
  void handle(const HttpRequest& request, HttpDone done) override;

 private:
  class Files;
  Result<void> open() override;
  void close_in_order() override;
  void drop() override;
  void check() override;
  void run_all() override;
  bool run();
  void publish();
  void publish_soon();

  const config::Server configuration_;
  std::unique_ptr<Files> files_;
  std::unique_ptr<server::CertificateServer> server_;
  Turn turn_;
  bool publishing_ = false;
};

/// Clients of one machine; and a registration authority on it, if there is one.
class ClientHost final : public Host {
 public:
  /// In: `ra` = its trustpoint is the first one.
  ClientHost(World& world, Oracle& oracle, Network& network, std::string name,
             const std::string& directory, Chance chance,
             std::vector<config::Trustpoint> configurations, std::optional<config::Server> ra);
  ~ClientHost() override;

  [[nodiscard]] std::size_t size() const { return configurations_.size(); }
  [[nodiscard]] const config::Trustpoint& configuration(std::size_t i) const {
    return configurations_[i];
  }
  /// Null while the process does not run.
  [[nodiscard]] client::Trustpoint* trustpoint(std::size_t i);
  [[nodiscard]] std::optional<Instant> wakes() override;
  void wake() override;
  void handle(const HttpRequest& request, HttpDone done) override;
  /// Null while the process does not run, and where there is none.
  [[nodiscard]] server::CertificateServer* ra() { return runs_ ? ra_.get() : nullptr; }
  /// A person types `crypto pki authenticate`, compares fingerprints, and answers yes.
  void authenticate(std::size_t i, const x509::Certificate& genuine);

 private:
  class Transport;
  class Outlet;
  class NoFiles;
  Result<void> open() override;
  Result<void> open_ra();
  bool run_ra();
  void close_in_order() override;
  void drop() override;
  void check() override;
  void run_all() override;

  const std::vector<config::Trustpoint> configurations_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Outlet> outlet_;
  std::vector<std::shared_ptr<client::Trustpoint>> trustpoints_;
  std::vector<Turn> turns_;
  const std::optional<config::Server> ra_configuration_;
  std::unique_ptr<NoFiles> no_files_;
  std::unique_ptr<server::CertificateServer> ra_;
  Turn ra_turn_;
};

}  // namespace umbra::simulation
