#include "io/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

namespace umbra::io {
namespace {

using namespace std::chrono_literals;

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AdmissionLog final : public Log {
 public:
  void event(const LogEvent& event) override { lines.push_back(to_string(event)); }
  void debug(std::string_view, std::string_view) override {}
  std::vector<std::string> lines;
};

const Time some_day = *from_rfc3339("2026-03-01T00:00:00Z");

/// One worker, which works when the test says so, and takes ten milliseconds for each; requests say
/// in their body who they are: `R5` is signed by a certificate that ends on day 5, `F5` by a forged
/// one, `N` by none of ours.
class AdmissionTest : public testing::Test {
 protected:
  void come(const std::string& who, const std::string& target = "/scep?operation=PKIOperation") {
    auto request = std::make_shared<HttpRequest>();
    request->method = "POST";
    request->target = target;
    request->body = to_bytes(as_bytes(who));
    admission.admit(std::move(request), [this, who](const HttpReply& reply) {
      if (reply.status == 503) {
        put_off.push_back(who);
        moments.push_back(reply.retry_after.value());
      }
    });
  }
  void come(std::size_t many, const std::string& who) {
    for (std::size_t i = 0; i < many; ++i) come(who);
  }
  void work(std::size_t turns) {
    for (; turns > 0 && !tasks.empty(); --turns) {
      const auto task = std::move(tasks.front());
      tasks.pop_front();
      task();
    }
  }
  /// So that it is known what one takes.
  void warm_up() {
    come("N");
    work(1);
    served.clear();
  }
  static server::Sighting look_at(const HttpRequest& request) {
    const std::string who(as_text(request.body));
    if (who.front() == 'N') return {};
    return {{server::Urgency::Rank::ending, some_day + Days{std::stoi(who.substr(1))}},
            request.body};
  }

