// Subordinate CAs and registration authorities, and the trustpoints that get their certificates.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/lab_test.h"

namespace umbra::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Config, KnowsWhatIsGrantedToCasAndRas) {
  const Parsed parsed = good(
      "crypto pki server A\n grant ra-auto\n grant auto rollover ca-cert\n"
      " grant auto rollover ra-cert\n lifetime subordinate-ca 730 12\n");
  EXPECT_THAT(not_effective(parsed), ElementsAre());
  const Server& server = parsed.configuration.servers.front();
  EXPECT_EQ(server.grant, Grant::manual);
  EXPECT_TRUE(server.grant_ra_auto);
  EXPECT_TRUE(server.grant_rollover_ca_cert);
  EXPECT_TRUE(server.grant_rollover_ra_cert);
  EXPECT_EQ(server.lifetime_subordinate_ca, Days{730} + std::chrono::hours{12});
  const Parsed later = good("crypto pki server A\n grant ra-auto\n grant auto\n");
  EXPECT_FALSE(later.configuration.servers.front().grant_ra_auto) << "the later mode counts";
}

TEST(Config, ASubordinatesTrustpointAsksForTheServersOwnCertificate) {
  const Parsed parsed = good(
      "crypto pki server SUB\n issuer-name CN=Sub,O=Umbra\n mode sub-cs\n auto-rollover 90\n"
      " no shutdown\ncrypto pki trustpoint SUB\n enrollment url http://root\n");
  EXPECT_EQ(parsed.configuration.servers.front().mode, ServerMode::subordinate);
  ASSERT_EQ(parsed.configuration.trustpoints.size(), 1U);
  const Trustpoint& own = parsed.configuration.trustpoints.front();
  EXPECT_EQ(own.role, Role::subordinate_ca);
  EXPECT_EQ(own.subject_name, "CN=Sub,O=Umbra");
  EXPECT_EQ(own.overlap, Days{90});
  EXPECT_TRUE(own.fqdn_none);
  EXPECT_TRUE(own.auto_enroll);
  const Parsed shut = good(
      "crypto pki server SUB\n mode sub-cs\ncrypto pki trustpoint SUB\n enrollment url "
      "http://root\n subject-name CN=Sub\n");
  EXPECT_FALSE(shut.configuration.trustpoints.front().auto_enroll) << "shut: it asks for nothing";
  EXPECT_EQ(shut.configuration.servers.front().issuer_name, "CN=Sub");
}

TEST(Config, AShutRootMayStillBecomeOneWithACaAboveIt) {
  const std::string typed = "crypto pki trustpoint SUB\n enrollment url http://root\n";
  const Parsed parsed = good("crypto pki server SUB\n" + typed);
  EXPECT_TRUE(parsed.configuration.trustpoints.empty()) << "the server's own, until it says so";
  EXPECT_THAT(parsed.running_config, HasSubstr(" enrollment url http://root"));
  EXPECT_EQ(good(parsed.running_config + "crypto pki server SUB\n mode sub-cs\n")
                .configuration.trustpoints.size(),
            1U);
  EXPECT_FALSE(parse("crypto pki server SUB\n no shutdown\n" + typed).faults.empty());
}

TEST(Config, ARegistrationAuthoritysTrustpointAsksForItsCertificate) {
  const Parsed parsed = good(
      "crypto pki server RA\n grant auto\n mode ra\n no shutdown\n"
      "crypto pki trustpoint RA\n enrollment url http://ca\n hash sha384\n");
  const Server& server = parsed.configuration.servers.front();
  EXPECT_EQ(server.mode, ServerMode::ra);
  EXPECT_EQ(server.issuer_name, "CN=RA, OU=ioscs RA");
  ASSERT_TRUE(server.upstream);
  EXPECT_EQ(server.upstream->url, "http://ca");
  EXPECT_EQ(server.upstream->hash, HashName::sha384);
  EXPECT_FALSE(server.upstream->unchecked);
  const Trustpoint& own = parsed.configuration.trustpoints.front();
  EXPECT_EQ(own.role, Role::ra);
  EXPECT_EQ(own.subject_name, "CN=RA, OU=ioscs RA");
  EXPECT_EQ(own.auto_enroll, 50) << "early, for its devices need it before them";
  EXPECT_TRUE(own.fqdn_none);

  const Parsed named = good(
      "crypto pki server RA\n mode ra transparent\n no shutdown\ncrypto pki trustpoint RA\n"
      " enrollment url http://ca\n subject-name CN=any\n revocation-check none\n");
  EXPECT_EQ(named.configuration.servers.front().mode, ServerMode::ra_transparent);
  EXPECT_TRUE(named.configuration.servers.front().upstream->unchecked);
  EXPECT_FALSE(named.configuration.trustpoints.front().auto_enroll) << "it has none of its own";
  EXPECT_TRUE(named.configuration.trustpoints.front().relays);
}

