#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "plan/check.h"

namespace umbra::plan {
namespace {

using nlohmann::json;

Report report() {
  Report made;
  made.servers = made.kinds = 1;
  made.trustpoints = 2;
  made.findings.push_back(
      {Grade::error,
       "shadow-too-early",
       {"sites/caf\xE9 1.cfg", 5, "trustpoint T of a"},
       "It goes dark.",
       {{"hub.cfg", 12, true, " auto-rollover 110"}, {"a.cfg", 3, false, " auto-enroll 76"}},
       {{"/etc/b.cfg", 5, "trustpoint T of b"}}});
  return made;
}

TEST(Sarif, HasWhatTheStandardRequires) {
  const json sarif = json::parse(to_sarif(report(), "1.2.3"));
  EXPECT_EQ(sarif.at("version"), "2.1.0");
  ASSERT_TRUE(sarif.at("runs").is_array());
  const json& run = sarif.at("runs").at(0);
  const json& driver = run.at("tool").at("driver");
  EXPECT_EQ(driver.at("name"), "umbra check");
  EXPECT_EQ(driver.at("version"), "1.2.3");
  const json& result = run.at("results").at(0);
  EXPECT_EQ(driver.at("rules").at(result.at("ruleIndex").get<std::size_t>()).at("id"),
            result.at("ruleId"));
  EXPECT_EQ(result.at("level"), "error");
  EXPECT_EQ(result.at("message").at("text"), "It goes dark.");
  const json& place = result.at("locations").at(0).at("physicalLocation");
  EXPECT_EQ(place.at("artifactLocation").at("uri"), "sites/caf%E9%201.cfg");
  EXPECT_GE(place.at("region").at("startLine").get<int>(), 1);
  EXPECT_EQ(
      result.at("relatedLocations").at(0).at("physicalLocation").at("artifactLocation").at("uri"),
      "file:///etc/b.cfg");
}

TEST(Sarif, FixesReplaceALineOrAddOneBelowIt) {
  const json sarif = json::parse(to_sarif(report(), "1"));
  const json& fixes = sarif.at("runs").at(0).at("results").at(0).at("fixes");
  const auto replacement = [&](std::size_t i) {
    return fixes.at(i).at("artifactChanges").at(0).at("replacements").at(0);
  };
  EXPECT_EQ(replacement(0).at("deletedRegion"),
            json({{"startLine", 12}, {"startColumn", 1}, {"endLine", 12}}));
  EXPECT_EQ(replacement(0).at("insertedContent").at("text"), " auto-rollover 110");
  EXPECT_EQ(replacement(1).at("deletedRegion"),
            json({{"startLine", 4}, {"startColumn", 1}, {"endLine", 4}, {"endColumn", 1}}));
  EXPECT_EQ(replacement(1).at("insertedContent").at("text"), " auto-enroll 76\n");
}

TEST(Json, SaysTheSameWithEveryPlace) {
  const json made = json::parse(to_json(report()));
  EXPECT_EQ(made.at("errors"), 1);
  EXPECT_EQ(made.at("warnings"), 0);
  const json& finding = made.at("findings").at(0);
  EXPECT_EQ(finding.at("severity"), "error");
  EXPECT_EQ(finding.at("rule"), "shadow-too-early");
  EXPECT_EQ(finding.at("line"), 5);
  EXPECT_EQ(finding.at("fixes").at(1).at("text"), " auto-enroll 76");
  EXPECT_EQ(finding.at("alike").at(0).at("who"), "trustpoint T of b");
}

}  // namespace
}  // namespace umbra::plan
