#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "plan/pairing.h"

namespace umbra::io {

struct PlanFiles {
  std::vector<plan::Source> sources;  ///< those without faults, in the order given, then by name
  std::string complaints;  ///< what is unreadable or faulty, line by line; empty = nothing
};
/// In: files, and directories whose files are all taken, those in directories inside them too;
/// names that begin with a dot are left out.
[[nodiscard]] PlanFiles read_plan_files(const std::vector<std::string>& paths);

}  // namespace umbra::io
