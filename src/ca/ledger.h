#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

#include "base/random.h"
#include "store/store.h"

namespace umbra::ca {

/// Who follows what a server commits, and the serial numbers it uses.
struct Follower {
  /// May add to each batch; what it gives back is called once the batch is durable, by the thread
  /// that wrote it. Called with the ledger locked: quick, and never back into it.
  std::function<std::function<void()>(store::Batch&)> joining;
  /// Before a serial number is used. Errors: then it is skipped.
  std::function<Result<void>(const x509::Serial&)> before_use;
};
/// Enters the serial of a certificate that was issued: counted, or drawn by chance.
void count_issued(store::ServerRow& row, const x509::Serial& serial);

/// The counters of one certificate server: serial numbers, request numbers, CRL numbers.
/// Thread-safe.
///
/// A serial is used once, whatever happens: serials are leased from the store in blocks before the
/// first of a block is signed. A process that dies leaves its lease behind, and its successor
/// begins after it; one that closes in order gives the rest back. So one commit per certificate is
/// enough, and no signature exists whose number was not on the disk as taken before.
///
/// Serials by chance have 126 random bits in 16 octets and take no lease: what a process that died
/// had drawn is not drawn again. They are above all that are counted, so that a server may change
/// from one kind to the other and back.
class Ledger {
 public:
  /// Reads the counters. In: `random` = where serials come from, nothing = they are counted.
  /// Errors: storage.
  [[nodiscard]] static Result<std::unique_ptr<Ledger>> open(store::Store& store,
                                                            const std::string& server,
                                                            Random* random = nullptr);
  /// `serial-number N`: the first serial is N + 1. For a server that has no CA certificate yet, so
  /// that nothing which was signed is known to anybody. In: at most 2^62 - 1.
  void begin_after(std::uint64_t start);

  /// Before anything is taken or committed.
  void follow(Follower follower) { follower_ = std::move(follower); }

  /// The next serial. Waits for the store when a lease is used up. Errors: storage.
  [[nodiscard]] Result<x509::Serial> take_serial();
  /// The next ReqID; stored with the next commit.
  [[nodiscard]] std::uint64_t take_request_id();
  /// A copy of the counters.
  [[nodiscard]] store::ServerRow row() const;
  /// Changes the counters and commits them with the rest of the batch. What is committed later was
  /// changed later, so the stored counters never go back. `done` as in Store::commit.
  void commit(store::Batch batch, const std::function<void(store::ServerRow&)>& change,
              store::Committed done, store::Wake wake = store::Wake::yes);
  [[nodiscard]] Result<void> commit(store::Batch batch,
                                    const std::function<void(store::ServerRow&)>& change);
  /// After a commit that failed: what else it changed besides the counters, which may be skipped.
  void take_back(const std::function<void(store::ServerRow&)>& change);
  /// Gives the unused rest of the lease back. Nothing can be taken or committed afterwards: another
  /// ledger of this server may be opened, and whoever still holds this one is refused (conflict).
  [[nodiscard]] Result<void> close();

 private:
  Ledger(store::Store& store, store::ServerRow row, Random* random);
  void commit_locked(store::Batch batch, const std::function<void(store::ServerRow&)>& change,
                     store::Committed done, store::Wake wake);
  void lease();
  [[nodiscard]] Result<x509::Serial> draw_serial();

  store::Store& store_;
  Random* const random_;
  mutable std::mutex mutex_;
  std::condition_variable leased_;
  store::ServerRow row_;
  std::uint64_t next_;
  std::uint64_t leased_end_;
  bool leasing_ = false;
  bool closed_ = false;
  std::optional<Error> lease_error_;
  Follower follower_;
};

}  // namespace umbra::ca
