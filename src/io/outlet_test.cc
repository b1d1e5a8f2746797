#include "io/outlet.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include "io/files.h"
#include "io/outlet_lab_test.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST_F(OutletTest, TheFilesAreReplacedAsASet) {
  ASSERT_TRUE(publish(set("1")));
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
  EXPECT_EQ(text(path("pem/key.pem")), "key 1");
  EXPECT_EQ(mode(fs::canonical(path("pem/key.pem"))), 0600U);
  EXPECT_EQ(mode(fs::canonical(path("pem/bundle.pem"))), 0600U);
  EXPECT_EQ(mode(fs::canonical(path("pem/cert.pem"))), 0644U);
  ASSERT_TRUE(publish(set("2")));
  for (const char* name : {"ca", "cert", "key", "chain", "bundle"})
    EXPECT_THAT(text(path("pem/") + name + ".pem"), HasSubstr(" 2"));
  EXPECT_EQ(text(path("pem/bundle.pem")), "c 2key 2");
  EXPECT_EQ(generations(), 1U) << "the old generation, and its key, are gone";
}

TEST_F(OutletTest, WhatIsThereAlreadyIsLeftAlone) {
  ASSERT_TRUE(publish(set("1")));
  const auto before = fs::read_symlink(path("pem/..data"));
  ASSERT_TRUE(publish(set("1")));
  EXPECT_EQ(fs::read_symlink(path("pem/..data")), before);
  fs::remove(path("pem/cert.pem"));
  fs::permissions(fs::canonical(path("pem/key.pem")), fs::perms::all);
  ASSERT_TRUE(publish(set("1")));
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
  EXPECT_EQ(mode(fs::canonical(path("pem/key.pem"))), 0600U) << "and what was changed is put right";
}

TEST_F(OutletTest, TheShadowSetIsKeptBesideUntilItTakesOver) {
  ASSERT_TRUE(publish(set("1")));
  EXPECT_FALSE(fs::exists(path("pem/rollover")));
  ASSERT_TRUE(publish(set("1"), {.ca = "ca 2", .cert = "", .key = "", .chain = ""}));
  EXPECT_EQ(text(path("pem/rollover/ca.pem")), "ca 2");
  EXPECT_FALSE(fs::exists(path("pem/rollover/cert.pem")));
  ASSERT_TRUE(publish(set("1"), set("2")));
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
  EXPECT_EQ(text(path("pem/rollover/bundle.pem")), "c 2key 2");
  EXPECT_EQ(mode(fs::canonical(path("pem/rollover/key.pem"))), 0600U);
  ASSERT_TRUE(publish(set("2")));
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 2");
  EXPECT_FALSE(fs::is_symlink(path("pem/rollover")));
  EXPECT_EQ(generations(), 1U);
  ASSERT_TRUE(publish(set("2"), {}, {.ca = "ca 1", .cert = "", .key = "", .chain = ""}));
  EXPECT_EQ(text(path("pem/previous/ca.pem")), "ca 1");
  ASSERT_TRUE(publish(set("2")));
  EXPECT_FALSE(fs::is_symlink(path("pem/previous")));
}

