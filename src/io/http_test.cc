#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

#include "io/http_client.h"
#include "io/http_server.h"

namespace umbra::io {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A real server on loopback; its handler tells what it was asked.
class HttpTest : public testing::Test {
 protected:
  void serve(HttpLimits limits = {}) {
    auto listening = HttpServer::listen(
        loop, "127.0.0.1", 0, limits, [this](const auto& asked_for, HttpDone done) {
          const HttpRequest& request = *asked_for;
          if (request.target == "/shared") return done({200, "text/plain", {}, shared});
          if (request.target == "/unhurried") {
            HttpReply reply{200, "text/plain", {}};
            reply.unhurried = true;
            return done(std::move(reply));
          }
          if (request.target == "/busy") {
            HttpReply reply{503, "text/plain", {}};
            reply.retry_after = std::chrono::seconds{17};
            return done(std::move(reply));
          }
          if (request.target == "/later") {
            later = std::move(done);
            asked.set_value();
            return;
          }
          const std::string said =
              request.method + " " + request.target + " " + std::to_string(request.body.size());
          done(
              {request.target == "/missing" ? 404U : 200U, "text/plain", to_bytes(as_bytes(said))});
        });
    ASSERT_TRUE(listening) << listening.error().detail;
    server = *std::move(listening);
    port = server->port();
    thread = std::thread([this] { loop.run(); });
  }
  ~HttpTest() override {
    client.stop();
    if (server) server->stop();
    workers.join();
    loop.stop();
    if (thread.joinable()) thread.join();
  }

  [[nodiscard]] std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port) + path;
  }
  Result<HttpReply> call(HttpCall what) {
    std::promise<Result<HttpReply>> promise;
    auto future = promise.get_future();
    client.send(std::move(what),
                [&](Result<HttpReply> reply) { promise.set_value(std::move(reply)); });
    return future.get();
  }
  [[nodiscard]] tcp::socket connect() const {
    tcp::socket socket(raw);
    socket.connect({asio::ip::make_address("127.0.0.1"), port});
    return socket;
  }
  /// Everything the server says until it closes the connection.
  static std::string rest(tcp::socket& socket) {
    std::string all;
    std::array<char, 4096> chunk{};
    boost::system::error_code error;
    while (!error) {
      const std::size_t got = socket.read_some(asio::buffer(chunk), error);
      all.append(chunk.data(), got);
    }
    return all;
  }
  [[nodiscard]] std::string say(const std::string& text, bool then_shut = false) const {
    auto socket = connect();
    boost::system::error_code error;
    asio::write(socket, asio::buffer(text), error);
    if (then_shut) socket.shutdown(tcp::socket::shutdown_send, error);
    return rest(socket);
  }

  asio::io_context loop{1};
  asio::thread_pool workers{2};
  mutable asio::io_context raw;
  std::unique_ptr<HttpServer> server;
  std::uint16_t port = 0;
  std::thread thread;
  CurlTransport client;
  HttpDone later;
  const std::shared_ptr<const Bytes> shared = std::make_shared<Bytes>(1 << 18, std::uint8_t{0x5A});
  std::promise<void> asked;
};

