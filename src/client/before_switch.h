#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "store/store.h"

/// What a switch-over has put away: the CA, its RAs, the identity and its key, as they were.
///
/// A clock that is ahead switches before the time, and once it is right again nothing that was
/// switched to is valid: then what was there before is taken up again. It is known as long as CA
/// and identity are those of the switch; whatever replaces or removes one of them ends it.
///
/// Kept in the row's text of what is held since when, a line: `before-switch`, the SHA-256 of the
/// certificates that were switched to, and what was put away, the key sealed as in the row.
namespace umbra::client {

/// In: `row`, switched over, and what it was `before`.
void keep_before_switch(store::TrustpointRow& row, const store::TrustpointRow& before);
/// It is not known any more, and its key is gone with it: the keys go.
void forget_before_switch(store::TrustpointRow& row);
/// Its line of the row's text, while it is known.
[[nodiscard]] std::string before_switch_line(const store::TrustpointRow& row);
/// The row with the switch undone, to be made again in its time: what was put away is active, and
/// what is active is what follows. Nothing, unless that has not begun `now` and what was put away
/// has not ended. Progress and a request under way are for the caller.
[[nodiscard]] std::optional<store::TrustpointRow> before_switch(const store::TrustpointRow& row,
                                                                Time now);

}  // namespace umbra::client
