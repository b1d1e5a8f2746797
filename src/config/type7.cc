#include "base/bytes.h"
#include "config/config.h"

namespace umbra::config {
namespace {

/// The key IOS obscures with; the first two figures of the text say where it starts.
constexpr std::string_view pad = "dsfd;kfoA,.iyewrkldJKDHSUBsgvca69834ncxv9873254k;fg87";
constexpr unsigned salts = 16;  // what IOS itself uses; more decode

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Result<std::string> decode_type7(std::string_view text) {
  if (text.size() < 4 || text.size() % 2 != 0 || text.size() > 1024 || !is_digit(text[0]) ||
      !is_digit(text[1])) {
    return fail(Errc::malformed, "not a type 7 password");
  }
  const auto salt =
      static_cast<unsigned>(text[0] - '0') * 10U + static_cast<unsigned>(text[1] - '0');
  if (salt >= pad.size()) return fail(Errc::malformed, "not a type 7 password");
  auto octets = from_hex(text.substr(2));
  if (!octets || octets->size() * 2 + 2 != text.size()) {
    return fail(Errc::malformed, "not a type 7 password");
  }
  std::string plain;
  for (std::size_t i = 0; i < octets->size(); ++i) {
    const auto key = static_cast<std::uint8_t>(pad[(salt + i) % pad.size()]);
    const auto octet = static_cast<std::uint8_t>((*octets)[i] ^ key);
    if (octet < 0x20 || octet == 0x7F) {
      wipe(plain);
      return fail(Errc::malformed, "not a type 7 password");
    }
    plain += static_cast<char>(octet);
  }
  return plain;
}

std::string encode_type7(std::string_view plain, unsigned salt) {
  const std::size_t start = salt % salts;
  Bytes octets;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    octets.push_back(
        static_cast<std::uint8_t>(static_cast<std::uint8_t>(plain[i]) ^
                                  static_cast<std::uint8_t>(pad[(start + i) % pad.size()])));
  }
  std::string text;
  text += static_cast<char>('0' + start / 10);
  text += static_cast<char>('0' + start % 10);
  return text + to_hex(octets);
}

}  // namespace umbra::config
