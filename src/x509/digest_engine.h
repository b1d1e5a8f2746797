#pragma once

#include <openssl/evp.h>

#include "x509/algorithm.h"

namespace umbra::x509 {

/// OpenSSL's implementation of a digest, fetched once. For .cc files of x509/ and scep/cms only.
[[nodiscard]] const EVP_MD* evp_md(Digest digest);

}  // namespace umbra::x509
