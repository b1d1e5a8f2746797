#include <fcntl.h>
#include <fmt/format.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "store/sqlite_rows.h"
#include "store/sqlite_schema.h"
#include "store/sqlite_verb.h"
#include "store/store.h"

namespace umbra::store {
namespace {

// More batches than this never share a commit: the first of them should not wait for the last.
constexpr std::size_t group_max = 256;
// A commit costs the same whether it is for one or for many. Of those that are under way it waits
// for a quarter, and for half of few: the others keep the processors busy meanwhile.
constexpr std::size_t waits_from = 8;
constexpr std::size_t share_of_those_under_way = 4;
constexpr std::size_t waited_for_min = 4;
constexpr std::size_t waited_for_max = 16;
// Up to so many under way, whoever has made a batch may write it. Two workers at least are there:
// one is free for who comes meanwhile.
constexpr std::size_t writes_itself_up_to = 2;
// Not all that are under way come to be written.
constexpr std::chrono::milliseconds patience{10};

/// A statement straight to SQLite: no parameters, no rows.
void run(soci::session& sql, const char* statement) {
  char* message = nullptr;
  if (sqlite_api::sqlite3_exec(native(sql), statement, nullptr, nullptr, &message) != SQLITE_OK) {
    const std::string text = message != nullptr ? message : "unknown";
    sqlite_api::sqlite3_free(message);
    throw soci::soci_error(text);
  }
}

/// BEGIN, COMMIT and savepoints.
struct Transactions {
  explicit Transactions(soci::session& sql)
      : begin(sql, "BEGIN IMMEDIATE"),
        commit(sql, "COMMIT"),
        save(sql, "SAVEPOINT batch"),
        release(sql, "RELEASE batch") {}
  Verb begin, commit, save, release;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(std::string path, Turns turns) : path_(std::move(path)), post_(std::move(turns)) {}

  Result<void> open() {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) {
      return fail(Errc::storage,
                  fmt::format("cannot open {}: {}; the data directory must exist and be writable",
                              path_, std::strerror(errno)));
    }
    ::close(file);
    try {
      open_session(sql_, path_);
      UMBRA_CHECK(prepare_schema(sql_, path_));
      writer_rows_ = std::make_unique<RowWriter>(sql_);
      transactions_ = std::make_unique<Transactions>(sql_);
    } catch (const std::exception& error) {
      return fail(Errc::storage, fmt::format("{}: {}", path_, error.what()));
    }
    if (!post_) writer_ = std::thread([this] { write(); });
    return {};
  }

  ~SqliteStore() override {
    while (post_ && write_some()) {
    }
    {
      std::unique_lock lock(mutex_);
      stopping_ = true;
      if (waits_for_ != WaitsFor::another) unlock_and_wake(lock);
    }
    if (writer_.joinable()) writer_.join();
    readers_.clear();
    transactions_.reset();
    writer_rows_.reset();
  }

  using Store::commit;
  void commit(Batch batch, Committed done, Wake wake) override {
    std::unique_lock lock(mutex_);
    queue_.push_back({std::move(batch), std::move(done), {}});
    if (post_) return post_([this] { static_cast<void>(write_some()); });
    if (wake == Wake::not_yet && others_may_write()) return;
    // Who is woken for nothing takes a processor from the others.
    if (waits_for_ == WaitsFor::anything || (waits_for_ == WaitsFor::company && enough()))
      unlock_and_wake(lock);
  }
  // As on the store's own thread, nobody could be told of an exception.
  void write_what_waits() noexcept override {
    std::unique_lock lock(mutex_);
    if (queue_.empty() || waits_for_ != WaitsFor::anything) return;
    if (!others_may_write()) return unlock_and_wake(lock);
    waits_for_ = WaitsFor::another;
    lock.unlock();
    static_cast<void>(write_some());
    lock.lock();
    waits_for_ = WaitsFor::anything;
    // What came meanwhile is not for this thread, which has requests of its own.
    if (!queue_.empty() || stopping_) unlock_and_wake(lock);
  }
  void expect(std::size_t under_way) override { expected_ = under_way; }

