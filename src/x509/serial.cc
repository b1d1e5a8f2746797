#include "x509/serial.h"

#include <algorithm>

#include "x509/der.h"

namespace umbra::x509 {
namespace {

ByteView significant(ByteView octets) {
  while (!octets.empty() && octets[0] == 0) octets = octets.subspan(1);
  return octets;
}

}  // namespace

Serial::Serial(std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) {
    octets_[octets_max - 1 - i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
}

Result<Serial> Serial::from_big_endian(ByteView in) {
  in = significant(in);
  if (in.size() > octets_max)
    return fail(Errc::malformed, "a serial number of more than 40 octets");
  Serial serial;
  std::copy(in.begin(), in.end(), serial.octets_.end() - static_cast<std::ptrdiff_t>(in.size()));
  return serial;
}

Result<Serial> Serial::from_hex(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
  if (text.empty()) return fail(Errc::malformed, "a serial number without digits");
  UMBRA_TRY(const Bytes octets,
            umbra::from_hex(text.size() % 2 == 0 ? std::string(text) : "0" + std::string(text)));
  return from_big_endian(octets);
}

Result<Serial> Serial::from_decimal(std::string_view text) {
  Serial serial;
  if (text.empty()) return fail(Errc::malformed, "a serial number without digits");
  for (const char digit : text) {
    if (digit < '0' || digit > '9')
      return fail(Errc::malformed, "a serial number that is not decimal");
    unsigned carry = static_cast<unsigned>(digit - '0');
    for (auto octet = serial.octets_.rbegin(); octet != serial.octets_.rend(); ++octet) {
      carry += *octet * 10U;
      *octet = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
    if (carry != 0) return fail(Errc::malformed, "a serial number of more than 40 octets");
  }
  return serial;
}

Bytes Serial::integer_der() const { return der::unsigned_integer(octets_); }

std::string Serial::to_hex_octets() const {
  const ByteView octets = significant(octets_);
  return octets.empty() ? "00" : umbra::to_hex(octets);
}

std::string Serial::to_hex() const {
  std::string text = to_hex_octets();
  const std::size_t zeros = text.find_first_not_of('0');
  return zeros == std::string::npos ? "0" : text.substr(zeros);
}

Result<std::uint64_t> Serial::to_uint64() const {
  const ByteView octets = significant(octets_);
  if (octets.size() > 8) return fail(Errc::malformed, "a serial number of more than 64 bits");
  std::uint64_t value = 0;
  for (const std::uint8_t octet : octets) value = value << 8 | octet;
  return value;
}

}  // namespace umbra::x509
