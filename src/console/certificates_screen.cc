#include <algorithm>

#include <fmt/format.h>

#include "console/screens.h"
#include "x509/alt_name.h"

namespace umbra::console {
namespace {

enum class Kind { identity_rollover, ca_rollover, identity, self_signed, ca };

/// What IOS puts behind the heading of a certificate server's own certificate.
std::string_view role_of(config::Role role) {
  switch (role) {
    case config::Role::device:
      return "";
    case config::Role::subordinate_ca:
      return "subordinate CA certificate";
    case config::Role::ra:
      return "RA mode CS certificate";
  }
  return "";
}

/// One certificate and everyone who holds it.
struct Block {
  Kind kind;
  const x509::Certificate* certificate;
  std::vector<std::string> trustpoints;
  std::optional<Time> renew_at;
  std::string key_label;
  config::Role role = config::Role::device;
};

bool is_ca(Kind kind) { return kind == Kind::ca || kind == Kind::ca_rollover; }

std::string heading(Kind kind, config::Role role) {
  switch (kind) {
    case Kind::identity_rollover:
      if (role != config::Role::device)
        return fmt::format("Certificate ({}, Rollover)", role_of(role));
      return "Certificate (Rollover)";
    case Kind::ca_rollover:
      return "CA Certificate (Rollover)";
    case Kind::identity:
      if (role != config::Role::device) return fmt::format("Certificate ({})", role_of(role));
      return "Certificate";
    case Kind::self_signed:
      return "Router Self-Signed Certificate";
    case Kind::ca:
      return "CA Certificate";
  }
  return "Certificate";
}

std::string_view usage(Kind kind, const x509::Certificate& certificate) {
  constexpr unsigned signs = 0x80;
  constexpr unsigned enciphers = 0x20;
  if (kind == Kind::self_signed) return "General Purpose";
  if (certificate.is_ca()) return "Signature";
  const auto usage = certificate.key_usage();
  if (!usage) return "General Purpose";
  const bool both = (usage->bits & signs) && (usage->bits & enciphers);
  return both ? "General Purpose" : (usage->bits & enciphers) ? "Encryption" : "Signature";
}

/// The lines under `Subject:` that IOS draws out of the name.
void add_drawn_out(std::string& out, const x509::Name& subject,
                   const std::vector<x509::AltName>& others, std::string_view fqdn = "") {
  auto name = subject.first(x509::oid_unstructured_name);
  if (!name && !fqdn.empty()) name = std::string(fqdn);
  if (!name) name = subject.first(x509::oid_common_name);
  if (name) out += fmt::format("    Name: {}\n", printable(*name));
  auto address = subject.first(x509::oid_unstructured_address);
  for (const x509::AltName& one : others) {
    if (!address && one.kind == x509::AltNameKind::ip) address = one.text;
  }
  if (address) out += fmt::format("    IP Address: {}\n", printable(*address));
  if (const auto serial = subject.first(x509::oid_serial_number)) {
    out += fmt::format("    Serial Number: {}\n", printable(*serial));
  }
}

void add_usage_words(std::string& out, std::uint8_t bits) {
  static constexpr std::string_view words[] = {
      "Digital Signature", "Non Repudiation", "Key Encipherment", "Data Encipherment",
      "Key Agreement",     "Key Cert Sign",   "CRL Signature"};
  for (std::size_t i = 0; i < std::size(words); ++i) {
    if (bits & (0x80U >> i)) out += fmt::format("      {}\n", words[i]);
  }
}

/// DNS names have lines of their own, an empty one where there is none.
void add_alt_names(std::string& out, const std::vector<x509::AltName>& names) {
  if (names.empty()) return;
  std::string dns;
  std::string addresses;
  std::string rest;
  for (const x509::AltName& one : names) {
    const std::string text = printable(one.text);
    if (one.kind == x509::AltNameKind::dns)
      dns += fmt::format("        {}\n", text);
    else
      (one.kind == x509::AltNameKind::ip ? addresses : rest) += " " + text;
  }
  out += fmt::format("    X509v3 Subject Alternative Name:\n{}", dns.empty() ? "\n" : dns);
  out += fmt::format("        IP Address :{}\n        OtherNames :{}\n", addresses, rest);
}

void add_verbose(std::string& out, const x509::Certificate& c,
                 const std::vector<x509::AltName>& others) {
  const bool rsa = c.public_key().algorithm() == x509::KeyAlgorithm::rsa;
  out += "  Subject Key Info:\n";
  out += fmt::format("    Public Key Algorithm: {}\n", rsa ? "rsaEncryption" : "ecPublicKey");
  out += fmt::format("    {} Public Key: ({} bit)\n", rsa ? "RSA" : "EC", c.public_key().bits());
  if (const auto& algorithm = c.signature_algorithm()) {
    out += fmt::format("  Signature Algorithm: {} with {} Encryption\n",
                       x509::to_string(algorithm->digest),
                       algorithm->key == x509::KeyAlgorithm::rsa ? "RSA" : "ECDSA");
  }
  out += fmt::format("  Fingerprint MD5: {}\n", fingerprint(c, x509::Digest::md5));
  out += fmt::format("  Fingerprint SHA1: {}\n", fingerprint(c, x509::Digest::sha1));
  out += "  X509v3 extensions:\n";
  if (const auto usage = c.key_usage()) {
    out += fmt::format("    X509v3 Key Usage: {:02X}000000\n", usage->bits);
    add_usage_words(out, usage->bits);
  }
  if (const auto id = c.subject_key_id()) {
    out += fmt::format("    X509v3 Subject Key ID: {}\n", to_hex_groups(*id));
  }
  if (c.is_ca()) out += "    X509v3 Basic Constraints:\n        CA: TRUE\n";
  if (const auto id = c.authority_key_id()) {
    out += fmt::format("    X509v3 Authority Key ID: {}\n", to_hex_groups(*id));
  }
  add_alt_names(out, others);
  out += "    Authority Info Access:\n";
}

/// nvram:RootCA#1CA.cer: the issuer's name, cut to twelve characters, and the serial.
std::string storage(Kind kind, const x509::Certificate& c) {
  std::string issuer = c.issuer().first(x509::oid_common_name).value_or("");
  issuer = printable(issuer.substr(0, 12));
  return fmt::format("nvram:{}#{}{}.cer", issuer, c.serial().to_hex(),
                     c.is_ca() && kind != Kind::self_signed ? "CA" : "");
}

void add_block(std::string& out, const Block& block, const TimeZone& zone,
               const CertificatesOptions& options) {
  const x509::Certificate& c = *block.certificate;
  if (!out.empty()) out += '\n';
  out += fmt::format("{}\n  Status: Available\n", heading(block.kind, block.role));
  if (options.verbose) out += "  Version: 3\n";
  out += fmt::format("  Certificate Serial Number (hex): {}\n", c.serial().to_hex_octets());
  out += fmt::format("  Certificate Usage: {}\n  Issuer: \n", usage(block.kind, c));
  for (const std::string& line : c.issuer().screen_lines()) out += fmt::format("    {}\n", line);
  const auto others = x509::alt_names_of(c);
  // IOS names the holder everywhere but on a CA certificate that is active, where a blank stands.
  out += block.kind == Kind::ca ? "  Subject: \n" : "  Subject:\n";
  if (block.kind != Kind::ca) add_drawn_out(out, c.subject(), others);
  for (const std::string& line : c.subject().screen_lines()) out += fmt::format("    {}\n", line);
  if (const auto urls = c.crl_urls(); !urls.empty()) {
    out += "  CRL Distribution Points: \n";
    for (const std::string& url : urls) out += fmt::format("    {}\n", printable(url));
  }
  out += "  Validity Date: \n";
  out += fmt::format("    start date: {}\n", to_ios_time(c.not_before(), zone));
  out += fmt::format("    end   date: {}\n", to_ios_time(c.not_after(), zone));
  if (block.renew_at) {
    out += fmt::format("    renew date: {}\n", to_ios_time(*block.renew_at, zone));
  }
  if (options.verbose) {
    add_verbose(out, c, others);
    if (const auto since = options.installed ? options.installed(c) : std::nullopt)
      out += fmt::format("  Cert install time: {} \n", to_ios_time(*since, zone));
  }
  out += "  Associated Trustpoints: ";
  for (const std::string& name : block.trustpoints) out += name + " ";
  out += '\n';
  if (options.saved && options.saved(c))
    out += fmt::format("  Storage: {}\n", storage(block.kind, c));
  if (options.verbose && !is_ca(block.kind) && !block.key_label.empty()) {
    out += fmt::format("  Key Label: {}\n", block.key_label);
  }
}

/// IOS's block of a request that waits: last, and with an indentation of its own.
void add_pending(std::string& out, const client::Status& trustpoint) {
  const x509::Request& request = *trustpoint.pending;
  if (!out.empty()) out += "\n\n";
  out += "Certificate\n  Subject:\n";
  add_drawn_out(out, request.subject(), {}, trustpoint.fqdn);
  out += "   Status: Pending\n   Key Usage: General Purpose\n";
  out += fmt::format("   Certificate Request Fingerprint MD5: {}\n",
                     to_hex_groups(request.fingerprint(x509::Digest::md5)));
  out += fmt::format("   Certificate Request Fingerprint SHA1: {}\n",
                     to_hex_groups(request.fingerprint(x509::Digest::sha1)));
  out += fmt::format("   Associated Trustpoint: {} \n", trustpoint.name);
}

class Blocks {
 public:
  void add(Kind kind, const std::optional<x509::Certificate>& certificate,
           const std::string& trustpoint, std::optional<Time> renew_at = std::nullopt,
           const std::string& key_label = "", config::Role role = config::Role::device) {
    if (!certificate) return;
    for (Block& block : blocks_) {
      if (block.kind == kind && *block.certificate == *certificate) {
        block.trustpoints.push_back(trustpoint);
        return;
      }
    }
    blocks_.push_back({kind, &*certificate, {trustpoint}, renew_at, key_label, role});
  }
  [[nodiscard]] const std::vector<Block>& all() const { return blocks_; }

