// The query of a URL, as any client may have written it: what is understood is written and read
// back the same.

#include <cstdlib>

#include "scep/ca_messages.h"

using namespace umbra;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto query = scep::parse_query(text);
  if (query) {
    const std::string url = scep::operation_url("http://h/x", query->operation, query->message);
    const auto again = scep::parse_query(std::string_view(url).substr(url.find('?') + 1));
    if (!again || again->operation != query->operation || again->message != query->message)
      std::abort();
    const auto message = scep::parse_get_message(query->message);
    if (message) {
      const std::string get = scep::pki_operation_get_url("http://h/x", *message);
      const auto back = scep::parse_query(std::string_view(get).substr(get.find('?') + 1));
      if (!back || scep::parse_get_message(back->message).value_or(Bytes{}) != *message)
        std::abort();
    }
  }
  return 0;
}
