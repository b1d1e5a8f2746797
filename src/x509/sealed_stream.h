#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/bytes.h"

/// Octets of any number under a passphrase, as a file of a backup holds them:
///
///     "UMBRABK1" log2(N) r p 0 salt[16]                the scrypt that makes the key (RFC 7914)
///     chunks of 65536 octets and a tag of 16 each;     AES-256-GCM, the header as associated data
///     the last one shorter, or empty
///
/// A chunk's nonce is its number and whether it is the last one, and the key is this file's alone:
/// a chunk that is changed, moved, left out, or of another file does not open, and neither does
/// what was cut off where a chunk ends.
namespace umbra::x509 {

class SealWriter {
 public:
  using Sink = std::function<Result<void>(ByteView)>;
  static constexpr std::uint8_t cost_log2 = 17;
  /// Cost: 128 MiB and half a second, once; whoever guesses passphrases pays it for each. In:
  /// `cost` = scrypt's N is two to this. Errors: crypto; what `sink` gives.
  [[nodiscard]] static Result<std::unique_ptr<SealWriter>> begin(std::string_view passphrase,
                                                                 Sink sink,
                                                                 std::uint8_t cost = cost_log2);
  virtual ~SealWriter() = default;
  [[nodiscard]] virtual Result<void> write(ByteView plain) = 0;
  /// Once, in the end: without it the whole does not open.
  [[nodiscard]] virtual Result<void> finish() = 0;
};

class SealReader {
 public:
  /// Fills as much as there is. Out: how many octets; 0 = the end.
  using Source = std::function<Result<std::size_t>(std::span<std::uint8_t>)>;
  /// Errors: malformed (no such file), unsupported (of another version), what `source` gives.
  [[nodiscard]] static Result<std::unique_ptr<SealReader>> begin(std::string_view passphrase,
                                                                 Source source);
  virtual ~SealReader() = default;
  /// Out: how many octets; 0 = the end, which has been proved to be it. Errors: crypto (another
  /// passphrase, or changed); what `source` gives.
  [[nodiscard]] virtual Result<std::size_t> read(std::span<std::uint8_t> out) = 0;
};

}  // namespace umbra::x509
