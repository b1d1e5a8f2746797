#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/outlet.h"
#include "client/state.h"

/// What other programs are told of a trustpoint, as values: which certificates it has, what is new
/// in them, the files they are put into.
///
/// That something has to be announced is derived and never stored: the store keeps what was
/// announced last, and whatever differs from it is news. So a process that died before, during or
/// after the command starts it again, and a command that failed while more happened is told the
/// greatest of it all.
namespace umbra::client {

/// The certificates a trustpoint has, for the store: SHA-256 of CA, identity, next CA and next
/// identity, each `-` where there is none; `+` behind the next CA if it is included among the
/// trusted ones. Empty without an identity: nothing is announced.
[[nodiscard]] std::string certificates_of(const State& state,
                                          const config::Trustpoint& configuration);
/// The same, and when the identity ends: what is kept of what others were told.
[[nodiscard]] std::string announcement_of(const State& state,
                                          const config::Trustpoint& configuration);
/// Until when the identity is valid that they were told of; nothing if they never were, or by a
/// version that did not keep it.
[[nodiscard]] std::optional<Time> end_told(std::string_view announced);
/// What happened between two of them: `enrolled`, `switch-over`, `renewed`, `rollover-identity`,
/// `rollover-ca`, the first of these that fits; empty if nothing did.
[[nodiscard]] std::string event_between(std::string_view announced, std::string_view now);
/// UMBRA_TRUSTPOINT, UMBRA_EVENT, serial numbers, validities and paths, for the command.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> variables_of(
    const State& state, const config::Trustpoint& configuration, std::string_view event);

/// What `storage pem` keeps. Errors: crypto.
[[nodiscard]] Result<PemFiles> pem_files(const State& state, bool include_rollover_ca);
/// The keys in them.
void wipe_keys(PemFiles& files);
/// Key, identity and CAs, sealed with the password of `storage pkcs12`. Errors: crypto.
[[nodiscard]] Result<Bytes> active_archive(const State& state,
                                           const config::Trustpoint& configuration);

/// The archives that a trustpoint has made last are known again, whatever became of their password:
/// lines `archive SHA256` of the row's text of what is held since when (held_since.h).
void add_archive(store::TrustpointRow& row, ByteView archive);
[[nodiscard]] bool knows_archive(const store::TrustpointRow& row, ByteView archive);
/// Its lines of the row's text, for another one.
[[nodiscard]] std::string archive_lines(std::string_view held_since);

}  // namespace umbra::client
