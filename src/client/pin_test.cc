#include <gmock/gmock.h>

#include "client/lab_test.h"
#include "client/lineage.h"

namespace umbra::client {
namespace {

using std::chrono::minutes;
using testing::HasSubstr;
using x509::Digest;

/// A fingerprint that is configured when there is a CA already.
class PinTest : public Lab {
 protected:
  void enrolled() {
    start();
    authenticate();
    ASSERT_TRUE(status().identity);
  }
  void pin(const std::string& fingerprint) {
    spoke.fingerprint = fingerprint;
    trustpoint->reconfigure(spoke, "spoke.lab", [] {});
    settle();
  }
  [[nodiscard]] static std::string of(const x509::Certificate& certificate,
                                      Digest digest = Digest::sha256) {
    return to_hex(certificate.fingerprint(digest));
  }
  /// As of a version that kept no lineages.
  void forget_lineage() {
    auto stored = row();
    ASSERT_THAT(stored.held_since, HasSubstr("lineage "));
    for (std::size_t at; (at = stored.held_since.find("lineage ")) != std::string::npos;)
      stored.held_since.erase(at, stored.held_since.find('\n', at) + 1 - at);
    ASSERT_TRUE(store->commit(store::Batch{store::PutTrustpoint{stored}}));
    start_spoke();
  }
  const std::string another = std::string(64, 'A');
  const std::string not_followed =
      "%PKI-5-FINGERPRINT: The fingerprint configured for trustpoint Root-CA is not that of the CA";
  const std::string warning =
      "%PKI-4-FINGERPRINT: The fingerprint configured for trustpoint "
      "Root-CA is another CA's than the one it has";
};

TEST_F(PinTest, AContradictionIsNamedOnceAndNothingIsAskedOfTheCaThatIsHeld) {
  enrolled();
  const auto before = sent.size();
  pin(another);
  EXPECT_TRUE(status().contradicts_pin);
  EXPECT_EQ(log.count(warning), 1U);
  EXPECT_TRUE(trustpoint->deadlines().empty()) << armed();
  run_until(day(300));
  run_due();
  EXPECT_EQ(sent.size(), before) << "not even the renewal";
  EXPECT_EQ(log.count(warning), 1U);
  EXPECT_EQ(trustpoint->enroll().error().code, Errc::conflict);
  EXPECT_THAT(trustpoint->enroll().error().detail, HasSubstr("crypto pki authenticate Root-CA"));
  std::vector<Errc> refused;
  const auto keep = [&](const auto& result) { refused.push_back(result.error().code); };
  trustpoint->request_by_hand(keep);
  trustpoint->request_crl(keep);
  trustpoint->validate(keep);
  settle();
  EXPECT_EQ(refused, (std::vector<Errc>(3, Errc::conflict)));
  EXPECT_EQ(sent.size(), before);
  // What it has, it has: programs still find it after a start.
  outlet.published.clear();
  start_spoke();
  EXPECT_TRUE(outlet.published.contains("/etc/spoke"));
  EXPECT_TRUE(status().contradicts_pin);
  EXPECT_EQ(log.count(warning), 2U) << "and it is said again";
  EXPECT_EQ(sent.size(), before);
  pin(std::string(64, 'B'));
  EXPECT_EQ(log.count(warning), 3U) << "as after a change";
}

TEST_F(PinTest, ItGoesOnWhenTheFingerprintIsCorrectedOrRemoved) {
  enrolled();
  pin(another);
  run_until(day(293));
  const auto before = *status().identity;
  pin("");
  EXPECT_FALSE(status().contradicts_pin);
  EXPECT_FALSE(*status().identity == before) << "RENEW was due";
  EXPECT_EQ(log.count("%UMBRA-5-FINGERPRINT: Trustpoint Root-CA"), 1U);
  pin(another);
  EXPECT_TRUE(status().contradicts_pin);
  for (const auto digest : {Digest::md5, Digest::sha1, Digest::sha256}) {
    pin(another);
    pin(of(*status().ca, digest));
    EXPECT_FALSE(status().contradicts_pin);
  }
  EXPECT_NE(armed(), "");
}

TEST_F(PinTest, AnAnswerThatIsOnItsWayIsNotInstalledAndIsAskedForAgain) {
  enrolled();
  const auto before = *status().identity;
  hold_answers = true;
  run_until(day(292));
  ASSERT_EQ(held.size(), 1U);
  pin(another);
  hold_answers = false;
  for (const auto& answer : std::exchange(held, {})) answer();
  settle();
  EXPECT_EQ(*status().identity, before);
  const auto calls = sent.size();
  pin(of(*status().ca));
  EXPECT_EQ(sent.size(), calls + 1) << "the same request again";
  EXPECT_FALSE(*status().identity == before);
}

TEST_F(PinTest, AuthenticatingAnewEndsItWithTheCaOfTheFingerprint) {
  enrolled();
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  const auto name = *x509::Name::from_ios("CN=Another");
  const auto other = *x509::sign_certificate({.serial = x509::Serial(7),
                                              .issuer = name,
                                              .subject = name,
                                              .not_before = day(0),
                                              .not_after = day(1000),
                                              .spki = to_bytes(key.public_key().spki()),
                                              .extensions = {x509::basic_constraints_ca()}},
                                             key, Digest::sha256);
  pin(of(other));
  ASSERT_TRUE(status().contradicts_pin);
  std::optional<Errc> refused;
  trustpoint->fetch_ca([&](const auto& got) { refused = got.error().code; });
  settle();
  EXPECT_EQ(refused, Errc::crypto) << "the old one still answers there";
  EXPECT_TRUE(status().contradicts_pin);
  elsewhere = [&](const HttpCall& call) -> std::optional<Result<HttpReply>> {
    if (call.url.find("GetCACert") == std::string::npos) return std::nullopt;
    return HttpReply{200, "application/x-x509-ca-cert", to_bytes(other.der()), {}};
  };
  authenticate();
  EXPECT_EQ(*status().ca, other);
  EXPECT_FALSE(status().contradicts_pin);
  EXPECT_FALSE(status().identity) << "the old CA's";
}

TEST_F(PinTest, TheFirstCasFingerprintStaysGoodThroughRolloversAndRestarts) {
  ca.auto_rollover = Days{73};
  start_server();
  const auto first = *server->status().ca;
  spoke.fingerprint = of(first, Digest::sha1);
  start_spoke();
  run_until(day(731));
  const auto second = *status().ca;
  ASSERT_FALSE(second == first);
  EXPECT_FALSE(status().contradicts_pin);
  start_spoke();
  EXPECT_FALSE(status().contradicts_pin);
  run_until(day(1470));
  const auto third = *status().ca;
  ASSERT_FALSE(third == second);
  start_spoke();
  EXPECT_FALSE(status().contradicts_pin);
  EXPECT_EQ(log.count("%PKI-4-FINGERPRINT"), 0U);
  EXPECT_GT(status().identity->not_before(), day(1400)) << "it is renewed";
  for (const auto& generation : {first, second, third}) {
    for (const auto digest : {Digest::md5, Digest::sha1, Digest::sha256}) {
      pin(of(generation, digest));
      EXPECT_FALSE(status().contradicts_pin);
    }
  }
  pin(another);
  EXPECT_TRUE(status().contradicts_pin);
  pin(of(first));
  // Authenticating the CA that it is takes nothing away.
  pin("");
  authenticate();
  pin(of(first));
  EXPECT_FALSE(status().contradicts_pin);
}

TEST_F(PinTest, TheNextCasFingerprintIsNoContradictionOnceThatIsKnown) {
  enrolled();
  run_until(day(729));
  ASSERT_TRUE(status().rollover_ca);
  const auto next = *status().rollover_ca;
  pin(of(next));
  EXPECT_FALSE(status().contradicts_pin);
  run_until(day(731));
  EXPECT_EQ(*status().ca, next);
  EXPECT_FALSE(status().contradicts_pin);
}

TEST_F(PinTest, TheSwitchWaitsUntilTheFingerprintIsCorrected) {
  enrolled();
  run_until(day(729));
  ASSERT_TRUE(status().rollover_identity);
  const auto next = *status().rollover_ca;
  pin(another);
  run_until(day(731));
  run_due();
  EXPECT_FALSE(*status().ca == next) << "nothing of it is installed";
  pin("");
  EXPECT_EQ(*status().ca, next);
}

TEST_F(PinTest, WhereItIsNotKnownHowTheCaCameNothingIsAContradiction) {
  enrolled();
  forget_lineage();
  pin(another);
  EXPECT_FALSE(status().contradicts_pin);
  EXPECT_EQ(log.count("%PKI-4-FINGERPRINT"), 0U);
  EXPECT_EQ(log.count(not_followed), 1U);
  run_until(day(731));
  EXPECT_FALSE(status().contradicts_pin) << "a rollover does not make it known";
  // With the very CA that is configured, it is known from the next change on.
  pin(of(*status().ca));
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  pin(another);
  EXPECT_TRUE(status().contradicts_pin);
}

TEST_F(PinTest, AnOldDatabaseGoesOnUnderTheFingerprintOfACaThatIsLongGone) {
  ca.auto_rollover = Days{73};
  enrolled();
  const auto first = *status().ca;
  run_until(day(731));
  const auto second = *status().ca;
  ASSERT_FALSE(second == first);
  spoke.fingerprint = of(first);
  forget_lineage();
  EXPECT_FALSE(status().contradicts_pin);
  EXPECT_NE(armed(), "");
  EXPECT_EQ(log.count(not_followed), 0U) << "the last CA is still known";
  const auto before = *status().identity;
  run_until(day(1100));
  EXPECT_FALSE(*status().identity == before) << "it is renewed";
  run_due();
  EXPECT_EQ(log.count(not_followed), 1U) << "once";
  // To authenticate it anew takes a fingerprint of its own, or none; what it has is kept.
  std::string refused;
  trustpoint->fetch_ca([&](const auto& got) { refused = got.error().detail; });
  settle();
  EXPECT_THAT(refused, HasSubstr("has not the configured fingerprint"));
  EXPECT_EQ(*status().ca, second);
  EXPECT_FALSE(status().contradicts_pin);
  run_until(day(1470));
  EXPECT_FALSE(*status().ca == second) << "nor after the next switch";
  EXPECT_FALSE(status().contradicts_pin);
  start_spoke();
  EXPECT_FALSE(status().contradicts_pin);
  EXPECT_EQ(log.count("%PKI-4-FINGERPRINT"), 0U);
}

TEST_F(PinTest, AnOldDatabaseThatHoldsTheCaOfItsFingerprintKnowsWhatFollowsIt) {
  enrolled();
  const auto first = *status().ca;
  run_until(day(729));
  ASSERT_TRUE(status().rollover_identity);
  spoke.fingerprint = of(first);
  forget_lineage();
  run_until(day(731));
  ASSERT_FALSE(*status().ca == first);
  EXPECT_TRUE(knows_lineage(row(), *status().ca));
  pin(another);
  EXPECT_TRUE(status().contradicts_pin);
}

TEST_F(PinTest, ASelfSignedCertificateIsNoCaOfAFingerprint) {
  spoke.enrollment_url.clear();
  spoke.selfsigned = true;
  start();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  pin(another);
  EXPECT_FALSE(status().contradicts_pin);
}

TEST(Lineage, EndsWithTheCaThatIsHeldOrIsNotKnown) {
  const auto key = *x509::PrivateKey::generate_ec(256);
  const auto named = [&](const std::string& name) {
    return *x509::self_signed_signer(*x509::Name::from_ios("CN=" + name), zero, key,
                                     Digest::sha256);
  };
  const auto a = named("a");
  const auto b = named("b");
  store::TrustpointRow row;
  row.held_since = "AB 5\n";
  follow_lineage(row, a, b);
  EXPECT_EQ(row.held_since, "AB 5\n") << "of what is not known nothing gets known";
  begin_lineage(row, a);
  EXPECT_TRUE(knows_lineage(row, a));
  follow_lineage(row, a, b);
  EXPECT_TRUE(knows_lineage(row, b));
  EXPECT_FALSE(knows_lineage(row, a));
  const std::string both = row.held_since;
  begin_lineage(row, b);
  EXPECT_EQ(row.held_since, both) << "it has led there";
  EXPECT_EQ(read_held_since(row.held_since).size(), 1U) << "they do not disturb each other";
  begin_lineage(row, a);
  EXPECT_FALSE(knows_lineage(row, b));
  for (int i = 0; i < 63; ++i) {
    follow_lineage(row, i % 2 == 0 ? a : b, i % 2 == 0 ? b : a);
    EXPECT_TRUE(knows_lineage(row, i % 2 == 0 ? b : a)) << i;
  }
  follow_lineage(row, b, a);
  EXPECT_EQ(row.held_since, "AB 5\n") << "its beginning would be lost";
}

TEST_F(PinTest, TheFirstCasFingerprintIsGoodForAuthenticatingTheCaThatIsHeld) {
  ca.auto_rollover = Days{73};
  start_server();
  const auto first = *server->status().ca;
  spoke.fingerprint = of(first);
  start_spoke();
  run_until(day(731));
  const auto second = *status().ca;
  ASSERT_FALSE(second == first);
  authenticate();  // fails if it is refused
  EXPECT_EQ(*status().ca, second);
  EXPECT_TRUE(status().identity);
  EXPECT_EQ(log.count("%UMBRA-3-FINGERPRINT"), 0U);
  pin(another);
  std::optional<Errc> refused;
  trustpoint->fetch_ca([&](const Result<x509::Certificate>& offered) {
    if (!offered) refused = offered.error().code;
  });
  settle();
  EXPECT_EQ(refused, Errc::crypto);
}

TEST_F(PinTest, TheBeginningOfAFingerprintIsNobodys) {
  enrolled();
  const std::string whole = of(*status().ca);
  for (const std::size_t digits : {std::size_t{32}, std::size_t{40}}) {
    pin(whole.substr(0, digits));
    EXPECT_TRUE(status().contradicts_pin) << digits;
  }
  pin(whole);
  EXPECT_FALSE(status().contradicts_pin);
}

}  // namespace
}  // namespace umbra::client
