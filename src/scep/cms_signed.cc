#include <algorithm>
#include <array>

#include "scep/cms.h"
#include "x509/der.h"

namespace umbra::scep::cms {
namespace {

namespace der = x509::der;
namespace tag = x509::der::tag;

constexpr std::size_t bag_max = 32;
constexpr std::size_t attributes_max =
    32;  // SCEP has ten; nothing is verified yet when they are read

/// ContentInfo ::= SEQUENCE { contentType, content [0] EXPLICIT ANY }
Result<der::Element> content_of(ByteView content_info, const der::Oid& wanted) {
  UMBRA_TRY(const der::Element outer, der::parse_one(content_info, tag::sequence, "a ContentInfo"));
  der::Reader reader(outer.content);
  UMBRA_TRY(const der::Element type, reader.expect(tag::oid, "a content type"));
  if (!wanted.is(type.content)) return fail(Errc::malformed, "CMS of another type than expected");
  UMBRA_TRY(const der::Element content, reader.expect(der::context(0), "CMS content"));
  UMBRA_CHECK(reader.finish("a ContentInfo"));
  return der::parse_one(content.content, tag::sequence, "CMS content");
}

Result<std::vector<Attribute>> parse_attributes(ByteView content) {
  std::vector<Attribute> attributes;
  for (der::Reader reader(content); !reader.empty();) {
    UMBRA_TRY(const der::Element one, reader.expect(tag::sequence, "an attribute"));
    der::Reader fields(one.content);
    UMBRA_TRY(const der::Element oid, fields.expect(tag::oid, "an attribute's OID"));
    UMBRA_TRY(const der::Element values, fields.expect(tag::set, "an attribute's values"));
    der::Reader value(values.content);
    if (value.empty()) continue;
    UMBRA_TRY(const der::Element first, value.next());
    UMBRA_CHECK(value.finish("one attribute value"));
    if (attributes.size() == attributes_max)
      return fail(Errc::malformed, "more signed attributes than anybody needs");
    if (find(attributes, oid.whole) != nullptr)
      return fail(Errc::malformed, "a signed attribute twice");
    attributes.push_back({to_bytes(oid.whole), to_bytes(first.whole)});
  }
  return attributes;
}

Result<SignerInfo> parse_signer(ByteView content) {
  SignerInfo signer;
  der::Reader reader(content);
  UMBRA_CHECK(reader.expect(tag::integer, "a signer's version"));
  UMBRA_TRY(const der::Element sid, reader.next());
  if (sid.tag == tag::sequence) {
    UMBRA_TRY(signer.issuer_and_serial, parse_issuer_and_serial(sid.whole));
  } else if (sid.tag == der::context_primitive(0)) {
    signer.subject_key_id = to_bytes(sid.content);
  } else {
    return fail(Errc::malformed, "a signer that is not named");
  }
  UMBRA_TRY(const der::Element digest, reader.expect(tag::sequence, "a digest algorithm"));
  signer.digest = x509::parse_digest(digest.whole);
  UMBRA_TRY(const auto attributes, reader.take_if(der::context(0)));
  if (attributes) {
    signer.signed_attributes = to_bytes(attributes->whole);
    signer.signed_attributes[0] = tag::set;  // what is hashed is the SET, RFC 5652 5.4
    UMBRA_TRY(signer.attributes, parse_attributes(attributes->content));
  }
  // The signature algorithm may be rsaEncryption or xWithRSAEncryption: the digest above decides,
  // as in OpenSSL.
  UMBRA_CHECK(reader.expect(tag::sequence, "a signature algorithm"));
  UMBRA_TRY(const der::Element signature, reader.expect(tag::octet_string, "a signature"));
  signer.signature = to_bytes(signature.content);
  return signer;
}

constexpr std::array<std::uint8_t, 3> version_1 = {tag::integer, 1, 1};

/// certificates [0] IMPLICIT SET OF; empty without any.
Bytes bag_der(std::span<const x509::Certificate> certificates) {
  if (certificates.empty()) return {};
  std::vector<ByteView> parts;
  parts.reserve(certificates.size());
  for (const auto& certificate : certificates) parts.push_back(certificate.der());
  Bytes set = der::set_of_views(std::move(parts));
  set[0] = der::context(0);
  return set;
}

}  // namespace

Bytes content_info(const der::Oid& type, std::initializer_list<ByteView> parts) {
  std::size_t size = 0;
  for (const ByteView part : parts) size += part.size();
  const der::Header body(tag::sequence, size);
  const der::Header wrapped(der::context(0), body.size() + size);
  const der::Header outer(tag::sequence, type.whole().size() + wrapped.size() + body.size() + size);
  Bytes out;
  out.reserve(outer.size() + type.whole().size() + wrapped.size() + body.size() + size);
  for (const ByteView part : {ByteView(outer), type.whole(), ByteView(wrapped), ByteView(body)})
    out.insert(out.end(), part.begin(), part.end());
  for (const ByteView part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

Bytes to_der(const x509::Name& issuer, const x509::Serial& serial) {
  return der::sequence({issuer.der(), serial.integer_der()});
}

Result<IssuerAndSerial> parse_issuer_and_serial(ByteView input) {
  UMBRA_TRY(const der::Element outer,
            der::parse_one(input, tag::sequence, "an IssuerAndSerialNumber"));
  der::Reader reader(outer.content);
  UMBRA_TRY(const der::Element issuer, reader.expect(tag::sequence, "an issuer"));
  UMBRA_TRY(const der::Element serial, reader.expect(tag::integer, "a serial number"));
  UMBRA_CHECK(reader.finish("an IssuerAndSerialNumber"));
  if (serial.content.empty() || (serial.content[0] & 0x80) != 0)
    return fail(Errc::malformed, "a negative serial number");
  IssuerAndSerial out;
  UMBRA_TRY(out.issuer, x509::Name::from_der(issuer.whole));
  UMBRA_TRY(out.serial, x509::Serial::from_big_endian(serial.content));
  return out;
}

Result<SignedData> parse_signed_data(ByteView input) {
  UMBRA_TRY(const der::Definite message, der::definite(input));
  UMBRA_TRY(const der::Element body, content_of(message.der, oid_signed_data));
  SignedData data;
  der::Reader reader(body.content);
  UMBRA_CHECK(reader.expect(tag::integer, "a SignedData version"));
  UMBRA_CHECK(reader.expect(tag::set, "digest algorithms"));
  UMBRA_TRY(const der::Element encapsulated,
            reader.expect(tag::sequence, "an EncapsulatedContentInfo"));
  der::Reader inside(encapsulated.content);
  UMBRA_TRY(const der::Element type, inside.expect(tag::oid, "a content type"));
  data.content_type = to_bytes(type.whole);
  UMBRA_TRY(const auto content, inside.take_if(der::context(0)));
  if (content && !content->content.empty()) {
    der::Reader value(content->content);
    UMBRA_TRY(const der::Element octets, value.next());
    // Usually an OCTET STRING; PKCS #7 of old puts the SEQUENCE itself there, whose contents are
    // what is hashed.
    data.content = to_bytes(octets.content);
    if (octets.tag != tag::octet_string && !equal(data.content_type, oid_data))
      data.content = to_bytes(octets.whole);
  }
  UMBRA_TRY(const auto certificates, reader.take_if(der::context(0)));
  for (der::Reader bag(certificates ? certificates->content : ByteView{}); !bag.empty();) {
    UMBRA_TRY(const der::Element one, bag.next());
    auto certificate = x509::Certificate::from_der(one.whole);
    if (certificate && data.certificates.size() < bag_max) {
      data.certificates.push_back(*std::move(certificate));
    } else {
      ++data.certificates_skipped;
    }
  }
  UMBRA_TRY(const auto crls, reader.take_if(der::context(1)));
  for (der::Reader list(crls ? crls->content : ByteView{}); !list.empty();) {
    UMBRA_TRY(const der::Element one, list.next());
    data.crls.push_back(to_bytes(one.whole));
  }
  UMBRA_TRY(const der::Element signers, reader.expect(tag::set, "signer infos"));
  for (der::Reader each(signers.content); !each.empty();) {
    UMBRA_TRY(const der::Element one, each.expect(tag::sequence, "a SignerInfo"));
    if (data.signers.size() == 4) return fail(Errc::malformed, "more signers than anybody needs");
    UMBRA_TRY(SignerInfo signer, parse_signer(one.content));
    data.signers.push_back(std::move(signer));
  }
  return data;
}

Bytes attribute(ByteView oid, ByteView value) {
  return der::sequence({oid, der::Header(tag::set, value.size()), value});
}

Bytes attribute(ByteView oid, std::uint8_t tag, ByteView content) {
  const der::Header value(tag, content.size());
  return der::sequence({oid, der::Header(tag::set, value.size() + content.size()), value, content});
}

const Bytes* find(const std::vector<Attribute>& attributes, ByteView oid) {
  const auto found = std::find_if(attributes.begin(), attributes.end(),
                                  [&](const Attribute& a) { return equal(a.oid, oid); });
  return found == attributes.end() ? nullptr : &found->value;
}

bool names(const SignerInfo& signer, const x509::Certificate& certificate) {
  if (signer.issuer_and_serial) {
    return signer.issuer_and_serial->serial == certificate.serial() &&
           signer.issuer_and_serial->issuer == certificate.issuer();
  }
  return signer.subject_key_id && certificate.subject_key_id() == signer.subject_key_id;
}

Result<void> verify(const SignedData& data, const SignerInfo& signer, const x509::PublicKey& key) {
  if (!signer.digest) return tl::unexpected(signer.digest.error());
  const ByteView content = data.content ? ByteView(*data.content) : ByteView{};
  const x509::SignatureAlgorithm algorithm{key.algorithm(), *signer.digest};
  if (signer.signed_attributes.empty()) return key.verify(algorithm, content, signer.signature);
  const Bytes* const digest = find(signer.attributes, oid_message_digest);
  const Bytes* const type = find(signer.attributes, oid_content_type);
  if (digest == nullptr || type == nullptr)
    return fail(Errc::crypto, "signed attributes without digest or type");
  const auto said = der::parse_one(*digest, tag::octet_string, "a message digest");
  if (!said || !equal(said->content, x509::hash(*signer.digest, content))) {
    return fail(Errc::crypto, "the content is not what was signed");
  }
  if (*type != data.content_type)
    return fail(Errc::crypto, "the content type is not what was signed");
  return key.verify(algorithm, signer.signed_attributes, signer.signature);
}

Bytes degenerate(std::span<const x509::Certificate> certificates, std::span<const Bytes> crls) {
  Bytes crl_set;
  if (!crls.empty()) {
    crl_set = der::set_of_views({crls.begin(), crls.end()});
    crl_set[0] = der::context(1);
  }
  const der::Header empty_set(tag::set, 0);
  return content_info(oid_signed_data, {version_1, empty_set, der::sequence({oid_data}),
                                        bag_der(certificates), crl_set, empty_set});
}

Result<Bytes> sign(const SignTemplate& what, const x509::Certificate& signer,
                   const x509::PrivateKey& key) {
  const Bytes type = attribute(oid_content_type, oid_data);
  const Bytes digest =
      attribute(oid_message_digest, tag::octet_string, x509::hash(what.digest, what.content));
  std::vector<ByteView> attributes(what.attributes.begin(), what.attributes.end());
  attributes.insert(attributes.end(), {type, digest});
  Bytes set = der::set_of_views(std::move(attributes));
  UMBRA_TRY(const Bytes signature, key.sign(what.digest, set));
  set[0] = der::context(0);

  const Bytes digest_algorithm = x509::to_der(what.digest);
  const Bytes signature_algorithm =
      key.public_key().algorithm() == x509::KeyAlgorithm::rsa
          ? der::sequence({oid_rsa_encryption, der::Header(tag::null, 0)})
          : x509::to_der(x509::SignatureAlgorithm{x509::KeyAlgorithm::ec, what.digest});
  const Bytes info = der::sequence({version_1, to_der(signer.issuer(), signer.serial()),
                                    digest_algorithm, set, signature_algorithm,
                                    der::Header(tag::octet_string, signature.size()), signature});
  // EncapsulatedContentInfo ::= SEQUENCE { eContentType, eContent [0] EXPLICIT OCTET STRING }
  const der::Header octets(tag::octet_string, what.content.size());
  const der::Header wrapped(der::context(0), octets.size() + what.content.size());
  const bool present = what.form != Content::absent;
  const std::size_t wrapped_size = wrapped.size() + octets.size() + what.content.size();
  const der::Header encapsulated(tag::sequence,
                                 oid_data.whole().size() + (present ? wrapped_size : 0));
  return content_info(
      oid_signed_data,
      {version_1, der::Header(tag::set, digest_algorithm.size()), digest_algorithm, encapsulated,
       oid_data, present ? ByteView(wrapped) : ByteView{}, present ? ByteView(octets) : ByteView{},
       present ? ByteView(what.content) : ByteView{}, bag_der(what.bag),
       der::Header(tag::set, info.size()), info});
}

}  // namespace umbra::scep::cms
