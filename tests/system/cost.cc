// What a bad request costs the server in CPU time, HTTP and all, for each of a list of the dearest
// ones known; told as a table:
//
//   cost --port P --pid PID --key tests/vectors/weak_keys/rsa_8192.pem

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "attack.h"
#include "scep/ca_messages.h"
#include "scep/cms.h"
#include "x509/der.h"

namespace {

using namespace umbra;
using namespace umbra::attack;
namespace der = x509::der;

/// Of all threads of a process, in milliseconds (proc(5), schedstat).
double cpu_ms(int pid) {
  double all = 0;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    std::ifstream in(task.path() / "schedstat");
    double on_cpu = 0;
    in >> on_cpu;
    all += on_cpu / 1e6;
  }
  return all;
}

Bytes repeated(std::initializer_list<std::uint8_t> what, std::size_t size) {
  Bytes out;
  while (out.size() + what.size() <= size) out.insert(out.end(), what);
  return out;
}

/// A device with its key, and the messages it makes.
struct Maker {
  x509::Certificate ca;
  x509::PrivateKey key;
  SystemRandom random{};
  x509::Certificate signer = *x509::self_signed_signer(*x509::Name::from_ios("CN=cost"),
                                                       ca.not_before(), key, x509::Digest::sha256);

  [[nodiscard]] Bytes request(std::vector<x509::Extension> extensions = {}) const {
    return to_bytes(
        x509::sign_request({signer.subject(), {}, std::move(extensions)}, key, x509::Digest::sha256)
            ->der());
  }
  [[nodiscard]] Bytes message(ByteView body) {
    return *scep::request(body,
                          {scep::MessageType::pkcs_req, "cost", scep::make_nonce(random), ca,
                           signer, scep::Cipher::aes128_cbc, x509::Digest::sha256},
                          key, random);
  }
  /// Signed as it should be, around any octets.
  [[nodiscard]] Bytes around(const Bytes& enveloped) const {
    return *scep::cms::sign(
        {.content = enveloped,
         .attributes = {scep::cms::attribute(der::Oid("2.16.840.1.113733.1.9.2"),
                                             der::printable("19")),
                        scep::cms::attribute(der::Oid("2.16.840.1.113733.1.9.7"),
                                             der::printable("cost")),
                        scep::cms::attribute(der::Oid("2.16.840.1.113733.1.9.5"),
                                             der::tag::octet_string, Bytes(16))},
         .bag = {signer}},
        signer, key);
  }
};

/// As many recipients as are read, with the CA's serial number and names of 4 KiB that are nearly
/// its own.
Bytes many_recipients(const x509::Certificate& ca) {
  Bytes names;
  while (names.size() < 3900) {
    const Bytes one = der::tlv(
        der::tag::set, der::sequence({der::object_identifier("2.5.4.3"), der::printable("x y")}));
    names.insert(names.end(), one.begin(), one.end());
  }
  const Bytes name = der::tlv(der::tag::sequence, names);
  const Bytes rsa = der::sequence({der::object_identifier("1.2.840.113549.1.1.1")});
  const Bytes one =
      der::sequence({der::small_integer(0), der::sequence({name, ca.serial().integer_der()}), rsa,
                     der::tlv(der::tag::octet_string, Bytes(32, 1))});
  Bytes recipients;
  for (int i = 0; i < 15; ++i) recipients.insert(recipients.end(), one.begin(), one.end());
  const Bytes algorithm = der::sequence({der::object_identifier("2.16.840.1.101.3.4.1.2"),
                                         der::tlv(der::tag::octet_string, Bytes(16))});
  const Bytes content = der::sequence({der::object_identifier("1.2.840.113549.1.7.1"), algorithm,
                                       der::tlv(der::context_primitive(0), Bytes(16))});
  return der::sequence(
      {der::object_identifier("1.2.840.113549.1.7.3"),
       der::tlv(der::context(0), der::sequence({der::small_integer(0),
                                                der::tlv(der::tag::set, recipients), content}))});
}

}  // namespace

