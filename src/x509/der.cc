#include "x509/der.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace umbra::x509::der {
namespace {

constexpr std::size_t depth_max = 32;
constexpr std::size_t oid_octets_max = 128;  // of those that anybody compares; the longest have 20
constexpr std::uint8_t constructed_bit = 0x20;
constexpr std::uint8_t class_bits = 0xC0;

void append(Bytes& out, ByteView more) { out.insert(out.end(), more.begin(), more.end()); }

void put_header(Bytes& out, std::uint8_t tag, std::size_t length) {
  append(out, Header(tag, length));
}

// What checks each element says what is wrong, or nothing: a Result for every one of them costs
// more than the checks.
using Wrong = const char*;

/// The definite length after an identifier octet; `minimal` as DER demands, or any as BER allows.
Wrong read_length(ByteView bytes, std::size_t& at, bool minimal, std::size_t& length) {
  if (at >= bytes.size()) return "ASN.1: cut off in a length";
  const std::uint8_t first = bytes[at++];
  length = first;
  if (first < 0x80) return nullptr;
  const std::size_t octets = first & 0x7FU;
  if (octets == 0 || octets > 4 || octets > bytes.size() - at)
    return "ASN.1: a length that cannot be";
  length = 0;
  for (std::size_t i = 0; i < octets; ++i) length = length << 8 | bytes[at++];
  if (minimal && Header(0, length).size() != octets + 2)
    return "ASN.1: a length that is not in its shortest form";
  return nullptr;
}

enum class Rules { ber, der };

/// An identifier octet of one octet, and of a form that its universal type has: structures are
/// constructed, everything else is not. Strings in pieces are for BER, and of them only the OCTET
/// STRING, which is what CMS is streamed in.
constexpr Wrong check_identifier(std::uint8_t octet, Rules rules) {
  const unsigned number = octet & 0x1FU;
  if (number == 0x1F) return "ASN.1: a multi-octet tag";
  if ((octet & class_bits) != 0) return nullptr;
  const bool constructed = (octet & constructed_bit) != 0;
  switch (number) {
    case tag::end_of_contents:
      return "ASN.1: an end-of-contents marker in place of a value";
    case tag::octet_string:
      if (constructed && rules == Rules::der) return "ASN.1: an OCTET STRING in pieces";
      return nullptr;
    case tag::external:
    case tag::embedded_pdv:
    case tag::sequence & ~constructed_bit:
    case tag::set & ~constructed_bit:
      if (!constructed) return "ASN.1: a structure that is not constructed";
      return nullptr;
    default:
      if (constructed) return "ASN.1: a simple value that is constructed";
      return nullptr;
  }
}

bool is_oid(ByteView content) {
  if (content.empty() || (content.back() & 0x80) != 0) return false;  // cut off in an arc
  bool arc_begins = true;
  for (const std::uint8_t octet : content) {
    if (arc_begins && octet == 0x80) return false;  // padded
    arc_begins = (octet & 0x80) == 0;
  }
  return true;
}

/// Contents that a simple value can have (X.690 8.2 to 8.8, 8.19). Also where nobody here reads the
/// value, such as an algorithm's parameters: others who see the same bytes refuse them.
Wrong check_contents(std::uint8_t tag, ByteView content) {
  const auto possible = [&] {
    switch (tag) {  // of those that are missing in has_checked_contents, all contents are
      case tag::boolean:
        return content.size() == 1;
      case tag::integer:
      case tag::enumerated:
        // The first nine bits are not all alike: that would be padding.
        return content.size() == 1 ||
               (content.size() > 1 && !(content[0] == 0 && content[1] < 0x80) &&
                !(content[0] == 0xFF && content[1] >= 0x80));
      case tag::bit_string:
        return !content.empty() && content[0] <= (content.size() > 1 ? 7 : 0);
      case tag::null:
        return content.empty();
      case tag::oid:
        return is_oid(content);
      case tag::bmp_string:
        return content.size() % 2 == 0;
      case tag::universal_string:
        return content.size() % 4 == 0;
      default:
        return true;
    }
  };
  return possible() ? nullptr : "ASN.1: contents that the type cannot have";
}

constexpr bool has_checked_contents(std::uint8_t tag) {
  switch (tag) {
    case tag::boolean:
    case tag::integer:
    case tag::enumerated:
    case tag::bit_string:
    case tag::null:
    case tag::oid:
    case tag::bmp_string:
    case tag::universal_string:
      return true;
    default:
      return false;
  }
}

/// What an identifier octet alone tells: that it cannot be, that the contents are to be checked, or
/// that any contents will do, as with most elements.
enum class ByIdentifier : std::uint8_t { wrong, checked, any };
constexpr auto by_identifier = [] {
  std::array<ByIdentifier, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto octet = static_cast<std::uint8_t>(i);
    table[i] = check_identifier(octet, Rules::der) != nullptr ? ByIdentifier::wrong
               : has_checked_contents(octet)                  ? ByIdentifier::checked
                                                              : ByIdentifier::any;
  }
  return table;
}();

