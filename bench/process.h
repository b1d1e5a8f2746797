#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

/// The real programs under load, as the programs of this folder have them.
namespace umbra::bench {

using Clock = std::chrono::steady_clock;

[[noreturn]] void stop(const std::string& why);

template <class T>
T must(Result<T> result, const char* what) {
  if (!result) stop(std::string(what) + ": " + result.error().detail);
  return *std::move(result);
}
inline void must(const Result<void>& result, const char* what) {
  if (!result) stop(std::string(what) + ": " + result.error().detail);
}

[[nodiscard]] double seconds_since(Clock::time_point begun);
[[nodiscard]] double thread_cpu_seconds();
/// That the process and its threads have used, user and system.
[[nodiscard]] double process_cpu_seconds(pid_t pid);
/// A field of /proc/PID/status: VmRSS, VmHWM ...
[[nodiscard]] long memory_kib(pid_t pid, const std::string& field);
[[nodiscard]] double memory_mib(pid_t pid, const std::string& field);
[[nodiscard]] std::uint16_t free_port();
[[nodiscard]] unsigned processors();

/// A directory that goes with this object.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string path(const std::string& name) const { return (at_ / name).string(); }

 private:
  std::filesystem::path at_;
};

/// A program that runs until this object goes; its output in a file.
class Process {
 public:
  Process(const std::vector<std::string>& words, const std::string& log);
  ~Process() { end(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }
  void end();
  /// Its exit status.
  [[nodiscard]] int wait();

 private:
  pid_t pid_ = 0;
};

/// The real daemon on a fresh data directory; ended and removed with this object.
class Daemon {
 public:
  /// With a certificate server called BENCH, and more lines of its block.
  Daemon(std::string umbrad, std::uint16_t port, const std::string& server_lines = {},
         const std::string& global_lines = {});
  Daemon(std::string umbrad, const std::string& configuration,
         std::function<bool(const Daemon&)> runs);
  /// Out: seconds until it answered.
  double start();
  void end() { process_.reset(); }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  [[nodiscard]] std::string log() const;
  [[nodiscard]] std::string data() const { return scratch_.path("data"); }
  [[nodiscard]] std::string database() const { return data() + "/umbra.db"; }

 private:
  std::string umbrad_;
  std::function<bool(const Daemon&)> runs_;
  Scratch scratch_;
  std::unique_ptr<Process> process_;
};

}  // namespace umbra::bench
