#include "io/files.h"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <thread>

#include "io/random.h"
#include "io/scratch_test.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FilesTest : public ScratchTest {
 protected:
  static Result<void> put(const std::string& path, std::string_view content) {
    return write_file(path, as_bytes(content));
  }
  OsRandom random;
};

TEST_F(FilesTest, AWrittenFileIsForItsOwnerAlone) {
  ASSERT_TRUE(put(path("key"), "secret"));
  EXPECT_EQ(mode(path("key")), 0600U);
  EXPECT_EQ(text(path("key")), "secret");
  ASSERT_TRUE(put(path("key"), "next"));
  EXPECT_EQ(text(path("key")), "next");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 1)
      << "nothing is left behind";
}

TEST_F(FilesTest, AReaderSeesTheOldContentOrTheNewOne) {
  const std::string a(200000, 'a');
  const std::string b(200000, 'b');
  ASSERT_TRUE(put(path("file"), a));
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) static_cast<void>(put(path("file"), i % 2 == 0 ? b : a));
    done = true;
  });
  while (!done) {
    const std::string seen = text(path("file"));
    ASSERT_TRUE(seen == a || seen == b) << seen.size();
  }
  writer.join();
}

TEST_F(FilesTest, WhatCannotBeReadOrWrittenIsNamed) {
  EXPECT_THAT(text(path("nothing")), HasSubstr(path("nothing")));
  EXPECT_THAT(read_file(directory, 100).error().detail, HasSubstr(directory));
  const auto refused = put(path("no/such/directory"), "x");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("no/such/directory"));
  ASSERT_TRUE(put(path("large"), std::string(1000, 'x')));
  EXPECT_FALSE(read_file(path("large"), 999));
  EXPECT_TRUE(read_file(path("large"), 1000));
}

TEST_F(FilesTest, WhatAProcessThatDiedHasLeftIsClearedAwayAndNobodyElses) {
  ASSERT_TRUE(put(path("key"), "old"));
  // As kill -9 leaves it.
  ASSERT_TRUE(put(path(".key.umbra-0123456789abcdef"), "hal"));
  const std::vector<std::string> others = {
      "key.new",  ".key.umbra-0123456789abcde",    ".key.umbra-0123456789ABCDEF",
      ".key.new", ".other.umbra-0123456789abcdef", "key.umbra-0123456789abcdef"};
  for (const auto& name : others) ASSERT_TRUE(put(path(name), "somebody else's"));
  fs::create_directories(path(".key.umbra-0000000000000000"));
  fs::create_symlink(path("key"), path(".key.umbra-1111111111111111"));
  ASSERT_TRUE(put(path("key"), "new"));
  EXPECT_EQ(text(path("key")), "new");
  EXPECT_FALSE(fs::exists(path(".key.umbra-0123456789abcdef")));
  for (const auto& name : others) EXPECT_EQ(text(path(name)), "somebody else's") << name;
  EXPECT_TRUE(fs::exists(path(".key.umbra-0000000000000000")));
  EXPECT_TRUE(fs::is_symlink(path(".key.umbra-1111111111111111")));
}

/// Runs `body` in a process of its own as another user, who may do no more than `capabilities` say.
int status_as(uid_t user, unsigned capabilities, const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
    const std::array<__user_cap_data_struct, 2> allowed = {
        {{capabilities, capabilities, 0}, {0, 0, 0}}};
    if (::prctl(PR_SET_KEEPCAPS, 1) != 0 || ::setgroups(0, nullptr) != 0 ||
        ::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0 ||
        ::syscall(SYS_capset, &head, allowed.data()) != 0)
      ::_exit(100);
    ::_exit(body());
  }
  int status = -1;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
constexpr uid_t nobody = 65534;
constexpr uid_t somebody = 65533;

TEST_F(FilesTest, WhoMayGiveFilesAwayAndNoMoreGivesThemWithTheirMode) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root becomes another user";
  ASSERT_EQ(::chown(directory.c_str(), nobody, nobody), 0);
  FileAccess access(0640);
  access.owner = somebody;
  access.group = somebody;
  EXPECT_EQ(
      status_as(
          nobody, 1U << CAP_CHOWN,
          [&] { return write_file(path("key"), as_bytes(std::string("secret")), access) ? 0 : 1; }),
      0);
  struct stat found {};
  ASSERT_EQ(::stat(path("key").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777U, 0640U);
  EXPECT_EQ(found.st_uid, somebody);
  EXPECT_EQ(found.st_gid, somebody);
  EXPECT_EQ(text(path("key")), "secret");
}

TEST_F(FilesTest, ADraftThatWasGivenAwayIsClearedAwayWhenItIsOld) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root becomes another user";
  ASSERT_EQ(::chown(directory.c_str(), nobody, nobody), 0);
  const std::string old = path(".key.umbra-0123456789abcdef");
  const std::string on_its_way = path(".key.umbra-0000000000000000");
  for (const auto& draft : {old, on_its_way}) {
    ASSERT_TRUE(put(draft, "a key"));
    ASSERT_EQ(::chown(draft.c_str(), somebody, somebody), 0);
  }
  fs::last_write_time(old, fs::last_write_time(on_its_way) - std::chrono::minutes(11));
  EXPECT_EQ(status_as(nobody, 0, [&] { return put(path("key"), "next") ? 0 : 1; }), 0);
  EXPECT_EQ(text(path("key")), "next");
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(on_its_way)) << "its writer may be about to put it in place";
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 2);
}

