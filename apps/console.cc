#include "console.h"

#include <fmt/format.h>
#include <histedit.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cwchar>
#include <iostream>
#include <memory>

#include "console/terminal_text.h"
#include "exec.h"
#include "io/exec_socket.h"

namespace {

using umbra::io::ExecLink;
using umbra::io::ExecReply;
using umbra::io::ExecRequest;

constexpr int history_lines = 1000;
constexpr char control_c = 3;
constexpr char escape = 0x1b;

volatile std::sig_atomic_t interrupts = 0;
void note_interrupt(int /*signal*/) { interrupts = 1; }

/// Takes single keys while it lives.
class RawKeys {
 public:
  RawKeys() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
  }
  ~RawKeys() { ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_); }
  RawKeys(const RawKeys&) = delete;
  RawKeys& operator=(const RawKeys&) = delete;

 private:
  termios before_{};
};

/// Ctrl-C interrupts while it lives, also where it is a key: while a line is typed.
class Interruptible {
 public:
  Interruptible() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios with = before_;
    with.c_lflag |= ISIG;
    ::tcsetattr(STDIN_FILENO, TCSANOW, &with);
    interrupts = 0;
  }
  ~Interruptible() { ::tcsetattr(STDIN_FILENO, TCSANOW, &before_); }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  termios before_{};
};

/// Whether the terminal itself shows what is typed while nobody edits a line. What is typed ahead,
/// or pasted, is shown by the next prompt's editing; shown twice it would be hard to read.
void echo(bool on) {
  termios now{};
  if (::tcgetattr(STDIN_FILENO, &now) != 0) return;
  if (on)
    now.c_lflag |= ECHO;
  else
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
}

/// False: Ctrl-C was typed first. A signal between looking and reading would be slept through.
bool line_comes() {
  constexpr int look_every_milliseconds = 200;
  pollfd ready{STDIN_FILENO, POLLIN, 0};
  for (;;) {
    if (interrupts != 0) return false;
    const int found = ::poll(&ready, 1, look_every_milliseconds);
    if (found > 0) return true;
    if (found < 0 && errno != EINTR) return false;
  }
}

winsize terminal_size() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) size = {};
  if (size.ws_row == 0) size.ws_row = 24;
  if (size.ws_col == 0) size.ws_col = 80;
  return size;
}

