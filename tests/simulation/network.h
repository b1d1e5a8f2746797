#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/http.h"
#include "simulation/world.h"

namespace umbra::simulation {

/// What answers on the network.
class Peer : public Machine {
 public:
  using Machine::Machine;
  virtual void handle(const HttpRequest& request, HttpDone done) = 0;
};

/// Loses messages, doubles, delays and overtakes them, and damages their octets.
class Network {
 public:
  struct Counts {
    std::uint64_t sent = 0, lost = 0, doubled = 0, damaged = 0, late = 0;
  };
  /// What somebody sees who stands where answers leave a machine.
  using Leaves = std::function<void(Peer& from, const HttpRequest&, const HttpReply&)>;

  Network(World& world, Chance chance) : world_(world), chance_(chance) {}
  void add(const std::string& host, Peer& peer) { peers_[host] = &peer; }

  unsigned faults_per_mille = 0;  ///< of each message, and of each kind of fault
  Leaves leaves;

  void send(Machine& from, HttpCall call, HttpAnswered answered);
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct Exchange;
  [[nodiscard]] std::chrono::milliseconds transit();
  void damage(Bytes& body, const std::string& what);
  void arrive(const std::shared_ptr<Exchange>& exchange);
  void answer(const std::shared_ptr<Exchange>& exchange, HttpReply reply);
  static void finish(Exchange& exchange, Result<HttpReply> result);

  World& world_;
  Chance chance_;
  Counts counts_;
  std::map<std::string, Peer*> peers_;
  std::uint64_t numbers_ = 0;
};

}  // namespace umbra::simulation
