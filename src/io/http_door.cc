#include "io/http_door.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>

#include "io/files.h"

namespace umbra::io {
namespace {

namespace asio = boost::asio;

constexpr std::size_t files_of_our_own = 256;
constexpr std::chrono::milliseconds look_whether_it_runs{50};

}  // namespace

HttpDoor::HttpDoor(asio::io_context& loop, Log& log, HttpHandler handler)
    : loop_(loop), log_(log), handler_(std::move(handler)) {}
HttpDoor::~HttpDoor() = default;

HttpDoor::Address HttpDoor::address_of(const config::Configuration& configuration, bool wanted) {
  if (!configuration.http_server || !wanted) return {};
  return {true, configuration.http_address, configuration.http_port,
          configuration.http_requests_per_second, configuration.http_requests_burst};
}

Result<std::unique_ptr<HttpServer>> HttpDoor::listen(const Address& at) {
  HttpLimits limits = limits_;
  limits.requests_per_second = at.requests_per_second;
  limits.requests_burst = at.requests_burst;
  return HttpServer::listen(loop_, at.address, at.port, limits, handler_);
}

void HttpDoor::opened(const Address& at) {
  now_ = at;
  if (!at.open) return;
  log_.event({Severity::notice, "LISTEN",
              fmt::format("HTTP on {} port {}", at.address.empty() ? "all addresses" : at.address,
                          server_->port()),
              "UMBRA"});
}

Result<void> HttpDoor::open(const config::Configuration& configuration, bool wanted) {
  // Peers may take every connection there is, and never the store's and the key files' turn.
  const std::size_t files = allow_open_files(limits_.connections + files_of_our_own);
  limits_.connections =
      std::min(limits_.connections, std::max(files, 2 * files_of_our_own) - files_of_our_own);
  // Nor one address the turn of all the others, where files are few.
  limits_.connections_per_address =
      std::min(limits_.connections_per_address, limits_.connections / 4);
  const Address at = address_of(configuration, wanted);
  if (!at.open) return {};
  UMBRA_TRY(server_, listen(at));
  opened(at);
  return {};
}

template <class Task>
bool HttpDoor::on_loop(Task task) {
  const auto work = std::make_shared<std::packaged_task<void()>>(std::move(task));
  auto done = work->get_future();
  asio::post(loop_, [work] { (*work)(); });
  while (done.wait_for(look_whether_it_runs) != std::future_status::ready) {
    if (loop_.stopped()) return false;
  }
  return true;
}

Result<void> HttpDoor::change(const config::Configuration& configuration, bool wanted) {
  const Address next = address_of(configuration, wanted);
  if (next == now_) return {};
  // The results live on the heap of the task: a loop that ends leaves it to run never.
  const auto result = std::make_shared<Result<void>>();
  const bool first_close = now_.open && next.open && next.port == now_.port;
  if (first_close && !on_loop([this] { server_->stop(); }))
    return fail(Errc::conflict, "umbrad is stopping");
  const bool ran = on_loop([this, result, next, first_close] {
    std::unique_ptr<HttpServer> fresh;
    if (next.open) {
      auto made = listen(next);
      if (!made) {
        *result = tl::unexpected(made.error());
        if (!first_close) return;
        if (auto again = listen(now_)) server_ = *std::move(again);
        return;
      }
      fresh = *std::move(made);
    }
    server_ = std::move(fresh);
  });
  if (!ran) return fail(Errc::conflict, "umbrad is stopping");
  if (!*result) return *result;
  opened(next);
  return {};
}

void HttpDoor::stop() {
  if (server_) server_->stop();
}

}  // namespace umbra::io
