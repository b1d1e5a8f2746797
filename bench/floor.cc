#include "floor.h"

#include <numeric>
#include <thread>

#include "load.h"
#include "process.h"

namespace umbra::bench {

FloorGauge::FloorGauge() : key_(must(x509::PrivateKey::generate_rsa(2048), "key")) {
  static_cast<void>(measure());
}

Floor FloorGauge::measure() {
  const Bytes message(64, 0x5A);
  const auto triple = [&] {
    for (int i = 0; i < 3; ++i) must(key_.sign(x509::Digest::sha256, message), "sign");
  };
  constexpr int rounds = 150;
  /// CPU ms for each triple of this thread.
  const auto run = [&] {
    const double before = thread_cpu_seconds();
    for (int i = 0; i < rounds; ++i) triple();
    return (thread_cpu_seconds() - before) / rounds * 1000;
  };
  Floor now;
  for (int i = 0; i < 20; ++i) triple();
  auto begun = Clock::now();
  now.cpu_ms = run();
  now.one_core = rounds / seconds_since(begun);

  std::vector<double> each(processors());
  std::vector<std::thread> threads;
  begun = Clock::now();
  for (double& one : each) threads.emplace_back([&] { one = run(); });
  for (auto& thread : threads) thread.join();
  now.all_cores = static_cast<double>(rounds * each.size()) / seconds_since(begun);
  now.cpu_ms_all_cores =
      std::accumulate(each.begin(), each.end(), 0.0) / static_cast<double>(each.size());

  cpu_ms_.push_back(now.cpu_ms);
  one_core_.push_back(now.one_core);
  cpu_ms_all_cores_.push_back(now.cpu_ms_all_cores);
  all_cores_.push_back(now.all_cores);
  return now;
}

Floor FloorGauge::median() const {
  return {bench::median(cpu_ms_), bench::median(one_core_), bench::median(cpu_ms_all_cores_),
          bench::median(all_cores_)};
}

}  // namespace umbra::bench
