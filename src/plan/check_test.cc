#include "plan/check.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "plan/intervals.h"

namespace umbra::plan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Offset day = 86400;

Source source(const std::string& file, const std::string& text) {
  Source made{file, config::parse(text)};
  for (const config::Fault& fault : made.parsed.faults)
    ADD_FAILURE() << config::to_string(fault, file);
  return made;
}

/// The guide's server, with what it leaves to the reader; `also` goes into its block.
Source hub(const std::string& also = "") {
  return source("hub.cfg",
                "hostname hub\n"
                "clock calendar-valid\n"
                "ip http server\n"
                "ip http address 172.16.1.1\n"
                "crypto pki server ROOTCA\n"
                " database archive pkcs12 password s3cret-of-the-archive\n"
                " grant auto\n"
                " lifetime crl 48\n"
                " lifetime certificate 365\n"
                " lifetime ca-certificate 730\n"
                " database url ftp://10.1.1.1/DB/ROOTCA/\n"
                " auto-rollover 90\n"
                " no shutdown\n" +
                    also);
}

Source spoke(const std::string& name, const std::string& also = " auto-enroll 80\n") {
  return source(name + ".cfg", "hostname " + name +
                                   "\n"
                                   "ntp server 10.1.1.1\n"
                                   "crypto pki trustpoint Root-CA\n"
                                   " enrollment url http://172.16.1.1:80\n" +
                                   also);
}

std::vector<std::string> rules(const Report& report, Grade least = Grade::note) {
  std::vector<std::string> found;
  for (const Finding& finding : report.findings) {
    if (finding.grade <= least)
      found.push_back(std::string(to_string(finding.grade)) + " " + finding.rule);
  }
  return found;
}

const Finding& find(const Report& report, const std::string& rule) {
  static const Finding none;
  const auto found = std::find_if(report.findings.begin(), report.findings.end(),
                                  [&](const Finding& one) { return one.rule == rule; });
  if (found != report.findings.end()) return *found;
  ADD_FAILURE() << "no finding " << rule << " in\n" << to_text(report);
  return none;
}

std::vector<std::string> fixes(const Finding& finding) {
  std::vector<std::string> found;
  for (const Fix& fix : finding.fixes)
    found.push_back(fix.file + ":" + std::to_string(fix.line) + (fix.replaces ? "=" : "+") +
                    fix.text);
  return found;
}

TEST(Intervals, JoinWhatTouches) {
  Intervals set(10, 20);
  set.add({30, 40});
  set.add({21, 29});
  EXPECT_EQ(set, Intervals(10, 40));
  set.add({60, 50});
  EXPECT_EQ(set, Intervals(10, 40)) << "an interval that ends before it begins is none";
}

TEST(Intervals, AreCutAndMoved) {
  Intervals set(10, 20);
  set.add({30, 40});
  EXPECT_EQ(set.within(Interval{15, 35}).all(), (std::vector<Interval>{{15, 20}, {30, 35}}));
  EXPECT_EQ(set.without(Intervals(15, 35)).all(), (std::vector<Interval>{{10, 14}, {36, 40}}));
  EXPECT_EQ(set.moved(-10, 0).all(), (std::vector<Interval>{{0, 40}}));
  EXPECT_TRUE(set.contains(40));
  EXPECT_FALSE(set.contains(25));
}

TEST(Words, SayDaysAndSpansAsPeopleDo) {
  EXPECT_EQ(number_of_day(620 * day + day / 2), "620.5");
  EXPECT_EQ(span(17 * day), "17 days");
  EXPECT_EQ(span(30 * 3600), "30 hours");
  EXPECT_EQ(span(day), "1 day");
  EXPECT_EQ(count(5000), "5,000");
  EXPECT_EQ(count(1234567), "1,234,567");
  EXPECT_EQ(count(1000000), "1,000,000");
  EXPECT_EQ(ios_days(Days{109} + std::chrono::hours{12}), "109 12");
  EXPECT_EQ(ios_days(Seconds{61}), "0 0 2");
}

