#include "io/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/assert.h"

namespace umbra::io {

void OsRandom::fill(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    UMBRA_ENSURE(got > 0, "the kernel gives randomness");
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace umbra::io