TEST(Config, WhatARegistrationAuthorityHasNoUseForIsNamed) {
  const Parsed parsed = good(
      "crypto pki server RA\n issuer-name CN=x\n lifetime certificate 100\n auto-rollover 90\n"
      " lifetime enrollment-request 10\n mode ra\n no shutdown\n"
      "crypto pki trustpoint RA\n enrollment url http://ca\n");
  EXPECT_THAT(not_effective(parsed),
              ElementsAre("issuer-name CN=x: an RA issues nothing; its name is the subject-name of "
                          "its trustpoint",
                          "lifetime certificate 100: an RA issues nothing, the CA above it does",
                          "auto-rollover 90: an RA issues nothing, the CA above it does"));
  EXPECT_FALSE(parsed.configuration.servers.front().auto_rollover);
  EXPECT_EQ(parsed.configuration.servers.front().lifetime_enrollment_request,
            std::chrono::hours{10});
  const Parsed transparent = good(
      "crypto pki server RA\n grant auto\n mode ra transparent\n no shutdown\n"
      "crypto pki trustpoint RA\n enrollment url http://ca\n");
  EXPECT_THAT(not_effective(transparent),
              ElementsAre("grant auto: a transparent RA passes everything on"));
}

TEST(Config, AServerThatIsNoRootNeedsItsUpperCaAndAgreesWithItsTrustpoint) {
  const auto what = [](const std::string& text) {
    const Parsed parsed = parse(text);
    return parsed.faults.empty() ? std::string() : parsed.faults.front().what;
  };
  EXPECT_EQ(what("crypto pki server SUB\n mode sub-cs\n no shutdown\n"), "SUB has no upper CA");
  EXPECT_EQ(what("crypto pki server SUB\n mode sub-cs\n no shutdown\ncrypto pki trustpoint SUB\n"),
            "SUB has no upper CA");
  for (const std::string mode : {"sub-cs", "ra", "ra transparent"}) {
    EXPECT_EQ(what("crypto pki server A\n keytype ec 256\n mode " + mode +
                   "\ncrypto pki trustpoint A\n enrollment url http://root\n"),
              "a server with a CA above it has an RSA key")
        << mode;
    EXPECT_EQ(what("crypto pki server A\n no shutdown\n mode " + mode + "\n"), "A has no upper CA")
        << mode;
    // Typed line by line, whichever of the two comes first.
    EXPECT_EQ(what("crypto pki server A\n mode " + mode + "\n"), "") << mode;
    EXPECT_EQ(what("crypto pki server A\n mode " + mode + "\ncrypto pki trustpoint A\n"), "");
    EXPECT_EQ(what("crypto pki trustpoint A\n enrollment url http://root\ncrypto pki server A\n"),
              "");
  }
  EXPECT_EQ(what("crypto pki server RA\n mode ra\ncrypto pki trustpoint RA\n enrollment url "
                 "http://ca\n subject-name CN=ra\n"),
            "the CA above knows no RA by this name");
  EXPECT_EQ(what("crypto pki server SUB\n issuer-name CN=a\n mode sub-cs\n"
                 "crypto pki trustpoint SUB\n enrollment url http://root\n subject-name CN=b\n"),
            "the server's issuer-name says something else");
  EXPECT_EQ(what("crypto pki server SUB\n mode sub-cs\ncrypto pki trustpoint SUB\n enrollment "
                 "url http://root\n storage pem /tmp\n"),
            "the key of certificate server SUB is not written in the clear");
}

}  // namespace
}  // namespace umbra::config
