#include "check.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdio>

#include "io/plan_files.h"
#include "plan/check.h"

namespace {

namespace plan = umbra::plan;

constexpr int usage = 2;
constexpr double day = 86400;
constexpr double hour = 3600;
// Longer than any CA: the arithmetic of seconds stays far from its limits.
constexpr double days_max = 40000;

int complain(const std::string& what) {
  fmt::print(stderr, "umbra check: {}\n", what);
  return usage;
}

umbra::Seconds seconds(double number, double unit) {
  return umbra::Seconds{std::llround(number * unit)};
}

/// "30" or "10-40".
std::optional<plan::Interval> days_between(const std::string& text) {
  const auto hyphen = text.find('-');
  const auto number = [](const std::string& digits) -> std::optional<double> {
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool good = error == std::errc{} && end == digits.data() + digits.size() && value >= 0 &&
                      value <= days_max;
    return good ? std::optional(value) : std::nullopt;
  };
  const auto from = number(text.substr(0, hyphen));
  const auto to = hyphen == std::string::npos ? from : number(text.substr(hyphen + 1));
  if (!from || !to || *from > *to) return std::nullopt;
  return plan::Interval{seconds(*from, day).count(), seconds(*to, day).count()};
}

}  // namespace

CheckCommand::CheckCommand(CLI::App& app)
    : command_(app.add_subcommand(
          "check",
          "prove, before anything runs, that no device will go dark; or say which, when and why")) {
  command_->add_option("files", paths_, "configurations of servers and devices, or directories")
      ->required();
  auto* const json = command_->add_flag("--json", json_, "print JSON");
  auto* const sarif = command_->add_flag("--sarif", sarif_, "print SARIF 2.1.0, for build servers");
  json->excludes(sarif);
  command_->add_flag("--strict", strict_, "end with status 1 for warnings too");
  command_->add_option("--timeline", timeline_,
                       "print the story of this trustpoint (NAME or "
                       "NAME@HOSTNAME) instead of findings");
  command_->add_option("--enrol-day", enrol_day_, "day of its first enrolment in the story")
      ->check(CLI::Range(0.0, days_max))
      ->capture_default_str();
  command_->add_option("--enrolled", enrolled_,
                       "FROM-TO: devices first enrol on these days of the CA (any day)");
  command_->add_option("--start", start_,
                       "when the CA's certificate begins (2015-10-09T12:14:16Z): days get dates");
  command_->add_option("--grant-days", grant_days_, "who grants by hand takes up to so many days")
      ->check(CLI::Range(0.0, days_max))
      ->capture_default_str();
  command_
      ->add_option("--outage-hours", outage_hours_,
                   "the server is out of reach for so long, at the worst moment")
      ->check(CLI::Range(0.0, days_max))
      ->capture_default_str();
  command_->add_option("--clients", clients_, "how many devices (the trustpoints read)");
  command_->add_option("--server-url", server_urls_,
                       "NAME=URL: this certificate server answers there; may be repeated");
}

int CheckCommand::run() const {
  plan::Options options;
  options.grant_within = seconds(grant_days_, day);
  options.outage = seconds(outage_hours_, hour);
  if (clients_ > 0) options.clients = clients_;
  if (!enrolled_.empty()) {
    options.enrolled = days_between(enrolled_);
    if (!options.enrolled)
      return complain("--enrolled: expected FROM-TO in days, such as 0-30, not " + enrolled_);
  }
  if (!start_.empty()) {
    const auto start = umbra::from_rfc3339(start_);
    if (!start) return complain("--start: " + start.error().detail);
    options.calendar.start = *start;
  }
  for (const std::string& one : server_urls_) {
    const auto equals = one.find('=');
    if (equals == 0 || equals == std::string::npos || one.find("://", equals) == std::string::npos)
      return complain("--server-url: expected NAME=http://HOST[:PORT], not " + one);
    options.server_urls.emplace_back(one.substr(0, equals), one.substr(equals + 1));
  }
  const umbra::io::PlanFiles files = umbra::io::read_plan_files(paths_);
  if (!files.complaints.empty()) {
    fmt::print(stderr, "{}", files.complaints);
    return complain("nothing was checked");
  }
  if (!timeline_.empty()) {
    const auto story =
        plan::timeline(files.sources, options, timeline_, seconds(enrol_day_, day).count());
    if (!story) return complain(story.error().detail);
    fmt::print("{}", *story);
    return 0;
  }
  const plan::Report report = plan::check(files.sources, options);
  fmt::print("{}", json_    ? plan::to_json(report)
                   : sarif_ ? plan::to_sarif(report, UMBRA_VERSION)
                            : plan::to_text(report));
  const bool failed =
      report.count(plan::Grade::error) > 0 || (strict_ && report.count(plan::Grade::warning) > 0);
  return failed ? 1 : 0;
}
