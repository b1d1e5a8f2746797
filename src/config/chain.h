#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace umbra::config {

enum class ChainKind : std::uint8_t { identity, ca, ca_rollover, rollover, self_signed };

struct ChainCertificate {
  ChainKind kind = ChainKind::identity;
  std::string serial;  ///< upper-case hex of whole octets: 01
  Bytes der;           ///< empty if the text names a file instead
  std::string file;
  friend bool operator==(const ChainCertificate&, const ChainCertificate&) = default;
};

/// A section `crypto pki certificate chain NAME` of the running configuration. Only the outer
/// length of the DER is checked: it is text until somebody parses it.
struct Chain {
  std::string name;
  std::vector<ChainCertificate> certificates;
  friend bool operator==(const Chain&, const Chain&) = default;
};

/// As IOS prints it: 32 octets a line in groups of four, `quit` behind two blanks and a tab.
[[nodiscard]] std::string to_string(const Chain& chain);
/// Errors: malformed, with the first fault; also if there is none or more than one chain.
[[nodiscard]] Result<Chain> parse_chain(std::string_view text);

/// True if `octets` is one DER SEQUENCE whose length is the whole.
[[nodiscard]] bool is_one_sequence(ByteView octets);

}  // namespace umbra::config
