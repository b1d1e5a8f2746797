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

/// Whether this is such an archive: it opens with that password, and has the same key and
/// certificates.
[[nodiscard]] bool is_active_archive(ByteView archive, const State& state,
                                     const config::Trustpoint& configuration);

// The archives that a trustpoint has put into its place last are known again, whatever became of
// their password, by lines of the row's text of what is held since when (held_since.h): `archive
// SHA256` of each that went in, the newest last; `archive-try SHA256` of the one that is on its
// way, one at most, so that no number of tries drives out what went in; `archive-place SHA256` of
// where, and for whom to read, the newest was put.

/// It is on its way, instead of any other.
void begin_archive(store::TrustpointRow& row, ByteView archive);
[[nodiscard]] bool is_on_its_way(const store::TrustpointRow& row, ByteView archive);
/// It went in; `storage`: so. Null: nobody knows how.
void finish_archive(store::TrustpointRow& row, ByteView archive, const config::Storage* storage);
/// It is the one that went in last, and there, and so.
[[nodiscard]] bool went_in_last(const store::TrustpointRow& row, ByteView archive,
                                const config::Storage& storage);
/// Any of them.
[[nodiscard]] bool knows_archive(const store::TrustpointRow& row, ByteView archive);

/// It was the trustpoint's key, and is not any more: a certificate of it that other programs still
/// have is no stranger's. Lines `former-key SHA256` of the same text, the last ones.
void add_former_key(store::TrustpointRow& row, const x509::PublicKey& key);
/// Whether the certificate is one of the keys that the trustpoint has or had, or the one that
/// others were told of last.
[[nodiscard]] bool is_of_trustpoint(const State& state, const x509::Certificate& certificate);

/// The lines of all that in the row's text, for another one.
[[nodiscard]] std::string announcement_lines(std::string_view held_since);

}  // namespace umbra::client
