#include <gmock/gmock.h>

#include "client/lab_test.h"
#include "x509/pkcs12.h"

namespace umbra::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AnnounceTest : public Lab {
 protected:
  void enrolled() {
    spoke.auto_enroll = 80;
    start();
    authenticate();
    run_until(zero + Seconds{60});
    ASSERT_TRUE(status().identity);
  }
  [[nodiscard]] std::vector<std::string> events() const {
    std::vector<std::string> all;
    for (const auto& hook : outlet.hooks) {
      for (const auto& [name, value] : hook.variables) {
        if (name == "UMBRA_EVENT") all.push_back(value);
      }
    }
    return all;
  }
  [[nodiscard]] const PemSet& files() const { return outlet.published.at("/etc/spoke"); }
  [[nodiscard]] const PemSet& shadow() const { return outlet.rollover.at("/etc/spoke"); }
};

TEST_F(AnnounceTest, EachChangeIsToldOnceWithWhatItIsAbout) {
  spoke.on_change_limit = Seconds{7};
  enrolled();
  EXPECT_THAT(events(), ElementsAre("enrolled"));
  EXPECT_EQ(outlet.hooks.back().limit, Seconds{7});
  EXPECT_EQ(outlet.told("UMBRA_TRUSTPOINT"), "Root-CA");
  EXPECT_EQ(outlet.told("UMBRA_SERIAL"), status().identity->serial().to_hex_octets());
  EXPECT_EQ(outlet.told("UMBRA_NOT_AFTER"), to_rfc3339(status().identity->not_after()));
  EXPECT_EQ(outlet.told("UMBRA_NOT_BEFORE"), to_rfc3339(status().identity->not_before()));
  EXPECT_EQ(outlet.told("UMBRA_CA_NOT_AFTER"), to_rfc3339(status().ca->not_after()));
  EXPECT_EQ(outlet.told("UMBRA_PEM_DIRECTORY"), "/etc/spoke");
  EXPECT_EQ(outlet.told("UMBRA_ROLLOVER_SERIAL"), "");

  run_until(day(729));
  EXPECT_EQ(outlet.told("UMBRA_EVENT"), "rollover-identity");
  EXPECT_EQ(outlet.told("UMBRA_ROLLOVER_NOT_BEFORE"), to_rfc3339(day(730)));
  EXPECT_EQ(outlet.told("UMBRA_ROLLOVER_CA_SERIAL"),
            status().rollover_ca->serial().to_hex_octets());
  run_until(day(731));
  EXPECT_THAT(events(), ElementsAre("enrolled", "renewed", "renewed", "rollover-ca",
                                    "rollover-identity", "switch-over"));
  start_spoke();
  EXPECT_EQ(events().size(), 6U) << "a start is no change";
}

TEST_F(AnnounceTest, OfWhatComesWhileFilesAreBeingWrittenTheGreatestIsTold) {
  enrolled();
  outlet.server_down = true;
  run_until(day(729));
  ASSERT_TRUE(status().rollover_identity);
  EXPECT_THAT(events(), ElementsAre("enrolled"));
  outlet.answers();
  settle();
  EXPECT_EQ(events().back(), "renewed");
  EXPECT_EQ(events().size(), 2U);
  EXPECT_EQ(outlet.told("UMBRA_ROLLOVER_SERIAL"),
            status().rollover_identity->serial().to_hex_octets());
}

TEST_F(AnnounceTest, TheShadowSetIsBesideUntilItsSecondAndThenInItsPlace) {
  spoke.regenerate = true;
  enrolled();
  EXPECT_EQ(shadow().ca, "");
  run_until(day(729));
  const auto next = shadow();
  EXPECT_EQ(next.cert, status().rollover_identity->to_pem());
  EXPECT_EQ(next.chain, next.cert + status().rollover_ca->to_pem());
  EXPECT_EQ(x509::PrivateKey::from_pem(next.key)->public_key(),
            status().rollover_identity->public_key());
  EXPECT_EQ(files().ca, status().ca->to_pem()) << "trusted is the active CA alone";
  EXPECT_NE(files().key, next.key);
  run_until(day(730));
  EXPECT_EQ(files().cert, next.cert);
  EXPECT_EQ(files().key, next.key);
  EXPECT_EQ(files().chain, next.chain);
  EXPECT_EQ(shadow().ca, "");
}

