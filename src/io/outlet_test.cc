#include "io/outlet.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "io/scratch_test.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class OutletTest : public ScratchTest {
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

/// Runs a command as `on change exec` does, with a pipe for it to report through: what it wrote to
/// the FIFO `report`, which ends when it and all it started have closed it.
class HookTest : public OutletTest {
 protected:
  std::string report(const std::string& command) {
    const std::string fifo = path("report");
    EXPECT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    outlet.run("exec >" + fifo + " 2>&1; " + command, "SPOKE");
    std::ifstream in(fifo);
    std::string said((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    ::wait(nullptr);
    return said;
  }
};

TEST_F(HookTest, TheCommandIsToldItsTrustpoint) {
  EXPECT_EQ(report("echo \"$UMBRA_TRUSTPOINT changed\""), "SPOKE changed\n");
}

TEST_F(HookTest, TheCommandSeesTheFilesAsPublished) {
  ASSERT_TRUE(outlet.publish(path("pem"), set("1")));
  EXPECT_EQ(report("cat " + path("pem/cert.pem") + " " + path("pem/key.pem")), "cert 1key 1");
}

TEST_F(HookTest, TheCommandInheritsNoFilesOfTheDaemons) {
  // A listening socket in a program that the command starts would keep the port taken for ever.
  const int open = ::fcntl(STDERR_FILENO, F_DUPFD, 20);
  ASSERT_GE(open, 20);
  const std::string n = std::to_string(open);
  EXPECT_EQ(report("[ -e /proc/self/fd/" + n + " ] && echo inherited || echo closed"), "closed\n");
  ::close(open);
}

TEST_F(HookTest, TheCommandReadsNobodysTerminal) {
  EXPECT_EQ(report("readlink /proc/self/fd/0"), "/dev/null\n");
}

TEST_F(HookTest, TheCommandStartsWithTheUsualSignals) {
  sigset_t blocked;
  sigset_t usual;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &usual), 0);
  auto* const pipe_before = ::signal(SIGPIPE, SIG_IGN);
  const std::string said = report("sed -nE 's/^Sig(Blk|Ign):.//p' /proc/self/status");
  ::signal(SIGPIPE, pipe_before);
  ::pthread_sigmask(SIG_SETMASK, &usual, nullptr);
  std::istringstream in(said);
  std::uint64_t held = ~0ULL;
  std::uint64_t ignored = ~0ULL;
  ASSERT_TRUE(in >> std::hex >> held >> ignored) << said;
  const auto bit = [](int signal) { return std::uint64_t{1} << (signal - 1); };
  EXPECT_EQ(held & bit(SIGTERM), 0U) << said;
  EXPECT_EQ(ignored & bit(SIGPIPE), 0U) << said;
}

TEST_F(OutletTest, ACommandThatCannotBeStartedIsInTheLog) {
  class Kept final : public Log {
   public:
    void event(const LogEvent& event) override { lines += to_string(event); }
    void debug(std::string_view, std::string_view) override {}
    std::string lines;
  } kept;
  PemOutlet(kept).run("echo " + std::string(5 << 20, 'x'), "SPOKE");
  EXPECT_THAT(kept.lines, HasSubstr("%PKI-3-ON_CHANGE"));
  EXPECT_THAT(kept.lines, HasSubstr("SPOKE"));
}

}  // namespace
}  // namespace umbra::io
