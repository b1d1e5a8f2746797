#include "io/outlet.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include "io/files.h"
#include "io/scratch_test.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class OutletLines final : public Log {
 public:
  void event(const LogEvent& event) override { lines.push_back(to_string(event)); }
  void debug(std::string_view, std::string_view) override {}
  std::vector<std::string> lines;
};

class OutletTest : public ScratchTest {
 protected:
  static client::PemSet set(const std::string& mark) {
    return {.ca = "ca " + mark, .cert = "cert " + mark, .key = "key " + mark, .chain = "c " + mark};
  }
  Result<void> publish(const client::PemSet& active, const client::PemSet& rollover = {},
                       const client::PemSet& previous = {}) {
    return outlet.publish_pem(trustpoint, storage, {active, rollover, previous});
  }
  std::size_t generations() {
    std::size_t sets = 0;
    for (const auto& entry : fs::directory_iterator(path("pem")))
      sets += entry.is_directory() && !entry.is_symlink() ? 1U : 0U;
    return sets;
  }
  Result<void> publish_archive(const Bytes& archive) {
    return outlet.publish_pkcs12(trustpoint, storage, archive, [](ByteView) { return true; });
  }
  boost::asio::io_context loop;
  OutletLines log;
  FileOutlet outlet{loop, log};
  std::string trustpoint = "A";
  config::Storage storage{path("pem"), "", "", 0600, false};
};

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

