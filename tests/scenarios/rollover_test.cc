// The whole story, in virtual time: enrol, renew, roll over, twice. The production code of server
// and trustpoint, real keys, a real database; only the clock jumps and the network is a function
// call.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>

#include "scenarios/lab.h"

namespace umbra::lab {
namespace {

x509::Certificate active_ca(sim::World& world) { return *world.server("ROOTCA").status().ca; }

void expect_identity_of_active_ca(sim::World& world, const std::string& name) {
  const auto spoke = world.trustpoint(name).status();
  ASSERT_TRUE(spoke.ca);
  ASSERT_TRUE(spoke.identity);
  const auto ca = active_ca(world);
  const Time now = to_time(world.clock().now());
  EXPECT_EQ(*spoke.ca, ca);
  EXPECT_TRUE(spoke.identity->verify_signed_by(ca.public_key()));
  EXPECT_LE(spoke.identity->not_before(), now);
  EXPECT_GE(spoke.identity->not_after(), now);
  EXPECT_LE(spoke.identity->not_after(), ca.not_after());
}

class GuideLab : public testing::Test {
 protected:
  void start(const std::string& server, const std::string& spoke, int enrol_day = 0) {
    const auto configuration = configure(server + spoke);
    ASSERT_EQ(configuration.servers.size(), 1U);
    world = std::make_unique<sim::World>(scratch.path(), day_zero);
    world->add_server(configuration.servers.front(), "172.16.1.1:80");
    world->run_until(day(enrol_day));
    for (const auto& trustpoint : configuration.trustpoints) {
      world->add_trustpoint(trustpoint, "spoke-1.cisco.com");
      authenticate(*world, trustpoint.name);
    }
  }

