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

#include "io/exec_socket.h"
#include "lab.h"
#include "store/store.h"

namespace {

using namespace std::chrono_literals;
using namespace umbra::bench;
using umbra::Bytes;

constexpr unsigned connections = 8;

/// Certificates that were issued and revoked, as large as real ones, between the CA's serial and
/// those that are counted later.
void fill(const std::string& database, const umbra::x509::Certificate& ca, std::size_t count) {
  using namespace umbra;
  const auto store = must(store::open_sqlite(database), "store");
  const auto row = must(store->server("BENCH"), "counters");
  if (!row) stop("the store has no server BENCH");
  const std::uint64_t first = row->last_serial + 1;
  constexpr std::size_t together = 5000;
  for (std::size_t done = 0; done < count;) {
    store::Batch batch;
    for (std::size_t i = 0; i < together && done < count; ++i, ++done) {
      store::IssuedCertificate one;
      one.server = "BENCH";
      one.serial = x509::Serial(first + done);
      one.certificate = to_bytes(ca.der());
      one.subject = fmt::format("cn=bench-{},o=Umbra", done);
      one.not_before = ca.not_before();
      one.not_after = ca.not_after();
      one.transaction_id = fmt::format("{:040X}", done);
      one.request_digest = Bytes(32, 0x5A);
      one.issued_at = ca.not_before();
      one.revoked_at = ca.not_before() + Seconds{static_cast<long>(done % 86400)};
      if (done % 4 == 0) one.reason = x509::RevocationReason::key_compromise;
      batch.emplace_back(store::InsertCertificate{std::move(one)});
    }
    store::ServerRow counters = *row;
    counters.last_serial = counters.serial_lease = first + done;
    batch.emplace_back(store::PutServer{counters});
    if (const auto stored = store->commit(std::move(batch)); !stored)
      stop("filling the store: " + stored.error().detail);
  }
}

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

  BenchRandom random;
  const std::uint16_t port = free_port();
  Daemon daemon(umbrad, port);
  const auto ca = must(umbra::scep::parse_ca_cert(
                           Connection(port).exchange(get("/scep?operation=GetCACert"), {})),
                       "GetCACert")
                      .front();
  daemon.end();
  fill(daemon.data() + "/umbra.db", ca, revoked);
  daemon.start();

  const auto messages = prepare(ca, 3 * count + 1, random);
  const std::span<const Bytes> all(messages);
  enroll(port, all.first(count), connections);  // warm
  const auto serial = revoked + 2;              // behind the CA's and those that were filled in
  const std::string revoke = fmt::format("crypto pki server BENCH revoke {}", serial + 1);
  const std::string restore = fmt::format("crypto pki server BENCH unrevoke {}", serial + 1);
  std::vector<double> alone;
  for (int i = 0; i < 3; ++i) {
    alone.push_back(command(daemon, revoke));
    if (i < 2) alone.push_back(command(daemon, restore));
  }
  const Bytes crl = Connection(port).exchange(get("/crl/BENCH.crl"), {});
  const std::size_t entries = must(umbra::x509::parse_crl(crl), "the CRL").revoked.size();
  if (entries != revoked + 1) stop(fmt::format("the CRL has {} entries", entries));

  const Load quiet = enroll(port, all.subspan(count, count), connections);
  std::atomic<bool> finished = false;
  std::size_t made = 0;
  std::thread revoking([&] {
    for (; !finished; ++made) command(daemon, made % 2 == 0 ? restore : revoke);
  });
  const Load busy = enroll(port, all.subspan(2 * count, count), connections);
  finished = true;
  revoking.join();

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
