#include "io/exec_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

namespace umbra::io {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using stream = asio::local::stream_protocol;
using ::testing::HasSubstr;

class Echo final : public ExecSession {
 public:
  void ask(ExecRequest asked, std::function<void(ExecReply)> done) override {
    if (asked.what == ExecRequest::What::say) {
      const bool over = asked.line == "exit";
      return done({true, std::to_string(++said_) + "\n", {}, "hub#", over, 24});
    }
    if (asked.what != ExecRequest::What::exec) return done({true, "more of " + asked.line});
    if (asked.line == "long") return done({true, std::string(8U << 20, 'x')});
    if (asked.line == "ask") {
      if (asked.input) return done({true, "told: " + *asked.input});
      return done({true, "what? ", "line"});
    }
    done({asked.line.substr(0, 4) == "show", "you said: " + asked.line + "\n"});
  }

 private:
  int said_ = 0;
};

class ExecSocketTest : public testing::Test {
 protected:
  ExecSocketTest() {
    std::string shape = (fs::temp_directory_path() / "umbra-exec-XXXXXX").string();
    directory = ::mkdtemp(shape.data());
    path = directory + "/umbra.sock";
  }
  ~ExecSocketTest() override {
    socket.reset();
    work.reset();
    if (thread.joinable()) thread.join();
    fs::remove_all(directory);
  }
  void serve() {
    auto listening = ExecSocket::listen(
        loop, path,
        [this](const Peer& peer) -> Result<std::shared_ptr<ExecSession>> {
          if (refuses) return fail(Errc::conflict, name_of(peer) + " may not\n");
          return std::shared_ptr<ExecSession>(std::make_shared<Echo>());
        },
        limits);
    ASSERT_TRUE(listening) << listening.error().detail;
    socket = *std::move(listening);
    thread = std::thread([this] { loop.run(); });
  }
  /// Its group is still root's where a user of ConnectsAs is another one.
  void let_others_in() const {
    fs::permissions(directory, fs::perms::group_exec | fs::perms::others_exec,
                    fs::perm_options::add);
  }
  /// Sends this as it is, and gives the first line that comes back; empty if it is cut off.
  [[nodiscard]] std::string say(const std::string& text) const {
    asio::io_context own;
    stream::socket to(own);
    to.connect(stream::endpoint(path));
    boost::system::error_code error;
    asio::write(to, asio::buffer(text), error);
    if (text.find('\n') == std::string::npos) to.shutdown(stream::socket::shutdown_send, error);
    std::string all;
    std::array<char, 4096> chunk{};
    while (!error && all.find('\n') == std::string::npos)
      all.append(chunk.data(), to.read_some(asio::buffer(chunk), error));
    return all;
  }

  bool refuses = false;
  ExecLimits limits;
  asio::io_context loop{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work{
      asio::make_work_guard(loop)};
  std::thread thread;
  std::string directory;
  std::string path;
  std::unique_ptr<ExecSocket> socket;
};

TEST_F(ExecSocketTest, ACommandMayAskForMore) {
  serve();
  const auto asked = exec(path, {"ask", {}});
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->ask, "line");
  EXPECT_EQ(asked->output, "what? ");
  EXPECT_EQ(exec(path, {"ask", "yes\n"})->output, "told: yes\n");
  EXPECT_EQ(say("{\"exec\": \"ask\", \"input\": 7}\n").find("told"), std::string::npos);
}

TEST_F(ExecSocketTest, ACommandGetsItsAnswerAndItsStatus) {
  serve();
  const auto good = exec(path, {"show clock", {}});
  ASSERT_TRUE(good) << good.error().detail;
  EXPECT_TRUE(good->ok);
  EXPECT_EQ(good->output, "you said: show clock\n");
  const auto bad = exec(path, {"nonsense", {}});
  ASSERT_TRUE(bad);
  EXPECT_FALSE(bad->ok);
}

TEST_F(ExecSocketTest, WhomTheDoorRefusesIsToldSoAndHasNoMoreOfIt) {
  refuses = true;
  serve();
  struct stat found {};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0666U) << "the door decides, not the file";
  const auto reply = exec(path, {"show clock"});
  ASSERT_TRUE(reply) << reply.error().detail;
  EXPECT_FALSE(reply->ok);
  EXPECT_THAT(reply->output, HasSubstr(" may not\n"));
  auto link = ExecLink::open(path);
  ASSERT_TRUE(link);
  EXPECT_TRUE((*link)->ask({"show clock"}));
  EXPECT_FALSE((*link)->ask({"show clock"})) << "the connection is closed";
}

