// What a host pays for an agent that waits for its timers: memory, and how often it is woken; with
// one trustpoint that has its certificate, and with many.
//
//   agent --umbrad build/release/umbrad [--many 10000] [--seconds 10]

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "io/exec_socket.h"
#include "messages.h"

namespace {

using namespace umbra::bench;
using namespace std::chrono_literals;

std::string exec(const Daemon& daemon, const std::string& line) {
  const auto reply = umbra::io::exec(daemon.data() + "/umbra.sock", {line, {}});
  return reply ? reply->output : "";
}

bool console_answers(const Daemon& daemon) { return !exec(daemon, "show clock").empty(); }

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

/// How often the process gave up the processor, all its threads together: once for each time it is
/// woken.
long rests(pid_t pid) {
  long all = 0;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    std::ifstream in(task.path() / "status");
    for (std::string line; std::getline(in, line);) {
      const std::string field = "voluntary_ctxt_switches:";
      if (line.starts_with(field)) all += std::strtol(line.c_str() + field.size(), nullptr, 10);
    }
  }
  return all;
}

void idle(const Daemon& agent, const char* what, int seconds) {
  std::this_thread::sleep_for(5s);  // memory is given back some seconds after the last command
  const long before = rests(agent.pid());
  std::this_thread::sleep_for(std::chrono::seconds{seconds});
  const long woken = rests(agent.pid()) - before;
  fmt::print("  {:<44}{:>10.1f} MiB\n", fmt::format("{}: resident memory", what),
             static_cast<double>(memory_kib(agent.pid(), "VmRSS")) / 1024);
  fmt::print("  {:<44}{:>10.1f} MiB\n", "  of it anonymous",
             static_cast<double>(memory_kib(agent.pid(), "RssAnon")) / 1024);
  fmt::print("  {:<44}{:>10}\n", fmt::format("  woken in {} idle seconds", seconds), woken);
}

std::string trustpoint(std::size_t number, std::uint16_t port, const std::string& pin) {
  return fmt::format(
      "crypto pki trustpoint T{}\n enrollment url http://127.0.0.1:{}\n enrollment spread 0\n"
      " enrollment retry period 60\n subject-name CN=agent-{}\n fingerprint {}\n auto-enroll 80\n",
      number, port, number, pin);
}

template <class Condition>
double seconds_until(const char* what, Condition condition) {
  const auto begun = Clock::now();
  for (int i = 0; i < 3000; ++i) {
    if (condition()) return std::chrono::duration<double>(Clock::now() - begun).count();
    std::this_thread::sleep_for(100ms);
  }
  stop(fmt::format("waited in vain for {}", what));
}

}  // namespace

int main(int argc, char** argv) {
  std::string umbrad;
  std::size_t many = 10'000;
  int seconds = 10;
  CLI::App app("An agent that waits for its timers");
  app.add_option("--umbrad", umbrad, "the daemon to measure")->required()->check(CLI::ExistingFile);
  app.add_option("--many", many, "trustpoints of the second agent")->check(CLI::Range(1, 100000));
  app.add_option("--seconds", seconds, "how long it is watched")->check(CLI::Range(1, 3600));
  CLI11_PARSE(app, argc, argv);

  const std::uint16_t port = free_port();
  const Daemon server(umbrad, port);
  const auto ca = authority_at(port).ca;
  const std::string pin = umbra::to_hex(ca.fingerprint(umbra::x509::Digest::sha256));
  const std::string head = "hostname agent\nclock calendar-valid\n";
  fmt::print("an agent that waits for its timers\n\n");
  {
    const Daemon agent(umbrad, head + trustpoint(0, port, pin), console_answers);
    seconds_until("its certificate", [&] { return count(agent.log(), "%PKI-6-CERTRET") == 1; });
    idle(agent, "one trustpoint", seconds);
  }
  std::string text = head;
  const std::uint16_t nobody = free_port();
  for (std::size_t i = 0; i < many; ++i) text += trustpoint(i, nobody, pin);
  const Daemon agent(umbrad, text, console_answers);
  const double called = seconds_until("all of them to have called", [&] {
    return count(agent.log(), "%UMBRA-4-NO_ANSWER") == many;
  });
  idle(agent, fmt::format("{} trustpoints, and no CA there", many).c_str(), seconds);
  fmt::print("  {:<44}{:>10.1f} s\n\n", "  all have called and wait, after", called);
}
