#include "server/uplink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace umbra::server {
namespace {

using ::testing::ElementsAre;

/// A CA's servers: what each says, and who was asked.
class Servers final : public HttpTransport {
 public:
  void send(HttpCall call, HttpAnswered answered) override {
    asked.push_back(call.url);
    const auto found = says.find(call.url);
    answered(found == says.end() ? Result<HttpReply>(fail(Errc::unreachable, "refused"))
                                 : Result<HttpReply>(HttpReply{found->second, "", {}}));
  }
  std::map<std::string, unsigned> says;
  std::vector<std::string> asked;
};

class UplinkTest : public testing::Test {
 protected:
  /// The HTTP status that came of it; 0 for nobody's.
  unsigned ask() {
    servers.asked.clear();
    std::optional<unsigned> status;
    const auto make = [](const std::string& url) {
      HttpCall call;
      call.url = url;
      return call;
    };
    EXPECT_TRUE(uplink.send(
        make, [&](const Result<HttpReply>& reply) { status = reply ? reply->status : 0; }));
    EXPECT_TRUE(status) << "answered once, whatever happens";
    return status.value_or(1);
  }

  Servers servers;
  Uplink uplink{{.url = "http://a", .more_urls = {"http://b/x", "http://c"}},
                servers,
                [](const std::function<void()>& task) { task(); }};
  const std::string a = "http://a/cgi-bin/pkiclient.exe";
  const std::string b = "http://b/x/pkiclient.exe";
  const std::string c = "http://c/cgi-bin/pkiclient.exe";
};

TEST_F(UplinkTest, TheServerThatAnsweredLastIsAskedFirstAndTheOthersInTurn) {
  servers.says[c] = 200;
  EXPECT_EQ(ask(), 200U);
  EXPECT_THAT(servers.asked, ElementsAre(a, b, c));
  EXPECT_EQ(ask(), 200U);
  EXPECT_THAT(servers.asked, ElementsAre(c));
  servers.says = {{a, 200}, {c, 500}};
  EXPECT_EQ(ask(), 200U);
  EXPECT_THAT(servers.asked, ElementsAre(c, a)) << "a status that is not 200 is followed too";
}

TEST_F(UplinkTest, APathThatIsNotThereIsTriedAsGivenBeforeTheNextServer) {
  servers.says = {{b, 404}, {"http://b/x", 200}};
  EXPECT_EQ(ask(), 200U);
  EXPECT_THAT(servers.asked, ElementsAre(a, b, "http://b/x"));
  EXPECT_EQ(ask(), 200U);
  EXPECT_THAT(servers.asked, ElementsAre("http://b/x"));
}

TEST_F(UplinkTest, WhatAServerSaysCountsMoreThanSilence) {
  EXPECT_EQ(ask(), 0U);
  servers.says = {{a, 503}, {b, 404}, {"http://b/x", 404}};
  EXPECT_EQ(ask(), 503U);
  EXPECT_THAT(servers.asked, ElementsAre(a, b, "http://b/x", c));
}

}  // namespace
}  // namespace umbra::server
