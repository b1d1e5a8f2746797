// What lies behind a right signature, where mutation alone never gets: the first octet chooses what
// the rest is, and the harness signs it as the peer's own software would, however odd it is. What
// is accepted is written and read back the same.

#include <algorithm>

#include "scep/cms.h"
#include "scep_parties.h"

using namespace umbra;
using fuzz::must;

namespace {

const scep::Legacy everything{.des = true, .md5 = true, .sha1 = true};

/// SCEP's attributes (RFC 8894 3.2), then signingTime, by their place in an input.
constexpr const char* attribute_oids[] = {"2.16.840.1.113733.1.9.2", "2.16.840.1.113733.1.9.3",
                                          "2.16.840.1.113733.1.9.4", "2.16.840.1.113733.1.9.5",
                                          "2.16.840.1.113733.1.9.6", "2.16.840.1.113733.1.9.7",
                                          "1.3.6.1.5.5.7.24.1",      "1.2.840.113549.1.9.5"};

/// Any number of (place of the OID, octets of the value, value).
std::vector<Bytes> attributes_from(ByteView input) {
  std::vector<Bytes> out;
  while (input.size() >= 2) {
    const std::size_t size = std::min<std::size_t>(input[1], input.size() - 2);
    out.push_back(scep::cms::attribute(
        x509::der::object_identifier(attribute_oids[input[0] % std::size(attribute_oids)]),
        input.subspan(2, size)));
    input = input.subspan(2 + size);
  }
  return out;
}

Bytes signed_by(const fuzz::Party& signer, std::vector<Bytes> attributes, ByteView content) {
  return scep::cms::sign({.content = to_bytes(content),
                          .form = scep::cms::Content::octets,
                          .attributes = std::move(attributes),
                          .bag = {signer.certificate},
                          .digest = x509::Digest::sha256},
                         signer.certificate, signer.key)
      .value();
}

/// A SUCCESS that answers fuzz::context(), with this content.
Bytes success(ByteView content) {
  // In the order of attribute_oids: messageType, pkiStatus, recipientNonce, transactionID.
  static const Bytes attributes = from_hex(
                                      "0003 1301 33  0103 1301 30"
                                      "0412 0410 07070707070707070707070707070707"
                                      "0503 1301 54")
                                      .value();
  return signed_by(fuzz::ca(), attributes_from(attributes), content);
}

Result<scep::CertRep> opened(ByteView message) {
  const scep::ReplyExpectation expected{.transaction_id = "T",
                                        .sender_nonce = scep::Nonce(16, 7),
                                        .signers = {fuzz::ca().certificate},
                                        .recipient = fuzz::device().certificate};
  return scep::open_cert_rep(message, expected, fuzz::device().key, everything);
}

/// Certificates and CRLs go through a bag of our own writing unchanged, though sorted.
void must_come_back(const std::vector<x509::Certificate>& certificates, std::vector<Bytes> crls) {
  const auto again = scep::cms::parse_signed_data(scep::certs_only(certificates, crls));
  must(again && again->certificates_skipped == 0 && !again->content && again->signers.empty());
  must(std::is_permutation(certificates.begin(), certificates.end(), again->certificates.begin(),
                           again->certificates.end()));
  must(std::is_permutation(crls.begin(), crls.end(), again->crls.begin(), again->crls.end()));
}

void open_attributes_of_request(ByteView input) {
  const auto message =
      scep::open_envelope(signed_by(fuzz::device(), attributes_from(input), {}), everything);
  if (!message) return;
  const scep::Envelope& envelope = message->envelope;
  must(envelope.signer == fuzz::device().certificate && envelope.enveloped.empty());
  must(!envelope.transaction_id.empty() && envelope.transaction_id.size() <= 255);
  must(std::all_of(envelope.transaction_id.begin(), envelope.transaction_id.end(),
                   [](char c) { return c >= 0x20 && c < 0x7F; }));
  if (envelope.type == scep::MessageType::cert_rep) {
    must(envelope.status.has_value() && !message->refused);
  } else {
    must(!envelope.sender_nonce.empty() && envelope.sender_nonce.size() <= 64);
    must(!envelope.status);
  }
}

void open_attributes_of_reply(ByteView input) {
  const auto reply = opened(signed_by(fuzz::ca(), attributes_from(input), {}));
  if (!reply) return;
  must(reply->status != scep::PkiStatus::success);  // without a content there is none
  must(reply->certificates.empty() && reply->crls.empty());
  must(reply->status == scep::PkiStatus::failure || !reply->fail_info);
}

void open_success(ByteView content) {
  const auto reply = opened(success(content));
  if (!reply) return;
  must(reply->status == scep::PkiStatus::success);
  must_come_back(reply->certificates, reply->crls);
}

void open_next_ca(ByteView content) {
  const std::vector<x509::Certificate> signers = {fuzz::ca().certificate};
  const auto next = scep::parse_next_ca_cert(signed_by(fuzz::ca(), {}, content), signers);
  if (!next) return;
  must(!next->empty() && std::find(next->begin(), next->end(), signers[0]) == next->end());
  must_come_back(*next, {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 32768) return 0;
  const ByteView rest(data + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      open_attributes_of_request(rest);
      break;
    case 1:
      open_attributes_of_reply(rest);
      break;
    case 2:  // the EnvelopedData of a SUCCESS
      open_success(rest);
      break;
    case 3: {  // what is inside that EnvelopedData
      fuzz::CountingRandom random;
      open_success(
          scep::cms::envelop(rest, fuzz::device().certificate, scep::Cipher::aes128_cbc, random)
              .value());
      break;
    }
    default:
      open_next_ca(rest);
  }
  return 0;
}
