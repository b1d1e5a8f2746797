#include <algorithm>
#include <array>
#include <charconv>

#include "base/assert.h"
#include "x509/der.h"

/// The writing half of der.h.
namespace umbra::x509::der {
namespace {

std::size_t header_size(std::size_t length) {
  std::size_t octets = 2;
  if (length >= 0x80) {
    for (std::size_t rest = length; rest != 0; rest >>= 8) ++octets;
  }
  return octets;
}

/// To its place, and behind it.
std::uint8_t* copy_to(std::uint8_t* place, ByteView part) {
  return std::copy(part.begin(), part.end(), place);
}

template <class Parts>
Bytes element_of(std::uint8_t tag, const Parts& parts) {
  std::size_t size = 0;
  for (const ByteView part : parts) size += part.size();
  const Header header(tag, size);
  Bytes out(header.size() + size);
  std::uint8_t* place = copy_to(out.data(), header);
  for (const ByteView part : parts) place = copy_to(place, part);
  return out;
}

}  // namespace

Header::Header(std::uint8_t tag, std::size_t content_size) {
  octets_[0] = tag;
  size_ = header_size(content_size);
  UMBRA_ENSURE(size_ <= octets_.size(), "a DER element has less than 4 GiB");
  if (size_ == 2) {
    octets_[1] = static_cast<std::uint8_t>(content_size);
    return;
  }
  octets_[1] = static_cast<std::uint8_t>(0x80 | (size_ - 2));
  for (std::size_t i = size_; i-- > 2; content_size >>= 8)
    octets_[i] = static_cast<std::uint8_t>(content_size);
}

Bytes tlv(std::uint8_t tag, ByteView content) { return tlv(tag, {content}); }

Bytes tlv(std::uint8_t tag, std::initializer_list<ByteView> parts) {
  return element_of(tag, parts);
}

Bytes concat(std::initializer_list<ByteView> parts) {
  std::size_t size = 0;
  for (const ByteView part : parts) size += part.size();
  Bytes out(size);
  std::uint8_t* place = out.data();
  for (const ByteView part : parts) place = copy_to(place, part);
  return out;
}

Bytes set_of(std::vector<Bytes> parts) { return set_of_views({parts.begin(), parts.end()}); }

Bytes set_of_views(std::vector<ByteView> parts) {
  std::sort(parts.begin(), parts.end(), [](ByteView a, ByteView b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  });
  return element_of(tag::set, parts);
}

Bytes unsigned_integer(ByteView big_endian) {
  while (!big_endian.empty() && big_endian[0] == 0) big_endian = big_endian.subspan(1);
  constexpr std::uint8_t sign = 0;
  const bool signed_octet = big_endian.empty() || (big_endian[0] & 0x80) != 0;
  return tlv(tag::integer, {ByteView(&sign, signed_octet ? 1 : 0), big_endian});
}

Bytes small_integer(std::uint32_t value) {
  const std::array<std::uint8_t, 4> octets = {
      static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
      static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
  return unsigned_integer(octets);
}

Bytes object_identifier(std::string_view dotted) {
  Bytes content;
  content.reserve(dotted.size());
  std::uint64_t first = 0;
  std::size_t index = 0;
  const char* at = dotted.data();
  const char* const end = dotted.data() + dotted.size();
  while (at < end) {
    std::uint64_t arc = 0;
    at = std::from_chars(at, end, arc).ptr;
    if (at < end) ++at;
    if (index == 0) {
      first = arc;
    } else {
      if (index == 1) arc += first * 40;
      int shift = 0;
      while (shift < 63 && arc >> (shift + 7) != 0) shift += 7;
      for (; shift >= 0; shift -= 7) {
        content.push_back(
            static_cast<std::uint8_t>((arc >> shift & 0x7F) | (shift != 0 ? 0x80U : 0U)));
      }
    }
    ++index;
  }
  return tlv(tag::oid, content);
}

Bytes bit_string_of(ByteView octets) {
  const std::uint8_t unused = 0;
  return tlv(tag::bit_string, {ByteView(&unused, 1), octets});
}

// A CRL has as many of these as entries, so no text is made on the way.
Bytes time(Time at) {
  const auto day = std::chrono::floor<Days>(at);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{at - day};
  const int year = static_cast<int>(date.year());
  const bool utc = year >= 1950 && year < 2050;
  Bytes out = {utc ? tag::utc_time : tag::generalized_time,
               static_cast<std::uint8_t>(utc ? 13 : 15)};
  out.reserve(2 + 15);
  const auto put = [&out](int value) {
    out.push_back(static_cast<std::uint8_t>('0' + value / 10 % 10));
    out.push_back(static_cast<std::uint8_t>('0' + value % 10));
  };
  if (!utc) put(year / 100);
  put(year % 100);
  put(static_cast<int>(static_cast<unsigned>(date.month())));
  put(static_cast<int>(static_cast<unsigned>(date.day())));
  put(static_cast<int>(clock.hours().count()));
  put(static_cast<int>(clock.minutes().count()));
  put(static_cast<int>(clock.seconds().count()));
  out.push_back('Z');
  return out;
}

Bytes printable(std::string_view text) { return tlv(tag::printable_string, as_bytes(text)); }

}  // namespace umbra::x509::der
