// SignedData and EnvelopedData themselves, under SCEP. The first octet chooses which. What we
// verify, OpenSSL verifies, over the same content, as far as it gets; what we decrypt, it decrypts
// to the same octets; and what is BER says the same when it has been made DER.

#include <openssl/cms.h>
#include <openssl/cmserr.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "scep/cms.h"
#include "scep_parties.h"
#include "x509/der.h"
#include "x509/ossl.h"

using namespace umbra;
using fuzz::must;
namespace cms = scep::cms;

namespace {

using Cms = std::unique_ptr<CMS_ContentInfo, x509::ossl::Deleter<&CMS_ContentInfo_free>>;

Cms theirs(ByteView input) {
  const std::uint8_t* at = input.data();
  return Cms(d2i_CMS_ContentInfo(nullptr, &at, static_cast<long>(input.size())));
}

x509::ossl::X509 theirs(const x509::Certificate& certificate) {
  const std::uint8_t* at = certificate.der().data();
  return x509::ossl::X509(d2i_X509(nullptr, &at, static_cast<long>(certificate.der().size())));
}

Bytes written(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return {text, text + size};
}

bool same(const cms::SignedData& a, const cms::SignedData& b) {
  return a.content_type == b.content_type && a.content == b.content &&
         a.certificates == b.certificates && a.crls == b.crls &&
         a.signers.size() == b.signers.size();
}

const fuzz::Party* party_of(const cms::SignerInfo& signer) {
  for (const auto* party : {&fuzz::ca(), &fuzz::device()}) {
    if (cms::names(signer, party->certificate)) return party;
  }
  return nullptr;
}

void open_signed(ByteView input) {
  const auto data = cms::parse_signed_data(input);
  if (!data) return;
  const auto der = x509::der::from_ber(input);
  must(der.has_value());
  const auto again = cms::parse_signed_data(*der);
  must(again && same(*again, *data));
  if (data->signers.empty() || !data->content) return;
  for (const cms::SignerInfo& signer : data->signers) {
    const fuzz::Party* const party = party_of(signer);
    if (party == nullptr || !cms::verify(*data, signer, party->key.public_key())) return;
  }
  const Cms message = theirs(input);
  if (!message) return;  // it reads every certificate in the bag, we pass over what is none
  const auto ca = theirs(fuzz::ca().certificate);
  const auto device = theirs(fuzz::device().certificate);
  STACK_OF(X509)* const known = sk_X509_new_null();
  sk_X509_push(known, ca.get());
  sk_X509_push(known, device.get());
  const x509::ossl::Bio out(BIO_new(BIO_s_mem()));
  ERR_clear_error();
  const int verified = CMS_verify(message.get(), known, nullptr, nullptr, out.get(),
                                  CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY | CMS_NOINTERN);
  sk_X509_free(known);
  if (verified != 1) {
    // It insists on digestAlgorithms and signatureAlgorithm, which are not signed. But never may it
    // say that content and signature do not match.
    while (const unsigned long error = ERR_get_error())
      must(ERR_GET_REASON(error) != CMS_R_VERIFICATION_FAILURE);
    return;
  }
  must(written(out.get()) == *data->content);
}

/// What goes on with another key where there is none in the block does so here and there alike, but
/// not with the same one.
bool holds_a_key(ByteView block) {
  const x509::PrivateKey& key = fuzz::device().key;
  const x509::ossl::PkeyContext context(EVP_PKEY_CTX_new(key.get(), nullptr));
  Bytes out(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())));
  std::size_t size = out.size();
  if (EVP_PKEY_decrypt_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) != 1 ||
      EVP_PKEY_decrypt(context.get(), out.data(), &size, block.data(), block.size()) != 1)
    return false;
  constexpr std::size_t key_octets_max = 32;
  out.resize(size);
  return size <= key_octets_max && key.unwrap(block, size) == out;
}

void open_enveloped(ByteView input) {
  const auto data = cms::parse_enveloped_data(input);
  if (!data) return;
  const auto der = x509::der::from_ber(input);
  must(der.has_value());
  const auto again = cms::parse_enveloped_data(*der);
  must(again && again->encrypted == data->encrypted && again->iv == data->iv &&
       again->recipients.size() == data->recipients.size());
  for (const auto& recipient : data->recipients) {
    if (!(recipient.id.issuer == fuzz::device().certificate.issuer()) ||
        recipient.id.serial != fuzz::device().certificate.serial() || data->recipients.size() != 1)
      continue;
    const auto opened = cms::decrypt(*data, recipient.encrypted_key, fuzz::device().key, true);
    if (!opened || !holds_a_key(recipient.encrypted_key)) continue;
    const Cms message = theirs(input);
    if (!message) continue;  // OpenSSL reads all recipients' infos, we those that we could be
    const x509::ossl::Bio out(BIO_new(BIO_s_mem()));
    if (CMS_decrypt_set1_pkey(message.get(), fuzz::device().key.get(),
                              theirs(fuzz::device().certificate).get()) != 1 ||
        CMS_decrypt(message.get(), nullptr, nullptr, nullptr, out.get(), CMS_BINARY) != 1)
      continue;
    must(written(out.get()) == *opened);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const ByteView rest(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    open_signed(rest);
  } else {
    open_enveloped(rest);
  }
  ERR_clear_error();
  return 0;
}
