#pragma once

#include "server/impl.h"

namespace umbra::server {

/// One PKIOperation that could be opened: what was asked, by whom, when, and how to answer.
struct CertificateServer::Impl::Conversation {
  scep::Envelope envelope;
  scep::Cipher cipher = scep::Cipher::aes128_cbc;
  std::optional<x509::Request> request;  ///< PKCSReq and RenewalReq
  Bytes digest;                          ///< of what is asked: the same digest gets the same answer
  bool signed_by_us = false;             ///< the signer names one of our CAs as its issuer
  scep::NoContent no_content = scep::NoContent::absent;
  std::uint32_t generation = 0;  ///< the CA it was enveloped for; 0 if it could not be opened
  GenerationsPtr generations;
  Time now;
  HttpDone done;
  std::string address{};                  ///< whom it came from
  std::shared_ptr<const CrlAbove> crl{};  ///< at an RA: what judges the signer
};

}  // namespace umbra::server
