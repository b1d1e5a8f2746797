#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"

namespace umbra::config {

/// What must be done to go from one configuration to another. Names in the order of the
/// configuration they are taken from.
struct Difference {
  std::vector<std::string> servers_added;
  std::vector<std::string> servers_removed;
  std::vector<std::string> servers_changed;  ///< in more than `shutdown`
  std::vector<std::string> servers_shut;     ///< `shutdown`, and were not
  std::vector<std::string> servers_started;  ///< `no shutdown`, and were shut
  std::vector<std::string> trustpoints_added;
  std::vector<std::string> trustpoints_removed;
  std::vector<std::string> trustpoints_changed;
  bool fqdn = false;      ///< of the system: the name in the subjects of clients
  bool listener = false;  ///< `ip http ...`

  [[nodiscard]] bool empty() const;
};
[[nodiscard]] Difference difference(const Configuration& before, const Configuration& after);

[[nodiscard]] const Server* find_server(const Configuration& in, std::string_view name);
[[nodiscard]] const Trustpoint* find_trustpoint(const Configuration& in, std::string_view name);

/// Servers of `before` that are not shut, and that `after` changes all the same: IOS has their
/// configuration locked.
[[nodiscard]] std::vector<std::string> locked(const Configuration& before,
                                              const Configuration& after);

/// As IOS's `show archive config differences`: lines of `after` alone with `+`, of `before` alone
/// with `-`, below the line of their section; empty if nothing differs. Both are running-config
/// texts, whose order within a section means nothing.
[[nodiscard]] std::string contextual_differences(std::string_view before, std::string_view after);

}  // namespace umbra::config