TEST_F(OutletTest, ModeGroupAndOwnerAreThoseAskedFor) {
  const auto* const group = ::getgrgid(::getegid());
  const auto* const user = ::getpwuid(::geteuid());
  ASSERT_TRUE(group && user);
  storage.mode = 0640;
  storage.group = group->gr_name;
  storage.owner = user->pw_name;
  const auto umask_before = ::umask(077);
  ASSERT_TRUE(publish(set("1")));
  ::umask(umask_before);
  EXPECT_EQ(mode(fs::canonical(path("pem/key.pem"))), 0640U);
  EXPECT_EQ(mode(fs::canonical(path("pem/cert.pem"))), 0644U) << "whatever the umask says";
  // A group that is another one than the process's: only where that is allowed.
  if (::geteuid() == 0) {
    storage.group = ::getgrgid(1)->gr_name;
    ASSERT_TRUE(publish(set("1"))) << "the same content, another group";
    struct stat found {};
    ASSERT_EQ(::stat(path("pem/key.pem").c_str(), &found), 0);
    EXPECT_EQ(found.st_gid, 1U);
  }
  storage.owner = "nobody-of-that-name";
  const auto refused = publish(set("2"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("no user nobody-of-that-name"));
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
}

TEST_F(OutletTest, DirectoriesThatAreMadeOnTheWayLetOthersThrough) {
  storage.path = path("a/b/pem");
  ASSERT_TRUE(publish(set("1")));
  for (const char* made : {"a", "a/b", "a/b/pem"}) EXPECT_EQ(mode(path(made)), 0755U) << made;
}

TEST_F(OutletTest, AnArchiveIsReplacedByOneRename) {
  storage.path = path("in/spoke.p12");
  storage.mode = 0640;
  ASSERT_TRUE(publish_archive(Bytes{0x30, 0x04, 0x02, 0x01, 0x03, 0x01}));
  const auto before = read_file(storage.path, 10);
  ASSERT_TRUE(publish_archive(Bytes{0x30, 0x05, 0x02, 0x01, 0x03, 0x02, 0x02}));
  EXPECT_EQ(*before, (Bytes{0x30, 0x04, 0x02, 0x01, 0x03, 0x01}));
  EXPECT_EQ(*read_file(storage.path, 10), (Bytes{0x30, 0x05, 0x02, 0x01, 0x03, 0x02, 0x02}));
  EXPECT_EQ(mode(storage.path), 0640U);
}

/// What one look came to: the marks of key and certificate, or nothing if what was resolved had
/// been taken away by the time it was opened, in which case one looks again.
using Pair = std::optional<std::pair<std::string, std::string>>;

Pair from_bundle(const fs::path& directory) {
  const auto bundle = read_file(directory / "bundle.pem", 100);
  if (!bundle) return {};
  const std::string all(as_text(*bundle));
  const auto key = all.find("key ");
  return {{all.substr(2, key - 2), all.substr(key + 4)}};
}

Pair from_one_generation(const fs::path& directory) {
  std::error_code error;
  const fs::path one = fs::canonical(directory / "..data", error);
  if (error) return {};
  const auto cert = read_file(one / "cert.pem", 100);
  const auto key = read_file(one / "key.pem", 100);
  if (!cert || !key) return {};
  return {{std::string(as_text(*cert)).substr(5), std::string(as_text(*key)).substr(4)}};
}

TEST_F(OutletTest, ReadersNeverSeeAKeyOfAnotherCertificateOverAThousandSwitches) {
  constexpr int switches = 1000;
  ASSERT_TRUE(publish(set("0")));
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  std::array<std::atomic<std::size_t>, 2> looks{};
  std::array<std::atomic<std::size_t>, 2> failures{};
  for (std::size_t i = 0; i < 2; ++i) {
    readers.emplace_back([&, i] {
      while (!done) {
        const Pair pair = i == 0 ? from_bundle(path("pem")) : from_one_generation(path("pem"));
        if (!pair) continue;
        ++looks[i];
        if (pair->first != pair->second) ++failures[i];
      }
    });
  }
  for (int i = 1; i <= switches; ++i) EXPECT_TRUE(publish(set(std::to_string(i))));
  done = true;
  for (auto& reader : readers) reader.join();
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(failures[i], 0U) << i;
    EXPECT_GT(looks[i], 1000U) << i;
  }
  EXPECT_EQ(text(path("pem/cert.pem")), "cert " + std::to_string(switches));
}

TEST_F(OutletTest, AHalfWrittenSetOfAProcessThatDiedIsNoObstacle) {
  fs::create_directories(path("pem/..set-1"));
  std::ofstream(path("pem/..set-1/key.pem")) << "half";
  fs::create_directories(path("pem/..set-2"));
  fs::create_directory_symlink("..set-1", path("pem/..link-0123456789abcdef"));
  ASSERT_TRUE(publish(set("1")));
  ASSERT_TRUE(publish(set("2")));
  EXPECT_EQ(text(path("pem/key.pem")), "key 2");
  EXPECT_FALSE(fs::is_symlink(path("pem/..link-0123456789abcdef")));
  EXPECT_EQ(generations(), 1U);
}

