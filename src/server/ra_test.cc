#include <condition_variable>
#include <deque>
#include <fstream>

#include "ca/authority.h"
#include "lab_passphrase.h"
#include "server/lab_test.h"

/// A registration authority between devices and a CA that may be ours, somebody else's, or bad.
namespace umbra::server::lab {
namespace {

using scep::Refusal;

/// One thread that does what it is given, as the daemon's pool does.
class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      wake_.notify_all();
    }
    thread_.join();
  }
  void post(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    wake_.notify_all();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::thread thread_;
};

/// The network between the RA and the CA.
class Wire final : public HttpTransport {
 public:
  void send(HttpCall call, HttpAnswered answered) override {
    std::function<void(const HttpCall&, const HttpAnswered&)> to;
    {
      const std::lock_guard lock(mutex_);
      calls_.push_back(call);
      if (holding_) return held_.push_back([this, call, answered] { deliver(call, answered); });
    }
    deliver(call, answered);
  }
  /// Who answers; nothing: nobody.
  std::function<void(const HttpCall&, const HttpAnswered&)> above;
  void hold() {
    const std::lock_guard lock(mutex_);
    holding_ = true;
  }
  void release() {
    std::vector<std::function<void()>> all;
    {
      const std::lock_guard lock(mutex_);
      holding_ = false;
      all.swap(held_);
    }
    for (const auto& one : all) one();
  }
  [[nodiscard]] std::vector<HttpCall> calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  void deliver(const HttpCall& call, const HttpAnswered& answered) {
    if (!above) return answered(fail(Errc::unreachable, "connection refused"));
    above(call, answered);
  }
  std::mutex mutex_;
  bool holding_ = false;
  std::vector<std::function<void()>> held_;
  std::vector<HttpCall> calls_;
};

HttpRequest as_request(const HttpCall& call) {
  return {call.method, call.url.substr(call.url.find('/', 7)), call.body};
}

/// What is kept for everybody is octets on the wire like the rest.
HttpReply arrived(HttpReply reply) {
  if (reply.shared) reply.body = *std::exchange(reply.shared, nullptr);
  return reply;
}

