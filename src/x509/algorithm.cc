#include "x509/algorithm.h"

#include <array>
#include <optional>

#include "base/assert.h"
#include "x509/der.h"
#include "x509/digest_engine.h"
#include "x509/ossl.h"

namespace umbra::x509 {
namespace {

struct DigestRow {
  Digest digest;
  std::string_view name;
  const char* ossl_name;
  der::Oid oid;
  der::Oid rsa_oid;                   ///< xWithRSAEncryption
  std::optional<der::Oid> ecdsa_oid;  ///< ecdsa-with-x
};
constexpr std::array<DigestRow, 5> digest_rows = {{
    {Digest::md5, "MD5", "MD5", der::Oid("1.2.840.113549.2.5"), der::Oid("1.2.840.113549.1.1.4"),
     std::nullopt},
    {Digest::sha1, "SHA1", "SHA1", der::Oid("1.3.14.3.2.26"), der::Oid("1.2.840.113549.1.1.5"),
     der::Oid("1.2.840.10045.4.1")},
    {Digest::sha256, "SHA256", "SHA256", der::Oid("2.16.840.1.101.3.4.2.1"),
     der::Oid("1.2.840.113549.1.1.11"), der::Oid("1.2.840.10045.4.3.2")},
    {Digest::sha384, "SHA384", "SHA384", der::Oid("2.16.840.1.101.3.4.2.2"),
     der::Oid("1.2.840.113549.1.1.12"), der::Oid("1.2.840.10045.4.3.3")},
    {Digest::sha512, "SHA512", "SHA512", der::Oid("2.16.840.1.101.3.4.2.3"),
     der::Oid("1.2.840.113549.1.1.13"), der::Oid("1.2.840.10045.4.3.4")},
}};

const DigestRow& row(Digest digest) { return digest_rows[static_cast<std::size_t>(digest) - 1]; }

/// The contents of its OID, which lie in what was given.
Result<ByteView> algorithm_oid(ByteView algorithm_identifier_der) {
  UMBRA_TRY(const der::Element outer,
            der::parse_one(algorithm_identifier_der, der::tag::sequence, "an AlgorithmIdentifier"));
  der::Reader reader(outer.content);
  UMBRA_TRY(const der::Element oid, reader.expect(der::tag::oid, "an algorithm OID"));
  if (!reader.empty()) UMBRA_CHECK(reader.next());
  UMBRA_CHECK(reader.finish("an AlgorithmIdentifier"));
  return oid.content;
}

/// As a refusal names it. Errors: malformed if it cannot be read.
Error unknown(const char* what, ByteView oid) {
  const std::string dotted = der::to_dotted(oid);
  if (dotted.empty()) return {Errc::malformed, "an algorithm OID that cannot be read"};
  return {Errc::unsupported, what + dotted};
}

Bytes with_null(const der::Oid& oid) {
  constexpr std::array<std::uint8_t, 2> null = {der::tag::null, 0};
  return der::sequence({oid, null});
}

}  // namespace

// Fetched once: OpenSSL 3 looks a digest up by name on every use otherwise.
const EVP_MD* evp_md(Digest digest) {
  static const std::array<EVP_MD*, 5> fetched = [] {
    std::array<EVP_MD*, 5> all{};
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = EVP_MD_fetch(nullptr, digest_rows[i].ossl_name, nullptr);
    }
    return all;
  }();
  return fetched[static_cast<std::size_t>(digest) - 1];
}

std::string_view to_string(Digest digest) { return row(digest).name; }

Bytes hash(Digest digest, ByteView data) {
  // Kept by each thread: what is made anew every time costs more than to hash a key.
  thread_local const ossl::Digest context(EVP_MD_CTX_new());
  const EVP_MD* const method = evp_md(digest);
  Bytes out(static_cast<std::size_t>(EVP_MD_get_size(method)));
  const bool hashed = context && EVP_DigestInit_ex2(context.get(), method, nullptr) == 1 &&
                      EVP_DigestUpdate(context.get(), data.data(), data.size()) == 1 &&
                      EVP_DigestFinal_ex(context.get(), out.data(), nullptr) == 1;
  UMBRA_ENSURE(hashed, "OpenSSL hashes");
  return out;
}

Bytes to_der(const SignatureAlgorithm& algorithm) {
  if (algorithm.key == KeyAlgorithm::ec) {
    const auto& oid = row(algorithm.digest).ecdsa_oid;
    return der::sequence({oid ? oid->whole() : ByteView{}});
  }
  return with_null(row(algorithm.digest).rsa_oid);
}

Result<SignatureAlgorithm> parse_signature_algorithm(ByteView algorithm_identifier_der) {
  UMBRA_TRY(const ByteView oid, algorithm_oid(algorithm_identifier_der));
  for (const DigestRow& candidate : digest_rows) {
    if (candidate.rsa_oid.is(oid)) return SignatureAlgorithm{KeyAlgorithm::rsa, candidate.digest};
    if (candidate.ecdsa_oid && candidate.ecdsa_oid->is(oid))
      return SignatureAlgorithm{KeyAlgorithm::ec, candidate.digest};
  }
  return tl::unexpected(unknown("signature algorithm ", oid));
}

Bytes to_der(Digest digest) { return with_null(row(digest).oid); }

Result<Digest> parse_digest(ByteView algorithm_identifier_der) {
  UMBRA_TRY(const ByteView oid, algorithm_oid(algorithm_identifier_der));
  for (const DigestRow& candidate : digest_rows) {
    if (candidate.oid.is(oid)) return candidate.digest;
  }
  return tl::unexpected(unknown("digest algorithm ", oid));
}

}  // namespace umbra::x509