  std::chrono::steady_clock::time_point now{};
  std::deque<Admission::Task> tasks;
  std::vector<Admission::Task> later;
  std::vector<std::string> served, put_off;
  std::vector<std::chrono::seconds> moments;
  std::size_t looks = 0, verified = 0;
  std::vector<std::size_t> under_way;
  std::vector<std::size_t> under_way_afterwards;
  std::chrono::milliseconds disk{0};
  AdmissionLog log;
  Counters counters;
  Admission admission{{.workers = 1,
                       .post = [this](Admission::Task task) { tasks.push_back(std::move(task)); },
                       .after = [this](std::chrono::seconds,
                                       Admission::Task task) { later.push_back(std::move(task)); },
                       .handler =
                           [this](const HttpRequest& request, const HttpDone& done) {
                             now += 10ms;
                             served.emplace_back(as_text(request.body));
                             done({});
                           },
                       .look =
                           [this](const HttpRequest& request) {
                             ++looks;
                             return look_at(request);
                           },
                       .vouched =
                           [this](const server::Sighting& sighting) {
                             ++verified;
                             return as_text(sighting.certificate).front() == 'R';
                           },
                       .under_way = [this](std::size_t many) { under_way.push_back(many); },
                       .afterwards =
                           [this] {
                             under_way_afterwards.push_back(under_way.back());
                             now += disk;
                           },
                       .log = log,
                       .counters = counters,
                       .now = [this] { return now; }}};
};

TEST_F(AdmissionTest, TellsHowManyAreUnderWayTheForgedOnesToo) {
  come("N");
  come("/scep", "/scep?operation=GetCACaps");
  come("R5");
  EXPECT_THAT(under_way, ElementsAre(1, 1, 2)) << "what costs nothing is not counted";
  work(2);
  come(Admission::short_line, "N");
  come(3, "F5");
  work(1000);
  EXPECT_TRUE(tasks.empty());
  EXPECT_EQ(under_way.back(), 0U);
  for (const std::size_t one : under_way) EXPECT_LE(one, Admission::short_line + 4);
}

TEST_F(AdmissionTest, TheDisksTimeIsNobodys) {
  disk = 500ms;
  warm_up();
  EXPECT_THAT(under_way_afterwards, ElementsAre(0)) << "he has been served";
  disk = 0ms;
  // Beyond always_welcome; a hundredth of a second each, and two seconds are not too long.
  static_assert(Admission::always_welcome < 190);
  come(190, "N");
  EXPECT_TRUE(put_off.empty());
  work(190);
  EXPECT_EQ(served.size(), 190U);
}

TEST_F(AdmissionTest, AShortLineIsServedAsItCameAndLookedAtByNobody) {
  come("N");
  come("R5");
  come("R1");
  come("F1");
  work(4);
  EXPECT_THAT(served, ElementsAre("N", "R5", "R1", "F1"));
  EXPECT_EQ(looks, 0U);
  EXPECT_EQ(verified, 0U);
}

TEST_F(AdmissionTest, InALongLineTheCertificateThatEndsFirstGoesFirst) {
  come(Admission::short_line, "first");
  for (const char* who : {"N", "R9", "R2", "R5"}) come(who);
  work(Admission::short_line);
  served.clear();
  work(4);
  EXPECT_THAT(served, ElementsAre("R2", "R5", "R9", "N"));
}

TEST_F(AdmissionTest, EveryFourthTurnIsAFirstEnrolments) {
  come(Admission::short_line, "first");
  for (int i = 0; i < 8; ++i) come("R1");
  come("N1");
  come("N2");
  work(Admission::short_line);
  served.clear();
  work(10);
  EXPECT_THAT(served, ElementsAre("R1", "R1", "R1", "N1", "R1", "R1", "R1", "N2", "R1", "R1"));
}

TEST_F(AdmissionTest, WhoForgesACertificateIsPutBehind) {
  come(Admission::short_line, "first");
  for (const char* who : {"N", "F1", "R7"}) come(who);
  work(Admission::short_line);
  served.clear();
  work(3);
  EXPECT_THAT(served, ElementsAre("R7", "N", "F1"));
}

TEST_F(AdmissionTest, WhatCostsNothingNeitherWaitsNorIsTurnedAway) {
  warm_up();
  admission.set_wait_max(1ms);
  come(Admission::always_welcome, "N");
  come("get", "/scep?operation=GetCACert");
  come("N");
  EXPECT_THAT(put_off, ElementsAre("N"));
  work(Admission::short_line + 1);
  EXPECT_EQ(served.back(), "get");
}

TEST_F(AdmissionTest, NobodyIsTurnedAwayWhereFewWait) {
  warm_up();
  admission.set_wait_max(1ms);
  come(Admission::always_welcome, "N");
  EXPECT_TRUE(put_off.empty());
  EXPECT_EQ(counters.put_off, 0U);
}

TEST_F(AdmissionTest, BeyondWhatCanBeAnsweredInTimeTheLastIsTurnedAway) {
  warm_up();
  admission.set_wait_max(2s);  // of ten milliseconds each
  come(200, "N");
  EXPECT_TRUE(put_off.empty());
  come("N1");
  EXPECT_EQ(put_off.size(), 1U);
  EXPECT_EQ(counters.put_off, 1U);
  work(1);
  come("N");
  EXPECT_EQ(put_off.size(), 1U);
  work(300);
  EXPECT_EQ(served.size(), 201U);
}

TEST_F(AdmissionTest, ARenewalTakesThePlaceOfAFirstEnrolment) {
  warm_up();
  admission.set_wait_max(2s);
  come(199, "R9");
  come("N");
  come("R3");
  EXPECT_THAT(put_off, ElementsAre("N"));
  come("R4");
  EXPECT_THAT(put_off, ElementsAre("N", "R9"));
  come("R99");
  EXPECT_THAT(put_off, ElementsAre("N", "R9", "R99"));
  work(300);
  EXPECT_EQ(served.size(), 200U);
}

TEST_F(AdmissionTest, EachIsGivenAMomentOfHisOwn) {
  warm_up();
  admission.set_wait_max(2s);
  come(200 + 300, "N");
  ASSERT_EQ(moments.size(), 300U);
  EXPECT_EQ(moments.front(), 3s);  // behind those that wait
  EXPECT_EQ(moments.back(), 5s);   // and behind three seconds' worth of others
  EXPECT_TRUE(std::is_sorted(moments.begin(), moments.end()));
}

TEST_F(AdmissionTest, AFloodPutsNobodyOffForLong) {
  warm_up();
  come(100'000, "N");
  EXPECT_LE(*std::max_element(moments.begin(), moments.end()), Admission::retry_after_max);
}

TEST_F(AdmissionTest, AnEpisodeIsLoggedOnceAndWhenItIsOver) {
  warm_up();
  admission.set_wait_max(1ms);
  come(Admission::always_welcome + 50, "N");
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines.front(), HasSubstr("%UMBRA-4-BUSY: 128 requests wait"));
  ASSERT_EQ(later.size(), 1U);
  now += 3s;
  come("N");
  now += Admission::quiet_after - 1s;
  later.back()();
  ASSERT_EQ(log.lines.size(), 1U);
  ASSERT_EQ(later.size(), 2U);
  now += Admission::quiet_after;
  later.back()();
  ASSERT_EQ(log.lines.size(), 2U);
  EXPECT_THAT(
      log.lines.back(),
      HasSubstr("%UMBRA-5-BUSY_OVER: 51 requests were told to come again within 3 seconds"));
  EXPECT_EQ(later.size(), 2U);
  come("N");
  EXPECT_EQ(log.lines.size(), 3U);
}

}  // namespace
}  // namespace umbra::io