  Result<std::optional<ServerRow>> server(const std::string& server) override {
    return read([&](RowReader& rows) { return rows.server(server); });
  }
  Result<std::vector<CaGeneration>> generations(const std::string& server) override {
    return read([&](RowReader& rows) { return rows.generations(server); });
  }
  Result<std::optional<IssuedCertificate>> certificate(const std::string& server,
                                                       const x509::Serial& serial) override {
    return read([&](RowReader& rows) { return rows.certificate(server, serial); });
  }
  Result<Known> known(const Asked& asked) override {
    return read([&](RowReader& rows) { return rows.known(asked); });
  }
  Result<std::vector<IssuedCertificate>> certificates(const std::string& server,
                                                      const x509::Serial& after,
                                                      std::size_t limit) override {
    return read([&](RowReader& rows) { return rows.certificates(server, after, limit); });
  }
  Result<void> each_revoked(const std::string& server, std::uint32_t generation, Time unexpired_at,
                            const std::function<void(const x509::RevokedEntry&)>& take) override {
    const auto done = read([&](RowReader& rows) {
      rows.each_revoked(server, generation, unexpired_at, take);
      return true;
    });
    if (!done) return tl::unexpected(done.error());
    return {};
  }
  Result<std::vector<EnrollmentRequest>> requests(const std::string& server) override {
    return read([&](RowReader& rows) { return rows.requests(server); });
  }
  Result<std::optional<EnrollmentRequest>> request(const std::string& server,
                                                   std::uint64_t id) override {
    return read([&](RowReader& rows) { return rows.request(server, id); });
  }
  Result<std::optional<EnrollmentRequest>> request_of(const std::string& server,
                                                      const std::string& transaction_id) override {
    return read([&](RowReader& rows) { return rows.request_of(server, transaction_id); });
  }
  Result<std::size_t> pending_count(const std::string& server) override {
    return read([&](RowReader& rows) { return rows.pending_count(server); });
  }
  Result<std::optional<CrlRow>> crl(const std::string& server, std::uint32_t generation) override {
    return read([&](RowReader& rows) { return rows.crl(server, generation); });
  }
  Result<std::optional<TrustpointRow>> trustpoint(const std::string& name) override {
    return read([&](RowReader& rows) { return rows.trustpoint(name); });
  }
  Result<std::vector<KeyPairRow>> key_pairs() override {
    return read([&](RowReader& rows) { return rows.key_pairs(); });
  }
  Result<std::vector<OutboxRow>> outbox(const std::string& server,
                                        const std::vector<std::uint8_t>& slots,
                                        std::size_t limit) override {
    return read([&](RowReader& rows) { return rows.outbox(server, slots, limit); });
  }
  Result<OutboxSize> outbox_size(const std::string& server) override {
    return read([&](RowReader& rows) { return rows.outbox_size(server); });
  }
  Result<std::vector<PublishedRow>> published(const std::string& server) override {
    return read([&](RowReader& rows) { return rows.published(server); });
  }
  Result<std::optional<AuditHead>> audit_head() override {
    return read([&](RowReader& rows) { return rows.audit_head(); });
  }
  Result<std::vector<std::string>> servers() override {
    return read([&](RowReader& rows) { return rows.servers(); });
  }
  Result<std::optional<OneTimePassword>> one_time_password(const std::string& server) override {
    return read([&](RowReader& rows) { return rows.one_time_password(server); });
  }
  Result<std::vector<NextCaFetch>> next_ca_fetches(const std::string& server,
                                                   std::uint32_t generation) override {
    return read([&](RowReader& rows) { return rows.next_ca_fetches(server, generation); });
  }
  Result<std::vector<Holder>> holders(const std::string& server, std::uint32_t active,
                                      std::uint32_t rollover, Time now) override {
    return read([&](RowReader& rows) { return rows.holders(server, active, rollover, now); });
  }

 private:
  struct Pending {
    Batch batch;
    Committed done;
    Result<void> result;
  };
  struct Reader {
    soci::session sql;
    std::unique_ptr<RowReader> rows;
  };

  Error storage_error(const std::exception& error) const {
    return {
        Errc::storage,
        fmt::format(
            "{}: {}; nothing was changed, free space and access to the file are what to look at",
            path_, error.what())};
  }

  template <class F>
  auto read(F&& query) -> Result<decltype(query(std::declval<RowReader&>()))> {
    std::unique_ptr<Reader> reader;
    {
      const std::lock_guard lock(readers_mutex_);
      if (!readers_.empty()) {
        reader = std::move(readers_.back());
        readers_.pop_back();
      }
    }
    try {
      if (!reader) {
        reader = std::make_unique<Reader>();
        open_session(reader->sql, path_);
        reader->rows = std::make_unique<RowReader>(reader->sql);
      }
      auto result = query(*reader->rows);
      const std::lock_guard lock(readers_mutex_);
      readers_.push_back(std::move(reader));
      return result;
    } catch (const std::exception& error) {
      // The session is dropped with whatever state the failure left it in.
      if (reader) reader->rows.reset();
      return tl::unexpected(storage_error(error));
    }
  }

