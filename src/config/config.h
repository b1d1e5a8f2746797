#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/chain.h"
#include "config/model.h"

namespace umbra::config {

/// A line that stops the start. Secrets in it are replaced by asterisks. Printed as
///
///     FILE:LINE:COLUMN: unknown command "rsakeypiar"
///      rsakeypiar spoke-1-RSA
///      ^
///       expected: a trustpoint command; did you mean "rsakeypair"?
struct Fault {
  std::size_t line = 0;    ///< from 1
  std::size_t column = 0;  ///< from 1, in characters
  std::string text;        ///< the line as it stands
  std::string what;
  std::string hint;  ///< what was expected there, the nearest command
};
[[nodiscard]] std::string to_string(const Fault& fault, std::string_view file);

/// The line with asterisks for what stands behind a word like `password`: fit for a log.
[[nodiscard]] std::string hide_secrets(std::string_view line);

/// A line that is accepted and kept, and not acted on by this version.
struct NotEffective {
  std::size_t line = 0;
  std::string text;  ///< normalised, secrets left out: fit for a log
};

/// Where a setting that is in force stands in the text.
struct SettingLine {
  enum class In : std::uint8_t { global, server, trustpoint };
  In in = In::global;
  std::string block;     ///< the server's or trustpoint's name; empty for a global setting
  std::string key;       ///< the command's, such as "lifetime crl"; empty for the block's own line
  std::size_t line = 0;  ///< from 1
  std::string text;      ///< normalised, secrets left out
};

struct Parsed {
  Configuration configuration;
  std::vector<SettingLine> lines;  ///< block by block: sorted by `in` and `block`, and no further
  std::vector<Fault> faults;       ///< all of the file's faults; not empty = must not start
  std::vector<NotEffective> not_effective;
  std::vector<Chain> chains;  ///< certificates the text brought along; kept, not installed
  /// `show running-config`: normalised text of everything that was accepted, defaults left out,
  /// secrets in type 7, in the table's order; parsed again, it gives the same configuration.
  std::string running_config;
};
/// In:     IOS configuration text: UTF-8, LF or CRLF, at most 16 MiB; `!` and empty lines, leading
/// blanks, `end`, a
///         pasted prompt or `Building configuration...` are let pass.
[[nodiscard]] Parsed parse(std::string_view text);
/// May a certificate server or a trustpoint be called so?
[[nodiscard]] bool is_block_name(std::string_view name);

/// Type 7: reversible, hides from a glance only. Errors: malformed.
[[nodiscard]] Result<std::string> decode_type7(std::string_view text);
[[nodiscard]] std::string encode_type7(std::string_view plain, unsigned salt);

}  // namespace umbra::config
