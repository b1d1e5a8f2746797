#pragma once

#include <memory>

#include "base/http.h"

namespace umbra::io {

/// libcurl on one thread of its own, however many calls are under way; more than 256 at once wait
/// their turn. http and https; no proxy, no
/// redirect; 10 s to connect; the call says how long in all, and how much reply.
class CurlTransport final : public HttpTransport {
 public:
  CurlTransport();
  ~CurlTransport() override;
  /// `answered` is called on the transport's thread.
  void send(HttpCall call, HttpAnswered answered) override;
  /// Ends every call under way with `unreachable`, and takes no more.
  void stop();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace umbra::io
