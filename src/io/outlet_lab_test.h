#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "io/outlet.h"
#include "io/scratch_test.h"

namespace umbra::io {

class OutletLines final : public Log {
 public:
  void event(const LogEvent& event) override { lines.push_back(to_string(event)); }
  void debug(std::string_view, std::string_view) override {}
  std::vector<std::string> lines;
};

class OutletTest : public ScratchTest {
 protected:
  static client::PemSet set(const std::string& mark) {
    return {.ca = "ca " + mark, .cert = "cert " + mark, .key = "key " + mark, .chain = "c " + mark};
  }
  Result<void> publish(const client::PemSet& active, const client::PemSet& rollover = {},
                       const client::PemSet& previous = {}) {
    return outlet.publish_pem(trustpoint, storage, {active, rollover, previous});
  }
  std::size_t generations() {
    std::size_t sets = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path("pem")))
      sets += entry.is_directory() && !entry.is_symlink() ? 1U : 0U;
    return sets;
  }
  static bool mine(ByteView) { return true; }
  static bool anothers(ByteView) { return false; }
  Result<void> publish_archive(const Bytes& archive) {
    return outlet.publish_pkcs12(trustpoint, storage, archive, [](ByteView) { return true; });
  }
  /// In a process of its own, which can give up what it may do. Out: what `body` comes to.
  static int in_child(const std::function<int()>& body) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body());
    int status = -1;
    if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status);
  }
  boost::asio::io_context loop;
  OutletLines log;
  FileOutlet outlet{loop, log};
  std::string trustpoint = "A";
  config::Storage storage{path("pem"), "", "", 0600, false};
};

}  // namespace umbra::io
