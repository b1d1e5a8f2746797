#include "io/hook.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <deque>

namespace umbra::io {
namespace {

namespace asio = boost::asio;
using Ended = std::function<void(Result<void>)>;

constexpr std::chrono::seconds seconds_to_end_itself{5};

/// The daemon's environment without what is the daemon's own business, and the hook's variables.
std::vector<std::string> environment_of(const client::Hook& hook) {
  std::vector<std::string> all;
  for (const auto& [name, value] : hook.variables) all.push_back(name + "=" + value);
  constexpr std::array own = {
      "NOTIFY_SOCKET=", "CREDENTIALS_DIRECTORY=", "WATCHDOG_USEC=", "WATCHDOG_PID="};
  for (char** variable = ::environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const bool ours = std::any_of(own.begin(), own.end(),
                                  [&](const char* name) { return text.starts_with(name); }) ||
                      std::any_of(hook.variables.begin(), hook.variables.end(),
                                  [&](const auto& v) { return text.starts_with(v.first + "="); });
    if (!ours) all.emplace_back(text);
  }
  return all;
}

Result<pid_t> start(const client::Hook& hook) {
  std::vector<std::string> environment = environment_of(hook);
  std::vector<char*> pointers;
  for (auto& variable : environment) pointers.push_back(variable.data());
  pointers.push_back(nullptr);
  std::string shell = "/bin/sh";
  std::string flag = "-c";
  std::string text = hook.command;
  char* const arguments[] = {shell.data(), flag.data(), text.data(), nullptr};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t usual;
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);  // which the daemon ignores
  posix_spawnattr_setsigdefault(&attributes, &usual);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  // Asio's sockets are not closed by exec(2): a program that the command leaves running would keep
  // the HTTP port and the console's socket taken after the daemon has gone.
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  pid_t child = 0;
  const int failed =
      ::posix_spawn(&child, shell.c_str(), &files, &attributes, arguments, pointers.data());
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0)
    return fail(Errc::storage, fmt::format("could not be started: {}", std::strerror(failed)));
  return child;
}

/// Waits for a child that has ended, or is about to.
int reap(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

Result<void> outcome(int status, bool overdue, Seconds limit) {
  if (overdue)
    return fail(Errc::unreachable, fmt::format("took more than {} seconds and was ended; \"on "
                                               "change limit\" gives it more",
                                               limit.count()));
  if (WIFSIGNALED(status))
    return fail(Errc::unreachable, fmt::format("was ended by signal {}", WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    return fail(Errc::unreachable, fmt::format("ended with status {}", WEXITSTATUS(status)));
  return {};
}

/// One command while it runs.
struct Child {
  Child(asio::io_context& loop, pid_t p, int file, Seconds l, Ended e)
      : pid(p), descriptor(loop, file), timer(loop), limit(l), ended(std::move(e)) {}
  pid_t pid;
  asio::posix::stream_descriptor descriptor;  ///< readable when the process has ended
  asio::steady_timer timer;
  Seconds limit;
  Ended ended;
  bool overdue = false;
};

}  // namespace

struct HookRunner::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& l, std::size_t n) : loop(l), at_once(n) {}

  void next() {
    while (running < at_once && !waiting.empty()) {
      auto [hook, ended] = std::move(waiting.front());
      waiting.pop_front();
      launch(hook, std::move(ended));
    }
  }

  void launch(const client::Hook& hook, Ended ended) {
    const auto pid = start(hook);
    if (!pid) return ended(tl::unexpected(pid.error()));
    // By its number: glibc 2.36 declares pidfd_open(2) for C alone.
    const int file = static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0));
    if (file < 0) {
      const int error = errno;
      ::kill(-*pid, SIGKILL);
      reap(*pid);
      return ended(
          fail(Errc::storage, fmt::format("could not be watched: {}", std::strerror(error))));
    }
    ++running;
    auto child = std::make_shared<Child>(loop, *pid, file, hook.limit, std::move(ended));
    child->descriptor.async_wait(
        asio::posix::stream_descriptor::wait_read,
        [self = shared_from_this(), child](boost::system::error_code) { self->finish(*child); });
    end_at(child, child->limit, SIGTERM);
  }

  /// Signals the child, and all that it has started and not let go, unless it ends before.
  void end_at(const std::shared_ptr<Child>& child, std::chrono::seconds after, int signal) {
    child->timer.expires_after(after);
    child->timer.async_wait(
        [self = shared_from_this(), child, signal](boost::system::error_code error) {
          if (error || child->pid == 0) return;
          child->overdue = true;
          ::kill(-child->pid, signal);
          if (signal != SIGKILL) self->end_at(child, seconds_to_end_itself, SIGKILL);
        });
  }

  void finish(Child& child) {
    const int status = reap(child.pid);
    child.pid = 0;
    child.timer.cancel();
    child.descriptor.close();
    --running;
    child.ended(outcome(status, child.overdue, child.limit));
    next();
  }

  asio::io_context& loop;
  std::size_t at_once;
  std::size_t running = 0;
  std::deque<std::pair<client::Hook, Ended>> waiting;
};

HookRunner::HookRunner(asio::io_context& loop, std::size_t at_once)
    : impl_(std::make_shared<Impl>(loop, at_once)) {}
HookRunner::~HookRunner() = default;

void HookRunner::run(client::Hook hook, Ended ended) {
  asio::post(impl_->loop,
             [impl = impl_, hook = std::move(hook), ended = std::move(ended)]() mutable {
               impl->waiting.emplace_back(std::move(hook), std::move(ended));
               impl->next();
             });
}

}  // namespace umbra::io
