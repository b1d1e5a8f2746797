#include "ca/ledger.h"

#include <algorithm>
#include <array>
#include <future>
#include <utility>

namespace umbra::ca {
namespace {

// A crash skips at most this many serials; a lease is renewed in the background when half of it is
// left: commits wait for one another.
constexpr std::uint64_t lease_size = 64;
// The store's integers are signed.
constexpr std::uint64_t serial_max = 0x7FFF'FFFF'FFFF'FFFF;

Error closed() {
  return {Errc::conflict,
          "the certificate server was changed meanwhile, and has another to go on for it; say it "
          "again"};
}

}  // namespace

void count_issued(store::ServerRow& row, const x509::Serial& serial) {
  if (const auto counted = serial.to_uint64()) {
    row.last_serial = std::max(row.last_serial, *counted);
    row.random_serial = {};
  } else {
    row.random_serial = serial;
  }
}

Result<std::unique_ptr<Ledger>> Ledger::open(store::Store& store, const std::string& server,
                                             Random* random) {
  UMBRA_TRY(auto stored, store.server(server));
  store::ServerRow row = stored.value_or(store::ServerRow{});
  row.server = server;
  return std::unique_ptr<Ledger>(new Ledger(store, std::move(row), random));
}

Ledger::Ledger(store::Store& store, store::ServerRow row, Random* random)
    : store_(store),
      random_(random),
      row_(std::move(row)),
      next_(std::min(std::max(row_.last_serial, row_.serial_lease), serial_max) + 1),
      leased_end_(next_ - 1) {}

void Ledger::begin_after(std::uint64_t start) {
  const std::lock_guard lock(mutex_);
  row_.serial_start = start;
  row_.last_serial = start;
  row_.serial_lease = start;
  next_ = start + 1;
  leased_end_ = start;
}

void Ledger::lease() {
  // With mutex_ held.
  lease_error_.reset();
  const std::uint64_t from = std::max(leased_end_, row_.last_serial);
  if (from > serial_max - lease_size) {
    lease_error_ = {Errc::conflict,
                    "all serial numbers are used up; `serial-number random` has more"};
    return;
  }
  leasing_ = true;
  row_.serial_lease = from + lease_size;
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

Result<x509::Serial> Ledger::draw_serial() {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return tl::unexpected(closed());
  }
  constexpr int tries = 4;
  for (int i = 0; i < tries; ++i) {
    std::array<std::uint8_t, 16> octets{};
    random_->fill(octets);
    // Positive, always 16 octets, never padded.
    octets[0] = static_cast<std::uint8_t>((octets[0] & 0x3F) | 0x40);
    UMBRA_TRY(const auto serial, x509::Serial::from_big_endian(octets));
    UMBRA_TRY(const auto taken, store_.certificate(row_.server, serial));
    if (taken) continue;
    if (follower_.before_use) UMBRA_CHECK(follower_.before_use(serial));
    return serial;
  }
  return fail(Errc::crypto, "the source of randomness repeats itself; no serial number is safe");
}

Result<x509::Serial> Ledger::take_serial() {
  if (random_ != nullptr) return draw_serial();
  std::unique_lock lock(mutex_);
  if (closed_) return tl::unexpected(closed());
  if (next_ > leased_end_) {
    if (!leasing_) lease();
    leased_.wait(lock, [this] { return next_ <= leased_end_ || !leasing_; });
    if (next_ > leased_end_)
      return tl::unexpected(
          lease_error_.value_or(Error{Errc::storage, "no serial numbers left to lease"}));
  } else if (!leasing_ && leased_end_ - next_ < lease_size / 2) {
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
                    store::Committed done, store::Wake wake) {
  // Changed and queued under one lock: the order of the queue is the order of the changes.
  std::unique_lock lock(mutex_);
  if (closed_) {
    lock.unlock();
    return done(tl::unexpected(closed()));
  }
  commit_locked(std::move(batch), change, std::move(done), wake);
}

void Ledger::commit_locked(store::Batch batch, const std::function<void(store::ServerRow&)>& change,
                           store::Committed done, store::Wake wake) {
  change(row_);
  batch.emplace_back(store::PutServer{row_});
  const auto after = follower_.joining ? follower_.joining(batch) : std::function<void()>{};
  if (!after) return store_.commit(std::move(batch), std::move(done), wake);
  // First those who stay: who waits for `done` may end the server.
  store_.commit(
      std::move(batch),
      [after, done = std::move(done)](Result<void> result) {
        if (result) after();
        done(std::move(result));
      },
      wake);
}

Result<void> Ledger::commit(store::Batch batch,
                            const std::function<void(store::ServerRow&)>& change) {
  std::promise<Result<void>> promise;
  auto answer = promise.get_future();
  commit(std::move(batch), change,
         [&promise](Result<void> result) { promise.set_value(std::move(result)); });
  return answer.get();
}

void Ledger::take_back(const std::function<void(store::ServerRow&)>& change) {
  const std::lock_guard lock(mutex_);
  change(row_);
}

Result<void> Ledger::close() {
  std::promise<Result<void>> promise;
  auto answer = promise.get_future();
  {
    std::unique_lock lock(mutex_);
    leased_.wait(lock, [this] { return !leasing_; });
    if (std::exchange(closed_, true)) return {};
    if (row_.serial_lease == next_ - 1 || leased_end_ < next_) return {};
    leased_end_ = next_ - 1;
    commit_locked(
        {}, [this](store::ServerRow& row) { row.serial_lease = next_ - 1; },
        [&promise](Result<void> result) { promise.set_value(std::move(result)); },
        store::Wake::yes);
  }
  return answer.get();
}

}  // namespace umbra::ca