class RaTest : public ServerTest {
 protected:
  RaTest() {
    configuration.grant = config::Grant::manual;
    configuration.grant_ra_auto = true;
    ra_configuration.name = "RA";
    ra_configuration.mode = config::ServerMode::ra;
    ra_configuration.issuer_name = "CN=RA, OU=ioscs RA";
    ra_configuration.grant = config::Grant::automatic;
    ra_configuration.upstream = config::Upstream{.url = "http://ca"};
    ra_configuration.shutdown = false;
  }
  ~RaTest() override {
    wire.release();
    end_ra();
    root.reset();
  }
  /// When nobody is on the way to it any more: what the CA answers comes from the store's thread.
  void end_ra() {
    if (store) static_cast<void>(store->commit(store::Batch{}));
    worker.reset();
    server.reset();
  }
  /// From here on `server` is the RA, and `root` the CA above it.
  void below_a_root() {
    start();
    ASSERT_EQ(enroll(ra_device).reply.status, PkiStatus::pending);
    ASSERT_TRUE(server->grant(1));
    const auto identity = granted(poll(ra_device));
    const auto ca_certificate = ca();
    root = std::move(server);
    wire.above = [this](const HttpCall& call, const HttpAnswered& answered) {
      root->handle(as_request(call),
                   [answered](HttpReply reply) { answered(arrived(std::move(reply))); });
    };
    install(ca_certificate, identity);
  }
  /// What the CA above was asked.
  struct AskedAbove {
    MessageType type;
    decltype(scep::Request::body) body;
  };
  /// Below a CA of the test's own, which says what `says` says.
  void below_a_stranger() {
    store = *store::open_sqlite(directory + "/umbra.db");
    static const auto key = *x509::PrivateKey::generate_rsa(2048);
    const auto request = csr(ra_device);
    stranger.emplace(
        ca::Authority{1,
                      *ca::make_root(*x509::Name::from_ios("CN=Stranger"), x509::Serial(1),
                                     {zero, day(730)}, key, x509::Digest::sha256),
                      key});
    wire.above = [this](const HttpCall& call, const HttpAnswered& answered) {
      auto opened = scep::open_envelope(call.body, {});
      ASSERT_TRUE(opened);
      const scep::Recipient own{stranger->certificate, *stranger->key};
      auto asked = scep::open_request(opened->envelope, {&own, 1}, {});
      ASSERT_TRUE(asked);
      const scep::Envelope& envelope = opened->envelope;
      const auto body = scep::cert_rep(
          says({envelope.type, std::move(asked->body)}),
          {envelope, scep::Cipher::aes128_cbc, scep::NoContent::absent, zero}, own, random);
      answered(HttpReply{200, std::string(scep::type_pki_message), *body});
    };
    install(stranger->certificate, issue(request, 2));
  }
  x509::Certificate issue(const x509::Request& request, std::uint64_t serial, bool as_ca = false) {
    return *ca::issue(*stranger, request, x509::Serial(serial), {zero, day(365)},
                      {.subordinate_ca = as_ca});
  }
  /// What the RA's trustpoint would have stored.
  void install(const x509::Certificate& ca_certificate, const x509::Certificate& identity) {
    row.name = "RA";
    row.ca_certificate = to_bytes(ca_certificate.der());
    row.capabilities = "GetNextCACert\nPOSTPKIOperation\nSHA-256\nAES\n";
    row.capabilities_known = true;
    row.identity = to_bytes(identity.der());
    row.sealed_key = *ra_device.key.seal(lab_passphrase);
    ASSERT_TRUE(store->commit({store::PutTrustpoint{row}}));
    certificate = identity;
    also_trusted.push_back(identity);
    open_ra();
  }
  void open_ra() {
    end_ra();
    worker = std::make_unique<Worker>();
    Environment environment{*store, clock, random, log, files, lab_passphrase};
    environment.transport = &wire;
    environment.post = [this](std::function<void()> task) { worker->post(std::move(task)); };
    environment.contradicts_pin = [this](const std::string& name) {
      return name == "RA" && another_ca;
    };
    auto opened = CertificateServer::open(ra_configuration, true, environment);
    ASSERT_TRUE(opened) << opened.error().detail;
    server = *std::move(opened);
    ASSERT_TRUE(server->run_due());
    ASSERT_EQ(server->status().status, "enabled");
  }
  Asked through(const Device& device, const std::string& transaction = {}) {
    return send(device, MessageType::pkcs_req, csr(device).der(), *certificate, false, transaction);
  }
  Asked poll_through(const Device& device, const std::string& transaction = {}) {
    return send(device, MessageType::cert_poll,
                scep::to_der(scep::IssuerAndSubject{ca().subject(), device.name}), *certificate,
                false, transaction);
  }
  /// A device with a certificate of the CA above, which signs for it from now on.
  Device enrolled(const std::string& subject, const x509::PrivateKey& key) {
    Device device(subject, key);
    device.signer = granted(through(device));
    return device;
  }
  [[nodiscard]] std::ptrdiff_t said(const std::string& text) {
    const std::lock_guard lock(log.mutex);
    return std::count_if(log.lines.begin(), log.lines.end(),
                         [&](const auto& line) { return line.find(text) != std::string::npos; });
  }
  [[nodiscard]] std::string state_of_first() const { return server->requests()->back().state; }

  config::Server ra_configuration;
  Device ra_device{"CN=RA, OU=ioscs RA", *x509::PrivateKey::generate_rsa(2048)};
  Device spoke{"CN=spoke-1"};
  Wire wire;
  std::unique_ptr<CertificateServer> root;
  std::optional<ca::Authority> stranger;
  std::function<scep::Answer(const AskedAbove&)> says;
  store::TrustpointRow row;
  std::optional<x509::Certificate> certificate;  ///< the RA's
  std::unique_ptr<Worker> worker;
  std::atomic<bool> another_ca = false;  ///< the fingerprint that is configured is another CA's
};

