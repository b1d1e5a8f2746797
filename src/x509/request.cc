#include "x509/request.h"

#include <algorithm>

#include "x509/der.h"
#include "x509/extensions.h"

namespace umbra::x509 {
namespace {

constexpr std::size_t request_octets_max = 65536;
constexpr std::string_view oid_challenge_password = "1.2.840.113549.1.9.7";
constexpr std::string_view oid_extension_request = "1.2.840.113549.1.9.14";
constexpr std::string_view oid_extension_request_microsoft = "1.3.6.1.4.1.311.2.1.14";
constexpr std::string_view oid_extension_request_verisign = "2.16.840.1.113733.1.9.8";

}  // namespace

struct Request::Parsed {
  Bytes der;
  Bytes information;
  Bytes signature;
  Name subject;
  PublicKey public_key;
  std::optional<std::string> challenge_password;
  std::vector<Extension> extensions;
  Result<SignatureAlgorithm> algorithm;
};

Result<Request> Request::from_der(ByteView input) { return from_der(input, nullptr); }

Result<Request> Request::from_der(ByteView input, const PublicKey& likely) {
  return from_der(input, &likely);
}

Result<Request> Request::from_der(ByteView input, const PublicKey* likely) {
  if (input.size() > request_octets_max)
    return fail(Errc::malformed, "a request of more than 64 KiB");
  UMBRA_TRY(const der::Element outer,
            der::parse_one(input, der::tag::sequence, "a CertificationRequest"));
  der::Reader parts(outer.content);
  UMBRA_TRY(const der::Element information,
            parts.expect(der::tag::sequence, "a CertificationRequestInfo"));
  UMBRA_TRY(const der::Element algorithm,
            parts.expect(der::tag::sequence, "a signature algorithm"));
  UMBRA_TRY(const der::Element signature, parts.expect(der::tag::bit_string, "a signature"));
  UMBRA_CHECK(parts.finish("a CertificationRequest"));
  if (signature.content.empty() || signature.content[0] != 0)
    return fail(Errc::malformed, "a signature with unused bits");

  der::Reader fields(information.content);
  UMBRA_CHECK(fields.expect(der::tag::integer, "a version"));
  UMBRA_TRY(const der::Element subject_field, fields.expect(der::tag::sequence, "a subject"));
  UMBRA_TRY(Name subject, Name::from_der(subject_field.whole));
  UMBRA_TRY(const der::Element spki, fields.expect(der::tag::sequence, "a public key"));
  UMBRA_TRY(PublicKey key, likely == nullptr ? PublicKey::from_spki(spki.whole)
                                             : PublicKey::from_spki(spki.whole, *likely));
  std::optional<std::string> challenge;
  std::vector<Extension> extensions;
  std::optional<ByteView> listed;
  // Attributes are a SET, but real clients send them in any order, and some leave the field out.
  UMBRA_TRY(const auto attributes, fields.take_if(der::context(0)));
  UMBRA_CHECK(fields.finish("a CertificationRequestInfo"));
  for (der::Reader each(attributes ? attributes->content : ByteView{}); !each.empty();) {
    UMBRA_TRY(const der::Element attribute, each.expect(der::tag::sequence, "an attribute"));
    // Also the attributes nobody here reads: all who see the request must see the same one.
    UMBRA_TRY(const Bytes as_der, der::from_ber(attribute.whole));
    if (!equal(as_der, attribute.whole)) {
      return fail(Errc::malformed, "a request's attribute is not DER");
    }
    der::Reader inside(attribute.content);
    UMBRA_TRY(const der::Element oid_field, inside.expect(der::tag::oid, "an attribute's OID"));
    UMBRA_TRY(const der::Element values, inside.expect(der::tag::set, "an attribute's values"));
    UMBRA_CHECK(inside.finish("an attribute"));
    const std::string oid = der::to_dotted(oid_field.content);
    if (oid.empty()) return fail(Errc::malformed, "an attribute's OID that cannot be read");
    der::Reader value(values.content);
    if (value.empty()) continue;
    if (oid == oid_challenge_password) {
      UMBRA_TRY(const der::Element password, value.next());
      if (challenge || !value.empty())
        return fail(Errc::malformed, "a request with two challenge passwords");
      UMBRA_TRY(challenge, der::parse_text(password));
    } else if (oid == oid_extension_request || oid == oid_extension_request_microsoft ||
               oid == oid_extension_request_verisign) {
      UMBRA_TRY(const der::Element list, value.expect(der::tag::sequence, "requested extensions"));
      // Some say the same under two of the OIDs. Two different lists are two requests: who judges
      // might read the one, and who issues, further up, the other.
      if (!value.empty() || (listed && !equal(*listed, list.whole)))
        return fail(Errc::malformed, "a request with two lists of extensions");
      listed = list.whole;
      UMBRA_TRY(extensions, parse_extensions(list.content));
    }
  }
  auto signature_algorithm = parse_signature_algorithm(algorithm.whole);
  if (!signature_algorithm && signature_algorithm.error().code == Errc::malformed) {
    return tl::unexpected(signature_algorithm.error());
  }
  return Request(std::make_shared<const Parsed>(
      Parsed{to_bytes(input), to_bytes(information.whole), to_bytes(signature.content.subspan(1)),
             std::move(subject), std::move(key), std::move(challenge), std::move(extensions),
             std::move(signature_algorithm)}));
}

ByteView Request::der() const { return parsed_->der; }
const Name& Request::subject() const { return parsed_->subject; }
const PublicKey& Request::public_key() const { return parsed_->public_key; }
const std::optional<std::string>& Request::challenge_password() const {
  return parsed_->challenge_password;
}
const std::vector<Extension>& Request::extensions() const { return parsed_->extensions; }
const Result<SignatureAlgorithm>& Request::signature_algorithm() const {
  return parsed_->algorithm;
}

bool Request::asks_for_ca() const {
  const auto usage = key_usage_of(parsed_->extensions, 0xFF);
  return says_ca(parsed_->extensions, true) || (usage && usage->key_cert_sign());
}

Result<void> Request::verify() const {
  if (!parsed_->algorithm) return tl::unexpected(parsed_->algorithm.error());
  return parsed_->public_key.verify(*parsed_->algorithm, parsed_->information, parsed_->signature);
}

Result<Request> sign_request(const RequestTemplate& what, const PrivateKey& key, Digest digest) {
  std::vector<Bytes> attributes;
  if (what.challenge_password) {
    const bool ascii = std::all_of(what.challenge_password->begin(), what.challenge_password->end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    // IOS sends PrintableString whatever the characters are; a password with others than its is
    // UTF8String here.
    const std::uint8_t tag = ascii && what.challenge_password->find_first_of(
                                          "!\"#$%&*;<>@[\\]^_`{|}~") == std::string::npos
                                 ? der::tag::printable_string
                                 : der::tag::utf8_string;
    attributes.push_back(
        der::sequence({der::object_identifier(oid_challenge_password),
                       der::set_of({der::tlv(tag, as_bytes(*what.challenge_password))})}));
  }
  if (!what.extensions.empty()) {
    Bytes list;
    for (const Extension& extension : what.extensions) {
      const Bytes one = to_der(extension);
      list.insert(list.end(), one.begin(), one.end());
    }
    attributes.push_back(der::sequence({der::object_identifier(oid_extension_request),
                                        der::set_of({der::tlv(der::tag::sequence, list)})}));
  }
  Bytes set = der::set_of(std::move(attributes));
  set[0] = der::context(0);
  const Bytes information =
      der::sequence({der::small_integer(0), what.subject.der(), key.public_key().spki(), set});
  UMBRA_TRY(const Bytes signature, key.sign(digest, information));
  return Request::from_der(
      der::sequence({information, to_der(SignatureAlgorithm{key.public_key().algorithm(), digest}),
                     der::bit_string_of(signature)}));
}

Result<Certificate> self_signed_signer(const Name& subject, Time now, const PrivateKey& key,
                                       Digest digest) {
  return sign_certificate({.serial = Serial(1),
                           .issuer = subject,
                           .subject = subject,
                           .not_before = now,
                           .not_after = now + Days{3650},
                           .spki = to_bytes(key.public_key().spki()),
                           .extensions = {}},
                          key, digest);
}

}  // namespace umbra::x509
