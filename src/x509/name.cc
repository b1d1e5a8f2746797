#include "x509/name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "x509/der.h"

namespace umbra::x509 {
namespace {

constexpr std::size_t whole_name_octets_max = 4096;
constexpr std::string_view oid_country = "2.5.4.6";

struct TypeRow {
  constexpr TypeRow(std::string_view dotted, std::string_view on_screens,
                    std::array<std::string_view, 3> as_typed, std::uint8_t string)
      : oid(dotted), encoded(dotted), shown(on_screens), accepted(as_typed), string_tag(string) {}
  std::string_view oid;
  der::Oid encoded;
  std::string_view shown;                    ///< as IOS prints it
  std::array<std::string_view, 3> accepted;  ///< as typed, lower case
  std::uint8_t string_tag;  ///< 0 = PrintableString where possible, UTF8String else
};
constexpr std::array<TypeRow, 15> type_rows = {{
    {"2.5.4.3", "cn", {"cn", "", ""}, 0},
    {"2.5.4.11", "ou", {"ou", "", ""}, 0},
    {"2.5.4.10", "o", {"o", "", ""}, 0},
    {"2.5.4.7", "l", {"l", "", ""}, 0},
    {"2.5.4.8", "st", {"st", "s", ""}, 0},
    {"2.5.4.6", "c", {"c", "", ""}, der::tag::printable_string},
    {"2.5.4.5", "serialNumber", {"serialnumber", "", ""}, der::tag::printable_string},
    {"2.5.4.4", "sn", {"sn", "surname", ""}, 0},
    {"2.5.4.42", "gn", {"gn", "givenname", ""}, 0},
    {"2.5.4.12", "t", {"t", "title", ""}, 0},
    {"2.5.4.46", "dnQualifier", {"dnqualifier", "", ""}, der::tag::printable_string},
    {"1.2.840.113549.1.9.1", "e", {"e", "email", "emailaddress"}, der::tag::ia5_string},
    {"1.2.840.113549.1.9.2",
     "hostname",
     {"hostname", "unstructuredname", ""},
     der::tag::ia5_string},
    {"1.2.840.113549.1.9.8",
     "ipaddress",
     {"ipaddress", "unstructuredaddress", "ip"},
     der::tag::printable_string},
    {"0.9.2342.19200300.100.1.25", "dc", {"dc", "", ""}, der::tag::ia5_string},
}};

struct Attribute {
  ByteView oid;  ///< its contents
  std::uint8_t tag;
  ByteView content;
  bool first;  ///< of its RDN
};

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t more = c < 0x80                ? 0
                             : c >= 0xC2 && c < 0xE0 ? 1
                             : c >= 0xE0 && c < 0xF0 ? 2
                             : c >= 0xF0 && c < 0xF5 ? 3
                                                     : 9;
    if (more == 9 || text.size() - i <= more) return false;
    for (std::size_t k = 1; k <= more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    const auto second = static_cast<unsigned char>(more > 0 ? text[i + 1] : 0);
    const bool overlong = (c == 0xE0 && second < 0xA0) || (c == 0xF0 && second < 0x90);
    const bool beyond = (c == 0xED && second >= 0xA0) || (c == 0xF4 && second >= 0x90);
    if (overlong || beyond) return false;  // also surrogates, which are no characters
    i += more + 1;
  }
  return true;
}

/// Calls `take(ByteView oid, const der::Element& value, bool first_of_its_rdn)` for each attribute.
template <class Take>
Result<void> each_attribute(ByteView der, Take take) {
  UMBRA_TRY(const der::Element outer, der::parse_one(der, der::tag::sequence, "a Name"));
  for (der::Reader sets(outer.content); !sets.empty();) {
    UMBRA_TRY(const der::Element set, sets.expect(der::tag::set, "a relative distinguished name"));
    bool first = true;
    for (der::Reader members(set.content); !members.empty();) {
      UMBRA_TRY(const der::Element member, members.expect(der::tag::sequence, "a name attribute"));
      der::Reader fields(member.content);
      UMBRA_TRY(const der::Element oid, fields.expect(der::tag::oid, "a name attribute's type"));
      UMBRA_TRY(const der::Element value, fields.next());
      UMBRA_CHECK(fields.finish("a name attribute"));
      take(oid.content, value, std::exchange(first, false));
    }
    if (first) return fail(Errc::malformed, "ASN.1: an empty relative distinguished name");
  }
  return {};
}

/// What its reader may take for granted afterwards: types that can be read, values that are text.
Result<void> check_name(ByteView der) {
  Result<void> sound;
  UMBRA_CHECK(each_attribute(der, [&](ByteView oid, const der::Element& value, bool) {
    if (!sound) return;
    if (!der::is_readable_oid(oid)) {
      sound = fail(Errc::malformed, "ASN.1: a name attribute's type");
    } else if (value.tag == der::tag::utf8_string) {
      if (!is_utf8(as_text(value.content)))
        sound = fail(Errc::malformed, "ASN.1: a name that is not Unicode text");
    } else if (value.tag != der::tag::printable_string && value.tag != der::tag::ia5_string) {
      const auto text = der::parse_text(value);
      if (!text) {
        sound = tl::unexpected(text.error());
      } else if (value.tag == der::tag::bmp_string && !is_utf8(*text)) {
        sound = fail(Errc::malformed, "ASN.1: a name that is not Unicode text");
      }
    }
  }));
  return sound;
}

/// Of a name that was checked.
std::vector<Attribute> attributes_of(ByteView der) {
  constexpr std::size_t usual_max = 8;
  std::vector<Attribute> all;
  all.reserve(usual_max);
  static_cast<void>(each_attribute(der, [&](ByteView oid, const der::Element& value, bool first) {
    all.push_back({oid, value.tag, value.content, first});
  }));
  return all;
}

/// The RDN that ends before this place, which is behind one.
std::span<const Attribute> rdn_before(const std::vector<Attribute>& all, std::size_t end) {
  std::size_t begin = end - 1;
  while (!all[begin].first) --begin;
  return std::span(all).subspan(begin, end - begin);
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view(" '()+,-./:=?").find(c) != std::string_view::npos;
  });
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