 private:
  std::vector<Block> blocks_;
};

}  // namespace

std::string certificates_screen(const std::vector<server::Status>& all_servers,
                                const std::vector<client::Status>& all_trustpoints,
                                const TimeZone& zone, const CertificatesOptions& options) {
  const auto [servers, trustpoints] = by_trustpoint(all_servers, all_trustpoints);
  const auto wanted = [&](const std::string& name) {
    return options.trustpoint.empty() || options.trustpoint == name;
  };
  Blocks blocks;
  for (const server::Status& s : servers) {
    if (!wanted(s.name)) continue;
    blocks.add(Kind::ca_rollover, s.rollover, s.name);
    blocks.add(Kind::ca, s.ca, s.name);
  }
  for (const client::Status& t : trustpoints) {
    if (!wanted(t.name)) continue;
    blocks.add(Kind::identity_rollover, t.rollover_identity, t.name, std::nullopt, t.key_label,
               t.role);
    blocks.add(Kind::ca_rollover, t.rollover_ca, t.name);
    // Of one that it signed itself IOS shows one block, not two.
    const bool own = is_self_signed(t);
    blocks.add(own ? Kind::self_signed : Kind::identity, t.identity, t.name, t.renew_at,
               t.key_label, t.role);
    if (!own) blocks.add(Kind::ca, t.ca, t.name);
  }
  std::string out;
  for (const Block& block : blocks.all()) add_block(out, block, zone, options);
  for (const client::Status& t : trustpoints) {
    if (wanted(t.name) && t.pending) add_pending(out, t);
  }
  return out;
}

}  // namespace umbra::console
