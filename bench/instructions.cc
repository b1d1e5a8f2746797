// What an enrolment costs in instructions, for callgrind: the real certificate server on a
// database, with its audit log and its log, in one process without a network. Keys, names and time
// are the same in every run.
//
//   valgrind --tool=callgrind --instr-atstart=no instructions --keys tests/vectors/instructions
//
// Callgrind writes a file for each thing that was done, and what it was into it.

#include <fmt/format.h>
#include <valgrind/callgrind.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <fstream>
#include <future>
#include <iterator>

#include "ca/authority.h"
#include "io/audit_log.h"
#include "io/file_places.h"
#include "io/log.h"
#include "process.h"
#include "scep/message.h"
#include "server/router.h"

namespace {

using namespace umbra;
using bench::must;

constexpr const char* server_name = "COST";
// Of the random kind, which is opened with fewer rounds.
constexpr const char* passphrase = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const Time founded = *from_rfc3339("2030-01-01T00:00:00Z");

class StillClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant{founded + Days{1}}; }
  [[nodiscard]] bool authoritative() const override { return true; }
  [[nodiscard]] std::string source() const override { return "NTP"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant) const override { return {}; }
};

class Counting final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (auto& octet : out) octet = next_++;
  }

 private:
  std::atomic<std::uint8_t> next_ = 0;
};

x509::PrivateKey key_in(const std::string& file) {
  std::ifstream in(file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return must(x509::PrivateKey::from_pem(text), file.c_str());
}

/// Stores what a first start would, but with this key.
x509::Certificate found_ca(store::Store& store, const x509::PrivateKey& key) {
  const auto subject = must(x509::Name::from_ios("CN=Cost,O=Umbra"), "name");
  auto ca = must(ca::make_root(subject, x509::Serial(1), {founded, founded + Days{1095}}, key,
                               x509::Digest::sha256),
                 "CA certificate");
  store::CaGeneration generation;
  generation.server = server_name;
  generation.certificate = to_bytes(ca.der());
  generation.sealed_key = must(key.seal(passphrase), "key");
  generation.created_at = founded;
  store::ServerRow counters;
  counters.server = server_name;
  counters.last_serial = counters.serial_lease = 1;
  counters.last_generation = 1;
  must(store.commit({store::PutGeneration{generation}, store::PutServer{counters}}), "store");
  return ca;
}

/// The first enrolment of a device.
struct Enrolment {
  HttpRequest request;
  scep::ReplyExpectation expected;
  x509::Name subject;
  HttpReply reply{};
};

/// All of devices that share a key.
std::vector<Enrolment> enrolments(const x509::Certificate& ca, const x509::PrivateKey& key,
                                  std::size_t count, Random& random) {
  std::vector<Enrolment> out;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string device = fmt::format("device-{:05}", i);
    const auto subject = must(x509::Name::from_ios("CN=" + device + ",O=Umbra"), "name");
    const auto signer =
        must(x509::self_signed_signer(subject, founded, key, x509::Digest::sha256), "signer");
    const auto pkcs10 =
        must(x509::sign_request({subject, std::nullopt, {}}, key, x509::Digest::sha256), "request");
    const scep::RequestContext context{scep::MessageType::pkcs_req,
                                       device,
                                       scep::make_nonce(random),
                                       ca,
                                       signer,
                                       scep::Cipher::aes128_cbc,
                                       x509::Digest::sha256};
    out.push_back({{"POST", "/scep?operation=PKIOperation",
                    must(scep::request(pkcs10.der(), context, key, random), "message")},
                   {device, context.sender_nonce, {ca}, signer},
                   subject});
  }
  return out;
}

void answer(const server::Router& router, std::span<Enrolment> asked) {
  for (auto& one : asked) {
    std::promise<HttpReply> promise;
    router.handle(one.request, [&](HttpReply reply) { promise.set_value(std::move(reply)); });
    one.reply = promise.get_future().get();
  }
}

/// What was counted is worth nothing unless each has its certificate.
void check(std::span<const Enrolment> answered, const x509::PrivateKey& key) {
  for (const auto& one : answered) {
    const auto opened =
        must(scep::open_cert_rep(one.reply.content(), one.expected, key, {}), "reply");
    if (opened.status != scep::PkiStatus::success || opened.certificates.empty() ||
        opened.certificates.front().subject() != one.subject)
      bench::stop("an enrolment was not granted");
  }
}

/// Three private operations for each: what no enrolment can do without.
void floor_of(const x509::PrivateKey& key, ByteView envelope, std::size_t count) {
  const Bytes message(64, 0x5A);
  for (std::size_t i = 0; i < count; ++i) {
    if (key.unwrap(envelope, 16).size() != 16) bench::stop("unwrap");
    for (int signature = 0; signature < 2; ++signature)
      static_cast<void>(must(key.sign(x509::Digest::sha256, message), "signature"));
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string keys;
  std::size_t count = 32;
  CLI::App app("What enrolments cost, for callgrind");
  app.add_option("--keys", keys, "the directory with the keys")->required();
  app.add_option("--count", count, "how many enrolments are counted")->check(CLI::Range(1, 10000));
  CLI11_PARSE(app, argc, argv);

  const auto ca_key = key_in(keys + "/ca-key.pem");
  const auto device_key = key_in(keys + "/device-key.pem");
  const bench::Scratch scratch;
  StillClock clock;
  Counting random;
  io::StderrLog log(clock, {}, false);
  auto plain = must(store::open_sqlite(scratch.path("umbra.db")), "store");
  const auto ca = found_ca(*plain, ca_key);
  const auto audit = must(io::AuditLog::open(scratch.path(""), clock, log, *plain), "audit log");
  const auto store = io::audited(std::move(plain), *audit);
  // Lines are written as ever; but what its thread does once a second of real time is not counted.
  audit->stop();
  io::FilePlaces files(scratch.path(""));
  config::Server configuration;
  configuration.name = server_name;
  configuration.issuer_name = "CN=Cost,O=Umbra";
  configuration.grant = config::Grant::automatic;
  configuration.shutdown = false;
  Counters counters;
  server::Environment environment{*store, clock, random, log, files, passphrase};
  environment.counters = &counters;
  const auto server =
      must(server::CertificateServer::open(configuration, true, environment), "server");
  must(server->run_due(), "server");
  const server::Router router({server.get()});

  constexpr std::size_t warm_up = 8;
  auto all = enrolments(ca, device_key, warm_up + count, random);
  const Bytes envelope = must(ca.public_key().encrypt(Bytes(16, 0x5A)), "envelope");
  const std::span<Enrolment> asked(all);
  CALLGRIND_START_INSTRUMENTATION;
  answer(router, asked.first(warm_up));
  CALLGRIND_DUMP_STATS_AT("warm-up");
  answer(router, asked.subspan(warm_up));
  CALLGRIND_DUMP_STATS_AT("enrolments");
  floor_of(ca_key, envelope, count);
  CALLGRIND_DUMP_STATS_AT("floor");
  CALLGRIND_STOP_INSTRUMENTATION;
  check(all, device_key);
  return 0;
}
