#include "io/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace umbra::io {
namespace {

class StillClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override {
    return Instant{*from_rfc3339("2017-07-10T11:14:16Z")} + std::chrono::milliseconds{510};
  }
  [[nodiscard]] bool authoritative() const override { return authoritative_; }
  [[nodiscard]] std::string source() const override { return "test"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant) const override { return {}; }
  bool authoritative_ = true;
};

class StderrLogTest : public testing::Test {
 protected:
  template <class Say>
  std::string said(const Say& say, bool debug = false) {
    testing::internal::CaptureStderr();
    StderrLog log(clock, {.name = "CET", .offset = std::chrono::hours{2}}, debug);
    say(log);
    return testing::internal::GetCapturedStderr();
  }
  std::string event(const std::string& text) {
    return said([&](Log& log) { log.event({Severity::informational, "TEST", text}); });
  }
  StillClock clock;
};

TEST_F(StderrLogTest, ALineIsHeadedAsIosHeadsIt) {
  EXPECT_EQ(event("hello"), "Jul 10 13:14:16.510: %PKI-6-TEST: hello\n");
  clock.authoritative_ = false;
  EXPECT_EQ(event("hello"), "*Jul 10 13:14:16.510: %PKI-6-TEST: hello\n");
}

TEST_F(StderrLogTest, WhatPeersSentForgesNoLineAndReachesNoTerminal) {
  EXPECT_EQ(event("a\nJul 11 00:00:00.000: %PKI-6-FORGED: b"),
            "Jul 10 13:14:16.510: %PKI-6-TEST: a?Jul 11 00:00:00.000: %PKI-6-FORGED: b\n");
  EXPECT_THAT(event("a\x1b[2J\x7f\r"), testing::EndsWith("a?[2J??\n"));
  EXPECT_THAT(event("a\xc2\x9b"
                    "2J"),
              testing::Not(testing::HasSubstr("\xc2\x9b")));
  EXPECT_THAT(event("Z\xc3\x9c"
                    "RICH {} %s"),
              testing::EndsWith("Z\xc3\x9c"
                                "RICH {} %s\n"));
}

TEST_F(StderrLogTest, DebugLinesOnlyIfAskedFor) {
  const auto say = [](Log& log) { log.debug("CRYPTO_CS", "detail"); };
  EXPECT_EQ(said(say), "");
  EXPECT_EQ(said(say, true), "Jul 10 13:14:16.510: CRYPTO_CS: detail\n");
}

}  // namespace
}  // namespace umbra::io
