#include "scep/glance.h"

#include "x509/der.h"

namespace umbra::scep {
namespace {

namespace der = x509::der;
namespace tag = x509::der::tag;

/// The one element of `certificates [0]`.
Result<ByteView> only_certificate(ByteView message) {
  UMBRA_TRY(const auto content, der::parse_one(message, tag::sequence, "ContentInfo"));
  der::Reader info(content.content);
  UMBRA_CHECK(info.expect(tag::oid, "contentType"));
  UMBRA_TRY(const auto wrapped, info.expect(der::context(0), "content"));
  UMBRA_TRY(const auto data, der::parse_one(wrapped.content, tag::sequence, "SignedData"));
  der::Reader fields(data.content);
  UMBRA_CHECK(fields.expect(tag::integer, "version"));
  UMBRA_CHECK(fields.expect(tag::set, "digestAlgorithms"));
  UMBRA_CHECK(fields.expect(tag::sequence, "encapContentInfo"));
  UMBRA_TRY(const auto certificates, fields.expect(der::context(0), "certificates"));
  UMBRA_TRY(const auto one, der::parse_one(certificates.content, tag::sequence, "certificate"));
  return one.whole;
}

Result<Glance> read_glance(ByteView message) {
  UMBRA_TRY(const ByteView certificate, only_certificate(message));
  UMBRA_TRY(const auto whole, der::parse_one(certificate, tag::sequence, "certificate"));
  der::Reader signed_parts(whole.content);
  UMBRA_TRY(const auto tbs, signed_parts.expect(tag::sequence, "tbsCertificate"));
  der::Reader fields(tbs.content);
  UMBRA_CHECK(fields.take_if(der::context(0)));
  UMBRA_CHECK(fields.expect(tag::integer, "serialNumber"));
  UMBRA_CHECK(fields.expect(tag::sequence, "signature"));
  UMBRA_TRY(const auto issuer, fields.expect(tag::sequence, "issuer"));
  UMBRA_TRY(const auto validity, fields.expect(tag::sequence, "validity"));
  der::Reader times(validity.content);
  UMBRA_CHECK(times.next());
  UMBRA_TRY(const auto end, times.next());
  UMBRA_TRY(const Time not_after, der::parse_time(end));
  return Glance{to_bytes(certificate), to_bytes(issuer.whole), not_after};
}

}  // namespace

std::optional<Glance> glance(ByteView message) {
  const auto whole = der::from_ber(message);
  if (!whole) return std::nullopt;
  auto seen = read_glance(*whole);
  if (!seen) return std::nullopt;
  return *std::move(seen);
}

}  // namespace umbra::scep
