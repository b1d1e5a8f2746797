#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "base/http.h"
#include "config/model.h"

namespace umbra::server {

/// The way from a registration authority to the CA above it. Thread-safe.
class Uplink {
 public:
  using Answered = std::function<void(Result<HttpReply>)>;
  /// `post` runs what is done with an answer.
  Uplink(std::string enrollment_url, config::From from, HttpTransport& transport,
         std::function<void(std::function<void()>)> post);

  /// Sends what `make` makes of the CA's URL; once more to the URL in its other form if there is no
  /// such path. False: too many calls are under way, nothing was sent, and `answered` is not
  /// called.
  [[nodiscard]] bool send(const std::function<HttpCall(const std::string& url)>& make,
                          Answered answered);

 private:
  const std::string enrollment_url_;
  const config::From from_;
  HttpTransport& transport_;
  const std::function<void(std::function<void()>)> post_;
  std::atomic<bool> exact_ = false;  ///< this CA wants the URL as given
  std::atomic<std::size_t> under_way_ = 0;
};

}  // namespace umbra::server
