// Whom a trustpoint asks, when, and what it makes of the answers that are none.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "client/lab_test.h"

namespace umbra::client {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;

TEST_F(TrustpointTest, WhatATimerSendsIsSpreadByATenthOfWhatIsLeftAtMostAndACommandIsNot) {
  spoke.spread = Seconds{3600};
  ca.lifetime_certificate = minutes{100};
  start();
  authenticate();
  const auto spread_of = [this](std::size_t n) { return sent.at(n).spread; };
  EXPECT_EQ(spread_of(0), Seconds{0}) << "GetCACert was commanded";
  EXPECT_EQ(spread_of(1), Seconds{0}) << "and GetCACaps with it";
  EXPECT_EQ(spread_of(2), Seconds{3600}) << "RENEW: the CA has years to live";
  auto before = sent.size();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_EQ(spread_of(before), Seconds{0});
  before = sent.size();
  run_until(zero + minutes{80});
  ASSERT_EQ(sent.size(), before + 1);
  EXPECT_EQ(spread_of(before), minutes{2}) << "a tenth of the certificate's last twenty minutes";
  cut = true;
  run_until(zero + minutes{161});
  EXPECT_EQ(spread_of(before + 1), minutes{2});
  EXPECT_EQ(spread_of(before + 2), Seconds{114}) << "a retry a minute later";
}

TEST_F(TrustpointTest, APollLeavesInTimeToBeAnsweredBeforeTheNextOneHoweverLongTheSpread) {
  spoke.spread = Seconds{3600};
  ca.grant = config::Grant::manual;
  start();
  authenticate();
  const auto before = sent.size();
  run_until(zero + minutes{7});
  ASSERT_EQ(sent.size(), before + 3) << "after one, two and four minutes";
  EXPECT_EQ(sent[before].spread, Seconds{30}) << "half of the minute to the next";
  EXPECT_EQ(sent[before + 1].spread, minutes{1});
  EXPECT_EQ(sent[before + 2].spread, minutes{2});
  spoke.spread = Seconds{10};
  start_spoke();
  run_until(zero + minutes{8});
  ASSERT_EQ(sent.size(), before + 4);
  EXPECT_EQ(sent.back().spread, Seconds{10});
}

TEST_F(TrustpointTest, TriesItsServersInTurnAndStaysWithTheOneThatAnswers) {
  spoke.enrollment_url = "http://a";
  spoke.more_urls = {"http://b", "http://c"};
  down = {"a", "b"};
  start();
  authenticate();
  EXPECT_EQ(status().enrollment_url, "http://c/cgi-bin");
  EXPECT_THAT(operations(),
              ElementsAre("GetCACert", "GetCACert", "GetCACert", "GetCACaps", "PKIOperation"));
  EXPECT_EQ(log.count("%UMBRA-5-ENROLLMENT_URL: Trustpoint Root-CA: http://c answers"), 1U);
  // The first one is back: nobody is left who answers for its sake, not even by a restart.
  down = {"b"};
  start_spoke();
  const std::size_t before = sent.size();
  run_until(day(292));
  EXPECT_THAT(operations(before), ElementsAre("PKIOperation"));
  EXPECT_TRUE(sent.back().target.starts_with("http://c/")) << sent.back().target;
}

TEST_F(TrustpointTest, WhenNoServerAnswersAllOfThemAreTriedAtEachRetry) {
  spoke.more_urls = {"http://b"};
  start();
  authenticate();
  cut = true;
  run_until(day(292));
  std::size_t before = sent.size();
  EXPECT_EQ(armed().substr(0, 13), "CONNECT RETRY");
  run_until(day(292) + minutes{1});
  EXPECT_EQ(sent.size(), before + 2);
  EXPECT_NE(sent[before].target.substr(0, 9), sent[before + 1].target.substr(0, 9));
  cut = false;
  run_until(day(292) + minutes{2});
  EXPECT_EQ(status().identity->not_before(), day(292) + minutes{2});
}

TEST_F(TrustpointTest, AServerThatTalksNonsenseIsFollowedByTheNextOne) {
  spoke.enrollment_url = "http://a";
  spoke.more_urls = {"http://b"};
  start();
  authenticate();
  tamper = [](const Sent& one, HttpReply reply) {
    if (one.target.starts_with("http://a/")) reply.body = to_bytes(as_bytes("<html>hello</html>"));
    return reply;
  };
  const auto first = *status().identity;
  run_until(day(292));
  EXPECT_EQ(*status().identity, first);
  run_until(day(292) + minutes{1});
  EXPECT_FALSE(*status().identity == first);
  EXPECT_EQ(status().enrollment_url, "http://b/cgi-bin");
}

TEST_F(TrustpointTest, APendingRequestStaysWithItsServerThroughARestart) {
  ca.grant = config::Grant::manual;
  spoke.enrollment_url = "http://a";
  spoke.more_urls = {"http://b"};
  down = {"a"};
  start();
  authenticate();
  EXPECT_EQ(status().last_enrollment_status, "Pending");
  down = {"b"};
  start_spoke();
  const std::size_t before = sent.size();
  run_until(zero + minutes{20});
  ASSERT_GT(sent.size(), before);
  for (std::size_t i = before; i < sent.size(); ++i)
    EXPECT_TRUE(sent[i].target.starts_with("http://b/")) << sent[i].target;
  down.clear();
  grant_pending();
  run_until(zero + minutes{40});
  EXPECT_TRUE(status().identity);
}

TEST_F(TrustpointTest, AsksForTheCaThatTheServerKnowsByAnotherName) {
  spoke.enrollment_url = "http://a/scep?site=1";
  spoke.ca_identifier = "CA 2";
  start();
  authenticate();
  EXPECT_EQ(sent[0].target, "http://a/scep?site=1&operation=GetCACert&message=CA%202");
}

TEST_F(TrustpointTest, TheCaMayBeGotElsewhereThanCertificates) {
  spoke.authentication_url = "http://auth/scep";
  start();
  authenticate();
  EXPECT_EQ(sent[0].target.substr(0, 28), "http://auth/scep/pkiclient.e");
  EXPECT_EQ(operations().front(), "GetCACert");
  for (std::size_t i = 1; i < sent.size(); ++i)
    EXPECT_TRUE(sent[i].target.starts_with(spoke.enrollment_url)) << sent[i].target;
  EXPECT_TRUE(status().identity);
}

TEST_F(TrustpointTest, AServerThatIsDownIsTriedAgainWithTheSameRequest) {
  enrolled();
  const auto before = *status().identity;
  cut = true;
  run_until(day(292) + minutes{2});
  EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(day(292) + minutes{4}));
  EXPECT_EQ(*status().identity, before);
  EXPECT_EQ(log.count("%PKI-3-SOCKETSEND: Failed to send out message to CA server."), 3U);
  EXPECT_EQ(log.count("%PKI-6-AUTOCERTFAIL"), 1U);
  const auto request = row().request;
  cut = false;
  run_until(day(292) + minutes{4});
  EXPECT_FALSE(*status().identity == before);
  EXPECT_FALSE(request.empty());
  EXPECT_TRUE(row().request.empty());
}

