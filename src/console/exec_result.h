#pragma once

#include <fmt/format.h>

#include "console/exec.h"

/// How commands answer; shared by the files that carry them out.
namespace umbra::console {

inline ExecResult failed(std::string text) { return {false, std::move(text)}; }
inline ExecResult failed(const Error& error) { return failed(fmt::format("% {}\n", error.detail)); }

inline ExecResult unknown_server(std::string_view name) {
  return failed(fmt::format("% There is no certificate server {}\n", name));
}

}  // namespace umbra::console
