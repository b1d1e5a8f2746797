#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "config/config.h"
#include "plan/check.h"

namespace umbra::io {

/// What the log says of a configuration when it comes into force: lines that are not acted on, what
/// is weak, and who would go dark. Out: the whole plan, for its screen. `file`: where the lines
/// stand. `before`: what was said already is not said again.
[[nodiscard]] std::shared_ptr<const plan::Report> tell_findings(
    const config::Parsed& parsed, const std::string& file, Log& log,
    const config::Parsed* before = nullptr, const plan::Report* plan_before = nullptr);

}  // namespace umbra::io
