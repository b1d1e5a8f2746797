// A root, a registration authority below it and a device behind that, in virtual time: who signs
// what, who decides what, what happens if the CA is away or somebody dies in between, and what
// holds at each switch.

#include <gtest/gtest.h>

#include "console/screens.h"
#include "scenarios/lab.h"

namespace umbra::lab {
namespace {

std::string root_text(const std::string& more) {
  return "ip http server\n"
         "crypto pki server ROOT\n"
         " database archive pkcs12 password 0 archive-of-root\n"
         " issuer-name CN=Root,O=Umbra\n"
         " lifetime ca-certificate 730\n"
         " lifetime crl 336\n" +
         more + " no shutdown\n";
}
std::string ra_text(const std::string& more, const std::string& trustpoint = "",
                    const std::string& mode = "ra") {
  return "crypto pki server RA\n"
         " mode " +
         mode + "\n" + more +
         " no shutdown\n"
         "crypto pki trustpoint RA\n"
         " enrollment url http://root:80\n" +
         trustpoint;
}
std::string device_text(const std::string& more = "") {
  return "crypto pki trustpoint SPOKE\n"
         " enrollment url http://ra:80\n"
         " ip-address none\n"
         " auto-enroll 80\n" +
         (more.empty() ? " subject-name CN=spoke-1,O=Umbra\n" : more);
}

class RegistrationAuthority : public testing::Test {
 protected:
  void start(const std::string& root, const std::string& ra, const std::string& device) {
    configuration = configure(root_text(root) + ra + device);
    ASSERT_EQ(configuration.servers.size(), 2U);
    ASSERT_EQ(configuration.trustpoints.size(), 2U);
    world = std::make_unique<sim::World>(scratch.path(), day_zero);
    world->add_server(configuration.servers[0], "root:80");
    world->add_server(configuration.servers[1], "ra:80");
    world->add_trustpoint(configuration.trustpoints[0], "ra.umbra.example");
  }
  /// The RA's first enrolment, granted by hand at the root.
  void found() {
    authenticate(*world, "RA");
    EXPECT_EQ(server("RA").state, "pending");
    grant("ROOT");
    wait(std::chrono::hours{1});
    ASSERT_EQ(server("RA").status, "enabled");
  }
  void add_device() {
    world->add_trustpoint(configuration.trustpoints[1], "spoke-1");
    authenticate(*world, "SPOKE");
  }
  /// Day by day, with a person who looks at the root's queue each evening.
  void live_until(Time until) {
    while (to_time(world->clock().now()) + Days{1} <= until) {
      wait(Days{1});
      if (!requests("ROOT", "pending").empty()) grant("ROOT");
    }
    world->run_until(until);
  }
  void wait(Seconds span) { world->run_until(to_time(world->clock().now()) + span); }
  [[nodiscard]] server::Status server(const std::string& name) {
    return world->server(name).status();
  }
  [[nodiscard]] client::Status spoke() { return world->trustpoint("SPOKE").status(); }
  [[nodiscard]] std::vector<server::RequestLine> requests(const std::string& at,
                                                          const std::string& state) {
    auto lines = *world->server(at).requests();
    std::erase_if(lines, [&](const auto& line) { return line.state != state; });
    return lines;
  }
  void grant(const std::string& at) {
    const auto waiting = requests(at, "pending");
    ASSERT_EQ(waiting.size(), 1U) << at;
    ASSERT_TRUE(world->server(at).grant(waiting.front().id));
    world->settle();
  }
  /// How many certificates the root has issued to a name with this end.
  [[nodiscard]] std::size_t issued(const std::string& subject) {
    const auto all = *world->store().certificates("ROOT", x509::Serial(), 1000);
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [&](const auto& row) { return row.subject.ends_with(subject); }));
  }
  void expect_whole_chain() {
    const Time now = to_time(world->clock().now());
    const auto root = server("ROOT").ca;
    const auto ra = server("RA").ra;
    const auto identity = spoke().identity;
    ASSERT_TRUE(root && ra && identity) << "day " << day_of(now);
    EXPECT_TRUE(ra->verify_signed_by(root->public_key())) << "day " << day_of(now);
    EXPECT_TRUE(identity->verify_signed_by(root->public_key())) << "day " << day_of(now);
    EXPECT_EQ(*spoke().ca, *root) << "day " << day_of(now);
    EXPECT_EQ(server("RA").status, "enabled") << "day " << day_of(now);
    for (const auto* one : {&*root, &*ra, &*identity}) {
      EXPECT_LE(one->not_before(), now) << one->subject().joined() << " on day " << day_of(now);
      EXPECT_GT(one->not_after(), now) << one->subject().joined() << " on day " << day_of(now);
    }
  }
  void expect_whole_chain_around(Time at) {
    world->run_until(at - Seconds{1});
    expect_whole_chain();
    world->run_until(at);
    expect_whole_chain();
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

constexpr const char* spoke_name = "cn=spoke-1,o=Umbra";

TEST_F(RegistrationAuthority, IsPendingUntilAPersonHasMadeItOne) {
  start(" grant auto\n auto-rollover 90\n", ra_text(" grant auto\n"), device_text());
  EXPECT_EQ(server("RA").status, "disabled, Fingerprint pending");
  EXPECT_EQ(server("RA").state, "pending");
  authenticate(*world, "RA");
  const auto waiting = requests("ROOT", "pending");
  ASSERT_EQ(waiting.size(), 1U) << "grant auto makes nobody an RA";
  EXPECT_EQ(waiting.front().request_class, 2);
  EXPECT_EQ(waiting.front().subject, "cn=RA,ou=ioscs RA");
  EXPECT_EQ(server("RA").awaited, "request pending");
  ASSERT_TRUE(world->server("ROOT").grant(waiting.front().id));
  wait(std::chrono::hours{1});
  const auto ra = server("RA");
  EXPECT_EQ(ra.status, "enabled");
  ASSERT_TRUE(ra.ra);
  EXPECT_FALSE(ra.ra->is_ca());
  EXPECT_EQ(*ra.ca, *server("ROOT").ca);
  const std::string screen = console::server_screen({ra}, TimeZone{});
  EXPECT_NE(screen.find("    Server configured in RA mode\n    RA cert fingerprint: " +
                        console::fingerprint(*ra.ra, x509::Digest::md5)),
            std::string::npos)
      << screen;
}

TEST_F(RegistrationAuthority, ADeviceIsGrantedByTheRaAndCertifiedByTheCa) {
  start(" grant ra-auto\n", ra_text(" grant auto\n"), device_text());
  found();
  add_device();
  ASSERT_TRUE(spoke().identity);
  expect_whole_chain();
  EXPECT_EQ(issued(spoke_name), 1U);
  EXPECT_EQ(requests("RA", "granted").size(), 1U);
  EXPECT_TRUE(requests("ROOT", "pending").empty());
}

TEST_F(RegistrationAuthority, RollsOverWithItsCaAndItsDevicesWithIt) {
  start(
      " grant ra-auto\n grant auto rollover ra-cert\n auto-rollover 90\n lifetime certificate "
      "365\n",
      ra_text(" grant auto\n"), device_text());
  found();
  add_device();
  // A renewal of the RA at the active CA is granted by a person.
  for (int n = 30; n < 640; n += 30) {
    live_until(day(n));
    expect_whole_chain();
  }
  live_until(day(641));
  ASSERT_TRUE(server("ROOT").rollover);
  ASSERT_TRUE(server("RA").ra_rollover) << "soon after the CA's";
  EXPECT_EQ(*server("RA").rollover, *server("ROOT").rollover);
  EXPECT_TRUE(server("RA").ra_rollover->verify_signed_by(server("ROOT").rollover->public_key()));
  world->run_until(day(730) - Seconds{1});
  ASSERT_TRUE(spoke().rollover_identity) << "asked for through the RA";
  expect_whole_chain();
  world->run_until(day(730));
  expect_whole_chain();
  for (int n = 760; n < 1459; n += 30) {
    live_until(day(n));
    expect_whole_chain();
  }
  expect_whole_chain_around(day(1460));
  EXPECT_TRUE(logged(*world, "RA_EXPIRED").empty()) << "not even for the instant of a switch";
  // Down across the next one: it has happened when they are back.
  live_until(day(2180));
  world->restart(day(2191));
  expect_whole_chain();
  EXPECT_TRUE(logged(*world, "RA_EXPIRED").empty());
}

TEST_F(RegistrationAuthority, StandsBelowACaWithAnEcKeyToo) {
  start(
      " keytype ec 256\n grant ra-auto\n grant auto rollover ra-cert\n auto-rollover 90\n"
      " lifetime certificate 730\n",
      ra_text(" grant auto\n"), device_text());
  found();
  add_device();
  ASSERT_TRUE(spoke().identity);
  expect_whole_chain();
  live_until(day(730) - Seconds{1});
  ASSERT_TRUE(spoke().rollover_identity) << "enveloped for the RA, and not for the CA's exchange";
  world->run_until(day(730));
  expect_whole_chain();
}

TEST_F(RegistrationAuthority, WhatWaitsAtTheRaIsAskedForWhenItIsGrantedThere) {
  start(" grant ra-auto\n", ra_text(""), device_text());
  found();
  add_device();
  EXPECT_FALSE(spoke().identity);
  EXPECT_EQ(issued(spoke_name), 0U);
  wait(std::chrono::hours{3});
  EXPECT_EQ(issued(spoke_name), 0U);
  grant("RA");
  EXPECT_EQ(issued(spoke_name), 1U) << "at once, and not when the device comes again";
  wait(Days{1});
  ASSERT_TRUE(spoke().identity);
  EXPECT_EQ(issued(spoke_name), 1U);
}

TEST_F(RegistrationAuthority, WhatWaitsAtTheCaIsPolledFor) {
  start("", ra_text(" grant auto\n"), device_text());
  found();
  add_device();
  EXPECT_FALSE(spoke().identity);
  EXPECT_EQ(requests("RA", "forwarded").size(), 1U);
  const auto waiting = requests("ROOT", "pending");
  ASSERT_EQ(waiting.size(), 1U);
  EXPECT_EQ(waiting.front().request_class, 3);
  EXPECT_TRUE(waiting.front().subject.ends_with(spoke_name)) << waiting.front().subject;
  wait(std::chrono::hours{3});
  EXPECT_EQ(requests("ROOT", "pending").size(), 1U);
  grant("ROOT");
  wait(Days{1});
  ASSERT_TRUE(spoke().identity);
  EXPECT_EQ(issued(spoke_name), 1U);
}

TEST_F(RegistrationAuthority, WhatTheCaRejectsIsRejected) {
  start("", ra_text(" grant auto\n"), device_text());
  found();
  add_device();
  ASSERT_TRUE(world->server("ROOT").reject(requests("ROOT", "pending").front().id));
  wait(Days{1});
  EXPECT_EQ(spoke().last_enrollment_status, "Rejected");
  EXPECT_EQ(requests("RA", "rejected").size(), 1U);
  EXPECT_EQ(issued(spoke_name), 0U);
}

TEST_F(RegistrationAuthority, NothingIsLostWhileTheCaIsAwayAndNothingIsIssuedTwice) {
  start(" grant ra-auto\n", ra_text(" grant auto\n"), device_text());
  found();
  world->cut("root:80");
  add_device();
  EXPECT_FALSE(spoke().identity);
  EXPECT_EQ(requests("RA", "authorized").size(), 1U);
  EXPECT_EQ(server("RA").status, "enabled");
  EXPECT_NE(server("RA").awaited.find("does not answer"), std::string::npos);
  EXPECT_EQ(logged(*world, "RA_CA_SILENT").size(), 1U);
  wait(std::chrono::hours{1});
  world->restart(to_time(world->clock().now()) + std::chrono::hours{1});
  EXPECT_EQ(requests("RA", "authorized").size(), 1U);
  world->mend("root:80");
  wait(Days{1});
  ASSERT_TRUE(spoke().identity);
  EXPECT_EQ(issued(spoke_name), 1U);
  EXPECT_EQ(server("RA").awaited, "");
}

TEST_F(RegistrationAuthority, ARestartWhileTheCaHasTheRequestGoesOnWithTheSameOne) {
  start("", ra_text(" grant auto\n"), device_text());
  found();
  add_device();
  ASSERT_EQ(requests("ROOT", "pending").size(), 1U);
  const auto id = requests("ROOT", "pending").front().id;
  world->restart(to_time(world->clock().now()) + std::chrono::hours{1});
  wait(std::chrono::hours{12});
  ASSERT_EQ(requests("ROOT", "pending").size(), 1U);
  EXPECT_EQ(requests("ROOT", "pending").front().id, id);
  grant("ROOT");
  world->restart(to_time(world->clock().now()) + std::chrono::hours{1});
  wait(Days{2});
  ASSERT_TRUE(spoke().identity);
  EXPECT_EQ(issued(spoke_name), 1U);
}

TEST_F(RegistrationAuthority, AsksForNobodyWhoWantsToBeMoreThanADevice) {
  for (const std::string subject :
       {"CN=RA, OU=ioscs RA", "CN=other, OU=IOSCS ra", "CN=ioscs RA", "CN=Root, O=Umbra"}) {
    ScratchDirectory directory;
    const auto parsed =
        configure(root_text(" grant ra-auto\n grant auto rollover ra-cert\n") +
                  ra_text(" grant auto\n") + device_text(" subject-name " + subject + "\n"));
    sim::World small(directory.path(), day_zero);
    small.add_server(parsed.servers[0], "root:80");
    small.add_server(parsed.servers[1], "ra:80");
    small.add_trustpoint(parsed.trustpoints[0], "ra.umbra.example");
    authenticate(small, "RA");
    ASSERT_TRUE(small.server("ROOT").grant(1));
    small.run_until(day_zero + Days{1});
    const auto asked = small.calls().size();
    auto device = parsed.trustpoints[1];
    device.fqdn_none = true;
    small.add_trustpoint(device, "");
    authenticate(small, "SPOKE");
    EXPECT_EQ(small.trustpoint("SPOKE").status().last_enrollment_status, "Rejected") << subject;
    for (std::size_t i = asked; i < small.calls().size(); ++i)
      EXPECT_NE(small.calls()[i].host, "root:80") << subject << ": not even asked for";
  }
  world = std::make_unique<sim::World>(scratch.path(), day_zero);
}

TEST_F(RegistrationAuthority, ARevokedDeviceIsNotRenewed) {
  start(" grant ra-auto\n", ra_text(" grant auto\n challenge password 0 open-sesame\n"),
        device_text(" subject-name CN=spoke-1,O=Umbra\n password 0 open-sesame\n"));
  found();
  add_device();
  ASSERT_TRUE(spoke().identity);
  const auto first = *spoke().identity;
  const Time renews = first.not_before() + Days{292};
  live_until(renews + Days{1});
  ASSERT_FALSE(*spoke().identity == first) << "an unrevoked one is";
  const auto second = *spoke().identity;
  ASSERT_TRUE(
      world->server("ROOT").revoke(second.serial(), x509::RevocationReason::key_compromise));
  const auto before = issued(spoke_name);
  live_until(second.not_after() - Days{10});
  EXPECT_EQ(*spoke().identity, second);
  EXPECT_EQ(issued(spoke_name), before);
  EXPECT_FALSE(logged(*world, "signed by a certificate that is revoked").empty());
}

TEST_F(RegistrationAuthority, TransparentItPassesEverythingOnAsItComes) {
  start(" grant auto\n auto-rollover 90\n", ra_text("", "", "ra transparent"), device_text());
  EXPECT_EQ(server("RA").state, "pending");
  authenticate(*world, "RA");
  wait(std::chrono::hours{1});
  EXPECT_EQ(server("RA").status, "enabled");
  EXPECT_TRUE(requests("ROOT", "pending").empty()) << "it asks for nothing of its own";
  add_device();
  ASSERT_TRUE(spoke().identity);
  EXPECT_EQ(issued(spoke_name), 1U);
  EXPECT_TRUE(world->server("RA").requests()->empty());
  world->run_until(day(730) - Seconds{1});
  ASSERT_TRUE(spoke().rollover_identity);
  world->run_until(day(730));
  EXPECT_EQ(*spoke().ca, *server("ROOT").ca);
  EXPECT_EQ(*server("RA").ca, *server("ROOT").ca);
  EXPECT_TRUE(spoke().identity->verify_signed_by(server("ROOT").ca->public_key()));
  world->cut("root:80");
  wait(Days{1});
  world->mend("root:80");
}

TEST_F(RegistrationAuthority, TransparentItPassesNothingOnToAnotherCaThanThatOfItsFingerprint) {
  start(" grant auto\n", ra_text("", "", "ra transparent"), device_text());
  authenticate(*world, "RA");
  wait(std::chrono::hours{1});
  ASSERT_EQ(server("RA").status, "enabled");
  auto pinned = configuration.trustpoints[0];
  pinned.fingerprint = std::string(64, 'A');
  world->trustpoint("RA").reconfigure(pinned, "ra.umbra.example", [] {});
  world->settle();
  world->add_trustpoint(configuration.trustpoints[1], "spoke-1");
  std::optional<Errc> refused;
  world->trustpoint("SPOKE").fetch_ca([&refused](const Result<x509::Certificate>& ca) {
    if (!ca) refused = ca.error().code;
  });
  world->settle();
  EXPECT_EQ(refused, Errc::unreachable) << "it has heard nothing of that CA";
  EXPECT_FALSE(logged(*world, "%PKI-4-RA_FINGERPRINT").empty());
  pinned.fingerprint.clear();
  world->trustpoint("RA").reconfigure(pinned, "ra.umbra.example", [] {});
  world->settle();
  authenticate(*world, "SPOKE");
  EXPECT_TRUE(spoke().identity);
}

}  // namespace
}  // namespace umbra::lab
