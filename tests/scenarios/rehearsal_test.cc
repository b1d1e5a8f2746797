// The rehearsal against what it rehearses: twenty devices and their certificate server, the
// production code with real keys, messages and a database in virtual time, and the same files and
// seed in `umbra rehearse`. The same happens to each of them on the same second.

#include "rehearse/rehearsal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "scenarios/lab.h"

namespace umbra::lab {
namespace {

constexpr std::size_t devices = 20;
// Through the switch-over and the first renewals under the second CA.
constexpr int last_day = 1010;
// In the middle of the renewals.
constexpr int outage_from = 430;
constexpr int outage_to = 500;

const std::string host = "172.16.1.1:80";

/// Small keys: what is compared is when, not how well.
std::string files() {
  return "ip http server\nip http address 172.16.1.1\n"
         "crypto pki server ROOTCA\n grant auto\n lifetime certificate 365\n lifetime crl 336\n"
         " lifetime ca-certificate 730\n auto-rollover 90\n allow legacy rsa-1024\n no shutdown\n"
         "crypto pki trustpoint SPOKE\n enrollment url http://172.16.1.1:80\n"
         " subject-name CN=spoke\n rsakeypair spoke 1024\n allow legacy rsa-1024\n"
         " auto-enroll 70\n";
}

struct Happened {
  Time at;
  std::string what;
  friend auto operator<=>(const Happened&, const Happened&) = default;
};
using Lives = std::map<std::size_t, std::vector<Happened>>;

std::string valid(const std::string& what, const x509::Certificate& certificate) {
  const auto number = [](Time at) { return plan::number_of_day((at - day_zero).count()); };
  return fmt::format("{}, valid from day {} to day {}", what, number(certificate.not_before()),
                     number(certificate.not_after()));
}

rehearse::Scenario scenario() {
  std::vector<plan::Source> sources;
  sources.push_back({"lab.conf", config::parse(files())});
  auto read = rehearse::scenario_of(sources, {});
  if (!read) {
    ADD_FAILURE() << read.error().detail;
    return {};
  }
  read->devices = devices;
  read->until = Seconds{Days{last_day}}.count();
  read->enrolled = {0, Seconds{Days{400}}.count()};
  read->seed = 20;
  read->faults.outages = {
      {Seconds{Days{outage_from}}.count(), Seconds{Days{outage_to}}.count() - 1}};
  return *read;
}

/// Certificates received and switch-overs of each, as the rehearsal tells them.
Lives rehearsed(const rehearse::Scenario& s) {
  Lives lives;
  for (std::size_t i = 0; i < devices; ++i) {
    for (const auto& chapter : rehearse::story_of(s, i)) {
      if (chapter.text.find("valid from") != std::string::npos)
        lives[i].push_back({day_zero + Seconds{chapter.at}, chapter.text});
    }
  }
  return lives;
}

/// The real ones: looked at after every deadline.
class Real {
 public:
  explicit Real(const std::string& directory) : world_(directory, day_zero) {
    configuration_ = configure(files());
    world_.add_server(configuration_.servers.front(), host);
  }

  void run_until(Time until) {
    for (;;) {
      const auto next = world_.next_deadline();
      const Time now = to_time(world_.clock().now());
      const Time stop = next ? std::min(std::max(next->at, now + Seconds{1}), until) : until;
      world_.run_until(stop);
      look();
      if (stop >= until) return;
    }
  }

  void enrol(std::size_t number) {
    config::Trustpoint trustpoint = configuration_.trustpoints.front();
    trustpoint.name = name(number);
    trustpoint.subject_name = "CN=" + trustpoint.name;
    world_.add_trustpoint(trustpoint, trustpoint.name + ".cisco.com");
    authenticate(world_, trustpoint.name);
    known_.try_emplace(number);
    look();
  }

  sim::World& world() { return world_; }
  [[nodiscard]] const Lives& lives() const { return lives_; }

 private:
  struct Known {
    std::optional<x509::Certificate> ca, identity, next;
  };
  static std::string name(std::size_t number) { return fmt::format("SPOKE-{}", number); }

  void look() {
    const Time now = to_time(world_.clock().now());
    for (auto& [number, known] : known_) {
      const auto status = world_.trustpoint(name(number)).status();
      const auto tell = [&, n = number](const std::string& what, const x509::Certificate& of) {
        lives_[n].push_back({now, valid(what, of)});
      };
      if (known.ca && status.ca != known.ca) {
        tell("switches to the next CA", *status.identity);
      } else if (status.identity && status.identity != known.identity) {
        tell("has a certificate", *status.identity);
      }
      if (status.rollover_identity && status.rollover_identity != known.next)
        tell("has its shadow certificate", *status.rollover_identity);
      known = {status.ca, status.identity, status.rollover_identity};
    }
  }

  config::Configuration configuration_;
  sim::World world_;
  std::map<std::size_t, Known> known_;
  Lives lives_;
};

TEST(Rehearsal, IsWhatTheRealOnesLiveToTheSecond) {
  const rehearse::Scenario s = scenario();
  std::vector<std::pair<Time, std::size_t>> enrolments;
  for (std::size_t i = 0; i < devices; ++i)
    enrolments.emplace_back(day_zero + Seconds{rehearse::story_of(s, i).front().at}, i);
  std::sort(enrolments.begin(), enrolments.end());

  const ScratchDirectory scratch;
  Real real(scratch.path());
  for (const auto& [at, number] : enrolments) {
    real.run_until(at);
    real.enrol(number);
  }
  real.run_until(day(outage_from) - Seconds{1});
  real.world().cut(host);
  real.run_until(day(outage_to) - Seconds{1});
  real.world().mend(host);
  real.run_until(day(last_day) - Seconds{1});

  const Lives expected = rehearsed(s);
  std::size_t events = 0;
  for (const auto& [number, life] : expected) {
    const auto& lived = real.lives().at(number);
    ASSERT_EQ(lived.size(), life.size()) << "device " << number;
    for (std::size_t i = 0; i < life.size(); ++i) {
      EXPECT_EQ(to_rfc3339(lived[i].at) + " " + lived[i].what,
                to_rfc3339(life[i].at) + " " + life[i].what)
          << "device " << number;
      ++events;
    }
  }
  EXPECT_GT(events, devices * 4);

  // And every message of theirs, the vain ones too.
  const auto outcome = rehearse::rehearse(s, 2);
  ASSERT_EQ(outcome.authorities.size(), 1U);
  const rehearse::Tally& tally = outcome.authorities.front().tally;
  std::map<std::string, std::uint64_t> sent;
  std::uint64_t unanswered = 0;
  const auto all = exchanges(real.world());
  ASSERT_EQ(all.size(), real.world().calls().size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (real.world().calls()[i].status == 0) {
      ++unanswered;
    } else {
      ++sent[all[i].what];
    }
  }
  EXPECT_EQ(sent["GetCACert"], tally.requests[0]);
  EXPECT_EQ(sent["GetCACaps"], tally.requests[1]);
  EXPECT_EQ(sent["GetNextCACert"], tally.requests[2]);
  EXPECT_EQ(sent["PKCSReq"] + sent["RenewalReq"], tally.requests[3]);
  EXPECT_EQ(unanswered, tally.unanswered);
  EXPECT_GT(unanswered, 10U) << "the outage struck somebody";
  EXPECT_GT(tally.requests[2], devices) << "and some asked for the next CA in vain";
}

}  // namespace
}  // namespace umbra::lab
