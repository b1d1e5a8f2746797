// Rehearsed device-years per second, and the memory they take: 5 years, 3 generations of the CA, on
// as many threads as there are processors.
//
//   rehearsal [--clients 10000 --clients 100000 --clients 1000000]

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "rehearse/rehearsal.h"

namespace {

constexpr const char* files =
    "ip http server\nip http address 172.16.1.1\n"
    "crypto pki server ROOTCA\n grant auto\n lifetime certificate 365\n"
    " lifetime ca-certificate 730\n auto-rollover 90\n no shutdown\n"
    "crypto pki trustpoint SPOKE\n enrollment url http://172.16.1.1:80\n auto-enroll 80\n";
constexpr double years = 5;

double peak_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    long kib = 0;
    if (word == "VmHWM:" && status >> kib) return static_cast<double>(kib) / 1024;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::size_t> sizes = {10'000, 100'000, 1'000'000};
  CLI::App app("Rehearsed device-years per second");
  app.add_option("--clients", sizes, "how many devices; may be repeated")
      ->check(CLI::Range(1, 100'000'000));
  CLI11_PARSE(app, argc, argv);

  std::vector<umbra::plan::Source> sources;
  sources.push_back({"bench", umbra::config::parse(files)});
  auto scenario = umbra::rehearse::scenario_of(sources, {});
  if (!scenario) {
    fmt::print(stderr, "{}\n", scenario.error().detail);
    return 1;
  }
  const unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  fmt::print("rehearsal of {} years, {} threads\n\n", years, threads);
  fmt::print("  {:>12}  {:>9}  {:>24}  {:>12}\n", "devices", "seconds", "device-years a second",
             "peak memory");
  for (const std::size_t devices : sizes) {
    scenario->devices = devices;
    const auto from = std::chrono::steady_clock::now();
    const auto outcome = umbra::rehearse::rehearse(*scenario, threads);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - from;
    if (outcome.dark() != 0 || !outcome.sound() ||
        outcome.authorities.front().generations.size() != 3) {
      fmt::print(stderr, "the guide's devices must not go dark\n");
      return 1;
    }
    fmt::print("  {:>12}  {:>9.2f}  {:>24.0f}  {:>8.0f} MiB\n", devices, took.count(),
               static_cast<double>(devices) * years / took.count(), peak_mib());
  }
  return 0;
}
