#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace umbra::io {

/// A connection that can be closed in favour of another one.
class Guest {
 public:
  virtual ~Guest() = default;
  /// On the loop that it lives on. For its place: it is closed.
  virtual void give_way() = 0;
  /// For what it has us remember: it is told to come again.
  virtual void shed() = 0;
};

/// Who is connected to a server, who of them keeps it waiting, and what they have it remember.
/// Where there is no more room, somebody goes who keeps it waiting with nothing to show: of the
/// peer that most of those belong to, who has waited longest. Whoever fills a house with silence
/// keeps nobody out. Thread-safe: a connection may end on any thread.
class Guests {
 public:
  struct Bounds {
    std::size_t connections = 0;
    std::size_t connections_per_peer = 0;
    std::size_t octets = 0;  ///< of requests that have come, whole or in part, of all together
  };
  struct Stay;
  using Ticket = std::list<Stay>::iterator;

  explicit Guests(const Bounds& bounds) : bounds_(bounds) {}

  /// Room for one more of this peer. Out: who has to go for it; null if nobody has to, or can.
  struct Welcome {
    bool room = false;
    std::shared_ptr<Guest> leaves;
  };
  [[nodiscard]] Welcome welcome(const boost::asio::ip::address& peer);
  [[nodiscard]] Ticket enter(const boost::asio::ip::address& peer, std::weak_ptr<Guest> who);
  void leave(Ticket ticket);

  /// Keeps us waiting from now on: for a request, or for an answer to be taken.
  void waits(Ticket ticket);
  /// We keep him waiting.
  void is_served(Ticket ticket);

  /// What a guest has us remember. Out: who has to go, because all of it is too much: of those that
  /// wait, who began first with more than a few octets. Null if all is well, or nobody can go;
  /// `over` tells which.
  [[nodiscard]] std::shared_ptr<Guest> holds(Ticket ticket, std::size_t octets);
  [[nodiscard]] bool over() const;
  [[nodiscard]] std::size_t count() const;

 private:
  struct Household {
    std::size_t count = 0;
    std::list<Stay*> waiting;  ///< who waits longest is the first
  };
  /// Of those that wait, who goes for somebody new.
  [[nodiscard]] Stay& least_missed();
  void stop_waiting(Stay& stay);
  [[nodiscard]] std::shared_ptr<Guest> send_away(Stay& stay);

  const Bounds bounds_;
  mutable std::mutex mutex_;
  std::list<Stay> stays_;
  std::list<Stay*> waiting_;
  std::list<Stay*> waiting_with_much_;
  std::size_t octets_ = 0;
  std::map<boost::asio::ip::address, Household> households_;
  std::optional<boost::asio::ip::address> crowd_;  ///< who has most that wait,
  std::size_t good_for_ = 0;                       ///< for so many more that have to go
};

struct Guests::Stay {
  boost::asio::ip::address peer;
  std::weak_ptr<Guest> who;
  bool waiting = false;
  bool with_much = false;
  std::size_t octets = 0;
  std::list<Stay*>::iterator among_all{};
  std::list<Stay*>::iterator among_own{};
  std::list<Stay*>::iterator among_those_with_much{};
};

}  // namespace umbra::io
