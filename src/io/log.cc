#include "io/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace umbra::io {

StderrLog::StderrLog(const Clock& clock, TimeZone zone, bool debug,
                     std::shared_ptr<console::Monitor> monitor)
    : clock_(clock),
      zone_(std::move(zone)),
      debug_(debug),
      monitor_(std::move(monitor)),
      logger_(std::make_shared<spdlog::logger>("umbra",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_pattern("%v");
}
StderrLog::~StderrLog() = default;

void StderrLog::line(std::string_view text) {
  // What peers sent may be in it: no control character reaches the terminal or forges a line. Those
  // of U+0080 to U+009F count: some terminals take U+009B for the start of a command.
  std::string safe(text);
  unsigned char before = 0;
  for (char& c : safe) {
    const auto octet = static_cast<unsigned char>(c);
    const bool c1 = before == 0xC2 && octet >= 0x80 && octet < 0xA0;
    if (octet < 0x20 || octet == 0x7F || c1) c = '?';
    before = octet;
  }
  const char* const mark = clock_.authoritative() ? "" : "*";
  const std::lock_guard lock(mutex_);
  std::string whole = mark + to_ios_log_time(clock_.now(), zone_) + ": " + safe;
  logger_->info("{}", whole);
  monitor_->add(std::move(whole));
}

void StderrLog::set_zone(TimeZone zone) {
  const std::lock_guard lock(mutex_);
  zone_ = std::move(zone);
}

void StderrLog::event(const LogEvent& event) { line(to_string(event)); }

bool StderrLog::debugs(std::string_view category) const {
  return debug_ || monitor_->debugs(console::topic_of(category));
}

void StderrLog::debug(std::string_view category, std::string_view text) {
  if (!debugs(category)) return;
  line(std::string(category.substr(0, category.find('/'))) + ": " + std::string(text));
}

}  // namespace umbra::io