int main(int argc, char** argv) {
  std::uint16_t port = 0;
  int pid = 0;
  std::string key_file;
  int times = 50;
  CLI::App app("What a bad request costs the server");
  app.add_option("--port", port, "where it listens")->required();
  app.add_option("--pid", pid, "its process")->required();
  app.add_option("--key", key_file, "a key that is dear to verify with, in PEM")->required();
  app.add_option("--times", times, "how often each is sent");
  CLI11_PARSE(app, argc, argv);

  const std::string told = converse(port, get("/scep?operation=GetCACert"));
  if (told.empty()) stop("no answer to GetCACert");
  const auto ca = scep::parse_ca_cert(as_bytes(told).subspan(told.find("\r\n\r\n") + 4));
  if (!ca) stop("GetCACert: " + ca.error().detail);
  std::ifstream in(key_file);
  std::stringstream pem;
  pem << in.rdbuf();
  const auto dear_key = x509::PrivateKey::from_pem(pem.str().substr(pem.str().find("-----")));
  if (!dear_key) stop(key_file + ": " + dear_key.error().detail);

  Maker usual{ca->front(), *x509::PrivateKey::generate_rsa(2048)};
  Maker dear{ca->front(), *dear_key};
  Bytes wrong_signature = usual.message(usual.request());
  wrong_signature.back() ^= 1;
  Bytes unproven = usual.request();
  unproven.back() ^= 1;
  Bytes dear_unproven = dear.request();
  dear_unproven.back() ^= 1;
  std::string fields = "GET / HTTP/1.1\r\n";
  for (int i = 0; fields.size() < 79 * 1024; ++i) fields += fmt::format("{:x}:\r\n", i);
  std::string escapes = "/scep?operation=PKIOperation&message=";
  while (escapes.size() < 78 * 1024) escapes += "%41%3D";

  const std::vector<std::pair<std::string, std::string>> requests = {
      {"4 KiB of 0xFF", post(Bytes(4096, 0xFF))},
      {"64 KiB of one tag's octets", post(repeated({0x1F, 0xFF, 0xFF, 0xFF}, 65536))},
      {"64 KiB of nested BER, SEQUENCEs", post(repeated({0x30, 0x80}, 65536))},
      {"64 KiB of nested BER, OCTET STRINGs", post(repeated({0x24, 0x80}, 65536))},
      {"32,000 elements, DER", post(der::tlv(der::tag::sequence, repeated({0x05, 0x00}, 65000)))},
      {"32,000 elements, BER",
       post(der::concat({Bytes{0x30, 0x80}, repeated({0x05, 0x00}, 65000), Bytes{0, 0}}))},
      {"2 MiB",
       "POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: a\r\nContent-Length: "
       "2097152\r\n\r\n" +
           std::string(65536, '0')},
      {"10,000 header fields", fields + "\r\n"},
      {"78 KiB of percent signs in the URL", get(escapes)},
      {"a wrong signature on the message", post(wrong_signature)},
      {"a wrong signature, RSA-8192, e of 64 bits",
       [&] {
         Bytes message = dear.message(usual.request());
         message.back() ^= 1;
         return post(message);
       }()},
      {"an envelope that does not open", post(usual.message(Bytes(600, 0xFF)))},
      {"60 KiB of NULLs in an envelope", post(usual.message(repeated({0x05, 0x00}, 60000)))},
      {"more recipients, with names of 4 KiB", post(usual.around(many_recipients(ca->front())))},
      {"a PKCS #10 that proves nothing", post(usual.message(unproven))},
      {"the same, RSA-8192, e of 64 bits", post(dear.message(dear_unproven))},
      {"a request that is refused, RSA-8192", post(dear.message(dear.request()))},
      {"a PKCS #10 with 60 KiB of extension",
       post(usual.message(usual.request({{"1.2.3.4", false, Bytes(50000, 0x41)}})))},
  };
  fmt::print("  {:<44}{:>8}{:>12}\n", "request", "answer", "CPU ms");
  double most = 0;
  for (const auto& [what, request] : requests) {
    std::string answer = converse(port, request);
    const double before = cpu_ms(pid);
    for (int i = 0; i < times; ++i) answer = converse(port, request);
    // What is closed after the answer is part of it.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const double each = (cpu_ms(pid) - before) / times;
    most = std::max(most, each);
    fmt::print("  {:<44}{:>8}{:>12.2f}\n", what, answer.empty() ? "none" : answer.substr(9, 3),
               each);
  }
  fmt::print("  {:<44}{:>8}{:>12.2f}\n", "the dearest", "", most);
  return 0;
}