TEST_F(RaTest, WhatItPassesOnGoesToTheCaOfItsFingerprintOrNowhere) {
  ra_configuration.mode = config::ServerMode::ra_transparent;
  below_a_root();
  ASSERT_EQ(get("operation=GetCACert").status, 200U);
  const auto before = wire.calls().size();
  another_ca = true;
  for (const char* query : {"operation=GetCACert", "operation=GetCACaps", "operation=GetNextCACert",
                            "operation=GetCRL"}) {
    const HttpReply refused = get(query);
    EXPECT_EQ(refused.status, 503U) << query;
    EXPECT_EQ(refused.retry_after, Seconds{60}) << query;
  }
  EXPECT_EQ(http({"POST", "/scep?operation=PKIOperation", Bytes{1, 2, 3}}).status, 503U);
  EXPECT_EQ(wire.calls().size(), before) << "nothing of it reaches that CA";
  EXPECT_EQ(said("%PKI-4-RA_FINGERPRINT: RA passes nothing on"), 1);
  EXPECT_EQ(server->status().awaited, "is another one than its fingerprint says; nothing is asked");
  another_ca = false;
  EXPECT_EQ(get("operation=GetCACert").status, 200U);
  EXPECT_EQ(said("%PKI-5-RA_FINGERPRINT: RA goes on"), 1);
  EXPECT_EQ(server->status().awaited, "");
}

TEST_F(RaTest, WhatItHasGrantedIsNotAskedOfACaThatIsNotTheOneOfItsFingerprint) {
  ra_configuration.grant = config::Grant::manual;
  below_a_root();
  ASSERT_EQ(through(spoke).reply.status, PkiStatus::pending);
  another_ca = true;
  ASSERT_TRUE(server->grant(std::nullopt));
  worker = std::make_unique<Worker>();  // what was posted is done
  EXPECT_TRUE(wire.calls().empty());
  EXPECT_EQ(get("operation=GetCACert").status, 503U);
  another_ca = false;
  granted(poll_through(spoke));
}

TEST_F(RaTest, HandsOutTheCaAndItselfAndItsOwnAbilities) {
  below_a_root();
  const HttpReply offered = get("operation=GetCACert");
  EXPECT_EQ(offered.content_type, scep::type_ca_ra_cert);
  const auto received = *scep::parse_ca_cert(offered.body);
  ASSERT_EQ(received.size(), 2U);
  EXPECT_NE(std::find(received.begin(), received.end(), *root->status().ca), received.end());
  EXPECT_NE(std::find(received.begin(), received.end(), *certificate), received.end());
  const auto words = get("operation=GetCACaps");
  EXPECT_TRUE(scep::parse_capabilities(as_text(words.body)).get_next_ca_cert);
  row.capabilities = "SHA-256\n";
  ASSERT_TRUE(store->commit({store::PutTrustpoint{row}}));
  server->upstream_changed();
  ASSERT_TRUE(server->run_due());
  EXPECT_FALSE(scep::parse_capabilities(as_text(get("operation=GetCACaps").body)).get_next_ca_cert)
      << "that is for the CA to say";
  EXPECT_EQ(get("operation=GetNextCACert").status, 404U);
}

TEST_F(RaTest, AsksInTheDevicesOwnWordsUnderItsOwnName) {
  below_a_root();
  const auto got = granted(through(spoke));
  EXPECT_EQ(got.public_key(), spoke.key.public_key());
  const auto calls = wire.calls();
  ASSERT_EQ(calls.size(), 1U);
  const auto sent = *scep::open_envelope(calls[0].body, {});
  EXPECT_EQ(sent.envelope.type, MessageType::pkcs_req);
  EXPECT_EQ(sent.envelope.transaction_id, spoke.transaction());
  EXPECT_EQ(sent.envelope.signer, *certificate);
  const auto kept = *store->certificate("ROOTCA", got.serial());
  EXPECT_EQ(kept->granted_as, store::RequestClass::router);
  EXPECT_EQ(granted(through(spoke)), got);
  EXPECT_EQ(granted(poll_through(spoke)), got);
  EXPECT_EQ(wire.calls().size(), 1U) << "what was answered is kept";
}

