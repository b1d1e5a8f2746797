#include "config/difference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config.h"

namespace umbra::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view site =
    "hostname hub\n"
    "ip http server\n"
    "crypto pki server ROOTCA\n"
    " grant auto\n"
    " no shutdown\n"
    "crypto pki server OTHER\n"
    "crypto pki trustpoint SPOKE-1\n"
    " enrollment url http://192.0.2.1\n"
    "crypto pki trustpoint SPOKE-2\n"
    " enrollment url http://192.0.2.1\n";

Configuration read(std::string_view text) {
  const Parsed parsed = parse(text);
  EXPECT_THAT(parsed.faults, IsEmpty());
  return parsed.configuration;
}
Configuration with(std::string_view lines) { return read(std::string(site) + std::string(lines)); }

TEST(Difference, OfTheSameConfigurationIsNothing) {
  EXPECT_TRUE(difference(read(site), with("end\n")).empty());
}

TEST(Difference, NamesWhatIsNewGoneAndChanged) {
  const Difference d = difference(read(site), with("crypto pki server ROOTCA\n"
                                                   " shutdown\n"
                                                   "crypto pki server OTHER\n"
                                                   " lifetime crl 12\n"
                                                   " no shutdown\n"
                                                   "crypto pki server THIRD\n"
                                                   "no crypto pki trustpoint SPOKE-1\n"
                                                   "crypto pki trustpoint SPOKE-2\n"
                                                   " auto-enroll 80\n"
                                                   "crypto pki trustpoint A\n"
                                                   "ip domain name example.org\n"
                                                   "ip http port 8080\n"));
  EXPECT_THAT(d.servers_added, ElementsAre("THIRD"));
  EXPECT_THAT(d.servers_removed, IsEmpty());
  EXPECT_THAT(d.servers_changed, ElementsAre("OTHER"));
  EXPECT_THAT(d.servers_shut, ElementsAre("ROOTCA"));
  EXPECT_THAT(d.servers_started, ElementsAre("OTHER"));
  EXPECT_THAT(d.trustpoints_added, ElementsAre("A"));
  EXPECT_THAT(d.trustpoints_removed, ElementsAre("SPOKE-1"));
  EXPECT_THAT(d.trustpoints_changed, ElementsAre("SPOKE-2"));
  EXPECT_TRUE(d.fqdn);
  EXPECT_TRUE(d.listener);
}

TEST(Difference, AServerThatIsNotShutIsLocked) {
  const Configuration before = read(site);
  EXPECT_THAT(locked(before, with("crypto pki server ROOTCA\n lifetime crl 12\n")),
              ElementsAre("ROOTCA"));
  EXPECT_THAT(locked(before, with("crypto pki server ROOTCA\n shutdown\n lifetime crl 12\n")),
              ElementsAre("ROOTCA"))
      << "one step after the other";
  EXPECT_THAT(locked(before, with("crypto pki server ROOTCA\n shutdown\n")), IsEmpty());
  EXPECT_THAT(locked(before, with("crypto pki server OTHER\n lifetime crl 12\n no shutdown\n")),
              IsEmpty());
  EXPECT_THAT(locked(before, with("no crypto pki server ROOTCA\n")), IsEmpty());
}

TEST(ContextualDifferences, StandBelowTheirSection) {
  const std::string before = parse(site).running_config;
  const std::string after = parse(std::string(site) +
                                  "crypto pki server ROOTCA\n"
                                  " no grant\n"
                                  " lifetime crl 12\n"
                                  "no crypto pki trustpoint SPOKE-1\n"
                                  "crypto pki trustpoint A\n"
                                  " auto-enroll 80\n"
                                  " enrollment url http://192.0.2.9\n"
                                  "hostname other\n")
                                .running_config;
  EXPECT_EQ(contextual_differences(before, after),
            "+hostname other\n"
            "crypto pki server ROOTCA\n"
            " +lifetime crl 12\n"
            " -grant auto\n"
            "+crypto pki trustpoint A\n"
            " +enrollment url http://192.0.2.9\n"
            " +auto-enroll 80\n"
            "-hostname hub\n"
            "-crypto pki trustpoint SPOKE-1\n"
            " -enrollment url http://192.0.2.1\n");
  EXPECT_EQ(contextual_differences(before, before), "");
}

}  // namespace
}  // namespace umbra::config