TEST(Check, TheGuidesConfigurationHasNothingWrongWithIt) {
  const Report report = check({hub(), spoke("spoke-1")}, {});
  EXPECT_THAT(rules(report), ElementsAre("note late-starters", "note rollover-proved"));
  EXPECT_THAT(find(report, "rollover-proved").text, HasSubstr("17 days to spare"));
}

TEST(Check, SeventyPercentIsAWarningWithBothLinesToWrite) {
  const Report report = check({hub(), spoke("spoke-1", " auto-enroll 70 regenerate\n")}, {});
  const Finding& finding = find(report, "shadow-too-early");
  EXPECT_EQ(finding.grade, Grade::warning);
  EXPECT_EQ(finding.at.file, "spoke-1.cfg");
  EXPECT_EQ(finding.at.line, 5U);
  EXPECT_THAT(fixes(finding), ElementsAre("hub.cfg:12= auto-rollover 110",
                                          "spoke-1.cfg:5= auto-enroll 76 regenerate"));
  vectors::expect_golden("plan/seventy-percent.txt", to_text(report));
}

TEST(Check, WhatItSaysToWriteHolds) {
  for (const char* const enroll : {"10", "50", "70", "75"}) {
    const std::string line = std::string(" auto-enroll ") + enroll + "\n";
    const Report before = check({hub(), spoke("spoke-1", line)}, {});
    const Finding& finding = find(before, "shadow-too-early");
    ASSERT_EQ(finding.fixes.size(), 2U) << enroll;
    const Report longer = check({hub(finding.fixes[0].text + "\n"), spoke("spoke-1", line)}, {});
    EXPECT_THAT(rules(longer, Grade::warning), IsEmpty()) << finding.fixes[0].text;
    const Report later = check({hub(), spoke("spoke-1", finding.fixes[1].text + "\n")}, {});
    EXPECT_THAT(rules(later, Grade::warning), IsEmpty()) << finding.fixes[1].text;
  }
}

TEST(Check, FewRetriesTurnTheWarningIntoAnError) {
  const Report report =
      check({hub(), spoke("spoke-1", " enrollment retry count 10\n auto-enroll 70\n")}, {});
  EXPECT_THAT(rules(report, Grade::error),
              ElementsAre("error retries-run-out", "error shadow-too-early"));
  vectors::expect_golden("plan/few-retries.txt", to_text(report));
}

TEST(Check, AServerWithoutRolloverTakesEverybodyWithIt) {
  const Report report = check({hub(" no auto-rollover\n"), spoke("a"), spoke("b")}, {});
  const Finding& finding = find(report, "no-rollover");
  EXPECT_EQ(finding.grade, Grade::error);
  EXPECT_THAT(finding.text, HasSubstr("2 devices go dark"));
  EXPECT_THAT(fixes(finding), ElementsAre("hub.cfg:5+ auto-rollover 74"));
}

TEST(Check, RenewalAtTheVeryEndIsAnError) {
  const Report report = check({hub(), spoke("a", " auto-enroll\n")}, {});
  EXPECT_THAT(rules(report, Grade::warning), ElementsAre("error renews-at-the-end"));
  EXPECT_THAT(fixes(find(report, "renews-at-the-end")), ElementsAre("a.cfg:5= auto-enroll 98"));
}

TEST(Check, WithoutAutoEnrollAPersonHasToCome) {
  const Report report = check({hub(), spoke("a", "")}, {});
  const Finding& finding = find(report, "no-auto-enroll");
  EXPECT_EQ(finding.grade, Grade::warning);
  EXPECT_THAT(finding.text, HasSubstr("day 657"));
  EXPECT_THAT(fixes(finding), ElementsAre("a.cfg:3+ auto-enroll 80"));
}

