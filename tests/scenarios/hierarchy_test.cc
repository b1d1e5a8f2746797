// A root, a subordinate CA below it and a spoke below that, in virtual time: who asks whom for what
// and when, what happens if the one above is late, says no or dies, and what holds at each switch.

#include <gtest/gtest.h>

#include "console/screens.h"
#include "scenarios/lab.h"

namespace umbra::lab {
namespace {

using config::ServerMode;

std::string root_text(const std::string& more) {
  return "ip http server\n"
         "crypto pki server ROOT\n"
         " database archive pkcs12 password 0 archive-of-root\n"
         " issuer-name CN=Root,O=Umbra\n"
         " lifetime ca-certificate 730\n"
         " lifetime crl 336\n" +
         more + " no shutdown\n";
}
std::string sub_text(const std::string& more) {
  return "crypto pki server SUB\n"
         " database archive pkcs12 password 0 archive-of-sub\n"
         " issuer-name CN=Sub,O=Umbra\n"
         " grant auto\n"
         " mode sub-cs\n"
         " lifetime crl 336\n" +
         more +
         " no shutdown\n"
         "crypto pki trustpoint SUB\n"
         " enrollment url http://root:80\n";
}
constexpr const char* spoke_below_sub =
    "crypto pki trustpoint SPOKE\n"
    " enrollment url http://sub:80\n"
    " subject-name CN=spoke-1,O=Umbra\n"
    " ip-address none\n"
    " auto-enroll 80\n";

class Hierarchy : public testing::Test {
 protected:
  void start(const std::string& root, const std::string& sub) {
    configuration = configure(root_text(root) + sub_text(sub) + spoke_below_sub);
    ASSERT_EQ(configuration.servers.size(), 2U);
    ASSERT_EQ(configuration.trustpoints.size(), 2U);
    world = std::make_unique<sim::World>(scratch.path(), day_zero);
    world->add_server(configuration.servers[0], "root:80");
    world->add_server(configuration.servers[1], "sub:80");
    world->add_trustpoint(configuration.trustpoints[0], "sub.umbra.example");
  }
  /// The subordinate's first enrolment, granted by hand; then the spoke's.
  void found() {
    authenticate(*world, "SUB");
    EXPECT_EQ(server("SUB").state, "pending");
    grant_at_root();
    wait(std::chrono::hours{1});
    ASSERT_EQ(server("SUB").status, "enabled");
    world->add_trustpoint(configuration.trustpoints[1], "spoke-1");
    authenticate(*world, "SPOKE");
    ASSERT_TRUE(spoke().identity);
  }
  void wait(Seconds span) { world->run_until(to_time(world->clock().now()) + span); }
  [[nodiscard]] server::Status server(const std::string& name) {
    return world->server(name).status();
  }
  [[nodiscard]] client::Status spoke() { return world->trustpoint("SPOKE").status(); }
  [[nodiscard]] client::Status of_sub() { return world->trustpoint("SUB").status(); }
  [[nodiscard]] std::vector<server::RequestLine> pending_at_root() {
    auto lines = *world->server("ROOT").requests();
    std::erase_if(lines, [](const auto& line) { return line.state != "pending"; });
    return lines;
  }
  void grant_at_root() {
    const auto waiting = pending_at_root();
    ASSERT_EQ(waiting.size(), 1U);
    EXPECT_EQ(waiting.front().request_class, 1);
    ASSERT_TRUE(world->server("ROOT").grant(waiting.front().id));
  }
  /// Everybody's active certificates, from the root to the spoke, are one valid chain right now.
  void expect_whole_chain() {
    const Time now = to_time(world->clock().now());
    const auto root = server("ROOT").ca;
    const auto sub = server("SUB").ca;
    const auto identity = spoke().identity;
    ASSERT_TRUE(root && sub && identity) << "day " << day_of(now);
    EXPECT_TRUE(sub->verify_signed_by(root->public_key())) << "day " << day_of(now);
    EXPECT_TRUE(identity->verify_signed_by(sub->public_key())) << "day " << day_of(now);
    EXPECT_EQ(*spoke().ca, *sub) << "day " << day_of(now);
    for (const auto* one : {&*root, &*sub, &*identity}) {
      EXPECT_LE(one->not_before(), now) << one->subject().joined() << " on day " << day_of(now);
      EXPECT_GT(one->not_after(), now) << one->subject().joined() << " on day " << day_of(now);
    }
    EXPECT_LE(sub->not_after(), root->not_after());
    EXPECT_LE(identity->not_after(), sub->not_after());
  }
  void expect_whole_chain_around(Time at) {
    world->run_until(at - Seconds{1});
    expect_whole_chain();
    world->run_until(at);
    expect_whole_chain();
  }
  [[nodiscard]] std::vector<Time> asked_root(const std::string& what) {
    std::vector<Time> times;
    const auto all = exchanges(*world);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].what == what && world->calls()[i].host == "root:80") times.push_back(all[i].at);
    }
    return times;
  }

  void TearDown() override {
    if (!HasFailure()) return;
    for (const auto& line : world->log())
      std::cerr << "day " << day_of(to_time(line.at)) << ": " << line.text << "\n";
  }
  ScratchDirectory scratch;
  config::Configuration configuration;
  std::unique_ptr<sim::World> world;
};