TEST_F(TrustpointTest, ACaThatCannotBeReachedForItsCapabilitiesIsAskedAgain) {
  start();
  tamper = [this](const Sent& call, HttpReply reply) {
    cut = call.operation == "GetCACert";
    return reply;
  };
  authenticate();
  EXPECT_TRUE(status().ca);
  EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(zero + minutes{1}));
  cut = false;
  run_until(zero + minutes{1});
  EXPECT_TRUE(status().identity);
}

TEST_F(TrustpointTest, ABusyCaSaysWhenToComeAgain) {
  enrolled();
  std::vector<Seconds> waits = {Seconds{7}, Seconds{90}, Seconds{86400}};
  std::vector<Time> asked;
  tamper = [&](const Sent& call, HttpReply reply) {
    asked.push_back(call.at);
    if (waits.empty()) return reply;
    reply = {503, "text/plain", {}};
    reply.retry_after = waits.front();
    waits.erase(waits.begin());
    return reply;
  };
  run_until(day(293));
  EXPECT_THAT(asked, ElementsAre(day(292), day(292) + Seconds{7}, day(292) + Seconds{97},
                                 day(292) + Seconds{97 + 3600}))
      << "an hour at most";
  EXPECT_EQ(log.count("%UMBRA-5-COME_AGAIN: Trustpoint Root-CA: the CA is busy"), 3U);
  EXPECT_EQ(log.count("NO_ANSWER"), 0U);
  EXPECT_EQ(status().identity->not_before(), day(292));
}

TEST_F(TrustpointTest, ACaThatIsBusyAtFirstSaysWhenToComeAgainToo) {
  start_server();
  spoke.fingerprint = to_hex(server->status().ca->fingerprint(x509::Digest::sha256));
  std::map<std::string, std::vector<Time>> asked;
  tamper = [&](const Sent& call, HttpReply reply) {
    auto& times = asked[call.operation];
    times.push_back(call.at);
    if (call.operation == "PKIOperation" || times.size() > 2) return reply;
    reply = {503, "text/plain", {}};
    reply.retry_after = times.size() == 1 ? Seconds{600} : Seconds{86400};
    return reply;
  };
  start_spoke();
  run_until(day(1));
  const Time there = zero + Seconds{600 + 3600};
  EXPECT_THAT(asked["GetCACert"], ElementsAre(zero, zero + Seconds{600}, there));
  EXPECT_THAT(asked["GetCACaps"], ElementsAre(there, there + Seconds{600}, there + Seconds{4200}));
  EXPECT_TRUE(status().identity);
}

