// The server's side of a pkiMessage. The first octet chooses what the rest is: the message as it
// comes from the network, the EnvelopedData in it, or the body in that, which a stranger can put
// under a signature of his own. What comes out must hold what it promises.

#include "scep/glance.h"
#include "scep_parties.h"

using namespace umbra;
using fuzz::must;

namespace {

const scep::Legacy everything{.des = true, .md5 = true, .sha1 = true};

/// `sent`: the body, where the harness knows it; it is read and written back octet for octet.
void look_inside(const scep::Envelope& envelope, std::optional<ByteView> sent = std::nullopt) {
  const auto same_as_sent = [&](ByteView read) { return !sent || equal(read, *sent); };
  const std::vector<scep::Recipient> recipients = {{fuzz::ca().certificate, fuzz::ca().key}};
  const auto type = envelope.type;
  const auto request = scep::open_request(envelope, recipients, everything);
  if (!request) {
    must(!request.error().text.empty());
    return;
  }
  must(request->recipient == 0);
  if (const auto* csr = std::get_if<x509::Request>(&request->body)) {
    must(type == scep::MessageType::pkcs_req || type == scep::MessageType::renewal_req);
    must(csr->verify().has_value() && same_as_sent(csr->der()));
  } else if (const auto* poll = std::get_if<scep::IssuerAndSubject>(&request->body)) {
    must(type == scep::MessageType::cert_poll);
    must(same_as_sent(scep::to_der(*poll)));
  } else {
    const auto& wanted = std::get<scep::IssuerAndSerial>(request->body);
    must(type == scep::MessageType::get_cert || type == scep::MessageType::get_crl);
    must(same_as_sent(scep::to_der(wanted)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  constexpr scep::MessageType types[] = {
      scep::MessageType::pkcs_req, scep::MessageType::renewal_req, scep::MessageType::cert_poll,
      scep::MessageType::get_cert, scep::MessageType::get_crl};
  const auto type = types[(data[0] >> 2) % std::size(types)];
  const ByteView rest(data + 1, size - 1);
  switch (data[0] & 3) {
    case 0: {
      auto opened = scep::open_envelope(rest, everything);
      // What is seen at a glance is what is there.
      const auto seen = scep::glance(rest);
      if (!opened) return 0;
      if (opened->envelope.bag.size() == 1) {
        const x509::Certificate& signer = opened->envelope.signer;
        must(seen && equal(seen->certificate, signer.der()));
        must(equal(seen->issuer, signer.issuer().der()) && seen->not_after == signer.not_after());
      }
      must(!opened->envelope.transaction_id.empty());
      must(opened->envelope.type == scep::MessageType::cert_rep
               ? opened->envelope.status.has_value()
               : !opened->envelope.sender_nonce.empty());
      (void)scep::recipient_of(opened->envelope);
      if (!opened->refused) look_inside(opened->envelope);
      return 0;
    }
    case 1: {
      scep::Envelope envelope{.type = type,
                              .transaction_id = "T",
                              .sender_nonce = scep::Nonce(16, 7),
                              .recipient_nonce = {},
                              .signer = fuzz::device().certificate,
                              .enveloped = to_bytes(rest),
                              .status = {},
                              .fail_info = {},
                              .fail_info_text = {},
                              .bag = {}};
      (void)scep::recipient_of(envelope);
      look_inside(envelope);
      return 0;
    }
    default: {
      if (size > 32768) return 0;
      fuzz::CountingRandom random;
      const auto sent =
          scep::request(rest, fuzz::context(type), fuzz::device().key, random).value();
      auto opened = scep::open_envelope(sent, {});
      must(opened && !opened->refused && opened->envelope.type == type);
      must(opened->envelope.signer == fuzz::device().certificate);
      look_inside(opened->envelope, rest);
      return 0;
    }
  }
}
