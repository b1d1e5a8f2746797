#include <gmock/gmock.h>

#include "client/lab_test.h"

namespace umbra::client {
namespace {

using scep::MessageType;
using std::chrono::minutes;
using testing::Each;
using testing::ElementsAre;

class ShadowTest : public Lab {};

TEST_F(ShadowTest, TheGuidesLabFromDayZeroToTheDayAfterTheSwitch) {
  enrolled_on(0);
  run_until(day(700));
  EXPECT_EQ(status().identity->not_after(), day(730));
  EXPECT_EQ(armed(), "SHADOW Root-CA " + to_rfc3339(day(584) + Seconds{Days{146}} * 80 / 100));
  const auto old_ca = *status().ca;
  const auto old_identity = *status().identity;
  const auto calls = sent.size();
  run_until(day(729));
  ASSERT_EQ(operations(calls), (std::vector<std::string>{"GetNextCACert", "PKIOperation"}));
  const auto next_ca = *server->status().rollover;
  EXPECT_EQ(sent.back().recipient, next_ca.serial());
  EXPECT_EQ(sent.back().envelope->signer, old_identity);
  EXPECT_EQ(*status().ca, old_ca) << "nothing changes before the switch";
  EXPECT_EQ(*status().identity, old_identity);
  EXPECT_EQ(*status().rollover_ca, next_ca);
  EXPECT_EQ(status().rollover_identity->not_before(), day(730));
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, old_identity.to_pem());
  EXPECT_FALSE(status().renew_at);

  run_until(day(730) - Seconds{1});
  EXPECT_EQ(*status().ca, old_ca);
  run_until(day(730));
  EXPECT_EQ(*status().ca, next_ca);
  EXPECT_EQ(status().identity->not_after(), day(1095));
  EXPECT_FALSE(status().rollover_ca);
  EXPECT_FALSE(status().rollover_identity);
  EXPECT_TRUE(status().identity->verify_signed_by(next_ca.public_key()));
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
  EXPECT_EQ(outlet.published.at("/etc/spoke").ca, next_ca.to_pem());
  EXPECT_EQ(armed(), "RENEW Root-CA " + to_rfc3339(day(1022)));
  run_until(day(1022));
  EXPECT_EQ(status().identity->not_before(), day(1022)) << "life goes on under the new CA";
}

TEST_F(ShadowTest, RegenerateKeepsTheShadowKeyAsideUntilTheSwitch) {
  spoke.regenerate = true;
  enrolled_on(365);
  const auto key = status().identity->public_key();
  run_until(day(729));
  EXPECT_FALSE(row().sealed_shadow_key.empty());
  EXPECT_FALSE(status().rollover_identity->public_key() == key);
  EXPECT_EQ(x509::PrivateKey::from_pem(outlet.published.at("/etc/spoke").key)->public_key(), key);
  start_spoke();
  EXPECT_EQ(status().identity->public_key(), key) << "both keys are there after a restart";
  const auto shadow = status().rollover_identity->public_key();
  run_until(day(731));
  EXPECT_EQ(status().identity->public_key(), shadow);
  EXPECT_TRUE(row().sealed_shadow_key.empty());
  EXPECT_EQ(x509::PrivateKey::from_pem(outlet.published.at("/etc/spoke").key)->public_key(),
            shadow);
}

TEST_F(ShadowTest, AnUnsignedNextCaIsIgnored) {
  enrolled_on(365);
  tamper = [this](const Sent& call, HttpReply reply) {
    if (call.operation == "GetNextCACert")
      reply.body = scep::certs_only({*server->status().rollover});
    return reply;
  };
  run_until(day(657) + minutes{1});
  EXPECT_FALSE(status().rollover_ca);
  EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(day(657) + minutes{2}));
  tamper = nullptr;
  run_until(day(657) + minutes{2});
  EXPECT_TRUE(status().rollover_identity);
}

