#include "server/uplink.h"

#include "scep/ca_messages.h"

namespace umbra::server {
namespace {

// A CA that hangs keeps this many of its RA's devices waiting, and no more.
constexpr std::size_t calls_max = 64;
// Twice that, for a CRL and a request, is less than any client's patience: it is told to come again
// while it still listens.
constexpr std::chrono::seconds patience{12};

bool has_path(const std::string& url) {
  const auto host = url.find("://");
  return host != std::string::npos && url.find('/', host + 3) != std::string::npos;
}

bool path_is_missing(const Result<HttpReply>& reply) {
  return reply && (reply->status == 404 || reply->status == 405);
}

}  // namespace

Uplink::Uplink(std::string enrollment_url, config::From from, HttpTransport& transport,
               std::function<void(std::function<void()>)> post)
    : enrollment_url_(std::move(enrollment_url)),
      from_(std::move(from)),
      transport_(transport),
      post_(std::move(post)) {}

bool Uplink::send(const std::function<HttpCall(const std::string& url)>& make, Answered answered) {
  if (under_way_.fetch_add(1) >= calls_max) {
    --under_way_;
    return false;
  }
  const bool exact = exact_;
  const std::string url = scep::request_url(enrollment_url_, exact);
  const std::string other = scep::request_url(enrollment_url_, !exact);
  HttpCall call = make(url);
  HttpCall again = url == other || !has_path(enrollment_url_) ? HttpCall{} : make(other);
  for (HttpCall* one : {&call, &again}) {
    one->patience = patience;
    one->source = from_.source;
    one->vrf = from_.vrf;
  }
  const auto deliver = [this, answered = std::move(answered)](const Result<HttpReply>& reply) {
    --under_way_;
    post_([answered, reply] { answered(reply); });
  };
  transport_.send(std::move(call), [this, deliver, exact,
                                    again = std::move(again)](const Result<HttpReply>& first) {
    if (!path_is_missing(first) || again.url.empty()) return deliver(first);
    transport_.send(again, [this, deliver, exact, first](const Result<HttpReply>& second) {
      const bool found = second && !path_is_missing(second);
      if (found) exact_ = !exact;
      deliver(found ? second : first);
    });
  });
  return true;
}

}  // namespace umbra::server