Result<void> transcode(ByteView ber, std::size_t& at, bool until_end_marker, std::size_t depth,
                       Bytes& out);

Result<void> transcode_one(ByteView ber, std::size_t& at, std::size_t depth, Bytes& out) {
  if (depth > depth_max) return fail(Errc::malformed, "ASN.1: nested too deep");
  const std::uint8_t tag = ber[at++];
  if (const Wrong wrong = check_identifier(tag, Rules::ber)) return fail(Errc::malformed, wrong);
  const bool constructed = (tag & constructed_bit) != 0;
  Bytes content;
  if (at < ber.size() && ber[at] == 0x80) {
    if (!constructed)
      return fail(Errc::malformed, "ASN.1: an indefinite length on a primitive value");
    ++at;
    UMBRA_CHECK(transcode(ber, at, true, depth + 1, content));
  } else {
    std::size_t length = 0;
    if (const Wrong wrong = read_length(ber, at, false, length))
      return fail(Errc::malformed, wrong);
    if (length > ber.size() - at) return fail(Errc::malformed, "ASN.1: a value runs past the end");
    const ByteView inside = ber.subspan(at, length);
    at += length;
    if (constructed) {
      std::size_t inner = 0;
      UMBRA_CHECK(transcode(inside, inner, false, depth + 1, content));
    } else {
      if (const Wrong wrong = check_contents(tag, inside)) return fail(Errc::malformed, wrong);
      content = to_bytes(inside);
    }
  }
  if (tag == (tag::octet_string | constructed_bit)) {
    Bytes joined;
    for (Reader parts(content); !parts.empty();) {
      UMBRA_TRY(const Element part, parts.expect(tag::octet_string, "part of an OCTET STRING"));
      joined.insert(joined.end(), part.content.begin(), part.content.end());
    }
    put_header(out, tag::octet_string, joined.size());
    out.insert(out.end(), joined.begin(), joined.end());
    return {};
  }
  put_header(out, tag, content.size());
  out.insert(out.end(), content.begin(), content.end());
  return {};
}

Result<void> transcode(ByteView ber, std::size_t& at, bool until_end_marker, std::size_t depth,
                       Bytes& out) {
  while (at < ber.size()) {
    if (until_end_marker && ber[at] == 0) {
      if (at + 1 >= ber.size() || ber[at + 1] != 0) {
        return fail(Errc::malformed, "ASN.1: half an end-of-contents marker");
      }
      at += 2;
      return {};
    }
    UMBRA_CHECK(transcode_one(ber, at, depth, out));
  }
  if (until_end_marker) return fail(Errc::malformed, "ASN.1: no end-of-contents marker");
  return {};
}

/// True if the Reader takes every element, all the way down.
bool is_der(ByteView bytes, std::size_t depth) {
  if (depth > depth_max) return false;
  Reader reader(bytes);
  while (!reader.empty()) {
    Element element;
    if (reader.take(element) != nullptr) return false;
    if ((element.tag & constructed_bit) != 0 && !is_der(element.content, depth + 1)) return false;
  }
  return true;
}

Result<int> two_digits(ByteView text, std::size_t at) {
  if (text[at] < '0' || text[at] > '9' || text[at + 1] < '0' || text[at + 1] > '9') {
    return fail(Errc::malformed, "ASN.1: a time with something else than digits");
  }
  return (text[at] - '0') * 10 + (text[at + 1] - '0');
}

void append_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

}  // namespace

std::optional<std::uint8_t> Reader::peek() const {
  if (rest_.empty()) return std::nullopt;
  return rest_[0];
}

const char* Reader::take(Element& element) {
  if (rest_.empty()) return "ASN.1: nothing left where a value must be";
  const std::uint8_t tag = rest_[0];
  const ByIdentifier known = by_identifier[tag];
  if (known == ByIdentifier::wrong) return check_identifier(tag, Rules::der);
  std::size_t at = 1;
  std::size_t length = 0;
  if (rest_.size() > 1 && rest_[1] < 0x80) {  // as most are
    length = rest_[1];
    at = 2;
  } else if (const Wrong wrong = read_length(rest_, at, true, length)) {
    return wrong;
  }
  if (length > rest_.size() - at) return "ASN.1: a value runs past the end";
  const ByteView content = rest_.subspan(at, length);
  if (known == ByIdentifier::checked) {
    if (const Wrong wrong = check_contents(tag, content)) return wrong;
  }
  element = {tag, content, rest_.first(at + length)};
  rest_ = rest_.subspan(at + length);
  return nullptr;
}

Result<Element> Reader::next() {
  Element element;
  if (const char* const wrong = take(element)) return fail(Errc::malformed, wrong);
  return element;
}

Result<Element> Reader::expect(std::uint8_t tag, const char* what) {
  if (peek() != tag) return fail(Errc::malformed, std::string("ASN.1: expected ") + what);
  return next();
}

Result<std::optional<Element>> Reader::take_if(std::uint8_t tag) {
  if (peek() != tag) return std::optional<Element>{};
  UMBRA_TRY(const Element element, next());
  return std::optional<Element>{element};
}

