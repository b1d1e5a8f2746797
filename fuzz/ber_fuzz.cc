// What comes out of from_ber is DER in its lengths: it goes through unchanged a second time, and
// every element can be read.

#include <cstdlib>

#include "x509/der.h"

using namespace umbra;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto once = x509::der::from_ber({data, size});
  if (!once) return 0;
  const auto twice = x509::der::from_ber(*once);
  if (!twice || *twice != *once) std::abort();
  for (x509::der::Reader reader(*once); !reader.empty();) {
    if (!reader.next()) std::abort();
  }
  return 0;
}
