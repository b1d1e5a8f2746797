#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// How often one command may ask, the same question again included; and what is said when it still
/// has none.
constexpr int questions_max = 10;
constexpr std::string_view unanswered = "% No answer that can be read; nothing is done\n";

/// What a command asked for, from standard input: one line; lines (`text`) up to an empty one or
/// `quit`; or lines up to `quit` alone. The end of the input ends all of them, and so does `waits`,
/// called before each line, if it says that none is waited for any longer.
[[nodiscard]] std::string asked_for(std::string_view kind, const std::function<bool()>& waits = {});

/// A line as it can be sent: what is longer than any command is cut where umbrad still says so, and
/// does not hang up.
[[nodiscard]] std::string sendable(std::string line);

/// `umbra exec COMMAND`, `umbra exec -f FILE`.
class ExecCommand {
 public:
  static constexpr int failed = 1;
  static constexpr int usage = 2;
  static constexpr int no_daemon = 3;

  explicit ExecCommand(CLI::App& app);
  [[nodiscard]] bool chosen() const { return static_cast<bool>(*command_); }
  /// 0 every command succeeded, 1 one failed, 2 there is nothing to say or the file cannot be read,
  /// 3 no daemon answers.
  [[nodiscard]] int run() const;

 private:
  [[nodiscard]] int one() const;
  [[nodiscard]] int file() const;
  CLI::App* command_;
  std::string socket_ = "/run/umbra/umbra.sock";
  std::vector<std::string> words_;
  std::string file_;
  bool keep_going_ = false;
};
