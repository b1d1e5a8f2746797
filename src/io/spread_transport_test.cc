#include "io/spread_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/random.h"

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

}  // namespace
}  // namespace umbra::io
