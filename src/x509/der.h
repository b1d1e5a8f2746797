#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"

/// ASN.1 DER (X.690) by hand, for the structures on the request road: OpenSSL 3.0 decodes every
/// public key it meets in a certificate or request through its generic decoder, which costs more
/// than all the rest of the parsing. What is read here is checked against OpenSSL's own parser by
/// tests and by the fuzz targets.
namespace umbra::x509::der {

/// Identifier octets; low-tag-number form only.
namespace tag {
inline constexpr std::uint8_t end_of_contents = 0x00;
inline constexpr std::uint8_t boolean = 0x01;
inline constexpr std::uint8_t integer = 0x02;
inline constexpr std::uint8_t bit_string = 0x03;
inline constexpr std::uint8_t octet_string = 0x04;
inline constexpr std::uint8_t null = 0x05;
inline constexpr std::uint8_t oid = 0x06;
inline constexpr std::uint8_t external = 0x08;
inline constexpr std::uint8_t enumerated = 0x0A;
inline constexpr std::uint8_t embedded_pdv = 0x0B;
inline constexpr std::uint8_t utf8_string = 0x0C;
inline constexpr std::uint8_t printable_string = 0x13;
inline constexpr std::uint8_t t61_string = 0x14;
inline constexpr std::uint8_t ia5_string = 0x16;
inline constexpr std::uint8_t utc_time = 0x17;
inline constexpr std::uint8_t generalized_time = 0x18;
inline constexpr std::uint8_t universal_string = 0x1C;
inline constexpr std::uint8_t bmp_string = 0x1E;
inline constexpr std::uint8_t sequence = 0x30;
inline constexpr std::uint8_t set = 0x31;
}  // namespace tag
/// [n] EXPLICIT or IMPLICIT on a constructed type, and [n] IMPLICIT on a primitive one.
[[nodiscard]] constexpr std::uint8_t context(unsigned n) {
  return static_cast<std::uint8_t>(0xA0 | n);
}
[[nodiscard]] constexpr std::uint8_t context_primitive(unsigned n) {
  return static_cast<std::uint8_t>(0x80 | n);
}

/// An OBJECT IDENTIFIER that is known when this is compiled: nothing is made of it at run time.
class Oid {
 public:
  static constexpr std::size_t octets_max = 24;  ///< with identifier and length
  /// In: dotted, well formed, arcs below 2^32.
  constexpr explicit Oid(std::string_view dotted) {
    octets_[0] = tag::oid;
    size_ = 2;
    std::uint64_t first = 0;
    std::uint64_t arc = 0;
    std::size_t index = 0;
    for (std::size_t i = 0; i <= dotted.size(); ++i) {
      if (i < dotted.size() && dotted[i] != '.') {
        arc = arc * 10 + static_cast<std::uint64_t>(dotted[i] - '0');
        continue;
      }
      if (index == 0) {
        first = arc;
      } else {
        put(index == 1 ? first * 40 + arc : arc);
      }
      ++index;
      arc = 0;
    }
    octets_[1] = static_cast<std::uint8_t>(size_ - 2);
  }
  [[nodiscard]] constexpr ByteView whole() const { return {octets_.data(), size_}; }
  [[nodiscard]] constexpr ByteView content() const { return whole().subspan(2); }
  /// As a part of what is put together.
  constexpr operator ByteView() const { return whole(); }  // NOLINT(google-explicit-constructor)
  /// Are these the contents of it?
  [[nodiscard]] bool is(ByteView oid_content) const { return equal(oid_content, content()); }

 private:
  constexpr void put(std::uint64_t arc) {
    int shift = 0;
    while (arc >> shift >= 0x80) shift += 7;
    for (; shift >= 0; shift -= 7) {
      octets_.at(size_++) =
          static_cast<std::uint8_t>((arc >> shift & 0x7F) | (shift != 0 ? 0x80U : 0U));
    }
  }
  std::array<std::uint8_t, octets_max> octets_{};
  std::size_t size_ = 0;
};

struct Element {
  std::uint8_t tag = 0;
  ByteView content;  ///< borrowed from what was parsed
  ByteView whole;    ///< identifier, length and content
};

/// Reads elements one after another; never looks past its bytes. Definite lengths in the shortest
/// form only.
class Reader {
 public:
  explicit Reader(ByteView bytes) : rest_(bytes) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] ByteView rest() const { return rest_; }
  /// The tag of the next element, or nothing at the end.
  [[nodiscard]] std::optional<std::uint8_t> peek() const;
  /// Errors: malformed at the end, on a multi-octet tag, a tag of a form or contents that its
  /// type cannot have (a primitive SEQUENCE, a string in pieces, a padded INTEGER), a length that
  /// is not minimal or runs past the end.
  [[nodiscard]] Result<Element> next();
  /// Errors: as next, and malformed if the tag differs; `what` names the field in the error.
  [[nodiscard]] Result<Element> expect(std::uint8_t tag, const char* what);
  /// The next element if it has this tag; nothing (and nothing consumed) if not.
  [[nodiscard]] Result<std::optional<Element>> take_if(std::uint8_t tag);
  /// Errors: malformed if anything is left.
  [[nodiscard]] Result<void> finish(const char* what) const;
  /// As `next`, without what a Result costs. Out: what is wrong, or null.
  [[nodiscard]] const char* take(Element& element);

