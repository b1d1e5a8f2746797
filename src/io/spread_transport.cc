#include "io/spread_transport.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <mutex>
#include <utility>

namespace umbra::io {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

struct SpreadTransport::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& network_loop, const Clock& c, Random& r, HttpTransport& t)
      : loop(network_loop), clock(c), random(r), network(t), timer(network_loop) {}

  /// In [0, spread), as the clock runs.
  std::chrono::nanoseconds delay(std::chrono::seconds spread) {
    std::uint8_t drawn[4];
    random.fill(drawn);
    std::uint64_t number = 0;
    for (const std::uint8_t octet : drawn) number = number << 8 | octet;
    const auto most = std::chrono::duration_cast<std::chrono::milliseconds>(spread).count();
    const std::chrono::milliseconds drawn_of_it{
        static_cast<std::int64_t>((number * static_cast<std::uint64_t>(most)) >> 32)};
    return clock.real_time_until(clock.now() + drawn_of_it);
  }

  void hold(HttpCall call, HttpAnswered answered) {
    const auto leaves = Steady::now() + delay(call.spread);
    {
      const std::lock_guard lock(mutex);
      if (!stopped) {
        const auto place = waiting.emplace(leaves, std::pair{std::move(call), std::move(answered)});
        if (place != waiting.begin()) return;
        // The soonest of all: the timer was set for another, or for none.
        asio::post(loop, [self = shared_from_this()] { self->arm(); });
        return;
      }
    }
    network.send(std::move(call), std::move(answered));
  }

  void arm() {
    const std::lock_guard lock(mutex);
    if (waiting.empty() || stopped) return;
    timer.expires_at(waiting.begin()->first);
    timer.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->let_go(Steady::now());
    });
  }

  void let_go(Steady::time_point until) {
    for (;;) {
      decltype(waiting)::node_type next;
      {
        const std::lock_guard lock(mutex);
        if (waiting.empty() || waiting.begin()->first > until) break;
        next = waiting.extract(waiting.begin());
      }
      network.send(std::move(next.mapped().first), std::move(next.mapped().second));
    }
    arm();
  }

  asio::io_context& loop;
  const Clock& clock;
  Random& random;
  HttpTransport& network;
  asio::steady_timer timer;  ///< the loop's own
  std::mutex mutex;
  std::multimap<Steady::time_point, std::pair<HttpCall, HttpAnswered>> waiting;
  bool stopped = false;
};

SpreadTransport::SpreadTransport(asio::io_context& loop, const Clock& clock, Random& random,
                                 HttpTransport& network)
    : impl_(std::make_shared<Impl>(loop, clock, random, network)) {}
SpreadTransport::~SpreadTransport() = default;

void SpreadTransport::send(HttpCall call, HttpAnswered answered) {
  if (call.spread <= std::chrono::seconds::zero())
    return impl_->network.send(std::move(call), std::move(answered));
  impl_->hold(std::move(call), std::move(answered));
}

void SpreadTransport::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopped = true;
  }
  impl_->let_go(Steady::time_point::max());
}

}  // namespace umbra::io
