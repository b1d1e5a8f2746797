#include "verify/verify.h"

#include <fmt/format.h>

#include "verify/finder.h"
#include "x509/request.h"

namespace umbra::verify {
namespace {

constexpr const char* remedy_trustpoint =
    "have the trustpoint start again: `no crypto pki trustpoint NAME`, its lines once more, "
    "`crypto "
    "pki authenticate` and `crypto pki enroll`";

/// Nothing if it is not there, or does not parse, which is a finding.
std::optional<x509::Certificate> certificate_in(Finder& finder, const std::string& where,
                                                const Bytes& der, const char* which) {
  if (der.empty()) return std::nullopt;
  auto parsed = x509::Certificate::from_der(der);
  if (parsed) return *std::move(parsed);
  finder.error("certificate-unreadable", where,
               fmt::format("its {} is no certificate: {}", which, parsed.error().detail),
               remedy_trustpoint);
  return std::nullopt;
}

bool signed_by(const x509::Certificate& one, const x509::Certificate& ca) {
  return one.issuer() == ca.subject() && one.verify_signed_by(ca.public_key()).has_value();
}

/// The identities of a trustpoint, their CAs and their keys.
void check_trustpoint(const store::TrustpointRow& row, const Options& options, Finder& finder,
                      Report& report) {
  const std::string where = "trustpoint " + row.name;
  const auto ca = certificate_in(finder, where, row.ca_certificate, "CA certificate");
  const auto next_ca = certificate_in(finder, where, row.rollover_ca_certificate, "next CA");
  const auto identity = certificate_in(finder, where, row.identity, "certificate");
  const auto next = certificate_in(finder, where, row.rollover_identity, "rollover certificate");
  static_cast<void>(certificate_in(finder, where, row.previous_ca_certificate, "previous CA"));
  for (const Bytes* ras : {&row.ra_certificates, &row.rollover_ra_certificates}) {
    if (x509::Certificate::all_from_der(*ras)) continue;
    finder.error("certificate-unreadable", where, "its RA certificates are none",
                 remedy_trustpoint);
  }
  if (identity && ca && !signed_by(*identity, *ca)) {
    finder.error("chain", where,
                 fmt::format("its certificate 0x{} is not signed by its CA {}",
                             identity->serial().to_hex(), ca->subject().joined()),
                 remedy_trustpoint);
  }
  if (next && next_ca && !signed_by(*next, *next_ca)) {
    finder.error("chain", where,
                 fmt::format("its rollover certificate 0x{} is not signed by its next CA {}",
                             next->serial().to_hex(), next_ca->subject().joined()),
                 remedy_trustpoint);
  }
  if (!row.request.empty()) {
    const auto request = x509::Request::from_der(row.request);
    const auto signer = x509::Certificate::from_der(row.request_signer);
    if (!request || !signer) {
      finder.error("request-unreadable", where,
                   "the request it has under way cannot be read: " +
                       (request ? signer.error().detail : request.error().detail),
                   remedy_trustpoint);
    }
  }
  if (identity && row.sealed_key.empty()) {
    finder.error("key", where, "its certificate has no key", remedy_trustpoint);
  }
  check_key(finder, report, options, where, row.sealed_key, identity ? &*identity : nullptr);
  // LABEL# is the rollover certificate's if both are there; else of a request under way.
  if (next && row.sealed_shadow_key.empty())
    check_key(finder, report, options, where + " (rollover)", row.sealed_key, &*next);
  check_key(finder, report, options, where + " (next key)", row.sealed_shadow_key,
            next ? &*next : nullptr);
}

/// What may have signed the CA certificates of the server of this trustpoint's name.
std::vector<x509::Certificate> authorities_of(const store::TrustpointRow& row) {
  std::vector<x509::Certificate> out;
  for (const Bytes* der :
       {&row.ca_certificate, &row.rollover_ca_certificate, &row.previous_ca_certificate}) {
    if (der->empty()) continue;
    if (auto parsed = x509::Certificate::from_der(*der)) out.push_back(*std::move(parsed));
  }
  return out;
}

}  // namespace

void check_key(Finder& finder, Report& report, const Options& options, const std::string& where,
               ByteView sealed, const x509::Certificate* certificate) {
  if (sealed.empty() || !options.passphrase) return;
  const auto key = x509::PrivateKey::unseal(sealed, *options.passphrase);
  if (!key) {
    finder.error("key", where, "its key cannot be opened: " + key.error().detail,
                 "give the passphrase that umbrad is started with (--passphrase-file); if it is "
                 "that one, the key is damaged: restore the newest backup that verifies");
    return;
  }
  ++report.keys;
  if (certificate != nullptr && !(key->public_key() == certificate->public_key()))
    finder.error("key", where, "its key is not the one in its certificate");
}

Report verify(store::Examiner& store, const Options& options) {
  Report report;
  Finder finder(report);
  report.keys_checked = options.passphrase.has_value();
  if (const auto pages = store.integrity(); !pages) {
    finder.damaged("the database", pages.error().detail);
  } else {
    for (const std::string& one : *pages) finder.error("integrity", "the database", one);
  }
  const auto trustpoints = store.trustpoints(finder.damage());
  if (!trustpoints) finder.damaged("table trustpoint", trustpoints.error().detail);
  std::map<std::string, std::vector<x509::Certificate>> upper;
  for (const auto& row : trustpoints.value_or(std::vector<store::TrustpointRow>{})) {
    ++report.trustpoints;
    check_trustpoint(row, options, finder, report);
    upper[row.name] = authorities_of(row);
  }
  const auto pairs = store.key_pairs(finder.damage());
  if (!pairs) finder.damaged("table key_pair", pairs.error().detail);
  for (const auto& row : pairs.value_or(std::vector<store::KeyPairRow>{}))
    check_key(finder, report, options, "key pair " + row.label, row.sealed_key, nullptr);
  const auto servers = store.servers();
  if (!servers) finder.damaged("the tables of certificate servers", servers.error().detail);
  for (const std::string& name : servers.value_or(std::vector<std::string>{})) {
    ++report.servers;
    check_server(store, name, upper[name], options, finder, report);
  }
  return report;
}

}  // namespace umbra::verify
