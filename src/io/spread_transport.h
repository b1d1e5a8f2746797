#pragma once

#include <memory>

#include "base/http.h"
#include "base/random.h"
#include "base/time.h"

namespace boost::asio {
class io_context;
}

namespace umbra::io {

/// Lets each call leave at a random moment within its `spread`, by the clock; the others at once.
class SpreadTransport final : public HttpTransport {
 public:
  SpreadTransport(boost::asio::io_context& loop, const Clock& clock, Random& random,
                  HttpTransport& network);
  ~SpreadTransport() override;
  /// `answered` is called on the network's thread.
  void send(HttpCall call, HttpAnswered answered) override;
  /// What has not left goes to the network at once, which says what becomes of it. Nothing waits
  /// any more. Thread-safe; the loop must have ended.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace umbra::io
