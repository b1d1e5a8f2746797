#include "scenarios/lab.h"

#include <unistd.h>

#include <cstdlib>

#include <gtest/gtest.h>

namespace umbra::lab {

std::string server_text(const std::string& auto_rollover, const std::string& grant) {
  return "ip http server\n"
         "crypto pki server ROOTCA\n"
         " database level complete\n"
         " database archive pkcs12 password 7 01100F175804575D72\n"
         " issuer-name CN=RootCA,OU=TAC,O=Cisco\n" +
         (grant.empty() ? "" : " " + grant + "\n") +
         " lifetime certificate 365\n"
         " lifetime ca-certificate 730\n" +
         (auto_rollover.empty() ? "" : " auto-rollover " + auto_rollover + "\n") + " no shutdown\n";
}

std::string spoke_text(const std::string& name, const std::string& auto_enroll,
                       const std::string& more) {
  return "crypto pki trustpoint " + name +
         "\n"
         " enrollment url http://172.16.1.1:80\n"
         " serial-number\n"
         " ip-address none\n"
         " password 0 Rev0cati0n$Passw0rd\n"
         " subject-name CN=spoke-1.cisco.com,OU=CVO\n"
         " revocation-check crl\n"
         " rsakeypair spoke-1-RSA\n" +
         (auto_enroll.empty() ? "" : " " + auto_enroll + "\n") + more;
}

config::Configuration configure(const std::string& text) {
  const config::Parsed parsed = config::parse(text);
  for (const auto& fault : parsed.faults) ADD_FAILURE() << config::to_string(fault, "lab.conf");
  return parsed.configuration;
}

ScratchDirectory::ScratchDirectory() {
  std::string shape = (std::filesystem::temp_directory_path() / "umbra-lab-XXXXXX").string();
  if (::mkdtemp(shape.data()) == nullptr) std::abort();
  path_ = shape;
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void authenticate(sim::World& world, const std::string& name) {
  auto& trustpoint = world.trustpoint(name);
  std::optional<x509::Certificate> shown;
  trustpoint.fetch_ca([&shown](Result<x509::Certificate> fetched) {
    if (fetched) shown = *fetched;
  });
  world.settle();
  ASSERT_TRUE(shown) << "the CA certificate was fetched";
  bool accepted = false;
  trustpoint.accept_ca(*shown, [&accepted](Result<void> result) { accepted = result.has_value(); });
  world.settle();
  ASSERT_TRUE(accepted);
  // With auto-enroll an authenticated trustpoint enrols at once.
  world.run_until(to_time(world.clock().now()));
}

std::vector<Exchange> exchanges(const sim::World& world) {
  std::vector<Exchange> all;
  for (const auto& call : world.calls()) {
    const std::size_t query = call.target.find('?');
    const auto operation = scep::parse_query(
        query == std::string::npos ? "" : std::string_view(call.target).substr(query + 1));
    if (!operation) {
      all.push_back({to_time(call.at), call.target, "", false});
      continue;
    }
    switch (operation->operation) {
      case scep::Operation::get_ca_caps:
        all.push_back({to_time(call.at), "GetCACaps", "", false});
        break;
      case scep::Operation::get_ca_cert:
        all.push_back({to_time(call.at), "GetCACert", "", false});
        break;
      case scep::Operation::get_next_ca_cert:
        all.push_back({to_time(call.at), "GetNextCACert", "", false});
        break;
      case scep::Operation::pki_operation: {
        const Bytes message = call.method == "POST"
                                  ? call.body
                                  : scep::parse_get_message(operation->message).value_or(Bytes{});
        const auto opened = scep::open_envelope(message, {});
        if (!opened) {
          ADD_FAILURE() << "a trustpoint sent what cannot be opened: " << opened.error().detail;
          break;
        }
        const auto recipient = scep::recipient_of(opened->envelope);
        all.push_back({to_time(call.at), std::string(to_string(opened->envelope.type)),
                       recipient ? recipient->serial.to_hex() : "",
                       opened->envelope.signer.self_issued()});
        break;
      }
    }
  }
  return all;
}

std::vector<Time> times_of(const std::vector<Exchange>& all, const std::string& what) {
  std::vector<Time> times;
  for (const auto& exchange : all) {
    if (exchange.what == what) times.push_back(exchange.at);
  }
  return times;
}

std::vector<Time> logged(const sim::World& world, const std::string& text) {
  std::vector<Time> times;
  for (const auto& line : world.log()) {
    if (line.text.find(text) != std::string::npos) times.push_back(to_time(line.at));
  }
  return times;
}

}  // namespace umbra::lab
