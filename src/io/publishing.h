#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/time.h"
#include "server/certificate_server.h"

namespace umbra::io {

/// A thread for each place that files are published at: one that hangs holds up no other.
class Publishing {
 public:
  explicit Publishing(const Clock& clock) : clock_(clock) {}
  ~Publishing() { stop(); }
  /// `servers` outlive this.
  void start(const std::vector<server::CertificateServer*>& servers);
  /// There may be something to send. Quick; from any thread, before the start and after the stop
  /// too.
  void wake();
  /// Waits for what is being sent at the moment.
  void stop();

 private:
  void run(server::CertificateServer& server, std::size_t place);

  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t changes_ = 1;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace umbra::io
