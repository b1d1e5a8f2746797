#pragma once

#include "server/impl.h"

namespace umbra::server {

/// What an RA asks the CA above it, and what the answer must be to count.
struct CertificateServer::Impl::Question {
  Bytes message;
  bool by_post = true;
  scep::ReplyExpectation expected;
  x509::PrivateKey key;  ///< opens the answer
  x509::Certificate ca;  ///< which of the two CAs was asked
  std::size_t reply_octets_max = std::size_t{1} << 20;
};

}  // namespace umbra::server
