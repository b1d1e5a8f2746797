#include "io/guests.h"

#include <gtest/gtest.h>

#include <vector>

namespace umbra::io {
namespace {

const auto home = boost::asio::ip::make_address("192.0.2.1");
const auto other = boost::asio::ip::make_address("192.0.2.2");

struct Visitor final : Guest {
  void give_way() override { gone = true; }
  void shed() override { gone = true; }
  bool gone = false;
};

class GuestsTest : public testing::Test {
 protected:
  struct Visit {
    std::shared_ptr<Visitor> who = std::make_shared<Visitor>();
    Guests::Ticket ticket;
  };
  Visit come(const boost::asio::ip::address& from, Guests& to) {
    Visit visit;
    visit.ticket = to.enter(from, visit.who);
    to.waits(visit.ticket);
    return visit;
  }
};

TEST_F(GuestsTest, TheOldestThatWaitsLeavesForTheNewest) {
  Guests guests({.connections = 3, .connections_per_peer = 3, .octets = 100000});
  auto first = come(home, guests);
  auto second = come(home, guests);
  auto third = come(other, guests);
  guests.waits(first.ticket);  // has asked something meanwhile, and waits anew
  auto welcome = guests.welcome(other);
  EXPECT_TRUE(welcome.room);
  EXPECT_EQ(welcome.leaves, second.who);
  guests.leave(second.ticket);
  welcome = guests.welcome(other);
  EXPECT_TRUE(welcome.room);
  EXPECT_EQ(welcome.leaves, nullptr) << "there is room again";
}

TEST_F(GuestsTest, ThePeerWithMostThatWaitMakesRoomForTheOthers) {
  Guests guests({.connections = 200, .connections_per_peer = 200, .octets = 100000});
  const auto honest = come(other, guests);  // has waited longest of all
  std::vector<Visit> crowd;
  for (int i = 0; i < 199; ++i) crowd.push_back(come(home, guests));
  std::vector<Visit> others;
  for (std::size_t i = 0; i < 198; ++i) {
    // Each a peer of its own.
    const auto from = boost::asio::ip::make_address("203.0.113." + std::to_string(i));
    const auto welcome = guests.welcome(from);
    ASSERT_EQ(welcome.leaves, crowd[i].who) << i;
    guests.leave(crowd[i].ticket);
    others.push_back(come(from, guests));
  }
  EXPECT_EQ(guests.welcome(home).leaves, honest.who) << "where nobody has more than others";
}

TEST_F(GuestsTest, WhoseOwnPlacesAreFullMakesRoomHimself) {
  Guests guests({.connections = 10, .connections_per_peer = 2, .octets = 100000});
  auto stranger = come(other, guests);
  auto first = come(home, guests);
  auto second = come(home, guests);
  EXPECT_EQ(guests.welcome(home).leaves, first.who);
  guests.leave(first.ticket);
  auto third = come(home, guests);
  guests.is_served(second.ticket);
  guests.is_served(third.ticket);
  EXPECT_FALSE(guests.welcome(home).room) << "all of them wait for us";
  EXPECT_TRUE(guests.welcome(other).room);
}

TEST_F(GuestsTest, WhatIsHeldInAllIsBoundedAndTheOldestWithMuchGoes) {
  Guests guests({.connections = 10, .connections_per_peer = 10, .octets = 20000});
  auto silent = come(home, guests);
  auto first = come(home, guests);
  auto second = come(home, guests);
  EXPECT_EQ(guests.holds(silent.ticket, 500), nullptr);
  EXPECT_EQ(guests.holds(first.ticket, 9000), nullptr);
  EXPECT_EQ(guests.holds(second.ticket, 10000), nullptr);
  EXPECT_EQ(guests.holds(second.ticket, 11000), first.who);
  EXPECT_FALSE(guests.over()) << "what it held counts no more";
  guests.leave(first.ticket);
  guests.is_served(second.ticket);
  EXPECT_EQ(guests.holds(second.ticket, 30000), nullptr) << "who is served is not sent away";
  EXPECT_TRUE(guests.over());
  guests.leave(second.ticket);
  EXPECT_FALSE(guests.over());
}

TEST_F(GuestsTest, WhoHasGoneByHimselfMakesRoomToo) {
  Guests guests({.connections = 1, .connections_per_peer = 1, .octets = 100});
  auto visit = come(home, guests);
  visit.who.reset();
  const auto welcome = guests.welcome(home);
  EXPECT_TRUE(welcome.room);
  EXPECT_EQ(welcome.leaves, nullptr);
  guests.leave(visit.ticket);
  EXPECT_EQ(guests.count(), 0U);
}

}  // namespace
}  // namespace umbra::io
