#include "x509/certificate.h"

#include <algorithm>
#include <array>

#include "x509/der.h"
#include "x509/extensions.h"
#include "x509/pem.h"

namespace umbra::x509 {
namespace {

constexpr std::size_t certificate_octets_max = 65536;
constexpr std::size_t extensions_max = 100;
constexpr std::string_view oid_subject_key_id = "2.5.29.14";
constexpr std::string_view oid_key_usage = "2.5.29.15";
constexpr std::string_view oid_extended_key_usage = "2.5.29.37";
constexpr std::string_view oid_key_purposes = "1.3.6.1.5.5.7.3";
constexpr std::string_view oid_basic_constraints = "2.5.29.19";
constexpr std::string_view oid_crl_distribution_points = "2.5.29.31";
constexpr std::string_view oid_authority_info_access = "1.3.6.1.5.5.7.1.1";
constexpr std::string_view oid_ocsp = "1.3.6.1.5.5.7.48.1";
constexpr std::string_view oid_authority_key_id = "2.5.29.35";

const Extension* find(const std::vector<Extension>& extensions, std::string_view oid) {
  const auto found = std::find_if(extensions.begin(), extensions.end(),
                                  [&](const Extension& e) { return e.oid == oid; });
  return found == extensions.end() ? nullptr : &*found;
}

}  // namespace

struct Certificate::Parsed {
  Bytes der;
  Bytes to_be_signed;
  Bytes signature;
  Serial serial;
  Name issuer;
  Name subject;
  Time not_before;
  Time not_after;
  PublicKey public_key;
  Result<SignatureAlgorithm> algorithm;
  std::vector<Extension> extensions;
};

Bytes to_der(const Extension& extension) {
  constexpr std::array<std::uint8_t, 3> yes = {der::tag::boolean, 1, 0xFF};
  return der::sequence(
      {der::object_identifier(extension.oid), extension.critical ? ByteView(yes) : ByteView{},
       der::Header(der::tag::octet_string, extension.value.size()), extension.value});
}

Result<std::vector<Extension>> parse_extensions(ByteView sequence_content) {
  std::vector<Extension> extensions;
  for (der::Reader reader(sequence_content); !reader.empty();) {
    UMBRA_TRY(const der::Element whole, reader.expect(der::tag::sequence, "an Extension"));
    der::Reader fields(whole.content);
    UMBRA_TRY(const der::Element oid, fields.expect(der::tag::oid, "an extension's OID"));
    UMBRA_TRY(const auto critical, fields.take_if(der::tag::boolean));
    UMBRA_TRY(const der::Element value,
              fields.expect(der::tag::octet_string, "an extension's value"));
    UMBRA_CHECK(fields.finish("an Extension"));
    const std::string name = der::to_dotted(oid.content);
    if (name.empty() || (critical && critical->content.size() != 1)) {
      return fail(Errc::malformed, "an extension that cannot be read");
    }
    // RFC 5280 4.2 forbids it, and whoever checks the first might issue the second.
    if (find(extensions, name) != nullptr) {
      return fail(Errc::malformed, "extension " + name + " comes twice");
    }
    if (extensions.size() == extensions_max) return fail(Errc::malformed, "too many extensions");
    extensions.push_back({name, critical && critical->content[0] != 0, to_bytes(value.content)});
  }
  return extensions;
}

std::optional<KeyUsage> key_usage_of(const std::vector<Extension>& extensions,
                                     std::uint8_t unreadable_bits) {
  const Extension* const found = find(extensions, oid_key_usage);
  if (found == nullptr) return std::nullopt;
  const auto bits = der::parse_one(found->value, der::tag::bit_string, "a KeyUsage");
  if (!bits || bits->content.empty()) return KeyUsage{unreadable_bits, found->critical};
  if (bits->content.size() == 1) return KeyUsage{0, found->critical};
  return KeyUsage{bits->content[1], found->critical};
}

/// BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }
bool says_ca(const std::vector<Extension>& extensions, bool if_unreadable) {
  const Extension* const found = find(extensions, oid_basic_constraints);
  if (found == nullptr) return false;
  const auto outer = der::parse_one(found->value, der::tag::sequence, "BasicConstraints");
  if (!outer) return if_unreadable;
  der::Reader fields(outer->content);
  const auto ca = fields.take_if(der::tag::boolean);
  const auto path_length = fields.take_if(der::tag::integer);
  if (!ca || !path_length || !fields.empty() || (*ca && (*ca)->content.size() != 1)) {
    return if_unreadable;
  }
  return *ca && (*ca)->content[0] != 0;
}

Result<std::vector<Certificate>> Certificate::all_from_der(ByteView ders) {
  std::vector<Certificate> all;
  der::Reader reader(ders);
  while (!reader.empty()) {
    UMBRA_TRY(const auto element, reader.expect(der::tag::sequence, "certificate"));
    UMBRA_TRY(auto certificate, from_der(element.whole));
    all.push_back(std::move(certificate));
  }
  return all;
}

Result<Certificate> Certificate::from_der(ByteView input) {
  if (input.size() > certificate_octets_max)
    return fail(Errc::malformed, "a certificate of more than 64 KiB");
  UMBRA_TRY(const der::Element outer, der::parse_one(input, der::tag::sequence, "a Certificate"));
  der::Reader parts(outer.content);
  UMBRA_TRY(const der::Element tbs, parts.expect(der::tag::sequence, "a TBSCertificate"));
  UMBRA_TRY(const der::Element algorithm,
            parts.expect(der::tag::sequence, "a signature algorithm"));
  UMBRA_TRY(const der::Element signature, parts.expect(der::tag::bit_string, "a signature"));
  UMBRA_CHECK(parts.finish("a Certificate"));
  if (signature.content.empty() || signature.content[0] != 0)
    return fail(Errc::malformed, "a signature with unused bits");

  der::Reader fields(tbs.content);
  UMBRA_TRY(const auto version, fields.take_if(der::context(0)));
  if (version) {
    UMBRA_TRY(const der::Element number,
              der::parse_one(version->content, der::tag::integer, "a version"));
    UMBRA_TRY(const std::uint32_t value, der::parse_uint(number));
    if (value > 2) return fail(Errc::malformed, "a certificate of an unknown version");
  }
  UMBRA_TRY(const der::Element serial_field, fields.expect(der::tag::integer, "a serial number"));
  if (serial_field.content.empty() || (serial_field.content[0] & 0x80) != 0) {
    return fail(Errc::malformed, "a serial number that is not positive");
  }
  if (serial_field.content.size() > 1 && serial_field.content[0] == 0 &&
      (serial_field.content[1] & 0x80) == 0) {
    return fail(Errc::malformed, "a serial number that is padded");
  }
  UMBRA_TRY(Serial serial, Serial::from_big_endian(serial_field.content));
  UMBRA_TRY(const der::Element inner_algorithm,
            fields.expect(der::tag::sequence, "a signature algorithm"));
  if (!equal(inner_algorithm.whole, algorithm.whole)) {
    return fail(Errc::malformed, "a certificate with two different signature algorithms");
  }
  UMBRA_TRY(const der::Element issuer_field, fields.expect(der::tag::sequence, "an issuer"));
  UMBRA_TRY(Name issuer, Name::from_der(issuer_field.whole));
  UMBRA_TRY(const der::Element validity, fields.expect(der::tag::sequence, "a validity"));
  der::Reader times(validity.content);
  UMBRA_TRY(const der::Element not_before_field, times.next());
  UMBRA_TRY(const der::Element not_after_field, times.next());
  UMBRA_CHECK(times.finish("a Validity"));
  UMBRA_TRY(const Time not_before, der::parse_time(not_before_field));
  UMBRA_TRY(const Time not_after, der::parse_time(not_after_field));
  UMBRA_TRY(const der::Element subject_field, fields.expect(der::tag::sequence, "a subject"));
  UMBRA_TRY(Name subject, Name::from_der(subject_field.whole));
  UMBRA_TRY(const der::Element spki, fields.expect(der::tag::sequence, "a public key"));
  UMBRA_TRY(PublicKey key, PublicKey::from_spki(spki.whole));
  for (const unsigned unique_id : {1U, 2U}) {
    UMBRA_TRY(const auto id, fields.take_if(der::context_primitive(unique_id)));
    if (id && (id->content.empty() || id->content[0] > 7)) {
      return fail(Errc::malformed, "a unique identifier that is no BIT STRING");
    }
  }
  std::vector<Extension> extensions;
  UMBRA_TRY(const auto extensions_field, fields.take_if(der::context(3)));
  if (extensions_field) {
    UMBRA_TRY(const der::Element list,
              der::parse_one(extensions_field->content, der::tag::sequence, "Extensions"));
    UMBRA_TRY(extensions, parse_extensions(list.content));
  }
  UMBRA_CHECK(fields.finish("a TBSCertificate"));
  auto signature_algorithm = parse_signature_algorithm(algorithm.whole);
  if (!signature_algorithm && signature_algorithm.error().code == Errc::malformed) {
    return tl::unexpected(signature_algorithm.error());
  }
  return Certificate(std::make_shared<const Parsed>(
      Parsed{to_bytes(input), to_bytes(tbs.whole), to_bytes(signature.content.subspan(1)), serial,
             std::move(issuer), std::move(subject), not_before, not_after, std::move(key),
             std::move(signature_algorithm), std::move(extensions)}));
}

Result<Certificate> Certificate::from_pem(std::string_view pem) {
  UMBRA_TRY(const Bytes der, pem_to_der(pem, "CERTIFICATE"));
  return from_der(der);
}

std::string Certificate::to_pem() const { return der_to_pem(der(), "CERTIFICATE"); }
ByteView Certificate::der() const { return parsed_->der; }
const Serial& Certificate::serial() const { return parsed_->serial; }
const Name& Certificate::issuer() const { return parsed_->issuer; }
const Name& Certificate::subject() const { return parsed_->subject; }
Time Certificate::not_before() const { return parsed_->not_before; }
Time Certificate::not_after() const { return parsed_->not_after; }
const PublicKey& Certificate::public_key() const { return parsed_->public_key; }
const Result<SignatureAlgorithm>& Certificate::signature_algorithm() const {
  return parsed_->algorithm;
}
const std::vector<Extension>& Certificate::extensions() const { return parsed_->extensions; }
bool Certificate::is_ca() const { return says_ca(parsed_->extensions, false); }
std::optional<KeyUsage> Certificate::key_usage() const {
  return key_usage_of(parsed_->extensions, 0);
}

std::optional<Bytes> Certificate::subject_key_id() const {
  const Extension* const found = find(parsed_->extensions, oid_subject_key_id);
  if (found == nullptr) return std::nullopt;
  const auto id = der::parse_one(found->value, der::tag::octet_string, "a SubjectKeyIdentifier");
  if (!id) return std::nullopt;
  return to_bytes(id->content);
}

std::optional<Bytes> Certificate::authority_key_id() const {
  const Extension* const found = find(parsed_->extensions, oid_authority_key_id);
  if (found == nullptr) return std::nullopt;
  const auto outer = der::parse_one(found->value, der::tag::sequence, "an AuthorityKeyIdentifier");
  if (!outer) return std::nullopt;
  der::Reader fields(outer->content);
  const auto id = fields.take_if(der::context_primitive(0));
  if (!id || !*id) return std::nullopt;
  return to_bytes((*id)->content);
}

std::vector<std::string> Certificate::crl_urls() const {
  std::vector<std::string> urls;
  const Extension* const found = find(parsed_->extensions, oid_crl_distribution_points);
  if (found == nullptr) return urls;
  const auto points = der::parse_one(found->value, der::tag::sequence, "CRLDistributionPoints");
  if (!points) return urls;
  for (der::Reader each(points->content); !each.empty();) {
    const auto point = each.expect(der::tag::sequence, "a DistributionPoint");
    if (!point) break;
    der::Reader fields(point->content);
    const auto name = fields.take_if(der::context(0));
    if (!name || !*name) continue;
    der::Reader choice((*name)->content);
    const auto full = choice.take_if(der::context(0));
    if (!full || !*full) continue;
    for (der::Reader names((*full)->content); !names.empty();) {
      const auto one = names.next();
      if (!one) break;
      if (one->tag == der::context_primitive(6)) urls.emplace_back(as_text(one->content));
    }
  }
  return urls;
}

std::vector<std::string> Certificate::ocsp_urls() const {
  // AuthorityInfoAccessSyntax ::= SEQUENCE OF SEQUENCE { accessMethod OID, accessLocation }
  std::vector<std::string> urls;
  const Extension* const found = find(parsed_->extensions, oid_authority_info_access);
  if (found == nullptr) return urls;
  const auto all = der::parse_one(found->value, der::tag::sequence, "AuthorityInfoAccess");
  if (!all) return urls;
  for (der::Reader each(all->content); !each.empty();) {
    const auto description = each.expect(der::tag::sequence, "an AccessDescription");
    if (!description) break;
    der::Reader fields(description->content);
    const auto method = fields.expect(der::tag::oid, "accessMethod");
    const auto where = fields.next();
    if (!method || !where || where->tag != der::context_primitive(6)) continue;
    if (der::to_dotted(method->content) == oid_ocsp) urls.emplace_back(as_text(where->content));
  }
  return urls;
}

Result<void> Certificate::verify_signed_by(const PublicKey& issuer_key) const {
  if (!parsed_->algorithm) return tl::unexpected(parsed_->algorithm.error());
  return issuer_key.verify(*parsed_->algorithm, parsed_->to_be_signed, parsed_->signature);
}

Bytes to_be_signed(const CertificateTemplate& what, const SignatureAlgorithm& algorithm) {
  constexpr std::array<std::uint8_t, 5> version = {der::context(0), 3, der::tag::integer, 1, 2};
  const Bytes validity = der::sequence({der::time(what.not_before), der::time(what.not_after)});
  Bytes list;
  for (const Extension& extension : what.extensions) {
    const Bytes one = to_der(extension);
    list.insert(list.end(), one.begin(), one.end());
  }
  const der::Header inner(der::tag::sequence, list.size());
  const der::Header outer(der::context(3), inner.size() + list.size());
  const bool some = !list.empty();
  return der::sequence({version, what.serial.integer_der(), to_der(algorithm), what.issuer.der(),
                        validity, what.subject.der(), what.spki,
                        some ? ByteView(outer) : ByteView{}, some ? ByteView(inner) : ByteView{},
                        list});
}

Result<Certificate> sign_certificate(const CertificateTemplate& what, const PrivateKey& key,
                                     Digest digest) {
  const SignatureAlgorithm algorithm{key.public_key().algorithm(), digest};
  const Bytes tbs = to_be_signed(what, algorithm);
  UMBRA_TRY(const Bytes signature, key.sign(digest, tbs));
  constexpr std::uint8_t no_unused_bits = 0;
  return Certificate::from_der(der::sequence(
      {tbs, to_der(algorithm), der::Header(der::tag::bit_string, 1 + signature.size()),
       ByteView(&no_unused_bits, 1), signature}));
}

Extension basic_constraints_ca() {
  return {std::string(oid_basic_constraints), true,
          der::sequence({Bytes{der::tag::boolean, 1, 0xFF}})};
}

Extension key_usage(KeyUsage usage) {
  std::uint8_t unused = 0;
  while (unused < 7 && (usage.bits >> unused & 1) == 0) ++unused;
  return {std::string(oid_key_usage), usage.critical,
          der::tlv(der::tag::bit_string, Bytes{unused, usage.bits})};
}

Extension extended_key_usage(const std::vector<KeyPurpose>& purposes) {
  Bytes list;
  for (const KeyPurpose purpose : purposes) {
    const Bytes one = der::object_identifier(std::string(oid_key_purposes) + "." +
                                             std::to_string(static_cast<int>(purpose)));
    list.insert(list.end(), one.begin(), one.end());
  }
  return {std::string(oid_extended_key_usage), false, der::tlv(der::tag::sequence, list)};
}

Extension authority_key_id(ByteView key_id) {
  return {std::string(oid_authority_key_id), false,
          der::sequence({der::Header(der::context_primitive(0), key_id.size()), key_id})};
}

Extension subject_key_id(ByteView key_id) {
  return {std::string(oid_subject_key_id), false, der::tlv(der::tag::octet_string, key_id)};
}

Extension crl_distribution_point(std::string_view url) {
  const Bytes name = der::tlv(der::context_primitive(6), as_bytes(url));
  const Bytes point = der::sequence({der::tlv(der::context(0), der::tlv(der::context(0), name))});
  return {std::string(oid_crl_distribution_points), false, der::sequence({point})};
}

Extension subject_alt_dns(std::string_view dns_name) {
  return {std::string(oid_subject_alt_name), false,
          der::sequence({der::tlv(der::context_primitive(2), as_bytes(dns_name))})};
}

}  // namespace umbra::x509
