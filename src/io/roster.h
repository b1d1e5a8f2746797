#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/trustpoint.h"
#include "config/config.h"
#include "plan/check.h"
#include "server/certificate_server.h"
#include "server/router.h"

namespace umbra::io {

/// A configuration and everything that runs under it, at one moment. Immutable: whoever holds one
/// keeps all of it alive, also what the next one has no more.
struct Roster {
  std::shared_ptr<const config::Parsed> parsed;
  std::shared_ptr<const plan::Report> plan;
  // Both in the configuration's order.
  std::vector<std::shared_ptr<server::CertificateServer>> servers;
  std::vector<std::shared_ptr<client::Trustpoint>> trustpoints;
  std::map<std::string, std::shared_ptr<client::Trustpoint>, std::less<>> trustpoint_of;
  server::Router router{{}};

  [[nodiscard]] const config::Configuration& configuration() const { return parsed->configuration; }
  [[nodiscard]] std::shared_ptr<server::CertificateServer> server(std::string_view name) const {
    for (const auto& one : servers) {
      if (one->name() == name) return one;
    }
    return nullptr;
  }
  [[nodiscard]] std::shared_ptr<client::Trustpoint> trustpoint(std::string_view name) const {
    const auto found = trustpoint_of.find(name);
    return found == trustpoint_of.end() ? nullptr : found->second;
  }
};
using RosterPtr = std::shared_ptr<const Roster>;

}  // namespace umbra::io