Result<void> Reader::finish(const char* what) const {
  if (!rest_.empty()) return fail(Errc::malformed, std::string("ASN.1: more than ") + what);
  return {};
}

Result<Element> parse_one(ByteView bytes, std::uint8_t tag, const char* what) {
  Reader reader(bytes);
  UMBRA_TRY(const Element element, reader.expect(tag, what));
  UMBRA_CHECK(reader.finish(what));
  return element;
}

Result<std::uint32_t> parse_uint(const Element& element) {
  if (element.tag != tag::integer || element.content.empty() || element.content.size() > 5 ||
      (element.content[0] & 0x80) != 0 ||
      (element.content.size() == 5 && element.content[0] != 0)) {
    return fail(Errc::malformed, "ASN.1: expected a small INTEGER");
  }
  std::uint32_t value = 0;
  for (const std::uint8_t octet : element.content) value = value << 8 | octet;
  return value;
}

Result<Time> parse_time(const Element& element) {
  const ByteView text = element.content;
  std::size_t at = 0;
  int year = 0;
  if (element.tag == tag::utc_time && text.size() == 13) {
    UMBRA_TRY(const int short_year, two_digits(text, 0));
    year = short_year < 50 ? 2000 + short_year : 1900 + short_year;
    at = 2;
  } else if (element.tag == tag::generalized_time && text.size() == 15) {
    UMBRA_TRY(const int century, two_digits(text, 0));
    UMBRA_TRY(const int short_year, two_digits(text, 2));
    year = century * 100 + short_year;
    at = 4;
  } else {
    return fail(Errc::malformed, "ASN.1: expected a time with seconds and Z");
  }
  UMBRA_TRY(const int month, two_digits(text, at));
  UMBRA_TRY(const int day, two_digits(text, at + 2));
  UMBRA_TRY(const int hour, two_digits(text, at + 4));
  UMBRA_TRY(const int minute, two_digits(text, at + 6));
  UMBRA_TRY(const int second, two_digits(text, at + 8));
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (text[at + 10] != 'Z' || !date.ok() || hour > 23 || minute > 59 || second > 59) {
    return fail(Errc::malformed, "ASN.1: a time that cannot be");
  }
  return Time{std::chrono::sys_days{date}} + std::chrono::hours{hour} +
         std::chrono::minutes{minute} + Seconds{second};
}

Result<std::string> parse_text(const Element& element) {
  switch (element.tag) {
    case tag::printable_string:
    case tag::ia5_string:
    case tag::utf8_string:
      return std::string(as_text(element.content));
    case tag::t61_string: {
      std::string out;
      for (const std::uint8_t c : element.content) append_utf8(out, c);
      return out;
    }
    case tag::bmp_string: {
      if (element.content.size() % 2 != 0)
        return fail(Errc::malformed, "ASN.1: half a BMPString character");
      std::string out;
      for (std::size_t i = 0; i < element.content.size(); i += 2) {
        append_utf8(out,
                    static_cast<std::uint32_t>(element.content[i] << 8 | element.content[i + 1]));
      }
      return out;
    }
    default:
      return fail(Errc::malformed, "ASN.1: expected a string");
  }
}

Result<Bytes> from_ber(ByteView ber) {
  if (is_der(ber, 0)) return to_bytes(ber);
  Bytes out;
  out.reserve(ber.size());
  std::size_t at = 0;
  UMBRA_CHECK(transcode(ber, at, false, 0, out));
  return out;
}

Result<Definite> definite(ByteView ber) {
  if (is_der(ber, 0)) return Definite(ber);
  UMBRA_TRY(Bytes made, from_ber(ber));
  return Definite(std::move(made));
}

std::string to_dotted(ByteView oid_content) {
  std::string out;
  if (oid_content.size() > oid_octets_max || !is_oid(oid_content)) return out;
  out.reserve(4 * oid_content.size());
  const auto put = [&out](std::uint64_t arc) {
    std::array<char, 20> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), arc).ptr;
    out.append(digits.data(), end);
  };
  std::uint64_t arc = 0;
  bool first = true;
  for (const std::uint8_t octet : oid_content) {
    arc = arc << 7 | (octet & 0x7F);
    if (arc >> 56 != 0) return "";
    if ((octet & 0x80) != 0) continue;
    if (first) {
      const std::uint64_t root = std::min<std::uint64_t>(arc / 40, 2);
      put(root);
      arc -= root * 40;
      first = false;
    }
    out += '.';
    put(arc);
    arc = 0;
  }
  return out;
}

bool is_readable_oid(ByteView oid_content) {
  if (oid_content.size() > oid_octets_max || !is_oid(oid_content)) return false;
  std::uint64_t arc = 0;
  for (const std::uint8_t octet : oid_content) {
    arc = arc << 7 | (octet & 0x7F);
    if (arc >> 56 != 0) return false;
    if ((octet & 0x80) == 0) arc = 0;
  }
  return true;
}

}  // namespace umbra::x509::der
