#pragma once

#include <vector>

#include "server/certificate_server.h"

namespace umbra::server {

/// Chooses the certificate server a request is for: by name in the path (`/scep/NAME`,
/// `/cgi-bin/NAME/pkiclient.exe`), by the recipient of the envelope, by `message=NAME` of GetCACert
/// and its kin; otherwise the first one configured. Unknown paths get 404, other methods than GET,
/// HEAD and POST 405.
class Router {
 public:
  explicit Router(std::vector<CertificateServer*> servers) : servers_(std::move(servers)) {}
  void handle(const HttpRequest& request, HttpDone done) const;

 private:
  std::vector<CertificateServer*> servers_;
};

}  // namespace umbra::server
