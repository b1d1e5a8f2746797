#include "client/answer.h"

#include <fmt/format.h>

#include <algorithm>

namespace umbra::client {
namespace {

// More than any chain of certificates; transports bound replies too, each in its own way.
constexpr std::size_t body_max = std::size_t{256} * 1024;
// Whatever a CA asks for: it is asked every hour.
constexpr Seconds come_again_max{3600};

}  // namespace

Result<HttpReply> usable(Result<HttpReply> reply) {
  if (!reply) return reply;
  if (reply->status != http_ok)
    return fail(Errc::unreachable, fmt::format("HTTP status {}", reply->status));
  if (reply->body.empty()) return fail(Errc::unreachable, "empty answer");
  if (reply->body.size() > body_max) return fail(Errc::unreachable, "answer too long");
  return reply;
}

bool busy(const HttpReply& reply) {
  return (reply.status == 503 || reply.status == 429) && reply.retry_after;
}

Time come_again_at(const HttpReply& reply, Time now) {
  return now + std::clamp(*reply.retry_after, Seconds{1}, come_again_max);
}

}  // namespace umbra::client
