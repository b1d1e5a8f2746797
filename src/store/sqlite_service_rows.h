#pragma once

#include "store/store.h"

namespace soci {
class session;
}

/// What a certificate server keeps besides certificates and requests: its one-time password, who
/// fetched the next CA; and the end of it all. And keys that wait for a trustpoint. May throw what
/// SOCI throws, and Contradiction.
namespace umbra::store {

/// In: PutOneTimePassword, SpendOneTimePassword, PutNextCaFetch, RevokeGeneration, DropServer,
/// PutKeyPair or DropKeyPair.
void apply_service(soci::session& sql, const Change& change);

}  // namespace umbra::store
