#include "floor.h"

#include <atomic>
#include <thread>

#include "load.h"
#include "process.h"

namespace umbra::bench {

FloorGauge::FloorGauge() : key_(must(x509::PrivateKey::generate_rsa(2048), "key")) { measure(); }

void FloorGauge::measure() {
  const Bytes message(64, 0x5A);
  const auto triple = [&] {
    for (int i = 0; i < 3; ++i) must(key_.sign(x509::Digest::sha256, message), "sign");
  };
  constexpr int rounds = 300;
  for (int i = 0; i < 20; ++i) triple();
  auto begun = Clock::now();
  const double cpu = thread_cpu_seconds();
  for (int i = 0; i < rounds; ++i) triple();
  cpu_ms_.push_back((thread_cpu_seconds() - cpu) / rounds * 1000);
  one_core_.push_back(rounds / seconds_since(begun));

  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  begun = Clock::now();
  for (unsigned i = 0; i < processors(); ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < rounds; ++n, ++done) triple();
    });
  }
  for (auto& thread : threads) thread.join();
  all_cores_.push_back(static_cast<double>(done) / seconds_since(begun));
}

Floor FloorGauge::median() const {
  return {bench::median(cpu_ms_), bench::median(one_core_), bench::median(all_cores_)};
}

}  // namespace umbra::bench
