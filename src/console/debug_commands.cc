#include <fmt/format.h>

#include "console/exec_result.h"

/// `debug`, `no debug` and `undebug`: for all sessions and the log at once, as on IOS.
namespace umbra::console {

ExecResult Exec::debug(const config::Match& match) const {
  const bool on = match.command->key == "debug crypto pki";
  Monitor& monitor = *environment_->monitor;
  if (match.command->key == "undebug all" || match.command->key == "no debug all") {
    for (const DebugTopic topic : debug_topics) monitor.set_debug(topic, false);
    return {true, "All possible debugging has been turned off\n"};
  }
  std::string out;
  for (const DebugTopic topic : debug_topics) {
    if (!match.has("all") && !match.has(to_string(topic))) continue;
    monitor.set_debug(topic, on);
    std::string name(to_string(topic));
    name.front() = static_cast<char>(name.front() - ('a' - 'A'));
    out += fmt::format("Crypto PKI {} debugging is {}\n", name, on ? "on" : "off");
  }
  return {true, out};
}

}  // namespace umbra::console
