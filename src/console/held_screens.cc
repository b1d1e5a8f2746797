#include "console/held_screens.h"

#include <fmt/format.h>

#include <algorithm>

#include "console/screens.h"

namespace umbra::console {
namespace {

constexpr std::size_t group = 4;
constexpr std::size_t groups_a_line = 8;
constexpr std::size_t crl_octets_max = std::size_t{8} << 20U;  // none larger is fetched

/// Groups of four octets, eight in a line; less than a group stays on the line before it.
std::string key_data(ByteView der) {
  std::string out;
  std::size_t on_line = 0;
  while (!der.empty()) {
    const std::size_t size = std::min(group, der.size());
    if (on_line == groups_a_line && size == group) {
      out += '\n';
      on_line = 0;
    }
    if (on_line == 0) out += "  ";
    out += to_hex(der.subspan(0, size));
    if (size == group) out += ' ';
    der = der.subspan(size);
    ++on_line;
  }
  return out + "\n";
}

}  // namespace

std::string certificate_list_head() {
  return "Serial Issued date              Expire date               Subject Name\n";
}

std::string certificate_list_line(const server::CertificateLine& line, const TimeZone& zone) {
  return fmt::format("{:<7} {:<24} {:<25} {}\n", line.serial.to_hex(),
                     to_ios_time(line.not_before, zone), to_ios_time(line.not_after, zone),
                     printable(line.subject));
}

std::string keys_screen(const std::vector<ShownKey>& keys, const TimeZone& zone, bool with_size) {
  std::string out;
  for (const ShownKey& shown : keys) {
    const x509::KeyLine& one = shown.line;
    const bool rsa = one.key.algorithm() == x509::KeyAlgorithm::rsa;
    out += fmt::format("% Key pair was generated at: {}\n",
                       one.made_at ? to_ios_time(*one.made_at, zone) : "(not recorded)");
    out += fmt::format("Key name: {}\nKey type: {} KEYS", one.label, rsa ? "RSA" : "EC");
    out += with_size ? fmt::format("      {} bits\n", one.key.bits()) : "\n";
    out += fmt::format(" Storage Device: {}\n", shown.saved ? "private-config" : "not specified");
    out += fmt::format(" Usage: {}\n", rsa ? "General Purpose Key" : "Signature Key");
    out += one.exportable ? " Key is exportable.\n" : " Key is not exportable.\n";
    out += " Key Data:\n" + key_data(one.key.spki());
  }
  return out;
}

std::string crls_screen(const std::vector<HeldCrl>& crls, const TimeZone& zone) {
  constexpr std::string_view in_issuer = ",";
  std::string out;
  std::size_t octets = 0;
  for (const HeldCrl& crl : crls) {
    std::string issuer = printable(crl.issuer);
    for (std::size_t at = 0; (at = issuer.find(in_issuer, at)) != std::string::npos;)
      issuer[at] = ' ';
    out += fmt::format("CRL Issuer Name:\n    {}\n", issuer);
    out += fmt::format("    LastUpdate: {}\n", to_ios_time(crl.this_update, zone));
    if (crl.next_update)
      out += fmt::format("    NextUpdate: {}\n", to_ios_time(*crl.next_update, zone));
    if (crl.fetched_at) {
      out += fmt::format("\n    CRL downloaded at: {}\n", to_ios_time(*crl.fetched_at, zone));
      out += fmt::format("\n    Retrieved from CRL Distribution Point:\n      {}\n", crl.source);
    } else {
      out += fmt::format("\n    Made here:\n      {}\n", crl.source);
    }
    out += fmt::format("\n CRL DER is {} bytes\n", crl.octets);
    out += crl.fetched_at ? " CRL is stored in parsed CRL cache\n\n\n"
                          : " CRL is stored in the database\n\n\n";
    if (crl.fetched_at) octets += crl.octets;
  }
  out += fmt::format("Parsed CRL cache current size is {} bytes\n", octets);
  out += fmt::format("Parsed CRL cache maximum size is {} bytes\n", crl_octets_max);
  return out;
}

std::string counters_screen(const Counters& counters) {
  const std::uint64_t ended = counters.sessions_ended;
  const std::uint64_t started = counters.sessions_started;
  return fmt::format(
      "PKI Sessions Started: {}\n"
      "PKI Sessions Ended: {}\n"
      "PKI Sessions Active: {}\n"
      "Successful Validations: {}\n"
      "Failed Validations: {}\n"
      "Bypassed Validations: {}\n"
      "Pending Validations: {}\n"
      "CRLs checked: {}\n"
      "CRL - fetch attempts: {}\n"
      "CRL - failed attempts: {}\n"
      "CRL - rejected busy fetching: {}\n"
      "AAA authorizations: 0\n",
      started, ended, started - ended, counters.validated, counters.refused, counters.bypassed,
      counters.pending, counters.crls_checked, counters.crl_fetches, counters.crl_failures,
      counters.crl_busy);
}

}  // namespace umbra::console
