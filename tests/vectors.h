#pragma once

#include <fstream>
#include <sstream>
#include <string>

#include "base/bytes.h"

namespace umbra::vectors {

/// A file under tests/vectors without its first line, which says what it shows.
[[nodiscard]] inline std::string text(const std::string& name) {
  std::ifstream in(std::string(UMBRA_SOURCE_DIR) + "/tests/vectors/" + name);
  std::string first;
  std::getline(in, first);
  std::stringstream rest;
  rest << in.rdbuf();
  return rest.str();
}
[[nodiscard]] inline Bytes hex(const std::string& name) {
  return from_hex(text(name)).value_or(Bytes{});
}

}  // namespace umbra::vectors
