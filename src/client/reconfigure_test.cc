#include <gmock/gmock.h>

#include "client/lab_test.h"

namespace umbra::client {
namespace {

using std::chrono::minutes;
using testing::Each;
using testing::ElementsAre;

/// No CA yet, and a configuration that is read again.
class ReconfigureTest : public Lab {
 protected:
  [[nodiscard]] std::string right_pin() {
    return to_hex(server->status().ca->fingerprint(x509::Digest::sha256));
  }
  void reconfigure() {
    trustpoint->reconfigure(spoke, "spoke.lab", [] {});
    settle();
  }
  void deliver() {
    hold_answers = false;
    for (const auto& answer : std::exchange(held, {})) answer();
    settle();
  }
};

TEST_F(ReconfigureTest, ACaIsNotAcceptedByAFingerprintThatIsConfiguredNoMore) {
  start_server();
  spoke.fingerprint = right_pin();
  hold_answers = true;
  start_spoke();
  ASSERT_EQ(held.size(), 1U);
  // Somebody else's CA would come in unseen.
  spoke.fingerprint.clear();
  reconfigure();
  deliver();
  EXPECT_FALSE(status().ca);
  run_until(day(1));
  EXPECT_FALSE(status().ca);
  EXPECT_THAT(operations(), ElementsAre("GetCACert"));
}

TEST_F(ReconfigureTest, AFingerprintThatIsCorrectedWhileTheCaIsAskedCountsForTheNextAnswer) {
  start_server();
  spoke.fingerprint = std::string(64, 'A');
  hold_answers = true;
  start_spoke();
  ASSERT_EQ(held.size(), 1U);
  spoke.fingerprint = right_pin();
  reconfigure();
  deliver();
  EXPECT_TRUE(status().identity);
  EXPECT_EQ(row().tries, 0U);
}

TEST_F(ReconfigureTest, ACorrectedFingerprintIsActedOnAtOnce) {
  start_server();
  spoke.fingerprint = std::string(64, 'A');
  start_spoke();
  run_until(day(1));
  const auto calls = sent.size();
  ASSERT_GT(row().tries, 5U);
  reconfigure();
  EXPECT_EQ(sent.size(), calls) << "nothing has changed";
  spoke.fingerprint = right_pin();
  reconfigure();
  EXPECT_THAT(operations(calls), ElementsAre("GetCACert", "GetCACaps", "PKIOperation"));
  EXPECT_TRUE(status().identity);
}

TEST_F(ReconfigureTest, ACorrectedUrlIsActedOnAtOnce) {
  start_server();
  spoke.fingerprint = right_pin();
  spoke.enrollment_url = "http://nobody";
  down = {"nobody"};
  start_spoke();
  run_until(day(1));
  EXPECT_THAT(operations(), Each("GetCACert"));
  spoke.enrollment_url = "http://10.1.255.12:80";
  reconfigure();
  EXPECT_TRUE(status().identity);
}

TEST_F(ReconfigureTest, WhatAServerThatIsAskedNoMoreCanDoIsNotTakenForTheNextOnes) {
  start_server();
  spoke.fingerprint = right_pin();
  spoke.enrollment_url = "http://old";
  tamper = [](const Sent& call, HttpReply reply) {
    if (call.operation == "GetCACaps" && call.target.starts_with("http://old"))
      reply.body = to_bytes(as_bytes("DES3\n"));
    return reply;
  };
  hold_answers = true;
  start_spoke();
  for (const auto& answer : std::exchange(held, {})) answer();
  settle();
  ASSERT_THAT(operations(), ElementsAre("GetCACert", "GetCACaps"));
  spoke.enrollment_url = "http://10.1.255.12:80";
  reconfigure();
  deliver();
  EXPECT_TRUE(row().capabilities_known);
  EXPECT_NE(row().capabilities, "DES3\n");
  EXPECT_TRUE(status().identity);
}

TEST_F(ReconfigureTest, ACaIsAskedWhereTheCertificateWasSelfSignedBefore) {
  for (const bool restarts : {false, true}) {
    start_server();
    spoke.fingerprint.clear();
    spoke.selfsigned = true;
    const auto url = std::exchange(spoke.enrollment_url, "");
    start_spoke();
    trustpoint->zeroize([](const auto&) {});
    settle();
    ASSERT_TRUE(trustpoint->enroll());
    settle();
    ASSERT_TRUE(status().identity);
    ASSERT_EQ(*status().ca, *status().identity);
    spoke.selfsigned = false;
    spoke.enrollment_url = url;
    spoke.fingerprint = right_pin();
    if (restarts) {
      start_spoke();
    } else {
      reconfigure();
    }
    EXPECT_EQ(*status().ca, *server->status().ca);
    ASSERT_TRUE(status().identity);
    EXPECT_TRUE(status().identity->verify_signed_by(status().ca->public_key()));
  }
}

}  // namespace
}  // namespace umbra::client
