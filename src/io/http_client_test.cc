#include "io/http_client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <future>
#include <thread>
#include <tuple>

namespace umbra::io {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

/// A server that speaks whatever it likes to its one client.
class RudeServer {
 public:
  explicit RudeServer(std::function<void(int)> speak)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
    thread_ = std::thread([this, speak = std::move(speak)] {
      const int client = ::accept(listener_, nullptr, nullptr);
      char asked[4096];
      if (::recv(client, asked, sizeof asked, 0) > 0) speak(client);
      ::close(client);
    });
  }
  ~RudeServer() {
    thread_.join();
    ::close(listener_);
  }
  RudeServer(const RudeServer&) = delete;
  RudeServer& operator=(const RudeServer&) = delete;
  int port = 0;

 private:
  int listener_;
  std::thread thread_;
};

/// False once the client has gone.
bool say(int client, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(client, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

Result<HttpReply> ask_by(CurlTransport& transport, int port, std::chrono::seconds patience = 30s,
                         const std::string& source = "", const std::string& vrf = "") {
  std::promise<Result<HttpReply>> promise;
  HttpCall call;
  call.url = "http://127.0.0.1:" + std::to_string(port) + "/scep?operation=GetCACert";
  call.patience = patience;
  call.source = source;
  call.vrf = vrf;
  transport.send(call, [&](Result<HttpReply> reply) { promise.set_value(std::move(reply)); });
  auto future = promise.get_future();
  EXPECT_EQ(future.wait_for(60s), std::future_status::ready);
  return future.get();
}

Result<HttpReply> ask(int port, std::chrono::seconds patience = 30s, const std::string& source = "",
                      const std::string& vrf = "") {
  CurlTransport transport;
  return ask_by(transport, port, patience, source, vrf);
}

TEST(HttpClient, ABodyOfTwoGibibytesIsGivenUpAtTheFirst) {
  std::atomic<std::size_t> sent = 0;
  RudeServer server([&](int client) {
    say(client, "HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n");
    const std::string block(65536, 'x');
    while (sent < (std::size_t{2} << 30) && say(client, block)) sent += block.size();
  });
  const auto reply = ask(server.port);
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().detail, HasSubstr("the reply is larger than 1 MiB"));
  EXPECT_LT(sent, std::size_t{64} << 20);
}

TEST(HttpClient, RetryAfterIsANumberOfSecondsOrADateByTheServersOwnClock) {
  const std::pair<const char*, std::optional<std::chrono::seconds>> cases[] = {
      {"Retry-After: 7", 7s},
      {"retry-after:  120", 120s},
      {"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", std::nullopt},
      {"Date: Fri, 31 Dec 1999 23:58:00 GMT\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT", 119s},
      {"Date: Sat, 01 Jan 2000 00:00:00 GMT\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT", 0s},
      {"Date: Fri, 31 Dec 1999 23:58:00 GMT\r\nRetry-After: at 25:99 o'clock", std::nullopt},
      {"Date: yesterday\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT", std::nullopt},
      {"Retry-After: -1", std::nullopt},
      {"Retry-After: 99999999999", std::nullopt},
      {"X-Else: 7", std::nullopt}};
  for (const auto& [line, wanted] : cases) {
    RudeServer server([&, header = line](int client) {
      say(client, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n" + std::string(header) + "\r\n\r\n");
    });
    const auto reply = ask(server.port);
    ASSERT_TRUE(reply) << reply.error().detail;
    EXPECT_EQ(reply->status, 503U);
    EXPECT_EQ(reply->retry_after, wanted) << line;
  }
}

TEST(HttpClient, ABodyWithoutEndOrLengthIsGivenUpToo) {
  RudeServer server([&](int client) {
    say(client, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string block = "10000\r\n" + std::string(65536, 'x') + "\r\n";
    while (say(client, block)) {
    }
  });
  const auto reply = ask(server.port);
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().detail, HasSubstr("the reply is larger than 1 MiB"));
}

TEST(HttpClient, HeadersWithoutEndAreGivenUpToo) {
  RudeServer server([&](int client) {
    say(client, "HTTP/1.1 200 OK\r\n");
    while (say(client, "X-And-Another: " + std::string(1000, 'x') + "\r\n")) {
    }
  });
  EXPECT_FALSE(ask(server.port));
}

TEST(HttpClient, OneOctetAtATimeIsGivenUpWhenItsTimeIsOver) {
  RudeServer server([&](int client) {
    say(client, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    while (say(client, "x")) std::this_thread::sleep_for(100ms);
  });
  const auto begun = std::chrono::steady_clock::now();
  const auto reply = ask(server.port, 1s);
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().detail, HasSubstr("Timeout was reached"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 8s) << "all hundred would take ten seconds";
}

TEST(HttpClient, HalfAnAnswerIsNone) {
  RudeServer server([&](int client) {
    say(client, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe first half");
  });
  const auto reply = ask(server.port);
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().detail, HasSubstr("http://127.0.0.1"));
  EXPECT_THAT(reply.error().detail, testing::Not(HasSubstr("operation")));
}

TEST(HttpClient, WhatIsNoHttpIsNoAnswer) {
  RudeServer server([&](int client) { say(client, "SSH-2.0-OpenSSH_9.2p1\r\n"); });
  EXPECT_FALSE(ask(server.port));
}

TEST(HttpClient, AnotherPlaceIsNotGoneTo) {
  RudeServer server([&](int client) {
    say(client, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
  });
  const auto reply = ask(server.port);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 302U);
  EXPECT_TRUE(reply->body.empty());
}

/// Tells where its client came from.
void tell_peer(int client) {
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  ASSERT_EQ(::getpeername(client, reinterpret_cast<sockaddr*>(&peer), &size), 0);
  char text[INET_ADDRSTRLEN];
  ASSERT_TRUE(::inet_ntop(AF_INET, &peer.sin_addr, text, sizeof text));
  say(client, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(std::strlen(text)) +
                  "\r\n\r\n" + text);
}

TEST(HttpClient, ComesFromTheAddressOrInterfaceItIsToComeFrom) {
  for (const auto& [source, vrf, seen] : {std::tuple{"127.0.0.9", "", "127.0.0.9"},
                                          {"lo", "", "127.0.0.1"},
                                          {"127.0.0.8", "lo", "127.0.0.8"}}) {
    RudeServer server(tell_peer);
    const auto reply = ask(server.port, 30s, source, vrf);
    ASSERT_TRUE(reply) << reply.error().detail;
    EXPECT_EQ(as_text(reply->body), seen);
  }
}

/// Answers on one connection as long as it is asked there, and says when that has ended.
void keep_answering(int client, std::promise<void>& ended) {
  char asked[4096];
  do {
    say(client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  } while (::recv(client, asked, sizeof asked, 0) > 0);
  ended.set_value();
}

TEST(HttpClient, AConnectionOfOneVrfIsNotUsedForAnother) {
  {
    // The same address and port as outside, and somebody else's there.
    std::promise<void> ended;
    RudeServer server([&](int client) { keep_answering(client, ended); });
    CurlTransport transport;
    ASSERT_TRUE(ask_by(transport, server.port));
    const auto within = ask_by(transport, server.port, 30s, "", "BLUE");
    ASSERT_FALSE(within) << "it took the connection outside of the VRF";
    EXPECT_THAT(within.error().detail, HasSubstr("VRF BLUE: No such device"));
  }
  std::promise<void> ended;
  RudeServer server([&](int client) { keep_answering(client, ended); });
  CurlTransport transport;
  ASSERT_TRUE(ask_by(transport, server.port, 30s, "", "lo"));
  EXPECT_EQ(ended.get_future().wait_for(20s), std::future_status::ready)
      << "it is kept for whoever asks next";
}

TEST(HttpClient, SaysWhichInterfaceIsNotThere) {
  for (const auto& [source, vrf, why] :
       {std::tuple{"Loopback0", "",
                   "source interface Loopback0: this host has no such interface or address"},
        {"192.0.2.77", "",
         "source interface 192.0.2.77: this host has no such interface or address"},
        {"", "BLUE", "VRF BLUE: No such device"}}) {
    const auto reply = ask(1, 30s, source, vrf);
    ASSERT_FALSE(reply);
    EXPECT_THAT(reply.error().detail, HasSubstr(why));
  }
}

}  // namespace
}  // namespace umbra::io