Bytes attribute_der(std::string_view oid, std::uint8_t wanted_tag, std::string_view value) {
  std::uint8_t tag = wanted_tag;
  // A PrintableString cannot hold every character that someone types (X.680 41.4).
  const bool flexible = tag == 0 || (tag == der::tag::printable_string && oid != oid_country);
  if (flexible) tag = is_printable(value) ? der::tag::printable_string : der::tag::utf8_string;
  return der::sequence({der::object_identifier(oid), der::tlv(tag, as_bytes(value))});
}

const TypeRow* type_of(std::string_view typed) {
  std::string lower(typed);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const TypeRow& row : type_rows) {
    if (std::find(row.accepted.begin(), row.accepted.end(), lower) != row.accepted.end())
      return &row;
  }
  return nullptr;
}

bool is_dotted_oid(std::string_view text) {
  return text.size() >= 3 && text.size() <= 64 &&
         (text[0] == '0' || text[0] == '1' || text[0] == '2') && text[1] == '.' &&
         text.back() != '.' && text.find("..") == std::string_view::npos &&
         text.find_first_not_of("0123456789.") == std::string_view::npos;
}

/// Splits at unprotected separators and removes the protection of what is in between at the last
/// level.
struct Piece {
  std::string text;  ///< still protected
  char end;          ///< ',' or '+' or 0
  std::size_t at;    ///< of its first character that is no blank, in what was typed
};
/// Characters are counted as they are typed: from 1, a UTF-8 sequence once.
std::string place(std::string_view text, std::size_t at) {
  const auto before = text.substr(0, std::min(at, text.size()));
  const auto characters = std::count_if(before.begin(), before.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  return fmt::format(" (character {} of the name)", characters + 1);
}
Result<std::vector<Piece>> split(std::string_view text) {
  std::vector<Piece> pieces;
  std::string piece;
  bool quoted = false;
  std::size_t quote = 0;
  std::size_t begin = 0;
  const auto finish = [&](char end, std::size_t next) {
    const std::size_t blanks = std::min(piece.find_first_not_of(' '), piece.size());
    pieces.push_back({piece, end, begin + blanks});
    piece.clear();
    begin = next;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      if (i + 1 == text.size())
        return fail(Errc::malformed, "a backslash at the end of a name" + place(text, i));
      piece += c;
      piece += text[++i];
      continue;
    }
    if (c == '"') {
      quoted = !quoted;
      quote = i;
    }
    if (!quoted && (c == ',' || c == '+')) {
      finish(c, i + 1);
      continue;
    }
    piece += c;
  }
  if (quoted) {
    return fail(Errc::malformed,
                "a quotation mark that is not closed in a name" + place(text, quote));
  }
  finish('\0', text.size());
  return pieces;
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

std::string unprotected(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      // RFC 4514 2.4: two hexadecimal digits are an octet, as screens print what is not printable.
      const auto octet = from_hex(text.substr(i + 1, 2));
      if (octet && octet->size() == 1) {
        out += static_cast<char>(octet->front());
        i += 2;
      } else {
        out += text[++i];
      }
    } else if (text[i] != '"') {
      out += text[i];
    }
  }
  return out;
}

