#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "rehearse/report.h"

namespace umbra::rehearse {
namespace {

constexpr std::size_t devices_shown = 5;
constexpr std::size_t repeats_shown = 3;

using plan::count;

std::string generations(const AuthorityOutcome& of, const plan::Calendar& calendar) {
  std::string out;
  for (std::size_t i = 0; i < of.generations.size(); ++i) {
    const Generation& one = of.generations[i];
    out += fmt::format("  CA {}: {} to {}", i + 1, calendar.day(offset(one.validity.not_before)),
                       calendar.day(offset(one.validity.not_after)));
    if (i > 0) out += fmt::format(", made on {}", calendar.day(one.made));
    if (one.cancelled != never)
      out += fmt::format(", cancelled on {}", calendar.day(one.cancelled));
    out += "\n";
  }
  return out;
}

std::string why_dark(const AuthorityOutcome& of) {
  std::string out = "\n  dark devices   first on    longest       why\n";
  for (const CauseRow& row : of.causes) {
    out += fmt::format("  {:>12}   {:<9}   {:<11}   {}\n", count(row.devices),
                       "day " + plan::number_of_day(row.first), plan::span(row.longest),
                       in_words(row.cause));
  }
  return out;
}

std::string worst(const Scenario& scenario, const AuthorityOutcome& of) {
  std::string out = "\n";
  for (std::size_t i = 0; i < of.worst.size() && i < devices_shown; ++i) {
    const DarkDevice& one = of.worst[i];
    out += fmt::format("  device {} ({}): dark for {} from day {} on{}\n", one.number,
                       scenario.kinds[one.kind].name, plan::span(one.dark_for),
                       plan::number_of_day(one.from), one.still ? ", to the end" : "");
  }
  if (of.dark > devices_shown)
    out += fmt::format("  ... {} more\n", count(of.dark - devices_shown));
  out += fmt::format("  `--client {}` tells the story of the first of them\n",
                     of.worst.front().number);
  return out;
}

std::string load(const AuthorityOutcome& of, const plan::Calendar& calendar) {
  const auto& requests = of.tally.requests;
  const std::uint64_t all = std::accumulate(requests.begin(), requests.end(), std::uint64_t{0});
  std::string out = fmt::format("\n  {} answered, {} issued", counted(all, "request"),
                                counted(of.tally.certificates, "certificate"));
  if (of.tally.refusals > 0) out += fmt::format(", {} refused", count(of.tally.refusals));
  if (of.tally.unanswered > 0)
    out += fmt::format(", {} while the server was out of reach", count(of.tally.unanswered));
  if (of.tally.lost > 0) out += fmt::format(", {} lost on the way", count(of.tally.lost));
  out += "\n   ";
  for (std::size_t i = 0; i < operations; ++i) {
    if (requests[i] > 0)
      out += fmt::format(" {} {}", to_string(static_cast<Operation>(i)), count(requests[i]));
  }
  out += fmt::format("\n  busiest second: {} on {}; busiest hour: {} from {} on\n",
                     counted(of.second.count, "request"), calendar.day(of.second.at),
                     counted(of.hour.count, "request"), calendar.day(of.hour.at));
  if (of.waiting.count > 0) {
    out += fmt::format("  most requests waiting for a person: {} on {}\n", count(of.waiting.count),
                       calendar.day(of.waiting.at));
  }
  if (of.waiting.count > queue_max) {
    out += fmt::format(
        "  WARNING: the queue holds {}; more are refused, and these devices stop. "
        "That is not played here.\n",
        count(queue_max));
  }
  return out;
}

}  // namespace

std::string counted(std::size_t n, const char* what) {
  return fmt::format("{} {}{}", count(n), what, n == 1 ? "" : "s");
}

std::string years(Offset span) {
  if (span % year_seconds == 0)
    return counted(static_cast<std::size_t>(span / year_seconds), "year");
  return plan::span(span);
}

std::vector<std::uint64_t> requests_by_day(const AuthorityOutcome& of) {
  std::vector<std::uint64_t> days(of.days.size());
  for (std::size_t hour = 0; hour < of.tally.hours.size(); ++hour)
    days[std::min(hour / 24, days.size() - 1)] += of.tally.hours[hour];
  return days;
}

std::string to_text(const Scenario& scenario, const Outcome& outcome,
                    const Circumstances& circumstances) {
  const plan::Calendar& calendar = circumstances.calendar;
  std::string out =
      fmt::format("rehearsed {} of {} for {} from {}, seed {}\n",
                  counted(scenario.devices, "device"), counted(scenario.kinds.size(), "kind"),
                  years(scenario.until), calendar.day(0), scenario.seed);
  for (const std::string& fault : circumstances.faults) out += fmt::format("  with {}\n", fault);
  for (const std::string& note : scenario.notes) out += fmt::format("note: {}\n", note);
  for (const AuthorityOutcome& of : outcome.authorities) {
    out += fmt::format("\ncertificate server {}\n", of.name);
    out += generations(of, calendar);
    if (of.cancelled_nothing)
      out += "  there was no next CA to cancel on the day of `--rollover-cancel`\n";
    if (of.crl_stale > 0)
      out +=
          fmt::format("  its CRL was out of date for {} all together\n", plan::span(of.crl_stale));
    out += load(of, calendar);
    if (of.enrolled < of.devices) {
      out += fmt::format("\n  {} never had a certificate\n",
                         counted(of.devices - of.enrolled, "device"));
    }
    if (of.dark > 0) out += why_dark(of) + worst(scenario, of);
  }
  for (const std::string& one : outcome.broken_servers) out += fmt::format("\nDEFECT: {}\n", one);
  for (const Broken& one : outcome.broken) {
    out += fmt::format("\nDEFECT: device {}, {}: {}\n", one.device, calendar.day(one.at), one.what);
  }
  const std::size_t dark = outcome.dark();
  std::size_t still = 0;
  for (const AuthorityOutcome& of : outcome.authorities) still += of.still;
  if (dark == 0) {
    out += fmt::format("\nno device was ever dark\n");
  } else {
    out += fmt::format("\n{} of {} went dark, {} to the end\n", count(dark),
                       counted(scenario.devices, "device"), count(still));
  }
  return out;
}

std::string to_text(const Scenario& scenario, std::size_t device, const std::vector<Chapter>& story,
                    const Circumstances& circumstances) {
  std::string out = fmt::format("device {}: {} under certificate server {}\n", device,
                                scenario.kind_of(device).name,
                                scenario.authorities[scenario.kind_of(device).authority].name);
  for (std::size_t i = 0; i < story.size();) {
    // The same over and over: the first and the last time, and how often in between.
    std::size_t last = i;
    while (last + 1 < story.size() && story[last + 1].text == story[i].text) ++last;
    const std::size_t times = last - i + 1;
    const auto line = [&](std::size_t which, const std::string& more) {
      const std::string date = circumstances.calendar.date(story[which].at);
      out += fmt::format("  {}{}day {:>8}  {}{}\n", date, date.empty() ? "" : "  ",
                         plan::number_of_day(story[which].at), story[which].text, more);
    };
    if (times <= repeats_shown) {
      for (; i <= last; ++i) line(i, "");
    } else {
      line(i, "");
      line(last, fmt::format(" ({} times, for the last time now)", count(times)));
      i = last + 1;
    }
  }
  return out;
}

}  // namespace umbra::rehearse