TEST_F(Hierarchy, TheSubordinateServesNobodyUntilItIsCertified) {
  start(" grant auto\n auto-rollover 120\n", " auto-rollover 90\n");
  EXPECT_EQ(server("SUB").status, "disabled, Fingerprint pending");
  EXPECT_EQ(server("SUB").state, "pending");
  EXPECT_TRUE(server("SUB").deadlines.empty());
  authenticate(*world, "SUB");
  EXPECT_EQ(pending_at_root().size(), 1U) << "grant auto makes nobody a CA";
  EXPECT_EQ(server("SUB").status, "disabled");
  EXPECT_EQ(server("SUB").awaited, "request pending");
  wait(std::chrono::hours{2});
  EXPECT_EQ(server("SUB").state, "pending");
  grant_at_root();
  wait(std::chrono::hours{4});
  const auto sub = server("SUB");
  EXPECT_EQ(sub.status, "enabled");
  ASSERT_TRUE(sub.ca);
  EXPECT_TRUE(sub.ca->is_ca());
  EXPECT_EQ(sub.ca->subject().joined(), "cn=Sub,o=Umbra");
  EXPECT_EQ(*sub.upper, *server("ROOT").ca);
  EXPECT_EQ(sub.awaited, "");
  EXPECT_TRUE(world->files().contains("SUB.p12"));
  const std::string screen = console::server_screen({sub}, TimeZone{});
  EXPECT_NE(screen.find("    Upper CA cert fingerprint: " +
                        console::fingerprint(*server("ROOT").ca, x509::Digest::md5)),
            std::string::npos)
      << screen;
}

TEST_F(Hierarchy, RollsOverFromTheRootDown) {
  start(
      " grant auto\n grant auto rollover ca-cert\n lifetime subordinate-ca 730\n auto-rollover "
      "120\n",
      " auto-rollover 90\n lifetime certificate 365\n");
  found();
  EXPECT_EQ(server("SUB").ca->not_after(), day(730)) << "cut at the root's end";

  world->run_until(day(640) - Seconds{1});
  EXPECT_TRUE(server("ROOT").rollover);
  EXPECT_FALSE(server("SUB").rollover);
  world->run_until(day(640));
  const auto next = server("SUB").rollover;
  ASSERT_TRUE(next) << "one overlap before its end";
  EXPECT_TRUE(next->verify_signed_by(server("ROOT").rollover->public_key()));
  EXPECT_EQ(next->not_before(), day(730));
  EXPECT_FALSE(next->public_key() == server("SUB").ca->public_key());
  EXPECT_EQ(asked_root("GetNextCACert"), std::vector<Time>{day(640)});
  EXPECT_TRUE(world->files().contains("SUB_00001.p12"));

  // The spoke follows when 80 % of its last certificate's life have passed.
  world->run_until(day(730) - Seconds{1});
  ASSERT_TRUE(spoke().rollover_ca);
  EXPECT_EQ(*spoke().rollover_ca, *next);
  ASSERT_TRUE(spoke().rollover_identity);
  EXPECT_EQ(spoke().rollover_identity->not_before(), day(730));
  expect_whole_chain();
  world->run_until(day(730));
  expect_whole_chain();
  EXPECT_EQ(*server("SUB").ca, *next);
  EXPECT_EQ(*server("SUB").upper, *server("ROOT").ca);
  world->run_until(day(1400));
  expect_whole_chain();
  expect_whole_chain_around(day(1460));
}

