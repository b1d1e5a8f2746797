#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

/// The audit log's lines, each of which holds the one before it fast:
///
///     NUMBER TIME EVENT key="value" ... HASH
///
/// HASH is SHA-256 over the line before it and the HASH of the line before, 64 hexadecimal digits.
/// Values hold printable ASCII; everything else in them, quotes and backslashes too, stands as
/// \xNN: no name can end a line or begin another.
namespace umbra::audit {

struct Event {
  std::string name;  ///< ISSUE, REVOKE ...: capitals and hyphens
  std::vector<std::pair<std::string, std::string>> fields{};
};

/// The last line: what the next one is chained to. As it is before the first.
struct Head {
  std::uint64_t number = 0;
  std::string hash = std::string(64, '0');
  friend bool operator==(const Head&, const Head&) = default;
};

/// The next line, its end included; `head` moves on to it.
[[nodiscard]] std::string next_line(Head& head, Instant at, const Event& event);

struct Line {
  std::uint64_t number = 0;
  std::string time;
  Event event;
  std::string hash;
  std::string text;  ///< up to the hash
  [[nodiscard]] const std::string* find(std::string_view key) const;
};
/// Without its end. What it says is not checked against any other line. Errors: malformed.
[[nodiscard]] Result<Line> parse(std::string_view line);
/// HASH of a line with this text behind a line with that hash.
[[nodiscard]] std::string hash_of(std::string_view before, std::string_view text);

/// What a CA signs of a log, with SHA-256: that it reaches to this line.
[[nodiscard]] std::string statement(const Head& head);

/// A CA's signature under it, and the event that keeps it: of the line before its own.
struct Signature {
  std::string server;
  std::uint32_t generation = 1;
  Bytes octets;
};
[[nodiscard]] Event signed_event(const Signature& signature);

}  // namespace umbra::audit
