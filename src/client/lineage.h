#pragma once

#include <string>
#include <string_view>

#include "client/state.h"

/// The CAs that a trustpoint has had since one of them was accepted, by a person or for its
/// fingerprint: that one, and those that followed it by rollover, each signed for by the one
/// before.
///
/// A `fingerprint` that is configured says who the CA is, and after a rollover it still is the
/// first one's. So it contradicts the CA that is held only if it is none of theirs; and only where
/// all of them are known can that be told. Trustpoints of before this was kept do not know theirs
/// until they are authenticated anew, or hold the CA of the fingerprint: for them nothing is a
/// contradiction, and `cannot_be_followed` says which fingerprints are not looked at.
///
/// Kept in the row's text of what is held since when, a line each: `lineage MD5 SHA1 SHA256`.
namespace umbra::client {

/// It is accepted: a line of its own begins, unless it is what the present one has led to.
void begin_lineage(store::TrustpointRow& row, const x509::Certificate& ca);
/// By rollover, `next` follows `ca`. What is not known does not get known by that.
void follow_lineage(store::TrustpointRow& row, const x509::Certificate& ca,
                    const x509::Certificate& next);
/// It does not follow yet, after all.
void unfollow_lineage(store::TrustpointRow& row, const x509::Certificate& next);
/// Its lines of the row's text, for another one.
[[nodiscard]] std::string lineage_lines(std::string_view held_since);
[[nodiscard]] bool knows_lineage(const store::TrustpointRow& row, const x509::Certificate& ca);

/// Whether a configured fingerprint is that of another CA than the one that is held, than those it
/// has come from, and than the one that is known to follow it.
/// In: hexadecimal digits of an MD5, SHA-1 or SHA-256 fingerprint, or nothing.
[[nodiscard]] bool contradicts(std::string_view fingerprint, const State& state);
/// Whether it is another CA's than the one that is held and those known beside it, and it is not
/// known how that one came: the fingerprint may be that of an earlier one. What is held counts as
/// accepted. In: as above.
[[nodiscard]] bool cannot_be_followed(std::string_view fingerprint, const State& state);

}  // namespace umbra::client
