#include "base/log.h"

#include <fmt/format.h>

namespace umbra {

std::string to_string(const LogEvent& event) {
  return fmt::format("%{}-{}-{}: {}", event.facility, static_cast<int>(event.severity),
                     event.mnemonic, event.text);
}

}  // namespace umbra
