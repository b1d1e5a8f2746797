#include <gmock/gmock.h>

#include "client/lab_test.h"

/// A server, or somebody in between, that answers what it should not: nothing of it is installed,
/// the log says what was wrong, and the trustpoint asks again when its timers say.
namespace umbra::client {
namespace {

using std::chrono::minutes;

struct Case {
  const char* what;
  std::function<HttpReply(const Sent&, HttpReply)> tamper;
  const char* named;  ///< in the log
};

HttpReply with_body(HttpReply reply, Bytes body) {
  reply.body = std::move(body);
  return reply;
}
HttpReply with_status(HttpReply reply, unsigned status) {
  reply.status = status;
  return reply;
}
Bytes half(Bytes body) {
  body.resize(body.size() / 2);
  return body;
}

class HostileTest : public Lab {
 protected:
  void enrolled() {
    start();
    authenticate();
    ASSERT_TRUE(status().identity);
  }
  /// The CA itself, as whoever has got hold of its key.
  scep::Recipient authority() { return generation(1); }
  /// The one that issues what is asked for.
  scep::Recipient issuing() { return generation(status().rollover_ca ? 2 : 1); }
  scep::Recipient generation(std::uint32_t number) {
    auto& known = generations[number];
    if (!known) {
      const auto all = *server_store->generations("ROOTCA");
      for (const auto& one : all) {
        if (one.number != number) continue;
        known = {*x509::Certificate::from_der(one.certificate),
                 *x509::PrivateKey::unseal(one.sealed_key, spoke_passphrase)};
      }
    }
    return *known;
  }
  static const x509::PrivateKey& other_key() {
    static const auto key = *x509::PrivateKey::generate_rsa(2048);
    return key;
  }
  x509::Certificate made(const x509::PublicKey& key, const x509::Name& subject,
                         const x509::PrivateKey& issuer_key, Time from, Time to) {
    return *x509::sign_certificate({.serial = x509::Serial(4711),
                                    .issuer = status().ca->subject(),
                                    .subject = subject,
                                    .not_before = from,
                                    .not_after = to,
                                    .spki = to_bytes(key.spki()),
                                    .extensions = {}},
                                   issuer_key, x509::Digest::sha256);
  }
  /// The CertRep that a CA with this key would send.
  Bytes answer(const scep::Answer& what, const scep::Envelope& asked,
               const scep::Recipient& signer) {
    return *scep::cert_rep(
        what, {asked, scep::Cipher::aes128_cbc, scep::NoContent::absent, to_time(clock.now())},
        signer, random);
  }
  /// A certificate that would do, but for what is said.
  x509::Certificate granted(const x509::PublicKey& key, const x509::Name& subject,
                            const x509::PrivateKey& issuer_key, Days from = Days{0},
                            Days to = Days{100}) {
    const Time now = to_time(clock.now());
    return made(key, subject, issuer_key, now + from, now + to);
  }
  /// What the request under way is for.
  x509::PublicKey key() const { return status().pending->public_key(); }
  x509::Name subject() const { return status().pending->subject(); }
  x509::Certificate good() {
    return granted(key(), subject(), issuing().key, Days{0},
                   Days{status().rollover_ca ? 300 : 100});
  }
  std::vector<Case> attacks();
  void attack(const Case& one) {
    tamper = [one](const Sent& call, HttpReply reply) {
      return call.operation == "PKIOperation" ? one.tamper(call, std::move(reply)) : reply;
    };
  }
  void cancel() {
    trustpoint->cancel([](const Result<void>& cancelled) { EXPECT_TRUE(cancelled); });
    settle();
  }
  /// The next connection retry, all others of the lab's deadlines before it.
  void until_retry() {
    for (const auto& deadline : trustpoint->deadlines()) {
      if (deadline.timer == lifecycle::Timer::connect_retry) return run_until(deadline.at);
    }
    ADD_FAILURE() << "nothing is armed";
  }