TEST_F(RaTest, ARenewalWithTheSameKeyIsAnotherRequestAbove) {
  below_a_root();
  Device device = enrolled("CN=spoke-1", Device::shared_key());
  clock.set(day(100));
  ASSERT_TRUE(root->run_due());
  const auto second = granted(through(device));
  EXPECT_FALSE(second == device.signer);
  EXPECT_EQ(granted(through(device)), second) << "and it again the same";
}

TEST_F(RaTest, NobodyAsksForAnotherOrInTheRasOwnName) {
  below_a_root();
  wire.above = nullptr;
  EXPECT_EQ(through(spoke).reply.status, PkiStatus::pending);
  const Device thief("CN=spoke-1", *x509::PrivateKey::generate_rsa(2048));
  EXPECT_EQ(refused(poll_through(thief, spoke.transaction())), "badRequest");
  EXPECT_EQ(refused(through(thief, spoke.transaction())), "badRequest");
  EXPECT_EQ(refused(poll_through(thief)), "badCertId");
  const auto before = wire.calls().size();
  EXPECT_EQ(refused(through(spoke, scep::transaction_id(ra_device.key.public_key()))),
            "badRequest");
  EXPECT_EQ(refused(through(Device("CN=RA, OU=ioscs RA"))), "badRequest");
  EXPECT_EQ(refused(through(Device("CN=RootCA,OU=TAC,O=Cisco"))), "badRequest");
  EXPECT_EQ(refused(through(Device("CN=x", ra_device.key), "other")), "badRequest") << "its key";
  const auto ca_request = csr(Device("CN=sub"), {x509::basic_constraints_ca()});
  EXPECT_EQ(refused(send(Device("CN=sub"), MessageType::pkcs_req, ca_request.der(), *certificate)),
            "badRequest");
  EXPECT_EQ(wire.calls().size(), before) << "the CA has heard of none of them";
}

TEST_F(RaTest, WhatTheCaSaysOfTheRequestIsWhatTheDeviceHears) {
  below_a_stranger();
  says = [](const auto&) { return Refusal{scep::FailInfo::bad_alg, "not such a key"}; };
  const auto told = through(spoke);
  EXPECT_EQ(refused(told), "badAlg");
  EXPECT_EQ(told.reply.fail_info_text, "not such a key");
  EXPECT_EQ(refused(poll_through(spoke)), "badAlg");
  says = [](const auto&) { return scep::Pending{}; };
  EXPECT_EQ(through(spoke).reply.status, PkiStatus::pending) << "it may ask anew, as of the CA";
}

TEST_F(RaTest, WhatTheCaSaysOfTheRaIsNoAnswerToTheDevice) {
  below_a_stranger();
  for (const auto info : {scep::FailInfo::bad_time, scep::FailInfo::bad_message_check}) {
    says = [info](const auto&) { return Refusal{info, ""}; };
    EXPECT_EQ(through(spoke).reply.status, PkiStatus::pending);
    EXPECT_EQ(state_of_first(), "authorized");
  }
  EXPECT_TRUE(log.has("RA_REFUSED"));
}

TEST_F(RaTest, HandsOutNothingButADevicesCertificateForTheDevicesKey) {
  below_a_stranger();
  const auto other = csr(Device("CN=other", *x509::PrivateKey::generate_rsa(2048)));
  for (const auto& wrong : {issue(other, 3), issue(csr(spoke), 4, true), stranger->certificate}) {
    says = [wrong](const auto&) { return scep::Granted{{wrong}}; };
    EXPECT_EQ(through(spoke).reply.status, PkiStatus::pending);
    EXPECT_EQ(state_of_first(), "authorized");
  }
  const auto right = issue(csr(spoke), 5);
  says = [right](const auto&) { return scep::Granted{{right}}; };
  EXPECT_EQ(granted(poll_through(spoke)), right);
}

