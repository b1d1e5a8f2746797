#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "io/files.h"

namespace umbra::io {

/// A directory of the test's own, gone after it.
class ScratchTest : public testing::Test {
 protected:
  ScratchTest() {
    std::string shape = (std::filesystem::temp_directory_path() / "umbra-io-XXXXXX").string();
    directory = ::mkdtemp(shape.data());
  }
  ~ScratchTest() override { std::filesystem::remove_all(directory); }
  [[nodiscard]] std::string path(const std::string& name) const { return directory + "/" + name; }
  static unsigned mode(const std::string& path) {
    struct stat found {};
    return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 0777U : 0;
  }
  static std::string text(const std::string& path) {
    const auto content = read_file(path, 1 << 20);
    return content ? std::string(as_text(*content)) : "(" + content.error().detail + ")";
  }
  std::string directory;
};

}  // namespace umbra::io