TEST_F(ShadowTest, ANextCaSignedBySomebodyElseIsIgnored) {
  enrolled_on(365);
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  tamper = [&](const Sent& call, HttpReply reply) {
    if (call.operation != "GetNextCACert") return reply;
    const auto next = *server->status().rollover;
    // The active CA's own words with another key: name and serial alone convince nobody.
    const auto rogue = *x509::sign_certificate({.serial = status().ca->serial(),
                                                .issuer = status().ca->subject(),
                                                .subject = status().ca->subject(),
                                                .not_before = day(0),
                                                .not_after = day(730),
                                                .spki = to_bytes(key.public_key().spki()),
                                                .extensions = {x509::basic_constraints_ca()}},
                                               key, x509::Digest::sha256);
    reply.body = *scep::next_ca_cert({next}, {rogue, key}, day(657));
    return reply;
  };
  run_until(day(658));
  EXPECT_FALSE(status().rollover_ca);
}

TEST_F(ShadowTest, ADeviceThatPassedForAnRaDoesNotNameTheNextCa) {
  // GetCACert is signed by nobody: whoever is on the way can add his own device's certificate.
  start_server();
  clock.set(day(365));
  ASSERT_TRUE(server->run_due());
  const auto root = *server->status().ca;
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  const auto name = *x509::Name::from_ios("CN=device");
  const auto signs_only = x509::key_usage({0x80, false});
  const auto wish =
      *x509::sign_request({name, std::nullopt, {signs_only}}, key, x509::Digest::sha256);
  const scep::RequestContext context{
      .type = MessageType::pkcs_req,
      .transaction_id = "device",
      .sender_nonce = scep::make_nonce(random),
      .recipient = root,
      .signer = *x509::self_signed_signer(name, day(365), key, x509::Digest::sha256),
      .cipher = scep::Cipher::aes128_cbc,
      .digest = x509::Digest::sha256};
  std::promise<HttpReply> reply;
  server->handle(
      {"POST", "/scep?operation=PKIOperation", *scep::request(wish.der(), context, key, random)},
      [&](HttpReply got) { reply.set_value(std::move(got)); });
  const auto opened = scep::open_cert_rep(
      reply.get_future().get().body,
      {context.transaction_id, context.sender_nonce, {root}, context.signer}, key, {});
  ASSERT_TRUE(opened);
  const auto device = opened->certificates.at(0);
  tamper = [&](const Sent& call, HttpReply answer) {
    if (call.operation == "GetCACert") answer.body = scep::certs_only({root, device});
    if (call.operation == "GetNextCACert")
      answer.body = *scep::next_ca_cert({*server->status().rollover}, {device, key}, day(657));
    return answer;
  };
  start_spoke();
  authenticate();
  ASSERT_TRUE(status().identity);
  EXPECT_EQ(log.count("enveloped for the RA \"cn=device\""), 1U);
  run_until(day(658));
  EXPECT_EQ(sent.back().operation, "GetNextCACert");
  EXPECT_FALSE(status().rollover_ca);
}

TEST_F(ShadowTest, TooEarlyForTheServerItAsksAgainAndSendsNoRequestBefore) {
  ca.auto_rollover = Days{60};
  enrolled_on(365);
  const auto calls = sent.size();
  run_until(day(670) - Seconds{1});
  EXPECT_THAT(operations(calls), Each("GetNextCACert"));
  ASSERT_GT(sent.size(), calls + 3);
  EXPECT_EQ(sent[calls + 1].at, day(657) + minutes{1});
  EXPECT_EQ(sent[calls + 2].at, day(657) + minutes{2});
  EXPECT_EQ(sent[calls + 3].at, day(657) + minutes{4});
  EXPECT_EQ(log.count("%UMBRA-4-NO_ROLLOVER_CA: Trustpoint Root-CA: the CA has no rollover "
                      "certificate yet (HTTP status 404); it is asked again until it has one, or "
                      "ends at " +
                      to_rfc3339(day(730))),
            1U)
      << "said once";
  EXPECT_TRUE(status().awaits_next_ca);
  run_until(day(729));
  EXPECT_FALSE(status().awaits_next_ca);
  EXPECT_TRUE(status().rollover_identity);
  run_until(day(731));
  EXPECT_EQ(status().identity->not_before(), day(730));
}