TEST_F(OutletTest, NamesOfSomebodyElsesAreNeverUsedOnTheWay) {
  fs::create_directories(path("pem"));
  std::ofstream(path("pem/key.pem.new")) << "made by hand";
  fs::create_symlink("nowhere", path("pem/cert.pem.new"));
  fs::create_symlink("nowhere", path("pem/..data.new"));
  std::ofstream(path("spoke.p12.new")) << "made by hand";
  ASSERT_TRUE(publish(set("1")));
  storage.path = path("spoke.p12");
  ASSERT_TRUE(publish_archive(Bytes{0x30, 0x04, 0x02, 0x01, 0x03, 0x01}));
  for (const char* file : {"pem/key.pem.new", "spoke.p12.new"})
    EXPECT_EQ(text(path(file)), "made by hand");
  for (const char* link : {"pem/cert.pem.new", "pem/..data.new"})
    EXPECT_EQ(fs::read_symlink(path(link)), "nowhere");
}

TEST_F(OutletTest, WhatIsCalledAsAGenerationAndIsNoneIsNotTouched) {
  fs::create_directories(path("pem"));
  std::ofstream(path("pem/..set-1")) << "made by hand";
  fs::create_symlink("elsewhere", path("pem/..set-4"));
  fs::create_directories(path("pem/..set-18446744073709551615"));
  ASSERT_TRUE(publish(set("1")));
  ASSERT_TRUE(publish(set("2")));
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 2");
  EXPECT_EQ(text(path("pem/..set-1")), "made by hand");
  EXPECT_TRUE(fs::is_symlink(path("pem/..set-4")));
  EXPECT_TRUE(fs::exists(path("pem/..set-18446744073709551615")));
}

TEST_F(OutletTest, WhatIsKeptIsInItsPlaceUntilWhatIsNewerIs) {
  fs::create_directories(path("pem"));
  std::ofstream(path("pem/key.pem")) << "made by hand";
  // As a process leaves it that dies between the two.
  fs::create_hard_link(path("pem/key.pem"), path("pem/key.pem.before-umbra"));
  ASSERT_TRUE(publish(set("1")));
  EXPECT_EQ(text(path("pem/key.pem")), "key 1");
  EXPECT_EQ(text(path("pem/key.pem.before-umbra")), "made by hand");
}

TEST_F(OutletTest, FilesOfSomebodyElsesAreKeptBesideTheLinksAndNamed) {
  fs::create_directories(path("pem"));
  std::ofstream(path("pem/key.pem")) << "made by hand";
  fs::permissions(path("pem/key.pem"), fs::perms::owner_read);
  std::ofstream(path("real.pem")) << "elsewhere";
  fs::create_symlink("../real.pem", path("pem/cert.pem"));
  ASSERT_TRUE(publish(set("1")));
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
  EXPECT_EQ(text(path("pem/key.pem")), "key 1");
  EXPECT_EQ(text(path("pem/key.pem.before-umbra")), "made by hand");
  EXPECT_EQ(mode(path("pem/key.pem.before-umbra")), 0400U);
  EXPECT_EQ(fs::read_symlink(path("pem/cert.pem.before-umbra")), "../real.pem");
  EXPECT_EQ(log.lines.size(), 2U);
  EXPECT_THAT(log.lines, ::testing::Contains(HasSubstr(path("pem/key.pem.before-umbra"))));
  ASSERT_TRUE(publish(set("2")));
  EXPECT_EQ(text(path("pem/key.pem.before-umbra")), "made by hand");
  EXPECT_EQ(log.lines.size(), 2U) << "links of ours are nobody else's";
}