TEST_F(ExecSocketTest, ASessionLastsAsLongAsItsConnection) {
  serve();
  using What = ExecRequest::What;
  auto link = ExecLink::open(path);
  ASSERT_TRUE(link) << link.error().detail;
  EXPECT_EQ((*link)->ask({"a", {}, What::say})->output, "1\n");
  const auto second = (*link)->ask({"b", {}, What::say});
  EXPECT_EQ(second->output, "2\n");
  EXPECT_EQ(second->prompt, "hub#");
  EXPECT_EQ(second->length, 24);
  EXPECT_EQ((*link)->ask({"sh", {}, What::help})->output, "more of sh");
  EXPECT_EQ((*ExecLink::open(path))->ask({"a", {}, What::say})->output, "1\n") << "another one";
  EXPECT_TRUE((*link)->ask({"exit", {}, What::say})->over);
  EXPECT_FALSE((*link)->ask({"c", {}, What::say}));
}

/// Has lines of the log ready as long as it is asked for them.
class Chatter final : public ExecSession {
 public:
  explicit Chatter(int lines) : left_(lines) {}
  [[nodiscard]] int left() const { return left_; }
  void ask(ExecRequest asked, std::function<void(ExecReply)> done) override {
    done({true, "said " + asked.line + "\n"});
  }
  void log_lines(std::function<void(std::vector<std::string>)> done) override {
    if (left_ > 0) done({"line " + std::to_string(left_--), std::string(100, 'x')});
  }

 private:
  std::atomic<int> left_;
};

TEST_F(ExecSocketTest, TheLogComesBetweenAnswersAndIsTakenForNone) {
  static constexpr int lines = 300;
  auto listening = ExecSocket::listen(
      loop, path,
      [](const Peer&) -> Result<std::shared_ptr<ExecSession>> {
        return std::shared_ptr<ExecSession>(std::make_shared<Chatter>(lines));
      },
      limits);
  ASSERT_TRUE(listening);
  socket = *std::move(listening);
  thread = std::thread([this] { loop.run(); });
  auto link = ExecLink::open(path);
  ASSERT_TRUE(link);
  std::string log;
  (*link)->on_log([&log](const std::string& more) { log += more; });
  for (int i = 0; i < 20; ++i) {
    const std::string line = "a" + std::to_string(i);
    const auto reply = (*link)->ask({line, {}, ExecRequest::What::say});
    ASSERT_TRUE(reply) << reply.error().detail;
    EXPECT_EQ(reply->output, "said " + line + "\n");
  }
  while (log.find("line 1\n") == std::string::npos) ASSERT_TRUE((*link)->take_log());
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2 * lines);
}

TEST_F(ExecSocketTest, TheLogThatComesInOnePieceWithAnAnswerIsNotWaitedForAgain) {
  stream::acceptor acceptor(loop, stream::endpoint(path));
  thread = std::thread([&acceptor] {
    stream::socket to = acceptor.accept();
    std::string asked;
    asio::read_until(to, asio::dynamic_buffer(asked), '\n');
    asio::write(to, asio::buffer(std::string("{\"log\":\"before\\n\"}\n"
                                             "{\"status\":0,\"output\":\"answer\"}\n"
                                             "{\"log\":\"behind\\n\"}\n{\"log\":\"far ")));
    asio::write(to, asio::buffer(std::string("behind\\n\"}\n")));
  });
  auto link = ExecLink::open(path);
  ASSERT_TRUE(link);
  std::string log;
  (*link)->on_log([&log](const std::string& more) { log += more; });
  const auto reply = (*link)->ask({"a", {}, ExecRequest::What::say});
  ASSERT_TRUE(reply) << reply.error().detail;
  EXPECT_EQ(reply->output, "answer");
  EXPECT_THAT(log, testing::StartsWith("before\nbehind\n"));
  while (log.size() < std::string("before\nbehind\nfar behind\n").size())
    ASSERT_TRUE((*link)->take_log());
  EXPECT_EQ(log, "before\nbehind\nfar behind\n");
}

