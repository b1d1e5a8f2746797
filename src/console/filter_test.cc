#include "console/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace umbra::console {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view screen =
    "hostname hub\ncrypto pki server ROOTCA\n grant auto\n database level complete\n!\n"
    "crypto pki trustpoint SPOKE\n enrollment url http://10.1.1.1:80\n  deeper\n rsakeypair "
    "S\nend\n";

std::string through(std::string_view filter) {
  const auto made = Filter::parse(filter);
  return made ? made->apply(screen) : made.error().detail;
}

TEST(Filter, IncludesExcludesBeginsCounts) {
  EXPECT_EQ(through("include ^crypto pki (server|trustpoint) "),
            "crypto pki server ROOTCA\ncrypto pki trustpoint SPOKE\n");
  EXPECT_EQ(through("exclude pki|url|[gdh]|rsa|!"), "");
  EXPECT_EQ(through("exclude e|a|o"), "!\n");
  EXPECT_EQ(through("begin ^ rsa"), " rsakeypair S\nend\n");
  EXPECT_EQ(through("count ^ "), "Number of lines which match regexp = 5\n");
  EXPECT_EQ(through("include CRYPTO"), "") << "case counts, as on IOS";
}

TEST(Filter, ASectionIsALineAndWhatIsIndentedBelowIt) {
  EXPECT_EQ(through("section server"),
            "crypto pki server ROOTCA\n grant auto\n database level complete\n");
  EXPECT_EQ(through("section url"), " enrollment url http://10.1.1.1:80\n  deeper\n");
  EXPECT_EQ(through("section rsa"), " rsakeypair S\n");
}

TEST(Filter, MayBeAbbreviated) {
  for (const char* filter : {"i hostname", "inc hostname", "s hostname", "INCLUDE hostname"})
    EXPECT_EQ(through(filter), "hostname hub\n") << filter;
  EXPECT_EQ(through("c hub"), "Number of lines which match regexp = 1\n");
}

TEST(Filter, WhatIsWrongIsSaid) {
  EXPECT_EQ(Filter::parse("redirect x").error().code, Errc::not_found);
  EXPECT_EQ(Filter::parse("").error().code, Errc::not_found);
  EXPECT_EQ(through("include"), "% Incomplete command.\n");
  EXPECT_THAT(through("include (a"), HasSubstr("regular expression: missing )"));
  EXPECT_THAT(through("include (((a{999}){999}){999})"), HasSubstr("regular expression"));
}

TEST(Filter, APatternMadeToExplodeDoesNot) {
  const std::string line(20000, 'a');
  EXPECT_EQ(Filter::parse("count (a*)*(a|aa)+$b")->apply(line + "\n"),
            "Number of lines which match regexp = 0\n");
}

}  // namespace
}  // namespace umbra::console
