#pragma once

#include <memory>
#include <vector>

#include "base/time.h"
#include "client/trustpoint.h"
#include "io/expiry_watch.h"
#include "server/certificate_server.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace umbra::io {

/// Arms the soonest deadline of all servers and trustpoints and runs what is due. Sleeps until
/// then, however long; that the system's clock was stepped, or that it became authoritative, wakes
/// it.
class Driver : public std::enable_shared_from_this<Driver> {
 public:
  Driver(boost::asio::io_context& loop, boost::asio::thread_pool& life, const Clock& clock,
         std::vector<std::shared_ptr<server::CertificateServer>> servers,
         std::vector<std::shared_ptr<client::Trustpoint>> trustpoints, ExpiryWatch& watch);
  ~Driver();
  void start();
  /// The deadlines of this one of the trustpoints may have changed. Thread-safe.
  void changed(const std::string& trustpoint);
  /// A server's deadlines may have changed. Thread-safe.
  void poke();
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace umbra::io