TEST_F(ExecSocketTest, WhoMonitorsAndReadsNothingForLongIsNotCutOffAndLosesNoAnswer) {
  using std::chrono::milliseconds;
  static constexpr int lines = 3000;  // more than a socket holds
  limits.reading = milliseconds{200};
  const auto chatter = std::make_shared<Chatter>(lines);
  auto listening = ExecSocket::listen(
      loop, path,
      [chatter](const Peer&) -> Result<std::shared_ptr<ExecSession>> {
        return std::shared_ptr<ExecSession>(chatter);
      },
      limits);
  ASSERT_TRUE(listening);
  socket = *std::move(listening);
  thread = std::thread([this] { loop.run(); });
  auto link = ExecLink::open(path);
  ASSERT_TRUE(link);
  std::string log;
  (*link)->on_log([&log](const std::string& more) { log += more; });
  const auto ask = [&](const std::string& line) {
    const auto reply = (*link)->ask({line, {}, ExecRequest::What::say});
    return reply ? reply->output : reply.error().detail;
  };
  EXPECT_EQ(ask("first"), "said first\n");
  // As at `--More--`: the console reads nothing, long after nothing more can be written to it.
  std::promise<void> later;
  asio::steady_timer timer(loop, limits.reading * 4);
  timer.async_wait([&later](boost::system::error_code) { later.set_value(); });
  later.get_future().wait();
  EXPECT_GT(chatter->left(), 0);
  for (int i = 0; log.find("line 1\n") == std::string::npos; ++i) {
    const std::string line = "a" + std::to_string(i);
    ASSERT_EQ(ask(line), "said " + line + "\n");
  }
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2 * lines);
}

TEST_F(ExecSocketTest, WhoSaysNothingOrDoesNotReadIsCutOff) {
  using std::chrono::milliseconds;
  limits.first_line = limits.idle = limits.reading = milliseconds{50};
  serve();
  EXPECT_EQ(say("{\"exec\": \"show clock\"}\n").empty(), false);
  asio::io_context own;
  const auto ends = [&own, this](const std::string& text) {
    stream::socket to(own);
    to.connect(stream::endpoint(path));
    asio::write(to, asio::buffer(text));
    boost::system::error_code error;
    std::array<char, 16> chunk{};
    // Nothing is read before the daemon has given up; then what is in the socket, and the end.
    if (text.find("long") != std::string::npos) {
      std::promise<void> later;
      asio::steady_timer timer(loop, milliseconds{200});
      timer.async_wait([&later](boost::system::error_code) { later.set_value(); });
      later.get_future().wait();
    }
    std::size_t octets = 0;
    while (!error) octets += to.read_some(asio::buffer(chunk), error);
    return octets;
  };
  EXPECT_EQ(ends(""), 0U);
  EXPECT_EQ(ends("{\"exec\": \"half"), 0U);
  EXPECT_LT(ends("{\"exec\": \"long\"}\n"), 8U << 20);
  EXPECT_TRUE(exec(path, {"show clock"}));
}

/// Makes the connections of this thread another user's while it lives, as the kernel tells the
/// daemon. For root alone.
class ConnectsAs {
 public:
  // glibc's own call would change all threads.
  explicit ConnectsAs(uid_t uid) { ::syscall(SYS_setresuid, -1, uid, -1); }
  ~ConnectsAs() { ::syscall(SYS_setresuid, -1, 0, -1); }
  ConnectsAs(const ConnectsAs&) = delete;
  ConnectsAs& operator=(const ConnectsAs&) = delete;
};
constexpr uid_t another_user = 65534;

TEST_F(ExecSocketTest, OneUserHasSoManyConnectionsAndNoMore) {
  limits.sessions_of_one_user = 3;
  serve();
  let_others_in();
  std::optional<ConnectsAs> other;
  if (::geteuid() == 0) other.emplace(another_user);
  std::vector<std::unique_ptr<ExecLink>> open;
  for (int i = 0; i < 3; ++i) {
    open.push_back(*ExecLink::open(path));
    ASSERT_TRUE(open.back()->ask({"show clock"}));
  }
  const auto refused = exec(path, {"show clock"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unreachable);
  EXPECT_THAT(refused.error().detail, HasSubstr("too many sessions open"));
  open.clear();
  Result<ExecReply> reply = exec(path, {"show clock"});
  for (int i = 0; i < 10000 && !reply; ++i) reply = exec(path, {"show clock"});
  EXPECT_TRUE(reply);
}

TEST_F(ExecSocketTest, RootIsLetInWhateverOthersHaveOpen) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root connects as root";
  limits.sessions = 4;
  limits.sessions_of_one_user = 2;
  serve();
  let_others_in();
  std::vector<std::unique_ptr<ExecLink>> open;
  const auto enters = [&] {
    open.push_back(*ExecLink::open(path));
    return open.back()->ask({"show clock"}).has_value();
  };
  for (const uid_t uid : {another_user, another_user - 1}) {
    const ConnectsAs other(uid);
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(enters());
    EXPECT_FALSE(enters());
  }
  {
    const ConnectsAs other(another_user - 2);
    EXPECT_FALSE(enters()) << "all is full";
  }
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(enters()) << "beyond what another user has";
  EXPECT_FALSE(enters()) << "what runs wild as root has an end too";
}

