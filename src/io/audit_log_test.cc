#include "io/audit_log.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <sstream>
#include <thread>

#include "audit/check.h"
#include "io/clock.h"
#include "io/scratch_test.h"
#include "x509/request.h"

namespace umbra::io {
namespace {

class Quiet final : public Log {
 public:
  void event(const LogEvent& event) override {
    const std::lock_guard lock(mutex);
    lines += to_string(event) + "\n";
  }
  void debug(std::string_view, std::string_view) override {}
  [[nodiscard]] bool debugs(std::string_view category) const override {
    return category == "CRYPTO_CS";
  }
  std::mutex mutex;
  std::string lines;
};

TEST(AuditedLog, AsksWhetherAnybodyReadsWhatIsDebugged) {
  Quiet real;
  const AuditedLog log(real);
  EXPECT_TRUE(log.debugs("CRYPTO_CS"));
  EXPECT_FALSE(log.debugs("CRYPTO_PKI"));
}

class AuditLogTest : public ScratchTest {
 protected:
  void open() {
    store = *store::open_sqlite(path("umbra.db"));
    audit = *AuditLog::open(directory, clock, log, *store);
    audit->sign_with([this](bool before) {
      asked_before = asked_before || before;
      return std::vector<AuditLog::Signer>{{"CA", 1, key()}};
    });
    store = audited(std::move(store), *audit);
  }
  void close() {
    audit->stop();
    store.reset();
    audit.reset();
  }
  static const x509::PrivateKey& key() {
    static const auto made = *x509::PrivateKey::generate_ec(256);
    return made;
  }
  [[nodiscard]] std::string text() const { return ScratchTest::text(path("audit.log")); }
  audit::Report check() const {
    const auto ca = *x509::self_signed_signer(*x509::Name::from_ios("CN=CA"), Time{}, key(),
                                              x509::Digest::sha256);
    const auto kept = *store::open_sqlite(path("umbra.db"));
    const auto head = *kept->audit_head();
    audit::Checker checker([&](const auto&, auto) { return &ca; },
                           audit::Head{head->number, head->hash});
    std::istringstream lines(text());
    for (std::string line; std::getline(lines, line);) checker.take(line, true);
    checker.finish();
    return checker.report();
  }
  [[nodiscard]] store::Batch issue(std::uint64_t serial) const {
    store::IssuedCertificate row;
    row.server = "CA";
    row.serial = x509::Serial(serial);
    row.transaction_id = "T";
    return {store::InsertCertificate{row}};
  }
  SystemClock clock{true};
  Quiet log;
  std::atomic<bool> asked_before = false;
  std::unique_ptr<AuditLog> audit;
  std::unique_ptr<store::Store> store;
};

TEST_F(AuditLogTest, LinesOfManyThreadsAreOneChainSignedInTheEnd) {
  open();
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (std::uint64_t i = 0; i < 400; ++i) EXPECT_TRUE(store->commit(issue(t * 1000 + i + 1)));
    });
  }
  for (auto& thread : threads) thread.join();
  close();
  const auto report = check();
  EXPECT_EQ(report.count, 0U) << audit::to_text(report, "F");
  EXPECT_GE(report.lines, 1601U);
  EXPECT_GE(report.signatures, 1U);
  EXPECT_EQ(report.signed_to + 1, report.lines) << "the last line is a signature";
  open();
  ASSERT_TRUE(store->commit(issue(9000)));
  close();
  EXPECT_EQ(check().count, 0U) << "the next process goes on where it was";
  EXPECT_EQ(log.lines, "");
}

TEST_F(AuditLogTest, WhatTheStoreRefusesIsToldAsNotDone) {
  open();
  ASSERT_TRUE(store->commit(issue(1)));
  EXPECT_FALSE(store->commit(issue(1)));
  close();
  EXPECT_THAT(text(), testing::HasSubstr(R"(NOT-DONE event="ISSUE" server="CA" serial="0x1")"));
}

TEST_F(AuditLogTest, BothCasSignWhenOneTakesOver) {
  open();
  ASSERT_TRUE(store->commit(
      {store::PutGeneration{{"CA", 1, store::GenerationStatus::retired, {}, {}, Time{}}}}));
  close();
  EXPECT_TRUE(asked_before);
}

TEST_F(AuditLogTest, WithoutRoomForItsLineNothingIsDoneAndNothingBreaks) {
  open();
  ASSERT_TRUE(store->commit(issue(1)));
  const std::string before = text();
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit was{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &was), 0);
  rlimit tight = was;
  tight.rlim_cur = before.size() + 10;  // a part of a line
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const auto told = audit->append({{"ISSUE", {{"server", "CA"}}}});
  const std::string after = text();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &was), 0);
  ASSERT_FALSE(told);
  EXPECT_THAT(told.error().detail, testing::HasSubstr("nothing is done"));
  EXPECT_EQ(after, before);
  EXPECT_TRUE(store->commit(issue(2)));
  close();
  EXPECT_EQ(check().count, 0U);
}

TEST_F(AuditLogTest, WhoHasNoLineForItIsNotCommitted) {
  open();
  ASSERT_TRUE(store->commit(issue(1)));
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit was{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &was), 0);
  rlimit tight = was;
  tight.rlim_cur = 1;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const auto refused = store->commit(issue(2));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &was), 0);
  EXPECT_FALSE(refused);
  EXPECT_FALSE(*store->certificate("CA", x509::Serial(2)));
  EXPECT_TRUE(store->commit(issue(2)));
  close();
}

}  // namespace
}  // namespace umbra::io