TEST_F(OutletTest, WhatWasKeptIsNeverReplacedByAnother) {
  fs::create_directories(path("pem"));
  std::ofstream(path("pem/key.pem.before-umbra")) << "kept";
  std::ofstream(path("pem/key.pem")) << "made by hand";
  const auto refused = publish(set("1"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_THAT(refused.error().detail, HasSubstr(path("pem/key.pem")));
  EXPECT_THAT(refused.error().detail, HasSubstr(path("pem/key.pem.before-umbra")));
  EXPECT_EQ(text(path("pem/key.pem")), "made by hand");
  EXPECT_EQ(text(path("pem/key.pem.before-umbra")), "kept");
  EXPECT_FALSE(fs::exists(path("pem/cert.pem"))) << "nothing is half done";
  fs::remove(path("pem/key.pem.before-umbra"));
  ASSERT_TRUE(publish(set("1")));
  EXPECT_EQ(text(path("pem/key.pem.before-umbra")), "made by hand");
}

TEST_F(OutletTest, DirectoriesAndPlacesOfSomebodyElsesAreRefused) {
  fs::create_directories(path("pem/rollover"));
  std::ofstream(path("pem/rollover/ours.txt")) << "made by hand";
  auto refused = publish(set("1"));
  ASSERT_FALSE(refused) << "it would be in the way of the shadow set";
  EXPECT_THAT(refused.error().detail, HasSubstr(path("pem/rollover")));
  EXPECT_EQ(text(path("pem/rollover/ours.txt")), "made by hand");
  storage.path = path("other");
  fs::create_directories(path("other/..data"));
  refused = publish(set("1"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr(path("other/..data")));
}

TEST_F(OutletTest, WhatCannotBeWrittenLeavesNoKeyAndNoFilesBehind) {
  ASSERT_TRUE(publish(set("1")));
  // Of a version, or a process, that left them.
  for (const char* const left : {"pem/..set-7", "pem/..set-8/rollover"})
    fs::create_directories(path(left));
  auto large = set("2");
  large.chain = std::string(10000, 'x');
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  auto* const before = ::signal(SIGXFSZ, SIG_IGN);
  rlimit small = usual;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto refused = publish(large);
  const auto again = publish(large);
  ::setrlimit(RLIMIT_FSIZE, &usual);
  ::signal(SIGXFSZ, before);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::storage);
  EXPECT_FALSE(again);
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
  EXPECT_EQ(generations(), 1U) << "the one that counts";
  ASSERT_TRUE(publish(large)) << "when there is room again";
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 2");
  EXPECT_EQ(generations(), 1U);
}

TEST_F(OutletTest, WhatItHasWrittenIsWithdrawnAndNothingElse) {
  EXPECT_TRUE(outlet.withdraw_pem(trustpoint, storage, mine)) << "there never was anything";
  ASSERT_TRUE(publish(set("1")));
  ASSERT_TRUE(publish(set("2"), set("3"), {.ca = "ca 1", .cert = "", .key = "", .chain = ""}));
  fs::create_directories(path("pem/..set-2.old"));
  std::ofstream(path("pem/notes")) << "of somebody else";
  fs::remove(path("pem/chain.pem"));
  fs::create_symlink("/etc/hostname", path("pem/chain.pem"));
  ASSERT_TRUE(outlet.withdraw_pem(trustpoint, storage, mine));
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(path("pem")))
    left.insert(entry.path().filename().string());
  EXPECT_EQ(left, (std::set<std::string>{"..set-2.old", "chain.pem", "notes"}));
  ASSERT_TRUE(outlet.withdraw_pem(trustpoint, storage, mine)) << "nothing is there any more";
  fs::remove(path("pem/chain.pem"));
  ASSERT_TRUE(publish(set("4")));
  EXPECT_EQ(text(path("pem/key.pem")), "key 4");
}

TEST_F(OutletTest, ASetOfSomebodyElsesIsNotWithdrawn) {
  ASSERT_TRUE(publish(set("1")));
  const auto refused = outlet.withdraw_pem(
      trustpoint, storage, [&](ByteView cert) { return as_text(cert) != "cert 1"; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_THAT(refused.error().detail, HasSubstr(path("pem")));
  EXPECT_EQ(text(path("pem/key.pem")), "key 1");
  ASSERT_TRUE(outlet.withdraw_pem(trustpoint, storage, mine));
  // As others do it who replace a directory at a time.
  fs::create_directories(path("pem/..2026"));
  std::ofstream(path("pem/..2026/key.pem")) << "theirs";
  fs::create_symlink("..2026", path("pem/..data"));
  fs::create_symlink("..data/key.pem", path("pem/key.pem"));
  EXPECT_EQ(outlet.withdraw_pem(trustpoint, storage, mine).error().code, Errc::conflict);
  EXPECT_EQ(text(path("pem/key.pem")), "theirs");
}

TEST_F(OutletTest, WhoseFilesAreNotAskedForAnyMoreAreTheProcesssAgain) {
  if (::geteuid() != 0) GTEST_SKIP() << "who is not root cannot give files away";
  const auto owner_of_key = [&] {
    struct stat found {};
    EXPECT_EQ(::stat(path("pem/key.pem").c_str(), &found), 0);
    return std::pair{found.st_uid, found.st_gid};
  };
  storage.owner = "nobody";
  storage.group = "daemon";
  ASSERT_TRUE(publish(set("1")));
  ASSERT_NE(owner_of_key(), std::pair(::geteuid(), ::getegid()));
  storage.owner.clear();
  storage.group.clear();
  ASSERT_TRUE(publish(set("1"))) << "the same certificates";
  EXPECT_EQ(owner_of_key(), std::pair(::geteuid(), ::getegid()));
}

TEST_F(OutletTest, ADirectoryIsTakenOverAsAWholeOrNotAtAll) {
  if (::geteuid() != 0) GTEST_SKIP() << "who is not root cannot become another user";
  // Nobody but root may move root's files out of a directory like /tmp.
  constexpr uid_t nobody = 65534;
  ASSERT_EQ(::chmod(directory.c_str(), 0755), 0);
  fs::create_directories(path("pem"));
  ASSERT_EQ(::chmod(path("pem").c_str(), 01777), 0);
  for (const char* const name : {"cert.pem", "key.pem"})
    std::ofstream(path("pem/") + name) << "theirs";
  ASSERT_EQ(::chown(path("pem/cert.pem").c_str(), nobody, nobody), 0);
  const int came_to = in_child([&] {
    if (::setuid(nobody) != 0) return 1;
    return publish(set("1")) ? 2 : 0;
  });
  EXPECT_EQ(came_to, 0);
  EXPECT_EQ(text(path("pem/cert.pem")), "theirs");
  EXPECT_EQ(text(path("pem/key.pem")), "theirs");
  EXPECT_FALSE(fs::exists(path("pem/cert.pem.before-umbra"))) << "it is where it was";
  for (const char* const name : {"ca.pem", "chain.pem", "bundle.pem"})
    EXPECT_FALSE(fs::is_symlink(path("pem/") + name)) << name;
  EXPECT_EQ(generations(), 0U) << "nor is a key of ours left there";
  EXPECT_FALSE(fs::is_symlink(path("pem/..data")));
}

TEST_F(OutletTest, WhatCannotBeLinkedLeavesTheSetOfBefore) {
  if (::geteuid() != 0) GTEST_SKIP() << "who is not root cannot become another user";
  constexpr uid_t nobody = 65534;
  ASSERT_EQ(::chmod(directory.c_str(), 0755), 0);
  fs::create_directories(path("pem"));
  ASSERT_EQ(::chmod(path("pem").c_str(), 01777), 0);
  const int came_to = in_child([&] {
    if (::setuid(nobody) != 0) return 1;
    OutletLines lines;
    return FileOutlet(loop, lines).publish_pem("A", storage, {set("1"), {}, {}}) ? 0 : 2;
  });
  ASSERT_EQ(came_to, 0);
  // Root takes one of the names.
  fs::remove(path("pem/rollover"));
  std::ofstream(path("pem/rollover")) << "theirs";
  // Who looks follows links in such a directory only if they are his own (protected_symlinks).
  const int later = in_child([&] {
    if (::setuid(nobody) != 0) return 1;
    OutletLines lines;
    if (FileOutlet(loop, lines).publish_pem("A", storage, {set("2"), set("3"), {}})) return 2;
    if (text(path("pem/cert.pem")) != "cert 1") return 3;
    if (text(path("pem/key.pem")) != "key 1") return 4;
    return generations() == 1 ? 0 : 5;
  });
  EXPECT_EQ(later, 0);
  EXPECT_EQ(text(path("pem/rollover")), "theirs");
}

TEST_F(OutletTest, AnArchiveOfSomebodyElsesStaysUntilThereIsOneToPutThere) {
  const Bytes theirs{0x30, 0x04, 0x02, 0x01, 0x03, 0x02};
  storage.path = path("a.p12");
  ASSERT_TRUE(write_file(storage.path, theirs));
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  auto* const before = ::signal(SIGXFSZ, SIG_IGN);
  rlimit none = usual;
  none.rlim_cur = 2;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  const auto refused = outlet.publish_pkcs12(trustpoint, storage, theirs, anothers);
  ::setrlimit(RLIMIT_FSIZE, &usual);
  ::signal(SIGXFSZ, before);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::storage);
  EXPECT_TRUE(fs::exists(storage.path));
  EXPECT_FALSE(fs::exists(storage.path + ".before-umbra"));
  EXPECT_THAT(log.lines, ::testing::IsEmpty());
}

TEST_F(OutletTest, ADraftOfAnArchiveThatIsNotThereYetIsWithdrawnToo) {
  storage.path = path("a.p12");
  std::ofstream(path(".a.p12.umbra-0123456789abcdef")) << "of a process that died";
  ASSERT_TRUE(outlet.withdraw_pkcs12(trustpoint, storage, mine));
  EXPECT_FALSE(fs::exists(path(".a.p12.umbra-0123456789abcdef")));
}

TEST_F(OutletTest, AnArchiveIsWithdrawnIfItIsOneOfOurs) {
  storage.path = path("spoke.p12");
  const Bytes one{0x30, 0x04, 0x02, 0x01, 0x03, 0x01};
  const Bytes of_another{0x30, 0x04, 0x02, 0x01, 0x03, 0x02};
  const auto ours = [&](ByteView content) { return equal(content, one); };
  EXPECT_TRUE(outlet.withdraw_pkcs12(trustpoint, storage, ours)) << "there never was anything";
  ASSERT_TRUE(publish_archive(of_another));
  const auto kept = outlet.withdraw_pkcs12(trustpoint, storage, ours);
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, Errc::conflict);
  EXPECT_THAT(kept.error().detail, HasSubstr(storage.path));
  EXPECT_TRUE(fs::exists(storage.path));
  ASSERT_TRUE(publish_archive(one));
  ASSERT_TRUE(outlet.withdraw_pkcs12(trustpoint, storage, ours));
  EXPECT_FALSE(fs::exists(storage.path));
}

TEST_F(OutletTest, ADirectoryThatCannotBeMadeIsNamed) {
  std::ofstream(path("file")) << "in the way";
  storage.path = path("file");
  const auto refused = publish(set("1"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr(path("file")));
}

TEST_F(OutletTest, WhatCannotBeLookedAtIsNotTakenForGone) {
  // As below a directory that may not be searched, but for root too.
  fs::create_symlink(path("loop"), path("loop"));
  storage.path = path("loop/pem");
  const auto files = outlet.withdraw_pem(trustpoint, storage, mine);
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, Errc::storage);
  EXPECT_THAT(files.error().detail, HasSubstr(storage.path));
  storage.path = path("loop/spoke.p12");
  const auto archive = outlet.withdraw_pkcs12(trustpoint, storage, [](ByteView) { return true; });
  ASSERT_FALSE(archive);
  EXPECT_EQ(archive.error().code, Errc::storage);
  EXPECT_THAT(archive.error().detail, HasSubstr(storage.path));
}

TEST_F(OutletTest, AnArchiveOfSomebodyElsesIsKeptBesideItAndNamed) {
  storage.path = path("spoke.p12");
  const Bytes one{0x30, 0x04, 0x02, 0x01, 0x03, 0x01};
  const Bytes anothers{0x30, 0x04, 0x02, 0x01, 0x03, 0x02};
  const auto ours = [&](ByteView content) { return equal(content, one); };
  ASSERT_TRUE(write_file(storage.path, anothers, FileAccess(0400)));
  ASSERT_TRUE(outlet.publish_pkcs12(trustpoint, storage, one, ours));
  EXPECT_EQ(*read_file(storage.path, 10), one);
  const std::string kept = storage.path + ".before-umbra";
  EXPECT_EQ(*read_file(kept, 10), anothers);
  EXPECT_EQ(mode(kept), 0400U);
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_THAT(log.lines.front(), HasSubstr(kept));
  EXPECT_EQ(outlet.kept_keys(storage, true), std::vector{kept});
  ASSERT_TRUE(outlet.publish_pkcs12(trustpoint, storage, one, ours)) << "its own is replaced";
  ASSERT_TRUE(write_file(storage.path, anothers));
  const auto refused = outlet.publish_pkcs12(trustpoint, storage, one, ours);
  ASSERT_FALSE(refused) << "what was kept is never replaced by another";
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_THAT(refused.error().detail, HasSubstr(kept));
  EXPECT_EQ(*read_file(storage.path, 10), anothers);
}

TEST_F(OutletTest, ALinkInTheArchivesPlaceIsKeptBesideItWhereverItLeads) {
  storage.path = path("spoke.p12");
  fs::create_symlink("mnt/not-mounted.p12", storage.path);
  ASSERT_TRUE(publish_archive(Bytes{0x30, 0x04, 0x02, 0x01, 0x03, 0x01}));
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(storage.path)));
  EXPECT_EQ(fs::read_symlink(storage.path + ".before-umbra"), "mnt/not-mounted.p12");
}

