#include "plan/story.h"

#include <algorithm>

namespace umbra::plan {
namespace {

using lifecycle::Phase;
using lifecycle::RequestKind;
using lifecycle::Timer;
using lifecycle::TrustpointEvent;
using lifecycle::TrustpointFacts;
using lifecycle::Validity;
using Action = lifecycle::TrustpointAction;
using EventKind = lifecycle::TrustpointEventKind;

// A story that is longer than this has got into a loop: it ends there.
constexpr int steps_max = 200000;

Time at(Offset offset) { return Time{Seconds{offset}}; }
Offset offset(Time time) { return time.time_since_epoch().count(); }

class Player {
 public:
  Player(const Question& question, const Play& how) : q_(question), how_(how) {}

  Story run() {
    now_ = how_.enrols;
    facts_.ca = generation_at(now_);
    facts_.can_get_next_ca = true;
    if (how_.holds) {
      granted(now_);
    } else if (q_.client.auto_enroll) {
      take({EventKind::deadline, {}});
    } else {
      take({EventKind::enroll, {}});
    }
    for (int i = 0; i < steps_max && advance(); ++i) {
    }
    look_back(how_.until);
    tell_of_the_server();
    std::stable_sort(story_.chapters.begin(), story_.chapters.end(),
                     [](const Chapter& a, const Chapter& b) { return a.at < b.at; });
    return std::move(story_);
  }

 private:
  /// False at the end of the story.
  bool advance() {
    auto all = lifecycle::deadlines(q_.client, facts_, "");
    if (all.empty()) return false;
    // What is due the moment it arrives waits one period, so that nobody asks in a loop.
    const Offset next = std::max({offset(all.front().at), now_, held_until_});
    if (next >= how_.until) return false;
    look_back(next);
    now_ = next;
    const auto before = facts_;
    take({EventKind::deadline, {}});
    const bool same = before.phase == facts_.phase && before.since == facts_.since &&
                      before.tries == facts_.tries && before.failing == facts_.failing &&
                      before.identity == facts_.identity && before.ca == facts_.ca &&
                      before.rollover_ca == facts_.rollover_ca &&
                      before.rollover_identity == facts_.rollover_identity;
    return !same;
  }

  void tell(Happening what, std::optional<Validity> certificate = {}) {
    story_.chapters.push_back({now_, what, certificate});
  }

  /// The time up to `next`: dark where the identity has ended.
  void look_back(Offset next) {
    if (!began_) return;
    const Offset valid_to = facts_.identity ? offset(facts_.identity->not_after) : now_;
    if (valid_to >= next) return;
    const Offset from = std::max(valid_to, now_);
    if (!is_dark_) story_.chapters.push_back({from, Happening::ends, facts_.identity});
    is_dark_ = true;
    story_.dark.add({from, next - 1});
  }

  void take(const TrustpointEvent& event) {
    const auto step = lifecycle::step(q_.client, facts_, event, at(now_));
    const bool gave_up =
        std::find(step.actions.begin(), step.actions.end(), Action::give_up) != step.actions.end();
    facts_ = step.next;
    if (gave_up) tell(Happening::gives_up);
    for (const Action action : step.actions) act(action);
  }

  void act(Action action) {
    switch (action) {
      case Action::fetch_ca:
      case Action::give_up:
        return;
      case Action::fetch_next_ca:
        if (facts_.tries == 0) tell(Happening::shadow);
        return fetch_next_ca();
      case Action::begin_request:
        if (facts_.kind != RequestKind::shadow)
          tell(facts_.kind == RequestKind::renew ? Happening::renew : Happening::asks_first);
        return send();
      case Action::send_request:
        return send();
      case Action::send_poll:
        return poll();
      case Action::install_identity:
      case Action::store_rollover_identity:
        return;
      case Action::promote:
        tell(Happening::switches, facts_.identity);
        if (facts_.identity) is_dark_ = false;
        return;
    }
  }

  [[nodiscard]] bool reachable() const {
    return !how_.outage || now_ < how_.outage->first || now_ > how_.outage->last;
  }

  [[nodiscard]] Validity generation_at(Offset when) const {
    Validity ca{at(0), at(0) + q_.ca.lifetime_ca};
    while (q_.ca.overlap && when >= offset(ca.not_after))
      ca = lifecycle::rollover_ca_validity(q_.ca.lifetime_ca, ca);
    return ca;
  }
  /// The CA after `ca`, if the server has it by now.
  [[nodiscard]] std::optional<Validity> successor_of(const Validity& ca) const {
    const auto made = lifecycle::shadow_generation_at(
        q_.ca, {.active = ca, .rollover = {}, .crl_next_update = {}});
    if (!made || now_ < offset(*made)) return std::nullopt;
    return lifecycle::rollover_ca_validity(q_.ca.lifetime_ca, ca);
  }

