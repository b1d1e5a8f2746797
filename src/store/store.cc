#include "store/store.h"

#include <future>

namespace umbra::store {

Result<void> Store::commit(Batch batch) {
  std::promise<Result<void>> promise;
  auto answer = promise.get_future();
  commit(std::move(batch),
         [&promise](Result<void> result) { promise.set_value(std::move(result)); });
  return answer.get();
}

}  // namespace umbra::store
