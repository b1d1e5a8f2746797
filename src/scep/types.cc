#include "scep/types.h"

namespace umbra::scep {

std::string_view to_string(MessageType type) {
  switch (type) {
    case MessageType::cert_rep:
      return "CertRep";
    case MessageType::renewal_req:
      return "RenewalReq";
    case MessageType::pkcs_req:
      return "PKCSReq";
    case MessageType::cert_poll:
      return "CertPoll";
    case MessageType::get_cert:
      return "GetCert";
    case MessageType::get_crl:
      return "GetCRL";
  }
  return "unknown";
}

std::string_view to_string(FailInfo info) {
  switch (info) {
    case FailInfo::bad_alg:
      return "badAlg";
    case FailInfo::bad_message_check:
      return "badMessageCheck";
    case FailInfo::bad_request:
      return "badRequest";
    case FailInfo::bad_time:
      return "badTime";
    case FailInfo::bad_cert_id:
      return "badCertId";
  }
  return "unknown";
}

std::string_view to_string(Cipher cipher) {
  switch (cipher) {
    case Cipher::des_cbc:
      return "DES-CBC";
    case Cipher::des_ede3_cbc:
      return "DES-EDE3-CBC";
    case Cipher::aes128_cbc:
      return "AES-128-CBC";
    case Cipher::aes256_cbc:
      return "AES-256-CBC";
  }
  return "unknown";
}

Nonce make_nonce(Random& random) {
  Nonce nonce(16);
  random.fill(nonce);
  return nonce;
}

std::string transaction_id(const x509::PublicKey& key) {
  return to_hex(x509::hash(x509::Digest::md5, key.spki()));
}

}  // namespace umbra::scep
