#include "server/lab_test.h"
#include "server/router.h"

namespace umbra::server {
namespace {

using namespace lab;

class Kept : public ServerTest {
 protected:
  std::optional<HttpReply> at_hand(const std::string& target, const std::string& from_whom = {},
                                   const std::string& method = "GET") {
    return Router({server.get()}).at_hand({method, target, {}, from_whom});
  }
  /// What is at hand is what `handle` says.
  void expect_same(const std::string& target, const std::string& from_whom = {}) {
    const auto long_way = http({"GET", target, {}, from_whom});
    const auto kept = at_hand(target, from_whom);
    ASSERT_TRUE(kept) << target;
    EXPECT_EQ(kept->status, 200U);
    EXPECT_EQ(kept->content_type, long_way.content_type);
    EXPECT_EQ(kept->content(), long_way.content()) << target;
  }
};

TEST_F(Kept, IsWhatWasAskedForBeforeAndNothingElse) {
  start();
  EXPECT_FALSE(at_hand("/scep?operation=GetCACert"));
  EXPECT_FALSE(at_hand("/scep?operation=GetCRL"));
  for (const char* target :
       {"/scep?operation=GetCACert", "/cgi-bin/pkiclient.exe?operation=GetCACert&message=ROOTCA",
        "/scep/ROOTCA?operation=GetCACaps", "/scep?operation=GetCRL", "/crl/ROOTCA.crl"})
    expect_same(target);
  EXPECT_TRUE(at_hand("/scep?operation=GetCACert", "192.0.2.1", "HEAD"));
  for (const char* target :
       {"/scep?operation=GetCACert&ra=01", "/scep?operation=PKIOperation&message=AAAA",
        "/scep?operation=Get%43ACert", "/scep?message=x&operation=GetCACert",
        "/scep?operation=", "/scep?", "/scep", "/crl/OTHER.crl", "/crl/ROOTCA_00000.crl",
        "/crl/ROOTCA.crl?x", "/scep/OTHER?operation=GetCACert", "/other?operation=GetCACert"})
    EXPECT_FALSE(at_hand(target)) << target;
  EXPECT_FALSE(at_hand("/scep?operation=GetCACert", {}, "POST"));
  EXPECT_FALSE(at_hand("/scep?operation=GetCACert", {}, "DELETE"));
}

TEST_F(Kept, AmongSeveralServersTheMessageDecidesAndTheNameIsEnough) {
  start();
  get("operation=GetCACert");
  const Router two({server.get(), server.get()});
  EXPECT_FALSE(two.at_hand({"GET", "/scep?operation=GetCACert", {}}));
  EXPECT_TRUE(two.at_hand({"GET", "/scep/ROOTCA?operation=GetCACert", {}}));
  EXPECT_FALSE(Router({}).at_hand({"GET", "/scep?operation=GetCACert", {}}));
}

TEST_F(Kept, TheNextCaIsSignedOnceAMinuteAndWhoeverAsksIsNoted) {
  start();
  const std::string next = "/scep?operation=GetNextCACert";
  EXPECT_FALSE(at_hand(next, "192.0.2.7"));
  go_to(day(650));
  const auto signed_once = http({"GET", next, {}, "192.0.2.7"}).body;
  expect_same(next, "192.0.2.7");
  EXPECT_FALSE(at_hand(next, "192.0.2.8")) << "is noted in the database first";
  EXPECT_EQ(http({"GET", next, {}, "192.0.2.8"}).body, signed_once);
  EXPECT_TRUE(at_hand(next, "192.0.2.8"));
  static_cast<void>(store->commit(store::Batch{}));
  EXPECT_EQ(server->overlap()->fetches.size(), 2U);

  clock.set(day(650) + std::chrono::seconds{59});
  EXPECT_TRUE(at_hand(next, "192.0.2.7"));
  clock.set(day(650) + std::chrono::seconds{60});
  EXPECT_FALSE(at_hand(next, "192.0.2.7"));
  EXPECT_NE(http({"GET", next, {}, "192.0.2.7"}).body, signed_once);
  clock.set(day(650));  // a clock that was ahead
  EXPECT_FALSE(at_hand(next, "192.0.2.7"));
}

TEST_F(Kept, EndsWithTheCaItIsOf) {
  start();
  go_to(day(650));
  const std::string ca_cert = "/scep?operation=GetCACert", crl = "/crl/ROOTCA.crl",
                    next = "/scep?operation=GetNextCACert";
  for (const auto& target : {ca_cert, crl, next}) http({"GET", target, {}, "192.0.2.7"});
  const Bytes old_ca = at_hand(ca_cert)->content(), old_crl = at_hand(crl)->content();
  go_to(day(730));
  EXPECT_FALSE(at_hand(ca_cert));
  EXPECT_FALSE(at_hand(next, "192.0.2.7"));
  EXPECT_FALSE(at_hand(crl));
  expect_same(ca_cert);
  expect_same(crl);
  EXPECT_NE(at_hand(ca_cert)->content(), old_ca);
  EXPECT_NE(at_hand(crl)->content(), old_crl);
  ASSERT_TRUE(server->stop());
  EXPECT_FALSE(at_hand(ca_cert)) << "a stopped server has nothing for anybody";
  EXPECT_FALSE(at_hand("/scep?operation=GetCACaps"));
}

TEST_F(Kept, ARevocationIsInTheNextCrl) {
  start();
  const auto certificate = granted(enroll(Device("CN=spoke")));
  const std::string crl = "/crl/ROOTCA.crl";
  expect_same(crl);
  const Bytes before = at_hand(crl)->content();
  ASSERT_TRUE(server->revoke(certificate.serial(), x509::RevocationReason::key_compromise));
  const auto kept = at_hand(crl);
  EXPECT_TRUE(!kept || kept->content() != before);
  expect_same(crl);
}

}  // namespace
}  // namespace umbra::server
