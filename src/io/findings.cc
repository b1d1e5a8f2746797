#include "io/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

namespace umbra::io {
namespace {

/// What the configuration asks for that is weak today: asked for by name, and said at each start.
std::vector<std::string> weaknesses(const config::Configuration& configuration) {
  std::vector<std::string> found;
  const auto look = [&found](const char* kind, const auto& block) {
    const std::string owner = fmt::format("{} {}", kind, block.name);
    if (block.allow_des) found.push_back(owner + " allows single DES");
    if (block.allow_md5) found.push_back(owner + " allows MD5");
    if (block.allow_rsa_1024) found.push_back(owner + " allows RSA keys of 1024 bits");
    if (block.hash == config::HashName::sha1) found.push_back(owner + " signs with SHA-1");
  };
  for (const auto& server : configuration.servers) look("certificate server", server);
  for (const auto& trustpoint : configuration.trustpoints) {
    look("trustpoint", trustpoint);
    if (trustpoint.allow_flat_next_ca) {
      found.push_back("trustpoint " + trustpoint.name +
                      " takes a next CA certificate that no signature covers");
    }
    constexpr std::size_t md5_digits = 32;
    if (trustpoint.fingerprint.size() == md5_digits) {
      found.push_back("trustpoint " + trustpoint.name +
                      " pins its CA by an MD5 fingerprint, which can be forged; 64 digits pin it "
                      "by SHA-256");
    }
  }
  return found;
}

std::string who_and_what(const plan::Finding& finding) {
  return fmt::format("{}: {}", finding.at.who, finding.text);
}

}  // namespace

std::shared_ptr<const plan::Report> tell_findings(const config::Parsed& parsed,
                                                  const std::string& file, Log& log,
                                                  const config::Parsed* before,
                                                  const plan::Report* plan_before) {
  std::set<std::string> said;
  if (before) {
    for (const auto& line : before->not_effective) said.insert(line.text);
    for (const auto& weakness : weaknesses(before->configuration)) said.insert(weakness);
  }
  if (plan_before) {
    for (const auto& finding : plan_before->findings) said.insert(who_and_what(finding));
  }
  for (const auto& line : parsed.not_effective) {
    if (!said.insert(line.text).second && before) continue;
    log.event({Severity::warning, "NOT_EFFECTIVE",
               fmt::format("line {}: \"{}\" is kept, and not acted on by this version", line.line,
                           line.text),
               "UMBRA"});
  }
  for (const auto& weakness : weaknesses(parsed.configuration)) {
    if (!said.contains(weakness)) log.event({Severity::warning, "WEAK", weakness, "UMBRA"});
  }
  auto report = std::make_shared<const plan::Report>(
      plan::check(std::vector<plan::Source>{{file, parsed}}, {}));
  for (const plan::Finding& finding : report->findings) {
    if (finding.grade != plan::Grade::error || said.contains(who_and_what(finding))) continue;
    log.event({Severity::warning, "PLAN",
               fmt::format("line {}: {}", finding.at.line, who_and_what(finding)), "UMBRA"});
  }
  return report;
}

}  // namespace umbra::io
