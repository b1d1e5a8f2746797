#include "server/router.h"

#include <algorithm>

#include "scep/ca_messages.h"

namespace umbra::server {
namespace {

HttpReply plain(unsigned status, const char* text) {
  return {status, "text/plain", to_bytes(as_bytes(text))};
}

/// NAME of /scep/NAME, /scep/NAME/pkiclient.exe, /cgi-bin/NAME/pkiclient.exe and /crl/NAME.crl;
/// empty for the paths without one; nothing for a path that is none of ours.
std::optional<std::string> server_in(std::string_view path) {
  for (const std::string_view whole : {"/cgi-bin/pkiclient.exe", "/cgi-bin", "/cgi-bin/", "/scep",
                                       "/scep/", "/scep/pkiclient.exe", "/pkiclient.exe"}) {
    if (path == whole) return "";
  }
  constexpr std::string_view program = "/pkiclient.exe";
  for (const std::string_view prefix : {"/scep/", "/cgi-bin/", "/crl/"}) {
    if (!path.starts_with(prefix)) continue;
    std::string_view name = path.substr(prefix.size());
    if (prefix == "/crl/") {
      if (!name.ends_with(".crl")) return std::nullopt;
      name.remove_suffix(4);
    } else if (name.ends_with(program)) {
      name.remove_suffix(program.size());
    }
    if (!name.empty() && name.find('/') == std::string_view::npos) return std::string(name);
  }
  return std::nullopt;
}

/// NAME_00001.crl is of the server NAME, unless one is called NAME_00001.
std::string_view without_generation(std::string_view name) {
  constexpr std::size_t suffix = 6;
  if (name.size() <= suffix) return {};
  const std::string_view end = name.substr(name.size() - suffix);
  const bool numbered = end.front() == '_' && std::all_of(end.begin() + 1, end.end(), [](char c) {
                          return c >= '0' && c <= '9';
                        });
  return numbered ? name.substr(0, name.size() - suffix) : std::string_view();
}

}  // namespace

std::optional<HttpReply> Router::at_hand(const HttpRequest& request) const {
  if (request.method != "GET" && request.method != "HEAD") return std::nullopt;
  const std::string_view target = request.target;
  const std::size_t mark = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, mark);
  const std::string_view query = target.substr(std::min(mark + 1, target.size()));
  const auto named = server_in(path);
  if (!named) return std::nullopt;
  // Among several without a name `message` decides.
  if (named->empty()) {
    return servers_.size() == 1 ? servers_.front()->at_hand(path, query, request.address)
                                : std::nullopt;
  }
  for (const CertificateServer* server : servers_) {
    if (server->name() == *named) return server->at_hand(path, query, request.address);
  }
  return std::nullopt;
}

bool Router::costly(const HttpRequest& request) {
  return request.target.find("PKIOperation") != std::string::npos;
}

Sighting Router::look(const HttpRequest& request) const {
  if (!costly(request)) return {{Urgency::Rank::at_once, {}}, {}};
  std::optional<scep::Glance> seen;
  if (request.method == "POST") {
    seen = scep::glance(request.body);
  } else {
    const std::size_t mark = std::min(request.target.find('?'), request.target.size() - 1);
    const auto operation = scep::parse_query(std::string_view(request.target).substr(mark + 1));
    const auto message = operation ? scep::parse_get_message(operation->message) : Bytes{};
    if (message) seen = scep::glance(*message);
  }
  if (!seen) return {};
  const bool ours = std::any_of(servers_.begin(), servers_.end(), [&](const auto* server) {
    return server->may_renew(seen->issuer, seen->not_after);
  });
  if (!ours) return {};
  return {{Urgency::Rank::ending, seen->not_after}, std::move(seen->certificate)};
}

bool Router::vouched(const Sighting& sighting) const {
  const auto certificate = x509::Certificate::from_der(sighting.certificate);
  return certificate && std::any_of(servers_.begin(), servers_.end(), [&](const auto* server) {
           return server->vouches_for(*certificate);
         });
}

void Router::handle(const HttpRequest& request, HttpDone done) const {
  if (request.method != "GET" && request.method != "HEAD" && request.method != "POST") {
    return done(plain(405, "only GET, HEAD and POST are answered here\n"));
  }
  const std::size_t mark = std::min(request.target.find('?'), request.target.size());
  const auto named = server_in(std::string_view(request.target).substr(0, mark));
  if (!named || servers_.empty())
    return done(
        plain(404, "nothing is served here; SCEP is at /cgi-bin/pkiclient.exe and /scep\n"));
  if (!named->empty()) {
    for (CertificateServer* server : servers_) {
      if (server->name() == *named) return server->handle(request, std::move(done));
    }
    for (CertificateServer* server : servers_) {
      if (request.target.starts_with("/crl/") && server->name() == without_generation(*named))
        return server->handle(request, std::move(done));
    }
    return done(plain(404, "no certificate server of this name\n"));
  }
  if (servers_.size() > 1) {
    const auto operation = scep::parse_query(
        std::string_view(request.target).substr(std::min(mark + 1, request.target.size())));
    if (operation && operation->operation == scep::Operation::pki_operation) {
      const Bytes message = request.method == "POST"
                                ? request.body
                                : scep::parse_get_message(operation->message).value_or(Bytes{});
      // Weak algorithms are judged by the server itself; here only the address on the envelope is
      // read.
      const auto opened = scep::open_envelope(message, {.des = true, .md5 = true, .sha1 = true});
      const auto recipient = opened ? scep::recipient_of(opened->envelope) : std::nullopt;
      for (CertificateServer* server : servers_) {
        if (recipient && server->owns(recipient->issuer, recipient->serial))
          return server->handle(request, std::move(done));
      }
    } else if (operation) {
      for (CertificateServer* server : servers_) {
        if (server->name() == operation->message) return server->handle(request, std::move(done));
      }
    }
  }
  servers_.front()->handle(request, std::move(done));
}

}  // namespace umbra::server