  ScratchDirectory scratch;
  std::unique_ptr<sim::World> world;
};

TEST_F(GuideLab, LivesThroughTwoRolloversOnTheDaysTheFormulasSay) {
  start(server_text(), spoke_text());
  ASSERT_TRUE(world->trustpoint("Root-CA").status().identity) << "enrolled on day 0";
  EXPECT_EQ(world->trustpoint("Root-CA").status().identity->not_before(), day(0));

  world->run_until(day(292) - Seconds{1});
  const auto first = *world->trustpoint("Root-CA").status().identity;
  world->run_until(day(292));
  const auto second = *world->trustpoint("Root-CA").status().identity;
  EXPECT_NE(first, second);
  EXPECT_EQ(second.not_before(), day(292));
  EXPECT_EQ(second.not_after(), day(657));
  EXPECT_EQ(first.public_key(), second.public_key()) << "no regenerate: the key stays";

  world->run_until(day(584));
  const auto third = *world->trustpoint("Root-CA").status().identity;
  EXPECT_EQ(third.not_before(), day(584));
  EXPECT_EQ(third.not_after(), day(730)) << "cut at the CA's end";

  world->run_until(day(640) - Seconds{1});
  EXPECT_FALSE(world->server("ROOTCA").status().rollover);
  world->run_until(day(640));
  const auto rollover = world->server("ROOTCA").status().rollover;
  ASSERT_TRUE(rollover) << "shadow CA on day 640";
  EXPECT_EQ(rollover->not_before(), day(730));
  EXPECT_EQ(rollover->not_after(), day(1460));
  EXPECT_TRUE(world->files().contains("ROOTCA_00001.p12"));

  // SHADOW: 80 % of the 146 days from day 584.
  const Time shadow = day(584) + Seconds{Days{146}} * 80 / 100;
  world->run_until(shadow - Seconds{1});
  EXPECT_FALSE(world->trustpoint("Root-CA").status().rollover_ca);
  world->run_until(shadow);
  auto spoke = world->trustpoint("Root-CA").status();
  ASSERT_TRUE(spoke.rollover_ca);
  ASSERT_TRUE(spoke.rollover_identity);
  EXPECT_EQ(*spoke.rollover_ca, *rollover);
  EXPECT_EQ(spoke.rollover_identity->not_before(), day(730));
  EXPECT_EQ(spoke.rollover_identity->not_after(), day(1095));
  EXPECT_EQ(*spoke.identity, third) << "the active identity stays until the switch";

  world->run_until(day(730) - Seconds{1});
  EXPECT_EQ(*world->trustpoint("Root-CA").status().identity, third);
  world->run_until(day(730));
  EXPECT_EQ(active_ca(*world), *rollover) << "the server has switched on the second";
  expect_identity_of_active_ca(*world, "Root-CA");
  EXPECT_FALSE(world->trustpoint("Root-CA").status().rollover_ca);

  // Life goes on: RENEW on day 1022, the next shadow CA on day 1370, the next switch on day 1460.
  world->run_until(day(1022));
  EXPECT_EQ(world->trustpoint("Root-CA").status().identity->not_before(), day(1022));
  world->run_until(day(1370));
  EXPECT_TRUE(world->server("ROOTCA").status().rollover);
  world->run_until(day(1461));
  expect_identity_of_active_ca(*world, "Root-CA");
  EXPECT_EQ(active_ca(*world).not_before(), day(1460));
}

TEST_F(GuideLab, RenewsAndRollsOverOnTheWireAsIosDoes) {
  start(server_text(), spoke_text());
  world->run_until(day(731));
  const auto all = exchanges(*world);
  ASSERT_GE(all.size(), 7U);
  EXPECT_EQ(all[0].what, "GetCACert");
  EXPECT_EQ(all[1].what, "GetCACaps");
  EXPECT_EQ(all[2].what, "PKCSReq");
  EXPECT_TRUE(all[2].signer_self_signed);
  EXPECT_EQ(all[2].recipient_serial, "1");
  const auto next = times_of(all, "GetNextCACert");
  ASSERT_EQ(next.size(), 1U);
  const Time shadow = day(584) + Seconds{Days{146}} * 80 / 100;
  EXPECT_EQ(next.front(), shadow);
  // The request after GetNextCACert is enveloped for the rollover CA and signed by the active
  // identity.
  const auto& last = all.back();
  EXPECT_EQ(last.at, shadow);
  EXPECT_EQ(last.recipient_serial, world->server("ROOTCA").status().ca->serial().to_hex());
  EXPECT_NE(last.recipient_serial, "1");
  EXPECT_FALSE(last.signer_self_signed);
}

/// An EC CA speaks SCEP through the RSA certificate it has issued to itself, and so does the next.
class EllipticLab : public GuideLab, public testing::WithParamInterface<int> {};

TEST_P(EllipticLab, LivesThroughTwoRollovers) {
  start(server_text() + fmt::format(" keytype ec {}\n", GetParam()), spoke_text());
  const auto ca = active_ca(*world);
  EXPECT_EQ(ca.public_key().algorithm(), x509::KeyAlgorithm::ec);
  EXPECT_EQ(ca.public_key().bits(), GetParam());
  EXPECT_EQ(ca.serial(), x509::Serial(1));
  expect_identity_of_active_ca(*world, "Root-CA");
  EXPECT_EQ(world->trustpoint("Root-CA").status().identity->serial(), x509::Serial(3))
      << "2 is the exchange certificate's";
  world->run_until(day(640));
  const auto rollover = world->server("ROOTCA").status().rollover;
  ASSERT_TRUE(rollover);
  EXPECT_EQ(rollover->public_key().bits(), GetParam()) << "the next CA is of the active one's kind";
  EXPECT_FALSE(rollover->public_key() == ca.public_key());
  const Time shadow = day(584) + Seconds{Days{146}} * 80 / 100;
  world->run_until(shadow);
  auto spoke = world->trustpoint("Root-CA").status();
  ASSERT_TRUE(spoke.rollover_ca);
  EXPECT_EQ(*spoke.rollover_ca, *rollover);
  ASSERT_TRUE(spoke.rollover_identity);
  EXPECT_TRUE(spoke.rollover_identity->verify_signed_by(rollover->public_key()));
  EXPECT_EQ(exchanges(*world).back().recipient_serial,
            x509::Serial(*rollover->serial().to_uint64() + 1).to_hex())
      << "the next CA's exchange certificate";
  world->run_until(day(731));
  EXPECT_EQ(active_ca(*world), *rollover);
  expect_identity_of_active_ca(*world, "Root-CA");
  world->run_until(day(1022));
  EXPECT_EQ(world->trustpoint("Root-CA").status().identity->not_before(), day(1022))
      << "a renewal, enveloped for the exchange certificate that came with the rollover";
  world->run_until(day(1461));
  expect_identity_of_active_ca(*world, "Root-CA");
  EXPECT_EQ(active_ca(*world).not_before(), day(1460));
  EXPECT_EQ(times_of(exchanges(*world), "GetCACert").size(), 1U) << "nobody authenticated again";
}
INSTANTIATE_TEST_SUITE_P(, EllipticLab, testing::Values(256, 384));

TEST_F(GuideLab, WithRegenerateEveryIdentityHasItsOwnKey) {
  start(server_text(), spoke_text("Root-CA", "auto-enroll 80 regenerate"));
  const auto first = *world->trustpoint("Root-CA").status().identity;
  world->run_until(day(292));
  const auto second = *world->trustpoint("Root-CA").status().identity;
  EXPECT_FALSE(first.public_key() == second.public_key());
  world->run_until(day(731));
  expect_identity_of_active_ca(*world, "Root-CA");
  EXPECT_FALSE(world->trustpoint("Root-CA").status().identity->public_key() == second.public_key());
}

TEST_F(GuideLab, KeepsAskingWhenShadowComesBeforeTheRolloverCa) {
  // auto-rollover 60: the rollover CA exists from day 670; enrolled on day 365, SHADOW comes on day
  // 657.
  start(server_text("60"), spoke_text(), 365);
  world->run_until(day(657) + std::chrono::minutes{8});
  const auto asked = times_of(exchanges(*world), "GetNextCACert");
  ASSERT_GE(asked.size(), 4U);
  EXPECT_EQ(asked[0], day(657));
  EXPECT_EQ(asked[1], day(657) + std::chrono::minutes{1});
  EXPECT_EQ(asked[2], day(657) + std::chrono::minutes{2});
  EXPECT_EQ(asked[3], day(657) + std::chrono::minutes{4});
  world->run_until(day(670));
  EXPECT_FALSE(world->trustpoint("Root-CA").status().rollover_identity);
  world->run_until(day(731));
  expect_identity_of_active_ca(*world, "Root-CA");
}

TEST_F(GuideLab, SurvivesRestartsBetweenAllSteps) {
  start(server_text(), spoke_text());
  for (const int at : {1, 292, 300, 584, 600, 640, 641, 701, 705, 730, 731, 1022, 1023}) {
    world->run_until(day(at));
    world->restart(day(at));
    world->run_until(day(at) + std::chrono::hours{1});
    expect_identity_of_active_ca(*world, "Root-CA");
  }
}

TEST_F(GuideLab, AServerThatWasDownAcrossTheSwitchHasSwitchedBeforeItAnswers) {
  start(server_text(), spoke_text());
  world->run_until(day(700) + std::chrono::hours{23});
  const auto rollover = *world->server("ROOTCA").status().rollover;
  ASSERT_TRUE(world->trustpoint("Root-CA").status().rollover_identity);
  world->restart(day(800));
  EXPECT_EQ(active_ca(*world), rollover);
  expect_identity_of_active_ca(*world, "Root-CA");
}

TEST_F(GuideLab, AServerThatWasDownAcrossGenerationAndSwitchCatchesUpStepByStep) {
  start(server_text(), "");
  world->run_until(day(600));
  const auto old = active_ca(*world);
  world->restart(day(800));
  const auto now = active_ca(*world);
  EXPECT_NE(now, old);
  EXPECT_EQ(now.not_before(), old.not_after()) << "no second without a CA";
  EXPECT_EQ(world->server("ROOTCA").status().status, "enabled");
}

TEST_F(GuideLab, WithoutAutoRolloverTheServerStopsAtItsEnd) {
  start(server_text(""), spoke_text());
  world->run_until(day(731));
  EXPECT_EQ(world->server("ROOTCA").status().status, "disabled, CA certificate has expired");
}

struct Row {
  int enrol_day;
  double shadow_day;
};
class WorkedExample : public GuideLab, public testing::WithParamInterface<Row> {};

TEST_P(WorkedExample, ShadowFallsOnItsDayAndTheIdentityIsThereAtTheSwitch) {
  start(server_text(), spoke_text(), GetParam().enrol_day);
  world->run_until(day(730));
  const auto next = times_of(exchanges(*world), "GetNextCACert");
  ASSERT_EQ(next.size(), 1U);
  EXPECT_NEAR(day_of(next.front()), GetParam().shadow_day, 0.001);
  expect_identity_of_active_ca(*world, "Root-CA");
  EXPECT_EQ(world->trustpoint("Root-CA").status().identity->not_after(), day(1095));
}

INSTANTIATE_TEST_SUITE_P(GuideTable, WorkedExample,
                         testing::Values(Row{1, 701.0}, Row{200, 682.4}, Row{365, 657.0},
                                         Row{400, 664.0}, Row{600, 704.0}, Row{700, 724.0}),
                         [](const auto& row) {
                           return "EnrolledOnDay" + std::to_string(row.param.enrol_day);
                         });

TEST_F(GuideLab, ManualGrantingPendsPollsAndDelivers) {
  start(server_text("90", ""), spoke_text());
  EXPECT_FALSE(world->trustpoint("Root-CA").status().identity);
  world->run_until(day(0) + std::chrono::minutes{5});
  const auto polls = times_of(exchanges(*world), "CertPoll");
  ASSERT_EQ(polls.size(), 3U);
  EXPECT_EQ(polls[0], day(0) + std::chrono::minutes{1});
  EXPECT_EQ(polls[1], day(0) + std::chrono::minutes{2});
  EXPECT_EQ(polls[2], day(0) + std::chrono::minutes{4});
  const auto waiting = world->server("ROOTCA").requests();
  ASSERT_TRUE(waiting);
  ASSERT_EQ(waiting->size(), 1U);
  EXPECT_EQ(waiting->front().state, "pending");
  ASSERT_TRUE(world->server("ROOTCA").grant(waiting->front().id));
  world->run_until(day(0) + std::chrono::minutes{8});
  const auto identity = world->trustpoint("Root-CA").status().identity;
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->not_before(), day(0) + std::chrono::minutes{5})
      << "valid from the grant, not from the request";
}

TEST_F(GuideLab, ARejectedRequestStopsTheTrustpointUntilSomebodyActs) {
  start(server_text("90", ""), spoke_text());
  ASSERT_TRUE(world->server("ROOTCA").reject(std::nullopt));
  world->run_until(day(10));
  EXPECT_FALSE(world->trustpoint("Root-CA").status().identity);
  EXPECT_EQ(world->trustpoint("Root-CA").status().last_enrollment_status, "Rejected");
  EXPECT_TRUE(world->trustpoint("Root-CA").deadlines().empty());
  EXPECT_FALSE(logged(*world, "%PKI-6-CERTREJECT").empty());
}

TEST_F(GuideLab, AnUnreachableServerIsTriedAgainAndTheOldCertificateStays) {
  start(server_text(), spoke_text());
  const auto first = *world->trustpoint("Root-CA").status().identity;
  world->cut("172.16.1.1:80");
  world->run_until(day(292) + std::chrono::minutes{5});
  EXPECT_EQ(*world->trustpoint("Root-CA").status().identity, first);
  const auto deadlines = world->trustpoint("Root-CA").deadlines();
  ASSERT_EQ(deadlines.size(), 1U);
  EXPECT_EQ(label(deadlines.front()), "CONNECT RETRY Root-CA");
  world->mend("172.16.1.1:80");
  world->run_until(day(292) + std::chrono::minutes{9});
  EXPECT_NE(*world->trustpoint("Root-CA").status().identity, first);
}

/// A host whose link is down half of the time: outages of up to twelve days, in an order that
/// repeats with its seed.
class UnsteadyLink : public GuideLab {
 protected:
  static constexpr const char* server_host = "172.16.1.1:80";
  static std::string host(int number, const std::string& auto_enroll) {
    const std::string name = fmt::format("T{}", number);
    return spoke_text(name, auto_enroll, fmt::format(" storage pem /etc/{}\n", name));
  }

