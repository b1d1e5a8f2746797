#include "x509/algorithm.h"

#include <array>

#include "x509/der.h"
#include "x509/digest_engine.h"

namespace umbra::x509 {
namespace {

struct DigestRow {
  Digest digest;
  std::string_view name;
  std::string_view ossl_name;
  std::string_view oid;
  std::string_view rsa_oid;    ///< xWithRSAEncryption
  std::string_view ecdsa_oid;  ///< ecdsa-with-x; empty where there is none
};
constexpr std::array<DigestRow, 5> digest_rows = {{
    {Digest::md5, "MD5", "MD5", "1.2.840.113549.2.5", "1.2.840.113549.1.1.4", ""},
    {Digest::sha1, "SHA1", "SHA1", "1.3.14.3.2.26", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"},
    {Digest::sha256, "SHA256", "SHA256", "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11",
     "1.2.840.10045.4.3.2"},
    {Digest::sha384, "SHA384", "SHA384", "2.16.840.1.101.3.4.2.2", "1.2.840.113549.1.1.12",
     "1.2.840.10045.4.3.3"},
    {Digest::sha512, "SHA512", "SHA512", "2.16.840.1.101.3.4.2.3", "1.2.840.113549.1.1.13",
     "1.2.840.10045.4.3.4"},
}};

const DigestRow& row(Digest digest) { return digest_rows[static_cast<std::size_t>(digest) - 1]; }

Result<std::string> algorithm_oid(ByteView algorithm_identifier_der) {
  UMBRA_TRY(const der::Element outer,
            der::parse_one(algorithm_identifier_der, der::tag::sequence, "an AlgorithmIdentifier"));
  der::Reader reader(outer.content);
  UMBRA_TRY(const der::Element oid, reader.expect(der::tag::oid, "an algorithm OID"));
  if (!reader.empty()) UMBRA_CHECK(reader.next());
  UMBRA_CHECK(reader.finish("an AlgorithmIdentifier"));
  std::string dotted = der::to_dotted(oid.content);
  // Empty would match the algorithms that have no identifier, such as ECDSA with MD5.
  if (dotted.empty()) return fail(Errc::malformed, "an algorithm OID that cannot be read");
  return dotted;
}

Bytes with_null(std::string_view oid) {
  return der::sequence({der::object_identifier(oid), der::tlv(der::tag::null, {})});
}

}  // namespace

// Fetched once: OpenSSL 3 looks a digest up by name on every use otherwise.
const EVP_MD* evp_md(Digest digest) {
  static const std::array<EVP_MD*, 5> fetched = [] {
    std::array<EVP_MD*, 5> all{};
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = EVP_MD_fetch(nullptr, std::string(digest_rows[i].ossl_name).c_str(), nullptr);
    }
    return all;
  }();
  return fetched[static_cast<std::size_t>(digest) - 1];
}

std::string_view to_string(Digest digest) { return row(digest).name; }

Bytes hash(Digest digest, ByteView data) {
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  EVP_Digest(data.data(), data.size(), out.data(), &size, evp_md(digest), nullptr);
  out.resize(size);
  return out;
}

Bytes to_der(const SignatureAlgorithm& algorithm) {
  if (algorithm.key == KeyAlgorithm::ec) {
    return der::sequence({der::object_identifier(row(algorithm.digest).ecdsa_oid)});
  }
  return with_null(row(algorithm.digest).rsa_oid);
}

Result<SignatureAlgorithm> parse_signature_algorithm(ByteView algorithm_identifier_der) {
  UMBRA_TRY(const std::string oid, algorithm_oid(algorithm_identifier_der));
  for (const DigestRow& candidate : digest_rows) {
    if (oid == candidate.rsa_oid) return SignatureAlgorithm{KeyAlgorithm::rsa, candidate.digest};
    if (oid == candidate.ecdsa_oid) return SignatureAlgorithm{KeyAlgorithm::ec, candidate.digest};
  }
  return fail(Errc::unsupported, "signature algorithm " + oid);
}

Bytes to_der(Digest digest) { return with_null(row(digest).oid); }

Result<Digest> parse_digest(ByteView algorithm_identifier_der) {
  UMBRA_TRY(const std::string oid, algorithm_oid(algorithm_identifier_der));
  for (const DigestRow& candidate : digest_rows) {
    if (oid == candidate.oid) return candidate.digest;
  }
  return fail(Errc::unsupported, "digest algorithm " + oid);
}

}  // namespace umbra::x509
