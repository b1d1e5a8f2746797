#include "ca/ledger.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <thread>

namespace umbra::ca {
namespace {

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() {
    std::string shape = (std::filesystem::temp_directory_path() / "umbra-ledger-XXXXXX").string();
    directory = ::mkdtemp(shape.data());
    reopen();
  }
  ~LedgerTest() override {
    ledger.reset();
    store.reset();
    std::filesystem::remove_all(directory);
  }
  /// As after a crash: nothing is closed in order.
  void reopen() {
    ledger.reset();
    store.reset();
    store = *store::open_sqlite(directory + "/umbra.db");
    ledger = *Ledger::open(*store, "CA");
  }
  std::uint64_t take() { return *ledger->take_serial()->to_uint64(); }
  std::string directory;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Ledger> ledger;
};

TEST_F(LedgerTest, SerialsCountFromOne) {
  for (std::uint64_t i = 1; i <= 200; ++i) EXPECT_EQ(take(), i);
}

TEST_F(LedgerTest, ACrashSkipsTheRestOfItsLeaseAndRepeatsNothing) {
  std::set<std::uint64_t> taken;
  for (int crash = 0; crash < 20; ++crash) {
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(taken.insert(take()).second);
    reopen();
  }
  EXPECT_EQ(taken.size(), 100U);
}

TEST_F(LedgerTest, AClosedLedgerLeavesNoGap) {
  EXPECT_EQ(take(), 1U);
  EXPECT_EQ(take(), 2U);
  ASSERT_TRUE(ledger->close());
  reopen();
  EXPECT_EQ(take(), 3U);
}

TEST_F(LedgerTest, ManyThreadsNeverGetTheSameSerial) {
  std::mutex mutex;
  std::set<std::uint64_t> taken;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        const std::uint64_t serial = take();
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(taken.insert(serial).second);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(taken.size(), 800U);
  EXPECT_EQ(*taken.rbegin(), 800U);
}

TEST_F(LedgerTest, CountersComeBackAsLastChanged) {
  for (std::uint64_t i = 1; i <= 50; ++i) {
    ledger->commit(
        {}, [](store::ServerRow& row) { ++row.next_request_id; }, [](Result<void>) {});
  }
  reopen();
  EXPECT_EQ(ledger->row().next_request_id, 51U);
}

}  // namespace
}  // namespace umbra::ca
