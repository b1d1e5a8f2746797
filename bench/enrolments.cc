// What the real daemon does and costs, beside what the crypto alone costs on the same machine in
// the same run: first enrolments, renewals, an elliptic CA, what is the same for everybody; and
// another SCEP server on the same requests. The ratios are the figures to quote; absolute numbers
// belong to the machine.
//
//   enrolments --umbrad build/release/umbrad [--count 1500] [--rounds 3] [--part first]
//              [--connections 32]

#include <fmt/format.h>
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <set>
#include <thread>

#include "floor.h"
#include "io/exec_socket.h"
#include "load.h"
#include "messages.h"

namespace {

using namespace umbra::bench;
using umbra::x509::Certificate;

constexpr double seconds_of_repeats = 2;

struct Sizes {
  std::size_t count = 1500;
  int rounds = 3;
  std::vector<unsigned> connections{1, 8, 32, 128};
};

/// What is measured: everything, unless some are named.
struct Parts {
  std::set<std::string> named;
  [[nodiscard]] bool has(const std::string& part) const {
    return named.empty() || named.contains(part);
  }
};

/// One load as it was measured several times: the medians. Beside the floor that was measured just
/// before and just after each time: over one connection one core works at a time, over several all
/// of them.
struct Measured {
  double rate, rate_of_floor, cpu_ms, cpu_of_floor, p50, p95, p99, load_cpu_ms;
};

void heading(const std::string& text) { fmt::print("\n{}\n\n", text); }

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

void machine() {
  utsname system{};
  ::uname(&system);
  fmt::print("machine: {} processors, {}; Linux {}\n", processors(), processor(), system.release);
}

void print_floor(const Floor& floor) {
  heading("the floor: three RSA-2048 private operations (envelope, certificate, answer)");
  fmt::print("  {:<44}{:>10.2f} ms\n", "CPU, on one core", floor.cpu_ms);
  fmt::print("  {:<44}{:>10.2f} ms\n", "CPU, while all cores compute", floor.cpu_ms_all_cores);
  fmt::print("  {:<44}{:>10.0f} /s\n", "one core", floor.one_core);
  fmt::print("  {:<44}{:>10.0f} /s\n", fmt::format("all {} cores", processors()), floor.all_cores);
}

void header() {
  fmt::print("  {:>11} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}\n", "connections", "/s",
             "x floor", "CPU ms", "x floor", "p50 ms", "p95 ms", "p99 ms", "load CPU");
}

void row(unsigned connections, const Measured& m) {
  fmt::print("  {:>11} {:>8.0f} {:>8.2f} {:>8.2f} {:>8.2f} {:>8.1f} {:>8.1f} {:>8.1f} {:>9.3f}\n",
             connections, m.rate, m.rate_of_floor, m.cpu_ms, m.cpu_of_floor, m.p50, m.p95, m.p99,
             m.load_cpu_ms);
}

/// `requests`: those of one round.
Measured measure(pid_t server, std::uint16_t port, unsigned connections, int rounds,
                 FloorGauge& gauge, const std::function<std::vector<std::string>()>& requests,
                 const std::function<void(const Load&)>& check) {
  std::vector<double> rate, rate_of_floor, cpu, cpu_of_floor, p50, p95, p99, own;
  for (int round = 0; round < rounds; ++round) {
    const auto messages = requests();
    const Floor floor_before = gauge.measure();
    const double before = process_cpu_seconds(server);
    const Load load = send_each(port, messages, connections);
    const double each = 1000.0 / static_cast<double>(messages.size());
    const double cpu_ms = (process_cpu_seconds(server) - before) * each;
    const Floor floor_after = gauge.measure();
    check(load);
    const auto floor = [&](double Floor::*of) { return (floor_before.*of + floor_after.*of) / 2; };
    rate.push_back(load.per_second());
    rate_of_floor.push_back(load.per_second() / floor(&Floor::all_cores));
    cpu.push_back(cpu_ms);
    cpu_of_floor.push_back(cpu_ms /
                           floor(connections == 1 ? &Floor::cpu_ms : &Floor::cpu_ms_all_cores));
    own.push_back(load.load_cpu * each);
    p50.push_back(load.percentile_ms(0.50));
    p95.push_back(load.percentile_ms(0.95));
    p99.push_back(load.percentile_ms(0.99));
  }
  return {median(rate), median(rate_of_floor), median(cpu), median(cpu_of_floor),
          median(p50),  median(p95),           median(p99), median(own)};
}

/// Every answer opened, every serial number another one.
class Checked {
 public:
  explicit Checked(const Fleet& fleet) : fleet_(fleet) {}
  std::vector<Certificate> operator()(const Load& load, std::size_t first) {
    std::vector<Certificate> out;
    for (auto& one : fleet_.granted(load.replies, first)) {
      if (!one) stop("a certificate was not granted, or not the one that was asked for");
      if (!serials_.insert(one->serial()).second) stop("a serial number came twice");
      out.push_back(*std::move(one));
    }
    return out;
  }