TEST_F(HttpTest, WhatIsSharedIsSentWholeAndLetGoOf) {
  serve();
  for (int i = 0; i < 3; ++i) {
    const auto reply = call({"GET", url("/shared"), "", {}});
    ASSERT_TRUE(reply) << reply.error().detail;
    EXPECT_EQ(reply->body, *shared);
  }
  auto socket = connect();
  asio::write(socket, asio::buffer(std::string("HEAD /shared HTTP/1.0\r\n\r\n")));
  const std::string head = rest(socket);
  EXPECT_THAT(head, HasSubstr("Content-Length: 262144\r\n"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

TEST_F(HttpTest, RetryAfterGoesOutWhereThereIsOne) {
  serve();
  const auto reply = call({"GET", url("/busy"), "", {}});
  ASSERT_TRUE(reply) << reply.error().detail;
  EXPECT_EQ(reply->status, 503U);
  EXPECT_EQ(reply->retry_after, std::chrono::seconds{17});
  EXPECT_FALSE(call({"GET", url("/missing"), "", {}})->retry_after);
}

TEST_F(HttpTest, GetAndPostArriveAsTheyWereSent) {
  serve();
  const auto got =
      call({.method = "GET", .url = url("/scep?a=%2B+/"), .content_type = "", .body = {}});
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(got->status, 200U);
  EXPECT_EQ(got->content_type, "text/plain");
  EXPECT_EQ(as_text(got->body), "GET /scep?a=%2B+/ 0");
  const auto posted =
      call({.method = "POST", .url = url("/scep"), .content_type = "x/y", .body = Bytes(50000, 7)});
  ASSERT_TRUE(posted);
  EXPECT_EQ(as_text(posted->body), "POST /scep 50000");
}

TEST_F(HttpTest, AnAnswerOfAnyStatusIsAnAnswer) {
  serve();
  const auto reply =
      call({.method = "GET", .url = url("/missing"), .content_type = "", .body = {}});
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 404U);
}

TEST_F(HttpTest, NobodyThereIsAnErrorThatNamesTheUrlWithoutItsQuery) {
  serve();
  server->stop();
  tcp::acceptor taken(raw, {asio::ip::make_address("127.0.0.1"), 0});
  const auto nobody = taken.local_endpoint().port();
  taken.close();
  const auto reply =
      call({.method = "GET",
            .url = "http://127.0.0.1:" + std::to_string(nobody) + "/scep?message=SECRET",
            .content_type = "",
            .body = {}});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Errc::unreachable);
  EXPECT_THAT(reply.error().detail, HasSubstr("/scep"));
  EXPECT_THAT(reply.error().detail, Not(HasSubstr("SECRET")));
}

TEST_F(HttpTest, AFileIsNoEnrollmentServer) {
  EXPECT_FALSE(
      call({.method = "GET", .url = "file:///etc/passwd", .content_type = "", .body = {}}));
}

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

TEST_F(HttpTest, AConnectionIsKeptForTheNextRequestAndClosedWhenAsked) {
  serve();
  const std::string said =
      say("GET /one HTTP/1.1\r\nHost: a\r\n\r\n"
          "GET /two HTTP/1.1\r\nHost: a\r\n\r\n"
          "GET /three HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
          "GET /four HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_LT(said.find("GET /one 0"), said.find("GET /two 0"));
  EXPECT_LT(said.find("GET /two 0"), said.find("GET /three 0"));
  EXPECT_THAT(said, Not(HasSubstr("/four")));
  EXPECT_THAT(say("GET /old HTTP/1.0\r\n\r\n"), HasSubstr("GET /old 0"));
}

TEST_F(HttpTest, AHeaderMayComeInAnyTwoPieces) {
  serve();
  const std::string request = "GET /cut HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  for (std::size_t cut = 1; cut < request.size(); ++cut) {
    auto socket = connect();
    socket.set_option(tcp::no_delay(true));
    // What is answered first has made the server read what came with it.
    asio::write(socket, asio::buffer("GET /first HTTP/1.1\r\n\r\n" + request.substr(0, cut)));
    std::array<char, 400> some{};
    ASSERT_GT(socket.read_some(asio::buffer(some)), 0U);
    asio::write(socket, asio::buffer(request.substr(cut)));
    EXPECT_THAT(rest(socket), HasSubstr("GET /cut 0")) << cut;
  }
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

TEST_F(HttpTest, AnEmptyLineBeforeARequestIsPassedOver) {
  serve();
  const std::string said =
      say("\r\nPOST /x HTTP/1.1\r\nContent-Length: 1\r\n\r\nx\r\n"
          "GET http://a.example/y?z HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(said, HasSubstr("POST /x 1"));
  EXPECT_THAT(said, HasSubstr("GET /y?z 0")) << "and what a proxy is asked is asked of us";
  std::string empty;
  for (int i = 0; i < 200; ++i) empty += "\r\n";
  EXPECT_THAT(say(empty), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(say("GET /x HT" + std::string("TP/1.1\n\n")), StartsWith("HTTP/1.1 400"));
}

TEST_F(HttpTest, AnErrorsAnswerHasTheHeadOfItsOwnRequest) {
  serve();
  const std::string said = say("HEAD /x HTTP/1.1\r\n\r\n\x16\x03\x01\r\n\r\n");
  EXPECT_THAT(said, testing::EndsWith("not an HTTP request\n"));
  EXPECT_THAT(say("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\x16\r\n\r\n"),
              HasSubstr("HTTP/1.1 400"));
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

TEST_F(HttpTest, HeadHasALengthAndNoBody) {
  serve();
  const std::string said = say("HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(said, HasSubstr("Content-Length: 9"));
  EXPECT_THAT(said, testing::EndsWith("\r\n\r\n"));
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

TEST_F(HttpTest, ManyAtOnceAreAllAnswered) {
  serve();
  constexpr int count = 300;
  std::atomic<int> right = 0;
  std::promise<void> all;
  std::atomic<int> left = count;
  for (int i = 0; i < count; ++i) {
    client.send({.method = "POST",
                 .url = url("/" + std::to_string(i)),
                 .content_type = "x/y",
                 .body = Bytes(static_cast<std::size_t>(i), 1)},
                [&, i](const Result<HttpReply>& reply) {
                  const std::string n = std::to_string(i);
                  if (reply && as_text(reply->body) == "POST /" + n + " " + n) ++right;
                  if (--left == 0) all.set_value();
                });
  }
  all.get_future().wait();
  EXPECT_EQ(right, count);
}

TEST_F(HttpTest, AnAnswerMayComeLaterAndFromAnotherThread) {
  serve();
  auto reply = std::async(std::launch::async, [this] {
    return call({.method = "GET", .url = url("/later"), .content_type = "", .body = {}});
  });
  asked.get_future().wait();
  std::thread([done = std::move(later)] { done({200, "text/plain", Bytes{'x'}}); }).join();
  ASSERT_TRUE(reply.get());
}

TEST_F(HttpTest, AnUnhurriedAnswerSaysNothingByItsTime) {
  serve();
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(call({"GET", url("/unhurried"), "", {}})->status, 200U);
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(50));
}

TEST_F(HttpTest, StoppingTheClientEndsWhatIsUnderWay) {
  serve();
  auto reply = std::async(std::launch::async, [this] {
    return call({.method = "GET", .url = url("/later"), .content_type = "", .body = {}});
  });
  asked.get_future().wait();
  client.stop();
  EXPECT_EQ(reply.get().error().code, Errc::unreachable);
  later = nullptr;
  EXPECT_FALSE(call({.method = "GET", .url = url("/"), .content_type = "", .body = {}}));
}

TEST_F(HttpTest, APeerThatHasGoneWhileItsAnswerWasMadeHarmsNobody) {
  serve();
  {
    auto socket = connect();
    asio::write(socket, asio::buffer(std::string("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")));
    asked.get_future().wait();
    socket.set_option(asio::socket_base::linger(true, 0));
  }
  later({200, "text/plain", Bytes(500000, 'x')});
  later = nullptr;
  EXPECT_TRUE(call({.method = "GET", .url = url("/"), .content_type = "", .body = {}}));
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

TEST_F(HttpTest, WhoAsksWhetherToSendABodyIsTold) {
  serve({.body_octets = 1000});
  const auto head = [](int length) {
    return "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n"
           "Content-Length: " +
           std::to_string(length) + "\r\n\r\n";
  };
  auto socket = connect();
  asio::write(socket, asio::buffer(head(3)));
  std::string line(25, '\0');
  asio::read(socket, asio::buffer(line));
  EXPECT_EQ(line, "HTTP/1.1 100 Continue\r\n\r\n");
  asio::write(socket, asio::buffer(std::string("abc")));
  EXPECT_THAT(rest(socket), HasSubstr("POST /x 3"));
  EXPECT_THAT(say(head(1001)), StartsWith("HTTP/1.1 413")) << "before a byte of it is sent";
}

TEST_F(HttpTest, AStoppedServerAnswersWhatItHasTakenAndNoMore) {
  serve();
  auto busy = connect();
  asio::write(busy, asio::buffer(std::string("GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
                                             "GET /next HTTP/1.1\r\nHost: a\r\n\r\n")));
  asked.get_future().wait();
  auto idle = connect();
  asio::write(idle, asio::buffer(std::string("GET /one HTTP/1.1\r\nHost: a\r\n\r\n")));
  std::array<char, 400> some{};
  ASSERT_GT(idle.read_some(asio::buffer(some)), 0U);

  server.reset();  // the sessions live on, and need nothing that was the server's own
  later({200, "text/plain", Bytes{'x'}});
  later = nullptr;
  const std::string said = rest(busy);
  EXPECT_THAT(said, HasSubstr("Connection: close"));
  EXPECT_THAT(said, Not(HasSubstr("/next")));
  boost::system::error_code error;
  asio::write(idle, asio::buffer(std::string("GET /two HTTP/1.1\r\nHost: a\r\n\r\n")), error);
  // It had begun to wait for the next request when the server stopped, or had not yet.
  EXPECT_THAT(rest(idle), AnyOf("", HasSubstr("Connection: close")));

  tcp::socket late(raw);
  late.connect({asio::ip::make_address("127.0.0.1"), port}, error);
  EXPECT_TRUE(error || rest(late).empty());
}

TEST_F(HttpTest, APeerThatSendsNoMoreStillGetsItsAnswer) {
  serve();
  EXPECT_THAT(say("GET /half-open HTTP/1.1\r\nHost: a\r\n\r\n", true),
              HasSubstr("GET /half-open 0"));
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

TEST_F(HttpTest, APortThatIsTakenIsNamedWithWhatToDo) {
  serve();
  const auto second = HttpServer::listen(loop, "127.0.0.1", port, {}, [](const auto&, HttpDone) {});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().detail, HasSubstr(std::to_string(port)));
  EXPECT_THAT(second.error().detail, HasSubstr("ip http port"));
  EXPECT_FALSE(HttpServer::listen(loop, "localhost.", 0, {}, [](const auto&, HttpDone) {}));
}

}  // namespace
}  // namespace umbra::io
