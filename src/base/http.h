#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace umbra {

/// What the server side sees of one HTTP request; the transport has already bounded its size.
struct HttpRequest {
  std::string method;  ///< GET, POST, HEAD
  std::string target;  ///< path and query as sent, still percent-encoded
  Bytes body;
  std::string address = {};  ///< of the peer, without its port
};

inline constexpr unsigned http_ok = 200;

struct HttpReply {
  unsigned status = http_ok;
  std::string content_type = "text/plain";
  Bytes body;
  /// Instead of `body`: what is the same for everybody who asks, and copied for none of them.
  std::shared_ptr<const Bytes> shared = {};
  /// With 503: how long to wait before asking again (RFC 9110 10.2.3).
  std::optional<std::chrono::seconds> retry_after = {};
  /// Leaves a fixed time after the request has come: how long it took is nobody's business.
  bool unhurried = false;
  [[nodiscard]] const Bytes& content() const { return shared ? *shared : body; }
};
using HttpDone = std::function<void(HttpReply)>;

/// What the client side sends: GET with an empty body, or POST.
struct HttpCall {
  std::string method = "GET";
  std::string url;  ///< absolute, http://host[:port]/path?query
  std::string content_type;
  Bytes body;
  std::chrono::seconds patience{60};  ///< for all of it, once it has left
  /// By the clock: it leaves at a random moment within this time. Who calls because a timer has
  /// fired, as thousands of others' timers may have on the same second, is not in a hurry.
  std::chrono::seconds spread{0};
  std::size_t reply_octets_max = std::size_t{1} << 20;
  std::string source = {};  ///< an interface or an address of this host to come from; or empty
  std::string vrf = {};     ///< the VRF device to go out by; or empty
};
/// Errors: unreachable (name, TCP, time-out, reply too large). A reply of any HTTP status is a
/// value.
using HttpAnswered = std::function<void(Result<HttpReply>)>;

/// How the client side reaches the network: libcurl in life, the simulator's network in virtual
/// time.
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  /// Calls `answered` exactly once, possibly from another thread, possibly before it returns.
  virtual void send(HttpCall call, HttpAnswered answered) = 0;
};

}  // namespace umbra
