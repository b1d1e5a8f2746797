#include "scep/message.h"

#include <algorithm>

#include "scep/cms.h"
#include "x509/der.h"

namespace umbra::scep {
namespace {

namespace der = x509::der;
namespace tag = x509::der::tag;

constexpr std::size_t message_octets_max = 65536;
constexpr std::size_t reply_octets_max = 32U << 20;  // a CRL may be large

// RFC 8894 3.2: SCEP's own signed attributes.
constexpr der::Oid oid_message_type("2.16.840.1.113733.1.9.2");
constexpr der::Oid oid_pki_status("2.16.840.1.113733.1.9.3");
constexpr der::Oid oid_fail_info("2.16.840.1.113733.1.9.4");
constexpr der::Oid oid_sender_nonce("2.16.840.1.113733.1.9.5");
constexpr der::Oid oid_recipient_nonce("2.16.840.1.113733.1.9.6");
constexpr der::Oid oid_transaction_id("2.16.840.1.113733.1.9.7");
constexpr der::Oid oid_fail_info_text("1.3.6.1.5.5.7.24.1");

constexpr const char* message_check_text = "the message does not open, or is not what was signed";

std::optional<std::string> text_of(const std::vector<cms::Attribute>& attributes, ByteView oid) {
  const Bytes* const value = cms::find(attributes, oid);
  if (value == nullptr) return std::nullopt;
  der::Reader reader(*value);
  const auto element = reader.next();
  if (!element) return std::nullopt;
  const auto text = der::parse_text(*element);
  if (!text) return std::nullopt;
  return *text;
}

std::optional<Bytes> octets_of(const std::vector<cms::Attribute>& attributes, ByteView oid) {
  const Bytes* const value = cms::find(attributes, oid);
  if (value == nullptr) return std::nullopt;
  const auto element = der::parse_one(*value, tag::octet_string, "a nonce");
  if (!element) return std::nullopt;
  return to_bytes(element->content);
}

std::optional<int> number_of(const std::vector<cms::Attribute>& attributes, ByteView oid) {
  const auto text = text_of(attributes, oid);
  if (!text || text->empty() || text->size() > 3 ||
      text->find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  return std::stoi(*text);
}

bool is_request(int type) {
  switch (static_cast<MessageType>(type)) {
    case MessageType::renewal_req:
    case MessageType::pkcs_req:
    case MessageType::cert_poll:
    case MessageType::get_cert:
    case MessageType::get_crl:
      return true;
    case MessageType::cert_rep:
      return false;
  }
  return false;
}

bool plausible_transaction_id(const std::string& id) {
  return !id.empty() && id.size() <= 255 &&
         std::all_of(id.begin(), id.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

std::optional<Refusal> digest_refusal(x509::Digest digest, const Legacy& legacy) {
  if (digest == x509::Digest::md5 && !legacy.md5) {
    return Refusal{FailInfo::bad_alg, "MD5 is refused here; use SHA-256"};
  }
  if (digest == x509::Digest::sha1 && !legacy.sha1) {
    return Refusal{FailInfo::bad_alg, "SHA-1 is refused here; use SHA-256"};
  }
  return std::nullopt;
}

Bytes printable(const der::Oid& oid, std::string_view text) {
  return cms::attribute(oid, tag::printable_string, as_bytes(text));
}

/// The attributes every pkiMessage has.
std::vector<Bytes> common_attributes(MessageType type, std::string_view transaction_id,
                                     const Nonce& sender_nonce) {
  constexpr std::size_t all_max = 8;
  std::vector<Bytes> all;
  all.reserve(all_max);
  all.push_back(printable(oid_message_type, std::to_string(static_cast<int>(type))));
  all.push_back(printable(oid_transaction_id, transaction_id));
  all.push_back(cms::attribute(oid_sender_nonce, tag::octet_string, sender_nonce));
  return all;
}

Result<IssuerAndSubject> parse_issuer_and_subject(ByteView input) {
  UMBRA_TRY(const der::Element outer, der::parse_one(input, tag::sequence, "an IssuerAndSubject"));
  der::Reader reader(outer.content);
  UMBRA_TRY(const der::Element issuer, reader.expect(tag::sequence, "an issuer"));
  UMBRA_TRY(const der::Element subject, reader.expect(tag::sequence, "a subject"));
  UMBRA_CHECK(reader.finish("an IssuerAndSubject"));
  IssuerAndSubject out;
  UMBRA_TRY(out.issuer, x509::Name::from_der(issuer.whole));
  UMBRA_TRY(out.subject, x509::Name::from_der(subject.whole));
  return out;
}

/// What is inside the envelope, by message type. Errors: malformed, crypto (the request's own
/// signature).
Result<std::variant<x509::Request, IssuerAndSubject, IssuerAndSerial>> parse_body(
    MessageType type, ByteView plain, const x509::PublicKey& signer) {
  using Body = std::variant<x509::Request, IssuerAndSubject, IssuerAndSerial>;
  switch (type) {
    case MessageType::pkcs_req:
    case MessageType::renewal_req: {
      UMBRA_TRY(auto request, x509::Request::from_der(plain, signer));
      UMBRA_CHECK(request.verify());
      return Body(std::move(request));
    }
    case MessageType::cert_poll: {
      UMBRA_TRY(auto names, parse_issuer_and_subject(plain));
      return Body(std::move(names));
    }
    case MessageType::get_cert:
    case MessageType::get_crl: {
      UMBRA_TRY(auto wanted, cms::parse_issuer_and_serial(plain));
      return Body(std::move(wanted));
    }
    case MessageType::cert_rep:
      break;
  }
  return fail(Errc::malformed, "no request");
}

}  // namespace

Result<Opened> open_envelope(ByteView message, const Legacy& legacy) {
  if (message.size() > reply_octets_max) return fail(Errc::malformed, "a message larger than any");
  UMBRA_TRY(cms::SignedData data, cms::parse_signed_data(message));
  if (data.signers.size() != 1) return fail(Errc::malformed, "a pkiMessage has exactly one signer");
  const cms::SignerInfo& signer = data.signers.front();
  const auto found =
      std::find_if(data.certificates.begin(), data.certificates.end(),
                   [&](const auto& certificate) { return cms::names(signer, certificate); });
  if (found == data.certificates.end())
    return fail(Errc::malformed, "the signer's certificate is not in the message");
  const auto type = number_of(signer.attributes, oid_message_type);
  auto transaction_id = text_of(signer.attributes, oid_transaction_id);
  auto sender_nonce = octets_of(signer.attributes, oid_sender_nonce);
  if (!transaction_id || !plausible_transaction_id(*transaction_id)) {
    return fail(Errc::malformed, "no usable transactionID");
  }
  if (!type) return fail(Errc::malformed, "no usable messageType");
  if (*type != static_cast<int>(MessageType::cert_rep) &&
      (!sender_nonce || sender_nonce->empty() || sender_nonce->size() > 64)) {
    return fail(Errc::malformed, "no usable senderNonce");
  }
  if (!signer.digest) return tl::unexpected(signer.digest.error());
  UMBRA_CHECK(cms::verify(data, signer, found->public_key()));

  Opened opened{
      .envelope = {.type = static_cast<MessageType>(*type),
                   .transaction_id = *std::move(transaction_id),
                   .sender_nonce = sender_nonce.value_or(Nonce{}),
                   .recipient_nonce = octets_of(signer.attributes, oid_recipient_nonce),
                   .signer = *found,
                   .digest = *signer.digest,
                   .enveloped = std::move(data.content).value_or(Bytes{}),
                   .status = std::nullopt,
                   .fail_info = std::nullopt,
                   .fail_info_text = text_of(signer.attributes, oid_fail_info_text).value_or(""),
                   .bag = std::move(data.certificates)},
      .refused = std::nullopt};
  if (*type == static_cast<int>(MessageType::cert_rep)) {
    const auto status = number_of(signer.attributes, oid_pki_status);
    if (!status || (*status != 0 && *status != 2 && *status != 3))
      return fail(Errc::malformed, "no usable pkiStatus");
    opened.envelope.status = static_cast<PkiStatus>(*status);
    const auto info = number_of(signer.attributes, oid_fail_info);
    if (info && *info <= 4) opened.envelope.fail_info = static_cast<FailInfo>(*info);
  } else if (!is_request(*type)) {
    // Kept out of the enumeration: nobody may switch on a number that is none of its values.
    opened.envelope.type = MessageType::pkcs_req;
    opened.refused = Refusal{FailInfo::bad_request,
                             "messageType " + std::to_string(*type) + " is not known here"};
  }
  if (!opened.refused) opened.refused = digest_refusal(*signer.digest, legacy);
  return opened;
}

std::optional<IssuerAndSerial> recipient_of(const Envelope& envelope) {
  const auto data = cms::parse_enveloped_data(envelope.enveloped);
  if (!data || data->recipients.empty()) return std::nullopt;
  return data->recipients.front().id;
}

tl::expected<Request, Refusal> open_request(const Envelope& envelope,
                                            std::span<const Recipient> recipients,
                                            const Legacy& legacy) {
  const auto refuse = [](FailInfo info, std::string text) {
    return tl::unexpected(Refusal{info, std::move(text)});
  };
  const auto data = cms::parse_enveloped_data(envelope.enveloped);
  if (!data) return refuse(FailInfo::bad_message_check, message_check_text);
  if (!data->cipher)
    return refuse(FailInfo::bad_alg, "this content encryption is not known here; use AES");
  if (*data->cipher == Cipher::des_cbc && !legacy.des) {
    return refuse(FailInfo::bad_alg, "single DES is refused here; use AES or 3DES");
  }
  for (const auto& named : data->recipients) {
    for (std::size_t i = 0; i < recipients.size(); ++i) {
      const x509::Certificate& ours = recipients[i].certificate;
      if (named.id.serial != ours.serial() || !(named.id.issuer == ours.issuer())) continue;
      auto plain = cms::decrypt(*data, named.encrypted_key, recipients[i].key, legacy.des);
      if (!plain && plain.error().code == Errc::unsupported) {
        return refuse(FailInfo::bad_alg, "this content encryption is not available here; use AES");
      }
      // From here on one answer for everything: whether padding, grammar or signature failed is
      // nobody's business.
      if (!plain) return refuse(FailInfo::bad_message_check, message_check_text);
      auto body = parse_body(envelope.type, *plain, envelope.signer.public_key());
      wipe(*plain);
      if (!body && body.error().code == Errc::unsupported) {
        return refuse(FailInfo::bad_alg,
                      "the request uses a key or signature algorithm that is not known here");
      }
      if (!body) return refuse(FailInfo::bad_message_check, message_check_text);
      if (const auto* request = std::get_if<x509::Request>(&*body)) {
        if (const auto refusal = digest_refusal(request->signature_algorithm()->digest, legacy))
          return tl::unexpected(*refusal);
      }
      return Request{i, *data->cipher, *std::move(body)};
    }
  }
  return refuse(FailInfo::bad_request,
                "the message is enveloped for a certificate this server does not have; fetch it "
                "with GetCACert");
}

Result<Bytes> cert_rep(const Answer& answer, const ReplyContext& context, const Recipient& signer,
                       Random& random) {
  auto attributes =
      common_attributes(MessageType::cert_rep, context.request.transaction_id, make_nonce(random));
  attributes.push_back(
      cms::attribute(oid_recipient_nonce, tag::octet_string, context.request.sender_nonce));
  attributes.push_back(cms::attribute(cms::oid_signing_time, der::time(context.now)));
  PkiStatus status = PkiStatus::success;
  Bytes plain;
  if (const auto* granted = std::get_if<Granted>(&answer)) {
    plain = cms::degenerate(granted->certificates, {});
  } else if (const auto* found = std::get_if<CrlFound>(&answer)) {
    plain = cms::degenerate({}, std::span<const Bytes>(&found->crl, 1));
  } else if (std::holds_alternative<Pending>(answer)) {
    status = PkiStatus::pending;
  } else {
    const auto& refusal = std::get<Refusal>(answer);
    status = PkiStatus::failure;
    attributes.push_back(printable(oid_fail_info, std::to_string(static_cast<int>(refusal.info))));
    if (!refusal.text.empty()) {
      attributes.push_back(
          cms::attribute(oid_fail_info_text, tag::utf8_string, as_bytes(refusal.text)));
    }
  }
  attributes.push_back(printable(oid_pki_status, std::to_string(static_cast<int>(status))));
  cms::SignTemplate what{
      .content = {},
      .form = context.no_content == NoContent::absent ? cms::Content::absent : cms::Content::empty,
      .attributes = std::move(attributes),
      .bag = {signer.certificate},
      .digest = context.request.digest};
  if (!plain.empty()) {
    UMBRA_TRY(what.content, cms::envelop(plain, context.request.signer, context.cipher, random));
    what.form = cms::Content::octets;
  }
  return cms::sign(what, signer.certificate, signer.key);
}

Result<Bytes> request(ByteView body, const RequestContext& context,
                      const x509::PrivateKey& signer_key, Random& random) {
  cms::SignTemplate what{
      .content = {},
      .form = cms::Content::octets,
      .attributes = common_attributes(context.type, context.transaction_id, context.sender_nonce),
      .bag = {context.signer},
      .digest = context.digest};
  UMBRA_TRY(what.content, cms::envelop(body, context.recipient, context.cipher, random));
  UMBRA_TRY(Bytes message, cms::sign(what, context.signer, signer_key));
  if (message.size() > message_octets_max)
    return fail(Errc::malformed, "a request of more than 64 KiB");
  return message;
}

Bytes to_der(const IssuerAndSubject& value) {
  return der::sequence({value.issuer.der(), value.subject.der()});
}
Bytes to_der(const IssuerAndSerial& value) { return cms::to_der(value.issuer, value.serial); }

Result<CertRep> open_cert_rep(ByteView message, const ReplyExpectation& expected,
                              const x509::PrivateKey& recipient_key, const Legacy& legacy) {
  if (message.size() > reply_octets_max) return fail(Errc::malformed, "a reply larger than any");
  UMBRA_TRY(const cms::SignedData data, cms::parse_signed_data(message));
  if (data.signers.size() != 1) return fail(Errc::malformed, "a CertRep has exactly one signer");
  const cms::SignerInfo& signer = data.signers.front();
  // Only a certificate we were told to accept may verify the reply; what lies in its bag proves
  // nothing.
  Result<void> verified = fail(Errc::crypto, "the reply is not signed by the CA");
  CertRep reply;
  for (const auto& accepted : expected.signers) {
    if (verified || !cms::names(signer, accepted)) continue;
    verified = cms::verify(data, signer, accepted.public_key());
    if (verified) reply.signer = accepted;
  }
  if (!verified) return tl::unexpected(verified.error());
  if (*signer.digest == x509::Digest::md5 && !legacy.md5)
    return fail(Errc::unsupported, "a reply signed with MD5");
  if (*signer.digest == x509::Digest::sha1 && !legacy.sha1)
    return fail(Errc::unsupported, "a reply signed with SHA-1");

  if (number_of(signer.attributes, oid_message_type) != static_cast<int>(MessageType::cert_rep)) {
    return fail(Errc::malformed, "the reply is no CertRep");
  }
  if (text_of(signer.attributes, oid_transaction_id) != expected.transaction_id) {
    return fail(Errc::malformed, "the reply belongs to another transaction");
  }
  if (octets_of(signer.attributes, oid_recipient_nonce) != expected.sender_nonce) {
    return fail(Errc::malformed, "the reply's recipientNonce is not the request's senderNonce");
  }
  const auto status = number_of(signer.attributes, oid_pki_status);
  if (status == static_cast<int>(PkiStatus::pending)) {
    reply.status = PkiStatus::pending;
    return reply;
  }
  if (status == static_cast<int>(PkiStatus::failure)) {
    const auto info = number_of(signer.attributes, oid_fail_info);
    if (info && *info <= 4) reply.fail_info = static_cast<FailInfo>(*info);
    reply.fail_info_text = text_of(signer.attributes, oid_fail_info_text).value_or("");
    return reply;
  }
  if (status != static_cast<int>(PkiStatus::success))
    return fail(Errc::malformed, "the reply has no usable pkiStatus");
  reply.status = PkiStatus::success;

  UMBRA_TRY(const cms::EnvelopedData envelope,
            cms::parse_enveloped_data(data.content.value_or(Bytes{})));
  for (const auto& recipient : envelope.recipients) {
    if (recipient.id.serial != expected.recipient.serial() ||
        !(recipient.id.issuer == expected.recipient.issuer()))
      continue;
    UMBRA_TRY(const Bytes plain,
              cms::decrypt(envelope, recipient.encrypted_key, recipient_key, legacy.des));
    UMBRA_TRY(const cms::SignedData inner, cms::parse_signed_data(plain));
    reply.certificates = inner.certificates;
    reply.crls = inner.crls;
    return reply;
  }
  return fail(Errc::crypto, "the reply is enveloped for somebody else");
}

}  // namespace umbra::scep
