#pragma once

#include "audit/chain.h"
#include "store/store.h"

namespace umbra::audit {

/// What a batch does that the log tells; most batches that count or publish do nothing of it.
[[nodiscard]] std::vector<Event> events_of(const store::Batch& batch);
/// Whether one CA takes over from another with it: both sign the log then.
[[nodiscard]] bool switches(const store::Batch& batch);

}  // namespace umbra::audit
