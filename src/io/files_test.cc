#include "io/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "io/log.h"
#include "io/outlet.h"
#include "io/random.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    std::string shape = (fs::temp_directory_path() / "umbra-files-XXXXXX").string();
    directory = ::mkdtemp(shape.data());
  }
  ~FilesTest() override { fs::remove_all(directory); }
  [[nodiscard]] std::string path(const std::string& name) const { return directory + "/" + name; }
  static unsigned mode(const std::string& path) {
    struct stat found {};
    return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 0777U : 0;
  }
  static std::string text(const std::string& path) {
    const auto content = read_file(path, 1 << 20);
    return content ? std::string(as_text(*content)) : "(" + content.error().detail + ")";
  }
  static Result<void> put(const std::string& path, std::string_view content) {
    return write_file(path, as_bytes(content));
  }
  OsRandom random;
  std::string directory;
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

TEST_F(FilesTest, TheBoardSerialIsEightDigitsForEver) {
  const auto serial = board_serial(directory, random);
  ASSERT_TRUE(serial);
  EXPECT_EQ(serial->size(), 8U);
  EXPECT_EQ(serial->find_first_not_of("0123456789"), std::string::npos);
  EXPECT_EQ(*board_serial(directory, random), *serial);
}

class OutletTest : public FilesTest {
 protected:
  static client::PemSet set(const std::string& mark) {
    return {.ca = "ca " + mark, .cert = "cert " + mark, .key = "key " + mark, .chain = "c " + mark};
  }
  class Silent final : public Log {
    void event(const LogEvent& event) override { ADD_FAILURE() << to_string(event); }
    void debug(std::string_view, std::string_view) override {}
  } log;
  PemOutlet outlet{log};
};

TEST_F(OutletTest, TheFourFilesAreReplacedAsASet) {
  ASSERT_TRUE(outlet.publish(path("pem"), set("1")));
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
  EXPECT_EQ(text(path("pem/key.pem")), "key 1");
  EXPECT_EQ(mode(fs::canonical(path("pem/key.pem"))), 0600U);
  ASSERT_TRUE(outlet.publish(path("pem"), set("2")));
  for (const char* name : {"ca", "cert", "key", "chain"})
    EXPECT_THAT(text(path("pem/") + name + ".pem"), HasSubstr(" 2"));
  // The old generation is gone, the new one alone is there.
  std::size_t sets = 0;
  for (const auto& entry : fs::directory_iterator(path("pem")))
    sets += entry.is_directory() && !entry.is_symlink() ? 1U : 0U;
  EXPECT_EQ(sets, 1U);
}

TEST_F(OutletTest, WhoReadsThroughTheDirectorySeesOneGeneration) {
  ASSERT_TRUE(outlet.publish(path("pem"), set("0")));
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 1; i < 60; ++i) EXPECT_TRUE(outlet.publish(path("pem"), set(std::to_string(i))));
    done = true;
  });
  while (!done) {
    // Pins one generation, as a program does that resolves the link once.
    std::error_code error;
    const fs::path one = fs::canonical(path("pem/..data"), error);
    if (error) continue;
    const auto cert = read_file(one / "cert.pem", 100);
    const auto key = read_file(one / "key.pem", 100);
    if (!cert || !key) continue;  // taken away meanwhile: resolve again
    EXPECT_EQ(std::string(as_text(*cert)).substr(5), std::string(as_text(*key)).substr(4));
  }
  writer.join();
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 59");
}

TEST_F(OutletTest, AHalfWrittenSetOfAProcessThatDiedIsNoObstacle) {
  fs::create_directories(path("pem/..set-1"));
  std::ofstream(path("pem/..set-1/key.pem")) << "half";
  fs::create_directories(path("pem/..set-2"));
  fs::create_directory_symlink("..set-1", path("pem/..data.new"));
  ASSERT_TRUE(outlet.publish(path("pem"), set("1")));
  ASSERT_TRUE(outlet.publish(path("pem"), set("2")));
  EXPECT_EQ(text(path("pem/key.pem")), "key 2");
}

TEST_F(OutletTest, AFileOfSomebodyElsesIsReplacedByTheLink) {
  fs::create_directories(path("pem"));
  std::ofstream(path("pem/cert.pem")) << "made by hand";
  ASSERT_TRUE(outlet.publish(path("pem"), set("1")));
  EXPECT_EQ(text(path("pem/cert.pem")), "cert 1");
}

TEST_F(OutletTest, ADirectoryThatCannotBeMadeIsNamed) {
  std::ofstream(path("file")) << "in the way";
  const auto refused = outlet.publish(path("file"), set("1"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr(path("file")));
}

}  // namespace
}  // namespace umbra::io
