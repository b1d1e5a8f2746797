#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "config/settings.h"

namespace umbra::config::set {

void issuer_name(Setting& s) {
  s.server().issuer_name = s.text("DN");
  if (const auto why = why_no_name(s.server().issuer_name)) {
    s.fault("DN", fmt::format("DN is not a valid subject name: {}", *why),
            "expected: TYPE=value pairs between commas, such as CN=RootCA,OU=TAC,O=Cisco");
  }
}
void grant_auto(Setting& s) { s.server().grant = Grant::automatic; }
void grant_none(Setting& s) { s.server().grant = Grant::none; }

void grant_trustpoints(Setting& s) {
  constexpr std::size_t trustpoints_max = 5;
  s.server().grant = Grant::trustpoints;
  s.server().grant_trustpoints.clear();
  for (const Capture& capture : s.match().captures) {
    if (capture.word->kind == WordKind::keyword) continue;
    auto& names = s.server().grant_trustpoints;
    if (std::find(names.begin(), names.end(), capture.text) == names.end())
      names.push_back(capture.text);
  }
  if (s.server().grant_trustpoints.size() > trustpoints_max)
    s.fault("NAME", "more than 5 trustpoints", "expected: up to 5 names");
}

void grant_ra_auto(Setting& s) { s.server().grant_ra_auto = true; }
void grant_rollover(Setting& s) {
  (s.has("ca-cert") ? s.server().grant_rollover_ca_cert : s.server().grant_rollover_ra_cert) = true;
}

void mode(Setting& s) {
  s.server().mode = s.has("sub-cs")        ? ServerMode::subordinate
                    : s.has("transparent") ? ServerMode::ra_transparent
                                           : ServerMode::ra;
}

void hash(Setting& s) {
  const HashName name = s.has("md5")      ? HashName::md5
                        : s.has("sha1")   ? HashName::sha1
                        : s.has("sha384") ? HashName::sha384
                        : s.has("sha512") ? HashName::sha512
                                          : HashName::sha256;
  (s.in_server() ? s.server().hash : s.trustpoint().hash) = name;
}

namespace {

/// A lifetime of nothing would make certificates that are never valid.
void lifetime(Setting& s, Seconds& into) {
  const Seconds span = s.span();
  if (span == Seconds{0}) {
    s.fault("", "a lifetime of nothing", "expected: at least one minute");
    return;
  }
  into = span;
}

}  // namespace

void lifetime_crl(Setting& s) { lifetime(s, s.server().lifetime_crl); }
void lifetime_certificate(Setting& s) { lifetime(s, s.server().lifetime_certificate); }
void lifetime_ca_certificate(Setting& s) { lifetime(s, s.server().lifetime_ca_certificate); }
void lifetime_subordinate_ca(Setting& s) {
  Seconds span{};
  lifetime(s, span);
  s.server().lifetime_subordinate_ca = span;
}
void lifetime_enrollment_request(Setting& s) {
  lifetime(s, s.server().lifetime_enrollment_request);
}

void cdp_url(Setting& s) {
  const std::string url = s.text("URL");
  if (!url.starts_with("http://") && !url.starts_with("ldap://")) {
    s.fault("URL", fmt::format("\"{}\" is no address for CRLs", url),
            "expected: http://... or ldap://...");
    return;
  }
  s.server().cdp_url = url;
}

void eku(Setting& s) {
  using x509::KeyPurpose;
  constexpr std::array<std::pair<std::string_view, KeyPurpose>, 9> known = {
      {{"server-auth", KeyPurpose::server_auth},
       {"client-auth", KeyPurpose::client_auth},
       {"code-signing", KeyPurpose::code_signing},
       {"email-protection", KeyPurpose::email_protection},
       {"ipsec-end-system", KeyPurpose::ipsec_end_system},
       {"ipsec-tunnel", KeyPurpose::ipsec_tunnel},
       {"ipsec-user", KeyPurpose::ipsec_user},
       {"ocsp-signing", KeyPurpose::ocsp_signing},
       {"time-stamping", KeyPurpose::time_stamping}}};
  std::vector<KeyPurpose>& purposes = s.in_server() ? s.server().eku : s.trustpoint().eku_request;
  purposes.clear();
  for (const Capture& capture : s.match().captures) {
    const auto* const found = std::find_if(
        known.begin(), known.end(), [&](const auto& row) { return row.first == capture.text; });
    if (found == known.end()) continue;  // `eku` and `request` themselves
    if (std::find(purposes.begin(), purposes.end(), found->second) != purposes.end()) {
      s.fault("", fmt::format("{} is there twice", capture.text), "expected: each purpose once");
      return;
    }
    purposes.push_back(found->second);
  }
}

void serial_start(Setting& s) {
  if (s.has("random")) {
    s.server().serial_random = true;
    return;
  }
  // Above this, counting on would one day reach the end of the numbers that can be counted.
  constexpr std::uint64_t start_max = 0x3FFF'FFFF'FFFF'FFFF;
  const std::string typed = s.text("NUMBER");
  const bool hexadecimal = typed.starts_with("0x") || typed.starts_with("0X");
  const char* const begin = typed.data() + (hexadecimal ? 2 : 0);
  const char* const end = typed.data() + typed.size();
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(begin, end, value, hexadecimal ? 16 : 10);
  if (begin == end || stop != end || error == std::errc::invalid_argument) {
    s.fault("NUMBER", fmt::format("\"{}\" is no serial number", typed),
            "expected: decimal, or hexadecimal behind 0x; or \"random\"");
  } else if (error != std::errc{} || value > start_max) {
    s.fault("NUMBER", fmt::format("{} leaves too few serial numbers above it", typed),
            "expected: 0 to 0x3FFFFFFFFFFFFFFF; or \"random\"");
  } else {
    s.server().serial_start = value;
  }
}

void subject_alt_names(Setting& s) { s.server().copy_alt_names = s.has("copy"); }

void auto_rollover(Setting& s) {
  if (!s.match().find("DAYS")) {
    s.server().auto_rollover = Days{30};
    s.server().auto_rollover_text = "30";
    return;
  }
  if (s.span() == Seconds{0}) {
    s.fault("DAYS", "an overlap of nothing", "expected: at least one minute");
    return;
  }
  s.server().auto_rollover = s.span();
  const int hours = s.number("HOURS");
  const int minutes = s.number("MINUTES");
  std::string text = fmt::format("{}", s.number("DAYS"));
  if (hours != 0 || minutes != 0) text += fmt::format(" {}", hours);
  if (minutes != 0) text += fmt::format(" {}", minutes);
  s.server().auto_rollover_text = text;
}

void renewal_grace(Setting& s) { s.server().renewal_grace = Days{s.number("DAYS")}; }
void keytype(Setting& s) { s.server().ec_bits = s.has("384") ? 384 : 256; }
void modulus(Setting& s) { s.server().modulus = s.number("BITS"); }

void challenge_password(Setting& s) { s.server().challenge_password = s.secret(); }

void allow_legacy(Setting& s) {
  bool& flag = s.in_server() ? (s.has("des")   ? s.server().allow_des
                                : s.has("md5") ? s.server().allow_md5
                                               : s.server().allow_rsa_1024)
                             : (s.has("des")            ? s.trustpoint().allow_des
                                : s.has("md5")          ? s.trustpoint().allow_md5
                                : s.has("flat-next-ca") ? s.trustpoint().allow_flat_next_ca
                                                        : s.trustpoint().allow_rsa_1024);
  flag = true;
}

void allow_sha1(Setting& s) { s.server().allow_sha1 = s.on(); }
void shutdown(Setting& s) { s.server().shutdown = s.on(); }

}  // namespace umbra::config::set
