#include "io/places.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "io/outlet_lab_test.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// Through what publishes there.
class PlacesTest : public OutletTest {};

TEST_F(PlacesTest, ADirectoryHasOneWriterWhateverNamesLeadToIt) {
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
  const auto withdrawn = outlet.withdraw_pem(trustpoint, storage, mine);
  ASSERT_FALSE(withdrawn) << "nor does it take the other's away";
  EXPECT_EQ(withdrawn.error().code, Errc::conflict);
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
  outlet.leave("A", first);
  ASSERT_TRUE(publish(set("2"))) << "who has left it is in nobody's way";
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 2");
}

TEST_F(PlacesTest, ALinkThatLeadsElsewhereByNowIsInNobodysWay) {
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

TEST_F(PlacesTest, AFileHasOneWriterWhateverNamesLeadToIt) {
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

TEST_F(PlacesTest, APlaceIsItsTrustpointsUntilThatLeavesIt) {
  ASSERT_TRUE(publish(set("1")));
  config::Storage archive{path("a.p12"), "", "", 0600, false};
  const Bytes content{0x30, 0x04, 0x02, 0x01, 0x03, 0x01};
  ASSERT_TRUE(outlet.publish_pkcs12("A", archive, content, mine));
  for (const auto& refused :
       {outlet.publish_pem("B", storage, {set("2"), {}, {}}),
        outlet.withdraw_pem("B", storage, mine), outlet.publish_pkcs12("B", archive, content, mine),
        outlet.withdraw_pkcs12("B", archive, mine)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_THAT(refused.error().detail, HasSubstr("another trustpoint (A)"));
  }
  outlet.leave("B", storage);
  outlet.leave("B", archive);
  EXPECT_FALSE(outlet.withdraw_pem("B", storage, mine)) << "nobody leaves a place for another one";
  EXPECT_FALSE(outlet.withdraw_pkcs12("B", archive, mine));
  outlet.leave("A", storage);
  outlet.leave("A", archive);
  EXPECT_TRUE(outlet.publish_pem("B", storage, {set("2"), {}, {}}));
  EXPECT_TRUE(outlet.withdraw_pkcs12("B", archive, mine));
  EXPECT_TRUE(outlet.publish_pkcs12("C", archive, content, mine)) << "what is withdrawn is left";
}

TEST_F(PlacesTest, TrustpointsThatSwapTheirDirectoriesBothKeepOthersOut) {
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

TEST_F(PlacesTest, WhatIsDoneInOnePlaceIsDoneOneAfterTheOther) {
  constexpr int times = 40;
  std::atomic<int> failed = 0;
  const auto run = [&](const std::string& mark) {
    for (int i = 0; i < times; ++i) {
      if (!outlet.publish_pem("A", storage, {set(mark + std::to_string(i)), {}, {}})) ++failed;
      if (i % 10 == 9 && !outlet.withdraw_pem("A", storage, mine)) ++failed;
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

TEST_F(PlacesTest, APlaceThatDoesNotAnswerHoldsUpNobodyElse) {
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
  EXPECT_TRUE(outlet.withdraw_pem("B", other, mine));
  outlet.leave("B", other);
  const auto refused = outlet.publish_pem("B", storage, {set("3"), {}, {}});
  ASSERT_FALSE(refused) << "who cannot have the place does not wait for it either";
  EXPECT_EQ(refused.error().code, Errc::conflict);
  outlet.leave("B", storage);
  ::close(writer);
  hanging.join();
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 2");
}

TEST_F(PlacesTest, ThatThereAreTooFewFilesForLocksIsSaidOnce) {
  // In a process of its own: what it may open is less for good.
  const int came_to = in_child([&] {
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
  });
  EXPECT_EQ(came_to, 0);
}

TEST_F(PlacesTest, ThatALockIsAnotherUsersIsSaid) {
  if (::geteuid() != 0) GTEST_SKIP() << "who is not root cannot become another user";
  ASSERT_TRUE(publish(set("1")));  // root's lock, held
  constexpr uid_t nobody = 65534;
  ASSERT_EQ(::chown(path("pem").c_str(), nobody, nobody), 0);
  ASSERT_EQ(::chmod(directory.c_str(), 0755), 0);
  const int came_to = in_child([&] {
    if (::setuid(nobody) != 0) return 1;
    OutletLines lines;
    FileOutlet another(loop, lines);
    for (const char* const mark : {"2", "3"}) {
      if (!another.publish_pem("B", storage, {set(mark), {}, {}})) return 2;
    }
    if (lines.lines.size() != 1) return 3;
    return lines.lines[0].find("pem/..umbra-lock is another user's") != std::string::npos ? 0 : 4;
  });
  EXPECT_EQ(came_to, 0);
}

TEST_F(PlacesTest, APlaceThatIsRefusedIsNotWrittenToUntilItIsNot) {
  const config::Storage archive{path("a.p12"), "", "", 0600, false};
  const Bytes content{0x30, 0x04, 0x02, 0x01, 0x03, 0x01};
  outlet.refuse({{"A", storage.path, "it leads to another one"}, {"A", archive.path, "it too"}});
  for (const auto& refused : {publish(set("1")), outlet.publish_pkcs12("A", archive, content, mine),
                              outlet.hold_pkcs12("A", archive)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_THAT(refused.error().detail, HasSubstr("it"));
    EXPECT_THAT(refused.error().detail, HasSubstr("read again (SIGHUP)"));
  }
  EXPECT_FALSE(fs::exists(storage.path));
  EXPECT_FALSE(fs::exists(archive.path));
  EXPECT_TRUE(outlet.publish_pem("B", storage, {set("2"), {}, {}})) << "to another one it is not";
  outlet.leave("B", storage);
  outlet.refuse({});
  EXPECT_TRUE(publish(set("1")));
}

TEST_F(PlacesTest, TwoProcessesDoNotWriteIntoOneDirectory) {
  ASSERT_TRUE(publish(set("1")));
  {
    FileOutlet another(loop, log);  // its lock is another's, as another process's would be
    const auto refused = another.publish_pem(trustpoint, storage, {set("2"), {}, {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_THAT(refused.error().detail,
                HasSubstr("another umbrad (process " + std::to_string(::getpid()) + ")"));
    EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
    ASSERT_TRUE(outlet.withdraw_pem(trustpoint, storage, mine));
    ASSERT_TRUE(another.publish_pem(trustpoint, storage, {set("2"), {}, {}})) << "it was left";
    EXPECT_FALSE(publish(set("3")));
  }
  ASSERT_TRUE(publish(set("3"))) << "it has ended";
  fs::remove_all(path("pem"));
  ASSERT_TRUE(publish(set("4"))) << "and a directory that is another by now is locked anew";
  EXPECT_FALSE(FileOutlet(loop, log).publish_pem(trustpoint, storage, {set("5"), {}, {}}));
}

TEST_F(PlacesTest, TwoProcessesDoNotWriteOneArchive) {
  const Bytes archive{0x30, 0x04, 0x02, 0x01, 0x03, 0x01};
  storage.path = path("a.p12");
  ASSERT_TRUE(publish_archive(archive));
  {
    FileOutlet another(loop, log);
    for (const auto& refused :
         {another.publish_pkcs12("B", storage, archive, mine), another.hold_pkcs12("B", storage)}) {
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, Errc::conflict);
      EXPECT_THAT(refused.error().detail,
                  HasSubstr("another umbrad (process " + std::to_string(::getpid()) + ") writes " +
                            storage.path));
    }
    config::Storage beside = storage;
    beside.path = path("b.p12");
    EXPECT_TRUE(another.publish_pkcs12("B", beside, archive, mine)) << "each file has its own";
    ASSERT_TRUE(outlet.withdraw_pkcs12(trustpoint, storage, mine));
    EXPECT_FALSE(fs::exists(Places::lock_of_file(storage.path)));
    ASSERT_TRUE(another.publish_pkcs12("B", storage, archive, mine)) << "it was left";
    EXPECT_FALSE(publish_archive(archive));
  }
  ASSERT_TRUE(publish_archive(archive)) << "it has ended";
}

TEST_F(PlacesTest, WhoHasNothingToWriteHasHisPlaceAllTheSame) {
  fs::create_directories(path("one"));
  const Bytes archive{0x30, 0x04, 0x02, 0x01, 0x03, 0x01};
  storage.path = path("one/a.p12");
  ASSERT_TRUE(outlet.hold_pkcs12("A", storage));
  EXPECT_FALSE(fs::exists(storage.path)) << "nothing is written";
  // By a link that has come since, another trustpoint's path leads there.
  fs::create_symlink("one", path("two"));
  storage.path = path("two/a.p12");
  trustpoint = "B";
  const auto refused = publish_archive(archive);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_THAT(refused.error().detail, HasSubstr("another trustpoint (A)"));
}

TEST_F(PlacesTest, WithoutRoomForALockWhatIsThereIsHeldAllTheSame) {
  fs::create_directories(path("one"));
  storage.path =
      path("one/" + std::string(250, 'n'));  // ".NAME.umbra-lock" is longer than names are
  EXPECT_TRUE(outlet.hold_pkcs12("A", storage));
  trustpoint = "B";
  EXPECT_FALSE(outlet.hold_pkcs12("B", storage));
}

}  // namespace
}  // namespace umbra::io