TEST_F(AnnounceTest, WithIncludeRolloverCaBothAreTrustedFromTheOverlapToTheNextRenewal) {
  spoke.storage_pem.rollover_ca = true;
  spoke.storage_pkcs12.path = "/etc/spoke.p12";
  spoke.storage_pkcs12.rollover_ca = true;
  spoke.pkcs12_password = "sealed";
  enrolled();
  const auto alone = outlet.archives.at("/etc/spoke.p12").size();
  run_until(day(729));
  const std::string both = status().ca->to_pem() + status().rollover_ca->to_pem();
  EXPECT_EQ(files().ca, both);
  EXPECT_EQ(files().chain, status().identity->to_pem() + both);
  EXPECT_GT(outlet.archives.at("/etc/spoke.p12").size(), alone + 500);
  const std::string last = status().ca->to_pem();
  run_until(day(730));
  EXPECT_EQ(files().ca, status().ca->to_pem() + last) << "a peer may be late";
  EXPECT_EQ(outlet.previous.at("/etc/spoke").ca, last);
  start_spoke();
  EXPECT_EQ(files().ca, status().ca->to_pem() + last);
  run_until(day(730 + 300));
  EXPECT_EQ(files().ca, status().ca->to_pem()) << "the renewal ends it";
  EXPECT_EQ(outlet.previous.at("/etc/spoke").ca, "");
  EXPECT_LT(outlet.archives.at("/etc/spoke.p12").size(), alone + 500);
}

TEST_F(AnnounceTest, IncludeRolloverCaWrittenDuringTheOverlapIsToldAtTheNextStart) {
  enrolled();
  run_until(day(729));
  const auto before = events().size();
  spoke.storage_pem.rollover_ca = true;
  start_spoke();
  EXPECT_EQ(files().ca, status().ca->to_pem() + status().rollover_ca->to_pem());
  EXPECT_EQ(events().size(), before + 1);
  EXPECT_EQ(events().back(), "rollover-ca");
}

TEST_F(AnnounceTest, TheArchiveHoldsKeyIdentityAndCaUnderItsPassword) {
  spoke.storage_pem.path.clear();
  spoke.storage_pkcs12.path = "/etc/spoke.p12";
  spoke.pkcs12_password = "sealed";
  enrolled();
  EXPECT_TRUE(outlet.published.empty());
  EXPECT_EQ(outlet.told("UMBRA_PKCS12_FILE"), "/etc/spoke.p12");
  const auto& archive = outlet.archives.at("/etc/spoke.p12");
  const auto opened = x509::from_pkcs12(archive, "sealed");
  ASSERT_TRUE(opened) << opened.error().detail;
  EXPECT_EQ(opened->certificate, *status().identity);
  EXPECT_FALSE(x509::from_pkcs12(archive, "another"));
}

TEST_F(AnnounceTest, AnArchiveIsItsOwnWhateverBecameOfItsKeyAndPasswordAndNobodyElses) {
  spoke.regenerate = true;
  spoke.storage_pkcs12.path = "/etc/spoke.p12";
  spoke.pkcs12_password = "sealed";
  enrolled();
  spoke.pkcs12_password = "another";
  start_spoke();
  run_until(day(295));
  ASSERT_EQ(events().back(), "renewed");
  EXPECT_TRUE(outlet.others_archives.empty()) << "they were all its own";
  // Of the same CA, and under the same password.
  const auto mine = *x509::from_pkcs12(outlet.archives.at("/etc/spoke.p12"), "another");
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  const auto asked = *x509::sign_request({*x509::Name::from_ios("CN=somebody"), {}, {}}, key,
                                         x509::Digest::sha256);
  const auto theirs = *server->request_pkcs10(asked.der())->certificate;
  const Bytes others = *x509::to_pkcs12(key, theirs, "theirs", "another", mine.others);
  outlet.archives["/etc/spoke.p12"] = others;
  start_spoke();
  EXPECT_THAT(outlet.others_archives, ElementsAre(others));
}

