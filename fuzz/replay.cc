// The main of a fuzz target built without libFuzzer, for the tests: runs every file of the folders
// named on the command line, and as many mutations of each as -n says, the same ones at every run.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

/// What is being run, for who has to find out why it broke.
const Input* current = nullptr;

void keep_it(int /*signal*/) {
  constexpr char told[] = "it broke; the input is in ./broke\n";
  const int file = ::open("broke", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file >= 0 && ::write(file, current->data(), current->size()) >= 0)
    static_cast<void>(!::write(STDERR_FILENO, told, sizeof told - 1));
  std::signal(SIGABRT, SIG_DFL);  // and so it ends
}

void run(const Input& input) {
  current = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

/// Without libFuzzer's eyes for new branches: a few blows to one input, or a part of another in it.
class Mutator {
 public:
  Input mutated(Input input, const Input& other) {
    for (std::size_t blows = 1 + below(4); blows > 0; --blows) strike(input, other);
    return input;
  }

 private:
  // Not std::uniform_int_distribution, whose numbers are each library's own.
  std::size_t below(std::size_t end) { return static_cast<std::size_t>(engine_() % end); }
  std::uint8_t octet() {
    constexpr std::uint8_t telling[] = {0x00, 0x01, 0x7F, 0x80, 0x81, 0x82, 0xFF, 0x30, '\n', ' '};
    return below(2) == 0 ? telling[below(std::size(telling))]
                         : static_cast<std::uint8_t>(below(256));
  }

  void strike(Input& input, const Input& other) {
    constexpr std::size_t longest = 64;
    if (input.empty()) input.push_back(octet());
    const std::size_t at = below(input.size());
    const auto here = input.begin() + static_cast<std::ptrdiff_t>(at);
    const auto some = [&](std::size_t left) {
      return static_cast<std::ptrdiff_t>(1 + below(std::min(left, longest)));
    };
    switch (below(6)) {
      case 0:
        *here = octet();
        return;
      case 1:
        *here = static_cast<std::uint8_t>(*here ^ (1U << below(8)));
        return;
      case 2:
        input.erase(here, here + some(input.size() - at));
        return;
      case 3:
        input.insert(here, octet());
        return;
      case 4: {  // said twice
        const Input part(here, here + some(input.size() - at));
        input.insert(here, part.begin(), part.end());
        return;
      }
      default: {
        if (other.empty()) return;
        const std::size_t from = below(other.size());
        const auto begin = other.begin() + static_cast<std::ptrdiff_t>(from);
        input.insert(here, begin, begin + some(other.size() - from));
      }
    }
  }

  std::mt19937_64 engine_{20260101};
};

}  // namespace

int main(int argc, char** argv) {
  std::size_t mutations = 0;
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
      mutations = std::strtoul(argv[++i], nullptr, 10);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i]))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Input> inputs;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::vector<char> octets((std::istreambuf_iterator<char>(in)), {});
    inputs.emplace_back(octets.begin(), octets.end());
  }
  std::signal(SIGABRT, keep_it);
  for (const Input& input : inputs) run(input);
  Mutator mutator;
  for (std::size_t round = 0; round < mutations; ++round) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      run(mutator.mutated(inputs[i], inputs[(i + round) % inputs.size()]));
    }
  }
  std::printf("%zu inputs, %zu mutations\n", inputs.size(), mutations * inputs.size());
  return inputs.empty() ? 1 : 0;
}
