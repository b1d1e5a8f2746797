#pragma once

#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/random.h"
#include "scep/types.h"

/// RFC 8894 section 3: pkiMessages, server's side and client's side. Bytes in, typed values out,
/// and back.
namespace umbra::scep {

/// A pkiMessage opened as far as anyone can without a private key: the signature is checked with
/// the certificate that came along (which proves possession of that certificate's key, and nothing
/// about who issued it).
struct Envelope {
  MessageType type = MessageType::pkcs_req;
  std::string transaction_id;  ///< 1..255 characters of PrintableString
  Nonce sender_nonce;
  std::optional<Nonce> recipient_nonce;
  x509::Certificate signer;
  x509::Digest digest = x509::Digest::sha256;  ///< of the signature
  Bytes enveloped;  ///< DER of ContentInfo EnvelopedData; empty if the message has no content
  // CertRep only:
  std::optional<PkiStatus> status;
  std::optional<FailInfo> fail_info;
  std::string fail_info_text;
  std::vector<x509::Certificate> bag;  ///< every certificate that came along, the signer's too
};

/// A request that cannot be acted on but can be answered: FAILURE with this failInfo (RFC
/// 8894 3.2.1.4).
struct Refusal {
  FailInfo info = FailInfo::bad_request;
  std::string text;  ///< failInfoText: tells the peer what to mend; no paths, no inner detail
};

/// In:     a pkiMessage as received, DER or BER, at most 64 KiB (the transport bounds it too).
/// Errors: malformed or crypto where no CertRep can be addressed to anyone (not SignedData, no
/// signer certificate, no
///         transaction id or sender nonce, signature wrong, several signers): HTTP 400. `refused`
///         is filled instead where a CertRep can be sent: algorithm not allowed (badAlg),
///         messageType unknown (badRequest).
struct Opened {
  Envelope envelope;
  std::optional<Refusal> refused;
};
[[nodiscard]] Result<Opened> open_envelope(ByteView message, const Legacy& legacy);

/// A key that may open envelopes, named in them by issuer and serial (guide: the recipient's serial
/// tells a shadow request from a normal one).
struct Recipient {
  x509::Certificate certificate;
  x509::PrivateKey key;
};

struct Request {
  std::size_t recipient = 0;  ///< index of the recipient that it was enveloped for
  Cipher cipher = Cipher::aes128_cbc;
  /// PKCSReq, RenewalReq -> x509::Request; CertPoll -> IssuerAndSubject; GetCert, GetCRL ->
  /// IssuerAndSerial.
  std::variant<x509::Request, IssuerAndSubject, IssuerAndSerial> body;
};
/// Opens the envelope with the key its recipient names, and parses what is inside. One answer
/// (badMessageCheck) and one duration class for every way a decryption can go wrong, so that nobody
/// can use us as a padding oracle. Refusals: badRequest if no recipient of ours is named,
/// badMessageCheck, badAlg, badRequest on a malformed body or a PKCS #10 whose own signature is
/// wrong.
[[nodiscard]] tl::expected<Request, Refusal> open_request(const Envelope& envelope,
                                                          std::span<const Recipient> recipients,
                                                          const Legacy& legacy);

/// Whose issuer and serial the message was enveloped for, without opening it; for choosing among
/// several servers.
[[nodiscard]] std::optional<IssuerAndSerial> recipient_of(const Envelope& envelope);

/// How PENDING and FAILURE leave the content out: absent as RFC 8894 3.2.2 says, or an empty OCTET
/// STRING, which certmonger needs; we send the latter to PKIOperation by GET.
enum class NoContent { absent, empty_octet_string };

/// CertRep (RFC 8894 3.3.2).
struct Granted {
  std::vector<x509::Certificate> certificates;  ///< the issued one alone
};
struct CrlFound {
  Bytes crl;
};
struct Pending {};
using Answer = std::variant<Granted, CrlFound, Pending, Refusal>;
struct ReplyContext {
  const Envelope& request;             ///< whom to answer: its transaction id, nonce and signer
  Cipher cipher = Cipher::aes128_cbc;  ///< the request's own
  NoContent no_content = NoContent::absent;
  Time now;  ///< signingTime
};
/// Signed by `signer`, its certificate in the bag, digest of the request. Out: DER. Errors: crypto;
/// unsupported if the request's signer has no RSA key to encrypt for.
[[nodiscard]] Result<Bytes> cert_rep(const Answer& answer, const ReplyContext& context,
                                     const Recipient& signer, Random& random);

// The client's side.

struct RequestContext {
  MessageType type = MessageType::pkcs_req;
  std::string transaction_id;
  Nonce sender_nonce;
  x509::Certificate recipient;  ///< the CA (or RA encryption) certificate the envelope is for
  x509::Certificate signer;     ///< self-signed at first, the active identity at renewal
  Cipher cipher = Cipher::aes128_cbc;
  x509::Digest digest = x509::Digest::sha256;
};
/// `body`: DER of the PKCS #10, IssuerAndSubject or IssuerAndSerial.
[[nodiscard]] Result<Bytes> request(ByteView body, const RequestContext& context,
                                    const x509::PrivateKey& signer_key, Random& random);
[[nodiscard]] Bytes to_der(const IssuerAndSubject& value);
[[nodiscard]] Bytes to_der(const IssuerAndSerial& value);

struct CertRep {
  std::optional<x509::Certificate> signer;  ///< who of those that were accepted
  PkiStatus status = PkiStatus::failure;
  std::optional<FailInfo> fail_info;
  std::string fail_info_text;
  std::vector<x509::Certificate> certificates;  ///< SUCCESS: everything that came, in order
  std::vector<Bytes> crls;
};
struct ReplyExpectation {
  std::string transaction_id;
  Nonce sender_nonce;                      ///< must come back as recipientNonce
  std::vector<x509::Certificate> signers;  ///< accepted signers: CA, rollover CA, RAs
  x509::Certificate recipient;             ///< the request's signer
};
/// Errors: crypto if it is not signed by an accepted signer or cannot be opened, malformed if
/// anything that must match
///         does not. `legacy.des` also opens micromdm's single-DES answers.
[[nodiscard]] Result<CertRep> open_cert_rep(ByteView message, const ReplyExpectation& expected,
                                            const x509::PrivateKey& recipient_key,
                                            const Legacy& legacy);

}  // namespace umbra::scep
