#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"

/// Which certificate server a trustpoint enrols with.
namespace umbra::plan {

/// One configuration file, read without faults.
struct Source {
  std::string file;
  config::Parsed parsed;

  [[nodiscard]] const config::Configuration& configuration() const { return parsed.configuration; }
};

/// Where a setting of a block stands; the block's own line if it is not there.
[[nodiscard]] std::size_t line_of(const Source& source, config::SettingLine::In in,
                                  const std::string& block, const std::string& key);
/// The setting itself; nothing if it is not there.
[[nodiscard]] const config::SettingLine* setting(const Source& source, config::SettingLine::In in,
                                                 const std::string& block, const std::string& key);

struct ServerAt {
  const Source* source = nullptr;
  const config::Server* server = nullptr;

  [[nodiscard]] bool is_ra() const { return server->upstream.has_value(); }
};

/// `--server-url NAME=URL`: an address that the configuration does not tell.
using ServerUrl = std::pair<std::string, std::string>;

class Pairing {
 public:
  /// In: sources that outlive the pairing.
  Pairing(const std::vector<Source>& sources, const std::vector<ServerUrl>& urls);
  Pairing(std::vector<Source>&& sources, const std::vector<ServerUrl>& urls) = delete;

  enum class How {
    by_address,
    assumed,  ///< there is one server alone, at an address that is not known
    nowhere,
  };
  struct Pair {
    How how = How::nowhere;
    std::size_t server = 0;                   ///< of `servers()`
    std::optional<std::size_t> through = {};  ///< a registration authority in between
  };
  /// A registration authority issues nothing: who enrols there is under the CA above it.
  [[nodiscard]] Pair of(const Source& source, const std::string& trustpoint,
                        const std::string& url) const;
  [[nodiscard]] const std::vector<ServerAt>& servers() const { return servers_; }

 private:
  /// Whoever answers there, an RA too.
  [[nodiscard]] Pair answers(const Source& source, const std::string& trustpoint,
                             const std::string& url) const;
  [[nodiscard]] std::optional<std::size_t> among(const std::vector<std::size_t>& candidates,
                                                 const std::string& trustpoint,
                                                 const std::string& path) const;

  struct Address {
    std::string host;  ///< in small letters
    std::string port;
    std::size_t server = 0;
  };
  std::vector<ServerAt> servers_;
  std::vector<Address> addresses_;
};

/// HOST and PORT of http://HOST[:PORT][/PATH]; of a text that is no such URL, what there is.
struct UrlParts {
  std::string host;
  std::string port = "80";
  std::string path;
};
[[nodiscard]] UrlParts parts_of(const std::string& url);

}  // namespace umbra::plan
