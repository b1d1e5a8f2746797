#include "server/router.h"

#include <gtest/gtest.h>

namespace umbra::server {
namespace {

unsigned status_of(const std::string& method, const std::string& target) {
  unsigned status = 0;
  Router({}).handle({method, target, {}}, [&](HttpReply reply) { status = reply.status; });
  return status;
}

TEST(Router, RefusesOtherMethodsAndUnknownPaths) {
  EXPECT_EQ(status_of("DELETE", "/scep?operation=GetCACaps"), 405U);
  for (const char* path : {"/", "/index.html", "/scep/../etc/passwd", "/cgi-bin/pkiclient.exe/x",
                           "/crl/a/b.crl", "/crl/a"}) {
    EXPECT_EQ(status_of("GET", path), 404U) << path;
  }
}

}  // namespace
}  // namespace umbra::server
