#include "io/driver.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <optional>

namespace umbra::io {
namespace {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

constexpr std::chrono::seconds wait_max{60};
constexpr std::chrono::seconds wait_for_clock{5};
constexpr std::chrono::seconds wait_after_failure{5};

/// One server or trustpoint, as the driver sees it.
struct Actor {
  std::function<std::vector<lifecycle::Deadline>()> deadlines;
  std::function<bool()> run;  ///< false: it could not be done, try again later
  std::atomic<bool> busy = false;
  // The loop's own:
  Steady::time_point failed_until{};
  std::optional<lifecycle::Deadline> ran_for;       ///< the deadline that the last run was for
  std::optional<Steady::time_point> not_met_until;  ///< set while that deadline is still there
};

}  // namespace

struct Driver::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& network, asio::thread_pool& pool, const Clock& c)
      : loop(network), life(pool), clock(c), timer(network) {}

  void arm() {
    if (stopped) return;
    const bool authoritative = clock.authoritative();
    if (authoritative && !was_authoritative) {
      for (auto& actor : actors) launch(*actor, std::nullopt);
    }
    was_authoritative = authoritative;
    std::chrono::nanoseconds wait = authoritative ? wait_max : wait_for_clock;
    const Instant now = clock.now();
    const auto real = Steady::now();
    for (auto& actor : actors) {
      if (actor->busy) continue;
      const auto deadlines = actor->deadlines();
      if (deadlines.empty()) continue;
      const lifecycle::Deadline& soonest = deadlines.front();
      // A deadline that is still there after it was run for was not met (yet): not in a hurry
      // again. Any other is met on its second, whatever became of the last one.
      Steady::time_point not_before = actor->failed_until;
      if (actor->ran_for == soonest) {
        if (!actor->not_met_until) actor->not_met_until = real + wait_after_failure;
        not_before = std::max(not_before, *actor->not_met_until);
      }
      if (not_before > real) {
        wait = std::min<std::chrono::nanoseconds>(wait, not_before - real);
      } else if (Instant{soonest.at} <= now) {
        launch(*actor, soonest);
      } else {
        wait = std::min(wait, clock.real_time_until(soonest.at));
      }
    }
    timer.expires_after(std::max<std::chrono::nanoseconds>(wait, std::chrono::microseconds{100}));
    timer.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->arm();
    });
  }

  void launch(Actor& actor, std::optional<lifecycle::Deadline> deadline) {
    if (actor.busy.exchange(true)) return;
    actor.ran_for = std::move(deadline);
    actor.not_met_until.reset();
    asio::post(life, [self = shared_from_this(), &actor] {
      const bool done = actor.run();
      asio::post(self->loop, [self, &actor, done] {
        if (!done) actor.failed_until = Steady::now() + wait_after_failure;
        actor.busy = false;
        self->arm();
      });
    });
  }

  asio::io_context& loop;
  asio::thread_pool& life;
  const Clock& clock;
  asio::steady_timer timer;
  std::vector<std::unique_ptr<Actor>> actors;
  bool was_authoritative = true;
  bool stopped = false;
};

Driver::Driver(asio::io_context& loop, asio::thread_pool& life, const Clock& clock,
               std::vector<std::shared_ptr<server::CertificateServer>> servers,
               std::vector<std::shared_ptr<client::Trustpoint>> trustpoints, ExpiryWatch& watch)
    : impl_(std::make_shared<Impl>(loop, life, clock)) {
  for (const auto& server : servers) {
    auto actor = std::make_unique<Actor>();
    actor->deadlines = [server] { return server->deadlines(); };
    actor->run = [server] { return server->run_due().has_value(); };
    impl_->actors.push_back(std::move(actor));
  }
  for (auto& trustpoint : trustpoints) {
    auto actor = std::make_unique<Actor>();
    actor->deadlines = [trustpoint] { return trustpoint->deadlines(); };
    actor->run = [trustpoint] {
      trustpoint->run_due();
      return true;
    };
    impl_->actors.push_back(std::move(actor));
  }
  auto actor = std::make_unique<Actor>();
  actor->deadlines = [&watch] {
    return std::vector<lifecycle::Deadline>{{watch.next(), lifecycle::Timer::expiry_alert, ""}};
  };
  actor->run = [&watch] {
    watch.run();
    return true;
  };
  impl_->actors.push_back(std::move(actor));
}

Driver::~Driver() = default;

void Driver::start() {
  asio::post(impl_->loop, [impl = impl_] {
    // Everyone once, whatever is due: a request that was under way when the last process died, and
    // files it had not written yet, have no deadline of their own.
    impl->was_authoritative = impl->clock.authoritative();
    for (auto& actor : impl->actors) impl->launch(*actor, std::nullopt);
    impl->arm();
  });
}

void Driver::poke() {
  asio::post(impl_->loop, [impl = impl_] {
    // A change may have moved a deadline that was being waited for; cancelling runs nothing, arming
    // again does.
    impl->arm();
  });
}

void Driver::stop() {
  asio::post(impl_->loop, [impl = impl_] {
    impl->stopped = true;
    impl->timer.cancel();
  });
}

}  // namespace umbra::io
