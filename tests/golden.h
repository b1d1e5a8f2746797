#pragma once

#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "vectors.h"

namespace umbra::vectors {

/// Compares with a golden file under tests/vectors, or rewrites it if UPDATE_GOLDEN is set; its
/// first line, which says what it shows, stays.
inline void expect_golden(const std::string& name, const std::string& actual) {
  if (std::getenv("UPDATE_GOLDEN")) {
    const std::string path = std::string(UMBRA_SOURCE_DIR) + "/tests/vectors/" + name;
    std::ifstream in(path);
    std::string first;
    std::getline(in, first);
    in.close();
    std::ofstream(path) << first << "\n" << actual;
    return;
  }
  EXPECT_EQ(actual, text(name)) << name;
}

}  // namespace umbra::vectors
