#include "check.h"

#include <fmt/format.h>

#include <cstdio>

#include "io/plan_files.h"
#include "plan/check.h"
#include "spans.h"

namespace {

namespace plan = umbra::plan;

using spans::days_max;

constexpr int usage = 2;
int complain(const std::string& what) {
  fmt::print(stderr, "umbra check: {}\n", what);
  return usage;
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
  command_
      ->add_option("--clock-minutes", clock_minutes_, "clocks run apart by up to so many minutes")
      ->check(CLI::Range(0.0, days_max))
      ->capture_default_str();
  command_->add_option("--clients", clients_, "how many devices (the trustpoints read)");
  command_->add_option("--server-url", server_urls_,
                       "NAME=URL: this certificate server answers there; may be repeated");
}

int CheckCommand::run() const {
  plan::Options options;
  options.grant_within = spans::seconds(grant_days_, spans::day);
  options.outage = spans::seconds(outage_hours_, spans::hour);
  options.clock_error = spans::seconds(clock_minutes_, spans::minute);
  if (clients_ > 0) options.clients = clients_;
  if (!enrolled_.empty()) {
    options.enrolled = spans::days_between(enrolled_);
    if (!options.enrolled)
      return complain("--enrolled: expected FROM-TO in days, such as 0-30, not " + enrolled_);
  }
  if (!start_.empty()) {
    const auto start = umbra::from_rfc3339(start_);
    if (!start) return complain("--start: " + start.error().detail);
    options.calendar.start = *start;
  }
  for (const std::string& one : server_urls_) {
    const auto url = spans::server_url(one);
    if (!url) return complain("--server-url: expected NAME=http://HOST[:PORT], not " + one);
    options.server_urls.push_back(*url);
  }
  const umbra::io::PlanFiles files = umbra::io::read_plan_files(paths_);
  if (!files.complaints.empty()) {
    fmt::print(stderr, "{}", files.complaints);
    return complain("nothing was checked");
  }
  if (!timeline_.empty()) {
    const auto story = plan::timeline(files.sources, options, timeline_,
                                      spans::seconds(enrol_day_, spans::day).count());
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