TEST_F(TrustpointTest, ACaThatIsOutOfOrderAtFirstIsAskedEveryHourAtLeastAndNamed) {
  start_server();
  spoke.fingerprint = to_hex(server->status().ca->fingerprint(x509::Digest::sha256));
  std::vector<Time> asked;
  bool good = false;
  tamper = [&](const Sent& call, HttpReply reply) {
    if (call.operation != "GetCACaps") return reply;
    asked.push_back(call.at);
    if (!good) reply = {500, "text/html", {}};
    return reply;
  };
  start_spoke();
  run_until(day(2));
  for (std::size_t i = 1; i < asked.size(); ++i)
    EXPECT_LE(asked[i] - asked[i - 1], std::chrono::hours{1});
  EXPECT_GT(asked.size(), 40U);
  EXPECT_EQ(log.count("GetCACaps: HTTP status 500; next try at"), asked.size());
  EXPECT_TRUE(status().ca);
  EXPECT_FALSE(status().identity);
  start_spoke();
  EXPECT_EQ(asked.back(), day(2)) << "a start asks at once";
  good = true;
  run_until(day(2) + std::chrono::hours{1});
  EXPECT_TRUE(status().identity);
}

TEST_F(TrustpointTest, APageInsteadOfCapabilitiesIsNamedOnceForEachAnswer) {
  std::string page = "<html>\n<h1>It works!</h1>";
  tamper = [&](const Sent& call, HttpReply reply) {
    if (call.operation == "GetCACaps")
      reply = {200, "text/html; charset=utf-8", to_bytes(as_bytes(page))};
    return reply;
  };
  const std::string line =
      "%UMBRA-4-CAPABILITIES: Trustpoint Root-CA: the answer to GetCACaps has ";
  start();
  authenticate();
  authenticate();
  EXPECT_EQ(log.count(line), 1U);
  EXPECT_EQ(log.count("(text/html, \"<html>.<h1>It works!</h1>\")"), 1U);
  page = "another page";
  authenticate();
  EXPECT_EQ(log.count(line), 2U);
  page = "";
  authenticate();
  EXPECT_EQ(log.count(line), 2U) << "an old CA may say so with nothing";
  page = "Renewal\nX-New\n";
  authenticate();
  EXPECT_EQ(log.count(line), 2U);
}

TEST_F(TrustpointTest, AnAnswerThatComesTooLateIsIgnored) {
  ca.grant = config::Grant::manual;
  start();
  authenticate();
  hold_answers = true;
  run_until(zero + minutes{1});
  ASSERT_EQ(held.size(), 1U);
  hold_answers = false;
  const auto before = row();
  // Authenticating anew ends what was under way; its answer belongs to nothing any more.
  tamper = [](const Sent& call, HttpReply reply) {
    if (call.operation == "PKIOperation") reply.status = 500;
    return reply;
  };
  authenticate();
  const auto since = row().since;
  held[0]();
  settle();
  EXPECT_EQ(row().since, since);
  EXPECT_TRUE(row().failing) << "the newer request's own failure stands";
}

TEST_F(TrustpointTest, AnAnswerToAnOlderMessageIsNoAnswer) {
  enrolled();
  std::optional<HttpReply> first;
  tamper = [&](const Sent&, HttpReply reply) {
    if (!first) first = reply;
    return *first;
  };
  const auto before = *status().identity;
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  const auto renewed = *status().identity;
  EXPECT_FALSE(renewed == before);
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_EQ(*status().identity, renewed);
  EXPECT_EQ(armed().substr(0, 13), "CONNECT RETRY");
}

TEST_F(TrustpointTest, AServerOfAnotherMakeIsReachedAtItsUrlAsGiven) {
  start_server();
  spoke.enrollment_url = "http://10.1.255.12:80/scep";
  tamper = [](const Sent& call, HttpReply reply) {
    if (call.target.find("/scep?") == std::string::npos) reply.status = 404;
    return reply;
  };
  start_spoke();
  authenticate();
  EXPECT_TRUE(status().identity);
  const auto calls = sent.size();
  start_spoke();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_EQ(sent.size(), calls + 2) << "a new process finds the way again";
  EXPECT_EQ(status().last_enrollment_status, "Granted");
}

TEST_F(TrustpointTest, AServerOutOfOrderAtGetCaCapsHasNotSaidThatItHasNone) {
  unsigned answered_with = 0;
  tamper = [&](const Sent& call, HttpReply reply) {
    if (call.operation == "GetCACaps" && answered_with != 0) {
      reply.status = answered_with;
      reply.body.clear();
    }
    return reply;
  };
  start();
  for (const unsigned status_code : {500U, 502U, 503U, 504U, 408U, 429U}) {
    answered_with = status_code;
    authenticate();
    EXPECT_FALSE(row().capabilities_known) << status_code;
    EXPECT_EQ(log.count(fmt::format("Trustpoint Root-CA: GetCACaps: HTTP status {}; next try at {}",
                                    status_code, to_rfc3339(zero + minutes{1}))),
              1U);
    EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(zero + minutes{1}));
  }
  EXPECT_FALSE(status().identity) << "nothing is asked of it before it has told";
  answered_with = 0;
  run_until(zero + minutes{1});
  EXPECT_TRUE(status().identity);
  EXPECT_TRUE(status().ca_tells_next) << "SHADOW comes";
  for (const unsigned status_code : {400U, 403U, 404U, 501U}) {
    answered_with = status_code;
    authenticate();
    EXPECT_TRUE(row().capabilities_known) << status_code;
    EXPECT_FALSE(status().ca_tells_next) << status_code;
  }
}

}  // namespace
}  // namespace umbra::client
