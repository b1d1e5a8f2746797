#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "config/reference.h"
#include "console/exec.h"
#include "console/exec_table.h"
#include "console/lab_test.h"

namespace umbra::console {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class NoConfigurator final : public Configurator {
 public:
  void edit(Edit /*edit*/, std::function<void(EditResult)> done) override { done({}); }
  void left(const std::string& /*by*/) override {}
  [[nodiscard]] std::string running() const override { return "!\nhostname hub\n!\n"; }
  void reload(std::string /*by*/, std::function<void(Result<std::string>)> done) override {
    done(std::string());
  }
  [[nodiscard]] Result<std::string> startup() const override { return "hostname hub\nend\n"; }
  [[nodiscard]] Result<std::string> differences() const override { return "+ntp server x\n"; }
  void save(std::string /*by*/, std::function<void(Result<std::string>)> done) override {
    done(std::string());
  }
};

class JsonTest : public ::testing::Test {
 protected:
  JsonTest() : clock_(lab::at("2017-07-10T12:14:46Z"), 820), exec_(environment()) {}

  ExecEnvironment environment() {
    ExecEnvironment e{clock_, lab::cet, "0.1.0", "hub", "!\nhostname hub\n!\n", {}, {}, {}, {}, {}};
    ServerControl server;
    server.name = "ROOTCA";
    server.status = [] { return lab::root_ca(); };
    server.requests = [] { return lab::requests(); };
    server.overlap = [] { return lab::overlap(); };
    server.crl = [] { return lab::crl(); };
    server.crl_above = [] { return std::nullopt; };
    server.keys = []() -> Result<std::vector<x509::KeyLine>> {
      return std::vector<x509::KeyLine>{
          {"ROOTCA", lab::certificate("guide/ca-01.hex").public_key(), std::nullopt, false}};
    };
    server.each_certificate = [](const auto& take) -> Result<void> {
      take({x509::Serial(2), lab::at("2015-10-09T12:14:16Z"), lab::at("2016-10-08T12:14:16Z"),
            "cn=spoke \xff \"1\"\n", std::nullopt});
      return {};
    };
    e.servers.push_back(std::move(server));
    e.trustpoints.push_back({"Root-CA", [] { return lab::spoke(); }, {}, {}, {}});
    e.configurator = &configurator_;
    e.plan_json = "{}\n";
    return e;
  }
  ExecResult say(const std::string& line) {
    ExecResult last;
    exec_.execute(line, [&last](ExecResult result) { last = std::move(result); });
    return last;
  }

  lab::FixedClock clock_;
  NoConfigurator configurator_;
  Exec exec_;
};

/// The row as it may be typed: arguments filled in, choices decided, nothing optional.
std::string typed(const config::Command& row) {
  std::string out;
  int optional = 0;
  bool taken = false;  // a choice that has its word
  int choice = 0;
  const std::string syntax = config::plain_syntax(row);
  for (const auto& token : config::tokenize(syntax)) {
    std::string word;
    for (const char c : token.text) {
      if (c == '[') ++optional;
      if (c == '{') {
        ++choice;
        taken = false;
      }
      if (c != '[' && c != ']' && c != '{' && c != '}' && optional == 0 && !(choice && taken)) {
        if (c == '|') {
          taken = choice > 0;
        } else {
          word += c;
        }
      }
      if (c == ']') --optional;
      if (c == '}') --choice;
    }
    if (word == "NAME") word = "ROOTCA";
    if (!word.empty()) out += (out.empty() ? "" : " ") + word;
  }
  return out;
}

/// Every field's name is in docs/JSON.md, and every time is RFC 3339 in UTC.
void expect_documented(const json& value, const std::string& documented, const std::string& line) {
  for (const auto& [name, inside] : value.items()) {
    if (value.is_object()) {
      EXPECT_THAT(name, MatchesRegex("[a-z0-9_]+")) << line;
      EXPECT_THAT(documented, HasSubstr("`" + name + "`")) << line;
      if (inside.is_string() && (name.ends_with("_at") || name == "at" || name == "time" ||
                                 name.ends_with("_update") || name.starts_with("not_"))) {
        EXPECT_THAT(inside.get<std::string>(),
                    MatchesRegex("[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9.]+Z"))
            << line << ": " << name;
      }
    }
    if (inside.is_structured()) expect_documented(inside, documented, line);
  }
}

TEST_F(JsonTest, EveryShowCommandHasIt) {
  std::ifstream file(std::string(UMBRA_SOURCE_DIR) + "/docs/JSON.md");
  std::stringstream documented_text;
  documented_text << file.rdbuf();
  const std::string documented = documented_text.str();
  std::size_t rows = 0;
  for (const config::Command& row : exec_table()) {
    if (!row.key.starts_with("show ")) continue;
    ++rows;
    const std::string line = typed(row);
    const ExecResult result = say(line + " | json");
    EXPECT_TRUE(result.ok) << line << ": " << result.output;
    const json parsed = json::parse(result.output, nullptr, false);
    EXPECT_TRUE(parsed.is_object()) << line << ": " << result.output;
    expect_documented(parsed, documented, line);
  }
  EXPECT_GE(rows, 19U);
}

TEST_F(JsonTest, NamesAndTimesAreThoseThatAreDocumented) {
  const json clock = json::parse(say("show clock | json").output);
  EXPECT_EQ(clock["time"], "2017-07-10T12:14:46.820Z");
  const json server = json::parse(say("show crypto pki server | j").output)["servers"][0];
  EXPECT_EQ(server["crl_next_update"], "2015-10-09T18:14:16Z");
  EXPECT_EQ(server["last_serial"], "1");
  EXPECT_EQ(server["ca"]["not_after"], "2017-10-08T12:14:16Z");
  EXPECT_TRUE(server["rollover"].is_null());
  const json timers = json::parse(say("show crypto pki timers | json").output);
  EXPECT_EQ(timers["trustpoints"][0]["timers"][0]["timer"], "RENEW Root-CA");
  EXPECT_EQ(timers["servers"][0]["timers"][2]["milliseconds_left"], 7775969180);
  const json held = json::parse(say("show crypto pki certificates Root-CA | json").output);
  EXPECT_TRUE(held["servers"].empty());
  EXPECT_EQ(held["trustpoints"][0]["certificate"]["serial"], "2");
  EXPECT_EQ(json::parse(say("show running-config | json").output)["lines"][1], "hostname hub");
}

TEST_F(JsonTest, WhatIsNotThereIsAnErrorAndNoJson) {
  EXPECT_FALSE(say("show crypto pki server NONE | json").ok);
  EXPECT_FALSE(say("show crypto pki server NONE crl | json").ok);
  EXPECT_FALSE(say("show crypto pki certificates NONE | json").ok);
  EXPECT_FALSE(say("show crypto pki status server NONE | json").ok);
}

}  // namespace
}  // namespace umbra::console