TEST_F(OutletTest, ADirectoryHasOneWriterWhateverNamesLeadToIt) {
  ASSERT_TRUE(publish(set("1")));
  const config::Storage first = storage;
  fs::create_symlink(path("pem"), path("link"));
  storage.path = path("link");
  trustpoint = "B";
  const auto refused = publish(set("2"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_THAT(refused.error().detail, HasSubstr(first.path));
  EXPECT_THAT(refused.error().detail, HasSubstr("(A)"));
  EXPECT_THAT(refused.error().detail, HasSubstr(storage.path));
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
  const auto withdrawn = outlet.withdraw_pem(trustpoint, storage);
  ASSERT_FALSE(withdrawn) << "nor does it take the other's away";
  EXPECT_EQ(withdrawn.error().code, Errc::conflict);
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
  outlet.leave("A", first);
  ASSERT_TRUE(publish(set("2"))) << "who has left it is in nobody's way";
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 2");
}

TEST_F(OutletTest, ALinkThatLeadsElsewhereByNowIsInNobodysWay) {
  fs::create_directories(path("one"));
  fs::create_directories(path("two"));
  fs::create_symlink("one", path("link"));
  storage.path = path("link");
  ASSERT_TRUE(publish(set("1")));
  fs::remove(path("link"));
  fs::create_symlink("two", path("link"));
  ASSERT_TRUE(publish(set("1")));
  trustpoint = "B";
  storage.path = path("one");
  ASSERT_TRUE(publish(set("2")));
  EXPECT_EQ(text(path("one/cert.pem")), "cert 2");
  EXPECT_EQ(text(path("two/cert.pem")), "cert 1");
}

TEST_F(OutletTest, AFileHasOneWriterWhateverNamesLeadToIt) {
  fs::create_directories(path("real"));
  fs::create_symlink("real", path("link"));
  const Bytes archive{0x30, 0x04, 0x02, 0x01, 0x03, 0x01};
  storage.path = path("real/a.p12");
  ASSERT_TRUE(publish_archive(archive));
  ASSERT_TRUE(publish_archive(archive));
  trustpoint = "B";
  storage.path = path("link/a.p12");
  const auto refused = publish_archive(archive);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_THAT(refused.error().detail, HasSubstr(path("real/a.p12")));
}

TEST_F(OutletTest, APlaceIsItsTrustpointsUntilThatLeavesIt) {
  ASSERT_TRUE(publish(set("1")));
  config::Storage archive{path("a.p12"), "", "", 0600, false};
  const Bytes content{0x30, 0x04, 0x02, 0x01, 0x03, 0x01};
  const auto ours = [](ByteView) { return true; };
  ASSERT_TRUE(outlet.publish_pkcs12("A", archive, content, ours));
  for (const auto& refused :
       {outlet.publish_pem("B", storage, {set("2"), {}, {}}), outlet.withdraw_pem("B", storage),
        outlet.publish_pkcs12("B", archive, content, ours),
        outlet.withdraw_pkcs12("B", archive, ours)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_THAT(refused.error().detail, HasSubstr("another trustpoint (A)"));
  }
  outlet.leave("B", storage);
  outlet.leave("B", archive);
  EXPECT_FALSE(outlet.withdraw_pem("B", storage)) << "nobody leaves a place for another one";
  EXPECT_FALSE(outlet.withdraw_pkcs12("B", archive, ours));
  outlet.leave("A", storage);
  outlet.leave("A", archive);
  EXPECT_TRUE(outlet.publish_pem("B", storage, {set("2"), {}, {}}));
  EXPECT_TRUE(outlet.withdraw_pkcs12("B", archive, ours));
  EXPECT_TRUE(outlet.publish_pkcs12("C", archive, content, ours)) << "what is withdrawn is left";
}

TEST_F(OutletTest, TrustpointsThatSwapTheirDirectoriesBothKeepOthersOut) {
  const std::array places = {config::Storage{path("one"), "", "", 0600, false},
                             config::Storage{path("two"), "", "", 0600, false}};
  // Of what two trustpoints do, each in its order: which one's turn it is. True: it leaves the old
  // place, then writes to the new one.
  for (unsigned turns = 0; turns < 16; ++turns) {
    FileOutlet swapping(loop, log);
    const auto write = [&](int who, int place) {
      return swapping.publish_pem(who == 0 ? "A" : "B", places[static_cast<unsigned>(place)],
                                  {set(who == 0 ? "A" : "B"), {}, {}});
    };
    ASSERT_TRUE(write(0, 0));
    ASSERT_TRUE(write(1, 1));
    std::array done = {0, 0};
    for (unsigned turn = 0; turn < 4; ++turn) {
      int who = static_cast<int>(turns >> turn & 1U);
      if (done[static_cast<unsigned>(who)] == 2) who = 1 - who;
      if (done[static_cast<unsigned>(who)]++ == 0)
        swapping.leave(who == 0 ? "A" : "B", places[static_cast<unsigned>(who)]);
      else
        static_cast<void>(write(who, 1 - who));  // refused while the other one is there
    }
    ASSERT_TRUE(write(0, 1)) << "tried again";
    ASSERT_TRUE(write(1, 0));
    for (const auto& place : places) {
      const auto refused = FileOutlet(loop, log).publish_pem("A", place, {set("3"), {}, {}});
      ASSERT_FALSE(refused) << place.path << ", turns " << turns;
      EXPECT_THAT(refused.error().detail, HasSubstr("another umbrad"));
    }
    EXPECT_EQ(text(path("one/cert.pem")), "cert B");
    EXPECT_EQ(text(path("two/cert.pem")), "cert A");
  }
  // Both write before either leaves.
  FileOutlet swapping(loop, log);
  const client::PemFiles files{set("1"), {}, {}};
  ASSERT_TRUE(swapping.publish_pem("A", places[0], files));
  ASSERT_TRUE(swapping.publish_pem("B", places[1], files));
  EXPECT_FALSE(swapping.publish_pem("A", places[1], files));
  swapping.leave("B", places[1]);
  EXPECT_TRUE(swapping.publish_pem("A", places[1], files));
  swapping.leave("B", places[1]);
  EXPECT_FALSE(FileOutlet(loop, log).publish_pem("A", places[1], files)) << "A's lock is A's";
}

TEST_F(OutletTest, WhatIsDoneInOnePlaceIsDoneOneAfterTheOther) {
  constexpr int times = 40;
  std::atomic<int> failed = 0;
  const auto run = [&](const std::string& mark) {
    for (int i = 0; i < times; ++i) {
      if (!outlet.publish_pem("A", storage, {set(mark + std::to_string(i)), {}, {}})) ++failed;
      if (i % 10 == 9 && !outlet.withdraw_pem("A", storage)) ++failed;
    }
  };
  std::thread other(run, "other ");
  run("one ");
  other.join();
  EXPECT_EQ(failed, 0);
  ASSERT_TRUE(publish(set("last")));
  EXPECT_EQ(text(path("pem/bundle.pem")), "c lastkey last");
  EXPECT_EQ(generations(), 1U);
}

TEST_F(OutletTest, APlaceThatDoesNotAnswerHoldsUpNobodyElse) {
  ASSERT_TRUE(publish(set("1")));
  // Whoever reads a pipe waits for its writer, as for a file server that is down.
  const fs::path pipe = fs::canonical(path("pem/ca.pem"));
  fs::remove(pipe);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0644), 0);
  fs::permissions(pipe, fs::perms(0644));
  std::thread hanging([&] { EXPECT_TRUE(publish(set("2"))); });
  const int writer = ::open(pipe.c_str(), O_WRONLY | O_CLOEXEC);  // returns when it is being read
  ASSERT_GE(writer, 0);
  config::Storage other = storage;
  other.path = path("other");
  EXPECT_TRUE(outlet.publish_pem("B", other, {set("3"), {}, {}}));
  EXPECT_TRUE(outlet.withdraw_pem("B", other));
  outlet.leave("B", other);
  const auto refused = outlet.publish_pem("B", storage, {set("3"), {}, {}});
  ASSERT_FALSE(refused) << "who cannot have the place does not wait for it either";
  EXPECT_EQ(refused.error().code, Errc::conflict);
  outlet.leave("B", storage);
  ::close(writer);
  hanging.join();
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 2");
}

TEST_F(OutletTest, ThatThereAreTooFewFilesForLocksIsSaidOnce) {
  // In a process of its own: what it may open is less for good.
  const auto in_child = [&] {
    const rlimit few{200, 200};
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 1;
    if (!publish(set("1"))) return 2;
    trustpoint = "B";
    storage.path = path("other");
    if (!publish(set("1"))) return 3;
    if (log.lines.size() != 1) return 4;
    return log.lines[0].find(path("pem")) != std::string::npos &&
                   log.lines[0].find("LimitNOFILE") != std::string::npos
               ? 0
               : 5;
  };
  const pid_t child = ::fork();
  if (child == 0) ::_exit(in_child());
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
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

TEST_F(OutletTest, TwoProcessesDoNotWriteIntoOneDirectory) {
  ASSERT_TRUE(publish(set("1")));
  {
    FileOutlet another(loop, log);  // its lock is another's, as another process's would be
    const auto refused = another.publish_pem(trustpoint, storage, {set("2"), {}, {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_THAT(refused.error().detail,
                HasSubstr("another umbrad (process " + std::to_string(::getpid()) + ")"));
    EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
    ASSERT_TRUE(outlet.withdraw_pem(trustpoint, storage));
    ASSERT_TRUE(another.publish_pem(trustpoint, storage, {set("2"), {}, {}})) << "it was left";
    EXPECT_FALSE(publish(set("3")));
  }
  ASSERT_TRUE(publish(set("3"))) << "it has ended";
  fs::remove_all(path("pem"));
  ASSERT_TRUE(publish(set("4"))) << "and a directory that is another by now is locked anew";
  EXPECT_FALSE(FileOutlet(loop, log).publish_pem(trustpoint, storage, {set("5"), {}, {}}));
}

TEST_F(OutletTest, WhatItHasWrittenIsWithdrawnAndNothingElse) {
  EXPECT_TRUE(outlet.withdraw_pem(trustpoint, storage)) << "there never was anything";
  ASSERT_TRUE(publish(set("1")));
  ASSERT_TRUE(publish(set("2"), set("3"), {.ca = "ca 1", .cert = "", .key = "", .chain = ""}));
  fs::create_directories(path("pem/..set-2.old"));
  std::ofstream(path("pem/notes")) << "of somebody else";
  fs::remove(path("pem/chain.pem"));
  fs::create_symlink("/etc/hostname", path("pem/chain.pem"));
  ASSERT_TRUE(outlet.withdraw_pem(trustpoint, storage));
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(path("pem")))
    left.insert(entry.path().filename().string());
  EXPECT_EQ(left, (std::set<std::string>{"..set-2.old", "chain.pem", "notes"}));
  ASSERT_TRUE(outlet.withdraw_pem(trustpoint, storage)) << "nothing is there any more";
  fs::remove(path("pem/chain.pem"));
  ASSERT_TRUE(publish(set("4")));
  EXPECT_EQ(text(path("pem/key.pem")), "key 4");
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
  const auto files = outlet.withdraw_pem(trustpoint, storage);
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
  ASSERT_TRUE(outlet.withdraw_pem(trustpoint, storage));
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