TEST_F(RaTest, WhatAnotherServerOfTheCaHasPendingIsSentToTheOneThatAnswersNow) {
  ra_configuration.upstream->more_urls = {"http://ca2"};
  below_a_stranger();
  says = [](const auto&) { return scep::Pending{}; };
  EXPECT_EQ(through(spoke).reply.status, PkiStatus::pending);
  EXPECT_EQ(state_of_first(), "forwarded");
  says = [](const auto&) { return Refusal{scep::FailInfo::bad_cert_id, "not here"}; };
  EXPECT_EQ(poll_through(spoke).reply.status, PkiStatus::pending) << "the CA has not refused it";
  EXPECT_EQ(state_of_first(), "authorized");
  const auto right = issue(csr(spoke), 5);
  says = [right](const AskedAbove& asked) -> scep::Answer {
    if (asked.type != MessageType::pkcs_req) return scep::Pending{};
    return scep::Granted{{right}};
  };
  EXPECT_EQ(granted(poll_through(spoke)), right);
}

TEST_F(RaTest, ARenewalWaitsForAPersonIfTheCaHasNoCrl) {
  below_a_stranger();
  says = [this](const AskedAbove& asked) -> scep::Answer {
    if (asked.type == MessageType::get_crl)
      return Refusal{scep::FailInfo::bad_cert_id, "no CRL here"};
    return scep::Granted{{issue(std::get<x509::Request>(asked.body), 10)}};
  };
  const Device device = enrolled("CN=spoke-1", Device::shared_key());
  EXPECT_EQ(through(device).reply.status, PkiStatus::pending);
  EXPECT_TRUE(log.has("RA_NO_CRL"));
  ra_configuration.upstream->unchecked = true;
  open_ra();
  ASSERT_TRUE(server->remove(std::nullopt));
  EXPECT_EQ(through(device).reply.status, PkiStatus::success) << "revocation-check none";
}

TEST_F(RaTest, AnAbsentCaIsNoAnswerAndNothingIsLostByARestart) {
  below_a_root();
  const auto above = wire.above;
  const Device device = enrolled("CN=renewing", Device::shared_key());
  wire.above = nullptr;
  clock.set(day(1));
  EXPECT_EQ(through(device).http_status, 503U) << "whether it is revoked nobody knows";
  EXPECT_EQ(through(spoke).reply.status, PkiStatus::pending);
  EXPECT_EQ(get("operation=GetCRL").status, 503U);
  EXPECT_TRUE(server->status().above_is_silent);
  open_ra();
  wire.above = above;
  EXPECT_EQ(granted(poll_through(spoke)).subject(), spoke.name);
  EXPECT_FALSE(server->status().above_is_silent);
}

TEST_F(RaTest, AnAnswerThatWasLostIsAskedForAgainAndIsTheSame) {
  below_a_root();
  const auto above = wire.above;
  std::promise<void> heard;
  wire.above = [&](const HttpCall& call, const HttpAnswered& answered) {
    root->handle(as_request(call), [&heard, answered](const HttpReply&) {
      heard.set_value();
      answered(fail(Errc::unreachable, "connection reset"));
    });
  };
  EXPECT_EQ(through(spoke).reply.status, PkiStatus::pending);
  heard.get_future().wait();
  const auto issued = [this] {
    return store->certificates("ROOTCA", x509::Serial(2), 100)->size();
  };
  EXPECT_EQ(issued(), 1U) << "the CA has made it";
  open_ra();
  wire.above = above;
  const auto got = granted(poll_through(spoke));
  EXPECT_EQ(got.serial(), store->certificates("ROOTCA", x509::Serial(2), 1)->front().serial);
  EXPECT_EQ(issued(), 1U);
}

