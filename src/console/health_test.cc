#include "console/health.h"

#include <gtest/gtest.h>

#include "console/lab_test.h"

namespace umbra::console {
namespace {

using lifecycle::Timer;

/// The identity of the lab's spoke ends then.
Time end() { return lab::spoke().identity->not_after(); }
Time before(Seconds left) { return end() - left; }

Health health(const client::Status& trustpoint, Seconds left, bool authoritative = true) {
  return judge(trustpoint, before(left), authoritative).health;
}

client::Status only(Timer timer) {
  client::Status t = lab::spoke();
  t.deadlines = {{end() - Days{1}, timer, t.name}};
  return t;
}

TEST(TrustpointHealth, IsOkWhileARenewalIsAhead) {
  const Judgement judged = judge(lab::spoke(), before(Days{30}), true);
  EXPECT_EQ(judged.health, Health::ok);
  EXPECT_EQ(judged.time_left, Seconds{Days{30}});
  EXPECT_EQ(judged.text, "renewed at 2016-07-27T12:14:16Z, ends at " + to_rfc3339(end()));
}

TEST(TrustpointHealth, IsCriticalWithoutWhatPeersNeed) {
  client::Status t = lab::spoke();
  EXPECT_EQ(health(t, Seconds{0}), Health::critical) << "ended this second";
  EXPECT_EQ(judge(t, t.identity->not_before() - Seconds{1}, true).health, Health::critical);
  t.identity.reset();
  EXPECT_EQ(health(t, Days{30}), Health::critical);
  t.ca.reset();
  EXPECT_EQ(judge(t, before(Days{30}), true).text, "the CA is not authenticated");
}

TEST(TrustpointHealth, IsCriticalWhereTheConfiguredFingerprintIsAnotherCas) {
  client::Status t = lab::spoke();
  t.contradicts_pin = true;
  const Judgement judged = judge(t, before(Days{30}), true);
  EXPECT_EQ(judged.health, Health::critical) << "however good the certificate is";
  EXPECT_NE(judged.text.find("the configured fingerprint is another CA's"), std::string::npos);
  EXPECT_EQ(judged.time_left, Seconds{Days{30}});
  t.role = config::Role::subordinate_ca;
  const lab::FixedClock clock(before(Days{30}), 0);
  EXPECT_EQ(worst_of(status_screen({}, {t}, clock)), Health::critical)
      << "its server does not know of it";
}

TEST(TrustpointHealth, GrowsWorseAsTheEndOfWhatNothingReplacesComesNearer) {
  for (const Timer timer : {Timer::connect_retry, Timer::poll}) {
    EXPECT_EQ(health(only(timer), Days{7} + Seconds{1}), Health::warning);
    EXPECT_EQ(health(only(timer), Days{7}), Health::critical);
  }
  client::Status by_hand = lab::spoke();
  by_hand.renew_at.reset();
  by_hand.deadlines.clear();
  EXPECT_EQ(health(by_hand, Days{60} + Seconds{1}), Health::ok);
  EXPECT_EQ(health(by_hand, Days{60}), Health::warning);
  EXPECT_EQ(health(by_hand, Days{7}), Health::critical);
  by_hand.last_enrollment_status = "Rejected";
  EXPECT_EQ(health(by_hand, Days{90}), Health::warning) << "at once, not 60 days before the end";
}

TEST(TrustpointHealth, KnowsThatARenewalIsUsedUpAndThatNothingIsArmed) {
  client::Status t = only(Timer::renew);
  t.deadlines.front().at = *(t.renew_at = end());
  t.pending = lab::request();
  EXPECT_EQ(health(t, Days{8}), Health::warning);
  EXPECT_EQ(health(t, Days{7}), Health::critical);
  t = lab::spoke();
  t.renew_at.reset();
  t.deadlines.clear();
  t.auto_enroll = true;
  EXPECT_EQ(health(t, Days{90}), Health::warning) << "at once, not 60 days before the end";
  EXPECT_EQ(health(t, Days{7}), Health::critical);
}

TEST(TrustpointHealth, KnowsThatNothingOutlivesACaThatNoneFollows) {
  client::Status t = lab::spoke();
  std::swap(t.ca, t.identity);  // the CA ends first
  const Time ca_ends = t.ca->not_after();
  t.deadlines = {{ca_ends - Seconds{1}, Timer::renew, t.name}};
  t.renew_at = t.deadlines.front().at;
  const auto with_left = [&](Seconds left) { return judge(t, ca_ends - left, true); };
  EXPECT_EQ(with_left(Days{60} + Seconds{1}).health, Health::ok);
  EXPECT_EQ(with_left(Days{60}).health, Health::warning);
  EXPECT_EQ(with_left(Days{7}).health, Health::critical);
  EXPECT_EQ(with_left(Days{7}).text, "the CA ends at " + to_rfc3339(ca_ends) +
                                         " and names no next one: authenticate what follows it");
  t.ca_tells_next = true;
  EXPECT_EQ(with_left(Days{7}).health, Health::ok) << "SHADOW asks for it";
  t.ca_tells_next = false;
  t.identity = t.ca;
  EXPECT_EQ(with_left(Days{7}).health, Health::ok) << "self-signed: it makes another itself";
}

TEST(TrustpointHealth, IsOkWhileTheRenewalIsUnderWayAndHasNotFailed) {
  client::Status t = lab::spoke();
  t.renew_at.reset();
  t.deadlines.clear();
  t.asking = true;
  EXPECT_EQ(health(t, Days{60}), Health::ok);
  EXPECT_EQ(health(t, Days{1}), Health::ok);
  EXPECT_EQ(judge(t, before(Days{1}), true).text, "is being renewed, ends at " + to_rfc3339(end()));
  EXPECT_EQ(health(t, Seconds{0}), Health::critical) << "it has ended all the same";
  t.asking = false;
  EXPECT_EQ(health(t, Days{1}), Health::critical);
}

TEST(TrustpointHealth, SaysThatTheNextCaIsWaitedFor) {
  client::Status t = only(Timer::connect_retry);
  EXPECT_NE(judge(t, before(Days{30}), true).text.find("the CA gives no usable answer"),
            std::string::npos);
  t.awaits_next_ca = true;
  EXPECT_NE(judge(t, before(Days{30}), true).text.find("there is no next CA certificate yet"),
            std::string::npos);
}

TEST(TrustpointHealth, IsNoneWhileOtherProgramsDoNotHaveTheCertificate) {
  client::Status t = only(Timer::renew);
  t.renew_at = t.deadlines.front().at;
  ASSERT_EQ(health(t, Days{90}), Health::ok);
  t.announced_again_at = end() - Days{89};
  const Judgement judged = judge(t, before(Days{90}), true);
  EXPECT_EQ(judged.health, Health::warning);
  EXPECT_NE(
      judged.text.find("\"on change exec\" failed, next try at " + to_rfc3339(end() - Days{89})),
      std::string::npos);
}

TEST(TrustpointHealth, IsCriticalFromTheEndOfTheCertificateThatOtherProgramsHave) {
  client::Status t = only(Timer::renew);
  t.renew_at = t.deadlines.front().at;
  t.announced_again_at = end() - Days{89};
  const Time published = end() - Days{30};
  t.outdated = client::Outdated{true, published, false};
  const Judgement just = judge(t, published - Seconds{1}, true);
  EXPECT_EQ(just.health, Health::warning);
  EXPECT_NE(just.text.find("ends at " + to_rfc3339(published)), std::string::npos) << just.text;
  EXPECT_EQ(just.time_left, Seconds{1});
  const Judgement ended = judge(t, published, true);
  EXPECT_EQ(ended.health, Health::critical);
  EXPECT_NE(
      ended.text.find("the certificate that other programs have ended at " + to_rfc3339(published)),
      std::string::npos)
      << ended.text;
  t.deadlines.front().timer = Timer::connect_retry;
  EXPECT_EQ(judge(t, published, true).health, Health::critical) << "a warning hides nothing worse";
  t.outdated = client::Outdated{true, {}, false};
  EXPECT_EQ(health(t, Days{90}), Health::critical) << "they have none at all";
  t.deadlines.pop_back();
  EXPECT_EQ(health(t, Days{90}), Health::critical) << "also while they are being told";
  t.outdated = client::Outdated{};
  EXPECT_EQ(health(t, Days{90}), Health::warning) << "nobody knows what they have";
}

TEST(TrustpointHealth, IsCriticalWhileOtherProgramsHaveAnothersCertificate) {
  client::Status t = only(Timer::renew);
  t.renew_at = t.deadlines.front().at;
  t.announced_again_at = end() - Days{89};
  t.outdated = client::Outdated{true, end() + Days{30}, true};
  const Judgement judged = judge(t, before(Days{90}), true);
  EXPECT_EQ(judged.health, Health::critical) << "however long that one is valid";
  EXPECT_NE(judged.text.find("the certificate that other programs have is another's"),
            std::string::npos)
      << judged.text;
  EXPECT_NE(judged.text.find("next try at"), std::string::npos);
}

TEST(ServerHealth, OfAnRaIsThatOfItsCertificateAndOfTheCaAbove) {
  server::Status ra = lab::root_ca();
  ra.mode = config::ServerMode::ra;
  ra.crl_next_update.reset();
  EXPECT_EQ(judge(ra, ra.ca->not_before()).health, Health::critical) << "it has none";
  ra.ra = lab::spoke().identity;
  EXPECT_EQ(judge(ra, before(Days{90})).health, Health::ok);
  EXPECT_EQ(judge(ra, before(Days{90})).time_left, Seconds{Days{90}}) << "the RA's, not the CA's";
  EXPECT_EQ(judge(ra, before(Days{60})).health, Health::warning);
  ra.awaited = "request pending";
  const Judgement late = judge(ra, before(Days{7}));
  EXPECT_EQ(late.health, Health::critical);
  EXPECT_EQ(late.text, "the RA certificate ends at " + to_rfc3339(end()) +
                           ", and nothing follows it yet: request pending");
  ra.ra_rollover = ra.ra;
  EXPECT_EQ(judge(ra, before(Days{7})).health, Health::ok);
  ra.above_is_silent = true;
  EXPECT_EQ(judge(ra, before(Days{90})).health, Health::warning);
  ra.status = "disabled, RA certificate has expired";
  EXPECT_EQ(judge(ra, before(Days{0})).health, Health::critical);
}

TEST(TrustpointHealth, IsOkWithTheNextIdentityInHand) {
  client::Status t = only(Timer::switch_over);
  t.rollover_identity = t.identity;
  EXPECT_EQ(health(t, Days{1}), Health::ok);
}

TEST(TrustpointHealth, DoubtsAClockThatNobodySet) {
  EXPECT_EQ(health(lab::spoke(), Days{30}, false), Health::warning);
}

Health health(const server::Status& server, Seconds left) {
  return judge(server, server.ca->not_after() - left).health;
}

TEST(ServerHealth, IsOkWhileSomethingFollowsTheCa) {
  server::Status s = lab::root_ca();
  s.crl_next_update.reset();
  EXPECT_EQ(health(s, Days{1}), Health::ok) << "a rollover CA is going to be made";
  s.deadlines = {{s.ca->not_after(), Timer::cs_cert_expire, ""}};
  EXPECT_EQ(health(s, Days{60} + Seconds{1}), Health::ok);
  EXPECT_EQ(health(s, Days{60}), Health::warning);
  EXPECT_EQ(health(s, Days{7}), Health::critical);
  s.rollover = s.ca;
  EXPECT_EQ(health(s, Days{7}), Health::ok);
}

TEST(ServerHealth, IsCriticalWhenItAnswersNobodyOrItsCrlIsOld) {
  server::Status s = lab::root_ca();
  EXPECT_EQ(judge(s, *s.crl_next_update).health, Health::ok);
  EXPECT_EQ(judge(s, *s.crl_next_update + Seconds{1}).health, Health::critical);
  s.crl_next_update.reset();
  s.status = "disabled, HTTP Server is disabled";
  EXPECT_EQ(judge(s, s.ca->not_before()).text, s.status);
  EXPECT_EQ(judge(s, s.ca->not_before()).health, Health::critical);
  s.shut = true;
  EXPECT_EQ(judge(s, s.ca->not_before()).health, Health::warning) << "somebody wanted it so";
  s.ca.reset();
  EXPECT_EQ(judge(s, lab::at("2017-01-01T00:00:00Z")).health, Health::warning);
}

TEST(ServerHealth, WarnsOfFilesThatDoNotArriveAndOfFullPlaces) {
  server::Status s = lab::root_ca();
  const Time now = s.ca->not_before();
  s.scarce = {{"nvram:", 4096}};
  EXPECT_EQ(judge(s, now).text, "nvram: is nearly full: 4096 octets are left");
  s.backlog = {{"ftp://10.1.1.1/", 6, now, "refused"}};
  EXPECT_EQ(judge(s, now).health, Health::warning);
  EXPECT_EQ(judge(s, now).text,
            "6 files wait for ftp://10.1.1.1/ since " + to_rfc3339(now) + ": refused");
}

TEST(StatusScreen, HasALineForEachAndItsWorstCounts) {
  const lab::FixedClock clock(before(Days{30}), 0);
  client::Status of_a_server = lab::spoke();
  of_a_server.role = config::Role::subordinate_ca;
  of_a_server.identity.reset();
  const std::string screen = status_screen({}, {lab::spoke(), of_a_server}, clock);
  EXPECT_EQ(screen, "OK - trustpoint Root-CA: renewed at 2016-07-27T12:14:16Z, ends at " +
                        to_rfc3339(end()) + " | days_left=30\n");
  EXPECT_EQ(worst_of(screen), Health::ok);
  EXPECT_EQ(worst_of(screen + "CRITICAL - server A: x\nWARNING - server B: y\n"), Health::critical);
  EXPECT_EQ(worst_of(""), Health::unknown);
  EXPECT_EQ(worst_of("nonsense\n"), Health::unknown);
}

TEST(StatusScreen, IsOneLineWhateverAPeerSays) {
  server::Status s = lab::root_ca();
  s.backlog = {{"ftp://10.1.1.1/", 6, s.ca->not_before(), "refused\nOK - server ROOTCA: fine"}};
  const std::string line = judgement_line("server", s.name, judge(s, s.ca->not_before()));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

}  // namespace
}  // namespace umbra::console
