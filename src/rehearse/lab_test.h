#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rehearse/report.h"

/// The guide's server and devices, for the rehearsal's own tests.
namespace umbra::rehearse::lab {

inline std::string hub(const std::string& more = " grant auto\n auto-rollover 90\n") {
  return "hostname hub\nclock calendar-valid\nip http server\nip http address 172.16.1.1\n"
         "crypto pki server ROOTCA\n"
         " lifetime certificate 365\n lifetime ca-certificate 730\n" +
         more + " no shutdown\n";
}

inline std::string spoke(const std::string& lines = " auto-enroll 80\n") {
  return "hostname spoke-1\ncrypto pki trustpoint Root-CA\n"
         " enrollment url http://172.16.1.1:80\n" +
         lines;
}

inline Scenario scenario(const std::vector<std::string>& texts, std::size_t devices = 200) {
  std::vector<plan::Source> sources;
  for (const std::string& text : texts) {
    sources.push_back({"file", config::parse(text)});
    for (const auto& fault : sources.back().parsed.faults)
      ADD_FAILURE() << config::to_string(fault, "file");
  }
  auto read = scenario_of(sources, {});
  if (!read) {
    ADD_FAILURE() << read.error().detail;
    return {};
  }
  read->devices = devices;
  return *read;
}

[[nodiscard]] inline Offset day(double number) {
  return static_cast<Offset>(number * static_cast<double>(day_seconds));
}

/// When chapters whose text begins so happened, in days.
inline std::vector<double> days_of(const std::vector<Chapter>& story, const std::string& what) {
  std::vector<double> days;
  for (const Chapter& chapter : story) {
    if (chapter.text.starts_with(what))
      days.push_back(static_cast<double>(chapter.at) / static_cast<double>(day_seconds));
  }
  return days;
}

inline const AuthorityOutcome& only(const Outcome& outcome) {
  EXPECT_EQ(outcome.authorities.size(), 1U);
  EXPECT_TRUE(outcome.sound()) << (outcome.broken.empty() ? "" : outcome.broken.front().what);
  return outcome.authorities.front();
}

}  // namespace umbra::rehearse::lab