TEST_F(RaTest, AsksTheCaOnceForOneRequestAndNeverTooMuchAtOnce) {
  below_a_root();
  wire.hold();
  std::vector<std::future<HttpReply>> waiting;
  for (int i = 0; i < 64; ++i) {
    const Device device("CN=spoke-" + std::to_string(i));
    const scep::RequestContext context{.type = MessageType::pkcs_req,
                                       .transaction_id = device.transaction(),
                                       .sender_nonce = scep::make_nonce(random),
                                       .recipient = *certificate,
                                       .signer = device.signer,
                                       .cipher = scep::Cipher::aes256_cbc,
                                       .digest = x509::Digest::sha256};
    auto promise = std::make_shared<std::promise<HttpReply>>();
    waiting.push_back(promise->get_future());
    server->handle({"POST", "/scep?operation=PKIOperation",
                    *scep::request(csr(device).der(), context, device.key, random)},
                   [promise](HttpReply reply) { promise->set_value(std::move(reply)); });
  }
  EXPECT_EQ(wire.calls().size(), 64U);
  EXPECT_EQ(through(Device("CN=spoke-0")).reply.status, PkiStatus::pending) << "is being asked";
  EXPECT_EQ(through(Device("CN=late")).reply.status, PkiStatus::pending) << "come again";
  EXPECT_EQ(wire.calls().size(), 64U);
  EXPECT_EQ(get("operation=GetCRL").status, 503U);
  wire.release();
  for (auto& one : waiting) EXPECT_EQ(one.get().status, 200U);
  EXPECT_EQ(granted(poll_through(Device("CN=late"))).subject(), Device("CN=late").name);
}

TEST_F(RaTest, WhatIsRemovedWhileTheCaIsAskedStaysRemoved) {
  below_a_root();
  wire.hold();
  auto asked = std::async(std::launch::async, [this] { return through(spoke); });
  while (wire.calls().empty()) std::this_thread::yield();
  ASSERT_TRUE(server->remove(std::nullopt));
  wire.release();
  EXPECT_EQ(asked.get().http_status, 503U);
  EXPECT_TRUE(server->requests()->empty());
}

TEST_F(RaTest, PassesCertificatesAndCrlsOn) {
  below_a_root();
  const auto got = granted(through(spoke));
  const auto ask = [&](MessageType type, const x509::Name& issuer) {
    return send(spoke, type, scep::to_der(scep::IssuerAndSerial{issuer, got.serial()}),
                *certificate);
  };
  EXPECT_EQ(granted(ask(MessageType::get_cert, got.issuer())), got);
  const auto crl = ask(MessageType::get_crl, got.issuer());
  ASSERT_EQ(crl.reply.crls.size(), 1U);
  EXPECT_TRUE(x509::verify_crl(crl.reply.crls[0], *root->status().ca));
  EXPECT_EQ(get("operation=GetCRL").body, crl.reply.crls[0]);
  EXPECT_EQ(refused(ask(MessageType::get_crl, spoke.name)), "badCertId");
  EXPECT_EQ(wire.calls().size(), 3U) << "one for the certificate, one for it again, one CRL";
}

TEST_F(RaTest, AOneTimePasswordOfTheRaCountsOnce) {
  ra_configuration.grant = config::Grant::manual;
  below_a_root();
  spoke.challenge = *server->generate_password(std::chrono::minutes{5});
  EXPECT_EQ(through(spoke).reply.status, PkiStatus::success);
  Device second("CN=spoke-2");
  second.challenge = spoke.challenge;
  EXPECT_EQ(through(second).reply.status, PkiStatus::pending);
}

