#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "config/config.h"
#include "golden.h"

namespace umbra::config {

inline std::string file(const std::string& name) { return vectors::text("config/" + name); }

inline std::string faults(const Parsed& parsed) {
  std::string all;
  for (const Fault& fault : parsed.faults) all += to_string(fault, "umbra.cfg");
  return all;
}

inline Parsed good(std::string_view text) {
  Parsed parsed = parse(text);
  EXPECT_EQ(faults(parsed), "");
  return parsed;
}

inline std::vector<std::string> not_effective(const Parsed& parsed) {
  std::vector<std::string> all;
  for (const NotEffective& one : parsed.not_effective) all.push_back(one.text);
  return all;
}

}  // namespace umbra::config
