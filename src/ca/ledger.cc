#include "ca/ledger.h"

#include <algorithm>
#include <future>

namespace umbra::ca {
namespace {

// A crash skips at most this many serials; a lease is renewed in the background when a quarter of
// it is left.
constexpr std::uint64_t lease_size = 64;

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(store::Store& store, const std::string& server) {
  UMBRA_TRY(auto stored, store.server(server));
  store::ServerRow row = stored.value_or(store::ServerRow{});
  row.server = server;
  return std::unique_ptr<Ledger>(new Ledger(store, std::move(row)));
}

Ledger::Ledger(store::Store& store, store::ServerRow row)
    : store_(store),
      row_(std::move(row)),
      next_(std::max(row_.last_serial, row_.serial_lease) + 1),
      leased_end_(next_ - 1) {}

void Ledger::lease() {
  // With mutex_ held.
  leasing_ = true;
  lease_error_.reset();
  row_.serial_lease = std::max(leased_end_, row_.last_serial) + lease_size;
  const std::uint64_t end = row_.serial_lease;
  store_.commit({store::PutServer{row_}}, [this, end](Result<void> result) {
    const std::lock_guard lock(mutex_);
    leasing_ = false;
    if (result) {
      leased_end_ = end;
    } else {
      lease_error_ = result.error();
    }
    leased_.notify_all();
  });
}

Result<x509::Serial> Ledger::take_serial() {
  std::unique_lock lock(mutex_);
  if (next_ > leased_end_) {
    if (!leasing_) lease();
    leased_.wait(lock, [this] { return next_ <= leased_end_ || !leasing_; });
    if (next_ > leased_end_)
      return tl::unexpected(
          lease_error_.value_or(Error{Errc::storage, "no serial numbers left to lease"}));
  } else if (!leasing_ && leased_end_ - next_ < lease_size / 4) {
    lease();
  }
  const x509::Serial serial(next_++);
  lock.unlock();
  if (follower_.before_use) UMBRA_CHECK(follower_.before_use(serial));
  return serial;
}

std::uint64_t Ledger::take_request_id() {
  const std::lock_guard lock(mutex_);
  return row_.next_request_id++;
}

store::ServerRow Ledger::row() const {
  const std::lock_guard lock(mutex_);
  return row_;
}

void Ledger::commit(store::Batch batch, const std::function<void(store::ServerRow&)>& change,
                    store::Committed done) {
  // Changed and queued under one lock: the order of the queue is the order of the changes.
  const std::lock_guard lock(mutex_);
  change(row_);
  batch.emplace_back(store::PutServer{row_});
  const auto after = follower_.joining ? follower_.joining(batch) : std::function<void()>{};
  if (!after) return store_.commit(std::move(batch), std::move(done));
  // First those who stay: who waits for `done` may end the server.
  store_.commit(std::move(batch), [after, done = std::move(done)](Result<void> result) {
    if (result) after();
    done(std::move(result));
  });
}

Result<void> Ledger::commit(store::Batch batch,
                            const std::function<void(store::ServerRow&)>& change) {
  std::promise<Result<void>> promise;
  auto answer = promise.get_future();
  commit(std::move(batch), change,
         [&promise](Result<void> result) { promise.set_value(std::move(result)); });
  return answer.get();
}

Result<void> Ledger::close() {
  {
    std::unique_lock lock(mutex_);
    leased_.wait(lock, [this] { return !leasing_; });
    if (row_.serial_lease == next_ - 1 || leased_end_ < next_) return {};
    leased_end_ = next_ - 1;
  }
  return commit({}, [this](store::ServerRow& row) { row.serial_lease = next_ - 1; });
}

}  // namespace umbra::ca
