#include "io/spread_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/trustpoint.h"
#include "io/random.h"
#include "io/scratch_test.h"
#include "lab_passphrase.h"

namespace umbra::io {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Runs a thousand times as fast as the machine's, from wherever it is.
class FastClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override {
    const auto since = std::chrono::steady_clock::now() - start_;
    return Instant{std::chrono::duration_cast<std::chrono::milliseconds>(since * times)};
  }
  [[nodiscard]] bool authoritative() const override { return true; }
  [[nodiscard]] std::string source() const override { return "test"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant at) const override {
    longest_ = std::max(longest_, at - now());
    return std::chrono::nanoseconds(at - now()) / times;
  }
  /// That anybody has asked about.
  [[nodiscard]] std::chrono::milliseconds longest() const { return longest_; }

 private:
  static constexpr int times = 1000;
  mutable std::chrono::milliseconds longest_{};
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Where the calls arrive, and in which order.
class Network final : public HttpTransport {
 public:
  void send(HttpCall call, HttpAnswered answered) override {
    {
      const std::lock_guard lock(mutex_);
      arrived_.push_back(call.url);
    }
    answered(HttpReply{});
  }
  [[nodiscard]] std::vector<std::string> arrived() const {
    const std::lock_guard lock(mutex_);
    return arrived_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> arrived_;
};

HttpCall call(const std::string& url, std::chrono::seconds spread) {
  HttpCall made;
  made.url = url;
  made.spread = spread;
  return made;
}

class SpreadTransportTest : public ::testing::Test {
 protected:
  void send(const std::string& url, std::chrono::seconds spread) {
    transport.send(call(url, spread), [this](const Result<HttpReply>& reply) {
      EXPECT_TRUE(reply);
      ++answers;
    });
  }

  FastClock clock;
  OsRandom random;
  Network network;
  boost::asio::io_context loop{1};
  SpreadTransport transport{loop, clock, random, network};
  int answers = 0;
};

TEST_F(SpreadTransportTest, ACallWithoutSpreadLeavesAtOnce) {
  send("one", 0s);
  EXPECT_THAT(network.arrived(), ElementsAre("one"));
}

TEST_F(SpreadTransportTest, AThousandCallsLeaveWithinTheirSpreadAndNotInOneMoment) {
  constexpr int calls = 1000;
  for (int i = 0; i < calls; ++i) send("call", 200s);
  EXPECT_THAT(network.arrived(), IsEmpty());
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::size_t> after_each;
  while (loop.run_one() != 0) {
    if (!network.arrived().empty()) after_each.push_back(network.arrived().size());
  }
  EXPECT_EQ(answers, calls);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 100ms);  // nobody draws all in the first half
  EXPECT_GT(after_each.size(), 10U);
  EXPECT_GT(clock.longest(), 100s);
  EXPECT_LE(clock.longest(), 200s) << "and none later than that";
}

TEST_F(SpreadTransportTest, AShorterOneOvertakesALongerOne) {
  send("in a day", 86400s);
  send("in a second", 1s);
  while (network.arrived().empty()) loop.run_one();
  EXPECT_THAT(network.arrived(), ElementsAre("in a second"));
}

TEST_F(SpreadTransportTest, WhatWaitsAtTheStopIsAnsweredByTheNetwork) {
  send("late", 86400s);
  transport.stop();
  EXPECT_THAT(network.arrived(), ElementsAre("late"));
  EXPECT_EQ(answers, 1);
  send("later", 86400s);
  EXPECT_THAT(network.arrived(), SizeIs(2));
}

/// Stands still, and keeps the moments that calls are to leave at; nobody waits for them.
class StillClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return now_; }
  [[nodiscard]] bool authoritative() const override { return true; }
  [[nodiscard]] std::string source() const override { return "test"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant at) const override {
    leaves.push_back(at - now_);
    return {};
  }
  mutable std::vector<std::chrono::milliseconds> leaves;

 private:
  const Instant now_{*from_rfc3339("2030-01-01T00:00:00Z")};
};

/// The same numbers at each run.
class SameRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& octet : out) {
      state_ ^= state_ << 13;
      state_ ^= state_ >> 7;
      state_ ^= state_ << 17;
      octet = static_cast<std::uint8_t>(state_ >> 24);
    }
  }

 private:
  std::uint64_t state_ = 0x9E3779B97F4A7C15;
};

class NoLog final : public Log {
 public:
  void event(const LogEvent&) override {}
  void debug(std::string_view, std::string_view) override {}
};

/// A fleet that was switched on together: all of it is due in one second.
class ArrivalTest : public ScratchTest {
 protected:
  static constexpr std::size_t fleet = 1000;
  void due(std::chrono::seconds spread) {
    for (std::size_t i = 0; i < fleet; ++i) {
      config::Trustpoint one;
      one.name = "T" + std::to_string(i);
      one.enrollment_url = "http://ca";
      one.fingerprint = std::string(64, 'A');
      one.auto_enroll = 80;
      one.spread = spread;
      auto opened =
          client::Trustpoint::open(one, {.store = *store,
                                         .clock = clock,
                                         .random = random,
                                         .log = log,
                                         .transport = transport,
                                         .outlet = outlet,
                                         .post = [](const std::function<void()>& task) { task(); },
                                         .changed = [] {},
                                         .key_passphrase = lab_passphrase,
                                         .fqdn = "host.example",
                                         .board_serial = ""});
      ASSERT_TRUE(opened) << opened.error().detail;
      all.push_back(*opened);
      all.back()->run_due();
    }
  }
  std::unique_ptr<store::Store> store = *store::open_sqlite(path("agent.db"));
  StillClock clock;
  SameRandom random;
  NoLog log;
  client::NoOutlet outlet;
  Network network;
  boost::asio::io_context loop{1};
  SpreadTransport transport{loop, clock, random, network};
  std::vector<std::shared_ptr<client::Trustpoint>> all;
};

TEST_F(ArrivalTest, AThousandThatAreDueInOneSecondArriveAllOverTheirWindowAndNoneOutsideIt) {
  for (const auto spread : {10s, 3600s}) {  // the default, and one for storms
    all.clear();
    store = *store::open_sqlite(path(std::to_string(spread.count())));
    clock.leaves.clear();
    const std::size_t arrived = network.arrived().size();
    due(spread);
    EXPECT_THAT(network.arrived(), SizeIs(arrived)) << "none leaves at once";
    ASSERT_THAT(clock.leaves, SizeIs(fleet));
    constexpr std::size_t parts = 10;
    std::vector<std::size_t> in_part(parts);
    for (const auto leaves : clock.leaves) {
      ASSERT_GE(leaves, 0ms);
      ASSERT_LT(leaves, std::chrono::milliseconds{spread});
      ++in_part[static_cast<std::size_t>(leaves * parts / std::chrono::milliseconds{spread})];
    }
    for (const std::size_t one : in_part) {
      EXPECT_GT(one, fleet / parts / 2);
      EXPECT_LT(one, fleet / parts * 2);
    }
    loop.restart();
    loop.run();
    EXPECT_THAT(network.arrived(), SizeIs(arrived + fleet));
  }
}

TEST_F(ArrivalTest, WithoutSpreadAllOfThemLeaveOnTheirSecond) {
  due(0s);
  EXPECT_THAT(clock.leaves, IsEmpty());
  EXPECT_THAT(network.arrived(), SizeIs(fleet));
}

}  // namespace
}  // namespace umbra::io