  std::map<std::uint32_t, std::optional<scep::Recipient>> generations;
};

const std::string head = "%UMBRA-4-NO_ANSWER: Trustpoint Root-CA: no usable answer from the CA: ";

/// Answers to a PKIOperation, whatever it asks for.
std::vector<Case> HostileTest::attacks() {
  const auto sealed = [this](const Sent& call, const scep::Answer& what) {
    return answer(what, *call.envelope, authority());
  };
  const auto with_another_nonce = [this](const scep::Answer& what) {
    return [this, what](const Sent& call, HttpReply r) {
      auto asked = *call.envelope;
      asked.sender_nonce.back() ^= 1;
      return with_body(std::move(r), answer(what, asked, authority()));
    };
  };
  const char* const another_nonce = "the reply's recipientNonce is not the request's senderNonce";
  const char* const none_of_ours = "no certificate received is for our key and signed by the CA";
  return {
      {"garbage", [](const Sent&, HttpReply r) { return with_body(r, Bytes(300, 0x5A)); },
       "ASN.1: "},
      {"a page",
       [](const Sent&, HttpReply r) {
         return with_body(r, to_bytes(as_bytes("<html>Welcome to the hotel</html>")));
       },
       "ASN.1: "},
      {"half an answer", [](const Sent&, HttpReply r) { return with_body(r, half(r.body)); },
       "ASN.1: "},
      {"nothing", [](const Sent&, HttpReply r) { return with_body(r, {}); }, "empty answer"},
      {"too much", [](const Sent&, HttpReply r) { return with_body(r, Bytes(300 * 1024, 0x30)); },
       "answer too long"},
      {"another nonce",
       [=, this](const Sent& call, HttpReply r) {
         return with_another_nonce(scep::Granted{{good()}})(call, std::move(r));
       },
       another_nonce},
      {"another nonce, pending", with_another_nonce(scep::Pending{}), another_nonce},
      {"another nonce, rejected",
       with_another_nonce(scep::Refusal{scep::FailInfo::bad_request, "no"}), another_nonce},
      {"another transaction",
       [this](const Sent& call, HttpReply r) {
         auto asked = *call.envelope;
         asked.transaction_id = std::string(32, 'A');
         return with_body(r, answer(scep::Granted{{good()}}, asked, authority()));
       },
       "the reply belongs to another transaction"},
      {"another client's answer",
       [this](const Sent& call, HttpReply r) {
         auto asked = *call.envelope;
         asked.signer = granted(other_key().public_key(), subject(), other_key());
         return with_body(r, answer(scep::Granted{{good()}}, asked, authority()));
       },
       ""},
      {"another client's certificate",
       [=, this](const Sent& call, HttpReply r) {
         const auto name = *x509::Name::from_ios("CN=another");
         return with_body(
             r,
             sealed(call, scep::Granted{{granted(other_key().public_key(), name, issuing().key)}}));
       },
       none_of_ours},
      {"a certificate for another key",
       [=, this](const Sent& call, HttpReply r) {
         return with_body(r, sealed(call, scep::Granted{{granted(other_key().public_key(),
                                                                 subject(), issuing().key)}}));
       },
       none_of_ours},
      {"a certificate of another issuer",
       [=, this](const Sent& call, HttpReply r) {
         return with_body(r, sealed(call, scep::Granted{{granted(key(), subject(), other_key())}}));
       },
       none_of_ours},
      {"the CA's certificate alone",
       [=, this](const Sent& call, HttpReply r) {
         return with_body(r, sealed(call, scep::Granted{{authority().certificate}}));
       },
       none_of_ours},
      {"a certificate that is over",
       [=, this](const Sent& call, HttpReply r) {
         return with_body(r, sealed(call, scep::Granted{{granted(key(), subject(), issuing().key,
                                                                 Days{-9}, Days{-1})}}));
       },
       "the certificate received has expired"},
      {"somebody else's signature",
       [this](const Sent& call, HttpReply r) {
         const scep::Recipient rogue{
             granted(other_key().public_key(), status().ca->subject(), other_key()), other_key()};
         return with_body(r, answer(scep::Granted{{good()}}, *call.envelope, rogue));
       },
       ""},
      {"somewhere else", [](const Sent&, HttpReply r) { return with_status(r, 302); },
       "HTTP status 302"},
      {"an error", [](const Sent&, HttpReply r) { return with_status(r, 500); }, "HTTP status 500"},
  };
}

TEST_F(HostileTest, TheFirstRequestIsNotAnsweredByAnythingButItsOwnCertificate) {
  spoke.auto_enroll.reset();
  start();
  authenticate();
  for (const Case& one : attacks()) {
    SCOPED_TRACE(one.what);
    const auto named = log.count(head + one.named);
    attack(one);
    ASSERT_TRUE(trustpoint->enroll());
    settle();
    EXPECT_EQ(log.count(head + one.named), named + 1) << log.last();
    EXPECT_FALSE(status().identity);
    EXPECT_TRUE(outlet.published.empty());
    EXPECT_TRUE(outlet.hooks.empty());
    EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(to_time(clock.now()) + minutes{1}));
    cancel();
  }
  tamper = nullptr;
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_TRUE(status().identity);
}

TEST_F(HostileTest, ARenewalIsNotAnsweredByAnythingButItsOwnCertificate) {
  enrolled();
  auto cases = attacks();
  cases.push_back(
      {"a certificate of next year",
       [this](const Sent& call, HttpReply r) {
         return with_body(
             r,
             answer(scep::Granted{{granted(key(), subject(), issuing().key, Days{300}, Days{400})}},
                    *call.envelope, authority()));
       },
       "the certificate received is not valid yet"});
  cases.push_back({"the certificate it has",
                   [this](const Sent& call, HttpReply r) {
                     return with_body(r, answer(scep::Granted{{*status().identity}}, *call.envelope,
                                                authority()));
                   },
                   "the certificate received is the one to be renewed"});
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    const auto before = *status().identity;
    const auto hooks = outlet.hooks.size();
    const auto calls = sent.size();
    const auto named = log.count(head + one.named);
    attack(one);
    ASSERT_TRUE(trustpoint->enroll());
    settle();
    EXPECT_EQ(sent.size(), calls + 1);
    EXPECT_EQ(log.count(head + one.named), named + 1) << log.last();
    EXPECT_EQ(*status().identity, before);
    EXPECT_EQ(outlet.published.at("/etc/spoke").cert, before.to_pem());
    EXPECT_EQ(outlet.hooks.size(), hooks);
    EXPECT_EQ(armed(), "CONNECT RETRY Root-CA " + to_rfc3339(to_time(clock.now()) + minutes{1}));
    tamper = nullptr;
    until_retry();
    EXPECT_EQ(sent.size(), calls + 2);
    EXPECT_FALSE(*status().identity == before) << "and then it is answered";
  }
}

