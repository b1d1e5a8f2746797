#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/model.h"

namespace umbra::server {

/// What an import knows of a server's configuration, which no file has.
struct KnownOfServer {
  std::string name;
  const x509::Certificate& ca;
  config::DatabaseLevel level = config::DatabaseLevel::minimum;
  config::ArchiveFormat archive = config::ArchiveFormat::pkcs12;
  Seconds crl_lifetime{0};  ///< 0 = not known
  const std::optional<x509::Certificate>& newest;
  bool serials_by_chance = false;
  bool allow_md5 = false;
  bool allow_rsa_1024 = false;
};
/// Lines for umbra.conf.
[[nodiscard]] std::vector<std::string> suggested_configuration(const KnownOfServer& known);

}  // namespace umbra::server
