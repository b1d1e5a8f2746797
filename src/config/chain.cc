#include "config/chain.h"

#include <algorithm>

#include <fmt/format.h>

#include "config/config.h"

namespace umbra::config {
namespace {

std::string_view words(ChainKind kind) {
  switch (kind) {
    case ChainKind::identity:
      return "";
    case ChainKind::ca:
      return "ca ";
    case ChainKind::ca_rollover:
      return "ca rollover ";
    case ChainKind::rollover:
      return "rollover ";
    case ChainKind::self_signed:
      return "self-signed ";
  }
  return "";
}

}  // namespace

std::string to_string(const Chain& chain) {
  std::string out = fmt::format("crypto pki certificate chain {}\n", chain.name);
  for (const ChainCertificate& one : chain.certificates) {
    out += fmt::format(" certificate {}{}", words(one.kind), one.serial);
    if (one.der.empty()) {
      out += fmt::format(" {}\n", one.file);
      continue;
    }
    constexpr std::size_t a_line = 32;
    for (std::size_t at = 0; at < one.der.size(); at += a_line) {
      const ByteView part = ByteView(one.der).subspan(at, std::min(a_line, one.der.size() - at));
      std::string hex = to_hex_groups(part);
      while (hex.ends_with(' ')) hex.pop_back();
      out += "\n  " + hex;
    }
    out += "\n  \tquit\n";
  }
  return out;
}

Result<Chain> parse_chain(std::string_view text) {
  Parsed parsed = parse(text);
  if (!parsed.faults.empty()) {
    const Fault& fault = parsed.faults.front();
    return fail(Errc::malformed, fmt::format("line {}: {}", fault.line, fault.what));
  }
  if (parsed.chains.size() != 1) {
    return fail(Errc::malformed, "expected one section crypto pki certificate chain NAME");
  }
  return std::move(parsed.chains.front());
}

bool is_one_sequence(ByteView octets) {
  if (octets.size() < 2 || octets[0] != 0x30) return false;
  std::size_t length = octets[1];
  std::size_t head = 2;
  if (length >= 0x80) {
    const std::size_t count = length & 0x7FU;
    if (count == 0 || count > 3 || octets.size() < 2 + count) return false;
    length = 0;
    for (std::size_t i = 0; i < count; ++i) length = length << 8U | octets[2 + i];
    head += count;
  }
  return octets.size() == head + length;
}

}  // namespace umbra::config
