#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/bytes.h"

namespace umbra::io {

/// A file descriptor with one owner.
class Descriptor {
 public:
  explicit Descriptor(int file) : file_(file) {}
  Descriptor(const std::string& path, int flags, unsigned mode = 0)
      : file_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~Descriptor() {
    if (file_ >= 0) ::close(file_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return file_; }
  [[nodiscard]] bool good() const { return file_ >= 0; }

 private:
  int file_;
};

[[nodiscard]] inline tl::unexpected<Error> os_failed(const std::string& what,
                                                     const std::string& path) {
  return fail(Errc::storage, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

/// As much as there is, 0 at the end.
[[nodiscard]] inline Result<std::size_t> read_some(int file, std::span<std::uint8_t> out,
                                                   const std::string& path) {
  for (;;) {
    const ssize_t got = ::read(file, out.data(), out.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return os_failed("read", path);
  }
}

/// All of it; not synchronised yet.
[[nodiscard]] inline Result<void> write_whole(int file, ByteView content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return os_failed("write", path);
    content = content.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace umbra::io
