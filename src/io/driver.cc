#include "io/driver.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "io/clock_steps.h"
#include "io/idle_memory.h"

namespace umbra::io {
namespace {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

constexpr std::chrono::seconds wait_for_clock{5};
constexpr std::chrono::seconds wait_after_failure{5};
// A request that was queued over HTTP has given its server a deadline that nobody told of.
constexpr std::chrono::seconds look_at_servers{60};
// A clock is slewed by 1 part in 2000 at most: who sleeps this much less than he would like never
// oversleeps, and has slept enough after three or four times.
constexpr int slew_reserve = 1000;
// Who sleeps for as long as this does it without what he needs awake.
constexpr std::chrono::seconds sound_sleep{30};

/// One server or trustpoint, as the driver sees it.
struct Actor {
  std::function<std::vector<lifecycle::Deadline>()> deadlines;
  std::function<bool()> run;  ///< false: it could not be done, try again later
  bool tells = false;         ///< it says when its deadlines have changed
  std::atomic<bool> dirty = false;
  // The loop's own:
  bool busy = false;
  Steady::time_point failed_until{};
  std::optional<lifecycle::Deadline> ran_for;       ///< the deadline that the last run was for
  std::optional<Steady::time_point> not_met_until;  ///< set while that deadline is still there
  std::optional<lifecycle::Deadline> soonest;
  std::optional<Instant> waits;            ///< its place in `waiting`
  std::optional<Steady::time_point> held;  ///< its place in `held_back`
};

}  // namespace

struct Driver::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& network, asio::thread_pool& pool, const Clock& c)
      : loop(network), life(pool), clock(c), timer(network), steps(network) {}

  std::size_t add(std::function<std::vector<lifecycle::Deadline>()> deadlines,
                  std::function<bool()> run, bool tells) {
    auto actor = std::make_unique<Actor>();
    actor->deadlines = std::move(deadlines);
    actor->run = std::move(run);
    actor->tells = tells;
    actors.push_back(std::move(actor));
    if (!tells) silent.push_back(actors.size() - 1);
    return actors.size() - 1;
  }

  /// Takes an actor's deadlines anew and gives it its place.
  void place(std::size_t index) {
    Actor& actor = *actors[index];
    if (actor.waits) waiting.erase({*std::exchange(actor.waits, std::nullopt), index});
    if (actor.held) held_back.erase({*std::exchange(actor.held, std::nullopt), index});
    actor.dirty = false;
    if (actor.busy) return;  // it is placed when it is done
    const auto deadlines = actor.deadlines();
    if (deadlines.empty()) return;
    actor.soonest = deadlines.front();
    // A deadline that is still there after it was run for was not met (yet): not in a hurry again.
    // Any other is met on its second, whatever became of the last one.
    Steady::time_point not_before = actor.failed_until;
    if (actor.ran_for == actor.soonest) {
      if (!actor.not_met_until) actor.not_met_until = Steady::now() + wait_after_failure;
      not_before = std::max(not_before, *actor.not_met_until);
    }
    if (not_before > Steady::now()) {
      actor.held = not_before;
      held_back.insert({not_before, index});
    } else {
      actor.waits = Instant{actor.soonest->at};
      waiting.insert({*actor.waits, index});
    }
  }

  void place_all() {
    for (std::size_t i = 0; i < actors.size(); ++i) place(i);
  }

  void arm() {
    if (stopped) return;
    const bool authoritative = clock.authoritative();
    if (authoritative != was_authoritative) {
      place_all();
      if (authoritative) launch_all();
    }
    was_authoritative = authoritative;
    for (const std::size_t index : silent) place(index);

    while (!held_back.empty() && held_back.begin()->first <= Steady::now())
      place(held_back.begin()->second);
    const Instant now = clock.now();
    while (!waiting.empty() && waiting.begin()->first <= now) {
      const std::size_t index = waiting.begin()->second;
      launch(index, actors[index]->soonest);
    }
    sleep(authoritative);
  }

  void sleep(bool authoritative) {
    std::optional<std::chrono::nanoseconds> wait;
    const auto at_most = [&wait](std::chrono::nanoseconds one) {
      if (!wait || one < *wait) wait = one;
    };
    if (!authoritative) at_most(wait_for_clock);
    if (silent.size() > 1) at_most(look_at_servers);  // the watch is always there
    if (!held_back.empty()) at_most(held_back.begin()->first - Steady::now());
    if (!waiting.empty()) {
      const auto left = clock.real_time_until(waiting.begin()->first);
      at_most(left - left / slew_reserve);
    }
    if (agent && (!wait || *wait >= sound_sleep) && nobody_runs()) give_back_memory();
    if (!wait) {
      timer.cancel();
      return;
    }
    timer.expires_after(std::max<std::chrono::nanoseconds>(*wait, std::chrono::microseconds{100}));
    timer.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->arm();
    });
  }

  [[nodiscard]] bool nobody_runs() const {
    return std::none_of(actors.begin(), actors.end(), [](const auto& one) { return one->busy; });
  }

  void launch(std::size_t index, std::optional<lifecycle::Deadline> deadline) {
    Actor& actor = *actors[index];
    if (actor.busy) return;
    actor.busy = true;
    actor.ran_for = std::move(deadline);
    actor.not_met_until.reset();
    place(index);
    asio::post(life, [self = shared_from_this(), index, &actor] {
      const bool done = actor.run();
      asio::post(self->loop, [self, index, &actor, done] {
        if (!done) actor.failed_until = Steady::now() + wait_after_failure;
        actor.busy = false;
        self->place(index);
        self->arm_soon();
      });
    });
  }

  void launch_all() {
    for (std::size_t i = 0; i < actors.size(); ++i) launch(i, std::nullopt);
  }

  /// Once for all that changed in this round of the loop: ten thousand may do so at once.
  void arm_soon() {
    if (std::exchange(arming, true)) return;
    asio::post(loop, [self = shared_from_this()] {
      self->arming = false;
      self->arm();
    });
  }

  void changed(const std::string& name) {
    const auto found = trustpoints.find(name);
    if (found == trustpoints.end()) return;
    const std::size_t index = found->second;
    if (actors[index]->dirty.exchange(true)) return;
    asio::post(loop, [self = shared_from_this(), index] {
      self->place(index);
      self->arm_soon();
    });
  }

  void watch_steps() {
    steps.wait([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self || self->stopped) return;
      // Everyone once: what was put off by the clock as it was is put off no longer.
      self->launch_all();
      self->arm();
      self->watch_steps();
    });
  }

  asio::io_context& loop;
  asio::thread_pool& life;
  const Clock& clock;
  asio::steady_timer timer;
  ClockSteps steps;
  std::vector<std::unique_ptr<Actor>> actors;
  std::unordered_map<std::string, std::size_t> trustpoints;  ///< by name, where in `actors`
  std::vector<std::size_t> silent;  ///< who does not tell: looked at whenever anything happens
  std::set<std::pair<Instant, std::size_t>> waiting;
  std::set<std::pair<Steady::time_point, std::size_t>> held_back;
  bool agent = false;  ///< no requests come, which deadlines do not tell of
  bool was_authoritative = true;
  bool arming = false;
  bool stopped = false;
};

