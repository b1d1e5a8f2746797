#include "x509/pem.h"

#include <fmt/format.h>

namespace umbra::x509 {

Result<Bytes> pem_to_der(std::string_view pem, std::string_view label) {
  const std::string begin = fmt::format("-----BEGIN {}-----", label);
  const std::string end = fmt::format("-----END {}-----", label);
  const std::size_t from = pem.find(begin);
  const std::size_t to = from == std::string_view::npos ? from : pem.find(end, from);
  if (to == std::string_view::npos)
    return fail(Errc::malformed, fmt::format("no {} in PEM form", label));
  return from_base64(pem.substr(from + begin.size(), to - from - begin.size()));
}

std::string der_to_pem(ByteView der, std::string_view label) {
  return fmt::format("-----BEGIN {}-----\n{}-----END {}-----\n", label, to_base64(der, 64), label);
}

}  // namespace umbra::x509
