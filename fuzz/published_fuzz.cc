// What is read from a file of an IOS certificate server is written and read again the same.

#include <cstdlib>

#include "server/ios_files.h"
#include "server/publication.h"

using namespace umbra;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  if (const auto serial = server::parse_ser(text)) {
    const auto again = server::parse_ser(server::ser_text(*serial));
    if (!again || *again != *serial) std::abort();
  }
  const auto facts = server::parse_cnm(text);
  if (facts && facts->not_after) {
    const auto again = server::parse_cnm(server::cnm_text("cn=a", *facts->not_after));
    if (!again || again->subject != "cn=a" || again->not_after != facts->not_after) std::abort();
  }
  const auto name = server::split(std::string(text));
  if (const auto serial = server::serial_named(name.stem)) {
    const auto again = server::split(server::certificate_file_name(*serial, config::FileType::crt));
    if (server::serial_named(again.stem) != serial || !server::is_certificate(again)) std::abort();
  }
  return 0;
}