Driver::Driver(asio::io_context& loop, asio::thread_pool& life, const Clock& clock,
               std::vector<std::shared_ptr<server::CertificateServer>> servers,
               std::vector<std::shared_ptr<client::Trustpoint>> trustpoints, ExpiryWatch& watch)
    : impl_(std::make_shared<Impl>(loop, life, clock)) {
  impl_->agent = servers.empty();
  for (const auto& trustpoint : trustpoints) {
    impl_->trustpoints.emplace(trustpoint->status().name, impl_->actors.size());
    impl_->add([trustpoint] { return trustpoint->deadlines(); },
               [trustpoint] {
                 trustpoint->run_due();
                 return true;
               },
               true);
  }
  for (const auto& server : servers) {
    impl_->add([server] { return server->deadlines(); },
               [server] { return server->run_due().has_value(); }, false);
  }
  impl_->add(
      [&watch] {
        return std::vector<lifecycle::Deadline>{{watch.next(), lifecycle::Timer::expiry_alert, ""}};
      },
      [&watch] {
        watch.run();
        return true;
      },
      false);
}

Driver::~Driver() = default;

void Driver::start() {
  asio::post(impl_->loop, [impl = impl_] {
    // Everyone once, whatever is due: a request that was under way when the last process died, and
    // files it had not written yet, have no deadline of their own.
    impl->was_authoritative = impl->clock.authoritative();
    impl->launch_all();
    impl->arm();
    impl->watch_steps();
  });
}

void Driver::changed(const std::string& trustpoint) { impl_->changed(trustpoint); }

void Driver::poke() {
  asio::post(impl_->loop, [impl = impl_] { impl->arm_soon(); });
}

void Driver::stop() {
  asio::post(impl_->loop, [impl = impl_] {
    impl->stopped = true;
    impl->timer.cancel();
    impl->steps.cancel();
  });
}

}  // namespace umbra::io
