#include "server/ios_configuration.h"

#include <algorithm>

#include <fmt/format.h>

namespace umbra::server {
namespace {

std::string days(Seconds span) {
  const auto whole = std::chrono::duration_cast<Days>(span);
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(span - whole);
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(span - whole - hours);
  std::string text = std::to_string(whole.count());
  if (hours.count() != 0 || minutes.count() != 0) text += fmt::format(" {}", hours.count());
  if (minutes.count() != 0) text += fmt::format(" {}", minutes.count());
  return text;
}

/// It goes into a line of its own: a URL that cannot stand in one is left out.
bool fits_a_line(const std::string& url) {
  return !url.empty() && std::all_of(url.begin(), url.end(),
                                     [](char c) { return c > ' ' && c < '\x7f' && c != '"'; });
}

}  // namespace

std::vector<std::string> suggested_configuration(const KnownOfServer& known) {
  std::vector<std::string> lines = {"ip http server", "crypto pki server " + known.name};
  if (known.level == config::DatabaseLevel::complete) lines.push_back(" database level complete");
  if (known.level == config::DatabaseLevel::names) lines.push_back(" database level names");
  lines.push_back(fmt::format(" database archive {} password ARCHIVE-PASSPHRASE",
                              known.archive == config::ArchiveFormat::pem ? "pem" : "pkcs12"));
  lines.push_back(" issuer-name " + known.ca.subject().typed());
  if (known.ca.public_key().algorithm() == x509::KeyAlgorithm::ec)
    lines.push_back(fmt::format(" keytype ec {}", known.ca.public_key().bits()));
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(known.crl_lifetime).count();
  if (minutes > 0) {
    lines.push_back(fmt::format(" lifetime crl {}{}", minutes / 60,
                                minutes % 60 == 0 ? "" : fmt::format(" {}", minutes % 60)));
  }
  const auto& newest = known.newest;
  if (newest && newest->not_after() < known.ca.not_after())
    lines.push_back(" lifetime certificate " + days(newest->not_after() - newest->not_before()));
  lines.push_back(" lifetime ca-certificate " + days(known.ca.not_after() - known.ca.not_before()));
  if (newest && !newest->crl_urls().empty() && fits_a_line(newest->crl_urls().front()))
    lines.push_back(" cdp-url " + newest->crl_urls().front());
  if (known.serials_by_chance) lines.push_back(" serial-number random");
  if (known.allow_md5) lines.push_back(" allow legacy md5");
  if (known.allow_rsa_1024) lines.push_back(" allow legacy rsa-1024");
  lines.push_back(" no shutdown");
  return lines;
}

}  // namespace umbra::server
