#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <thread>

#include "lab_passphrase.h"
#include "scep/ca_messages.h"
#include "scep/message.h"
#include "server/certificate_server.h"

/// A certificate server on a real store with a clock of the test's own, and devices that ask it.
namespace umbra::server::lab {

using scep::FailInfo;
using scep::MessageType;
using scep::PkiStatus;
using std::chrono::hours;

inline const Time zero = *from_rfc3339("2015-10-09T12:14:16Z");
inline Time day(int n) { return zero + Days{n}; }

class TestClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant{std::chrono::milliseconds{ms}}; }
  [[nodiscard]] bool authoritative() const override { return good; }
  [[nodiscard]] std::string source() const override { return "NTP"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant) const override { return {}; }
  void set(Time at) { ms = Instant{at}.time_since_epoch().count(); }
  std::atomic<Instant::rep> ms = Instant{zero}.time_since_epoch().count();
  std::atomic<bool> good = true;
};
class TestRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override { x509::random_octets(out); }
};
class TestLog final : public Log {
 public:
  void event(const LogEvent& event) override { keep(to_string(event)); }
  void debug(std::string_view category, std::string_view text) override {
    keep(std::string(category) + ": " + std::string(text));
  }
  [[nodiscard]] bool has(const std::string& text) {
    const std::lock_guard lock(mutex);
    return std::any_of(lines.begin(), lines.end(),
                       [&](const auto& line) { return line.find(text) != std::string::npos; });
  }
  std::mutex mutex;
  std::vector<std::string> lines;

 private:
  void keep(std::string line) {
    const std::lock_guard lock(mutex);
    lines.push_back(std::move(line));
  }
};
class TestFiles final : public FileSink {
 public:
  Delivery deliver(const config::FilePlace& place, const std::vector<PublishedFile>& sent,
                   const std::atomic<bool>&) override {
    for (std::size_t i = 0; i < sent.size(); ++i) {
      if (full) return {i, Error{Errc::storage, "no space left on device"}};
      files[sent[i].name] = sent[i].content;
      deliveries.push_back(place.url + " " + sent[i].name);
    }
    return {sent.size(), std::nullopt};
  }
  std::optional<std::uint64_t> free_octets(const config::FilePlace&) override { return room; }
  std::vector<std::string> deliveries;
  std::optional<std::uint64_t> room;
  std::map<std::string, Bytes> files;
  bool full = false;
};

