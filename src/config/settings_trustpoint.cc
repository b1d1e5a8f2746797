#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "config/settings.h"

namespace umbra::config::set {
namespace {

constexpr std::size_t interface_name_max = 15;

bool is_host_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '-' || c == '_';
}

/// http://HOST[:PORT][/PATH]. Nothing if it is one.
std::optional<std::string> why_no_http_url(std::string_view url) {
  constexpr std::string_view scheme = "http://";
  if (!url.starts_with(scheme)) return "SCEP runs over HTTP";
  url.remove_prefix(scheme.size());
  const std::string_view authority = url.substr(0, url.find('/'));
  std::string_view host = authority;
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return "the IPv6 address is not closed";
    const std::string_view inside = authority.substr(1, end - 1);
    if (inside.empty() ||
        inside.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) {
      return "there is no IPv6 address between the brackets";
    }
    const std::string_view behind = authority.substr(end + 1);
    if (!behind.empty() && behind.front() != ':') return "after the bracket only a port may follow";
    if (behind.empty()) return std::nullopt;
    port = behind.substr(1);
    if (port.empty()) return "the port is missing";
  } else {
    const auto colon = authority.find(':');
    host = authority.substr(0, colon);
    if (host.empty()) return "the host is missing";
    if (!std::all_of(host.begin(), host.end(), is_host_character)) {
      return fmt::format("\"{}\" is no host", host);
    }
    if (colon == std::string_view::npos) return std::nullopt;
    port = authority.substr(colon + 1);
    if (port.empty()) return "the port is missing";
  }
  const bool figures = port.size() <= 5 && std::all_of(port.begin(), port.end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
  if (!figures || std::stoi(std::string(port)) < 1 || std::stoi(std::string(port)) > 65535) {
    return fmt::format("\"{}\" is no port", port);
  }
  return std::nullopt;
}

/// Nothing unless three octal digits (or four, with 0 in front) that let the owner read, nobody
/// execute, and the rest of the world do nothing at all.
std::optional<unsigned> key_mode(std::string_view text) {
  constexpr unsigned owner_reads = 0400;
  constexpr unsigned never = 0117;
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc{} || end != text.data() + text.size() || text.size() < 3) return {};
  if ((mode & ~0777U) != 0 || (mode & owner_reads) == 0 || (mode & never) != 0) return {};
  return mode;
}

Storage storage(Setting& s, std::string_view argument) {
  Storage made;
  made.path = s.text(argument);
  while (made.path.size() > 1 && made.path.back() == '/' && argument == "DIRECTORY")
    made.path.pop_back();
  if (!made.path.starts_with('/') || made.path.back() == '/') {
    s.fault(argument, fmt::format("\"{}\" is no absolute path of one", made.path),
            argument == "FILE" ? "expected: a file, such as /etc/umbra/spoke.p12"
                               : "expected: a directory, such as /etc/umbra/spoke");
  }
  made.owner = s.text("USER");
  made.group = s.text("GROUP");
  made.rollover_ca = s.has("rollover-ca");
  if (!s.match().find("MODE")) return made;
  if (const auto mode = key_mode(s.text("MODE"))) {
    made.mode = *mode;
  } else {
    s.fault("MODE", fmt::format("{} is no mode for a private key", s.text("MODE")),
            "expected: 400, 440, 600, 640 or 660: the owner reads it, its group may, others never");
  }
  return made;
}

}  // namespace

void enrollment_url(Setting& s) {
  const std::string url = s.text("URL");
  if (const auto why = why_no_http_url(url)) {
    s.fault("URL", *why, "expected: http://HOST, http://HOST:PORT or http://HOST:PORT/PATH");
    return;
  }
  auto& made = s.trustpoint();
  if (made.enrollment_url.empty()) {
    made.enrollment_url = url;
  } else if (std::find(made.more_urls.begin(), made.more_urls.end(), url) == made.more_urls.end()) {
    made.more_urls.push_back(url);
  }
  if (s.match().find("IDENTIFIER")) made.ca_identifier = s.text("IDENTIFIER");
}

void authentication_url(Setting& s) {
  const std::string url = s.text("URL");
  if (const auto why = why_no_http_url(url)) {
    s.fault("URL", *why, "expected: http://HOST, http://HOST:PORT or http://HOST:PORT/PATH");
    return;
  }
  s.trustpoint().authentication_url = url;
}
void authentication_terminal(Setting& s) { s.trustpoint().authenticate_by_hand = true; }
void enrollment_profile(Setting&) {}  // resolved where all profiles are known

void enrollment_credential(Setting& s) { s.trustpoint().credential = s.text("NAME"); }

void eckeypair(Setting& s) {
  s.trustpoint().key_label = s.text("LABEL");
  s.trustpoint().ec_key = true;
}

void enrollment_terminal(Setting& s) {
  s.trustpoint().terminal = true;
  s.trustpoint().terminal_pem = s.has("pem");
}
void enrollment_selfsigned(Setting& s) { s.trustpoint().selfsigned = true; }

void ocsp_url(Setting& s) {
  const std::string url = s.text("URL");
  if (const auto why = why_no_http_url(url)) {
    s.fault("URL", *why == "SCEP runs over HTTP" ? "OCSP is asked over HTTP" : *why,
            "expected: http://HOST, http://HOST:PORT or http://HOST:PORT/PATH");
    return;
  }
  s.trustpoint().ocsp_url = url;
}

