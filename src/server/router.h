#pragma once

#include <vector>

#include <compare>

#include "scep/glance.h"
#include "server/certificate_server.h"

namespace umbra::server {

/// Whose turn it is where not all can be answered at once: the smaller, the sooner. Before it is
/// opened a request is known by the certificate that signs it alone, and that may be forged until
/// `Router::vouched` has seen it.
struct Urgency {
  enum class Rank {
    at_once,  ///< costs next to nothing: GetCACert and all that is no PKIOperation
    ending,   ///< signed by a certificate that can be renewed here: the one that ends first
    others,   ///< first enrolments, polls for them, and whatever else
  };
  Rank rank = Rank::others;
  Time ends{};  ///< `ending`: of that certificate
  friend auto operator<=>(const Urgency&, const Urgency&) = default;
};
struct Sighting {
  Urgency urgency;
  Bytes certificate;  ///< DER of what gives it its place; empty for the other ranks
};

/// Chooses the certificate server a request is for: by name in the path (`/scep/NAME`,
/// `/cgi-bin/NAME/pkiclient.exe`), by the recipient of the envelope, by `message=NAME` of GetCACert
/// and its kin; otherwise the first one configured. Unknown paths get 404, other methods than GET,
/// HEAD and POST 405.
class Router {
 public:
  explicit Router(std::vector<CertificateServer*> servers) : servers_(std::move(servers)) {}
  void handle(const HttpRequest& request, HttpDone done) const;

  /// What can be answered at once, without waiting for anything; see CertificateServer::at_hand.
  [[nodiscard]] std::optional<HttpReply> at_hand(const HttpRequest& request) const;

  /// False: answering it costs next to nothing.
  [[nodiscard]] static bool costly(const HttpRequest& request);
  /// Cost: microseconds; nothing is verified.
  [[nodiscard]] Sighting look(const HttpRequest& request) const;
  /// What `look` took for one of ours was issued by one of our CAs. Cost: a verification.
  [[nodiscard]] bool vouched(const Sighting& sighting) const;

 private:
  std::vector<CertificateServer*> servers_;
};

}  // namespace umbra::server