/// A device: a key, and the certificate that signs for it.
struct Device {
  explicit Device(const std::string& subject, const x509::PrivateKey& with = shared_key())
      : name(*x509::Name::from_ios(subject)),
        key(with),
        signer(*x509::self_signed_signer(name, zero - Days{1}, key, x509::Digest::sha256)) {}
  static const x509::PrivateKey& shared_key() {
    static const auto made = *x509::PrivateKey::generate_rsa(2048);
    return made;
  }
  [[nodiscard]] std::string transaction() const {
    return scep::transaction_id(key.public_key()) + name.joined();
  }
  x509::Name name;
  x509::PrivateKey key;
  x509::Certificate signer;
  std::optional<std::string> challenge;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    std::string shape = (std::filesystem::temp_directory_path() / "umbra-server-XXXXXX").string();
    directory = ::mkdtemp(shape.data());
    configuration.name = "ROOTCA";
    configuration.issuer_name = "CN=RootCA,OU=TAC,O=Cisco";
    configuration.grant = config::Grant::automatic;
    configuration.lifetime_ca_certificate = Days{730};
    configuration.auto_rollover = Days{90};
    configuration.archive_password = "archive pass";
    configuration.shutdown = false;
  }
  ~ServerTest() override {
    server.reset();
    store.reset();
    std::filesystem::remove_all(directory);
  }
  void start(bool http = true) {
    server.reset();
    store.reset();
    store = *store::open_sqlite(directory + "/umbra.db");
    server = *CertificateServer::open(
        configuration, http, {*store, clock, random, log, files, lab_passphrase, trusted_ca});
    ASSERT_TRUE(server->run_due());
    publish();
  }
  void publish() {
    for (std::size_t place = 0; place < server->places(); ++place)
      static_cast<void>(server->publish(place));
  }
  void go_to(Time at) {
    clock.set(at);
    ASSERT_TRUE(server->run_due());
    publish();
  }
  HttpReply http(const HttpRequest& request) {
    std::promise<HttpReply> promise;
    auto reply = promise.get_future();
    server->handle(request, [&](HttpReply r) {
      if (r.shared) r.body = *r.shared;
      promise.set_value(std::move(r));
    });
    return reply.get();
  }
  HttpReply get(const std::string& query) {
    return http({"GET", "/cgi-bin/pkiclient.exe?" + query, {}});
  }
  x509::Certificate ca() { return *server->status().ca; }

  struct Asked {
    scep::CertRep reply;
    unsigned http_status = 0;
  };
  Asked send(const Device& device, MessageType type, ByteView body,
             const x509::Certificate& recipient, bool by_get = false,
             const std::string& transaction = {}) {
    const scep::RequestContext context{
        .type = type,
        .transaction_id = transaction.empty() ? device.transaction() : transaction,
        .sender_nonce = scep::make_nonce(random),
        .recipient = recipient,
        .signer = device.signer,
        .cipher = scep::Cipher::aes256_cbc,
        .digest = x509::Digest::sha256};
    const Bytes message = *scep::request(body, context, device.key, random);
    const std::string url = scep::pki_operation_get_url("/cgi-bin/pkiclient.exe", message);
    const HttpReply reply = by_get ? http({"GET", url, {}, from})
                                   : http({"POST", "/scep?operation=PKIOperation", message, from});
    if (reply.status != 200) return {{}, reply.status};
    EXPECT_EQ(reply.content_type, scep::type_pki_message);
    std::vector<x509::Certificate> signers = also_trusted;
    signers.insert(signers.end(), {ca(), recipient});
    auto opened = scep::open_cert_rep(
        reply.body, {context.transaction_id, context.sender_nonce, signers, device.signer},
        device.key, {});
    EXPECT_TRUE(opened) << opened.error().detail;
    return {opened.value_or(scep::CertRep{}), 200};
  }
  x509::Request csr(const Device& device, std::vector<x509::Extension> extensions = {}) {
    return *x509::sign_request({device.name, device.challenge, std::move(extensions)}, device.key,
                               x509::Digest::sha256);
  }
  Asked enroll(const Device& device, MessageType type = MessageType::pkcs_req,
               bool by_get = false) {
    return send(device, type, csr(device).der(), ca(), by_get);
  }
  Asked poll(const Device& device) {
    return send(device, MessageType::cert_poll,
                scep::to_der(scep::IssuerAndSubject{ca().subject(), device.name}), ca());
  }
  static x509::Certificate granted(const Asked& asked) {
    EXPECT_EQ(asked.reply.status, PkiStatus::success) << asked.reply.fail_info_text;
    EXPECT_EQ(asked.reply.certificates.size(), 1U);
    return asked.reply.certificates.at(0);
  }
  static std::string refused(const Asked& asked) {
    EXPECT_EQ(asked.http_status, 200U);
    return asked.reply.fail_info ? std::string(to_string(*asked.reply.fail_info)) : "not refused";
  }

  std::vector<x509::Certificate> also_trusted;  ///< to sign answers
  std::string from = "192.0.2.1";               ///< whose requests `send` sends
  std::string directory;
  config::Server configuration;
  TestClock clock;
  TestRandom random;
  TestLog log;
  TestFiles files;
  std::function<TrustedCa(const std::string&)> trusted_ca;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<CertificateServer> server;
};

}  // namespace umbra::server::lab