TEST_F(ExecSocketTest, WhatIsNoCommandIsToldSo) {
  serve();
  for (const char* wrong : {"\n", "show clock\n", "{}\n", "{\"exec\": 5}\n", "[[[[[[[[\n",
                            "{\"exec\": \"show\n", "\x01\x02\xff\n", "{\"exec\": \"\xff\xfe\"}\n"})
    EXPECT_THAT(say(wrong), HasSubstr("\"status\":1")) << wrong;
  EXPECT_THAT(say(std::string(60000, '[') + "\n"), HasSubstr("\"status\":1"));
}

TEST_F(ExecSocketTest, HalfALineAndAnEndlessOneAreCutOff) {
  serve();
  EXPECT_EQ(say("{\"exec\": \"show"), "");
  EXPECT_EQ(say(std::string(200000, 'x')), "");
  EXPECT_TRUE(exec(path, {"show clock", {}}));
}

TEST_F(ExecSocketTest, AThousandConnectionsDoNoHarm) {
  serve();
  asio::io_context own;
  {
    std::vector<stream::socket> many;
    for (int i = 0; i < 1000; ++i) {
      stream::socket one(own);
      boost::system::error_code error;
      one.connect(stream::endpoint(path), error);
      if (!error) many.push_back(std::move(one));
    }
    EXPECT_GE(many.size(), 64U);
  }
  // Once they have gone there is room again; the server notices each in its turn.
  Result<ExecReply> reply = exec(path, {"show clock", {}});
  for (int i = 0; i < 10000 && !reply; ++i) reply = exec(path, {"show clock", {}});
  EXPECT_TRUE(reply);
}

TEST_F(ExecSocketTest, AnOldSocketIsReplacedAndAnythingElseLeftAlone) {
  {
    asio::io_context own;
    const stream::acceptor old(own, stream::endpoint(path));
  }
  ASSERT_TRUE(fs::exists(path)) << "a process that died leaves its socket";
  serve();
  EXPECT_TRUE(exec(path, {"show clock", {}}));
  const std::string precious = directory + "/precious";
  std::ofstream(precious) << "data";
  const auto refused = ExecSocket::listen(loop, precious, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr(precious));
  EXPECT_EQ(fs::file_size(precious), 4U);
}

TEST_F(ExecSocketTest, ASocketThatIsServedIsNotTaken) {
  serve();
  asio::io_context other;
  const auto second = ExecSocket::listen(other, path, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::conflict);
  EXPECT_THAT(second.error().detail, HasSubstr(path));
  EXPECT_TRUE(exec(path, {"show clock", {}})) << "the first one serves on";
}

TEST_F(ExecSocketTest, WhoEndsRemovesItsOwnSocketAndNobodyElses) {
  serve();
  fs::rename(path, path + ".first");
  asio::io_context other;
  auto second = ExecSocket::listen(other, path, {});
  ASSERT_TRUE(second) << second.error().detail;
  socket.reset();
  EXPECT_TRUE(fs::exists(path));
  second->reset();
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(ExecSocketTest, AnOpenConsoleOutlivesTheListener) {
  serve();
  asio::io_context own;
  stream::socket to(own);
  to.connect(stream::endpoint(path));
  const auto ask = [&to] {
    asio::write(to, asio::buffer(std::string("{\"exec\": \"show clock\"}\n")));
    std::string text;
    asio::read_until(to, asio::dynamic_buffer(text), '\n');
    return text;
  };
  EXPECT_THAT(ask(), HasSubstr("\"status\":0"));
  socket.reset();
  // One turn of the loop later the listener has gone.
  std::promise<void> turned;
  asio::post(loop, [&] { turned.set_value(); });
  turned.get_future().wait();
  EXPECT_THAT(ask(), HasSubstr("\"status\":0"));
}

TEST_F(ExecSocketTest, ControlCharactersArriveAsTheyWereSent) {
  serve();
  const std::string line("show \x01\x1b[2J\t\"\\\x7f\n\0 end", 19);
  const auto reply = exec(path, {line, {}});
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->output, "you said: " + line + "\n") << "a newline in it ends no line";
}

TEST_F(ExecSocketTest, APathTooLongIsNamedWithWhatToDo) {
  const auto refused = ExecSocket::listen(loop, directory + "/" + std::string(200, 'x'), {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("--socket"));
}

TEST_F(ExecSocketTest, NobodyThereIsAnErrorThatNamesTheSocket) {
  const auto nobody = exec(path, {"show clock", {}});
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, Errc::unreachable);
  EXPECT_THAT(nobody.error().detail, HasSubstr(path));
}

}  // namespace
}  // namespace umbra::io