TEST_F(OutletTest, WhatOtherProgramsFindIsReadWhoeverWroteIt) {
  EXPECT_EQ(*outlet.read_pem(storage), Bytes());
  ASSERT_TRUE(publish(set("1")));
  EXPECT_EQ(as_text(*outlet.read_pem(storage)), "cert 1");
  fs::remove(path("pem/cert.pem"));
  std::ofstream(path("pem/cert.pem")) << "made by hand";
  EXPECT_EQ(as_text(*outlet.read_pem(storage)), "made by hand");
  storage.path = path("spoke.p12");
  EXPECT_EQ(*outlet.read_pkcs12(storage), Bytes());
  fs::create_directories(storage.path);
  EXPECT_FALSE(outlet.read_pkcs12(storage));
}

TEST_F(OutletTest, KeysOfSomebodyElsesThatAreKeptBesideAreNamed) {
  fs::create_directories(path("pem"));
  for (const char* name : {"key.pem", "cert.pem"}) std::ofstream(path("pem/") + name) << "by hand";
  ASSERT_TRUE(publish(set("1")));
  ASSERT_TRUE(outlet.withdraw_pem(trustpoint, storage, mine));
  EXPECT_EQ(outlet.kept_keys(storage, false), std::vector{path("pem/key.pem.before-umbra")});
}

TEST_F(OutletTest, AnArchiveReplacesNothingButAnArchive) {
  storage.path = path("passphrase");
  const Bytes archive{0x30, 0x04, 0x02, 0x01, 0x03, 0x05};
  for (const std::string there : {"0123456789ABCDEF\n", "0", "0\x05\x02\x01\x03"}) {
    std::ofstream(storage.path) << there;
    const auto refused = publish_archive(archive);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_THAT(refused.error().detail, HasSubstr(storage.path));
    EXPECT_EQ(text(storage.path), there);
  }
  std::ofstream(storage.path, std::ios::trunc).flush();
  ASSERT_TRUE(publish_archive(archive)) << "of an empty one nothing is lost";
  ASSERT_TRUE(publish_archive(archive));
  const Bytes longer = [] {
    Bytes octets{0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x03};
    octets.resize(4 + 0x100);
    return octets;
  }();
  ASSERT_TRUE(publish_archive(longer));
  ASSERT_TRUE(publish_archive(archive)) << "the long form is one too";
}

}  // namespace
}  // namespace umbra::io