/// With `storage pkcs12` alone.
class ArchiveTest : public AnnounceTest {
 protected:
  ArchiveTest() {
    spoke.storage_pem.path.clear();
    spoke.storage_pkcs12.path = place;
    spoke.pkcs12_password = "sealed";
  }
  [[nodiscard]] const Bytes& archive() const { return outlet.archives.at(place); }
  [[nodiscard]] std::size_t lines(const std::string& head) {
    const std::string text = "\n" + row().held_since;
    std::size_t all = 0;
    for (std::size_t at = 0; (at = text.find("\n" + head, at)) != std::string::npos; ++at) ++all;
    return all;
  }
  /// As the trustpoint of this configuration goes on after a restart.
  void become(const config::Trustpoint& configuration) {
    spoke = configuration;
    start_spoke();
  }
  const std::string place = "/etc/spoke.p12";
};

TEST_F(ArchiveTest, ItsOwnIsKnownHoweverOftenAnotherOneWasTried) {
  spoke.regenerate = true;
  enrolled();
  run_until(day(290));
  // Its key is gone with the renewal, and its password: by itself it tells nothing.
  spoke.pkcs12_password = "another";
  outlet.refuse = true;
  start_spoke();
  run_until(day(296));
  ASSERT_GT(log.count("%UMBRA-3-STORAGE"), 40U);
  EXPECT_EQ(lines("archive "), 1U);
  EXPECT_EQ(lines("archive-try "), 1U);
  outlet.refuse = false;
  start_spoke();
  EXPECT_TRUE(x509::from_pkcs12(archive(), "another"));
  EXPECT_TRUE(outlet.others_archives.empty());
  EXPECT_EQ(lines("archive "), 2U);
  EXPECT_EQ(lines("archive-try "), 0U);
}

TEST_F(ArchiveTest, OneThatGoesInWhileTheProcessDiesOrIsToldOtherwiseIsItsOwn) {
  enrolled();
  spoke.regenerate = true;
  spoke.pkcs12_password = "another";
  outlet.fails_afterwards = true;
  start_spoke();
  const Bytes first = archive();
  ASSERT_TRUE(x509::from_pkcs12(first, "another"));
  EXPECT_EQ(lines("archive-try "), 1U);
  spoke.pkcs12_password = "a third one";
  start_spoke();
  EXPECT_TRUE(x509::from_pkcs12(archive(), "a third one"));
  outlet.fails_afterwards = false;
  run_until(zero + Seconds{60 * 10});
  EXPECT_FALSE(status().outdated);
  EXPECT_TRUE(outlet.others_archives.empty());
  outlet.archives[place] = first;  // of a backup
  run_until(day(296));
  EXPECT_NE(archive(), first);
  EXPECT_TRUE(outlet.others_archives.empty());
}

TEST_F(ArchiveTest, TheSameOctetsAreTriedAgainUntilSomethingInThemChanges) {
  outlet.refuse = true;
  enrolled();
  const std::string tried = row().held_since;
  ASSERT_EQ(lines("archive-try "), 1U);
  const auto commits = store->commits.load();
  const auto failures = log.count("%UMBRA-3-STORAGE");
  run_until(day(1));
  ASSERT_GT(log.count("%UMBRA-3-STORAGE"), failures);
  EXPECT_EQ(row().held_since, tried);
  EXPECT_EQ(store->commits, commits) << "a try is no change";
  spoke.pkcs12_password = "another";
  outlet.refuse = false;
  trustpoint->reconfigure(spoke, "spoke.lab", [] {});
  settle();
  EXPECT_TRUE(x509::from_pkcs12(archive(), "another"));
}

