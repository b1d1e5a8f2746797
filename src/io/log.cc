#include "io/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace umbra::io {

StderrLog::StderrLog(const Clock& clock, TimeZone zone, bool debug)
    : clock_(clock),
      zone_(std::move(zone)),
      debug_(debug),
      logger_(std::make_shared<spdlog::logger>("umbra",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_pattern("%v");
}
StderrLog::~StderrLog() = default;

void StderrLog::line(std::string_view text) {
  // What peers sent may be in it: no control character reaches the terminal or forges a line.
  std::string safe(text);
  for (char& c : safe) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  logger_->info("{}{}: {}", clock_.authoritative() ? "" : "*", to_ios_log_time(clock_.now(), zone_),
                safe);
}

void StderrLog::event(const LogEvent& event) { line(to_string(event)); }

void StderrLog::debug(std::string_view category, std::string_view text) {
  if (debug_) line(std::string(category) + ": " + std::string(text));
}

}  // namespace umbra::io
