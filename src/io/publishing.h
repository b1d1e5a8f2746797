#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
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
  void start(const std::shared_ptr<server::CertificateServer>& server);
  /// Of this server alone. Waits for what is being sent at the moment.
  void stop(const std::shared_ptr<server::CertificateServer>& server);
  /// There may be something to send. Quick; from any thread, before the start and after the stop
  /// too.
  void wake();
  /// Waits for what is being sent at the moment.
  void stop();

 private:
  /// The threads of one server.
  struct Crew {
    std::shared_ptr<server::CertificateServer> server;
    std::atomic<bool> dismissed = false;
    std::vector<std::thread> threads;
  };
  void run(Crew& crew, std::size_t place);
  void dismiss(Crew& crew);

  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t changes_ = 1;
  std::mutex crews_mutex_;
  std::vector<std::unique_ptr<Crew>> crews_;
};

}  // namespace umbra::io