TEST(Check, ManualGrantingIsJudgedByTheDaysAPersonTakes) {
  Options options;
  options.outage = Seconds{0};
  const Source server = hub(" no grant\n");
  EXPECT_THAT(rules(check({server, spoke("a")}, options), Grade::warning),
              ElementsAre("warning late-starters", "warning waits-for-a-person"));
  options.grant_within = Days{6};
  const Report late = check({server, spoke("a")}, options);
  EXPECT_THAT(rules(late, Grade::error), ElementsAre("error grant-too-late"));
  EXPECT_THAT(fixes(find(late, "grant-too-late")),
              ElementsAre("hub.cfg:5+ lifetime enrollment-request 274"));
  const Report polls =
      check({server, spoke("a", " enrollment retry count 5\n auto-enroll 80\n")}, options);
  EXPECT_THAT(find(polls, "polls-run-out").text, HasSubstr("polls 6 times"));
}

TEST(Check, ATrustpointThatVouchesForTheServersOwnCertificatesGrantsRenewals) {
  const std::vector<Source> all = {
      source("hub.cfg",
             "hostname hub\nclock calendar-valid\nip http server\n"
             "crypto pki trustpoint VOUCH\n enrollment url http://hub\n"
             " revocation-check none\n"
             "crypto pki server ROOTCA\n grant auto trustpoint VOUCH\n")};
  const Pairing pairing(all, {});
  const Question q = question_of(pairing.servers().front(),
                                 all.front().configuration().trustpoints.front(), pairing, {});
  EXPECT_TRUE(q.pends_first);
  EXPECT_FALSE(q.pends_again);
}

TEST(Check, ManyFilesOfOneTemplateAreOneFinding) {
  std::vector<Source> all = {hub()};
  for (int i = 0; i < 150; ++i) all.push_back(spoke("s" + std::to_string(i), " auto-enroll 70\n"));
  const Report report = check(all, {});
  EXPECT_EQ(report.trustpoints, 150U);
  EXPECT_EQ(report.kinds, 1U);
  EXPECT_EQ(find(report, "shadow-too-early").alike.size(), 149U);
  EXPECT_THAT(find(report, "renewals-at-once").text, HasSubstr("150 of 150 devices"));
}

TEST(Check, AServerThatIsWeakAndAloneIsToldSo) {
  const Source server = source("ca.cfg",
                               "hostname ca\n"
                               "crypto pki server ROOTCA\n"
                               " allow legacy md5\n"
                               " allow legacy rsa-1024\n"
                               " hash md5\n"
                               " modulus 1024\n"
                               " lifetime certificate 800\n"
                               " lifetime ca-certificate 730\n");
  vectors::expect_golden("plan/weak-server.txt", to_text(check({server}, {})));
}

TEST(Check, TheArchiveIsWorthNothingOnTheMachineItIsToSave) {
  const Report report = check({hub(" database url p12 unix:/var/lib/archive\n")}, {});
  EXPECT_THAT(rules(report), ElementsAre("warning archive-stays"));
}

TEST(Check, ShortCrlsDoNotOutliveAnOutage) {
  const Source server = hub(" lifetime crl 6\n");
  const Report strict = check({server, spoke("a")}, {});
  EXPECT_THAT(find(strict, "crl-too-short").text, HasSubstr("at least 18 hours"));
  EXPECT_THAT(fixes(find(strict, "crl-too-short")), ElementsAre("hub.cfg:14= lifetime crl 48"));
  const Report lenient =
      check({server, spoke("a", " revocation-check crl none\n auto-enroll 80\n")}, {});
  EXPECT_THAT(rules(lenient, Grade::warning), IsEmpty());
}

