#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

#include "io/http_lab_test.h"

namespace umbra::io {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

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

TEST_F(HttpTest, HeadHasALengthAndNoBody) {
  serve();
  const std::string said = say("HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(said, HasSubstr("Content-Length: 9"));
  EXPECT_THAT(said, testing::EndsWith("\r\n\r\n"));
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
