// Configuration text: what is accepted reads back from its own running configuration as the same
// configuration, the same chains and the same text; and a fault always has its place in the line.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const umbra::config::Parsed once = umbra::config::parse(text);
  for (const auto& fault : once.faults) {
    if (fault.line == 0 || fault.column == 0) std::abort();
    if (to_string(fault, "f").find("^\n") == std::string::npos) std::abort();
  }
  if (!once.faults.empty()) return 0;
  const umbra::config::Parsed again = umbra::config::parse(once.running_config);
  if (!again.faults.empty()) std::abort();
  if (!(again.configuration == once.configuration)) std::abort();
  if (again.chains != once.chains || again.running_config != once.running_config) std::abort();
  return 0;
}
