#pragma once

#include <functional>
#include <memory>

#include "store/forwarding_store.h"

namespace umbra::sim {

/// A real store whose commits under way are known: the world moves its clock only when nothing is
/// in flight, so that time stands still while a disk works.
class TrackedStore final : public store::ForwardingStore {
 public:
  /// `begun` and `ended` frame every commit; `ended` may come from the store's own thread.
  TrackedStore(std::unique_ptr<store::Store> real, std::function<void()> begun,
               std::function<void()> ended)
      : ForwardingStore(std::move(real)), begun_(std::move(begun)), ended_(std::move(ended)) {}

  using store::Store::commit;
  void commit(store::Batch batch, store::Committed done, store::Wake wake) override;

 private:
  std::function<void()> begun_;
  std::function<void()> ended_;
};

}  // namespace umbra::sim