/// How many octets of a character at this place command a terminal, or turn around what is printed
/// after it; 0 if it is an ordinary one. In: UTF-8.
std::size_t command_at(std::string_view text, std::size_t at) {
  const auto octet = [&](std::size_t i) {
    return static_cast<unsigned char>(at + i < text.size() ? text[at + i] : 0);
  };
  if (octet(0) < 0x20 || octet(0) == 0x7F) return 1;
  if (octet(0) == 0xC2 && octet(1) >= 0x80 && octet(1) < 0xA0) return 2;  // C1: CSI and the like
  if (octet(0) == 0xD8 && octet(1) == 0x9C) return 2;                     // U+061C
  if (octet(0) != 0xE2) return 0;
  const auto rest = static_cast<unsigned>(octet(1) << 8 | octet(2));
  const bool turns = rest == 0x808E || rest == 0x808F ||    // U+200E, U+200F
                     (rest >= 0x80A8 && rest <= 0x80AE) ||  // U+2028 to U+202E: lines too
                     (rest >= 0x81A6 && rest <= 0x81A9);    // U+2066 to U+2069
  return turns ? 3 : 0;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t octets = command_at(text, i);
    for (std::size_t k = 0; k < octets; ++k)
      out += fmt::format("\\{:02X}", static_cast<unsigned char>(text[i + k]));
    if (octets == 0) out += text[i];
    i += std::max<std::size_t>(octets, 1);
  }
  return out;
}

Result<std::string> text_of(const Attribute& attribute) {
  return der::parse_text({attribute.tag, attribute.content, {}});
}

std::string type_shown(const Attribute& attribute) {
  for (const TypeRow& row : type_rows) {
    if (row.encoded.is(attribute.oid)) return std::string(row.shown);
  }
  return der::to_dotted(attribute.oid);
}

std::string shown(const Attribute& attribute) {
  const auto text = text_of(attribute);
  return type_shown(attribute) + "=" +
         (text && is_utf8(*text) ? escaped(*text) : "#" + to_hex(attribute.content));
}

