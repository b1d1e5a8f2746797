#pragma once

#include <memory>

#include "base/log.h"
#include "base/time.h"

namespace spdlog {
class logger;
}

namespace umbra::io {

/// Lines on stderr as IOS heads them: `Jul 10 13:14:16.510: %PKI-6-...`, an asterisk in front while
/// the clock is not authoritative. Debug lines only if asked for.
class StderrLog final : public Log {
 public:
  StderrLog(const Clock& clock, TimeZone zone, bool debug);
  ~StderrLog() override;
  void event(const LogEvent& event) override;
  void debug(std::string_view category, std::string_view text) override;

 private:
  void line(std::string_view text);
  const Clock& clock_;
  TimeZone zone_;
  bool debug_;
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace umbra::io