 private:
  const Fleet& fleet_;
  std::set<umbra::x509::Serial> serials_;
};

void print_levels(pid_t server, std::uint16_t port, const Sizes& sizes, FloorGauge& gauge,
                  Fleet& fleet, Checked& checked, bool renewals) {
  header();
  for (const unsigned connections : sizes.connections) {
    std::size_t first = 0;
    const auto requests = [&] {
      std::vector<Certificate> have;
      if (renewals) have = enrolled(port, fleet, sizes.count);
      first = fleet.made();
      return renewals ? fleet.renewals(have) : fleet.enrolments(sizes.count);
    };
    row(connections, measure(server, port, connections, sizes.rounds, gauge, requests,
                             [&](const Load& load) { static_cast<void>(checked(load, first)); }));
  }
}

void exec(const Daemon& daemon, const std::string& line) {
  const auto reply = must(umbra::io::exec(daemon.data() + "/umbra.sock", {line, {}}), "exec");
  if (!reply.ok) stop(line + ": " + reply.output);
}

/// What costs no private operation.
void print_the_same_for_everybody(const Daemon& daemon, std::uint16_t port, const Sizes& sizes) {
  exec(daemon, "crypto pki server BENCH rollover");
  heading(
      fmt::format("what is the same for everybody, asked for {} seconds each", seconds_of_repeats));
  fmt::print("  {:<16} {:>11} {:>9} {:>8} {:>14} {:>8} {:>8} {:>9}\n", "", "connections", "/s",
             "CPU us", "share of a core", "p50 ms", "p99 ms", "load us");
  for (const auto& [name, target] : {std::pair{"GetCACert", "/scep?operation=GetCACert"},
                                     std::pair{"GetNextCACert", "/scep?operation=GetNextCACert"},
                                     std::pair{"GetCRL", "/scep?operation=GetCRL"},
                                     std::pair{"/crl/BENCH.crl", "/crl/BENCH.crl"}}) {
    for (const unsigned connections : sizes.connections) {
      const double before = process_cpu_seconds(daemon.pid());
      const Load load = repeat(port, get(target), connections, seconds_of_repeats);
      const double cpu = process_cpu_seconds(daemon.pid()) - before;
      const double each = 1e6 / static_cast<double>(load.latencies_ms.size());
      fmt::print("  {:<16} {:>11} {:>9.0f} {:>8.1f} {:>13.0f} % {:>8.2f} {:>8.2f} {:>9.1f}\n", name,
                 connections, load.per_second(), cpu * each, cpu / load.seconds * 100,
                 load.percentile_ms(0.5), load.percentile_ms(0.99), load.load_cpu * each);
    }
  }
}

void rsa(const std::string& umbrad, const Sizes& sizes, const Parts& parts, FloorGauge& gauge) {
  const std::uint16_t port = free_port();
  const Daemon daemon(umbrad, port);
  std::this_thread::sleep_for(std::chrono::seconds{4});  // it comes to rest after two
  const double idle = memory_mib(daemon.pid(), "VmRSS");
  Fleet fleet(port);
  Checked checked(fleet);
  static_cast<void>(enrolled(port, fleet, 200));
  if (parts.has("first")) {
    heading(
        fmt::format("first enrolments (PKCSReq, RSA-2048), each committed before it is answered; "
                    "{} x {}",
                    sizes.rounds, sizes.count));
    print_levels(daemon.pid(), port, sizes, gauge, fleet, checked, false);
  }
  if (parts.has("renewals")) {
    heading("renewals (RenewalReq), the same");
    print_levels(daemon.pid(), port, sizes, gauge, fleet, checked, true);
  }
  if (parts.has("same")) print_the_same_for_everybody(daemon, port, sizes);
  heading("memory of the server");
  fmt::print("  {:<44}{:>10.1f} MiB\n", "resident, idle", idle);
  fmt::print("  {:<44}{:>10.1f} MiB\n", "resident, peak of all of the above",
             memory_mib(daemon.pid(), "VmHWM"));
}

void elliptic(const std::string& umbrad, const Sizes& sizes, FloorGauge& gauge) {
  const std::uint16_t port = free_port();
  const Daemon daemon(umbrad, port, " keytype ec 256\n");
  Fleet fleet(port);
  Checked checked(fleet);
  static_cast<void>(enrolled(port, fleet, 200));
  heading("first enrolments at a P-256 CA with its RSA exchange certificate (two RSA operations)");
  print_levels(daemon.pid(), port, sizes, gauge, fleet, checked, false);
}

/// micromdm's SCEP server, of Debian's package `scep`, with a CA of its own.
struct Micromdm {
  explicit Micromdm(std::uint16_t port) {
    Process init({"scepserver", "ca", "-init", "-depot", scratch.path("depot"), "-organization",
                  "Micro", "-key-password", "depot", "-keySize", "2048"},
                 scratch.path("init"));
    if (init.wait() != 0) stop("scepserver ca -init");
    process = std::make_unique<Process>(
        std::vector<std::string>{"scepserver", "-depot", scratch.path("depot"), "-port",
                                 std::to_string(port), "-capass", "depot", "-allowrenew", "0",
                                 "-crtvalid", "365"},
        scratch.path("log"));
    const auto begun = Clock::now();
    while (!answers(port, "/scep?operation=GetCACert")) {
      if (seconds_since(begun) > 30) stop("scepserver does not answer");
      std::this_thread::sleep_for(std::chrono::milliseconds{50});
    }
  }
  Scratch scratch;
  std::unique_ptr<Process> process;
};

struct Compared {
  double good_rate = 0, cpu_ms = 0, p99 = 0, peak_mib = 0;
  std::size_t twice = 0;
};

Compared compare_one(pid_t server, std::uint16_t port, Style style, const Sizes& sizes,
                     unsigned connections) {
  Fleet fleet(port, style);
  std::vector<double> rate, cpu, p99;
  Compared out;
  std::set<umbra::x509::Serial> serials;
  for (int round = 0; round < sizes.rounds; ++round) {
    const std::size_t first = fleet.made();
    const auto requests = fleet.enrolments(sizes.count);
    const double before = process_cpu_seconds(server);
    const Load load = send_each(port, requests, connections);
    const double used = process_cpu_seconds(server) - before;
    std::size_t good = 0;
    for (const auto& one : fleet.granted(load.replies, first)) {
      if (!one) continue;
      ++good;
      if (!serials.insert(one->serial()).second) ++out.twice;
    }
    if (good == 0) stop("not one certificate was granted");
    rate.push_back(static_cast<double>(good) / load.seconds);
    cpu.push_back(used * 1000 / static_cast<double>(good));
    p99.push_back(load.percentile_ms(0.99));
  }
  out.good_rate = median(rate);
  out.cpu_ms = median(cpu);
  out.p99 = median(p99);
  out.peak_mib = memory_mib(server, "VmHWM");
  return out;
}

void compare(const std::string& umbrad, const Sizes& sizes) {
  constexpr unsigned connections = 8;
  heading(
      fmt::format("beside micromdm's scepserver (Debian's package scep), {} connections, the "
                  "same kind of requests",
                  connections));
  const std::uint16_t their_port = free_port();
  const Micromdm micromdm(their_port);
  const std::uint16_t our_port = free_port();
  const Daemon daemon(umbrad, our_port);
  const Compared theirs =
      compare_one(micromdm.process->pid(), their_port, {.opens_des = true}, sizes, connections);
  const Compared ours = compare_one(daemon.pid(), our_port, {}, sizes, connections);
  fmt::print("  {:<12} {:>9} {:>9} {:>8} {:>14} {:>10}\n", "", "good /s", "CPU ms", "p99 ms",
             "serials twice", "peak MiB");
  for (const auto& [name, one] : {std::pair{"scepserver", theirs}, std::pair{"umbrad", ours}}) {
    fmt::print("  {:<12} {:>9.0f} {:>9.2f} {:>8.1f} {:>14} {:>10.1f}\n", name, one.good_rate,
               one.cpu_ms, one.p99, one.twice, one.peak_mib);
  }
  fmt::print("\n  {:<44}{:>10.1f} x\n", "umbrad / scepserver, good answers a second",
             ours.good_rate / theirs.good_rate);
  if (ours.twice != 0) stop("a serial number came twice");
}

}  // namespace

int main(int argc, char** argv) {
  std::string umbrad;
  Sizes sizes;
  CLI::App app(
      "Durable enrolments and whatever else a SCEP server answers, beside the crypto floor");
  app.add_option("--umbrad", umbrad, "the daemon to measure")->required()->check(CLI::ExistingFile);
  app.add_option("--count", sizes.count, "requests of one round")->check(CLI::Range(100, 100000));
  app.add_option("--rounds", sizes.rounds, "rounds, of which the median counts")
      ->check(CLI::Range(1, 99));
  app.add_option("--connections", sizes.connections, "over how many at once; may be given again")
      ->check(CLI::Range(1, 1024));
  Parts parts;
  app.add_option("--part", parts.named, "this part alone; may be given again")
      ->check(CLI::IsMember({"first", "renewals", "same", "elliptic", "compared"}));
  CLI11_PARSE(app, argc, argv);

  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  machine();
  FloorGauge gauge;
  if (parts.has("first") || parts.has("renewals") || parts.has("same"))
    rsa(umbrad, sizes, parts, gauge);
  if (parts.has("elliptic")) elliptic(umbrad, sizes, gauge);
  if (parts.has("compared")) compare(umbrad, sizes);
  print_floor(gauge.median());
  return 0;
}
