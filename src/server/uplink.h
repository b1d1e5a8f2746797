#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/http.h"
#include "config/model.h"

namespace umbra::server {

/// The way from a registration authority to the CA above it, by one of its servers. Thread-safe.
class Uplink {
 public:
  using Answered = std::function<void(Result<HttpReply>)>;
  /// `post` runs what is done with an answer.
  Uplink(const config::Upstream& upstream, HttpTransport& transport,
         std::function<void(std::function<void()>)> post);

  /// Sends what `make` makes of a URL of the CA: of the server that answered last, then of the
  /// others, until one answers with HTTP status 200; of each once more in the URL's other form if
  /// there is no such path. False: too many calls are under way, nothing was sent, and `answered`
  /// is not called.
  [[nodiscard]] bool send(const std::function<HttpCall(const std::string& url)>& make,
                          const Answered& answered);

 private:
  struct Way {
    std::size_t server = 0;  ///< of `servers_`
    bool exact = false;
    HttpCall call;
  };
  struct Server {
    std::string url;
    std::atomic<bool> exact = false;  ///< it wants the URL as given
  };
  void go(const std::shared_ptr<std::vector<Way>>& ways, std::size_t at,
          std::optional<Result<HttpReply>> best, const Answered& deliver);

  std::vector<Server> servers_;
  const config::From from_;
  HttpTransport& transport_;
  const std::function<void(std::function<void()>)> post_;
  std::atomic<std::size_t> in_use_ = 0;
  std::atomic<std::size_t> under_way_ = 0;
};

}  // namespace umbra::server
