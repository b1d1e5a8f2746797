#include "console/expiring.h"

#include <gtest/gtest.h>

#include "console/lab_test.h"

namespace umbra::console {
namespace {

const Expiring& of(const std::vector<Expiring>& all, const std::string& timer) {
  for (const auto& one : all) {
    if (one.timer == timer) return one;
  }
  ADD_FAILURE() << "no " << timer;
  return all.front();
}

TEST(Expiring, WhatIsBeingAskedForIsUnderWayAndTheCertificateAndItsCaBothAre) {
  client::Status spoke = lab::spoke();
  for (const bool asking : {false, true}) {
    spoke.asking = asking;
    const auto all = expiring({}, {spoke});
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(of(all, "ID(Root-CA)").facts.under_way, asking);
    EXPECT_EQ(of(all, "CA(Root-CA)").facts.under_way, asking);
  }
}

TEST(Expiring, NoAlertIsDueWhileARenewalHasJustBegunAndOneIsWhenItHasFailed) {
  client::Status spoke = lab::spoke();
  // RENEW has fired: it is not armed while the request is out.
  spoke.deadlines.clear();
  spoke.renew_at.reset();
  spoke.asking = true;
  EXPECT_FALSE(lifecycle::next_alert(of(expiring({}, {spoke}), "ID(Root-CA)").facts, std::nullopt));
  spoke.asking = false;
  EXPECT_TRUE(lifecycle::next_alert(of(expiring({}, {spoke}), "ID(Root-CA)").facts, std::nullopt));
}

TEST(Expiring, AnAlertComesBeforeWhatReplacesItOnlyWhereThatIsLate) {
  const client::Status spoke = lab::spoke();
  const auto all = expiring({}, {spoke});
  EXPECT_EQ(of(all, "ID(Root-CA)").facts.replaced_at, spoke.renew_at);
  EXPECT_EQ(of(all, "ID(Root-CA)").renewal, "Enabled");
}

}  // namespace
}  // namespace umbra::console
