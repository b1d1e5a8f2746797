// What a stranger can ask of the HTTP server, and what is refused: size, time, number and rate.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <future>

#include "io/http_lab_test.h"

namespace umbra::io {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(HttpTest, TooLargeIsRefusedBeforeItIsRead) {
  serve({.header_octets = 1000, .body_octets = 1000});
  EXPECT_THAT(say("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(say("GET /" + std::string(2000, 'x')), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(say("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n600\r\n" +
                  std::string(0x600, 'x')),
              StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpTest, WhatIsNoHttpIsRefused) {
  serve();
  EXPECT_THAT(say("\x16\x03\x01 hello\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(say("GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(say("GET / HT", true), "") << "half a request is nobody's question";
  const auto alive = call({.method = "GET", .url = url("/"), .content_type = "", .body = {}});
  EXPECT_TRUE(alive);
}

TEST_F(HttpTest, WhoIsSlowIsCutOff) {
  serve({.request_seconds = 1});
  auto silent = connect();
  auto half = connect();
  asio::write(half, asio::buffer(std::string("GET / HTTP/1.1\r\nHo")));
  EXPECT_EQ(rest(silent), "");
  EXPECT_EQ(rest(half), "");
}

TEST_F(HttpTest, AFieldLongerThanTheParserTakesIsTooLarge) {
  serve();
  const auto field = [](std::size_t name, std::size_t value) {
    return std::string(name, 'a') + ": " + std::string(value, 'x') + "\r\n";
  };
  const std::string get = "GET / HTTP/1.1\r\nConnection: close\r\n";
  EXPECT_THAT(say(get + field(1, 65533) + "\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(say(get + field(1, 65534) + "\r\n"), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(say(get + field(66000, 1) + "\r\n"), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(
      say("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + field(1, 66000) + "\r\n"),
      StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(say(get + "\r\n"), StartsWith("HTTP/1.1 200")) << "and it goes on";
}

TEST_F(HttpTest, FieldsBehindTheLastChunkAreCountedToo) {
  serve();
  std::string many;
  for (int i = 0; i < 101; ++i) many += "a:\r\n";
  const std::string chunked =
      "POST /x HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n";
  EXPECT_THAT(say(chunked + many + "\r\n"), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(say(chunked + "a: b\r\n\r\n"), HasSubstr("POST /x 1"));
  EXPECT_THAT(say(chunked.substr(0, chunked.size() - 3) + "0;" + std::string(9000, 'x')),
              StartsWith("HTTP/1.1 431"));
}

TEST_F(HttpTest, WhereTheEndOfABodyCannotBeToldNothingBehindItIsARequest) {
  serve();
  const std::string behind = "\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n";
  for (const char* head :
       {"POST /x HTTP/1.1\r\nTransfer-Encoding: gzip",
        "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked, identity",
        "POST /x HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked"}) {
    const std::string said = say(head + behind);
    EXPECT_THAT(said, HasSubstr(" 400 ")) << head;
    EXPECT_THAT(said, Not(HasSubstr("/smuggled"))) << head;
  }
}

TEST_F(HttpTest, WhatIsRefusedTakesNobodysRoomWhileItsAnswerIsTaken) {
  serve({.request_octets_in_all = 256 * 1024});
  std::vector<tcp::socket> refused;
  for (int i = 0; i < 4; ++i) {
    refused.push_back(connect());
    asio::write(refused.back(), asio::buffer("GET /" + std::string(84000, 'x')));
    std::array<char, 400> some{};
    ASSERT_GT(refused.back().read_some(asio::buffer(some)), 0U);
  }
  // They are all still there, and have until the end of their moment.
  EXPECT_EQ(call({"POST", url("/x"), "x/y", Bytes(6000, 1)})->status, 200U);
  EXPECT_EQ(call({"POST", url("/x"), "x/y", Bytes(60000, 1)})->status, 200U);
}

TEST_F(HttpTest, WhoIsSilentLongestMakesRoomForTheNext) {
  serve({.connections = 100, .connections_per_address = 3});
  std::vector<tcp::socket> open;
  for (int i = 0; i < 3; ++i) open.push_back(connect());
  // The listener admits in order: once the third has answered, all of them are in.
  const auto answers = [](tcp::socket& socket) {
    asio::write(socket, asio::buffer(std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n")));
    std::array<char, 400> some{};
    return socket.read_some(asio::buffer(some)) > 0;
  };
  EXPECT_TRUE(answers(open[2]));
  EXPECT_TRUE(answers(open[0]));  // so that the second is the one that is silent longest
  auto fourth = connect();
  EXPECT_TRUE(answers(fourth));
  EXPECT_EQ(rest(open[1]), "");
  EXPECT_TRUE(answers(open[0]));
  EXPECT_TRUE(answers(open[2]));
}

TEST_F(HttpTest, WhereAllAreAtWorkTheNextIsToldToComeAgain) {
  serve({.connections = 100, .connections_per_address = 1});
  auto busy = connect();
  asio::write(busy, asio::buffer(std::string("GET /later HTTP/1.1\r\nHost: a\r\n"
                                             "Connection: close\r\n\r\n")));
  asked.get_future().wait();
  const std::string said = say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(said, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(said, HasSubstr("Retry-After: 2\r\n"));
  later({200, "text/plain", Bytes{'x'}});
  later = nullptr;
  EXPECT_THAT(rest(busy), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpTest, AnAddressHasItsShareOfRequestsAndHearsOfIt) {
  serve({.requests_per_second = 1, .requests_burst = 3});
  const std::string one = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string said = say(one + one + one + one + one);
  EXPECT_THAT(said, HasSubstr("HTTP/1.1 429"));
  EXPECT_THAT(said, HasSubstr("Retry-After: 2\r\n"));
  EXPECT_THAT(said, HasSubstr("Connection: close\r\n"));
  std::size_t answers = 0;
  for (std::size_t at = 0; (at = said.find("HTTP/1.1 200", at)) != std::string::npos; ++at)
    ++answers;
  EXPECT_EQ(answers, 3U);
}

TEST_F(HttpTest, HalfRequestsTakeAwayNobodysRoomForAWholeOne) {
  constexpr std::size_t in_all = 64 * 1024;
  serve({.header_octets = 32 * 1024, .request_octets_in_all = in_all});
  std::vector<tcp::socket> halves;
  for (int i = 0; i < 8; ++i) {
    halves.push_back(connect());
    asio::write(halves.back(), asio::buffer("GET /" + std::string(20 * 1024, 'x')));
    // Whoever comes meanwhile is answered, whatever else has to go for him.
    const auto reply = call({"POST", url("/honest"), "x/y", Bytes(6000, 1)});
    ASSERT_TRUE(reply) << reply.error().detail;
    EXPECT_EQ(reply->status, 200U);
  }
  EXPECT_THAT(rest(halves.front()), StartsWith("HTTP/1.1 503")) << "the oldest goes first";
  asio::write(halves.back(), asio::buffer(std::string(" HTTP/1.1\r\nHost: a\r\n"
                                                      "Connection: close\r\n\r\n")));
  EXPECT_THAT(rest(halves.back()), StartsWith("HTTP/1.1 200")) << "the newest stays";
}

TEST_F(HttpTest, WhatIsAtWorkIsBoundedTogetherToo) {
  serve({.request_octets_in_all = 110 * 1024});
  auto busy = connect();
  asio::write(busy, asio::buffer("POST /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                                 "Content-Length: 60000\r\n\r\n" +
                                 std::string(60000, 'x')));
  asked.get_future().wait();
  const auto refused = call({"POST", url("/x"), "x/y", Bytes(60000, 1)});
  ASSERT_TRUE(refused) << refused.error().detail;
  EXPECT_EQ(refused->status, 503U);
  later({200, "text/plain", Bytes{'x'}});
  later = nullptr;
  EXPECT_THAT(rest(busy), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(call({"POST", url("/x"), "x/y", Bytes(60000, 1)})->status, 200U);
}

TEST_F(HttpTest, AHeaderOfAThousandFieldsIsTooLarge) {
  serve();
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 1000; ++i) head += "a" + std::to_string(i) + ":\r\n";
  EXPECT_THAT(say(head + "\r\n"), StartsWith("HTTP/1.1 431"));
}

TEST_F(HttpTest, WhoTakesNothingOfAnAnswerIsCutOffAndWhoIsSlowIsNot) {
  serve({.reply_seconds = 1});
  // Larger than what the kernel keeps for a socket whose peer reads nothing.
  auto large = std::make_shared<Bytes>(std::size_t{16} << 20, std::uint8_t{0x5A});
  const auto ask = [&](tcp::socket& socket) {
    asio::write(socket, asio::buffer(std::string("GET /later HTTP/1.0\r\n\r\n")));
    asked.get_future().wait();
    asked = std::promise<void>();
    later({200, "x/y", {}, large});
    later = nullptr;
  };
  auto deaf = connect();
  ask(deaf);
  auto slow = connect();
  ask(slow);
  // Taken over more than the second that each piece may take.
  std::size_t got = 0;
  std::vector<char> chunk(1 << 20);
  boost::system::error_code error;
  asio::steady_timer pause(raw);
  while (!error) {
    got += asio::read(slow, asio::buffer(chunk), error);
    pause.expires_after(std::chrono::milliseconds(100));
    pause.wait();
  }
  EXPECT_GT(got, large->size());
  EXPECT_LT(rest(deaf).size(), large->size());
}

TEST_F(HttpTest, TheRefusalReachesWhoIsStillSending) {
  serve({.body_octets = 1000});
  auto socket = connect();
  boost::system::error_code error;
  asio::write(socket,
              asio::buffer("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" +
                           std::string(3000000, 'x')),
              error);
  EXPECT_FALSE(error) << "a reset has overtaken the reply: " << error.message();
  EXPECT_THAT(rest(socket), StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpTest, WhatTheParserDoesNotCountIsBoundedToo) {
  serve({.header_octets = 2000, .body_octets = 2000, .request_seconds = 600});
  const std::string head = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_THAT(say(head + "1;" + std::string(100000, 'x')), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(say(head + "1\r\na\r\n0\r\nTrailer: " + std::string(100000, 'x')),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(say(head + "1;x=y\r\na\r\n0\r\nTrailer: short\r\n\r\n", true),
              HasSubstr("POST /x 1"));
}

/// While it lives no more files can be opened.
class NoMoreFiles {
 public:
  NoMoreFiles() {
    ::getrlimit(RLIMIT_NOFILE, &usual_);
    rlimit none = usual_;
    none.rlim_cur = 3;
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoMoreFiles() { ::setrlimit(RLIMIT_NOFILE, &usual_); }
  NoMoreFiles(const NoMoreFiles&) = delete;
  NoMoreFiles& operator=(const NoMoreFiles&) = delete;

 private:
  rlimit usual_{};
};

TEST_F(HttpTest, WithoutFileDescriptorsItWaitsQuietlyUntilThereAreSome) {
  serve();
  // How long the loop's thread has been at work so far.
  const auto used = [this] {
    std::promise<std::chrono::microseconds> answer;
    asio::post(loop, [this, &answer] {
      // UndefinedBehaviorSanitizer needs descriptors to look at a type that it has not seen yet,
      // such as a timer's queue.
      asio::steady_timer(loop, std::chrono::hours(1)).async_wait([](const auto&) {});
      rusage spent{};
      ::getrusage(RUSAGE_THREAD, &spent);
      const auto of = [](const timeval& t) {
        return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
      };
      answer.set_value(of(spent.ru_utime) + of(spent.ru_stime));
    });
    return answer.get_future().get();
  };
  tcp::socket socket(raw, tcp::v4());
  const auto before = used();
  {
    const NoMoreFiles none;
    socket.connect({asio::ip::make_address("127.0.0.1"), port});
    asio::steady_timer pause(raw, std::chrono::milliseconds(500));
    pause.wait();
  }
  EXPECT_LT(used() - before, std::chrono::milliseconds(100)) << "it spins on accept(2)";
  asio::write(socket, asio::buffer(std::string("GET /now HTTP/1.0\r\n\r\n")));
  EXPECT_THAT(rest(socket), HasSubstr("GET /now 0"));
}

}  // namespace
}  // namespace umbra::io
