#include "store/store.h"

#include <future>

namespace umbra::store {

void Store::commit(Batch batch, Committed done) {
  commit(std::move(batch), std::move(done), Wake::yes);
}

Result<void> Store::commit(Batch batch) {
  std::promise<Result<void>> promise;
  auto answer = promise.get_future();
  commit(std::move(batch),
         [&promise](Result<void> result) { promise.set_value(std::move(result)); });
  return answer.get();
}

Result<std::vector<x509::RevokedEntry>> Store::revoked(const std::string& server,
                                                       std::uint32_t generation,
                                                       Time unexpired_at) {
  std::vector<x509::RevokedEntry> entries;
  UMBRA_CHECK(each_revoked(server, generation, unexpired_at,
                           [&](const x509::RevokedEntry& entry) { entries.push_back(entry); }));
  return entries;
}

}  // namespace umbra::store
