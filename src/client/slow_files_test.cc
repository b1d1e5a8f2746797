#include <gmock/gmock.h>

#include "client/lab_test.h"
#include "x509/pkcs12.h"

/// A file server that does not answer: its files wait, and nothing else does.
namespace umbra::client {
namespace {

using ::testing::HasSubstr;

class SlowFilesTest : public Lab {
 protected:
  SlowFilesTest() { spoke.on_change_exec.clear(); }
  void enrolled() {
    start();
    authenticate();
    ASSERT_TRUE(status().identity);
  }
  std::optional<Result<std::vector<std::string>>> zeroized;
  void zeroize() {
    trustpoint->zeroize([this](auto result) { zeroized = std::move(result); });
    settle();
  }
  void answers() {
    outlet.answers();
    settle();
    outlet.answers();  // an archive follows the set
    settle();
  }
};

TEST_F(SlowFilesTest, WhatHangsIsSaidOnceAndHoldsUpNothingElse) {
  outlet.server_down = true;
  enrolled();
  EXPECT_TRUE(outlet.published.empty());
  EXPECT_FALSE(status().outdated) << "it may be there any moment";
  run_until(zero + Seconds{9});
  EXPECT_EQ(log.count("%UMBRA-3-STORAGE"), 0U);
  run_until(zero + Seconds{10});
  EXPECT_EQ(log.count("/etc/spoke does not answer since " + to_rfc3339(zero)), 1U);
  ASSERT_TRUE(status().outdated);
  EXPECT_FALSE(status().outdated->known);
  const auto first = *status().identity;
  run_until(day(300));
  EXPECT_NE(*status().identity, first) << "it is renewed in its time";
  EXPECT_EQ(log.count("%UMBRA-3-STORAGE"), 1U);
  EXPECT_EQ(outlet.held.size(), 1U) << "nor does more and more wait";
  answers();
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
  EXPECT_FALSE(status().outdated);
  EXPECT_EQ(outlet.held.size(), 0U);
}

TEST_F(SlowFilesTest, AReloadDoesNotMakeItAnyBetter) {
  outlet.server_down = true;
  enrolled();
  run_until(zero + Seconds{10});
  ASSERT_TRUE(status().outdated);
  trustpoint->look_at_files();
  settle();
  run_until(zero + Seconds{30});
  EXPECT_TRUE(status().outdated);
  EXPECT_EQ(log.count("/etc/spoke does not answer since"), 2U);
  answers();
  EXPECT_FALSE(status().outdated);
}

TEST_F(SlowFilesTest, ATryThatHangsIsNotDueAgainAndAgain) {
  outlet.refuse = true;
  enrolled();
  ASSERT_THAT(armed(), HasSubstr("ANNOUNCE"));
  const Time again = status().announced_again_at.value();
  outlet.refuse = false;
  outlet.server_down = true;
  run_until(again);
  EXPECT_FALSE(status().announced_again_at) << "nothing has failed since";
  run_until(again + Seconds{11});
  for (const auto& deadline : status().deadlines) EXPECT_GT(deadline.at, again + Seconds{11});
  answers();
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
}

TEST_F(SlowFilesTest, WhatIsBeingWrittenHasNotFailed) {
  outlet.server_down = true;
  enrolled();
  EXPECT_FALSE(status().announced_again_at);
  EXPECT_THAT(armed(), HasSubstr("ANNOUNCE")) << "it is looked at after ten seconds";
}

TEST_F(SlowFilesTest, KeysThatWereRemovedSlowlyLeaveNothingToWarnOf) {
  enrolled();
  outlet.server_down = true;
  zeroize();
  run_until(zero + Seconds{20});
  ASSERT_TRUE(status().outdated);
  answers();
  ASSERT_TRUE(zeroized);
  EXPECT_FALSE(status().outdated);
  EXPECT_FALSE(status().announced_again_at);
}

TEST_F(SlowFilesTest, WhatAnswersInTimeIsNotSpokenOf) {
  enrolled();
  outlet.server_down = true;
  run_until(status().renew_at.value() + Seconds{5});
  answers();
  run_until(day(300));
  EXPECT_EQ(log.count("%UMBRA-3-STORAGE"), 0U);
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
}

TEST_F(SlowFilesTest, KeysThatWereRemovedMeanwhileDoNotComeBack) {
  spoke.storage_pkcs12.path = "/etc/spoke.p12";
  spoke.pkcs12_password = "sealed";
  outlet.server_down = true;
  enrolled();
  zeroize();
  EXPECT_FALSE(zeroized) << "the files go first";
  EXPECT_TRUE(status().identity);
  std::optional<Result<std::vector<std::string>>> again;
  trustpoint->zeroize([&](auto result) { again = std::move(result); });
  settle();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->error().code, Errc::conflict);
  answers();
  ASSERT_TRUE(zeroized);
  EXPECT_TRUE(*zeroized);
  EXPECT_FALSE(status().identity);
  answers();
  EXPECT_TRUE(outlet.published.empty());
  EXPECT_TRUE(outlet.archives.empty());
}

TEST_F(SlowFilesTest, ACertificateThatComesWhileKeysAreBeingRemovedGoesWithThem) {
  enrolled();
  outlet.server_down = true;
  zeroize();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  answers();
  ASSERT_TRUE(zeroized);
  EXPECT_TRUE(*zeroized);
  EXPECT_FALSE(status().identity);
  EXPECT_TRUE(outlet.published.empty());
}

TEST_F(SlowFilesTest, WhoEndsIsWaitedForUntilHeHasLeftHisPlaces) {
  enrolled();
  outlet.server_down = true;
  spoke.storage_pem.path = "/etc/other";
  bool done = false;
  trustpoint->reconfigure(spoke, "spoke.lab", [&] { done = true; });
  settle();
  EXPECT_FALSE(done);
  answers();
  EXPECT_TRUE(done);
  EXPECT_THAT(outlet.left, ::testing::ElementsAre("/etc/spoke"));
  EXPECT_EQ(outlet.published.at("/etc/other").cert, status().identity->to_pem());

  outlet.server_down = true;
  done = false;
  trustpoint->retire([&] { done = true; });
  settle();
  EXPECT_FALSE(done);
  answers();
  EXPECT_TRUE(done);
  EXPECT_EQ(outlet.left.back(), "/etc/other");
}

TEST_F(SlowFilesTest, WhatWasUnderWayForAnotherConfigurationIsNotTakenForThisOnes) {
  outlet.server_down = true;
  enrolled();
  spoke.storage_pem.rollover_ca = true;
  spoke.storage_pem.path = "/etc/other";
  trustpoint->reconfigure(spoke, "spoke.lab", [] {});
  settle();
  answers();
  EXPECT_TRUE(outlet.published.contains("/etc/other"));
}

TEST_F(SlowFilesTest, WhoImportsIsToldWhenTheFilesAreThere) {
  enrolled();
  std::optional<x509::Archive> mine;
  trustpoint->exported([&](const Result<Exported>& out) {
    mine = x509::Archive{
        *x509::PrivateKey::unseal(row().sealed_key, spoke_passphrase), *out->identity, {out->ca}};
  });
  settle();
  ASSERT_TRUE(mine);
  std::optional<Result<void>> imported;
  const auto begin = [&] {
    zeroize();
    EXPECT_TRUE(outlet.published.empty());
    outlet.server_down = true;
    imported.reset();
    trustpoint->import_archive(*mine, true, [&](auto result) { imported = result; });
    settle();
    EXPECT_FALSE(imported) << "the files are on their way";
  };
  begin();
  answers();
  ASSERT_TRUE(imported);
  EXPECT_TRUE(*imported);
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, mine->certificate.to_pem());
  begin();
  run_until(to_time(clock.now()) + Seconds{10});
  ASSERT_TRUE(imported) << "nobody waits for what does not answer";
  EXPECT_TRUE(*imported);
  answers();
  begin();
  trustpoint->retire([] {});
  settle();
  ASSERT_TRUE(imported) << "nor where nobody is left to say so";
  EXPECT_TRUE(*imported) << "it is in the database";
}

TEST_F(SlowFilesTest, AnArchiveWhoseCertificateHasGoneMeanwhileIsNotMade) {
  spoke.storage_pkcs12.path = "/etc/spoke.p12";
  spoke.pkcs12_password = "sealed";
  outlet.server_down = true;
  enrolled();
  // Another CA is accepted, which ends what the old one issued.
  ca.issuer_name = "CN=Another";
  std::filesystem::remove(directory + "/server.db");
  start_server();
  outlet.server_down = true;
  authenticate();
  answers();
  run_until(to_time(clock.now()) + Days{1});
  answers();
  const auto opened = x509::from_pkcs12(outlet.archives.at("/etc/spoke.p12"), "sealed");
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->certificate, *status().identity);
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
}

TEST_F(SlowFilesTest, FilesThatSomebodyTookAwayArePutBackWhenAsked) {
  enrolled();
  outlet.published.clear();
  trustpoint->look_at_files();
  settle();
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
}

}  // namespace
}  // namespace umbra::client
