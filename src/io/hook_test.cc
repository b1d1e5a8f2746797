#include "io/hook.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "io/scratch_test.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class HookTest : public ScratchTest {
 protected:
  /// Runs a command to its end; its error, or nothing.
  std::string run(const std::string& command, Seconds limit = 60s) {
    std::string error = "never ended";
    runner.run({.trustpoint = "SPOKE",
                .command = command,
                .limit = limit,
                .variables = {{"UMBRA_TRUSTPOINT", "SPOKE"}, {"UMBRA_EVENT", "renewed"}}},
               [&](const Result<void>& ended) { error = ended ? "" : ended.error().detail; });
    loop.run();
    loop.restart();
    return error;
  }
  /// What it wrote.
  std::string report(const std::string& command) {
    EXPECT_EQ(run("exec >" + path("report") + " 2>&1; " + command), "");
    return text(path("report"));
  }
  boost::asio::io_context loop;
  HookRunner runner{loop, 2};
};

TEST_F(HookTest, TheCommandIsToldWhatHappenedToWhom) {
  EXPECT_EQ(report("echo \"$UMBRA_TRUSTPOINT was $UMBRA_EVENT\""), "SPOKE was renewed\n");
}

TEST_F(HookTest, TheCommandInheritsTheEnvironmentButForWhatIsTheDaemonsOwn) {
  ::setenv("UMBRA_EVENT", "of the daemon", 1);
  ::setenv("NOTIFY_SOCKET", "/run/umbra-notify", 1);
  ::setenv("UMBRA_TEST_PASSES", "through", 1);
  EXPECT_EQ(report("echo \"$UMBRA_EVENT $NOTIFY_SOCKET $UMBRA_TEST_PASSES\""),
            "renewed  through\n");
  for (const char* name : {"UMBRA_EVENT", "NOTIFY_SOCKET", "UMBRA_TEST_PASSES"}) ::unsetenv(name);
}

TEST_F(HookTest, HowItFailedIsTold) {
  EXPECT_EQ(run("exit 3"), "ended with status 3");
  EXPECT_EQ(run("kill -9 $$"), "was ended by signal 9");
  EXPECT_EQ(run("/no/such/program 2>/dev/null"), "ended with status 127");
  EXPECT_THAT(run("echo " + std::string(5 << 20, 'x')), HasSubstr("could not be started"));
  EXPECT_EQ(run("true"), "") << "and the next one runs as if nothing had been";
}

TEST_F(HookTest, WhatTakesTooLongIsEndedWithAllThatItStarted) {
  const auto before = std::chrono::steady_clock::now();
  const std::string error = run("sleep 987 & echo $! >" + path("pid") + "; wait", 1s);
  EXPECT_THAT(error, HasSubstr("took more than 1 seconds"));
  EXPECT_LT(std::chrono::steady_clock::now() - before, 30s);
  const auto sleeper = static_cast<pid_t>(std::stol(text(path("pid"))));
  // Nobody's child any more: init takes it up in its own time.
  for (int i = 0; i < 1000 && ::kill(sleeper, 0) == 0; ++i) std::this_thread::sleep_for(10ms);
  std::ifstream status("/proc/" + std::to_string(sleeper) + "/stat");
  std::string line;
  std::getline(status, line);
  EXPECT_TRUE(line.empty() || line.find(") Z ") != std::string::npos) << line;
}

TEST_F(HookTest, ManyAtOnceTakeTheirTurns) {
  int ended = 0;
  for (int i = 0; i < 20; ++i) {
    // Fails if more than two are inside.
    runner.run({.trustpoint = "SPOKE",
                .command = "exec 2>/dev/null; mkdir " + path("a") + " || mkdir " + path("b") +
                           " || exit 1; sleep 0.02; rmdir " + path("a") + " 2>/dev/null || rmdir " +
                           path("b"),
                .limit = 60s,
                .variables = {}},
               [&](const Result<void>& done) { ended += done ? 1 : 0; });
  }
  loop.run();
  EXPECT_EQ(ended, 20);
}

TEST_F(HookTest, WhatItLeavesRunningIsLeftRunning) {
  EXPECT_EQ(run("sleep 987 >/dev/null 2>&1 & echo $! >" + path("pid")), "");
  const auto sleeper = static_cast<pid_t>(std::stol(text(path("pid"))));
  EXPECT_EQ(::kill(sleeper, SIGKILL), 0);
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

}  // namespace
}  // namespace umbra::io
