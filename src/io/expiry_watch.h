#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "client/status.h"
#include "console/expiring.h"
#include "lifecycle/alert.h"
#include "lifecycle/deadline.h"
#include "server/status.h"

namespace umbra::io {

/// Says in the log that certificates are about to end and nothing has replaced them: ID and CA of
/// each trustpoint, the CA of each certificate server. What was said is remembered until the
/// process ends: a new one says once how things stand.
class ExpiryWatch {
 public:
  using Servers = std::function<std::vector<server::Status>()>;
  using Trustpoints = std::function<std::vector<client::Status>()>;
  ExpiryWatch(const Clock& clock, Log& log, Servers servers, Trustpoints trustpoints);

  /// When to look again: the next alert, or in six hours, for what comes meanwhile.
  [[nodiscard]] Time next() const;
  /// Logs what is due. Nothing while the clock is not authoritative.
  void run();

 private:
  void say(const console::Expiring& one, Time now);

  const Clock& clock_;
  Log& log_;
  Servers servers_;
  Trustpoints trustpoints_;
  std::mutex running_;  ///< held while it looks
  mutable std::mutex mutex_;
  Time next_{};
  /// When which certificate was spoken of last, by owner and SHA-256: run's own.
  std::map<std::string, Time> said_;
};

}  // namespace umbra::io