TEST_F(ArchiveTest, OneThatIsThereAsItWouldBeWrittenIsNotWrittenAnew) {
  enrolled();
  const Bytes first = archive();
  outlet.refuse = true;
  start_spoke();
  trustpoint->reconfigure(spoke, "spoke.lab", [] {});
  settle();
  EXPECT_EQ(archive(), first);
  EXPECT_EQ(log.count("%UMBRA-3-STORAGE"), 0U) << "nothing fails where nothing can be written";
  EXPECT_FALSE(status().outdated);
  outlet.refuse = false;
  start_spoke();
  EXPECT_EQ(archive(), first);
  outlet.anothers.insert(place);
  start_spoke();
  EXPECT_EQ(log.count("/etc/spoke.p12 is B's; next try at"), 1U) << "it is another one's meanwhile";
  outlet.anothers.clear();

  spoke.storage_pkcs12.mode = 0640;
  start_spoke();
  EXPECT_NE(archive(), first) << "who may read it has changed";
  const Bytes second = archive();
  spoke.pkcs12_password = "another";
  start_spoke();
  EXPECT_NE(archive(), second);
  EXPECT_TRUE(x509::from_pkcs12(archive(), "another"));
  outlet.archives[place] = first;
  start_spoke();
  EXPECT_TRUE(x509::from_pkcs12(archive(), "another")) << "one of before is put right";
  outlet.archives.clear();
  start_spoke();
  EXPECT_TRUE(outlet.archives.contains(place));
  const Bytes last = archive();
  run_until(day(293));
  EXPECT_NE(archive(), last) << "a renewal";
  EXPECT_TRUE(outlet.others_archives.empty());
}

TEST_F(ArchiveTest, WhatAnotherTrustpointHasWrittenIsReplacedAndNotKept) {
  enrolled();
  config::Trustpoint one = spoke;
  config::Trustpoint two = spoke;
  two.name = "Other";
  two.key_label = "other-RSA";
  two.subject_name = "CN=other,OU=TAC,O=Cisco";
  two.storage_pkcs12.path = "/etc/other.p12";
  two.pkcs12_password = "sealed otherwise";
  become(two);
  authenticate();
  run_until(zero + Seconds{120});
  ASSERT_TRUE(outlet.archives.contains("/etc/other.p12"));
  neighbours = {one.name, two.name};
  for (int times = 0; times < 2; ++times) {
    std::swap(one.storage_pkcs12.path, two.storage_pkcs12.path);
    for (const auto* const each : {&one, &two}) {
      // Until it is put right, other programs have another's.
      outlet.refuse = true;
      become(*each);
      ASSERT_TRUE(status().outdated && status().outdated->known);
      EXPECT_TRUE(status().outdated->anothers);
      outlet.refuse = false;
      start_spoke();
      const auto opened =
          x509::from_pkcs12(outlet.archives.at(each->storage_pkcs12.path), each->pkcs12_password);
      ASSERT_TRUE(opened);
      EXPECT_EQ(opened->certificate, *status().identity);
    }
  }
  EXPECT_TRUE(outlet.others_archives.empty());
  // It is not this one's to take away.
  outlet.refuse = true;
  std::swap(one.storage_pkcs12.path, two.storage_pkcs12.path);
  become(one);
  outlet.refuse = false;
  trustpoint->zeroize([](const auto& done) {
    ASSERT_TRUE(done);
    EXPECT_THAT(*done, ElementsAre(HasSubstr("somebody else's")));
  });
  settle();
  EXPECT_TRUE(outlet.archives.contains(one.storage_pkcs12.path));
}

TEST_F(AnnounceTest, ThatOthersHaveAnothersCertificateIsKnownAndItsOwnOfBeforeIsNoOthers) {
  spoke.regenerate = true;
  spoke.on_change_exec.clear();
  enrolled();
  outlet.refuse = true;
  run_until(day(293));
  ASSERT_TRUE(status().outdated && status().outdated->known);
  EXPECT_NE(files().cert, status().identity->to_pem());
  EXPECT_FALSE(status().outdated->anothers) << "its own, of a key that is gone";
  start_spoke();
  ASSERT_TRUE(status().outdated);
  EXPECT_FALSE(status().outdated->anothers);
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  const auto asked = *x509::sign_request({*x509::Name::from_ios("CN=somebody"), {}, {}}, key,
                                         x509::Digest::sha256);
  outlet.published["/etc/spoke"].cert = server->request_pkcs10(asked.der())->certificate->to_pem();
  start_spoke();
  ASSERT_TRUE(status().outdated && status().outdated->known);
  EXPECT_TRUE(status().outdated->anothers);
}

