#include "scep/ca_messages.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "scep/cms.h"
#include "x509/der.h"

namespace umbra::scep {
namespace {

namespace der = x509::der;
namespace tag = x509::der::tag;

struct Keyword {
  std::string_view word;
  bool Capabilities::*member;
};
// IOS's four first, in its order.
constexpr std::array<Keyword, 9> keywords = {
    {{"GetNextCACert", &Capabilities::get_next_ca_cert},
     {"Renewal", &Capabilities::renewal},
     {"SHA-1", &Capabilities::sha1},
     {"SHA-256", &Capabilities::sha256},
     {"SHA-384", &Capabilities::sha384},
     {"SHA-512", &Capabilities::sha512},
     {"AES", &Capabilities::aes},
     {"DES3", &Capabilities::des3},
     {"POSTPKIOperation", &Capabilities::post_pki_operation}}};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

constexpr std::size_t query_octets_max = 90U * 1024;

Result<std::string> percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto octet = text.size() - i > 2 ? from_hex(text.substr(i + 1, 2))
                                           : Result<Bytes>(fail(Errc::malformed, ""));
    if (!octet || octet->size() != 1)
      return fail(Errc::malformed, "a percent sign without two hexadecimal digits");
    out += static_cast<char>(octet->front());
    i += 2;
  }
  return out;
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_' ||
        c == '~') {
      out += c;
    } else {
      out += '%' + to_hex(as_bytes(std::string_view(&c, 1)));
    }
  }
  return out;
}

std::string_view operation_word(Operation operation) {
  switch (operation) {
    case Operation::get_ca_caps:
      return "GetCACaps";
    case Operation::get_ca_cert:
      return "GetCACert";
    case Operation::get_next_ca_cert:
      return "GetNextCACert";
    case Operation::pki_operation:
      return "PKIOperation";
  }
  return "";
}

}  // namespace

std::string to_text(const Capabilities& capabilities) {
  std::string out;
  for (const Keyword& keyword : keywords) {
    if (capabilities.*keyword.member) out.append(keyword.word).push_back('\n');
  }
  if (capabilities.scep_standard) out += "SCEPStandard\n";
  return out;
}