void crl_cache(Setting& s) {
  auto& made = s.trustpoint();
  const Seconds span = std::chrono::minutes{s.number("MINUTES")};
  made.crl_cache_max.reset();
  made.crl_cache_extend = Seconds{0};
  if (s.has("none")) made.crl_cache_max = Seconds{0};
  if (s.has("delete-after")) made.crl_cache_max = span;
  if (s.has("extend")) made.crl_cache_extend = span;
}

void enrollment_mode(Setting& s) { s.trustpoint().mode_ra = true; }

void source_interface(Setting& s) {
  std::string name = s.text("NAME");
  std::erase(name, ' ');  // `Loopback 0` is Loopback0
  s.trustpoint().from.source = name;
}

void vrf(Setting& s) {
  const std::string name = s.text("NAME");
  if (name.size() > interface_name_max) {
    s.fault("NAME", fmt::format("an interface's name of {} letters", name.size()),
            "expected: the name of a VRF device of this host, of at most 15 letters");
    return;
  }
  s.trustpoint().from.vrf = name;
}

void usage(Setting& s) {
  auto& purposes = s.trustpoint().usage;
  purposes.clear();
  bool any = false;  // IKE wants a certificate without restrictions (RFC 4945 5.1.3.12)
  for (std::size_t i = 1; i < s.match().captures.size(); ++i) {
    const std::string& word = s.match().captures[i].text;
    any = any || word == "ike";
    purposes.push_back(word == "ssl-client" ? x509::KeyPurpose::client_auth
                                            : x509::KeyPurpose::server_auth);
  }
  if (any) purposes.clear();
}

void retry_count(Setting& s) { s.trustpoint().retry_count = s.number("COUNT"); }
void retry_period(Setting& s) {
  s.trustpoint().retry_period = std::chrono::minutes{s.number("MINUTES")};
}
void enrollment_spread(Setting& s) { s.trustpoint().spread = Seconds{s.number("SECONDS")}; }
void serial_number(Setting& s) { s.trustpoint().serial_number = !s.has("none"); }

void fqdn(Setting& s) {
  s.trustpoint().fqdn_none = s.has("none");
  if (!s.has("none")) s.trustpoint().fqdn = s.text("NAME");
}

void ip_address(Setting& s) {
  if (s.match().find("A.B.C.D")) s.trustpoint().ip_address = s.text("A.B.C.D");
  if (!s.match().find("INTERFACE")) return;
  s.trustpoint().ip_interface = s.text("INTERFACE");
  std::erase(s.trustpoint().ip_interface, ' ');  // `Loopback 0` is Loopback0
}

void password(Setting& s) { s.trustpoint().password = s.secret(); }

void fingerprint(Setting& s) {
  std::string digits = s.text("HEX");
  std::erase_if(digits, [](char c) { return c == ' ' || c == '\t'; });
  for (char& c : digits) {
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 32);
  }
  if (digits.size() != 32 && digits.size() != 40 && digits.size() != 64) {
    s.fault("HEX", fmt::format("a fingerprint of {} digits", digits.size()),
            "expected: 32 (MD5), 40 (SHA-1) or 64 (SHA-256) hexadecimal digits");
    return;
  }
  s.trustpoint().fingerprint = digits;
}

void subject_name(Setting& s) {
  s.trustpoint().subject_name = s.text("DN");
  if (const auto why = why_no_name(s.trustpoint().subject_name)) {
    s.fault("DN", fmt::format("Invalid subject name: {}", *why),
            "expected: TYPE=value pairs between commas, such as CN=spoke-1.cisco.com,OU=CVO");
  }
}

void alt_names(Setting& s) {
  constexpr std::size_t names_max = 20;
  auto& names = s.trustpoint().alt_names;
  names.clear();
  for (const Capture& capture : s.match().captures) {
    if (capture.word->kind == WordKind::keyword) continue;
    auto name = x509::parse_alt_name(capture.text);
    if (!name) {
      s.fault(
          capture, name.error().detail,
          "expected: a DNS name or an address, or dns:NAME, ip:ADDRESS, email:ADDRESS, uri:URL");
      return;
    }
    names.push_back(*std::move(name));
  }
  if (names.size() > names_max) s.fault("NAME", "more than 20 names", "expected: up to 20");
}

void revocation_check(Setting& s) {
  s.trustpoint().revocation_check.clear();
  for (std::size_t i = 1; i < s.match().captures.size(); ++i) {
    s.trustpoint().revocation_check.push_back(s.match().captures[i].text);
  }
}

void rsakeypair(Setting& s) {
  s.trustpoint().key_label = s.text("LABEL");
  s.trustpoint().modulus = s.number("SIZE", s.trustpoint().modulus);
}

void auto_enroll(Setting& s) {
  s.trustpoint().auto_enroll = s.number("PERCENT", 100);
  s.trustpoint().regenerate = s.trustpoint().regenerate || s.has("regenerate");
}

void regenerate(Setting& s) { s.trustpoint().regenerate = true; }

void storage_pem(Setting& s) { s.trustpoint().storage_pem = storage(s, "DIRECTORY"); }
void storage_pkcs12(Setting& s) {
  s.trustpoint().storage_pkcs12 = storage(s, "FILE");
  s.trustpoint().pkcs12_password = s.secret().value_or("");
}

void on_change_exec(Setting& s) { s.trustpoint().on_change_exec = s.text("COMMAND"); }
void on_change_limit(Setting& s) { s.trustpoint().on_change_limit = Seconds{s.number("SECONDS")}; }

}  // namespace umbra::config::set
