#include "sim/tracked_store.h"

namespace umbra::sim {

void TrackedStore::commit(store::Batch batch, store::Committed done, store::Wake wake) {
  begun_();
  real_->commit(
      std::move(batch),
      [this, done = std::move(done)](Result<void> result) {
        done(std::move(result));
        ended_();
      },
      wake);
}

}  // namespace umbra::sim
