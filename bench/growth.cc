// Enrolments with many certificates in the database already: how fast, how long the daemon takes to
// start, how much memory. The servers take turns, so that what the machine does meanwhile meets all
// of them.
//
//   growth --umbrad build/release/umbrad [--rows 0 --rows 1000000] [--count 1500] [--rounds 5]

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "filler.h"
#include "load.h"
#include "messages.h"

namespace {

using namespace umbra::bench;

constexpr unsigned connections = 8;

struct Grown {
  Grown(const std::string& umbrad, std::size_t count)
      : rows(count), port(free_port()), daemon(umbrad, port) {
    // What the page cache holds of a database that has just been written, a server that has run for
    // years would have too.
    daemon.end();
    if (rows > 0) filled = fill(daemon.database(), ca_of_its_own(), rows, false);
    starts = daemon.start();
    idle_mib = memory_mib(daemon.pid(), "VmRSS");
    fleet = std::make_unique<Fleet>(port);
    static_cast<void>(enrolled(port, *fleet, 200));
  }
  umbra::x509::Certificate ca_of_its_own() {
    daemon.start();
    auto ca = authority_at(port).ca;
    daemon.end();
    return ca;
  }
  void measure(std::size_t count) {
    const std::size_t first = fleet->made();
    const auto requests = fleet->enrolments(count);
    const double before = process_cpu_seconds(daemon.pid());
    const Load load = send_each(port, requests, connections);
    cpu_ms.push_back((process_cpu_seconds(daemon.pid()) - before) * 1000 /
                     static_cast<double>(count));
    rate.push_back(load.per_second());
    p99.push_back(load.percentile_ms(0.99));
    for (const auto& one : fleet->granted(load.replies, first))
      if (!one) stop("an enrolment was not granted");
  }

  std::size_t rows;
  std::uint16_t port;
  Daemon daemon;
  Filled filled;
  double starts = 0, idle_mib = 0;
  std::unique_ptr<Fleet> fleet;
  std::vector<double> rate, p99, cpu_ms;
};

}  // namespace

int main(int argc, char** argv) {
  std::string umbrad;
  std::vector<std::size_t> sizes = {0, 1'000'000};
  std::size_t count = 1500;
  int rounds = 5;
  CLI::App app("Enrolments with many certificates in the database");
  app.add_option("--umbrad", umbrad, "the daemon to measure")->required()->check(CLI::ExistingFile);
  app.add_option("--rows", sizes, "certificates that are there already; the first is compared with")
      ->check(CLI::Range(0, 100'000'000));
  app.add_option("--count", count, "enrolments of one round")->check(CLI::Range(100, 100000));
  app.add_option("--rounds", rounds, "rounds, of which the median counts")
      ->check(CLI::Range(1, 99));
  CLI11_PARSE(app, argc, argv);

  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::vector<std::unique_ptr<Grown>> all;
  for (const std::size_t rows : sizes) all.push_back(std::make_unique<Grown>(umbrad, rows));
  for (int round = 0; round < rounds; ++round)
    for (const auto& one : all) one->measure(count);

  fmt::print("\nenrolments with certificates in the database already, {} connections, {} x {}\n\n",
             connections, rounds, count);
  fmt::print("  {:>12} {:>8} {:>10} {:>8} {:>8} {:>9} {:>10} {:>8} {:>10}\n", "certificates", "/s",
             "of the 1st", "CPU ms", "p99 ms", "start s", "after, MiB", "file GB", "filled in s");
  for (const auto& one : all) {
    fmt::print(
        "  {:>12} {:>8.0f} {:>10.2f} {:>8.2f} {:>8.1f} {:>9.2f} {:>10.1f} {:>8.1f} {:>10.0f}\n",
        one->rows, median(one->rate), median(one->rate) / median(all.front()->rate),
        median(one->cpu_ms), median(one->p99), one->starts, one->idle_mib, one->filled.gigabytes,
        one->filled.seconds);
  }
  return 0;
}
