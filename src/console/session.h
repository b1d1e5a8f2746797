#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "config/grammar.h"
#include "console/exec.h"

namespace umbra::console {

/// What whoever opened the socket may do.
enum class Privilege {
  none,
  view,  ///< `show`, but no configuration: passwords stand in it
  full,
};

/// One person's stay at the console: the mode he is in, and what he may do. One line at a time:
/// the next one when the last is answered. Not thread-safe.
class Session : public std::enable_shared_from_this<Session> {
 public:
  using Source = std::function<std::shared_ptr<const ExecEnvironment>()>;
  /// `by`: who, for the log.
  Session(Source source, Privilege privilege, std::string by);

  /// A command on its own, whatever mode the session is in (`umbra exec`).
  void execute(std::string_view line, const std::optional<std::string>& input,
               const ExecDone& done);
  /// A line typed behind the prompt.
  void say(std::string_view line, const std::optional<std::string>& input, const ExecDone& done);
  /// `HOST#`, `HOST(config)#` ...
  [[nodiscard]] std::string prompt() const;
  /// `?` and Tab with `line` left of the cursor.
  [[nodiscard]] std::string help(std::string_view line) const;
  [[nodiscard]] std::string completion(std::string_view line) const;
  /// `exit` was said.
  [[nodiscard]] bool over() const { return over_; }
  /// `terminal length`: lines of a page, 0 for none; nothing: what the terminal has.
  [[nodiscard]] std::optional<int> length() const { return length_; }
  /// Lets go of all that it holds of the daemon: it answers nothing any more.
  void close();

  /// `terminal monitor`: `done` is called once, when the log has lines for this session.
  void log_lines(std::function<void(std::vector<std::string>)> done);
  /// `wake` is called when there may be some, as Monitor::subscribe's `ready`: it has `deliver`
  /// called where the session is used.
  void wake_by(std::function<void()> wake) { wake_ = std::move(wake); }
  void deliver();

 private:
  using Mode = config::Mode;
  [[nodiscard]] Choices choices_at(std::string_view line) const;
  void say_exec(std::string_view line, const std::optional<std::string>& input,
                const ExecDone& done, std::size_t indent);
  void configure(std::string_view line, const std::optional<std::string>& input,
                 const ExecDone& done);
  /// An exec command that IOS has in configuration mode too. False: it is none.
  bool execute_here(std::string_view line, const std::optional<std::string>& input,
                    const ExecDone& done);
  void edit(std::string section, std::vector<std::string> lines, Mode next,
            std::string next_section, const ExecDone& done);
  /// `show` in a submode.
  [[nodiscard]] ExecResult settings() const;
  void certificate_line(std::string_view line, const ExecDone& done);
  void leave();
  [[nodiscard]] Configurator* configurator() const;

  Source source_;
  const Privilege privilege_;
  const std::string by_;
  Exec exec_;
  Mode mode_ = Mode::exec;
  std::string section_;                   ///< the line that opened the submode
  std::vector<std::string> certificate_;  ///< being typed: its head and hexadecimal lines
  std::optional<int> length_;
  std::function<void()> wake_;
  std::function<void(std::vector<std::string>)> reader_;  ///< of the log's next lines
  std::unique_ptr<Monitor::Subscription> monitored_;      ///< `terminal monitor`
  bool over_ = false;
};

}  // namespace umbra::console
