// Who writes, for whom, and when: one commit for many batches.

#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <deque>
#include <filesystem>
#include <future>
#include <map>
#include <thread>
#include <vector>

#include "store/store_lab_test.h"

namespace umbra::store {
namespace {

TEST_F(StoreTest, OfThoseThatShareACommitWhoContradictsTheStoreFailsAlone) {
  store.reset();
  std::deque<std::function<void()>> turns;
  store = *open_sqlite(path, [&](std::function<void()> turn) { turns.push_back(std::move(turn)); });
  const auto commit = [&](Batch batch, std::vector<std::string>& told, const std::string& who) {
    store->commit(std::move(batch), [&told, who](const Result<void>& done) {
      told.push_back(who + (done                                  ? " done"
                            : done.error().code == Errc::conflict ? " conflict"
                                                                  : " " + done.error().detail));
    });
  };
  std::vector<std::string> told;
  commit({InsertCertificate{certificate(1)}}, told, "first");
  commit({PutServer{{"CA", 9, 9, 9, 9, false}}, InsertCertificate{certificate(1)}}, told, "again");
  commit({InsertCertificate{certificate(2)}}, told, "next");
  commit({SpendOneTimePassword{"CA", {1}}, InsertCertificate{certificate(3)}}, told, "guess");
  commit({InsertCertificate{certificate(4)}}, told, "last");
  turns.front()();
  EXPECT_EQ(told, (std::vector<std::string>{"first done", "again conflict", "next done",
                                            "guess conflict", "last done"}));
  EXPECT_FALSE(*store->server("CA")) << "all of a batch or nothing";
  const auto all = *store->certificates("CA", x509::Serial(), 10);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[2].serial, x509::Serial(4));
}

/// While it lives no file grows beyond so many octets.
class NoLargerFiles {
 public:
  explicit NoLargerFiles(rlim_t octets) {
    ::getrlimit(RLIMIT_FSIZE, &usual_);
    rlimit less = usual_;
    less.rlim_cur = octets;
    ::setrlimit(RLIMIT_FSIZE, &less);
  }
  ~NoLargerFiles() {
    ::setrlimit(RLIMIT_FSIZE, &usual_);
    std::signal(SIGXFSZ, before_);
  }
  NoLargerFiles(const NoLargerFiles&) = delete;
  NoLargerFiles& operator=(const NoLargerFiles&) = delete;

