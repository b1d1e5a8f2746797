// A name that someone typed is a Name that reads back from its DER and from what `typed` makes of
// it, and no line of a screen that shows it holds a control character.

#include <algorithm>
#include <cstdlib>

#include "x509/name.h"

using namespace umbra;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto typed = x509::Name::from_ios(as_text({data, size}));
  if (!typed) return 0;
  const auto read = x509::Name::from_der(typed->der());
  if (!read || !(*read == *typed)) std::abort();
  const auto again = x509::Name::from_ios(typed->typed());
  if (!again || !(*again == *typed) || typed->has_nul()) std::abort();
  for (const std::string& line : typed->screen_lines()) {
    if (line.empty() || std::any_of(line.begin(), line.end(), [](char c) {
          return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
        })) {
      std::abort();
    }
  }
  return 0;
}
