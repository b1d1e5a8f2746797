#include "process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <thread>
#include <utility>

#include "load.h"

namespace umbra::bench {

using namespace std::chrono_literals;

void stop(const std::string& why) {
  fmt::print(stderr, "bench: {}\n", why);
  std::exit(1);
}

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

namespace {

double seconds_of(clockid_t clock) {
  timespec now{};
  if (::clock_gettime(clock, &now) != 0) stop("a clock that cannot be read");
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

double thread_cpu_seconds() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

double process_cpu_seconds(pid_t pid) {
  clockid_t clock{};
  if (::clock_getcpuclockid(pid, &clock) != 0) stop("the process has ended");
  return seconds_of(clock);
}

long memory_kib(pid_t pid, const std::string& field) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field + ":"))
      return std::strtol(line.c_str() + field.size() + 1, nullptr, 10);
  }
  return 0;
}

double memory_mib(pid_t pid, const std::string& field) {
  return static_cast<double>(memory_kib(pid, field)) / 1024;
}

std::uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(socket, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    stop("no free port");
  }
  ::close(socket);
  return ntohs(address.sin_port);
}

unsigned processors() { return std::max(1U, std::thread::hardware_concurrency()); }

Scratch::Scratch() {
  std::string shape = (std::filesystem::temp_directory_path() / "umbra-bench-XXXXXX").string();
  if (::mkdtemp(shape.data()) == nullptr) stop("no temporary directory");
  at_ = shape;
}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(at_, ignored);
}

Process::Process(const std::vector<std::string>& words, const std::string& log) {
  std::vector<std::string> copies = words;
  std::vector<char*> arguments;
  for (auto& word : copies) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const int failed =
      ::posix_spawnp(&pid_, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) stop("cannot start " + words.front());
}

void Process::end() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGTERM);
  static_cast<void>(wait());
}

int Process::wait() {
  int status = -1;
  ::waitpid(std::exchange(pid_, 0), &status, 0);
  return status;
}

Daemon::Daemon(std::string umbrad, std::uint16_t port, const std::string& server_lines,
               const std::string& global_lines)
    : Daemon(std::move(umbrad),
             fmt::format("ip http server\nip http port {}\nip http address 127.0.0.1\n"
                         "ip http rate-limit 100000 burst 1000000\n{}"
                         "clock calendar-valid\ncrypto pki server BENCH\n"
                         " issuer-name CN=Bench,O=Umbra\n grant auto\n{} no shutdown\n",
                         port, global_lines, server_lines),
             [port](const Daemon&) { return answers(port, "/scep?operation=GetCACert"); }) {}

Daemon::Daemon(std::string umbrad, const std::string& configuration,
               std::function<bool(const Daemon&)> runs)
    : umbrad_(std::move(umbrad)), runs_(std::move(runs)) {
  std::ofstream(scratch_.path("umbra.conf")) << configuration;
  std::filesystem::create_directory(data());
  start();
}

double Daemon::start() {
  const auto begun = Clock::now();
  process_ = std::make_unique<Process>(
      std::vector<std::string>{umbrad_, "--config", scratch_.path("umbra.conf"), "--data", data()},
      scratch_.path("log"));
  while (seconds_since(begun) < 120) {
    if (runs_(*this)) return seconds_since(begun);
    std::this_thread::sleep_for(5ms);
  }
  stop("the daemon does not run; its log:\n" + log());
}

std::string Daemon::log() const {
  std::ifstream in(scratch_.path("log"));
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace umbra::bench
