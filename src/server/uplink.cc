#include "server/uplink.h"

#include <algorithm>

#include "scep/ca_messages.h"

namespace umbra::server {
namespace {

// A CA that hangs keeps this many of its RA's devices waiting, and no more.
constexpr std::size_t calls_max = 64;
// Twice that, for a CRL and a request, is less than any client's patience: it is told to come again
// while it still listens. Several servers share it.
constexpr std::chrono::seconds patience{12};
constexpr std::chrono::seconds patience_min{3};
constexpr unsigned http_ok = 200;

bool has_path(const std::string& url) {
  const auto host = url.find("://");
  return host != std::string::npos && url.find('/', host + 3) != std::string::npos;
}

bool path_is_missing(const Result<HttpReply>& reply) {
  return reply && (reply->status == 404 || reply->status == 405);
}

/// What a server says counts more than that there is no such path, and that more than silence.
int worth(const Result<HttpReply>& reply) {
  if (!reply) return 0;
  return path_is_missing(reply) ? 1 : 2;
}

}  // namespace

Uplink::Uplink(const config::Upstream& upstream, HttpTransport& transport,
               std::function<void(std::function<void()>)> post)
    : servers_(1 + upstream.more_urls.size()),
      from_(upstream.from),
      transport_(transport),
      post_(std::move(post)) {
  servers_.front().url = upstream.url;
  for (std::size_t i = 0; i < upstream.more_urls.size(); ++i)
    servers_[i + 1].url = upstream.more_urls[i];
}

bool Uplink::send(const std::function<HttpCall(const std::string& url)>& make,
                  const Answered& answered) {
  if (under_way_.fetch_add(1) >= calls_max) {
    --under_way_;
    return false;
  }
  const auto ways = std::make_shared<std::vector<Way>>();
  const std::size_t first = in_use_;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const std::size_t server = (first + i) % servers_.size();
    const std::string& url = servers_[server].url;
    const bool exact = servers_[server].exact;
    const std::string usual = scep::request_url(url, exact);
    ways->push_back({server, exact, make(usual)});
    const std::string other = scep::request_url(url, !exact);
    if (usual != other && has_path(url)) ways->push_back({server, !exact, make(other)});
  }
  for (Way& way : *ways) {
    way.call.patience =
        std::max(patience_min, patience / static_cast<std::int64_t>(servers_.size()));
    way.call.source = from_.source;
    way.call.vrf = from_.vrf;
  }
  go(ways, 0, std::nullopt, [this, answered](const Result<HttpReply>& reply) {
    --under_way_;
    post_([answered, reply] { answered(reply); });
  });
  return true;
}

void Uplink::go(const std::shared_ptr<std::vector<Way>>& ways, std::size_t at,
                std::optional<Result<HttpReply>> best, const Answered& deliver) {
  transport_.send(std::move((*ways)[at].call), [this, ways, at, best = std::move(best),
                                                deliver](const Result<HttpReply>& reply) {
    const Way& way = (*ways)[at];
    const bool missing = path_is_missing(reply);
    if (reply && !missing) servers_[way.server].exact = way.exact;
    if (reply && reply->status == http_ok) {
      in_use_ = way.server;
      return deliver(reply);
    }
    std::size_t next = at + 1;
    const bool other_path = next < ways->size() && (*ways)[next].server == way.server;
    if (other_path && !missing) ++next;
    const auto& better = best && worth(*best) >= worth(reply) ? *best : reply;
    if (next == ways->size()) return deliver(better);
    go(ways, next, better, deliver);
  });
}

}  // namespace umbra::server
