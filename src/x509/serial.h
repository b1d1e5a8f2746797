#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace umbra::x509 {

/// A certificate serial number, not negative. Ordered by value.
/// Source: RFC 5280 4.1.2.2. Umbra counts from 1 as IOS does, one counter for CA, rollover CA and
/// client certificates. A CA's serials have at most 20 octets; a peer's self-signed certificate may
/// have more (certmonger's has 32).
class Serial {
 public:
  static constexpr std::size_t octets_max = 40;
  Serial() =
      default;  ///< zero: no certificate's serial, the state of a counter before the first one
  explicit Serial(std::uint64_t value);
  /// In:     big-endian magnitude, at most 40 octets after leading zeros are dropped.
  /// Errors: malformed if longer.
  [[nodiscard]] static Result<Serial> from_big_endian(ByteView in);
  /// In:     hex digits, with or without 0x.
  [[nodiscard]] static Result<Serial> from_hex(std::string_view text);
  /// In:     decimal digits and nothing else.
  [[nodiscard]] static Result<Serial> from_decimal(std::string_view text);
  [[nodiscard]] ByteView big_endian() const { return octets_; }  ///< always 40 octets, left-padded
  [[nodiscard]] Bytes integer_der() const;                       ///< the INTEGER element
  /// `01` on certificate screens: upper-case hex of whole octets.
  [[nodiscard]] std::string to_hex_octets() const;
  /// `1` on the server's status screen: upper-case hex without leading zeros.
  [[nodiscard]] std::string to_hex() const;
  /// Errors: malformed if over 64 bits.
  [[nodiscard]] Result<std::uint64_t> to_uint64() const;
  friend auto operator<=>(const Serial&, const Serial&) = default;

 private:
  std::array<std::uint8_t, octets_max> octets_{};
};

}  // namespace umbra::x509
