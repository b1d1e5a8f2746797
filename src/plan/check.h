#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/finding.h"
#include "plan/pairing.h"
#include "plan/proof.h"
#include "plan/story.h"
#include "plan/words.h"

/// `umbra check`: what configurations of servers and clients will come to, years ahead.
namespace umbra::plan {

struct Options {
  Seconds grant_within = Days{3};                 ///< how long a person takes who grants by hand
  Seconds outage = std::chrono::hours{24};        ///< once, at the worst moment
  Seconds clock_error = std::chrono::minutes{5};  ///< how far clocks run apart
  std::optional<std::size_t> clients;  ///< how many devices; nothing = the trustpoints read
  std::optional<Interval> enrolled;    ///< first enrolments; nothing = on any day
  std::vector<ServerUrl> server_urls;
  Calendar calendar;
};

struct Report {
  std::vector<Finding> findings;  ///< errors first; within a grade by file and line
  std::size_t servers = 0;
  std::size_t trustpoints = 0;  ///< that enrol by SCEP
  std::size_t kinds = 0;        ///< trustpoints that differ in what matters here
  [[nodiscard]] std::size_t count(Grade grade) const;
};
[[nodiscard]] Report check(const std::vector<Source>& sources, const Options& options);

/// `grant auto trustpoint` with a trustpoint that is authenticated to the CA of `issuer`: what its
/// certificates sign is granted.
[[nodiscard]] bool vouches_for(const ServerAt& server, const config::Server& issuer,
                               const Pairing& pairing);

/// What a trustpoint asks of the proof.
[[nodiscard]] Question question_of(const ServerAt& server, const config::Trustpoint& trustpoint,
                                   const Pairing& pairing, const Options& options,
                                   std::optional<std::size_t> through = std::nullopt);

/// The story of one trustpoint that enrols on a day, to the end of its second CA, by date.
/// In: NAME, or NAME@HOSTNAME where several have it. Errors: not_found; conflict.
[[nodiscard]] Result<std::string> timeline(const std::vector<Source>& sources,
                                           const Options& options, const std::string& trustpoint,
                                           Offset enrols);

/// For people: a paragraph for each finding, with file and line and the line to write.
[[nodiscard]] std::string to_text(const Report& report);
[[nodiscard]] std::string to_json(const Report& report);
/// SARIF 2.1.0, for code reviews and build servers.
[[nodiscard]] std::string to_sarif(const Report& report, const std::string& version);

}  // namespace umbra::plan