  /// Cuts and mends the link as its calendar says, and leaves the clock at `until`.
  void live_until(Time until, const std::function<void()>& look) {
    while (changes_at <= until) {
      world->run_until(changes_at);
      look();
      down = !down;
      down ? world->cut(server_host) : world->mend(server_host);
      const Seconds length = Seconds{std::chrono::hours{6}} * (1 + calendar() % 48);
      if (down) {
        total_down += length;
        ++outages;
      }
      changes_at += length;
    }
    world->run_until(until);
    look();
  }

  /// What other programs read is valid now, of the CA that is active now, and belongs together.
  void expect_good_files(const std::string& name) {
    expect_identity_of_active_ca(*world, name);
    const auto& files = world->published().at("/etc/" + name);
    const auto certificate = x509::Certificate::from_pem(files.cert);
    const auto key = x509::PrivateKey::from_pem(files.key);
    ASSERT_TRUE(certificate && key);
    EXPECT_EQ(*certificate, *world->trustpoint(name).status().identity);
    EXPECT_EQ(certificate->public_key(), key->public_key());
    EXPECT_EQ(files.ca, active_ca(*world).to_pem());
  }

  std::minstd_rand calendar{2015};
  Time changes_at = day(1);
  bool down = false;
  Seconds total_down{};
  int outages = 0;
};

TEST_F(UnsteadyLink, FiveYearsAndThreeCasLongNoCertificateIsEverInvalid) {
  const std::vector<std::string> how = {"auto-enroll 80", "auto-enroll 70 regenerate"};
  std::string hosts;
  for (std::size_t i = 0; i < how.size(); ++i) hosts += host(static_cast<int>(i), how[i]);
  start(server_text() + " lifetime crl 336\n", hosts);  // or five years are ten thousand CRLs

  std::set<std::string> authorities;
  for (int at = 5; at <= 5 * 365; at += 5) {  // the CAs change on days 730 and 1460
    live_until(day(at), [&] {
      authorities.insert(active_ca(*world).serial().to_hex());
      for (std::size_t i = 0; i < how.size(); ++i) expect_good_files(fmt::format("T{}", i));
    });
    if (HasFailure()) FAIL() << "on day " << at << (down ? ", link down" : ", link up");
  }
  EXPECT_EQ(authorities.size(), 3U);
  EXPECT_NEAR(day_of(day_zero + total_down) / (5 * 365), 0.5, 0.05);
  EXPECT_GT(outages, 100);
  EXPECT_FALSE(logged(*world, "%PKI-6-AUTOCERTFAIL").empty()) << "outages were in the way";
}

}  // namespace
}  // namespace umbra::lab