TEST_F(ShadowTest, WithoutAutoEnrollOnlyTheCaIsFetched) {
  spoke.auto_enroll.reset();
  start();
  authenticate();
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  ASSERT_TRUE(status().identity);
  const auto calls = sent.size();
  run_until(day(729));
  EXPECT_THAT(operations(calls), ElementsAre("GetNextCACert"));
  EXPECT_EQ(sent[calls].at, day(657));
  const auto next_ca = *status().rollover_ca;
  run_until(day(731));
  EXPECT_EQ(*status().ca, next_ca);
  EXPECT_FALSE(status().identity) << "the dead identity goes with its CA";
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_TRUE(status().identity->verify_signed_by(next_ca.public_key()));
}

TEST_F(ShadowTest, APendingShadowRequestIsPolledAtTheRolloverCa) {
  enrolled_on(365);
  ca.grant = config::Grant::manual;
  start_server();
  run_until(day(657) + minutes{1});
  EXPECT_EQ(sent.back().envelope->type, MessageType::cert_poll);
  EXPECT_EQ(sent.back().recipient, status().rollover_ca->serial());
  ASSERT_TRUE(server->grant(std::nullopt));
  run_until(day(657) + minutes{2});
  EXPECT_TRUE(status().rollover_identity);
}

TEST_F(ShadowTest, DownAcrossTheSwitchItPromotesBeforeAnythingElse) {
  enrolled_on(365);
  run_until(day(700));
  ASSERT_TRUE(status().rollover_identity);
  trustpoint.reset();
  clock.set(day(800));
  ASSERT_TRUE(server->run_due());
  const auto calls = sent.size();
  start_spoke();
  EXPECT_EQ(status().identity->not_before(), day(730));
  EXPECT_EQ(sent.size(), calls);
  EXPECT_EQ(armed(), "RENEW Root-CA " + to_rfc3339(day(1022)));
}

TEST_F(ShadowTest, NothingThatIsHeldDelaysTheSwitch) {
  enrolled_on(365);
  run_until(day(730) - Seconds{10});
  const auto next = *status().rollover_ca;
  const std::string on_its_second = "SWITCH OVER Root-CA " + to_rfc3339(day(730));
  store->refuse = true;
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  ASSERT_EQ(log.count("disk full; next try at " + to_rfc3339(day(730) + Seconds{50})), 1U);
  store->refuse = false;
  EXPECT_EQ(armed(), on_its_second);
  run_until(day(730));
  EXPECT_EQ(*status().ca, next);
  EXPECT_EQ(status().identity->not_before(), day(730));
}

TEST_F(ShadowTest, ACaThatDoesNotTellItsCapabilitiesDoesNotDelayTheSwitch) {
  enrolled_on(365);
  run_until(day(730) - Seconds{10});
  const auto next = *status().rollover_ca;
  tamper = [](const Sent& call, HttpReply reply) {
    if (call.operation == "GetCACaps") reply.status = 503;
    return reply;
  };
  authenticate();
  EXPECT_EQ(armed(), "SWITCH OVER Root-CA " + to_rfc3339(day(730)));
  run_until(day(730));
  EXPECT_EQ(*status().ca, next);
  EXPECT_EQ(status().identity->not_before(), day(730));
}

TEST_F(ShadowTest, ASwitchThatCannotBeStoredIsHeldAndTriedAgain) {
  enrolled_on(365);
  run_until(day(730) - Seconds{10});
  const auto next = *status().rollover_ca;
  store->refuse = true;
  run_until(day(730) + Seconds{30});
  EXPECT_EQ(log.count("disk full; next try at"), 1U) << "not again and again";
  EXPECT_EQ(armed(), "SWITCH OVER Root-CA " + to_rfc3339(day(730) + minutes{1}));
  EXPECT_FALSE(*status().ca == next);
  store->refuse = false;
  run_until(day(730) + minutes{1});
  EXPECT_EQ(*status().ca, next);
}

TEST_F(ShadowTest, WithTheRolloverCaAloneAtTheSwitchItEnrolsAnew) {
  enrolled_on(365);
  ca.grant = config::Grant::manual;
  start_server();
  run_until(day(660));
  ASSERT_TRUE(status().rollover_ca);
  ASSERT_FALSE(status().rollover_identity);
  ca.grant = config::Grant::automatic;
  trustpoint.reset();
  clock.set(day(731));
  start_server();
  start_spoke();
  EXPECT_TRUE(sent.back().envelope->signer.self_issued()) << "an initial enrolment";
  EXPECT_EQ(status().identity->not_before(), day(731));
  EXPECT_EQ(*status().ca, *server->status().ca);
}