std::string protected_value(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool outer_blank = c == ' ' && (i == 0 || i + 1 == text.size());
    const auto octet = static_cast<unsigned char>(c);
    if (outer_blank || octet < 0x20 || octet == 0x7F) {
      out += fmt::format("\\{:02X}", octet);
    } else {
      if (std::string_view(",+\"\\").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

/// RFC 5280 7.1: string types compared without case (ASCII) and with runs of blanks folded; others
/// octet by octet.
std::string canonical(const Attribute& attribute) {
  const auto text = text_of(attribute);
  if (!text) return fmt::format("#{:02X}{}", attribute.tag, to_hex(attribute.content));
  std::string out = "=";  // no text is taken for what is none
  bool blank = false;
  for (const char c : trimmed(*text)) {
    if (c == ' ') {
      blank = true;
      continue;
    }
    if (blank) out += ' ';
    blank = false;
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

bool same(const Attribute& a, const Attribute& b) {
  if (!equal(a.oid, b.oid)) return false;
  return (a.tag == b.tag && equal(a.content, b.content)) || canonical(a) == canonical(b);
}

/// The members of an RDN have no order. Sorted where there are several: a name of 4,096 octets has
/// hundreds.
bool same_members(std::span<const Attribute> a, std::span<const Attribute> b) {
  if (a.size() != b.size()) return false;
  if (a.size() == 1) return same(a[0], b[0]);
  const auto sorted = [](std::span<const Attribute> rdn) {
    std::vector<std::pair<std::string_view, std::string>> out;
    for (const Attribute& one : rdn) out.emplace_back(as_text(one.oid), canonical(one));
    std::sort(out.begin(), out.end());
    return out;
  };
  return sorted(a) == sorted(b);
}

}  // namespace

Name::Name() : der_(der::sequence({})) {}

Result<Name> Name::from_der(ByteView der) {
  if (der.size() > whole_name_octets_max)
    return fail(Errc::malformed, "a name of more than 4096 octets");
  UMBRA_CHECK(check_name(der));
  return Name(to_bytes(der));
}

Result<Name> Name::from_ios(std::string_view text, const DeviceAttributes& device) {
  std::vector<Bytes> rdns;  // as typed; reversed below
  if (!trimmed(text).empty()) {
    UMBRA_TRY(const auto pieces, split(text));
    std::vector<Bytes> members;
    for (const Piece& piece : pieces) {
      const std::size_t equals = piece.text.find('=');
      if (equals == std::string::npos) {
        return fail(Errc::malformed, fmt::format("\"{}\" in a name is not TYPE=value{}",
                                                 trimmed(piece.text), place(text, piece.at)));
      }
      const std::string type = trimmed(std::string_view(piece.text).substr(0, equals));
      const std::string value =
          unprotected(trimmed(std::string_view(piece.text).substr(equals + 1)));
      if (value.empty())
        return fail(Errc::malformed,
                    fmt::format("\"{}=\" in a name has no value{}", type, place(text, piece.at)));
      if (value.find('\0') != std::string::npos)
        return fail(Errc::malformed,
                    fmt::format("the value of \"{}=\" has a NUL, at which some readers stop{}",
                                type, place(text, piece.at)));
      if (!is_utf8(value))
        return fail(Errc::malformed, fmt::format("the value of \"{}=\" is not UTF-8{}", type,
                                                 place(text, piece.at)));
      const TypeRow* row = type_of(type);
      if (row == nullptr && !is_dotted_oid(type)) {
        return fail(Errc::malformed,
                    fmt::format("\"{}\" is no name type{}; known are cn, ou, o, l, st, c, e, dc, "
                                "sn, gn, t, serialNumber, dnQualifier, hostname, ipaddress",
                                type, place(text, piece.at)));
      }
      if (row != nullptr && row->oid == oid_country &&
          (value.size() != 2 || !is_printable(value))) {
        return fail(Errc::malformed,
                    "c= takes a country code of two letters" + place(text, piece.at));
      }
      if (row != nullptr && row->string_tag == der::tag::ia5_string && !is_ascii(value)) {
        return fail(Errc::malformed, fmt::format("\"{}=\" takes ASCII characters only{}", type,
                                                 place(text, piece.at)));
      }
      members.push_back(attribute_der(row != nullptr ? row->oid : std::string_view(type),
                                      row != nullptr ? row->string_tag : 0, value));
      if (piece.end != '+') {
        rdns.push_back(der::set_of(std::move(members)));
        members.clear();
      }
    }
  }
  std::reverse(rdns.begin(), rdns.end());
  std::vector<Bytes> own;
  if (device.fqdn && !is_ascii(*device.fqdn)) {
    return fail(Errc::malformed, "a host name takes ASCII characters only");
  }
  if (device.serial_number)
    own.push_back(
        attribute_der(oid_serial_number, der::tag::printable_string, *device.serial_number));
  if (device.ip_address)
    own.push_back(
        attribute_der(oid_unstructured_address, der::tag::printable_string, *device.ip_address));
  if (device.fqdn)
    own.push_back(attribute_der(oid_unstructured_name, der::tag::ia5_string, *device.fqdn));
  if (!own.empty()) rdns.push_back(der::set_of(std::move(own)));
  Bytes content;
  for (const Bytes& rdn : rdns) content.insert(content.end(), rdn.begin(), rdn.end());
  return from_der(der::tlv(der::tag::sequence, content));
}

bool Name::empty() const { return der_.size() <= 2; }

std::vector<std::string> Name::screen_lines() const {
  std::vector<std::string> lines;
  const auto all = attributes_of(der_);
  for (std::size_t end = all.size(); end > 0;) {
    const auto rdn = rdn_before(all, end);
    std::string line;
    for (const Attribute& attribute : rdn) {
      if (!line.empty()) line += '+';
      line += shown(attribute);
    }
    lines.push_back(std::move(line));
    end -= rdn.size();
  }
  return lines;
}

std::string Name::joined(std::string_view separator) const {
  std::string out;
  for (const std::string& line : screen_lines()) {
    if (!out.empty()) out += separator;
    out += line;
  }
  return out;
}

std::string Name::typed() const {
  const auto all = attributes_of(der_);
  const auto spelt = [&](bool as_oids) {
    std::string out;
    for (std::size_t end = all.size(); end > 0;) {
      const auto rdn = rdn_before(all, end);
      for (const Attribute& attribute : rdn) {
        if (!out.empty()) out += attribute.first ? ',' : '+';
        const auto text = text_of(attribute);
        out += (as_oids ? der::to_dotted(attribute.oid) : type_shown(attribute)) + "=" +
               protected_value(text.value_or(""));
      }
      end -= rdn.size();
    }
    return out;
  };
  // A country of three letters, say, which is asked of nobody who types the OID.
  std::string by_names = spelt(false);
  return from_ios(by_names) ? by_names : spelt(true);
}

bool Name::has_nul() const {
  bool found = false;
  static_cast<void>(each_attribute(der_, [&](ByteView, const der::Element& value, bool) {
    if (value.tag !=
        der::tag::bmp_string) {  // of the others, an octet is a character or part of one
      found =
          found || std::find(value.content.begin(), value.content.end(), 0) != value.content.end();
      return;
    }
    const auto text = der::parse_text(value);
    found = found || (text && text->find('\0') != std::string::npos);
  }));
  return found;
}

std::optional<std::string> Name::first(std::string_view oid) const {
  const der::Oid wanted(oid);
  const auto all = attributes_of(der_);
  for (std::size_t end = all.size(); end > 0;) {
    const auto rdn = rdn_before(all, end);
    for (const Attribute& attribute : rdn) {
      if (!wanted.is(attribute.oid)) continue;
      const auto text = text_of(attribute);
      if (text) return escaped(*text);
    }
    end -= rdn.size();
  }
  return std::nullopt;
}

bool Name::has(std::string_view oid, std::string_view value) const {
  const der::Oid type(oid);
  const Attribute wanted{type.content(), der::tag::utf8_string, as_bytes(value), true};
  const auto all = attributes_of(der_);
  return std::any_of(all.begin(), all.end(),
                     [&](const Attribute& attribute) { return same(attribute, wanted); });
}

bool operator==(const Name& a, const Name& b) {
  if (equal(a.der_, b.der_)) return true;
  const auto left = attributes_of(a.der_);
  const auto right = attributes_of(b.der_);
  if (left.size() != right.size()) return false;
  for (std::size_t end = left.size(); end > 0;) {
    const auto x = rdn_before(left, end);
    const auto y = rdn_before(right, end);
    if (!same_members(x, y)) return false;
    end -= x.size();
  }
  return true;
}

std::string printable(std::string_view text) {
  if (is_utf8(text)) return escaped(text);
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    out += octet >= 0x20 && octet < 0x7F ? std::string(1, c) : fmt::format("\\{:02X}", octet);
  }
  return out;
}

}  // namespace umbra::x509