TEST_F(AnnounceTest, WhatOthersHaveWhileFilesCannotBeWrittenIsKnown) {
  spoke.storage_pkcs12.path = "/etc/spoke.p12";
  spoke.pkcs12_password = "sealed";
  outlet.refuse = true;
  enrolled();
  ASSERT_TRUE(status().outdated && status().outdated->known);
  EXPECT_FALSE(status().outdated->not_after) << "they have none";
  outlet.refuse = false;
  run_until(zero + Seconds{60 * 4});
  EXPECT_FALSE(status().outdated);
  const Time end = status().identity->not_after();
  outlet.refuse = true;
  run_until(day(293));
  ASSERT_GT(status().identity->not_after(), end);
  ASSERT_TRUE(status().outdated);
  EXPECT_EQ(status().outdated->not_after, end);
  start_spoke();
  ASSERT_TRUE(status().outdated) << "a start finds it in the files";
  EXPECT_EQ(status().outdated->not_after, end);
  outlet.published.clear();
  outlet.archives["/etc/spoke.p12"] = to_bytes(as_bytes("unreadable"));
  start_spoke();
  ASSERT_TRUE(status().outdated && status().outdated->known);
  EXPECT_FALSE(status().outdated->not_after) << "of the worst of them";
  outlet.refuse = false;
  start_spoke();
  EXPECT_FALSE(status().outdated);
}

TEST_F(AnnounceTest, WhatOthersWereToldLastIsKnownWhileTheCommandFails) {
  enrolled();
  const Time end = status().identity->not_after();
  outlet.failing = true;
  run_until(day(293));
  ASSERT_GT(status().identity->not_after(), end);
  ASSERT_TRUE(status().outdated);
  EXPECT_EQ(status().outdated->not_after, end);
  start_spoke();
  ASSERT_TRUE(status().outdated);
  EXPECT_EQ(status().outdated->not_after, end);
  outlet.failing = false;
  outlet.hangs = true;
  run_until(day(294));
  EXPECT_TRUE(status().outdated) << "not while it is only being told";
  outlet.waiting.front()({});
  settle();
  EXPECT_FALSE(status().outdated);
}

TEST_F(AnnounceTest, APlaceIsLeftWithTheConfigurationThatNamedIt) {
  enrolled();
  trustpoint->reconfigure(spoke, "spoke", [] {});
  settle();
  EXPECT_TRUE(outlet.left.empty());
  spoke.storage_pem.path = "/etc/other";
  trustpoint->reconfigure(spoke, "spoke", [] {});
  settle();
  EXPECT_THAT(outlet.left, ElementsAre("/etc/spoke"));
  trustpoint->retire([] {});
  settle();
  EXPECT_THAT(outlet.left, ElementsAre("/etc/spoke", "/etc/other"));
}

TEST_F(AnnounceTest, ACommandThatFailsIsReportedAndRunAgainAtDoublingIntervals) {
  outlet.failing = true;
  enrolled();
  ASSERT_EQ(outlet.hooks.size(), 2U) << "at once, and after a minute";
  EXPECT_EQ(log.count("%UMBRA-3-ON_CHANGE: Trustpoint Root-CA: the command of \"on change exec\" "
                      "for enrolled ended with status 1; next try at 2015-10-09T12:15:16Z"),
            1U);
  run_until(zero + Seconds{60 * 7});
  EXPECT_EQ(outlet.hooks.size(), 4U) << "1, 2, 4 minutes";
  outlet.failing = false;
  run_until(zero + Seconds{60 * 15});
  EXPECT_EQ(outlet.hooks.size(), 5U);
  run_until(day(1));
  EXPECT_EQ(outlet.hooks.size(), 5U) << "and no more";
  EXPECT_EQ(log.count("%UMBRA-6-ON_CHANGE"), 1U);
}