  void no_answer() {
    tell(Happening::unreachable);
    take({EventKind::no_answer, {}});
  }

  void fetch_next_ca() {
    if (!reachable()) return no_answer();
    const auto next = successor_of(*facts_.ca);
    // After the switch-over the answer is signed by a CA this device does not know yet.
    if (!next || now_ >= offset(facts_.ca->not_after)) {
      tell(Happening::refused_next_ca);
      return take({EventKind::no_answer, {}});
    }
    tell(Happening::next_ca, *next);
    take({EventKind::next_ca_received, *next});
  }

  [[nodiscard]] std::optional<Validity> certificate_from(Offset when) const {
    if (facts_.kind == RequestKind::shadow)
      return lifecycle::shadow_validity(q_.lifetime, *facts_.rollover_ca);
    return lifecycle::issued_validity(at(when), q_.lifetime, *facts_.ca);
  }

  void send() {
    if (!reachable()) return no_answer();
    const bool pends = facts_.kind == RequestKind::initial ? q_.pends_first : q_.pends_again;
    if (!pends) return granted(now_);
    const std::size_t which =
        std::min(requests_++, how_.grants.empty() ? 0 : how_.grants.size() - 1);
    asked_at_ = now_;
    granted_at_ = now_ + (how_.grants.empty() ? q_.grant_within : how_.grants[which]).count();
    tell(Happening::pending);
    take({EventKind::pending, {}});
  }

  void poll() {
    if (!reachable()) return no_answer();
    if (now_ >= asked_at_ + q_.request_lifetime.count()) {
      tell(Happening::refused);
      return take({EventKind::rejected, {}});
    }
    if (now_ >= granted_at_) return granted(granted_at_);
    tell(Happening::still_pending);
    take({EventKind::pending, {}});
  }

  void granted(Offset when) {
    const auto certificate = certificate_from(when);
    if (!certificate) {
      tell(Happening::refused);
      return take({EventKind::rejected, {}});
    }
    const bool shadow = facts_.kind == RequestKind::shadow;
    tell(shadow ? Happening::shadow_granted : Happening::granted, *certificate);
    story_.issued.push_back(offset(certificate->not_before));
    if (facts_.phase == Phase::idle) {
      facts_.identity = certificate;
    } else {
      take({EventKind::granted, *certificate});
    }
    if (shadow) return;
    began_ = true;
    is_dark_ = false;
    const auto rest = lifecycle::rest_after_install(q_.client, facts_, at(now_));
    held_until_ = rest ? offset(*rest) : 0;
  }

  void tell_of_the_server() {
    Validity ca = generation_at(how_.enrols);
    for (now_ = how_.until - 1; offset(ca.not_before) < how_.until;) {
      const auto next = successor_of(ca);
      if (!next) return;
      const Offset made = offset(ca.not_after) - q_.ca.overlap->count();
      if (made >= how_.enrols) story_.chapters.push_back({made, Happening::rollover_made, *next});
      ca = *next;
    }
  }

  const Question& q_;
  const Play& how_;
  Story story_;
  TrustpointFacts facts_;
  Offset now_ = 0;
  Offset held_until_ = 0;
  Offset asked_at_ = 0;
  Offset granted_at_ = 0;
  std::size_t requests_ = 0;
  bool began_ = false;
  bool is_dark_ = false;
};

}  // namespace

Story play(const Question& question, const Play& how) { return Player(question, how).run(); }

std::string to_string(Happening happening) {
  switch (happening) {
    case Happening::asks_first:
      return "asks for its first certificate";
    case Happening::renew:
      return "RENEW";
    case Happening::shadow:
      return "SHADOW: asks for the next CA";
    case Happening::refused_next_ca:
      return "there is no next CA yet";
    case Happening::unreachable:
      return "the server cannot be reached";
    case Happening::next_ca:
      return "has the next CA, asks for its shadow certificate";
    case Happening::pending:
      return "waits for a person to grant it";
    case Happening::still_pending:
      return "POLL: still pending";
    case Happening::granted:
      return "has a certificate";
    case Happening::shadow_granted:
      return "has its shadow certificate";
    case Happening::refused:
      return "is refused, and asks no more";
    case Happening::gives_up:
      return "gives up";
    case Happening::rollover_made:
      return "the server makes the next CA";
    case Happening::switches:
      return "switches to the next CA";
    case Happening::ends:
      return "DARK: its certificate has ended";
  }
  return "";
}

}  // namespace umbra::plan
