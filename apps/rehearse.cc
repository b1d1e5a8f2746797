#include "rehearse.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <thread>

#include "io/plan_files.h"
#include "spans.h"

namespace {

namespace plan = umbra::plan;
namespace rehearse = umbra::rehearse;
using rehearse::Offset;

constexpr int usage = 2;
constexpr Offset minute = 60;
constexpr std::size_t clients_max = 100'000'000;
constexpr unsigned threads_max = 64;
constexpr double hours_max = 100'000;

int complain(const std::string& what) {
  fmt::print(stderr, "umbra rehearse: {}\n", what);
  return usage;
}

/// "100-130" in days, or "100+12": from day 100 on, 12 hours long.
std::optional<plan::Interval> outage(const std::string& text) {
  const auto plus = text.find('+');
  if (plus == std::string::npos) {
    auto days = spans::days_between(text);
    if (!days || days->first == days->last) return std::nullopt;
    --days->last;
    return days;
  }
  const auto from = spans::number(text.substr(0, plus));
  const auto hours = spans::number(text.substr(plus + 1), hours_max);
  if (!from || !hours || *hours <= 0) return std::nullopt;
  const Offset first = spans::seconds(*from, spans::day).count();
  return plan::Interval{first, first + spans::seconds(*hours, spans::hour).count() - 1};
}

/// In order, and none touching the next.
std::vector<plan::Interval> joined(const std::vector<plan::Interval>& all) {
  plan::Intervals set;
  for (const plan::Interval& one : all) set.add(one);
  return set.all();
}

/// One line that is written over and over; nothing where nobody watches.
class ProgressBar {
 public:
  explicit ProgressBar(const plan::Calendar& calendar)
      : calendar_(calendar), shown_(::isatty(STDERR_FILENO) == 1) {}
  ~ProgressBar() {
    if (shown_) fmt::print(stderr, "\r\x1b[K");
  }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  void show(Offset now, double done) const {
    if (!shown_) return;
    constexpr int width = 40;
    const int full = static_cast<int>(done * width);
    fmt::print(stderr, "\r[{:#<{}}{:.<{}}] {:3.0f} %  {}", "", full, "", width - full, done * 100,
               calendar_.date(now).substr(0, 10));
    std::fflush(stderr);
  }

 private:
  const plan::Calendar& calendar_;
  bool shown_;
};

}  // namespace

RehearseCommand::RehearseCommand(CLI::App& app)
    : command_(app.add_subcommand(
          "rehearse",
          "play years of servers and devices in virtual time, with what goes wrong; days count "
          "from the day on which the servers are first enabled")) {
  command_->add_option("files", paths_, "configurations of servers and devices, or directories")
      ->required();
  command_
      ->add_option("--clients", clients_,
                   "how many devices, of the kinds read (the trustpoints read)")
      ->check(CLI::Range(std::size_t{1}, clients_max));
  command_->add_option("--years", years_, "how long, in years of 365.25 days")
      ->check(CLI::Range(0.01, static_cast<double>(rehearse::years_max)))
      ->capture_default_str();
  command_->add_option("--seed", seed_, "the same seed, the same result")->capture_default_str();
  command_
      ->add_option("--enrol-over", enrolled_,
                   "DAYS or FROM-TO: devices first enrol evenly over these days")
      ->capture_default_str();
  command_->add_option("--start", start_, "day 0")->capture_default_str();
  command_
      ->add_option("--outage", outages_,
                   "FROM-TO in days, or DAY+HOURS: no server can be reached; may be repeated")
      ->allow_extra_args(false);
  command_
      ->add_option("--ca-restart", restarts_,
                   "DAY: the servers are started again, which takes a minute; may be repeated")
      ->allow_extra_args(false);
  command_->add_option("--loss", loss_, "PERCENT of all exchanges get no answer")
      ->check(CLI::Range(0.0, 100.0));
  command_->add_option("--switched-off", switched_off_,
                       "PERCENT:DAYS: so many devices are switched off once, so long");
  command_
      ->add_option("--clock-error", clock_error_,
                   "MINUTES: each device's clock is wrong by up to this, either way")
      ->check(CLI::Range(0.0, spans::days_max));
  command_
      ->add_option("--admin-delay", grants_,
                   "DAYS or LEAST-MOST: so long a person takes who grants by hand")
      ->capture_default_str();
  command_->add_option("--rollover-cancel", cancel_,
                       "DAY or DAY+DAYS: the next CA is cancelled, and made again so much later");
  command_
      ->add_option("--server-url", server_urls_,
                   "NAME=URL: this certificate server answers there; may be repeated")
      ->allow_extra_args(false);
  command_->add_option("--threads", threads_, "how many at once (one for each processor)")
      ->check(CLI::Range(1U, threads_max));
  client_option_ = command_->add_option("--client", client_,
                                        "tell the story of this device (0 to N-1), and no more");
  auto* const json = command_->add_flag("--json", json_, "print JSON");
  auto* const html =
      command_->add_option("--html", html_, "write one page with pictures to this file");
  json->excludes(client_option_);
  html->excludes(client_option_);
}