Capabilities parse_capabilities(std::string_view text) {
  Capabilities capabilities;
  text = text.substr(0, 65536);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    std::string word = lower(text.substr(0, end));
    word.erase(0, word.find_first_not_of(" \t"));
    word.erase(word.find_last_not_of(" \t") + 1);
    for (const Keyword& keyword : keywords) {
      if (word == lower(keyword.word)) capabilities.*keyword.member = true;
    }
    if (word == "scepstandard") {
      capabilities.scep_standard = true;
      capabilities.aes = capabilities.post_pki_operation = capabilities.sha256 = true;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return capabilities;
}

Cipher best_cipher(const Capabilities& capabilities) {
  return capabilities.aes ? Cipher::aes128_cbc : Cipher::des_ede3_cbc;
}

x509::Digest best_digest(const Capabilities& capabilities, x509::Digest wanted) {
  const auto has = [&](x509::Digest digest) {
    switch (digest) {
      case x509::Digest::md5:
        return true;
      case x509::Digest::sha1:
        return capabilities.sha1;
      case x509::Digest::sha256:
        return capabilities.sha256;
      case x509::Digest::sha384:
        return capabilities.sha384;
      case x509::Digest::sha512:
        return capabilities.sha512;
    }
    return false;
  };
  if (has(wanted)) return wanted;
  for (const auto digest : {x509::Digest::sha256, x509::Digest::sha512, x509::Digest::sha1}) {
    if (has(digest)) return digest;
  }
  // A CA that names none is one of old: SHA-1 is the least we send of ourselves (RFC 8894 3.5.2
  // leaves MD5 out).
  return x509::Digest::sha1;
}

Bytes certs_only(const std::vector<x509::Certificate>& certificates,
                 const std::vector<Bytes>& crls) {
  return cms::degenerate(certificates, crls);
}

Result<std::vector<x509::Certificate>> parse_ca_cert(ByteView body) {
  if (auto certificate = x509::Certificate::from_der(body))
    return std::vector{*std::move(certificate)};
  UMBRA_TRY(const cms::SignedData data, cms::parse_signed_data(body));
  if (data.certificates.empty()) return fail(Errc::malformed, "GetCACert brought no certificate");
  return data.certificates;
}

Result<Bytes> next_ca_cert(const std::vector<x509::Certificate>& next, const Recipient& current,
                           Time now) {
  cms::SignTemplate what{.content = cms::degenerate(next, {}),
                         .form = cms::Content::octets,
                         .attributes = {cms::attribute(cms::oid_signing_time, der::time(now))},
                         .bag = next,
                         .digest = x509::Digest::sha256};
  what.bag.push_back(current.certificate);
  return cms::sign(what, current.certificate, current.key);
}

namespace {

constexpr der::Oid oid_scep_attributes("2.16.840.1.113733.1.9");

}  // namespace

Result<std::vector<x509::Certificate>> parse_next_ca_cert(
    ByteView body, const std::vector<x509::Certificate>& signers, const NextCaRules& rules) {
  UMBRA_TRY(const cms::SignedData data, cms::parse_signed_data(body));
  Result<void> verified =
      fail(Errc::crypto, "the next CA certificate is not signed by the active CA");
  for (const auto& info : data.signers) {
    // A CertRep is signed by the CA too, and a PENDING one has no content: with another bag it
    // would pass for a flat answer. What carries SCEP's own attributes is no GetNextCACert.
    const bool scep_message =
        std::any_of(info.attributes.begin(), info.attributes.end(), [](const auto& a) {
          const ByteView oid = ByteView(a.oid).subspan(2);  // none of them is long
          const ByteView arc = oid_scep_attributes.content();
          return oid.size() > arc.size() && equal(oid.first(arc.size()), arc);
        });
    if (scep_message) return fail(Errc::malformed, "a CertRep in place of the next CA certificate");
    if ((info.digest == x509::Digest::md5 && !rules.legacy.md5) ||
        (info.digest == x509::Digest::sha1 && !rules.legacy.sha1))
      return fail(Errc::unsupported, "a next CA certificate signed with MD5 or SHA-1");
    for (const auto& accepted : signers) {
      if (!verified && cms::names(info, accepted))
        verified = cms::verify(data, info, accepted.public_key());
    }
  }
  if (!verified) return tl::unexpected(verified.error());
  // Without signed attributes nothing ties the outer bag to the signature, and an unsigned content
  // ties nothing at all: what is inside the signed content counts; the outer bag only where there
  // is no content (the flat form).
  std::vector<x509::Certificate> found;
  if (data.content && !data.content->empty()) {
    UMBRA_TRY(const cms::SignedData inner, cms::parse_signed_data(*data.content));
    found = inner.certificates;
  } else if (rules.flat) {
    found = data.certificates;
  } else {
    return fail(Errc::unsupported,
                "the next CA certificate lies beside the signature, which covers nothing; `allow "
                "legacy flat-next-ca` takes it all the same");
  }
  std::erase_if(found, [&](const auto& certificate) {
    return std::find(signers.begin(), signers.end(), certificate) != signers.end();
  });
  if (found.empty()) return fail(Errc::malformed, "GetNextCACert brought no next certificate");
  return found;
}

Result<HttpOperation> parse_query(std::string_view query) {
  if (query.size() > query_octets_max) return fail(Errc::malformed, "a query of more than 90 KiB");
  HttpOperation out;
  bool known = false;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view name = pair.substr(0, equals);
    UMBRA_TRY(std::string value, percent_decoded(pair.substr(std::min(equals + 1, pair.size()))));
    if (name == "operation") {
      known = false;
      for (const auto operation : {Operation::get_ca_caps, Operation::get_ca_cert,
                                   Operation::get_next_ca_cert, Operation::pki_operation}) {
        if (value == operation_word(operation)) {
          out.operation = operation;
          known = true;
        }
      }
      if (!known)
        return fail(Errc::unsupported,
                    "operation is not one of GetCACaps, GetCACert, GetNextCACert, PKIOperation");
    } else if (name == "message") {
      out.message = std::move(value);
    } else if (name == "ra") {
      out.ra = std::move(value);
    }
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  if (!known) return fail(Errc::malformed, "operation= is missing");
  return out;
}

Result<Bytes> parse_get_message(std::string_view message) {
  // A `+` that some proxy or client library turned into a blank; line ends stay blanks to the
  // decoder.
  std::string restored(message);
  std::replace(restored.begin(), restored.end(), ' ', '+');
  return from_base64(restored);
}

std::string request_url(std::string_view enrollment_url, bool exact) {
  std::string url(enrollment_url);
  // With a query, it is what it is.
  if (exact || url.find('?') != std::string::npos) return url;
  while (url.ends_with('/')) url.pop_back();
  const std::size_t host = url.find("://");
  const std::size_t path = host == std::string::npos ? host : url.find('/', host + 3);
  if (path == std::string::npos) return url + "/cgi-bin/pkiclient.exe";
  if (url.ends_with(".exe")) return url;
  return url + "/pkiclient.exe";
}

std::string operation_url(std::string_view url, Operation operation, std::string_view message) {
  std::string out(url);
  out += out.find('?') == std::string::npos ? "?operation=" : "&operation=";
  out += operation_word(operation);
  if (!message.empty()) out += "&message=" + percent_encoded(message);
  return out;
}

std::string pki_operation_get_url(std::string_view url, ByteView message) {
  return operation_url(url, Operation::pki_operation, to_base64(message, 64));
}

}  // namespace umbra::scep
