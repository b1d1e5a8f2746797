// Durable enrolments: what the real daemon costs per certificate, beside what the crypto alone
// costs on the same machine in the same run. The ratio is the figure to quote; absolute numbers
// belong to the machine.
//
//   enrolments --umbrad build/release/umbrad [--connections 8] [--count 2000]

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "lab.h"

namespace {

using namespace std::chrono_literals;
using namespace umbra::bench;
using umbra::Bytes;

struct Floor {
  double cpu_ms;      ///< of three private operations on one thread
  double per_second;  ///< triples a second on all cores at once
};

Floor measure_floor(const umbra::x509::PrivateKey& key) {
  const Bytes message(64, 0x5A);
  const auto triple = [&] {
    for (int i = 0; i < 3; ++i) must(key.sign(umbra::x509::Digest::sha256, message), "sign");
  };
  for (int i = 0; i < 50; ++i) triple();
  const double before = thread_cpu_seconds();
  constexpr int rounds = 800;
  for (int i = 0; i < rounds; ++i) triple();
  const double cpu_ms = (thread_cpu_seconds() - before) / rounds * 1000;

  std::atomic<int> done = 0;
  const auto end = Clock::now() + 1s;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back([&] {
      while (Clock::now() < end) {
        triple();
        ++done;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return {cpu_ms, static_cast<double>(done)};
}

}  // namespace

int main(int argc, char** argv) {
  std::string umbrad;
  unsigned connections = 8;
  std::size_t count = 2000;
  CLI::App app("Durable enrolments beside the crypto floor");
  app.add_option("--umbrad", umbrad, "the daemon to measure")->required()->check(CLI::ExistingFile);
  app.add_option("--connections", connections, "connections at once")->check(CLI::Range(1, 512));
  app.add_option("--count", count, "enrolments to measure")->check(CLI::Range(100, 1000000));
  CLI11_PARSE(app, argc, argv);

  BenchRandom random;
  const std::uint16_t port = free_port();
  const Daemon daemon(umbrad, port);
  Connection first(port);
  // The daemon listens before its first CA certificate is made; wait for the certificate itself.
  const auto ca =
      must(umbra::scep::parse_ca_cert(first.exchange(get("/scep?operation=GetCACert"), {})),
           "GetCACert")
          .front();
  const std::size_t warm_up = std::max<std::size_t>(50, count / 20);
  const auto messages = prepare(ca, count + warm_up, random);
  const auto key = must(umbra::x509::PrivateKey::generate_rsa(2048), "key");
  const long idle_kib = memory_kib(daemon.pid(), "VmRSS");

  const std::span<const Bytes> all(messages);
  enroll(port, all.first(warm_up), connections);

  const Floor before = measure_floor(key);
  const double cpu_before = process_cpu_seconds(daemon.pid());
  const Load load = enroll(port, all.subspan(warm_up), connections);
  const double cpu = process_cpu_seconds(daemon.pid()) - cpu_before;
  const Floor after = measure_floor(key);

  const double floor_ms = (before.cpu_ms + after.cpu_ms) / 2;
  const double floor_rate = (before.per_second + after.per_second) / 2;
  const double cpu_ms = cpu / static_cast<double>(count) * 1000;
  const double rate = static_cast<double>(count) / load.seconds;
  fmt::print("durable enrolments, RSA-2048, {} connections, {} measured\n\n", connections, count);
  fmt::print("  {:<44}{:>10.2f} ms\n", "crypto floor: 3 private operations, CPU", floor_ms);
  fmt::print("  {:<44}{:>10.0f} /s\n", "crypto floor, all cores", floor_rate);
  fmt::print("  {:<44}{:>10.2f} ms\n", "server CPU per enrolment", cpu_ms);
  fmt::print("  {:<44}{:>10.0f} /s\n", "enrolments, committed before the reply", rate);
  fmt::print("  {:<44}{:>10.1f} ms\n", "latency p50", percentile(load.latencies_ms, 0.50));
  fmt::print("  {:<44}{:>10.1f} ms\n", "latency p99", percentile(load.latencies_ms, 0.99));
  fmt::print("  {:<44}{:>10.1f} MiB\n", "memory, idle", static_cast<double>(idle_kib) / 1024);
  fmt::print("  {:<44}{:>10.1f} MiB\n\n", "memory, peak",
             static_cast<double>(memory_kib(daemon.pid(), "VmHWM")) / 1024);
  fmt::print("  {:<44}{:>10.2f} x\n", "server CPU / crypto floor", cpu_ms / floor_ms);
  fmt::print("  {:<44}{:>10.2f} x\n", "enrolments / crypto floor rate", rate / floor_rate);
  return 0;
}
