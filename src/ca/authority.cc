#include "ca/authority.h"

#include <algorithm>

#include "x509/der.h"

namespace umbra::ca {
namespace {

constexpr std::string_view oid_key_usage = "2.5.29.15";
constexpr std::string_view oid_subject_alt_name = "2.5.29.17";
constexpr std::uint8_t usage_device = 0xA0;        // digitalSignature, keyEncipherment
constexpr std::uint8_t usage_ca = 0x86;            // digitalSignature, keyCertSign, cRLSign
constexpr std::uint8_t usage_never = 0x04 | 0x02;  // keyCertSign, cRLSign
constexpr std::size_t alt_name_octets_max = 4096;

x509::KeyUsage device_usage(const x509::Request& request) {
  x509::KeyUsage usage{usage_device, false};
  for (const x509::Extension& extension : request.extensions()) {
    if (extension.oid != oid_key_usage) continue;
    const auto bits =
        x509::der::parse_one(extension.value, x509::der::tag::bit_string, "a KeyUsage");
    if (!bits || bits->content.size() < 2) continue;
    usage = {static_cast<std::uint8_t>(bits->content[1] & ~usage_never), extension.critical};
    if (usage.bits == 0) usage.bits = usage_device;
  }
  return usage;
}

/// RFC 5280 4.2.1.6. What is text must be printable: a name that ends at a NUL for one reader and
/// goes on for another is two names.
bool is_general_name(const x509::der::Element& name) {
  const ByteView content = name.content;
  if (content.empty()) return false;
  switch (name.tag) {
    case x509::der::context_primitive(1):  // rfc822Name
    case x509::der::context_primitive(2):  // dNSName
    case x509::der::context_primitive(6):  // uniformResourceIdentifier
      return std::all_of(content.begin(), content.end(),
                         [](std::uint8_t c) { return c > 0x20 && c < 0x7F; });
    case x509::der::context_primitive(7):  // iPAddress
      return content.size() == 4 || content.size() == 16;
    case x509::der::context_primitive(8):  // registeredID
      return !x509::der::to_dotted(content).empty();
    case x509::der::context(0):    // otherName
    case x509::der::context(4): {  // directoryName
      const auto as_der = x509::der::from_ber(content);
      return as_der && equal(*as_der, content);
    }
    default:
      return false;
  }
}

/// What must hold of every certificate before anybody sees it.
Result<void> lint(const Authority& authority, const x509::Certificate& certificate,
                  bool subordinate_ca) {
  if (certificate.not_before() > certificate.not_after())
    return fail(Errc::conflict, "a certificate that ends before it begins");
  if (certificate.not_after() > authority.certificate.not_after() ||
      certificate.not_before() < authority.certificate.not_before()) {
    return fail(Errc::conflict, "a certificate that reaches beyond its CA's validity");
  }
  const auto usage = certificate.key_usage();
  const bool could_issue = certificate.is_ca() || (usage && usage->key_cert_sign());
  if (could_issue && !subordinate_ca)
    return fail(Errc::conflict, "a device's certificate that could issue");
  if (subordinate_ca && !(certificate.is_ca() && usage && usage->key_cert_sign()))
    return fail(Errc::conflict, "a subordinate CA's certificate that could not issue");
  if (certificate.self_issued()) return fail(Errc::conflict, "the CA's own name");
  if (!(certificate.issuer() == authority.certificate.subject()))
    return fail(Errc::conflict, "another issuer than the CA");
  // A subordinate's own serial number was given by somebody else.
  if (certificate.serial() == authority.certificate.serial() && authority.certificate.self_issued())
    return fail(Errc::conflict, "the CA's own serial number");
  if (certificate.public_key() == authority.certificate.public_key())
    return fail(Errc::conflict, "the CA's own key");
  return {};
}

}  // namespace

Bytes alt_names_of(const std::vector<x509::Extension>& extensions) {
  for (const x509::Extension& extension : extensions) {
    if (extension.oid != oid_subject_alt_name || extension.value.size() > alt_name_octets_max)
      continue;
    const auto names =
        x509::der::parse_one(extension.value, x509::der::tag::sequence, "GeneralNames");
    if (!names || names->content.empty()) return {};
    for (x509::der::Reader each(names->content); !each.empty();) {
      const auto name = each.next();
      if (!name || !is_general_name(*name)) return {};
    }
    return extension.value;
  }
  return {};
}

Result<x509::Certificate> make_root(const x509::Name& name, const x509::Serial& serial,
                                    const lifecycle::Validity& validity,
                                    const x509::PrivateKey& key, x509::Digest digest) {
  const Bytes id = key.public_key().key_identifier();
  return x509::sign_certificate(
      {.serial = serial,
       .issuer = name,
       .subject = name,
       .not_before = validity.not_before,
       .not_after = validity.not_after,
       .spki = to_bytes(key.public_key().spki()),
       .extensions = {x509::basic_constraints_ca(), x509::key_usage({usage_ca, true}),
                      x509::authority_key_id(id), x509::subject_key_id(id)}},
      key, digest);
}

Result<x509::Certificate> make_exchange(const x509::Certificate& ca, const x509::PrivateKey& ca_key,
                                        const x509::PublicKey& key, const x509::Serial& serial,
                                        x509::Digest digest) {
  UMBRA_TRY(const auto own,
            x509::der::parse_one(ca.subject().der(), x509::der::tag::sequence, "the CA's name"));
  UMBRA_TRY(const auto added, x509::Name::from_ios("CN=SCEP exchange"));
  UMBRA_TRY(const auto more,
            x509::der::parse_one(added.der(), x509::der::tag::sequence, "the added name"));
  UMBRA_TRY(auto subject, x509::Name::from_der(x509::der::sequence({own.content, more.content})));
  return x509::sign_certificate({.serial = serial,
                                 .issuer = ca.subject(),
                                 .subject = std::move(subject),
                                 .not_before = ca.not_before(),
                                 .not_after = ca.not_after(),
                                 .spki = to_bytes(key.spki()),
                                 .extensions = {x509::key_usage({usage_device, true}),
                                                x509::authority_key_id(ca.subject_key_id().value_or(
                                                    ca.public_key().key_identifier())),
                                                x509::subject_key_id(key.key_identifier())}},
                                ca_key, digest);
}

Result<x509::Certificate> issue(const Authority& authority, const x509::Request& request,
                                const x509::Serial& serial, const lifecycle::Validity& validity,
                                const Profile& profile) {
  if (!authority.key) return fail(Errc::unsupported, "the CA's key is missing");
  std::vector<x509::Extension> extensions;
  if (!profile.cdp_url.empty()) extensions.push_back(x509::crl_distribution_point(profile.cdp_url));
  if (profile.subordinate_ca) {
    extensions.push_back(x509::basic_constraints_ca());
    extensions.push_back(x509::key_usage({usage_ca, true}));
  } else {
    extensions.push_back(x509::key_usage(device_usage(request)));
    if (!profile.key_purposes.empty())
      extensions.push_back(x509::extended_key_usage(profile.key_purposes));
    if (Bytes names = alt_names_of(request.extensions()); profile.copy_alt_names && !names.empty())
      extensions.push_back({std::string(oid_subject_alt_name), false, std::move(names)});
  }
  const auto issuer_key_id = authority.certificate.subject_key_id();
  extensions.push_back(x509::authority_key_id(
      issuer_key_id ? *issuer_key_id : authority.certificate.public_key().key_identifier()));
  extensions.push_back(x509::subject_key_id(request.public_key().key_identifier()));
  UMBRA_TRY(auto certificate, x509::sign_certificate({.serial = serial,
                                                      .issuer = authority.certificate.subject(),
                                                      .subject = request.subject(),
                                                      .not_before = validity.not_before,
                                                      .not_after = validity.not_after,
                                                      .spki = to_bytes(request.public_key().spki()),
                                                      .extensions = std::move(extensions)},
                                                     *authority.key, profile.digest));
  UMBRA_CHECK(lint(authority, certificate, profile.subordinate_ca));
  return certificate;
}

Result<Bytes> make_crl(const Authority& authority, const CrlFacts& facts,
                       const x509::CrlEntries& revoked, x509::Digest digest) {
  if (!authority.key) return fail(Errc::unsupported, "the CA's key is missing");
  return x509::sign_crl({.issuer = authority.certificate.subject(),
                         .issuer_key_id = authority.certificate.public_key().key_identifier(),
                         .number = facts.number,
                         .this_update = facts.this_update,
                         .next_update = facts.next_update},
                        revoked, *authority.key, digest);
}

store::IssuedCertificate row_of(const std::string& server, std::uint32_t generation,
                                const x509::Certificate& certificate,
                                const std::string& transaction_id, const Bytes& request_digest,
                                Time now, store::RequestClass granted_as) {
  store::IssuedCertificate row;
  row.server = server;
  row.serial = certificate.serial();
  row.generation = generation;
  row.certificate = to_bytes(certificate.der());
  row.subject = certificate.subject().joined();
  row.not_before = certificate.not_before();
  row.not_after = certificate.not_after();
  row.transaction_id = transaction_id;
  row.request_digest = request_digest;
  row.issued_at = now;
  row.granted_as = granted_as;
  return row;
}

}  // namespace umbra::ca