std::string RehearseCommand::read(rehearse::Scenario& scenario, Told& told) const {
  // What is no number lies in every range.
  for (const auto& [option, value] :
       {std::pair{"--years", years_}, {"--loss", loss_}, {"--clock-error", clock_error_}}) {
    if (!std::isfinite(value)) return fmt::format("{}: expected a number", option);
  }
  const auto start = umbra::from_rfc3339(start_);
  if (!start) return "--start: " + start.error().detail;
  told.calendar.start = *start;
  scenario.until = std::llround(years_ * static_cast<double>(rehearse::year_seconds));
  for (const rehearse::Authority& authority : scenario.authorities) {
    if (scenario.until / authority.ca.lifetime_ca.count() < rehearse::generations_max) continue;
    return fmt::format("--years: {} would have more than {} generations in that time",
                       authority.name, plan::count(rehearse::generations_max));
  }
  scenario.seed = seed_;
  if (clients_ > 0) scenario.devices = clients_;
  // A number alone is how long it takes.
  const bool alone = enrolled_.find('-') == std::string::npos;
  const auto enrolled = spans::days_between(alone ? "0-" + enrolled_ : enrolled_);
  if (!enrolled)
    return "--enrol-over: expected DAYS or FROM-TO in days, such as 30 or 10-40, not " + enrolled_;
  if (enrolled->first >= scenario.until)
    return "--enrol-over: nobody enrols before the end of the rehearsal";
  scenario.enrolled = *enrolled;
  if (*client_option_ && client_ >= scenario.devices) {
    return fmt::format("--client: there are devices 0 to {}, and no {}", scenario.devices - 1,
                       client_);
  }
  return read_faults(scenario, told);
}

