#pragma once

#include <fmt/format.h>

#include "console/exec.h"

/// How commands answer; shared by the files that carry them out.
namespace umbra::console {

inline ExecResult failed(std::string text) { return {false, std::move(text)}; }
inline ExecResult failed(const Error& error) { return failed(fmt::format("% {}\n", error.detail)); }

inline ExecResult not_allowed() {
  return failed(
      "% This session may look, not change: root, umbrad's own user and the group umbra may\n");
}

inline ExecResult unknown_server(std::string_view name) {
  return failed(fmt::format("% There is no certificate server {}\n", name));
}

inline ExecResult unknown_trustpoint(std::string_view name) {
  return failed(fmt::format("% There is no trustpoint {}\n", name));
}
inline bool says_yes(std::string_view answer) {
  while (!answer.empty() &&
         (answer.back() == '\n' || answer.back() == '\r' || answer.back() == ' '))
    answer.remove_suffix(1);
  return answer == "yes" || answer == "y";
}

}  // namespace umbra::console