TEST_F(Hierarchy, ASubordinateThatEndsBeforeItsRootAsksTheActiveOne) {
  start(" lifetime subordinate-ca 300\n auto-rollover 120\n grant auto rollover ca-cert\n",
        " auto-rollover 90\n lifetime certificate 100\n");
  found();
  const auto first = *server("SUB").ca;
  const Time end = first.not_after();
  const Time asks = end - Days{90};
  world->run_until(asks - Seconds{1});
  EXPECT_TRUE(pending_at_root().empty());
  world->run_until(asks);
  ASSERT_EQ(pending_at_root().size(), 1U) << "grant auto rollover is about shadow requests alone";
  EXPECT_TRUE(asked_root("GetNextCACert").empty());
  EXPECT_FALSE(server("SUB").rollover);
  wait(Days{5});
  grant_at_root();
  wait(Days{1});
  const auto next = server("SUB").rollover;
  ASSERT_TRUE(next);
  EXPECT_TRUE(next->verify_signed_by(server("ROOT").ca->public_key()));
  EXPECT_LT(next->not_before(), end);
  EXPECT_EQ(*server("SUB").ca, first) << "the old one signs to its end";
  world->run_until(end - Seconds{1});
  ASSERT_TRUE(spoke().rollover_identity);
  EXPECT_EQ(spoke().rollover_identity->not_before(), end) << "not before the switch";
  expect_whole_chain();
  world->run_until(end);
  EXPECT_EQ(*server("SUB").ca, *next);
  expect_whole_chain();

  // So it goes on, with a grant by hand each time, until it ends with its root; the certificate
  // after that one is from the root's next. The last but one is there before there is room for it.
  while (to_time(world->clock().now()) < day(900)) {
    wait(Days{1});
    if (!pending_at_root().empty()) grant_at_root();
    expect_whole_chain();
  }
  EXPECT_EQ(server("ROOT").ca->not_before(), day(730));
  EXPECT_TRUE(server("SUB").ca->verify_signed_by(server("ROOT").ca->public_key()));
}

TEST_F(Hierarchy, KeepsAskingARootThatIsLate) {
  start(" lifetime subordinate-ca 730\n auto-rollover 60\n grant auto rollover ca-cert\n",
        " auto-rollover 90\n lifetime certificate 700\n");
  found();
  world->run_until(day(641));
  EXPECT_FALSE(server("SUB").rollover);
  EXPECT_EQ(server("SUB").awaited, "has no rollover certificate yet; asked again");
  EXPECT_EQ(logged(*world, "%UMBRA-4-CS_UPPER_ROLLOVER").size(), 1U);
  world->run_until(day(670));
  EXPECT_FALSE(server("SUB").rollover);
  world->run_until(day(671));
  EXPECT_TRUE(server("SUB").rollover) << "within a day of the root's";
  EXPECT_EQ(server("SUB").awaited, "");
  expect_whole_chain_around(day(730));
}

