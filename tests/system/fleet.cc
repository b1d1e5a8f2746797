// Devices that enrol, renew, repeat themselves and look at CRLs without an end, beside a server
// that comes and goes; and a record of all that they were given. A line each, whole:
//
//   CA DEVICE DER           GetCACert's answer
//   NEXT DEVICE DER         GetNextCACert's, signed by the CA
//   GIVEN DEVICE TRANSACTION DER
//   REFUSED DEVICE TRANSACTION FAILINFO
//   CRL DEVICE CA-SERIAL NUMBER THIS-UPDATE [SERIAL...]
//
//   fleet --port 8080 --devices 4 --record FILE --seed 1

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "scep/ca_messages.h"
#include "scep/message.h"
#include "x509/crl.h"

namespace {

using namespace umbra;
using namespace std::chrono_literals;

std::atomic<bool> over = false;

template <class T>
T must(Result<T> result, const char* what) {
  if (result) return *std::move(result);
  fmt::print(stderr, "fleet: {}: {}\n", what, result.error().detail);
  std::_Exit(1);
}

class OsRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override { x509::random_octets(out); }
};

/// The body of a whole answer with status 200; nothing if the server died over it, or would not.
std::optional<Bytes> ask(std::uint16_t port, const std::string& target, ByteView message) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string all;
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) {
    std::string out =
        fmt::format("{} {} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    message.empty() ? "GET" : "POST", target, message.size());
    out += as_text(message);
    char octets[16384];
    if (::send(socket, out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size())) {
      for (ssize_t n = 0; (n = ::recv(socket, octets, sizeof octets, 0)) > 0;)
        all.append(octets, static_cast<std::size_t>(n));
    }
  }
  ::close(socket);
  constexpr std::string_view length_field = "Content-Length: ";
  const std::size_t end = all.find("\r\n\r\n");
  const std::size_t length = all.find(length_field);
  if (!all.starts_with("HTTP/1.1 200") || end == std::string::npos || length > end) return {};
  const std::string_view body = std::string_view(all).substr(end + 4);
  if (body.size() != std::strtoul(all.c_str() + length + length_field.size(), nullptr, 10))
    return {};
  return to_bytes(as_bytes(body));
}

struct Fleet {
  std::uint16_t port;
  int record;
  x509::PrivateKey key;
};

class Device {
 public:
  Device(const Fleet& fleet, unsigned number, std::uint64_t seed)
      : fleet_(fleet), number_(number), chance_(seed * 1000 + number) {}

  void live() {
    while (!over) {
      std::this_thread::sleep_for(std::chrono::milliseconds(chance_() % 40));
      if (!ca_ && !authenticate()) continue;
      switch (chance_() % 8) {
        case 0:
          look_for_next();
          break;
        case 1:
          look_at_crl();
          break;
        default:
          enrol();
      }
    }
  }

 private:
  void note(const std::string& line) const {
    const std::string whole = line + "\n";
    if (::write(fleet_.record, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size())) {
      std::perror("fleet: the record");
      std::_Exit(1);
    }
  }

  bool authenticate() {
    const auto body = ask(fleet_.port, "/scep?operation=GetCACert", {});
    if (!body) return false;
    ca_ = must(scep::parse_ca_cert(*body), "GetCACert").front();
    note(fmt::format("CA {} {}", number_, to_hex(ca_->der())));
    return true;
  }

  void look_for_next() {
    const auto body = ask(fleet_.port, "/scep?operation=GetNextCACert", {});
    if (!body) return;
    const auto next = scep::parse_next_ca_cert(*body, {*ca_});
    if (!next) return ca_.reset();  // another CA has signed it
    note(fmt::format("NEXT {} {}", number_, to_hex(next->front().der())));
  }

