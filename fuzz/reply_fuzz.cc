// The client's side: whatever a server, or somebody in its place, answers. Nothing is taken that
// the CA's key has not signed.

#include "scep_parties.h"

using namespace umbra;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const ByteView rest(data + 1, size - 1);
  const std::vector<x509::Certificate> signers = {fuzz::ca().certificate};
  switch (data[0] % 4) {
    case 0: {
      const scep::ReplyExpectation expected{.transaction_id = "T",
                                            .sender_nonce = scep::Nonce(16, 7),
                                            .signers = signers,
                                            .recipient = fuzz::device().certificate};
      const auto reply = scep::open_cert_rep(rest, expected, fuzz::device().key, {.des = true});
      if (reply && reply->status == scep::PkiStatus::success && reply->certificates.empty() &&
          reply->crls.empty())
        std::abort();
      break;
    }
    case 1: {
      const auto next = scep::parse_next_ca_cert(rest, signers);
      if (next && next->empty()) std::abort();
      break;
    }
    case 2: {
      const auto received = scep::parse_ca_cert(rest);
      if (received && received->empty()) std::abort();
      break;
    }
    default: {
      const auto capabilities = scep::parse_capabilities(as_text(rest));
      (void)scep::best_cipher(capabilities);
      (void)scep::best_digest(capabilities, x509::Digest::sha512);
      const auto again = scep::parse_capabilities(scep::to_text(capabilities));
      if (scep::to_text(again) != scep::to_text(capabilities)) std::abort();
    }
  }
  return 0;
}