TEST_F(ShadowTest, DownPastTheOldCaWithNothingFetchedItWaitsForAnAdministrator) {
  enrolled_on(365);
  trustpoint.reset();
  clock.set(day(800));
  ASSERT_TRUE(server->run_due());
  start_spoke();
  EXPECT_FALSE(status().rollover_ca);
  EXPECT_EQ(*status().identity, *status().identity);
  EXPECT_LE(status().identity->not_after(), day(730));
  authenticate();
  EXPECT_EQ(*status().ca, *server->status().ca);
  EXPECT_EQ(status().identity->not_before(), day(800));
}

class CrashTest : public ShadowTest, public testing::WithParamInterface<bool> {};

TEST_P(CrashTest, DyingAfterAnyCommitLosesNothingAndIssuesNothingTwice) {
  spoke.regenerate = true;
  start_server();
  spoke.fingerprint = to_hex(server->status().ca->fingerprint(x509::Digest::sha256));
  clock.set(day(100));
  ASSERT_TRUE(server->run_due());
  reply_lost = GetParam();
  // One spoke after another at the same server; each dies once, at its own commit.
  std::size_t deaths = 0;
  const std::size_t issued_before = issued().size();
  for (std::size_t n = 1; n <= 40; ++n) {
    spoke.name = "spoke-" + std::to_string(n);
    die_after = n;
    start_spoke();
    // A death between a commit and its message is made good at the next try.
    run_until(to_time(clock.now()) + minutes{10});
    if (die_after) {
      // It enrolled without coming to that commit: RENEW by hand, step by step.
      for (int i = 0; i < 3 && die_after; ++i) {
        ASSERT_TRUE(trustpoint->enroll());
        run_until(to_time(clock.now()) + minutes{10});
      }
    } else {
      ++deaths;
    }
    const bool died_renewing = !die_after;
    ASSERT_TRUE(status().identity) << "commit " << n;
    EXPECT_EQ(status().last_enrollment_status, "Granted") << "commit " << n;
    EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem())
        << "commit " << n;
    if (!died_renewing) break;
    die_after.reset();
  }
  EXPECT_GE(deaths, 3U);
  // Each granted certificate belongs to its own transaction and signer.
  std::map<std::string, int> times;
  for (const auto& one : issued()) ++times[one.transaction_id + to_hex(one.request_digest)];
  for (const auto& [what, count] : times) EXPECT_EQ(count, 1) << what;
  EXPECT_GT(issued().size(), issued_before);
}

TEST_P(CrashTest, DyingAtAnyStepOfTheRolloverStillSwitchesOnTheSecond) {
  spoke.regenerate = true;
  enrolled_on(365);
  reply_lost = GetParam();
  run_until(day(657) - Seconds{1});
  const auto serials = issued().size();
  std::size_t deaths = 0;
  // It dies again and again, one commit further each time, all through SHADOW and the switch.
  for (std::size_t n = 1; n <= 3; ++n) {
    die_after = n;
    start_spoke();
    run_until(day(729));
    if (!die_after) ++deaths;
    die_after.reset();
  }
  EXPECT_TRUE(status().rollover_identity);
  EXPECT_EQ(issued().size(), serials + 1) << "one shadow certificate, however often it died";
  EXPECT_GE(deaths, 1U);
  const auto shadow = *status().rollover_identity;
  die_after = 1;
  start_spoke();
  run_until(day(730));
  EXPECT_FALSE(die_after) << "it died right after the switch was committed";
  EXPECT_EQ(*status().identity, shadow);
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, shadow.to_pem());
}

INSTANTIATE_TEST_SUITE_P(Trustpoint, CrashTest, testing::Bool(), [](const auto& param_info) {
  return param_info.param ? "AfterTheAnswer" : "BeforeTheFirstOctet";
});

}  // namespace
}  // namespace umbra::client