  void look_at_crl() {
    const auto der = ask(fleet_.port, "/crl/ROOTCA.crl", {});
    if (!der) return;
    if (!x509::verify_crl(*der, *ca_)) return ca_.reset();
    const auto crl = must(x509::parse_crl(*der), "a CRL");
    std::string line =
        fmt::format("CRL {} {} {} {}", number_, ca_->serial().to_hex(), crl.number.value_or(0),
                    crl.this_update.time_since_epoch().count());
    for (const auto& one : crl.revoked) line += " " + one.serial.to_hex();
    note(line);
  }

  void enrol() {
    const bool renewal = identity_ && chance_() % 3 == 0;
    const auto subject =
        renewal
            ? identity_->subject()
            : must(x509::Name::from_ios(fmt::format("CN=device-{}-{},O=Fleet", number_, ++asked_)),
                   "a name");
    const auto request = must(
        x509::sign_request({subject, std::nullopt, {}}, fleet_.key, x509::Digest::sha256), "a CSR");
    const auto signer = renewal ? *identity_
                                : must(x509::self_signed_signer(subject, ca_->not_before(),
                                                                fleet_.key, x509::Digest::sha256),
                                       "a signer");
    const scep::RequestContext context{
        .type = renewal ? scep::MessageType::renewal_req : scep::MessageType::pkcs_req,
        .transaction_id = fmt::format("{}-{}", number_, ++transactions_),
        .sender_nonce = scep::make_nonce(random_),
        .recipient = *ca_,
        .signer = signer};
    const auto message =
        must(scep::request(request.der(), context, fleet_.key, random_), "a message");
    // Now and then once more, as one whose answer got lost.
    for (unsigned left = chance_() % 4 == 0 ? 2 : 1; left > 0 && !over; --left)
      if (!exchange(message, context)) return;
  }

  /// Until there is an answer. False if it is none that gives a certificate.
  bool exchange(const Bytes& message, const scep::RequestContext& context) {
    std::optional<Bytes> reply;
    while (!(reply = ask(fleet_.port, "/scep?operation=PKIOperation", message))) {
      if (over) return false;
      std::this_thread::sleep_for(5ms);
    }
    const auto opened = scep::open_cert_rep(*reply,
                                            {.transaction_id = context.transaction_id,
                                             .sender_nonce = context.sender_nonce,
                                             .signers = {*ca_},
                                             .recipient = context.signer},
                                            fleet_.key, {});
    if (!opened) {  // another CA's
      ca_.reset();
      return false;
    }
    if (opened->status != scep::PkiStatus::success) {
      note(fmt::format("REFUSED {} {} {}", number_, context.transaction_id,
                       opened->fail_info ? static_cast<int>(*opened->fail_info) : -1));
      identity_.reset();
      ca_.reset();
      return false;
    }
    identity_ = opened->certificates.front();
    note(fmt::format("GIVEN {} {} {}", number_, context.transaction_id, to_hex(identity_->der())));
    return true;
  }

  const Fleet& fleet_;
  const unsigned number_;
  std::mt19937_64 chance_;
  OsRandom random_;
  unsigned asked_ = 0;
  unsigned transactions_ = 0;
  std::optional<x509::Certificate> ca_;
  std::optional<x509::Certificate> identity_;
};

}  // namespace

int main(int argc, char** argv) {
  std::uint16_t port = 0;
  unsigned devices = 4;
  std::string record;
  std::uint64_t seed = 1;
  CLI::App app("Devices that enrol without an end, and a record of what they were given");
  app.add_option("--port", port, "of the server, on loopback")->required();
  app.add_option("--devices", devices, "how many")->check(CLI::Range(1, 64));
  app.add_option("--record", record, "the file, appended to")->required();
  app.add_option("--seed", seed, "of what they do when");
  CLI11_PARSE(app, argc, argv);
  ::signal(SIGTERM, [](int) { over = true; });
  const Fleet fleet{port, ::open(record.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
                    must(x509::PrivateKey::generate_rsa(2048), "a key")};
  std::vector<std::thread> threads;
  for (unsigned number = 1; number <= devices; ++number)
    threads.emplace_back([&fleet, number, seed] { Device(fleet, number, seed).live(); });
  for (auto& thread : threads) thread.join();
  return 0;
}