  void write() {
    do {
      std::unique_lock lock(mutex_);
      wait_for_company(lock);
      if (queue_.empty()) {  // nothing is under way, or not on its way here
        waits_for_ = WaitsFor::anything;
        bell_->wait(lock, [this] {
          return waits_for_ == WaitsFor::nothing || (stopping_ && waits_for_ != WaitsFor::another);
        });
        wait_for_company(lock);
      }
      waits_for_ = WaitsFor::nothing;
    } while (write_some());
  }
  void wait_for_company(std::unique_lock<std::mutex>& lock) {
    waits_for_ = WaitsFor::company;
    // Whoever commits says when there are enough: by the time this wakes, more may be expected.
    bell_->wait_for(lock, patience,
                    [this] { return stopping_ || waits_for_ == WaitsFor::nothing || enough(); });
  }

  /// The store's thread. It may run at once, and would wait for mutex_.
  void unlock_and_wake(std::unique_lock<std::mutex>& lock) {
    waits_for_ = WaitsFor::nothing;
    const auto bell = bell_;
    lock.unlock();
    bell->notify_one();
  }
  /// With mutex_ held: whether another thread than the store's may write what waits.
  [[nodiscard]] bool others_may_write() const {
    return waits_for_ == WaitsFor::anything && expected_ <= writes_itself_up_to;
  }

  /// With mutex_ held: whether as many wait as a commit should be for.
  [[nodiscard]] bool enough() const {
    const std::size_t under_way = queue_.size() + expected_;
    if (under_way < waits_from) return true;
    return queue_.size() >=
           std::clamp(under_way / share_of_those_under_way, waited_for_min, waited_for_max);
  }

  /// Everything that waits, as far as it shares a commit. False: nothing waits.
  bool write_some() {
    std::vector<Pending> group;
    {
      const std::lock_guard lock(mutex_);
      while (!queue_.empty() && group.size() < group_max) {
        group.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
    }
    if (group.empty()) return false;
    write_group(group);
    for (auto& pending : group) pending.done(std::move(pending.result));
    return true;
  }

  /// One transaction for all: a batch that contradicts the store fails alone.
  void write_group(std::vector<Pending>& group) {
    try {
      if (!write_together(group)) write_each(group);
    } catch (const std::exception& error) {
      try {
        if (sqlite_api::sqlite3_get_autocommit(native(sql_)) == 0) run(sql_, "ROLLBACK");
      } catch (const std::exception&) {
        // Nothing more can be done here; the next BEGIN fails and says so to its callers.
      }
      for (auto& pending : group) pending.result = tl::unexpected(storage_error(error));
    }
  }

  /// Without savepoints: for each one SQLite copies every page that is changed, and contradictions
  /// are rare. False: one of several contradicts the store, and nothing was written.
  bool write_together(std::vector<Pending>& group) {
    transactions_->begin();
    for (auto& pending : group) {
      const auto contradiction = change(pending.batch);
      if (!contradiction) continue;
      run(sql_, "ROLLBACK");
      if (group.size() > 1) return false;
      pending.result = fail(Errc::conflict, *contradiction);
      return true;
    }
    transactions_->commit();
    return true;
  }

  void write_each(std::vector<Pending>& group) {
    transactions_->begin();
    for (auto& pending : group) {
      transactions_->save();
      if (const auto contradiction = change(pending.batch)) {
        pending.result = fail(Errc::conflict, *contradiction);
        run(sql_, "ROLLBACK TO batch");
      }
      transactions_->release();
    }
    transactions_->commit();
  }

  /// Out: how the batch contradicts the store, if it does. A part of it may be changed then.
  std::optional<std::string> change(const Batch& batch) {
    try {
      for (const Change& one : batch) writer_rows_->apply(one);
    } catch (const Contradiction& contradiction) {
      return contradiction.what();
    } catch (const std::exception& error) {
      if ((sqlite_api::sqlite3_errcode(native(sql_)) & 0xFF) != SQLITE_CONSTRAINT) throw;
      return error.what();
    }
    return std::nullopt;
  }

  std::string path_;
  soci::session sql_;
  std::unique_ptr<RowWriter> writer_rows_;
  std::unique_ptr<Transactions> transactions_;
  const Turns post_;
  std::thread writer_;
  std::mutex mutex_;
  /// Shared: once it is unlocked, whoever rings may find that the store has ended.
  const std::shared_ptr<std::condition_variable> bell_ =
      std::make_shared<std::condition_variable>();
  std::deque<Pending> queue_;
  /// The store's thread: `nothing` = it writes, or has been woken to; `another` = it rests while
  /// another thread writes.
  enum class WaitsFor { nothing, anything, company, another } waits_for_ = WaitsFor::nothing;
  std::atomic<std::size_t> expected_ = 0;
  bool stopping_ = false;
  std::mutex readers_mutex_;
  std::vector<std::unique_ptr<Reader>> readers_;
};

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite(const std::string& path, Turns turns) {
  auto store = std::make_unique<SqliteStore>(path, std::move(turns));
  UMBRA_CHECK(store->open());
  return store;
}

}  // namespace umbra::store
