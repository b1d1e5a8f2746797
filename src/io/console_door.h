#pragma once

#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "console/session.h"
#include "io/exec_socket.h"

namespace umbra::io {

/// Who may do what: root, the daemon's own user and the group `umbra` everything; the group
/// `umbra-view` may look.
struct ConsoleGroups {
  std::optional<gid_t> full;
  std::optional<gid_t> view;
};
/// As the system has them now.
[[nodiscard]] ConsoleGroups console_groups();
[[nodiscard]] console::Privilege privilege_of(const Peer& peer, uid_t own,
                                              const ConsoleGroups& groups);

/// Opens a session for each connection, and closes them all when the daemon ends. Commands of all
/// sessions are carried out one after another.
class ConsoleDoor {
 public:
  /// `done`: something may have changed what falls due.
  ConsoleDoor(boost::asio::thread_pool& pool, console::Session::Source source,
              std::function<void()> done);
  [[nodiscard]] Result<std::shared_ptr<ExecSession>> open(const Peer& peer);
  /// When nothing is under way any more.
  void close();

 private:
  using Strand = boost::asio::strand<boost::asio::thread_pool::executor_type>;
  class Seat;
  Strand strand_;
  console::Session::Source source_;
  std::function<void()> done_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<console::Session>> sessions_;
};

}  // namespace umbra::io
