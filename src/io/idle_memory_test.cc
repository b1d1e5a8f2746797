#include "io/idle_memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

namespace umbra::io {
namespace {

/// Resident pages of files, in KiB.
long resident_file_kib() {
  std::ifstream status("/proc/self/status");
  const std::string field = "RssFile:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return std::strtol(line.c_str() + field.size(), nullptr, 10);
  }
  return -1;
}

TEST(IdleMemory, PagesOfProgramsAreLetGoUnderTheFeetOfThoseWhoRunInThem) {
  std::atomic<bool> done = false;
  std::atomic<long> rounds = 0;
  std::thread runs([&] {
    while (!done) rounds += resident_file_kib() > 0 ? 1 : 0;
  });
  while (rounds < 10) std::this_thread::yield();
  const long before = resident_file_kib();
  for (int i = 0; i < 20; ++i) give_back_memory();
  EXPECT_LT(resident_file_kib(), before);
  const long so_far = rounds;
  while (rounds < so_far + 10) std::this_thread::yield();
  done = true;
  runs.join();
}

}  // namespace
}  // namespace umbra::io
