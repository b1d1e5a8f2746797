#include <dirent.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "client/lab_test.h"

/// Many trustpoints in one agent, with certificates of one CA, through RENEW and the CA's switch.
namespace umbra::client {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t fleet = 20;
#else
// A key each, made and sealed: more of them take longer than a test may. Ten thousand without keys
// are bench/agent's.
constexpr std::size_t fleet = 400;
#endif

std::size_t threads() {
  std::size_t all = 0;
  DIR* const tasks = ::opendir("/proc/self/task");
  while (tasks != nullptr && ::readdir(tasks) != nullptr) ++all;
  if (tasks != nullptr) ::closedir(tasks);
  return all;
}

/// What a driver knows of them is their soonest deadlines, in one list; it calls who is due, and
/// looks anew at who says that it has changed.
class FleetTest : public Lab {
 protected:
  FleetTest() { ca.allow_rsa_1024 = true; }
  ~FleetTest() override { all.clear(); }

  void open() {
    start_server();
    store = std::make_unique<LabStore>(directory + "/agent.db");
    ASSERT_TRUE(store->trustpoint("T0"));
    threads_before = threads();
    woken.resize(fleet);
    waits.resize(fleet);
    for (std::size_t i = 0; i < fleet; ++i) {
      config::Trustpoint one = spoke;
      one.name = fmt::format("T{}", i);
      one.subject_name = fmt::format("CN=t{}", i);
      one.key_label = one.name;
      one.modulus = 1024;
      one.allow_rsa_1024 = true;
      one.storage_pem = {};
      one.on_change_exec.clear();
      one.fingerprint = to_hex(server->status().ca->fingerprint(x509::Digest::sha256));
      auto opened = Trustpoint::open(
          one, {.store = *store,
                .clock = clock,
                .random = random,
                .log = log,
                .transport = *this,
                .outlet = outlet,
                .post = [this](std::function<void()> task) { tasks.push_back(std::move(task)); },
                .changed = [this, i] { changed.insert(i); },
                .key_passphrase = spoke_passphrase,
                .fqdn = "spoke.lab",
                .board_serial = "67109104"});
      ASSERT_TRUE(opened) << opened.error().detail;
      all.push_back(*opened);
      all.back()->run_due();
    }
    look();
  }
  void look() {
    settle();
    for (const std::size_t i : std::exchange(changed, {})) {
      if (waits[i]) waiting.erase({*std::exchange(waits[i], std::nullopt), i});
      const auto deadlines = all[i]->deadlines();
      if (deadlines.empty()) continue;
      waits[i] = deadlines.front().at;
      waiting.insert({*waits[i], i});
    }
  }
  void live_until(Time until) {
    for (;;) {
      look();
      const auto of_server = server->deadlines();
      std::optional<Time> next;
      if (!of_server.empty()) next = of_server.front().at;
      if (!waiting.empty()) next = std::min(next.value_or(Time::max()), waiting.begin()->first);
      if (!next || *next > until) break;
      if (*next > to_time(clock.now())) clock.set(*next);
      if (!of_server.empty() && of_server.front().at <= *next) {
        ASSERT_TRUE(server->run_due());
      }
      while (!waiting.empty() && waiting.begin()->first <= *next) {
        const auto [at, i] = *waiting.begin();
        waiting.erase(waiting.begin());
        waits[i].reset();
        ++woken[i];
        all[i]->run_due();
        changed.insert(i);
        look();
        ASSERT_FALSE(waits[i] && *waits[i] <= *next) << "it is woken in vain";
      }
    }
    clock.set(until);
  }
  /// All of them have a certificate of this CA that is valid now, each its own.
  void expect_certified(const x509::Certificate& by) {
    std::set<x509::Serial> serials;
    for (const auto& one : all) {
      const auto is = one->status();
      ASSERT_TRUE(is.identity) << is.name;
      EXPECT_EQ(*is.ca, by) << is.name;
      EXPECT_TRUE(is.identity->verify_signed_by(by.public_key())) << is.name;
      EXPECT_LE(is.identity->not_before(), to_time(clock.now())) << is.name;
      EXPECT_GT(is.identity->not_after(), to_time(clock.now())) << is.name;
      serials.insert(is.identity->serial());
    }
    EXPECT_EQ(serials.size(), fleet);
  }
  [[nodiscard]] std::size_t wakes() const {
    std::size_t sum = 0;
    for (const std::size_t one : woken) sum += one;
    return sum;
  }

  std::vector<std::shared_ptr<Trustpoint>> all;
  std::set<std::size_t> changed;
  std::vector<std::optional<Time>> waits;
  std::set<std::pair<Time, std::size_t>> waiting;
  std::vector<std::size_t> woken;
  std::size_t threads_before = 0;
};

TEST_F(FleetTest, FourHundredRenewAndFollowTheirCaWithoutAThreadOrAPollEach) {
  RecordProperty("trustpoints", static_cast<int>(fleet));
  open();
  const auto first = *server->status().ca;
  expect_certified(first);
  EXPECT_EQ(wakes(), 0U) << "the start was enough";
  live_until(day(291));
  EXPECT_EQ(wakes(), 0U) << "nobody is woken before RENEW";
  live_until(day(293));
  expect_certified(first);
  for (const auto& one : all) EXPECT_GE(one->status().identity->not_before(), day(292));
  EXPECT_EQ(wakes(), fleet) << "once each";
  live_until(day(729));
  for (const auto& one : all) EXPECT_TRUE(one->status().rollover_identity);
  live_until(day(731));
  const auto second = *server->status().ca;
  ASSERT_FALSE(second == first);
  expect_certified(second);
  // RENEW twice, SHADOW, and the switch.
  EXPECT_LE(wakes(), 4 * fleet);
  EXPECT_EQ(threads(), threads_before);
  EXPECT_EQ(log.count("%PKI-6-AUTOCERTFAIL"), 0U);
}

}  // namespace
}  // namespace umbra::client
