/// Plays seeds: see docs/SIMULATION.md.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "simulation/process.h"
#include "simulation/story.h"
#include "simulation/vfs.h"
#include "store/store.h"

namespace umbra::simulation {
namespace {

using Steady = std::chrono::steady_clock;

/// A directory that is gone when the process is. Nothing but names lies in it.
class Scratch {
 public:
  Scratch() {
    std::string shape =
        (std::filesystem::temp_directory_path() / "umbra-simulation-XXXXXX").string();
    if (::mkdtemp(shape.data()) == nullptr) std::abort();
    path_ = shape;
    for (const char* host : {"ca", "host1", "host2", "host3", "fresh"})
      std::filesystem::create_directory(path_ + "/" + host);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A disk with a store that nothing was ever written to.
Disk::Image fresh_disk(const std::string& directory) {
  Disk disk(Chance(0, 0));
  mount(directory + "/fresh", &disk);
  {
    const auto store = store::open_sqlite(directory + "/fresh/umbra.db");
    UMBRA_ENSURE(store, "a store opens on a sound disk");
  }
  mount(directory + "/fresh", nullptr);
  return disk.image();
}

/// What a worker tells, in memory that it shares.
struct Board {
  std::uint64_t seed;    ///< under way, or the last one
  std::uint64_t digest;  ///< of the last one that ended
  Figures figures;
  std::uint64_t failed;
};

/// Boards that processes share which are forked from this one.
class Boards {
 public:
  explicit Boards(unsigned count)
      : octets_(sizeof(Board) * count),
        boards_(static_cast<Board*>(
            ::mmap(nullptr, octets_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    UMBRA_ENSURE(boards_ != MAP_FAILED, "there is memory for the boards");
  }
  ~Boards() { ::munmap(boards_, octets_); }
  Boards(const Boards&) = delete;
  Boards& operator=(const Boards&) = delete;
  [[nodiscard]] Board& operator[](unsigned i) const { return boards_[i]; }

 private:
  std::size_t octets_;
  Board* boards_;
};

struct Job {
  std::uint64_t first = 1, step = 1, count = 0;
  std::optional<Steady::time_point> until;
};

std::string replay(std::uint64_t seed) {
  return fmt::format("build/release/tests/simulate --seed {}", seed);
}

void say(const std::string& text) {
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

/// In: `told` = after each part of its stories a line of what the workers have done, if given.
void work(const Job& job, Board& board, const std::function<void()>& told) {
  const Scratch scratch;
  const auto fresh = fresh_disk(scratch.path());
  constexpr std::uint64_t parts = 10;
  for (std::uint64_t i = 0; job.until ? Steady::now() < *job.until : i < job.count; ++i) {
    const std::uint64_t seed = job.first + i * job.step;
    board.seed = seed;
    const auto outcome = play(seed, scratch.path(), fresh, false);
    board.figures.add(outcome.figures);
    board.digest = outcome.digest;
    if (told && job.count >= parts && (i + 1) % (job.count / parts) == 0) told();
    if (outcome.figures.events > 20'000)
      say(fmt::format("seed {}: {} events", seed, outcome.figures.events));
    if (outcome.violations.empty()) continue;
    ++board.failed;
    say(fmt::format("seed {}: {}\n  replay: {}", seed, outcome.violations.front(), replay(seed)));
  }
}

void print(const Figures& f, double elapsed) {
  say(fmt::format("{} stories of {} days, {} events, in {:.1f} s: {:.0f} stories/s", f.stories,
                  f.days, f.events, elapsed, static_cast<double>(f.stories) / elapsed));
  say(fmt::format(
      "  power lost {} times, {} of them at a change, {} files torn by it; {} starts, {} ends in "
      "order",
      f.crashes, f.last_changes, f.torn, f.starts, f.restarts));
  say(fmt::format(
      "  disks: {} changes, {} syncs; failed: {} reads, {} writes, {} syncs, {} others, "
      "{} times no room",
      f.changes, f.syncs, f.failed_reads, f.failed_writes, f.failed_syncs, f.failed_others,
      f.disk_full));
  say(fmt::format("  clocks: {} steps, {} times not known after a start", f.clock_steps,
                  f.clocks_unknown));
  say(fmt::format("  network: {} messages, {} lost, {} doubled, {} damaged, {} late", f.messages,
                  f.lost, f.doubled, f.damaged, f.late));
  say(fmt::format("  {} registration authorities gave {} answers", f.ras, f.by_ras));
  say(
      fmt::format("  {} CAs, {} of them taken back; {} certificates handed out, {} revoked, {} "
                  "requests granted by hand",
                  f.cas, f.cancelled, f.certificates, f.revoked, f.granted));
}

pid_t forked(const std::function<void()>& play_there) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  UMBRA_ENSURE(child >= 0, "there is room for another process");
  if (child > 0) return child;
  play_there();
  std::_Exit(0);
}

int ended(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

/// The last story of a worker, which has played others before, is the same in a process that has
/// played none. Out: 1 if it is not.
std::uint64_t differs_alone(const Board& worker) {
  const Boards boards(1);
  Board& board = boards[0];
  const int status = ended(forked([&] {
    const Scratch scratch;
    board.digest = play(worker.seed, scratch.path(), fresh_disk(scratch.path()), false).digest;
  }));
  if (status == 0 && board.digest == worker.digest) return 0;
  say(fmt::format("seed {} is another story by itself than after others: {:016x}, {:016x}",
                  worker.seed, board.digest, worker.digest));
  return 1;
}

/// In `jobs` processes. Out: how many seeds failed.
std::uint64_t play_all(Job job, unsigned jobs) {
  const auto begun = Steady::now();
  const auto elapsed = [begun] {
    return std::chrono::duration<double>(Steady::now() - begun).count();
  };
  make_keys();
  const Boards boards(jobs);
  const auto sum = [&] {
    Board all{};
    for (unsigned i = 0; i < jobs; ++i) {
      all.figures.add(boards[i].figures);
      all.failed += boards[i].failed;
    }
    return all;
  };
  std::vector<pid_t> workers;
  for (unsigned i = 0; i < jobs; ++i) {
    workers.push_back(forked([&, i] {
      Job part = job;
      part.first = job.first + i;
      part.step = jobs;
      part.count = job.count / jobs + (i < job.count % jobs ? 1 : 0);
      std::function<void()> told;
      if (i == 0) {
        told = [&] {
          const Board all = sum();
          say(fmt::format("{} of {} stories played, {} failed, in {:.0f} s", all.figures.stories,
                          job.count, all.failed, elapsed()));
        };
      }
      work(part, boards[i], told);
    }));
  }
  std::uint64_t failed = 0;
  for (unsigned i = 0; i < jobs; ++i) {
    const int status = ended(workers[i]);
    if (status == 0) {
      if (boards[i].figures.stories > 0) failed += differs_alone(boards[i]);
      continue;
    }
    ++failed;
    say(fmt::format("seed {}: the process died of it (status {:#x})\n  replay: {}", boards[i].seed,
                    status, replay(boards[i].seed)));
  }
  const Board all = sum();
  print(all.figures, elapsed());
  return failed + all.failed;
}

int play_one(std::uint64_t seed, bool quiet) {
  const Scratch scratch;
  const auto fresh = fresh_disk(scratch.path());
  const auto first = play(seed, scratch.path(), fresh, true);
  if (!quiet) {
    for (const auto& line : first.story) say(line);
  }
  for (const auto& one : first.violations) say("VIOLATED " + one);
  // Twice in one process, once with its story told, and after another one: nothing may depend on
  // any of that.
  static_cast<void>(play(seed + 1, scratch.path(), fresh, false));
  const auto second = play(seed, scratch.path(), fresh, false);
  if (first.digest != second.digest || first.violations != second.violations) {
    say(fmt::format("seed {} does not repeat itself: {:016x}, {:016x}", seed, first.digest,
                    second.digest));
    return 1;
  }
  say(fmt::format("seed {}: {:016x}, {}", seed, first.digest,
                  first.violations.empty() ? "sound" : "VIOLATED"));
  return first.violations.empty() ? 0 : 1;
}

/// Seeds that once failed: a number a line, and what it was behind `#`.
int play_list(const std::string& path) {
  std::ifstream in(path);
  UMBRA_ENSURE(in, "the list of seeds can be read");
  int failed = 0, played = 0;
  for (std::string line; std::getline(in, line);) {
    std::uint64_t seed = 0;
    if (std::from_chars(line.data(), line.data() + line.size(), seed).ec != std::errc{}) continue;
    ++played;
    failed += play_one(seed, true);
  }
  say(fmt::format("{} seeds, {} failed", played, failed));
  return failed == 0 && played > 0 ? 0 : 1;
}

int usage() {
  say("simulate --seed N            plays one seed and tells its story\n"
      "simulate --list FILE         plays the seeds in it, each twice\n"
      "simulate [--first N] (--seeds COUNT | --seconds TIME) [--jobs PROCESSES]");
  return 2;
}

int run(const std::vector<std::string_view>& words) {
  Job job;
  unsigned jobs = 1;
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
    if (words[i] == "--list") return play_list(std::string(words[i + 1]));
    std::uint64_t number = 0;
    const auto text = words[i + 1];
    if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{})
      return usage();
    if (words[i] == "--seed") return play_one(number, false);
    if (words[i] == "--first") {
      job.first = number;
    } else if (words[i] == "--seeds") {
      job.count = number;
    } else if (words[i] == "--seconds") {
      job.until = Steady::now() + std::chrono::seconds{number};
    } else if (words[i] == "--jobs") {
      jobs = static_cast<unsigned>(number);
    } else {
      return usage();
    }
  }
  if ((job.count == 0 && !job.until) || jobs == 0) return usage();
  const auto failed = play_all(job, jobs);
  if (failed > 0) say(fmt::format("{} seeds FAILED", failed));
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace umbra::simulation

int main(int argc, char** argv) {
  umbra::simulation::install_process();
  umbra::simulation::install_vfs();
  return umbra::simulation::run({argv + 1, argv + argc});
}