TEST_F(FilesTest, ADraftOfWhoLivesIsNotClearedAway) {
  auto draft = Draft::make(path("key"));
  ASSERT_TRUE(draft);
  ASSERT_TRUE(draft->write(as_bytes("first")));
  const fs::path beside = fs::directory_iterator(directory)->path();
  EXPECT_EQ(mode(beside), 0600U) << "from its beginning";
  ASSERT_TRUE(put(path("key"), "second"));
  ASSERT_TRUE(draft->put_in_place());
  EXPECT_EQ(text(path("key")), "first");
  {
    auto given_up = Draft::make(path("key"));
    ASSERT_TRUE(given_up && given_up->write(as_bytes("third")));
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 1);
}

TEST_F(FilesTest, AWriteThatFailsLeavesNoSecretBehind) {
  fs::create_directories(path("key/in-the-way"));
  EXPECT_FALSE(put(path("key"), "secret"));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 1);
}

TEST_F(FilesTest, TheLongestNameThereMayBeHasADraftToo) {
  const std::string name(255, 'k');
  ASSERT_TRUE(put(path(name), "secret"));
  EXPECT_EQ(text(path(name)), "secret");
}

TEST_F(FilesTest, AFullDiskIsNamedAndTheOldContentStays) {
  ASSERT_TRUE(put(path("key"), "old"));
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  auto* const before = ::signal(SIGXFSZ, SIG_IGN);
  rlimit small = usual;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto refused = put(path("key"), std::string(10000, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &usual);
  ::signal(SIGXFSZ, before);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::storage);
  EXPECT_EQ(text(path("key")), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 1);
}

TEST_F(FilesTest, DirectoriesAreMadeForTheirOwnerAlone) {
  ASSERT_TRUE(make_directory(path("a/b/c")));
  EXPECT_EQ(mode(path("a")), 0700U);
  EXPECT_EQ(mode(path("a/b/c")), 0700U);
  EXPECT_TRUE(make_directory(path("a/b/c"))) << "there already";
  ASSERT_TRUE(put(path("file"), ""));
  EXPECT_FALSE(make_directory(path("file/below")));
  EXPECT_FALSE(make_directory(path("file"))) << "a file is no directory";
}

TEST_F(FilesTest, AsManyFilesAsWantedOrAsTheHardLimitAllows) {
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  rlimit low = usual;
  low.rlim_cur = 100;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(allow_open_files(50), 100U) << "never fewer";
  EXPECT_EQ(allow_open_files(120), 120U);
  EXPECT_EQ(allow_open_files(usual.rlim_max), usual.rlim_max);
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  ::setrlimit(RLIMIT_NOFILE, &usual);
  EXPECT_EQ(now.rlim_cur, usual.rlim_max);
}

TEST_F(FilesTest, ADirectoryBelongsToOneProcess) {
  auto first = DirectoryLock::take(directory);
  ASSERT_TRUE(first) << first.error().detail;
  const auto second = DirectoryLock::take(directory);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::conflict);
  EXPECT_THAT(second.error().detail, HasSubstr(std::to_string(::getpid())));
  first->reset();
  EXPECT_TRUE(DirectoryLock::take(directory));
}

TEST_F(FilesTest, ThePassphraseIsMadeOnceAndForItsOwnerAlone) {
  const auto made = passphrase(directory, "", random);
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_TRUE(made->made);
  EXPECT_GE(made->text.size(), 43U) << "256 bits in base64";
  EXPECT_EQ(mode(path("passphrase")), 0600U);
  const auto again = passphrase(directory, "", random);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->made);
  EXPECT_EQ(again->text, made->text);
}

TEST_F(FilesTest, APassphraseFromAFileIsItsFirstLine) {
  ASSERT_TRUE(put(path("mine"), "correct horse\n"));
  const auto mine = passphrase(directory, path("mine"), random);
  ASSERT_TRUE(mine);
  EXPECT_EQ(mine->text, "correct horse");
  EXPECT_FALSE(fs::exists(path("passphrase")));
  ASSERT_TRUE(put(path("empty"), "\n"));
  EXPECT_FALSE(passphrase(directory, path("empty"), random)) << "no passphrase is none at all";
  EXPECT_FALSE(passphrase(directory, path("missing"), random));
}

TEST_F(FilesTest, APassphraseMayBeASystemdCredential) {
  ASSERT_TRUE(put(path("umbra-passphrase"), "from systemd"));
  ::setenv("CREDENTIALS_DIRECTORY", directory.c_str(), 1);
  const auto found = passphrase(directory, "", random);
  ::unsetenv("CREDENTIALS_DIRECTORY");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text, "from systemd");
}

TEST_F(FilesTest, ASecretOnAVolumeThatIsNotMountedIsNotReplaced) {
  for (const char* name : {"passphrase", "board-serial"})
    fs::create_symlink(path("mnt/") + name, path(name));
  EXPECT_FALSE(passphrase(directory, "", random));
  EXPECT_FALSE(board_serial(directory, random));
  EXPECT_TRUE(fs::is_symlink(path("passphrase")));
}

TEST_F(FilesTest, AnEmptyBoardSerialIsNone) {
  ASSERT_TRUE(put(path("board-serial"), "\n"));
  EXPECT_FALSE(board_serial(directory, random));
}

TEST_F(FilesTest, TheBoardSerialIsEightDigitsForEver) {
  const auto serial = board_serial(directory, random);
  ASSERT_TRUE(serial);
  EXPECT_EQ(serial->size(), 8U);
  EXPECT_EQ(serial->find_first_not_of("0123456789"), std::string::npos);
  EXPECT_EQ(*board_serial(directory, random), *serial);
}

}  // namespace
}  // namespace umbra::io
