#include "ca/ledger.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <thread>

namespace umbra::ca {
namespace {

/// Fills with one octet after the other.
class FixedRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    std::fill(out.begin(), out.end(), next.front());
    next.erase(next.begin());
  }
  std::vector<std::uint8_t> next;
};

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

TEST_F(LedgerTest, BeginsAfterAGivenNumberAndStaysThereAfterACrash) {
  ledger->begin_after(0x2FF);
  EXPECT_EQ(take(), 0x300U);
  const auto serial = *ledger->take_serial();
  ASSERT_TRUE(ledger->commit({}, [&](store::ServerRow& row) { count_issued(row, serial); }));
  EXPECT_EQ(ledger->row().last_serial, 0x301U);
  reopen();
  EXPECT_EQ(ledger->row().serial_start, 0x2FFU);
  EXPECT_GT(take(), 0x301U);
}

TEST_F(LedgerTest, TheEndOfTheNumbersIsAnErrorAndNothingWraps) {
  constexpr std::uint64_t last = 0x7FFF'FFFF'FFFF'FFFF;
  ASSERT_TRUE(store->commit(
      {store::PutServer{{.server = "CA", .last_serial = last, .serial_lease = last}}}));
  reopen();
  for (int i = 0; i < 2; ++i) {
    const auto none = ledger->take_serial();
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().detail.find("used up"), std::string::npos) << none.error().detail;
  }
  EXPECT_TRUE(ledger->close());
}

TEST_F(LedgerTest, SerialsByChanceAreLongPositiveAndTakenNowhere) {
  FixedRandom source;
  ledger = *Ledger::open(*store, "CA", &source);
  source.next = {0xFF, 0x00};
  const auto high = *ledger->take_serial();
  EXPECT_EQ(high.to_hex(), "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF");
  EXPECT_EQ(high.integer_der().size(), 2U + 16U);
  const auto low = *ledger->take_serial();
  EXPECT_EQ(low.to_hex(), "40000000000000000000000000000000");
  EXPECT_EQ(low.integer_der().size(), 2U + 16U);

  store::IssuedCertificate issued;
  issued.server = "CA";
  issued.serial = high;
  ASSERT_TRUE(ledger->commit({store::InsertCertificate{issued}},
                             [&](store::ServerRow& row) { count_issued(row, high); }));
  EXPECT_EQ(ledger->row().random_serial, high);
  EXPECT_EQ(ledger->row().last_serial, 0U) << "chance moves no counter";
  source.next = {0xFF, 0xFF, 0x11};
  EXPECT_EQ(ledger->take_serial()->to_hex(), "51111111111111111111111111111111")
      << "a serial that is in the store is not drawn again";
  source.next = std::vector<std::uint8_t>(20, 0xFF);
  EXPECT_FALSE(ledger->take_serial()) << "a source that repeats itself is no source";

  reopen();
  EXPECT_EQ(ledger->row().random_serial, high);
  const auto counted = *ledger->take_serial();
  ASSERT_TRUE(ledger->commit({}, [&](store::ServerRow& row) { count_issued(row, counted); }));
  EXPECT_EQ(ledger->row().random_serial, x509::Serial());
  EXPECT_EQ(counted, x509::Serial(1));
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