TEST_F(Hierarchy, ARejectedSubordinateAsksAgainByHand) {
  start(" lifetime subordinate-ca 730\n auto-rollover 120\n", " auto-rollover 90\n");
  found();
  world->run_until(day(640));
  ASSERT_EQ(pending_at_root().size(), 1U);
  ASSERT_TRUE(world->server("ROOT").reject(pending_at_root().front().id));
  wait(Days{1});
  EXPECT_FALSE(server("SUB").rollover);
  EXPECT_NE(server("SUB").awaited.find("rejected"), std::string::npos) << server("SUB").awaited;
  wait(Days{10});
  EXPECT_TRUE(pending_at_root().empty()) << "nothing more by itself";
  ASSERT_TRUE(world->server("SUB").rollover());
  world->settle();
  ASSERT_EQ(pending_at_root().size(), 1U);
  grant_at_root();
  wait(Days{1});
  ASSERT_TRUE(server("SUB").rollover);
  EXPECT_FALSE(world->server("SUB").rollover()) << "there is one";
  EXPECT_FALSE(world->server("SUB").rollover_cancel(true)) << "it is the root's to take back";
  expect_whole_chain_around(day(730));
}

TEST_F(Hierarchy, WithoutAutoRolloverOneIsAskedForByHand) {
  start(" lifetime subordinate-ca 300\n grant auto rollover ca-cert\n auto-rollover 120\n", "");
  found();
  world->run_until(day(250));
  EXPECT_TRUE(pending_at_root().empty());
  ASSERT_TRUE(world->server("SUB").rollover());
  world->settle();
  grant_at_root();
  wait(Days{1});
  EXPECT_TRUE(server("SUB").rollover);
}

TEST_F(Hierarchy, GoesOnWithTheSameRequestAfterACrash) {
  start(" lifetime subordinate-ca 730\n auto-rollover 120\n", " auto-rollover 90\n");
  authenticate(*world, "SUB");
  ASSERT_EQ(pending_at_root().size(), 1U);
  world->restart(to_time(world->clock().now()));
  EXPECT_EQ(pending_at_root().size(), 1U) << "the same request, not another";
  grant_at_root();
  world->restart(to_time(world->clock().now()));
  wait(std::chrono::hours{1});
  EXPECT_EQ(server("SUB").status, "enabled");
  const auto first = *server("SUB").ca;
  world->restart(day(3));
  EXPECT_EQ(*server("SUB").ca, first);
  EXPECT_EQ(server("SUB").status, "enabled");

  world->run_until(day(640));
  const auto waiting = pending_at_root();
  ASSERT_EQ(waiting.size(), 1U);
  world->restart(day(641));
  ASSERT_EQ(pending_at_root().size(), 1U);
  EXPECT_EQ(pending_at_root().front().id, waiting.front().id);
  grant_at_root();
  wait(Days{2});
  ASSERT_TRUE(server("SUB").rollover);
  const auto next = *server("SUB").rollover;
  // Down across the switch: it has happened before anybody is answered.
  world->restart(day(731));
  EXPECT_EQ(*server("SUB").ca, next);
  EXPECT_EQ(*of_sub().ca, *server("ROOT").ca);
  EXPECT_EQ(server("SUB").status, "enabled");
}

TEST_F(Hierarchy, ASubordinateThatNobodyGrantedInTimeStopsAndIsRevivedByTheGrant) {
  start(" lifetime subordinate-ca 300\n auto-rollover 120\n", " auto-rollover 90\n");
  found();
  const Time end = server("SUB").ca->not_after();
  // Its request waits at the root, where nobody looks; it expires there, and is made again.
  world->run_until(end + Days{1});
  EXPECT_EQ(server("SUB").status, "disabled, CA certificate has expired");
  EXPECT_EQ(server("SUB").state, "check failed");
  auto waiting = pending_at_root();
  ASSERT_FALSE(waiting.empty());
  ASSERT_TRUE(world->server("ROOT").grant(waiting.front().id));
  wait(Days{1});
  EXPECT_EQ(server("SUB").status, "enabled") << "the newest request was granted";
  EXPECT_GT(server("SUB").ca->not_after(), end);
}

}  // namespace
}  // namespace umbra::lab