TEST_F(HostileTest, APollIsNotAnsweredByAnythingButItsOwnCertificate) {
  ca.grant = config::Grant::manual;
  spoke.auto_enroll.reset();
  start();
  authenticate();
  for (const Case& one : attacks()) {
    SCOPED_TRACE(one.what);
    ASSERT_TRUE(trustpoint->enroll());
    settle();
    const Time since = to_time(clock.now());
    ASSERT_EQ(armed(), "POLL Root-CA " + to_rfc3339(since + minutes{1}));
    const auto named = log.count(head + one.named);
    attack(one);
    run_until(since + minutes{1});
    EXPECT_EQ(sent.back().envelope->type, scep::MessageType::cert_poll);
    EXPECT_EQ(log.count(head + one.named), named + 1) << log.last();
    EXPECT_FALSE(status().identity);
    EXPECT_EQ(armed(), "POLL Root-CA " + to_rfc3339(since + minutes{2}));
    tamper = nullptr;
    cancel();
  }
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  ASSERT_TRUE(server->grant(std::nullopt));
  run_until(to_time(clock.now()) + minutes{1});
  EXPECT_TRUE(status().identity);
}

TEST_F(HostileTest, AShadowRequestIsNotAnsweredByAnythingButItsOwnCertificate) {
  enrolled();
  auto cases = attacks();
  cases.push_back({"of the active CA",
                   [this](const Sent& call, HttpReply r) {
                     return with_body(
                         r, answer(scep::Granted{{granted(key(), subject(), authority().key,
                                                          Days{50}, Days{400})}},
                                   *call.envelope, authority()));
                   },
                   "no certificate received is for our key and signed by the CA"});
  cases.push_back({"that ends with the active CA",
                   [this](const Sent& call, HttpReply r) {
                     return with_body(
                         r, answer(scep::Granted{{made(key(), subject(), issuing().key, day(660),
                                                       status().ca->not_after())}},
                                   *call.envelope, authority()));
                   },
                   "the rollover certificate received ends with the active CA"});
  run_until(day(656));
  attack(cases.front());
  for (const auto& deadline : trustpoint->deadlines()) {
    if (deadline.timer == lifecycle::Timer::shadow) run_until(deadline.at);
  }
  ASSERT_TRUE(status().rollover_ca) << "what is attacked is the request that comes after it";
  const auto before = *status().identity;
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    cancel();
    const auto named = log.count(head + one.named);
    attack(one);
    ASSERT_TRUE(trustpoint->enroll());
    settle();
    EXPECT_EQ(sent.back().recipient, status().rollover_ca->serial());
    EXPECT_EQ(log.count(head + one.named), named + 1) << log.last();
    EXPECT_FALSE(status().rollover_identity);
    EXPECT_EQ(outlet.rollover.at("/etc/spoke").cert, "");
    EXPECT_EQ(*status().identity, before);
  }
  tamper = nullptr;
  until_retry();
  EXPECT_TRUE(status().rollover_identity);
}