TEST(Check, AMarginSmallerThanAClocksErrorIsNoMargin) {
  const auto early = check({hub(" auto-rollover 73\n"), spoke("a")}, {});
  const Finding& finding = find(early, "clocks-apart");
  EXPECT_THAT(finding.text, HasSubstr("SHADOW falls 0 days after the server makes the next CA"));
  ASSERT_THAT(finding.fixes, testing::SizeIs(1));
  EXPECT_EQ(finding.fixes.front().text, " auto-rollover 73 0 5");
  EXPECT_THAT(rules(check({hub(" auto-rollover 73 0 5\n"), spoke("a")}, {})),
              Not(Contains("warning clocks-apart")));
  Options exact;
  exact.clock_error = Seconds{0};
  EXPECT_THAT(rules(check({hub(" auto-rollover 73\n"), spoke("a")}, exact)),
              Not(Contains("warning clocks-apart")));
  const auto late =
      check({hub(" lifetime certificate 0 5\n"), spoke("a", " auto-enroll 99\n")}, {});
  EXPECT_THAT(rules(late), Contains("warning clocks-apart"));
}

TEST(Check, ASubordinateCaAsksNoEarlierThanTheOneAboveIsReady) {
  const auto lower = [](const std::string& overlap) {
    // The trustpoint of a subordinate names the CA above.
    Source made{"sub.cfg",
                config::parse("hostname sub\nclock calendar-valid\nip http server\n"
                              "crypto pki server SUB\n mode sub-cs\n auto-rollover " +
                              overlap +
                              "\n no shutdown\n"
                              "crypto pki trustpoint SUB\n enrollment url http://172.16.1.1\n")};
    return made;
  };
  const Report late = check({hub(" grant auto rollover ca-cert\n"), lower("100")}, {});
  const Finding& finding = find(late, "upper-ca-later");
  EXPECT_EQ(finding.at.file, "sub.cfg");
  EXPECT_THAT(fixes(finding), ElementsAre("hub.cfg:12= auto-rollover 101"));
  const Report good = check({hub(" grant auto rollover ca-cert\n"), lower("80")}, {});
  EXPECT_THAT(rules(good), Not(Contains("warning upper-ca-later")));
  EXPECT_THAT(rules(good), Not(Contains("warning no-auto-enroll")))
      << "its trustpoint is no device";
  EXPECT_THAT(rules(check({hub(), lower("80")}, {})), Contains("warning subordinate-waits"));
  const std::vector<Source> all = {hub(" lifetime subordinate-ca 500\n"), lower("80")};
  const Pairing pairing(all, {});
  const Question q = question_of(pairing.servers()[1],
                                 spoke("a").configuration().trustpoints.front(), pairing, {});
  EXPECT_EQ(q.ca.lifetime_ca, Days{500}) << "what the CA above gives, not its own setting";
}

TEST(Check, ADeviceBehindAnRaIsUnderTheCaAbove) {
  const auto ra = [](const std::string& also, const std::string& mode = "ra") {
    return source("ra.cfg",
                  "hostname ra\nclock calendar-valid\nip http server\nip http address 10.0.0.2\n"
                  "crypto pki server RA\n mode " +
                      mode + "\n no shutdown\n" + also +
                      "crypto pki trustpoint RA\n enrollment url http://172.16.1.1\n");
  };
  const Source device = source("a.cfg",
                               "hostname a\nntp server 10.1.1.1\ncrypto pki trustpoint T\n"
                               " enrollment url http://10.0.0.2\n auto-enroll 80\n");
  const std::string cas = " grant auto\n grant auto rollover ra-cert\n";
  const Report good = check({hub(cas), ra(" grant auto\n"), device}, {});
  EXPECT_THAT(rules(good, Grade::warning), IsEmpty());
  EXPECT_THAT(rules(good), Contains("note rollover-proved"));

  EXPECT_THAT(rules(check({hub(cas), ra(""), device}, {}), Grade::warning),
              Contains("warning waits-for-a-person"))
      << "the RA's own grant counts";
  EXPECT_THAT(rules(check({hub(" no grant auto\n grant ra-auto\n grant auto rollover ra-cert\n"),
                           ra(" grant auto\n"), device},
                          {}),
                    Grade::warning),
              IsEmpty());
  const Report twice = check({hub(" no grant auto\n"), ra(" grant auto\n"), device}, {});
  EXPECT_THAT(rules(twice), Contains("warning ra-requests-wait"));
  EXPECT_THAT(fixes(find(twice, "ra-waits")),
              ElementsAre("hub.cfg:5+ grant auto rollover ra-cert"));
  EXPECT_THAT(rules(check({hub(cas), ra(" grant none\n"), device}, {})),
              Contains("error grants-nothing"));
  EXPECT_THAT(rules(check({hub(cas), ra("", "ra transparent"), device}, {}), Grade::warning),
              IsEmpty())
      << "it grants nothing that would not be granted";
  EXPECT_THAT(find(check({ra(" grant auto\n"), device}, {}), "unknown-server").text,
              HasSubstr("The CA above the registration authority RA"));
}

