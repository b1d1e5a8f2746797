#include "io/slow_work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <vector>

namespace umbra::io {
namespace {

using namespace std::chrono_literals;

/// Something that does not answer until it is told to.
class Gate {
 public:
  void pass() const { opened_.wait(); }
  void open() { open_.set_value(); }

 private:
  std::promise<void> open_;
  std::shared_future<void> opened_ = open_.get_future().share();
};

TEST(SlowWork, OfOneNameIsDoneOneAfterTheOther) {
  std::vector<int> done;
  {
    SlowWork work;
    for (int i = 0; i < 200; ++i) work.run("A", [&done, i] { done.push_back(i); });
  }
  ASSERT_EQ(done.size(), 200U) << "all of it, before it is gone";
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

TEST(SlowWork, OfOtherNamesDoesNotWaitForWhatHangs) {
  Gate gate;
  std::promise<void> other;
  std::atomic<bool> behind = false;
  SlowWork work;
  work.run("A", [&] { gate.pass(); });
  work.run("A", [&] { behind = true; });
  work.run("B", [&] { other.set_value(); });
  other.get_future().wait();
  EXPECT_FALSE(behind);
  gate.open();
  EXPECT_TRUE(work.finish_within(1h));
}

TEST(SlowWork, TakesNoMoreThreadsThanItMay) {
  std::atomic<int> at_once = 0;
  std::atomic<int> most = 0;
  std::atomic<int> done = 0;
  {
    SlowWork work(3);
    for (int i = 0; i < 100; ++i) {
      work.run(std::to_string(i), [&] {
        const int now = ++at_once;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        std::this_thread::yield();
        --at_once;
        ++done;
      });
    }
  }
  EXPECT_LE(most, 3);
  EXPECT_EQ(done, 100);
}

TEST(SlowWork, WhatIsGivenWhileItIsDoneIsDoneToo) {
  std::vector<std::string> done;
  {
    SlowWork work(1);
    std::promise<void> last;
    work.run("A", [&] {
      done.emplace_back("first");
      work.run("A", [&] {
        done.emplace_back("second");
        last.set_value();
      });
    });
    last.get_future().wait();
  }
  EXPECT_THAT(done, testing::ElementsAre("first", "second"));
}

TEST(SlowWork, TheEndWaitsNoLongerThanItIsTold) {
  Gate gate;
  SlowWork work;
  std::promise<void> under_way;
  std::atomic<bool> begun = false;
  work.run("A", [&] {
    under_way.set_value();
    gate.pass();
  });
  work.run("A", [&] { begun = true; });
  under_way.get_future().wait();
  EXPECT_FALSE(work.finish_within(1ms));
  gate.open();
  EXPECT_TRUE(work.finish_within(1h));
  EXPECT_FALSE(begun) << "nothing is begun after the end was";
  work.run("B", [&] { begun = true; });
  EXPECT_FALSE(begun);
}

TEST(AnsweredWithin, WhatTakesLongerIsNotWaitedFor) {
  EXPECT_EQ(answered_within<int>(1h, [] { return 7; }), 7);
  const auto gate = std::make_shared<Gate>();
  EXPECT_EQ(answered_within<int>(1ms,
                                 [gate] {
                                   gate->pass();
                                   return 7;
                                 }),
            std::nullopt);
  gate->open();
}

}  // namespace
}  // namespace umbra::io