TEST_F(HostileTest, TheNextCaIsTheOneThatTheActiveOneHasSignedFor) {
  enrolled();
  const scep::Recipient real = authority();
  const auto key_less = [&](const x509::PrivateKey& key, Time from, Time to) {
    return *x509::sign_certificate({.serial = x509::Serial(99),
                                    .issuer = status().ca->subject(),
                                    .subject = status().ca->subject(),
                                    .not_before = from,
                                    .not_after = to,
                                    .spki = to_bytes(key.public_key().spki()),
                                    .extensions = {x509::basic_constraints_ca()}},
                                   key, x509::Digest::sha256);
  };
  const auto forged = key_less(other_key(), day(730), day(1460));
  const Case cases[] = {
      {"garbage", [](const Sent&, HttpReply r) { return with_body(r, Bytes(99, 0x42)); }, ""},
      {"half", [](const Sent&, HttpReply r) { return with_body(r, half(r.body)); }, ""},
      {"unsigned",
       [&](const Sent&, HttpReply r) { return with_body(r, scep::certs_only({forged})); }, ""},
      {"signed by itself",
       [&](const Sent&, HttpReply r) {
         return with_body(r, *scep::next_ca_cert({forged}, {forged, other_key()}, day(657)));
       },
       ""},
      {"signed by somebody with the active CA's name and serial",
       [&](const Sent&, HttpReply r) {
         const auto rogue =
             *x509::sign_certificate({.serial = status().ca->serial(),
                                      .issuer = status().ca->subject(),
                                      .subject = status().ca->subject(),
                                      .not_before = day(0),
                                      .not_after = day(730),
                                      .spki = to_bytes(other_key().public_key().spki()),
                                      .extensions = {x509::basic_constraints_ca()}},
                                     other_key(), x509::Digest::sha256);
         return with_body(r, *scep::next_ca_cert({forged}, {rogue, other_key()}, day(657)));
       },
       ""},
      {"another page",
       [](const Sent&, HttpReply r) {
         r.content_type = "text/html";
         return r;
       },
       "not a GetNextCACert answer"},
      {"somewhere else", [](const Sent&, HttpReply r) { return with_status(r, 302); },
       "HTTP status 302"},
      {"an error", [](const Sent&, HttpReply r) { return with_status(r, 500); }, "HTTP status 500"},
  };
  run_until(day(656));
  ASSERT_FALSE(status().rollover_ca);
  const Case* now_is = nullptr;
  tamper = [&](const Sent& call, HttpReply reply) {
    return call.operation == "GetNextCACert" ? now_is->tamper(call, std::move(reply)) : reply;
  };
  bool first = true;
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    now_is = &one;
    const std::string named = std::string(
                                  "%UMBRA-4-NO_ANSWER: Trustpoint Root-CA: no usable "
                                  "answer from the CA: ") +
                              one.named;
    const auto before = log.count(named);
    if (first) {
      for (const auto& deadline : trustpoint->deadlines()) {
        if (deadline.timer == lifecycle::Timer::shadow) run_until(deadline.at);
      }
    } else {
      until_retry();
    }
    first = false;
    EXPECT_EQ(sent.back().operation, "GetNextCACert");
    EXPECT_EQ(log.count(named), before + 1) << log.last();
    EXPECT_FALSE(status().rollover_ca);
    EXPECT_EQ(outlet.rollover.at("/etc/spoke").ca, "");
    EXPECT_EQ(armed().substr(0, 21), "CONNECT RETRY Root-CA");
  }
  tamper = nullptr;
  until_retry();
  EXPECT_EQ(*status().rollover_ca, *server->status().rollover);
  EXPECT_TRUE(status().rollover_identity);
}