 private:
  ByteView rest_;
};

/// One whole element and nothing after it.
[[nodiscard]] Result<Element> parse_one(ByteView bytes, std::uint8_t tag, const char* what);
/// Small non-negative INTEGER.
[[nodiscard]] Result<std::uint32_t> parse_uint(const Element& element);
/// UTCTime (years 1950..2049) or GeneralizedTime, both with seconds and Z, as RFC 5280 4.1.2.5
/// demands.
[[nodiscard]] Result<Time> parse_time(const Element& element);
/// The text of a PrintableString, UTF8String, IA5String, T61String (read as Latin-1) or BMPString,
/// as UTF-8.
[[nodiscard]] Result<std::string> parse_text(const Element& element);

/// BER to DER: indefinite lengths made definite, constructed OCTET STRINGs joined, lengths
/// shortened. What is context-tagged and constructed stays so: whether its parts are to be joined
/// only its reader knows. SETs are not re-sorted: signatures are over the order that was sent.
/// Bytes that are DER already are returned as they are. Bounded: 32 levels deep. Errors: malformed.
[[nodiscard]] Result<Bytes> from_ber(ByteView ber);
/// The same without a copy of what is DER already.
class Definite {
 public:
  explicit Definite(ByteView borrowed) : der(borrowed) {}
  explicit Definite(Bytes made) : made_(std::move(made)), der(made_) {}
  Definite(Definite&&) = default;  // a vector that is moved keeps its place in memory
  Definite& operator=(Definite&&) = delete;
  Definite(const Definite&) = delete;
  Definite& operator=(const Definite&) = delete;
  ~Definite() = default;

 private:
  Bytes made_;

 public:
  const ByteView der;  ///< borrowed from what was given, or from this
};
[[nodiscard]] Result<Definite> definite(ByteView ber);

/// Identifier and length alone: what is nested is put together of these and its innermost contents
/// at once, and nothing is copied from level to level.
class Header {
 public:
  /// In: a content of less than 2^32 octets.
  Header(std::uint8_t tag, std::size_t content_size);
  [[nodiscard]] std::size_t size() const { return size_; }
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator ByteView() const { return {octets_.data(), size_}; }

 private:
  std::array<std::uint8_t, 6> octets_{};
  std::size_t size_ = 0;
};

// Writing. Every function returns one whole element.
[[nodiscard]] Bytes tlv(std::uint8_t tag, ByteView content);
[[nodiscard]] Bytes concat(std::initializer_list<ByteView> parts);
[[nodiscard]] Bytes tlv(std::uint8_t tag, std::initializer_list<ByteView> parts);
[[nodiscard]] inline Bytes sequence(std::initializer_list<ByteView> parts) {
  return tlv(tag::sequence, parts);
}
/// SET OF: the parts sorted as DER wants.
[[nodiscard]] Bytes set_of(std::vector<Bytes> parts);
[[nodiscard]] Bytes set_of_views(std::vector<ByteView> parts);
[[nodiscard]] Bytes unsigned_integer(
    ByteView big_endian);  ///< leading zeros dropped, sign octet added where needed
[[nodiscard]] Bytes small_integer(std::uint32_t value);
[[nodiscard]] Bytes object_identifier(std::string_view dotted);
/// Empty if the contents are no OID (empty, cut off, padded), have over 128 octets, or an arc has
/// over 56 bits.
[[nodiscard]] std::string to_dotted(ByteView oid_content);
/// Would `to_dotted` read it?
[[nodiscard]] bool is_readable_oid(ByteView oid_content);
[[nodiscard]] Bytes bit_string_of(ByteView octets);  ///< no unused bits
[[nodiscard]] Bytes time(Time at);  ///< UTCTime through 2049, GeneralizedTime after
[[nodiscard]] Bytes printable(std::string_view text);

}  // namespace umbra::x509::der
