#include "io/expiry_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vectors.h"

namespace umbra::io {
namespace {

using lifecycle::Timer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class HandClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant{at}; }
  [[nodiscard]] bool authoritative() const override { return good; }
  [[nodiscard]] std::string source() const override { return "NTP"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant) const override { return {}; }
  Time at;
  bool good = true;
};
class Lines final : public Log {
 public:
  void event(const LogEvent& event) override { lines.push_back(to_string(event)); }
  void debug(std::string_view, std::string_view) override {}
  std::vector<std::string> lines;
};

/// The guide's first CA, which ends on 2017-10-08 12:14:16 UTC.
class ExpiryWatchTest : public testing::Test {
 protected:
  ExpiryWatchTest()
      : ca(*x509::Certificate::from_der(vectors::hex("guide/ca-01.hex"))),
        next_ca(*x509::Certificate::from_der(vectors::hex("guide/ca-rollover-03.hex"))),
        watch(
            clock, log, [this] { return servers; }, [this] { return trustpoints; }) {}
  std::vector<std::string> said_on(Time at) {
    clock.at = at;
    log.lines.clear();
    watch.run();
    return log.lines;
  }
  [[nodiscard]] Time end() const { return ca.not_after(); }

  HandClock clock;
  Lines log;
  x509::Certificate ca, next_ca;
  std::vector<server::Status> servers;
  std::vector<client::Status> trustpoints;
  ExpiryWatch watch;
};

TEST_F(ExpiryWatchTest, AServerWithoutARolloverIsNamedInTime) {
  servers.resize(1);
  servers[0].name = "ROOTCA";
  servers[0].ca = ca;
  EXPECT_THAT(said_on(end() - Days{61}), IsEmpty());
  EXPECT_EQ(watch.next(), end() - Days{61} + std::chrono::hours{6});
  EXPECT_THAT(said_on(end() - Days{60} - Seconds{10}), IsEmpty());
  EXPECT_EQ(watch.next(), end() - Days{60}) << "to the second";
  EXPECT_THAT(
      said_on(end() - Days{60}),
      ElementsAre("%PKI-4-CERT_EXPIRY_WARNING: CA Certificate of certificate server ROOTCA will "
                  "expire in 60 Days 0 hours 0 mins 0 secs. Issuer-name : cn=RootCA,ou=TAC,o=Cisco "
                  "Subject-name : cn=RootCA,ou=TAC,o=Cisco Serial-number : 01 Auto-Renewal : Not "
                  "Enabled"));
  EXPECT_THAT(said_on(end() - Days{59}), IsEmpty()) << "once";
  EXPECT_THAT(said_on(end() - Days{5}), ElementsAre(HasSubstr("%PKI-1-CERT_EXPIRY_ALERT: ")));
  servers[0].rollover = next_ca;
  EXPECT_THAT(said_on(end() - Days{3}), IsEmpty()) << "its successor is there";
  servers[0].rollover.reset();
  EXPECT_THAT(said_on(end()), IsEmpty()) << "too late";
}

TEST_F(ExpiryWatchTest, WhatIsRenewedInTimeIsNotSpokenOf) {
  client::Status t;
  t.name = "Root-CA";
  t.ca = ca;
  t.identity = ca;
  t.renew_at = end() - Days{30};
  t.deadlines = {{end() - Days{30}, Timer::shadow, "Root-CA"}};
  trustpoints = {t};
  EXPECT_THAT(said_on(end() - Days{45}), IsEmpty()) << "SHADOW comes on day 30 before the end";
  // It has fired, and nobody answers.
  trustpoints[0].renew_at.reset();
  trustpoints[0].deadlines = {{end() - Days{29}, Timer::connect_retry, "Root-CA"}};
  EXPECT_THAT(said_on(end() - Days{29}),
              ElementsAre(HasSubstr("ID Certificate belonging to trustpoint Root-CA will expire in "
                                    "29 Days 0 hours 0 mins 0 secs."),
                          HasSubstr("CA Certificate belonging to trustpoint Root-CA")));
  trustpoints[0].rollover_ca = next_ca;
  EXPECT_THAT(said_on(end() - Days{20}),
              ElementsAre(HasSubstr("ID Certificate belonging to trustpoint Root-CA")));
}

TEST_F(ExpiryWatchTest, ATrustpointsCertificatesAreSpokenOfWeeklyAndInTheLastWeekDaily) {
  client::Status t;
  t.name = "Root-CA";
  t.ca = ca;
  t.identity = ca;
  trustpoints = {t};
  std::vector<std::string> said;
  // Woken by what it says itself, as by the driver; its last 400 days.
  for (Time at = end() - Days{400}; at < end(); at = watch.next()) {
    for (const std::string& line : said_on(at)) {
      const auto left = line.find("expire in ") + 10;
      said.push_back(line.substr(0, line.find(':')) + " " + line.substr(line.find(": ") + 2, 2) +
                     " " + line.substr(left, line.find(" 0 hours 0 mins 0 secs.") - left));
    }
    ASSERT_GT(watch.next(), at);
  }
  std::vector<std::string> expected;
  for (const int days : {60, 53, 46, 39, 32, 25, 18, 11, 7, 6, 5, 4, 3, 2, 1}) {
    for (const char* type : {"ID", "CA"}) {
      expected.push_back(
          std::string(days > 7 ? "%PKI-4-CERT_EXPIRY_WARNING " : "%PKI-1-CERT_EXPIRY_ALERT ") +
          type + " " + std::to_string(days) + " Days");
    }
  }
  EXPECT_EQ(said, expected);
}

TEST_F(ExpiryWatchTest, WhatWasSaidByAClockThatWasAheadIsSaidAgainInItsTime) {
  servers.resize(1);
  servers[0].ca = ca;
  EXPECT_THAT(said_on(end() - Days{3}), testing::SizeIs(1));
  EXPECT_THAT(said_on(end() - Days{100}), IsEmpty());
  EXPECT_THAT(said_on(end() - Days{60}), testing::SizeIs(1));
}

TEST_F(ExpiryWatchTest, NothingIsSaidByAClockThatIsNotAuthoritative) {
  servers.resize(1);
  servers[0].ca = ca;
  clock.good = false;
  EXPECT_THAT(said_on(end() - Days{5}), IsEmpty());
  clock.good = true;
  EXPECT_THAT(said_on(end() - Days{5}), testing::SizeIs(1));
}

}  // namespace
}  // namespace umbra::io
