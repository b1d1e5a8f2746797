#include "messages.h"

#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "scep/ca_messages.h"

namespace umbra::bench {
namespace {

constexpr const char* pki_operation = "/scep?operation=PKIOperation";
constexpr unsigned many_connections = 32;

}  // namespace

void in_parallel(std::size_t count, const std::function<void(std::size_t)>& task) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < processors(); ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < count; at = next++) task(at);
    });
  }
  for (auto& thread : threads) thread.join();
}

Authority authority_at(std::uint16_t port) {
  const std::string reply = ask(port, get("/scep?operation=GetCACert"));
  const auto all = must(scep::parse_ca_cert(as_bytes(reply)), "GetCACert");
  const auto ca = std::find_if(all.begin(), all.end(), [](const auto& one) { return one.is_ca(); });
  const auto other =
      std::find_if(all.begin(), all.end(), [](const auto& one) { return !one.is_ca(); });
  if (ca == all.end()) stop("GetCACert brought no CA certificate");
  return {*ca, other == all.end() ? *ca : *other};
}

Fleet::Fleet(std::uint16_t port, Style style)
    : style_(style),
      to_(authority_at(port)),
      key_(must(x509::PrivateKey::generate_rsa(2048), "key")) {}

std::vector<std::string> Fleet::enrolments(std::size_t count) {
  return make(count, scep::MessageType::pkcs_req, {});
}

std::vector<std::string> Fleet::renewals(std::span<const x509::Certificate> certificates) {
  return make(certificates.size(), scep::MessageType::renewal_req, certificates);
}

std::vector<std::string> Fleet::make(std::size_t count, scep::MessageType type,
                                     std::span<const x509::Certificate> signers) {
  const std::size_t first = asked_.size();
  asked_.resize(first + count);
  std::vector<std::string> out(count);
  in_parallel(count, [&](std::size_t i) {
    BenchRandom random;
    const std::string name = fmt::format("bench-{}", first + i);
    const auto subject = signers.empty()
                             ? must(x509::Name::from_ios("CN=" + name + ",O=Umbra"), "name")
                             : signers[i].subject();
    const auto signer =
        signers.empty()
            ? must(x509::self_signed_signer(subject, to_.ca.not_before(), key_, style_.digest),
                   "signer")
            : signers[i];
    const auto request =
        must(x509::sign_request({subject, std::nullopt, {}}, key_, style_.digest), "request");
    const scep::RequestContext context{
        type, name, scep::make_nonce(random), to_.recipient, signer, style_.cipher, style_.digest};
    out[i] =
        post(pki_operation, must(scep::request(request.der(), context, key_, random), "message"));
    asked_[first + i] = Asked{name, context.sender_nonce, signer, subject};
  });
  return out;
}

std::vector<std::optional<x509::Certificate>> Fleet::granted(std::span<const std::string> replies,
                                                             std::size_t first) const {
  std::vector<std::optional<x509::Certificate>> out(replies.size());
  in_parallel(replies.size(), [&](std::size_t i) {
    const Asked& asked = *asked_[first + i];
    const auto opened =
        scep::open_cert_rep(as_bytes(replies[i]),
                            {asked.transaction, asked.nonce, {to_.ca, to_.recipient}, asked.signer},
                            key_, {.des = style_.opens_des});
    if (!opened || opened->status != scep::PkiStatus::success) return;
    for (const auto& one : opened->certificates) {
      if (one.subject() == asked.subject && one.public_key() == key_.public_key() &&
          one.verify_signed_by(to_.ca.public_key()))
        out[i] = one;
    }
  });
  return out;
}

std::vector<x509::Certificate> enrolled(std::uint16_t port, Fleet& fleet, std::size_t count) {
  const std::size_t first = fleet.made();
  const auto requests = fleet.enrolments(count);
  const Load load = send_each(port, requests, many_connections);
  std::vector<x509::Certificate> out;
  for (auto& one : fleet.granted(load.replies, first)) {
    if (!one) stop("an enrolment was not granted");
    out.push_back(*std::move(one));
  }
  return out;
}

}  // namespace umbra::bench
