#include "x509/crl.h"

#include <algorithm>
#include <array>

#include "x509/der.h"
#include "x509/extensions.h"
#include "x509/ossl.h"

namespace umbra::x509 {
namespace {

constexpr std::string_view oid_crl_number = "2.5.29.20";
constexpr std::string_view oid_reason = "2.5.29.21";

/// crlEntryExtensions with the reason alone; empty for `none`.
ByteView reason_extensions(RevocationReason reason) {
  static const std::array<Bytes, 11> all = [] {
    std::array<Bytes, 11> made;
    for (std::uint8_t code = 0; code < made.size(); ++code) {
      const Bytes value = der::tlv(der::tag::enumerated, ByteView(&code, 1));
      made[code] = der::sequence({to_der(Extension{std::string(oid_reason), false, value})});
    }
    return made;
  }();
  const auto code = static_cast<std::size_t>(reason);
  return code < all.size() ? ByteView(all[code]) : ByteView();
}

/// SEQUENCE { userCertificate INTEGER, revocationDate Time, crlEntryExtensions OPTIONAL }
Result<RevokedEntry> parse_entry(der::Reader& list) {
  UMBRA_TRY(const der::Element whole, list.expect(der::tag::sequence, "a CRL entry"));
  der::Reader fields(whole.content);
  UMBRA_TRY(const der::Element serial, fields.expect(der::tag::integer, "a serial number"));
  UMBRA_TRY(const der::Element time, fields.next());
  UMBRA_TRY(const auto list_of_extensions, fields.take_if(der::tag::sequence));
  UMBRA_CHECK(fields.finish("a CRL entry"));
  RevokedEntry entry;
  if (serial.content.empty() || (serial.content[0] & 0x80) != 0)
    return fail(Errc::malformed, "a revoked serial number that is not positive");
  UMBRA_TRY(entry.serial, Serial::from_big_endian(serial.content));
  UMBRA_TRY(entry.revoked_at, der::parse_time(time));
  if (!list_of_extensions) return entry;
  UMBRA_TRY(const auto extensions, parse_extensions(list_of_extensions->content));
  for (const Extension& extension : extensions) {
    if (extension.oid != oid_reason) continue;
    UMBRA_TRY(const der::Element code,
              der::parse_one(extension.value, der::tag::enumerated, "a reason"));
    if (code.content.size() == 1) entry.reason = static_cast<RevocationReason>(code.content[0]);
  }
  return entry;
}

}  // namespace

void CrlEntries::add(const RevokedEntry& entry) {
  // Everything in an entry is shorter than 128 octets, so its lengths are one octet each.
  const Bytes time = der::time(entry.revoked_at);
  const ByteView extensions = reason_extensions(entry.reason);
  ByteView serial = entry.serial.big_endian();
  while (serial.size() > 1 && serial[0] == 0) serial = serial.subspan(1);
  const bool padded = (serial[0] & 0x80) != 0;
  const std::size_t serial_size = serial.size() + (padded ? 1 : 0);
  const std::size_t size = 2 + serial_size + time.size() + extensions.size();
  der_.push_back(der::tag::sequence);
  der_.push_back(static_cast<std::uint8_t>(size));
  der_.push_back(der::tag::integer);
  der_.push_back(static_cast<std::uint8_t>(serial_size));
  if (padded) der_.push_back(0);
  der_.insert(der_.end(), serial.begin(), serial.end());
  der_.insert(der_.end(), time.begin(), time.end());
  der_.insert(der_.end(), extensions.begin(), extensions.end());
}

Result<Bytes> sign_crl(const CrlTemplate& what, const CrlEntries& entries, const PrivateKey& key,
                       Digest digest) {
  const SignatureAlgorithm algorithm{key.public_key().algorithm(), digest};
  std::vector<std::uint8_t> number(8);
  for (std::size_t i = 0; i < 8; ++i)
    number[7 - i] = static_cast<std::uint8_t>(what.number >> (8 * i));
  const Bytes extensions =
      der::tlv(der::context(0), der::sequence({to_der(authority_key_id(what.issuer_key_id)),
                                               to_der(Extension{std::string(oid_crl_number), false,
                                                                der::unsigned_integer(number)})}));
  // revokedCertificates is absent, not empty, when nothing is revoked (RFC 5280 5.1.2.6).
  const der::Header entries_header(der::tag::sequence, entries.der().size());
  const ByteView list = entries.der().empty() ? ByteView{} : ByteView(entries_header);
  const Bytes before =
      der::concat({der::small_integer(1), to_der(algorithm), what.issuer.der(),
                   der::time(what.this_update), der::time(what.next_update), list});
  const der::Header tbs(der::tag::sequence,
                        before.size() + entries.der().size() + extensions.size());
  // Behind a gap for the header that is known last, so that the entries are copied once.
  constexpr std::size_t gap = 16;
  constexpr std::size_t signature_octets_max = 1200;
  Bytes out;
  out.reserve(gap + tbs.size() + before.size() + entries.der().size() + extensions.size() +
              signature_octets_max);
  out.resize(gap);
  for (const ByteView part : {ByteView(tbs), ByteView(before), entries.der(), ByteView(extensions)})
    out.insert(out.end(), part.begin(), part.end());
  UMBRA_TRY(const Bytes signature, key.sign(digest, ByteView(out).subspan(gap)));
  for (const Bytes& part : {to_der(algorithm), der::bit_string_of(signature)})
    out.insert(out.end(), part.begin(), part.end());
  const der::Header header(der::tag::sequence, out.size() - gap);
  const ByteView outer = header;
  const auto unused = static_cast<std::ptrdiff_t>(gap - outer.size());
  std::copy(outer.begin(), outer.end(), out.begin() + unused);
  out.erase(out.begin(), out.begin() + unused);
  return out;
}

Result<CrlFacts> parse_crl(ByteView input) {
  UMBRA_TRY(const der::Element outer, der::parse_one(input, der::tag::sequence, "a CRL"));
  der::Reader parts(outer.content);
  UMBRA_TRY(const der::Element tbs, parts.expect(der::tag::sequence, "a TBSCertList"));
  UMBRA_CHECK(parts.expect(der::tag::sequence, "a signature algorithm"));
  UMBRA_CHECK(parts.expect(der::tag::bit_string, "a signature"));
  UMBRA_CHECK(parts.finish("a CRL"));
  der::Reader fields(tbs.content);
  UMBRA_CHECK(fields.take_if(der::tag::integer));  // the version, which v1 leaves out
  UMBRA_CHECK(fields.expect(der::tag::sequence, "a signature algorithm"));
  UMBRA_TRY(const der::Element issuer, fields.expect(der::tag::sequence, "an issuer"));
  CrlFacts facts;
  UMBRA_TRY(facts.issuer, Name::from_der(issuer.whole));
  UMBRA_TRY(const der::Element this_update, fields.next());
  UMBRA_TRY(facts.this_update, der::parse_time(this_update));
  if (const auto tag = fields.peek();
      tag == der::tag::utc_time || tag == der::tag::generalized_time) {
    UMBRA_TRY(const der::Element next, fields.next());
    UMBRA_TRY(facts.next_update, der::parse_time(next));
  }
  UMBRA_TRY(const auto list, fields.take_if(der::tag::sequence));
  for (der::Reader each(list ? list->content : ByteView{}); !each.empty();) {
    UMBRA_TRY(const RevokedEntry entry, parse_entry(each));
    facts.revoked.push_back(entry);
  }
  UMBRA_TRY(const auto explicit_extensions, fields.take_if(der::context(0)));
  UMBRA_CHECK(fields.finish("a TBSCertList"));
  if (!explicit_extensions) return facts;
  UMBRA_TRY(const der::Element extensions_field,
            der::parse_one(explicit_extensions->content, der::tag::sequence, "crlExtensions"));
  UMBRA_TRY(const auto extensions, parse_extensions(extensions_field.content));
  for (const Extension& extension : extensions) {
    if (extension.critical) facts.partial = true;
    if (extension.oid != oid_crl_number) continue;
    UMBRA_TRY(const der::Element number,
              der::parse_one(extension.value, der::tag::integer, "a cRLNumber"));
    UMBRA_TRY(const Serial value, Serial::from_big_endian(number.content));
    if (const auto counted = value.to_uint64()) facts.number = *counted;
  }
  return facts;
}

Result<void> verify_crl(ByteView input, const Certificate& issuer) {
  const std::uint8_t* at = input.data();
  const ossl::Crl crl(d2i_X509_CRL(nullptr, &at, static_cast<long>(input.size())));
  at = issuer.der().data();
  const ossl::X509 certificate(d2i_X509(nullptr, &at, static_cast<long>(issuer.der().size())));
  if (!crl || !certificate) return ossl::failed(Errc::malformed, "not a CRL");
  if (X509_CRL_verify(crl.get(), X509_get0_pubkey(certificate.get())) != 1)
    return ossl::failed(Errc::crypto, "the CRL's signature does not match");
  return {};
}

}  // namespace umbra::x509