TEST(Pairing, FollowsAddressNameAndPath) {
  const std::vector<Source> all = {
      source("two.cfg",
             "hostname CA\nip domain name example.net\nip http server\nip http port 8080\n"
             "crypto pki server ONE\ncrypto pki server TWO\n"),
      source("other.cfg", "hostname other\nip http server\ncrypto pki server THREE\n")};
  const Pairing pairing(all, {{"THREE", "http://10.9.9.9:8000"}});
  const auto server = [&](const std::string& trustpoint, const std::string& url) -> std::string {
    const auto pair = pairing.of(all.front(), trustpoint, url);
    return pair.how == Pairing::How::nowhere ? "none" : pairing.servers()[pair.server].server->name;
  };
  EXPECT_EQ(server("TP", "http://ca.example.net:8080"), "ONE");
  EXPECT_EQ(server("TWO", "http://ca:8080"), "TWO");
  EXPECT_EQ(server("TP", "http://ca:8080/scep/TWO"), "TWO");
  EXPECT_EQ(server("TP", "http://ca:8080/scep/FOUR"), "none");
  EXPECT_EQ(server("TP", "http://127.0.0.1:8080"), "ONE");
  EXPECT_EQ(server("TP", "http://ca"), "none") << "another port";
  EXPECT_EQ(server("TP", "http://10.9.9.9:8000"), "THREE");
  EXPECT_EQ(server("TP", "http://192.0.2.1"), "none") << "two machines: neither is meant for sure";
}

TEST(Check, SaysWhatItTookForGranted) {
  const Report report =
      check({hub(), source("a.cfg",
                           "ntp server 1.1.1.1\ncrypto pki trustpoint T\n"
                           " enrollment url http://ca.example.net\n auto-enroll 80\n")},
            {});
  EXPECT_THAT(find(report, "assumed-server").text,
              HasSubstr("--server-url ROOTCA=http://ca.example.net"));
  EXPECT_THAT(rules(check({spoke("a")}, {})), ElementsAre("warning no-server"));
}

TEST(Check, ACaThatEnrolsElsewhereIsNoDeviceOfItsOwn) {
  const Report report = check({hub("crypto pki trustpoint CORP\n"
                                   " enrollment url http://ca.corp.example\n auto-enroll 70\n")},
                              {});
  EXPECT_THAT(rules(report), ElementsAre("warning unknown-server"));
}

TEST(Timeline, TellsTheGuidesStoryByDate) {
  Options options;
  options.calendar.start = *from_rfc3339("2015-10-09T12:14:16Z");
  const auto story = timeline({hub(), spoke("spoke-1")}, options, "Root-CA@spoke-1", day);
  ASSERT_TRUE(story) << story.error().detail;
  vectors::expect_golden("plan/timeline.txt", *story);
  EXPECT_FALSE(timeline({hub(), spoke("spoke-1")}, options, "Nobody", 0));
  EXPECT_FALSE(timeline({hub(), spoke("spoke-1")}, options, "Root-CA", 730 * day));
}

}  // namespace
}  // namespace umbra::plan