 private:
  void (*before_)(int) = std::signal(SIGXFSZ, SIG_IGN);
  rlimit usual_{};
};

TEST_F(StoreTest, WhereTheDiskIsFullEverybodyIsToldAndNothingElseIsThere) {
  constexpr std::uint64_t many = 6;
  constexpr rlim_t step = 12'000;
  std::size_t failed = 0;
  std::size_t fitted = 0;
  for (rlim_t room = 0; room < 24 * step; room += step) {
    store.reset();
    path = directory + "/" + std::to_string(room) + ".db";
    std::deque<std::function<void()>> turns;
    store = *open_sqlite(path, [&](auto turn) { turns.push_back(std::move(turn)); });
    const auto written = std::filesystem::file_size(path + "-wal");
    std::map<std::uint64_t, Result<void>> told;
    const auto commit = [&](std::uint64_t serial) {
      auto row = certificate(serial);
      row.certificate = Bytes(20'000, 0x5A);
      store->commit({InsertCertificate{std::move(row)}}, [&told, serial](Result<void> result) {
        EXPECT_TRUE(told.emplace(serial, std::move(result)).second) << "told twice";
      });
    };
    {
      const NoLargerFiles full(written + room);
      for (std::uint64_t serial = 1; serial <= many; ++serial) commit(serial);
      // With somebody who contradicts the store, and without: all are written at once, or each.
      std::optional<Result<void>> again;
      const bool contradicts = room / step % 2 == 1;
      if (contradicts) {
        store->commit({InsertCertificate{certificate(1)}},
                      [&](Result<void> result) { again = std::move(result); });
      }
      turns.front()();
      EXPECT_EQ(again.has_value(), contradicts);
      if (again) {
        EXPECT_FALSE(*again);
        EXPECT_EQ(again->error().code, told.at(1) ? Errc::conflict : Errc::storage);
      }
    }
    EXPECT_EQ(told.size(), many);
    commit(many + 1);
    turns.back()();
    EXPECT_TRUE(told.at(many + 1)) << "there is room again";
    open();
    for (const auto& [serial, result] : told) {
      EXPECT_EQ(store->certificate("CA", x509::Serial(serial))->has_value(), result.has_value());
      if (!result) {
        EXPECT_EQ(result.error().code, Errc::storage) << result.error().detail;
      }
    }
    (told.at(1) ? fitted : failed) += 1;
  }
  EXPECT_GT(failed, 5U);
  EXPECT_GT(fitted, 1U);
}

TEST_F(StoreTest, AFullDiskIsNoContradiction) {
  store.reset();
  std::deque<std::function<void()>> turns;
  store = *open_sqlite(path, [&](auto turn) { turns.push_back(std::move(turn)); });
  // More than SQLite keeps in memory: it is on its way to the disk before the commit.
  auto huge = certificate(2);
  huge.certificate = Bytes(std::size_t{6} << 20, 0x5A);
  std::vector<Errc> told;
  const auto tell = [&](const Result<void>& result) {
    ASSERT_FALSE(result);
    told.push_back(result.error().code);
  };
  {
    const NoLargerFiles full(std::filesystem::file_size(path + "-wal") + 100'000);
    store->commit({InsertCertificate{certificate(1)}}, tell);
    store->commit({InsertCertificate{huge}}, tell);
    turns.front()();
  }
  EXPECT_EQ(told, (std::vector{Errc::storage, Errc::storage}));
  store->commit({InsertCertificate{std::move(huge)}},
                [](const Result<void>& result) { EXPECT_TRUE(result); });
  turns.back()();
  EXPECT_EQ(store->certificates("CA", x509::Serial(), 10)->size(), 1U);
}

TEST_F(StoreTest, GroupsCommitsOfManyThreadsAndReadsSeeThem) {
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 50; ++i) {
        const std::uint64_t serial = 1 + t * 50 + i;
        if (!store->commit({InsertCertificate{certificate(serial, "T" + std::to_string(serial))}}))
          ++failed;
        const auto seen = store->certificate("CA", x509::Serial(serial));
        if (!seen || !*seen) ++failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  const auto all = store->certificates("CA", x509::Serial(), 1000);
  ASSERT_EQ(all->size(), 400U);
  EXPECT_EQ(all->back().serial, x509::Serial(400));
  EXPECT_EQ(store->certificates("CA", x509::Serial(390), 5)->front().serial, x509::Serial(391));
}

TEST_F(StoreTest, QueuedBatchesAreCommittedBeforeItCloses) {
  std::atomic<int> done = 0;
  for (std::uint64_t i = 1; i <= 600; ++i) {
    store->commit({InsertCertificate{certificate(i)}},
                  [&](Result<void> result) { done += result ? 1 : 0; });
  }
  open();
  EXPECT_EQ(done, 600);
  EXPECT_EQ(store->certificates("CA", x509::Serial(), 1000)->size(), 600U);
}

TEST_F(StoreTest, WhoIsWaitedForAndDoesNotComeHoldsNobodyUp) {
  store->expect(1000);
  for (std::uint64_t serial = 1; serial <= 3; ++serial)
    ASSERT_TRUE(store->commit({InsertCertificate{certificate(serial)}}));
  EXPECT_EQ(store->certificates("CA", x509::Serial(), 10)->size(), 3U);
  std::promise<void> all;
  for (std::uint64_t serial = 4; serial <= 40; ++serial) {
    store->commit({InsertCertificate{certificate(serial)}}, [&all, serial](Result<void> done) {
      EXPECT_TRUE(done);
      if (serial == 40) all.set_value();
    });
  }
  all.get_future().wait();
  EXPECT_EQ(store->certificates("CA", x509::Serial(), 100)->size(), 40U);
}

/// Most times: whoever is not run for ten milliseconds comes too late.
TEST_F(StoreTest, ACommitWaitsForCompanyWhileMuchIsUnderWay) {
  constexpr std::uint64_t rounds = 40;
  store->expect(64);
  std::uint64_t together = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const std::uint64_t first = 2 * round + 1;
    std::promise<bool> with_the_second;
    store->commit({InsertCertificate{certificate(first)}}, [&](const Result<void>& done) {
      EXPECT_TRUE(done);
      with_the_second.set_value((*store->certificate("CA", x509::Serial(first + 1))).has_value());
    });
    // Long enough for a thread that waits for nobody to have begun.
    for (int i = 0; i < 20; ++i) static_cast<void>(store->server("CA"));
    store->commit({InsertCertificate{certificate(first + 1)}}, [](const Result<void>&) {});
    together += with_the_second.get_future().get() ? 1 : 0;
  }
  EXPECT_GT(together, rounds / 2);
}

/// Commits, and writes what waits. Out: the thread that told that it is durable.
std::thread::id written_by(
    Store& store, Batch batch, const std::function<void()>& told = [] {}) {
  std::promise<std::thread::id> writer;
  store.commit(
      std::move(batch),
      [&](const Result<void>& done) {
        EXPECT_TRUE(done);
        told();
        writer.set_value(std::this_thread::get_id());
      },
      Wake::not_yet);
  store.write_what_waits();
  return writer.get_future().get();
}

class AloneTest : public StoreTest {
 protected:
  AloneTest() {
    store->expect(1);
    // Until the store's thread has come to rest, it writes.
    while (written_by(*store, {}) != me) {
    }
  }
  const std::thread::id me = std::this_thread::get_id();
};

TEST_F(AloneTest, WritesHisOwn) {
  for (std::uint64_t serial = 1; serial <= 5; ++serial) {
    EXPECT_EQ(written_by(*store, {InsertCertificate{certificate(serial)}}), me)
        << "nobody was woken";
  }
  store->expect(3);
  EXPECT_NE(written_by(*store, {InsertCertificate{certificate(6)}}), me) << "others wait for me";
  EXPECT_EQ(store->certificates("CA", x509::Serial(), 10)->size(), 6U);
}

TEST_F(AloneTest, WhoIsNotAloneAnyMoreHasItWritten) {
  std::promise<std::thread::id> writer;
  store->commit(
      {}, [&](const Result<void>&) { writer.set_value(std::this_thread::get_id()); },
      Wake::not_yet);
  store->expect(3);
  store->write_what_waits();
  EXPECT_NE(writer.get_future().get(), me);
}

TEST_F(AloneTest, NobodyElseWritesMeanwhileAndWhatComesThenIsNotHis) {
  std::atomic<bool> writes = false;
  std::vector<std::promise<std::thread::id>> others(3);
  const auto hand_in = [&](std::size_t one, Wake wake) {
    store->commit(
        {InsertCertificate{certificate(one + 1)}},
        [&, one](const Result<void>& done) {
          EXPECT_TRUE(done);
          EXPECT_FALSE(writes);
          others[one].set_value(std::this_thread::get_id());
        },
        wake);
  };
  const auto writer = written_by(*store, {}, [&] {
    writes = true;
    hand_in(0, Wake::not_yet);
    store->write_what_waits();  // does nothing
    std::thread([&] {
      hand_in(1, Wake::yes);
      hand_in(2, Wake::not_yet);
      store->write_what_waits();
    }).join();
    // Long enough for a thread that does not wait.
    for (int i = 0; i < 100; ++i) static_cast<void>(store->server("CA"));
    writes = false;
  });
  EXPECT_EQ(writer, me);
  for (auto& one : others) EXPECT_NE(one.get_future().get(), me);
  EXPECT_EQ(store->certificates("CA", x509::Serial(), 10)->size(), 3U);
}

TEST_F(AloneTest, TheStoreEndsAfterWhoWrites) {
  std::promise<void> inside;
  std::atomic<bool> over = false;
  std::thread writer([&, one = store.get()] {
    const auto by = written_by(*one, {}, [&] {
      inside.set_value();
      for (int i = 0; i < 100; ++i) static_cast<void>(one->server("CA"));
      over = true;
    });
    EXPECT_EQ(by, std::this_thread::get_id());
  });
  inside.get_future().wait();
  store.reset();
  EXPECT_TRUE(over);
  writer.join();
}

TEST_F(StoreTest, WhoIsAloneAndTheStoresThreadTakeTurns) {
  constexpr unsigned threads = 4;
  constexpr unsigned each = 25;
  std::vector<std::thread> all;
  for (unsigned t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      for (unsigned i = 0; i < each; ++i) {
        const std::uint64_t serial = 1 + t * each + i;
        store->expect(i % 4);
        if (i % 3 == 0) {
          EXPECT_TRUE(store->commit({InsertCertificate{certificate(serial)}}));
        } else {
          written_by(*store, {InsertCertificate{certificate(serial)}});
        }
        EXPECT_TRUE(*store->certificate("CA", x509::Serial(serial)));
      }
    });
  }
  for (auto& thread : all) thread.join();
  EXPECT_EQ(store->certificates("CA", x509::Serial(), 1000)->size(), threads * each);
}

}  // namespace
}  // namespace umbra::store
