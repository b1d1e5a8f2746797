// The client's side: whatever a server, or somebody in its place, answers. The CA's key has signed
// no replies but those of the corpus, so nothing else than what they say is ever taken.

#include "scep_parties.h"

using namespace umbra;
using fuzz::must;

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
      if (!reply) break;
      must(reply->crls.empty());
      if (reply->status == scep::PkiStatus::success) {
        must(reply->certificates.size() == 1 &&
             reply->certificates[0] == fuzz::device().certificate);
      } else {
        must(reply->certificates.empty());
      }
      must(reply->status == scep::PkiStatus::failure ? reply->fail_info == scep::FailInfo::bad_alg
                                                     : !reply->fail_info);
      break;
    }
    case 1: {
      const auto next = scep::parse_next_ca_cert(rest, signers);
      must(!next || (next->size() == 1 && (*next)[0] == fuzz::device().certificate));
      break;
    }
    case 2: {
      const auto received = scep::parse_ca_cert(rest);
      must(!received || !received->empty());
      break;
    }
    default: {
      const auto capabilities = scep::parse_capabilities(as_text(rest));
      (void)scep::best_cipher(capabilities);
      (void)scep::best_digest(capabilities, x509::Digest::sha512);
      const auto again = scep::parse_capabilities(scep::to_text(capabilities));
      must(scep::to_text(again) == scep::to_text(capabilities));
    }
  }
  return 0;
}
