#pragma once

#include <memory>
#include <mutex>

#include "base/log.h"
#include "base/time.h"
#include "console/monitor.h"

namespace spdlog {
class logger;
}

namespace umbra::io {

/// Lines on stderr as IOS heads them: `Jul 10 13:14:16.510: %PKI-6-...`, an asterisk in front while
/// the clock is not authoritative; and the same for sessions of the console. Debug lines only if
/// asked for, at the start or there.
class StderrLog final : public Log {
 public:
  StderrLog(const Clock& clock, TimeZone zone, bool debug,
            std::shared_ptr<console::Monitor> monitor = console::Monitor::make());
  ~StderrLog() override;
  void event(const LogEvent& event) override;
  void debug(std::string_view category, std::string_view text) override;
  [[nodiscard]] bool debugs(std::string_view category) const override;
  void set_zone(TimeZone zone);

 private:
  void line(std::string_view text);
  const Clock& clock_;
  mutable std::mutex mutex_;
  TimeZone zone_;
  bool debug_;
  const std::shared_ptr<console::Monitor> monitor_;
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace umbra::io
