#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace umbra::x509 {

/// What a device adds to the subject it was configured with, as one multi-valued RDN at the end of
/// the DER (guide; IOS writes serialNumber and unstructuredAddress as PrintableString,
/// unstructuredName as IA5String).
struct DeviceAttributes {
  std::optional<std::string> serial_number;
  std::optional<std::string> ip_address;
  std::optional<std::string> fqdn;
};

/// A distinguished name: DER inside, IOS text outside. Typed `CN=RootCA,OU=TAC,O=Cisco`, encoded in
/// reverse (O, OU, CN). Equal by RFC 5280 7.1 (case and blanks folded for string types), never by
/// text.
class Name {
 public:
  Name();  ///< the empty name
  /// In:     DER of Name, at most 4,096 octets; string types of X.520; kept octet for octet.
  [[nodiscard]] static Result<Name> from_der(ByteView der);
  /// In:     as typed after `issuer-name` or `subject-name`: TYPE=value pairs between commas; types
  /// cn, ou, o, l, st,
  ///         c, e/email, dc, serialNumber, hostname/unstructuredName, ip/unstructuredAddress, sn,
  ///         gn, t, dnQualifier or a dotted OID, any case; `+` joins a multi-valued RDN; backslash
  ///         or double quotes protect a comma. PrintableString where the characters allow it (C
  ///         always), UTF8String else, IA5String for e, dc, hostname.
  /// Errors: malformed, naming the part that is wrong.
  [[nodiscard]] static Result<Name> from_ios(std::string_view text,
                                             const DeviceAttributes& device = {});
  [[nodiscard]] ByteView der() const { return der_; }
  [[nodiscard]] bool empty() const;
  /// RDNs in screen order (last of the DER first): {"cn=RootCA", "ou=TAC", "o=Cisco"}; several
  /// attributes of one RDN joined by `+`; lower-case types as IOS prints them (serialNumber and
  /// hostname excepted as the screens show). Control characters are shown escaped, so that no
  /// peer's name can forge a screen line.
  [[nodiscard]] std::vector<std::string> screen_lines() const;
  [[nodiscard]] std::string joined(std::string_view separator = ",") const;
  /// As `from_ios` reads it again: what separates or protects stands behind a backslash.
  [[nodiscard]] std::string typed() const;
  /// A NUL in a value, at which some readers stop: one name to them, another to the rest.
  [[nodiscard]] bool has_nul() const;
  /// First value of a type, as UTF-8; for "Name:" lines and storage names. `type` is a dotted OID.
  [[nodiscard]] std::optional<std::string> first(std::string_view oid) const;
  /// Is there an attribute of this type with this value, by the comparison of RFC 5280 7.1?
  [[nodiscard]] bool has(std::string_view oid, std::string_view value) const;
  friend bool operator==(const Name&, const Name&);

 private:
  explicit Name(Bytes checked) : der_(std::move(checked)) {}
  Bytes der_;
};

inline constexpr std::string_view oid_common_name = "2.5.4.3";
inline constexpr std::string_view oid_organizational_unit = "2.5.4.11";
inline constexpr std::string_view oid_serial_number = "2.5.4.5";
inline constexpr std::string_view oid_unstructured_name = "1.2.840.113549.1.9.2";
inline constexpr std::string_view oid_unstructured_address = "1.2.840.113549.1.9.8";

/// Text of unknown origin for a screen: control characters, and what is not UTF-8, as \XX.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace umbra::x509