/// How many rows of the terminal a line takes, its end left out.
int rows_of(std::string_view line, int columns) {
  const auto characters = std::count_if(line.begin(), line.end(), [](char c) {
    return c != '\n' && (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  });
  return std::max(1, (static_cast<int>(characters) + columns - 1) / columns);
}

class Console {
 public:
  explicit Console(std::string socket) : socket_(std::move(socket)) {}

  int run() {
    if (const auto opened = connect(); !opened) return complain(opened.error().detail);
    return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0 ? edited() : plain();
  }

 private:
  struct EndEdit {
    void operator()(EditLine* edit) const { ::el_end(edit); }
  };
  struct EndHistory {
    void operator()(History* history) const { ::history_end(history); }
  };

  static int complain(const std::string& why) {
    fmt::print(stderr, "umbra: {}\n", why);
    return ExecCommand::no_daemon;
  }

  umbra::Result<void> connect() {
    auto opened = ExecLink::open(socket_);
    if (!opened) return tl::unexpected(opened.error());
    link_ = *std::move(opened);
    link_->on_log([this](const std::string& lines) {
      log_ += umbra::console::terminal_text(lines);
      if (!typing_) print_log();
    });
    interrupts = 0;
    const auto first = link_->ask({"", {}, ExecRequest::What::say}, [] { return interrupts != 0; });
    if (!first) return tl::unexpected(first.error());
    if (!first->ok) {
      std::string why = umbra::console::terminal_text(first->output);
      while (why.ends_with('\n')) why.pop_back();
      return umbra::fail(umbra::Errc::unreachable, why);
    }
    learn(*first);
    return {};
  }

  void learn(const ExecReply& reply) {
    prompt_ = umbra::console::terminal_text(reply.prompt);
    length_ = reply.length;
    over_ = reply.over;
  }

  /// Without a terminal: no prompt, no pages.
  int plain() {
    int status = 0;
    for (std::string line; !over_ && std::getline(std::cin, line);) {
      const auto reply = link_->ask({sendable(line), {}, ExecRequest::What::say});
      if (!reply) return complain(reply.error().detail);
      fmt::print("{}", umbra::console::terminal_text(reply->output));
      std::fflush(stdout);
      if (!reply->ok || !reply->ask.empty()) status = ExecCommand::failed;  // nobody answers
      learn(*reply);
    }
    return status;
  }

  int edited() {
    std::setlocale(LC_CTYPE, "");
    // Names are UTF-8, whatever the environment forgets to say.
    if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
    struct sigaction action {};
    action.sa_handler = note_interrupt;  // and no SA_RESTART: who waits is woken
    ::sigaction(SIGINT, &action, nullptr);
    history_.reset(::history_init());
    edit_.reset(::el_init("umbra", stdin, stdout, stderr));
    if (!edit_ || !history_) return complain("the terminal cannot be used");
    EditLine* const edit = edit_.get();
    HistEvent event{};
    ::history(history_.get(), &event, H_SETSIZE, history_lines);
    ::history(history_.get(), &event, H_SETUNIQUE, 1);
    ::el_set(edit, EL_CLIENTDATA, this);
    ::el_set(edit, EL_PROMPT, &Console::prompt_of);
    ::el_set(edit, EL_EDITOR, "emacs");
    ::el_set(edit, EL_HIST, ::history, history_.get());
    ::el_set(edit, EL_GETCFN, &Console::next_key);
    ::el_set(edit, EL_ADDFN, "umbra-help", "what may stand here", &Console::help_key);
    ::el_set(edit, EL_ADDFN, "umbra-complete", "the rest of the word", &Console::tab_key);
    ::el_set(edit, EL_ADDFN, "umbra-cancel", "drops the line", &Console::cancel_key);
    ::el_set(edit, EL_ADDFN, "umbra-end", "leaves configuration mode", &Console::end_key);
    ::el_set(edit, EL_BIND, "?", "umbra-help", nullptr);
    ::el_set(edit, EL_BIND, "\t", "umbra-complete", nullptr);
    ::el_set(edit, EL_BIND, "^C", "umbra-cancel", nullptr);
    ::el_set(edit, EL_BIND, "^Z", "umbra-end", nullptr);
    ::el_set(edit, EL_BIND, "^W", "ed-delete-prev-word", nullptr);
    // ^C and ^Z are keys while a line is typed.
    ::el_set(edit, EL_SETTY, "-d", "-isig", nullptr);
    ::el_set(edit, EL_SETTY, "-x", "-echo", nullptr);
    while (!over_) {
      int count = 0;
      cancelled_ = false;
      // Before the prompt is there: who sees it may type, and Ctrl-C and Ctrl-Z are keys.
      ::el_set(edit, EL_PREP_TERM, 1);
      typing_ = true;
      ::el_resize(edit);  // the terminal may be of another size by now
      const char* const got = ::el_gets(edit, &count);
      typing_ = false;
      if (cancelled_ && !gone_) continue;  // also with nothing typed, which looks like the end
      if (got == nullptr || count <= 0) {
        fmt::print("\n");
        return gone_ ? ExecCommand::no_daemon : 0;
      }
      std::string line(got, static_cast<std::size_t>(count));
      while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
      if (line.find_first_not_of(' ') != std::string::npos)
        ::history(history_.get(), &event, H_ENTER, line.c_str());
      if (!say(line)) return ExecCommand::no_daemon;
    }
    return 0;
  }

  /// False: the daemon has gone.
  bool say(const std::string& line) {
    ExecRequest request{sendable(line), {}, ExecRequest::What::say};
    for (int asked = 0;; ++asked) {
      interrupts = 0;
      const auto reply = link_->ask(request, [] { return interrupts != 0; });
      if (!reply) {
        if (reply.error().code != umbra::Errc::conflict) {
          complain(reply.error().detail);
          return false;
        }
        return begin_again();
      }
      learn(*reply);
      page(reply->output);
      if (reply->ask.empty()) return true;
      if (asked == questions_max) {
        fmt::print("\n{}", unanswered);
        return true;
      }
      echo(true);
      request.input = asked_for(reply->ask, line_comes);
      if (interrupts != 0) request.input = "";
      echo(false);
      if (interrupts != 0) fmt::print("\n");  // behind the ^C
      std::cin.clear();
      std::clearerr(stdin);
    }
  }

  /// What was asked is waited for no longer, and its answer would be taken for the next one's.
  bool begin_again() {
    fmt::print("\n% Not waited for any longer; what was begun may go on in umbrad\n");
    const auto again = connect();
    if (!again) complain(again.error().detail);
    return again.has_value();
  }

  /// Prints whole lines, and waits for a key where a page is full.
  void page(const std::string& output) const {
    const std::string text = umbra::console::terminal_text(output);
    const winsize size = terminal_size();
    const int page_rows = length_.value_or(size.ws_row);
    int left = page_rows - 1;
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
      const int rows = rows_of(rest.substr(0, end), size.ws_col);
      // What is higher than a page, or than the one line asked for, is shown all the same.
      if (page_rows > 0 && left < rows && left < page_rows - 1) {
        left = more(page_rows);
        if (left == 0) break;
      }
      fmt::print("{}", rest.substr(0, end));
      rest.remove_prefix(end);
      left -= rows;
    }
    std::fflush(stdout);
  }

  /// Out: how many lines more; 0 for none.
  static int more(int page_rows) {
    fmt::print(" --More-- ");
    std::fflush(stdout);
    char key = 0;
    {
      const RawKeys raw;
      if (::read(STDIN_FILENO, &key, 1) != 1) key = control_c;
      // An arrow is several octets; none of them begins the next line.
      constexpr int behind_milliseconds = 20;
      pollfd ready{STDIN_FILENO, POLLIN, 0};
      for (char rest = 0; key == escape && ::poll(&ready, 1, behind_milliseconds) > 0;)
        if (::read(STDIN_FILENO, &rest, 1) != 1) break;
    }
    fmt::print("\r          \r");
    if (key == ' ') return std::max(1, page_rows - 1);
    return key == '\r' || key == '\n' ? 1 : 0;
  }

  void print_log() {
    fmt::print("{}", log_);
    std::fflush(stdout);
    log_.clear();
  }

  // -- keys -------------------------------------------------------------------------------------

  /// Waits for a key, and meanwhile shows what is logged (`terminal monitor`), below the line that
  /// is being typed; the line is shown again below it. Out: as libedit wants it, 1, or 0 for the
  /// end.
  static int next_key(EditLine* edit, wchar_t* key) {
    Console& self = of(edit);
    std::mbstate_t state{};
    for (;;) {
      pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {self.link_->descriptor(), POLLIN, 0}};
      if (::poll(ready, std::size(ready), -1) < 0) {
        if (errno == EINTR) continue;
        return -1;
      }
      if (ready[1].revents != 0) {
        const auto taken = self.link_->take_log();
        if (!self.log_.empty()) {
          fmt::print("\n");
          self.print_log();
          if (taken) ::el_set(edit, EL_REFRESH);
        }
        if (!taken) {
          fmt::print("\n");
          self.lost();
          return 0;
        }
      }
      if (ready[0].revents == 0) continue;
      char octet = 0;
      const ssize_t size = ::read(STDIN_FILENO, &octet, 1);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return static_cast<int>(size);
      switch (std::mbrtowc(key, &octet, 1, &state)) {
        case static_cast<std::size_t>(-1):  // no letter of this locale's
          state = {};
          [[fallthrough]];
        case static_cast<std::size_t>(-2):  // the first part of one
          continue;
        case 0:
          *key = L'\0';
          return 1;
        default:
          return 1;
      }
    }
  }

  static Console& of(EditLine* edit) {
    void* self = nullptr;
    ::el_get(edit, EL_CLIENTDATA, &self);
    return *static_cast<Console*>(self);
  }
  static char* prompt_of(EditLine* edit) { return of(edit).prompt_.data(); }

  /// What stands left of the cursor.
  static std::string typed(EditLine* edit) {
    const LineInfo* const line = ::el_line(edit);
    return {line->buffer, line->cursor};
  }

  static unsigned char help_key(EditLine* edit, int /*key*/) {
    Console& self = of(edit);
    const auto reply = self.ask_for_key({sendable(typed(edit)), {}, ExecRequest::What::help});
    if (!reply) return self.not_answered(reply.error());
    fmt::print("?\n");
    self.print_log();
    self.page(reply->output);
    return CC_REDISPLAY;
  }

  static unsigned char tab_key(EditLine* edit, int /*key*/) {
    Console& self = of(edit);
    const auto reply = self.ask_for_key({sendable(typed(edit)), {}, ExecRequest::What::complete});
    if (!reply) return self.not_answered(reply.error());
    const bool logged = !self.log_.empty();
    if (logged) {
      fmt::print("\n");
      self.print_log();
    }
    if (reply->output.empty()) return logged ? CC_REDISPLAY : CC_REFRESH_BEEP;
    const std::string rest = umbra::console::terminal_text(reply->output);
    if (::el_insertstr(edit, rest.c_str()) != 0) return CC_ERROR;
    return logged ? CC_REDISPLAY : CC_REFRESH;
  }

  static unsigned char cancel_key(EditLine* edit, int /*key*/) {
    of(edit).cancelled_ = true;
    fmt::print("^C\n");
    std::fflush(stdout);
    return CC_NEWLINE;
  }

  static unsigned char end_key(EditLine* edit, int /*key*/) {
    const LineInfo* const line = ::el_line(edit);
    ::el_cursor(edit, static_cast<int>(line->lastchar - line->cursor));
    ::el_deletestr(edit, static_cast<int>(line->lastchar - line->buffer));
    const bool configures = of(edit).prompt_.find('(') != std::string::npos;
    if (configures)
      ::el_insertstr(edit, "end");
    else
      of(edit).cancelled_ = true;
    fmt::print("^Z\n");
    std::fflush(stdout);
    return CC_NEWLINE;
  }

  [[nodiscard]] umbra::Result<ExecReply> ask_for_key(const ExecRequest& request) const {
    const Interruptible now;
    return link_->ask(request, [] { return interrupts != 0; });
  }

  unsigned char not_answered(const umbra::Error& error) {
    if (error.code != umbra::Errc::conflict) return lost();
    if (begin_again()) return CC_REDISPLAY;
    gone_ = true;
    return CC_EOF;
  }

  unsigned char lost() {
    gone_ = true;
    complain("umbrad has ended, or has closed this session");
    return CC_EOF;
  }

  std::string socket_;
  std::unique_ptr<ExecLink> link_;
  std::unique_ptr<History, EndHistory> history_;
  std::unique_ptr<EditLine, EndEdit> edit_;
  std::string prompt_;
  std::string log_;      ///< what was logged and is not shown yet
  bool typing_ = false;  ///< a line is being edited: nobody else writes
  std::optional<int> length_;
  bool over_ = false;
  bool cancelled_ = false;
  bool gone_ = false;
};

}  // namespace

int run_console(const std::string& socket) { return Console(socket).run(); }