TEST_F(HostileTest, ACaIsAcceptedByItsFingerprintAloneAndWhatIsWrongIsNamed) {
  start_server();
  spoke.fingerprint = to_hex(server->status().ca->fingerprint(x509::Digest::sha256));
  const auto forged = *x509::sign_certificate({.serial = x509::Serial(1),
                                               .issuer = server->status().ca->subject(),
                                               .subject = server->status().ca->subject(),
                                               .not_before = zero,
                                               .not_after = day(730),
                                               .spki = to_bytes(other_key().public_key().spki()),
                                               .extensions = {x509::basic_constraints_ca()}},
                                              other_key(), x509::Digest::sha256);
  const Case cases[] = {
      {"garbage", [](const Sent&, HttpReply r) { return with_body(r, Bytes(99, 0x42)); },
       "%UMBRA-4-NO_ANSWER"},
      {"half", [](const Sent&, HttpReply r) { return with_body(r, half(r.body)); },
       "%UMBRA-4-NO_ANSWER"},
      {"another CA", [&](const Sent&, HttpReply r) { return with_body(r, to_bytes(forged.der())); },
       "has not the configured fingerprint and is refused"},
      {"somewhere else", [](const Sent&, HttpReply r) { return with_status(r, 302); },
       "HTTP status 302"},
      {"an error", [](const Sent&, HttpReply r) { return with_status(r, 500); }, "HTTP status 500"},
  };
  const Case* now_is = &cases[0];
  tamper = [&](const Sent& call, HttpReply reply) {
    return call.operation == "GetCACert" ? now_is->tamper(call, std::move(reply)) : reply;
  };
  start_spoke();
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    now_is = &one;
    const auto before = log.count(one.named);
    const auto calls = sent.size();
    run_until(trustpoint->deadlines().front().at);
    EXPECT_EQ(sent.size(), calls + 1);
    EXPECT_GT(log.count(one.named), before) << log.last();
    EXPECT_FALSE(status().ca);
  }
  tamper = nullptr;
  run_until(trustpoint->deadlines().front().at);
  EXPECT_TRUE(status().identity);
}

}  // namespace
}  // namespace umbra::client
