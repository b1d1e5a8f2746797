// A certificate server with a million revoked certificates: how long `revoke` takes, which makes
// and stores a CRL of all of them, how much memory the daemon needs for it, and how enrolments fare
// meanwhile.
//
//   crl --umbrad build/release/umbrad [--revoked 1000000] [--count 3000]

#include <atomic>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "filler.h"
#include "io/exec_socket.h"
#include "load.h"
#include "messages.h"
#include "x509/crl.h"

namespace {

using namespace std::chrono_literals;
using namespace umbra::bench;

constexpr unsigned connections = 8;

double command(const Daemon& daemon, const std::string& line) {
  const auto begun = Clock::now();
  const auto reply = must(umbra::io::exec(daemon.data() + "/umbra.sock", {line, {}}), "exec");
  if (!reply.ok) stop(line + ": " + reply.output);
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

}  // namespace

int main(int argc, char** argv) {
  std::string umbrad;
  std::size_t revoked = 1'000'000;
  std::size_t count = 3000;
  CLI::App app("CRLs of many entries, and enrolments meanwhile");
  app.add_option("--umbrad", umbrad, "the daemon to measure")->required()->check(CLI::ExistingFile);
  app.add_option("--revoked", revoked, "revoked certificates")->check(CLI::Range(1, 10000000));
  app.add_option("--count", count, "enrolments to measure")->check(CLI::Range(100, 100000));
  CLI11_PARSE(app, argc, argv);

  const std::uint16_t port = free_port();
  Daemon daemon(umbrad, port);
  const auto ca = authority_at(port).ca;
  daemon.end();
  static_cast<void>(fill(daemon.database(), ca, revoked, true));
  daemon.start();

  Fleet fleet(port);
  const auto victim = enrolled(port, fleet, count).front().serial();  // and warm
  const auto messages = fleet.enrolments(2 * count);
  const std::span<const std::string> all(messages);
  const std::string revoke = "crypto pki server BENCH revoke 0x" + victim.to_hex();
  const std::string restore = "crypto pki server BENCH unrevoke 0x" + victim.to_hex();
  std::vector<double> alone;
  for (int i = 0; i < 3; ++i) {
    alone.push_back(command(daemon, revoke));
    if (i < 2) alone.push_back(command(daemon, restore));
  }
  const std::string crl = ask(port, get("/crl/BENCH.crl"));
  const std::size_t entries =
      must(umbra::x509::parse_crl(umbra::as_bytes(crl)), "the CRL").revoked.size();
  if (entries != revoked + 1) stop(fmt::format("the CRL has {} entries", entries));

  const Load quiet = send_each(port, all.first(count), connections);
  std::atomic<bool> finished = false;
  std::size_t made = 0;
  std::thread revoking([&] {
    for (; !finished; ++made) command(daemon, made % 2 == 0 ? restore : revoke);
  });
  const Load busy = send_each(port, all.subspan(count, count), connections);
  finished = true;
  revoking.join();

  if (quiet.failed + busy.failed != 0) stop("an enrolment was not granted");
  const double rate = static_cast<double>(count) / quiet.seconds;
  const double rate_meanwhile = static_cast<double>(count) / busy.seconds;
  fmt::print("a CRL of {} entries, {:.1f} MB\n\n", entries, static_cast<double>(crl.size()) / 1e6);
  fmt::print("  {:<44}{:>10.2f} s\n", "revoke: CRL made, stored, told, median",
             percentile(alone, 0.5));
  fmt::print("  {:<44}{:>10.2f} s\n", "the slowest", percentile(alone, 1));
  fmt::print("  {:<44}{:>10.1f} MiB\n", "memory, peak",
             static_cast<double>(memory_kib(daemon.pid(), "VmHWM")) / 1024);
  fmt::print("  {:<44}{:>10.0f} /s\n", "enrolments", rate);
  fmt::print("  {:<44}{:>10.0f} /s\n", fmt::format("enrolments while {} CRLs were made", made),
             rate_meanwhile);
  fmt::print("  {:<44}{:>10.1f} ms\n", "latency p99", percentile(quiet.latencies_ms, 0.99));
  fmt::print("  {:<44}{:>10.1f} ms\n", "latency p99 meanwhile",
             percentile(busy.latencies_ms, 0.99));
  fmt::print("  {:<44}{:>10.1f} ms\n\n", "the slowest meanwhile", percentile(busy.latencies_ms, 1));
  fmt::print("  {:<44}{:>10.2f} x\n", "enrolments meanwhile / enrolments", rate_meanwhile / rate);
  return 0;
}