TEST_F(AnnounceTest, WhatHappensWhileTheCommandFailsIsToldAsOne) {
  outlet.failing = true;
  enrolled();
  run_until(day(731));
  EXPECT_EQ(events().back(), "enrolled") << "nobody has been told that much yet";
  EXPECT_EQ(outlet.told("UMBRA_CA_SERIAL"), status().ca->serial().to_hex_octets());
  outlet.failing = false;
  const auto tries = outlet.hooks.size();
  run_until(day(732));
  EXPECT_EQ(outlet.hooks.size(), tries + 1);
}

TEST_F(AnnounceTest, OneCommandAtATimeAndWhatHappenedMeanwhileAfterIt) {
  enrolled();
  outlet.hangs = true;
  run_until(day(729));
  ASSERT_EQ(outlet.waiting.size(), 1U);
  EXPECT_EQ(events().back(), "renewed");
  EXPECT_EQ(outlet.told("UMBRA_ROLLOVER_SERIAL"), "");
  outlet.hangs = false;
  const auto before = outlet.hooks.size();
  outlet.waiting.front()({});
  settle();
  EXPECT_EQ(outlet.hooks.size(), before + 1);
  EXPECT_EQ(events().back(), "renewed") << "once more, before the next CA was there";
  EXPECT_EQ(outlet.told("UMBRA_ROLLOVER_SERIAL"),
            status().rollover_identity->serial().to_hex_octets());
  EXPECT_EQ(files().cert, status().identity->to_pem()) << "the files did not wait";
}

TEST_F(AnnounceTest, ACommandThatAProcessDiedInIsRunAgainAfterTheStart) {
  enrolled();
  outlet.hangs = true;
  run_until(day(730));
  const auto before = outlet.hooks.size();
  outlet.hangs = false;
  start_spoke();  // the process died with the command under way
  EXPECT_EQ(outlet.hooks.size(), before + 1);
  EXPECT_EQ(events().back(), "switch-over") << "the greatest of what has happened";
  outlet.waiting.front()({});  // the old one's end is nobody's any more
  settle();
  start_spoke();
  EXPECT_EQ(outlet.hooks.size(), before + 1);
}

TEST_F(AnnounceTest, FilesThatCannotBeWrittenAreTriedAgainAndTheCommandWaitsForThem) {
  outlet.refuse = true;
  enrolled();
  EXPECT_TRUE(outlet.published.empty());
  EXPECT_TRUE(outlet.hooks.empty());
  EXPECT_GE(log.count("%UMBRA-3-STORAGE: Trustpoint Root-CA: disk full; next try at"), 2U);
  outlet.refuse = false;
  run_until(zero + Seconds{60 * 4});
  EXPECT_EQ(files().cert, status().identity->to_pem());
  EXPECT_THAT(events(), ElementsAre("enrolled"));
}

TEST_F(AnnounceTest, ThatItWasToldIsLostWithTheStoreAndThenItIsToldAgain) {
  enrolled();
  outlet.hangs = true;
  run_until(day(293));
  ASSERT_EQ(outlet.waiting.size(), 1U);
  store->refuse = true;
  outlet.hangs = false;
  outlet.waiting.front()({});
  settle();
  store->refuse = false;
  EXPECT_EQ(log.count("%UMBRA-3-ON_CHANGE: Trustpoint Root-CA: disk full"), 1U);
  const auto before = outlet.hooks.size();
  run_until(day(294));
  EXPECT_EQ(outlet.hooks.size(), before + 1);
}

TEST_F(AnnounceTest, FilesAloneNeedNoCommand) {
  spoke.on_change_exec.clear();
  enrolled();
  EXPECT_EQ(files().cert, status().identity->to_pem());
  outlet.published.clear();
  start_spoke();
  EXPECT_EQ(files().cert, status().identity->to_pem()) << "put right at each start";
  EXPECT_EQ(row().announced, "");
}

}  // namespace
}  // namespace umbra::client