TEST_F(RaTest, TheNextCaIsNamedByTheCaAndWithItTheRasNextCertificate) {
  below_a_root();
  ASSERT_TRUE(root->rollover());
  const auto next = *root->status().rollover;
  // A shadow request of the RA, granted by hand.
  const scep::RequestContext context{.type = MessageType::pkcs_req,
                                     .transaction_id = ra_device.transaction() + "#",
                                     .sender_nonce = scep::make_nonce(random),
                                     .recipient = next,
                                     .signer = *certificate,
                                     .cipher = scep::Cipher::aes256_cbc,
                                     .digest = x509::Digest::sha256};
  std::promise<void> sent;
  root->handle({"POST", "/scep?operation=PKIOperation",
                *scep::request(csr(ra_device).der(), context, ra_device.key, random)},
               [&](const HttpReply&) { sent.set_value(); });
  sent.get_future().wait();
  ASSERT_TRUE(root->grant(root->requests()->front().id));
  const auto own = *store->certificates("ROOTCA", next.serial(), 1);
  ASSERT_EQ(own.size(), 1U);
  EXPECT_EQ(get("operation=GetNextCACert").status, 404U) << "until it has it";
  row.rollover_ca_certificate = to_bytes(next.der());
  row.rollover_identity = own[0].certificate;
  ASSERT_TRUE(store->commit({store::PutTrustpoint{row}}));
  server->upstream_changed();
  ASSERT_TRUE(server->run_due());
  const auto shadow = *x509::Certificate::from_der(own[0].certificate);
  const auto told = get("operation=GetNextCACert");
  ASSERT_EQ(told.status, 200U);
  const auto named = scep::parse_next_ca_cert(told.body, {*root->status().ca});
  ASSERT_TRUE(named) << "by the CA's signature: " << named.error().detail;
  const auto are_the_two = [&](const std::vector<x509::Certificate>& certificates) {
    const std::vector<x509::Certificate> both = {next, shadow};
    return std::is_permutation(certificates.begin(), certificates.end(), both.begin(), both.end());
  };
  EXPECT_TRUE(are_the_two(*named));
  // A device that asks the CA itself hears of no RA, and no made-up number names one.
  std::promise<HttpReply> direct;
  root->handle({"GET", "/scep?operation=GetNextCACert&ra=02", {}},
               [&](HttpReply reply) { direct.set_value(std::move(reply)); });
  EXPECT_EQ(*scep::parse_next_ca_cert(direct.get_future().get().content(), {*root->status().ca}),
            std::vector<x509::Certificate>{next});

  // A CA that does not know the question.
  wire.above = [&](const HttpCall& call, const HttpAnswered& answered) {
    HttpCall without = call;
    without.url.resize(without.url.find("&ra="));
    root->handle(as_request(without),
                 [answered](HttpReply reply) { answered(arrived(std::move(reply))); });
  };
  const auto by_itself = get("operation=GetNextCACert");
  EXPECT_FALSE(scep::parse_next_ca_cert(by_itself.body, {*root->status().ca}));
  EXPECT_TRUE(are_the_two(*scep::parse_next_ca_cert(by_itself.body, {*certificate})));
}

TEST_F(RaTest, IsNoCaForAnyCommand) {
  below_a_root();
  for (const auto& said :
       {server->revoke(x509::Serial(2), x509::RevocationReason::none).error().detail,
        server->unrevoke(x509::Serial(2)).error().detail, server->crl().error().detail,
        server->rollover().error().detail, server->rollover_cancel(true).error().detail,
        server->overlap().error().detail,
        server->request_pkcs10(csr(spoke).der()).error().detail}) {
    EXPECT_EQ(said, "RA is a registration authority: that is for the CA above it");
  }
}

TEST_F(RaTest, KeepsItsModeOnceItHasCertificates) {
  below_a_root();
  end_ra();
  ra_configuration.mode = config::ServerMode::root;
  ra_configuration.upstream.reset();
  auto opened = CertificateServer::open(ra_configuration, true,
                                        {*store, clock, random, log, files, lab_passphrase});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::conflict);
  root.reset();
  configuration.mode = config::ServerMode::ra;
  configuration.upstream = config::Upstream{.url = "http://ca"};
  Environment environment{*store, clock, random, log, files, lab_passphrase};
  environment.transport = &wire;
  environment.post = [](const std::function<void()>& task) { task(); };
  opened = CertificateServer::open(configuration, true, environment);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().detail.find("what is kept of it is a CA's"), std::string::npos);
}

}  // namespace
}  // namespace umbra::server::lab