std::string RehearseCommand::read_faults(rehearse::Scenario& scenario, Told& told) const {
  rehearse::Faults& faults = scenario.faults;
  const auto tell = [&](std::string text) { told.faults.push_back(std::move(text)); };
  std::vector<plan::Interval> outages;
  for (const std::string& text : outages_) {
    const auto one = outage(text);
    if (!one || one->first < 1)
      return "--outage: expected FROM-TO in days or DAY+HOURS, such as 600-614 or 729.5+24, after "
             "day 0; not " +
             text;
    outages.push_back(*one);
    tell(fmt::format("no server in reach from day {} to day {}", plan::number_of_day(one->first),
                     plan::number_of_day(one->last + 1)));
  }
  for (const double day : restarts_) {
    const Offset at = spans::seconds(day, spans::day).count();
    if (!(day > 0) || day > spans::days_max)
      return fmt::format("--ca-restart: expected a day after day 0, not {}", day);
    outages.push_back({at, at + minute - 1});
    tell(fmt::format("the servers started again on day {}", plan::number_of_day(at)));
  }
  faults.outages = joined(outages);
  faults.loss = loss_ / 100;
  if (loss_ > 0) tell(fmt::format("{} % of all exchanges without an answer", loss_));
  if (!switched_off_.empty()) {
    const auto colon = switched_off_.find(':');
    const auto percent = spans::number(switched_off_.substr(0, colon), 100);
    const auto days =
        colon == std::string::npos ? std::nullopt : spans::number(switched_off_.substr(colon + 1));
    if (!percent || !days || *days <= 0)
      return "--switched-off: expected PERCENT:DAYS, such as 5:21, not " + switched_off_;
    faults.switched_off = *percent / 100;
    faults.off_for = spans::seconds(*days, spans::day);
    tell(fmt::format("{} % of the devices switched off once for {}", *percent,
                     plan::span(faults.off_for.count())));
  }
  faults.clock_error = umbra::Seconds{std::llround(clock_error_ * static_cast<double>(minute))};
  if (clock_error_ > 0)
    tell(fmt::format("clocks wrong by up to {}", plan::span(faults.clock_error.count())));
  const auto grants = spans::days_between(grants_);
  if (!grants)
    return "--admin-delay: expected DAYS or LEAST-MOST in days, such as 3 or 0-3, not " + grants_;
  faults.grant_least = umbra::Seconds{grants->first};
  faults.grant_most = umbra::Seconds{grants->last};
  if (!cancel_.empty()) {
    const auto plus = cancel_.find('+');
    const auto day = spans::number(cancel_.substr(0, plus));
    const auto later =
        plus == std::string::npos ? std::optional(0.0) : spans::number(cancel_.substr(plus + 1));
    if (!day || !later || *day <= 0)
      return "--rollover-cancel: expected DAY or DAY+DAYS, such as 650 or 650+7, not " + cancel_;
    faults.cancel = spans::seconds(*day, spans::day).count();
    tell("`rollover cancel force` on day " + plan::number_of_day(*faults.cancel));
    if (plus != std::string::npos) {
      faults.again = *faults.cancel + spans::seconds(*later, spans::day).count();
      tell("`rollover` by hand on day " + plan::number_of_day(*faults.again));
    }
  }
  return "";
}

int RehearseCommand::tell_story(const rehearse::Scenario& scenario, const Told& told) const {
  fmt::print("{}",
             rehearse::to_text(scenario, client_, rehearse::story_of(scenario, client_), told));
  return 0;
}

int RehearseCommand::run() const {
  std::vector<plan::ServerUrl> urls;
  for (const std::string& one : server_urls_) {
    const auto url = spans::server_url(one);
    if (!url) return complain("--server-url: expected NAME=http://HOST[:PORT], not " + one);
    urls.push_back(*url);
  }
  const umbra::io::PlanFiles files = umbra::io::read_plan_files(paths_);
  if (!files.complaints.empty()) {
    fmt::print(stderr, "{}", files.complaints);
    return complain("nothing was rehearsed");
  }
  auto scenario = rehearse::scenario_of(files.sources, urls);
  if (!scenario) return complain(scenario.error().detail);
  Told told;
  if (const std::string complaint = read(*scenario, told); !complaint.empty())
    return complain(complaint);
  if (*client_option_) return tell_story(*scenario, told);
  const unsigned threads =
      threads_ > 0 ? threads_ : std::clamp(std::thread::hardware_concurrency(), 1U, threads_max);
  const rehearse::Outcome outcome = [&] {
    const ProgressBar bar(told.calendar);
    return rehearse::rehearse(*scenario, threads,
                              [&](Offset now, double done) { bar.show(now, done); });
  }();
  if (!html_.empty()) {
    std::FILE* const file = std::fopen(html_.c_str(), "w");
    const std::string page = rehearse::to_html(*scenario, outcome, told);
    const bool written =
        file != nullptr && std::fwrite(page.data(), 1, page.size(), file) == page.size();
    if (file == nullptr || std::fclose(file) != 0 || !written)
      return complain("--html: " + html_ + " cannot be written: " + std::strerror(errno));
  }
  fmt::print("{}", json_ ? rehearse::to_json(*scenario, outcome, told)
                         : rehearse::to_text(*scenario, outcome, told));
  return outcome.dark() > 0 || !outcome.sound() ? 1 : 0;
}
