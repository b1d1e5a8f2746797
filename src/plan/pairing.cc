#include "plan/pairing.h"

#include <algorithm>
#include <tuple>

namespace umbra::plan {
namespace {

std::string small_letters(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

/// NAME of /scep/NAME and /cgi-bin/NAME, as the server's router reads them.
std::string server_in(std::string_view path) {
  constexpr std::string_view program = "/pkiclient.exe";
  if (path.ends_with(program)) path.remove_suffix(program.size());
  for (const std::string_view prefix : {"/scep/", "/cgi-bin/"}) {
    if (path.starts_with(prefix)) return std::string(path.substr(prefix.size()));
  }
  return "";
}

}  // namespace

const config::SettingLine* setting(const Source& source, config::SettingLine::In in,
                                   const std::string& block, const std::string& key) {
  // Ten thousand trustpoints ask for theirs.
  const auto& lines = source.parsed.lines;
  const auto begin = std::lower_bound(
      lines.begin(), lines.end(), std::tie(in, block),
      [](const auto& one, const auto& wanted) { return std::tie(one.in, one.block) < wanted; });
  const auto is_of_another = [&](const auto& one) { return one.in != in || one.block != block; };
  const auto end = std::find_if(begin, lines.end(), is_of_another);
  const auto found = std::find_if(begin, end, [&](const auto& one) { return one.key == key; });
  return found == end ? nullptr : &*found;
}

std::size_t line_of(const Source& source, config::SettingLine::In in, const std::string& block,
                    const std::string& key) {
  if (const auto* const found = setting(source, in, block, key)) return found->line;
  const auto* const opener = setting(source, in, block, "");
  return opener ? opener->line : 1;
}

UrlParts parts_of(const std::string& url) {
  UrlParts parts;
  const auto scheme = url.find("://");
  const std::string rest = scheme == std::string::npos ? url : url.substr(scheme + 3);
  const auto slash = std::min(rest.find('/'), rest.size());
  parts.path = rest.substr(slash);
  const std::string authority = rest.substr(0, slash);
  const auto bracket = authority.find(']');
  const auto colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
  parts.host = small_letters(authority.substr(0, colon));
  if (colon != std::string::npos) parts.port = authority.substr(colon + 1);
  return parts;
}

Pairing::Pairing(const std::vector<Source>& sources, const std::vector<ServerUrl>& urls) {
  for (const Source& source : sources) {
    const config::Configuration& made = source.configuration();
    for (const config::Server& server : made.servers) {
      const std::size_t number = servers_.size();
      servers_.push_back({&source, &server});
      const std::string port = std::to_string(made.http_port);
      for (const std::string& host : {made.http_address, made.hostname, made.fqdn()}) {
        if (!host.empty()) addresses_.push_back({small_letters(host), port, number});
      }
      for (const auto& [name, url] : urls) {
        if (name != server.name) continue;
        const UrlParts parts = parts_of(url);
        addresses_.push_back({parts.host, parts.port, number});
      }
    }
  }
}

std::optional<std::size_t> Pairing::among(const std::vector<std::size_t>& candidates,
                                          const std::string& trustpoint,
                                          const std::string& path) const {
  if (candidates.empty()) return std::nullopt;
  // A path names its server; without one, the trustpoint's name does, which is sent as the CA's.
  const std::string named = server_in(path);
  for (const std::string& name : {named, trustpoint}) {
    if (name.empty()) continue;
    for (const std::size_t one : candidates) {
      if (servers_[one].server->name == name) return one;
    }
    if (!named.empty()) return std::nullopt;
  }
  return candidates.front();
}

Pairing::Pair Pairing::of(const Source& source, const std::string& trustpoint,
                          const std::string& url) const {
  Pair found = answers(source, trustpoint, url);
  // One RA more than there are is a circle of them.
  for (std::size_t hops = 0; found.how != How::nowhere && servers_[found.server].is_ra(); ++hops) {
    const ServerAt& ra = servers_[found.server];
    const std::size_t through = found.through.value_or(found.server);
    const How how = found.how;
    found = hops < servers_.size() ? answers(*ra.source, ra.server->name, ra.server->upstream->url)
                                   : Pair{};
    if (found.how == How::by_address) found.how = how;
    found.through = through;
  }
  return found;
}

Pairing::Pair Pairing::answers(const Source& source, const std::string& trustpoint,
                               const std::string& url) const {
  const UrlParts parts = parts_of(url);
  std::vector<std::size_t> candidates;
  const auto add = [&](std::size_t one) {
    if (std::find(candidates.begin(), candidates.end(), one) == candidates.end())
      candidates.push_back(one);
  };
  for (const Address& address : addresses_) {
    if (address.host == parts.host && address.port == parts.port) add(address.server);
  }
  if (is_loopback(parts.host)) {
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      if (servers_[i].source == &source &&
          std::to_string(source.configuration().http_port) == parts.port)
        add(i);
    }
  }
  if (const auto found = among(candidates, trustpoint, parts.path))
    return {How::by_address, *found};
  if (!candidates.empty() || servers_.empty()) return {};
  // One configuration alone: what else could be meant.
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i].source == servers_.front().source) add(i);
  }
  if (candidates.size() != servers_.size()) return {};
  // The server's own machine enrols elsewhere, unless it is to vouch for what this CA has signed.
  const bool vouches = std::any_of(servers_.begin(), servers_.end(), [&](const ServerAt& at) {
    const auto& names = at.server->grant_trustpoints;
    return std::find(names.begin(), names.end(), trustpoint) != names.end();
  });
  if (servers_.front().source == &source && !vouches) return {};
  if (const auto found = among(candidates, trustpoint, parts.path)) return {How::assumed, *found};
  return {};
}

}  // namespace umbra::plan
