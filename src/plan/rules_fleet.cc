#include <fmt/format.h>

#include <algorithm>

#include "plan/fleet.h"

/// Renewals and the rollover of one kind of device under one server.
namespace umbra::plan {
namespace {

/// A percentage for which nobody but the latest starters is at risk, nearest to the present one.
std::optional<int> percent_that_holds(const Question& question) {
  constexpr int low = 10;
  constexpr int high = 99;
  const int now = std::min(*question.client.auto_enroll, high);
  for (int away = 0; away <= high - low; ++away) {
    for (const int percent : {now - away, now + away}) {
      if (percent < low || percent > high) continue;
      Question other = question;
      other.client.auto_enroll = percent;
      const Proof proof = prove(other);
      const bool early_enough =
          proof.dark_in_outage.empty() || proof.dark_in_outage.first() >= proof.rollover_at;
      if (proof.early.empty() && early_enough && !proof.renewal_dark_in_outage) return percent;
    }
  }
  return std::nullopt;
}

class FleetRules {
 public:
  FleetRules(const Fleet& fleet, const Pairing& pairing, std::size_t clients, Findings& findings)
      : fleet_(fleet),
        server_(pairing.servers()[fleet.pair.server]),
        clients_(clients),
        findings_(findings),
        q_(question_of(server_, *fleet.first().trustpoint, pairing, findings.options(),
                       fleet.pair.through)) {}

  void run() {
    if (server_.server->grant == config::Grant::none) return;  // said of the server
    if (!q_.client.auto_enroll) return without_auto_enroll();
    if (!server_.server->auto_rollover) return;  // said of the server, with its devices
    proof_ = prove(q_);
    if (*q_.client.auto_enroll >= 100) return at_a_hundred_percent();
    const bool granted = grants_come_in_time();
    if (granted && proof_.grant_in_outage != Wait::fetched) {
      // That is said now; what remains is what happens without the outage.
      q_.outage = Seconds{0};
      proof_ = prove(q_);
    }
    if (!proof_.early.empty()) early_shadow();
    if (granted && retries_outlast_the_outage()) {
      renewals();
      late_starters();
    }
    if (proof_.early.empty()) clocks_apart();
    if (q_.pends_again) waits_for_a_person();
    const bool only_the_latest = proof_.dark.empty() || proof_.dark.first() >= proof_.rollover_at;
    if (granted && proof_.early.empty() && only_the_latest && !proof_.renewal_dark) proved();
  }

 private:
  [[nodiscard]] std::string day(Offset at) const { return findings_.day(at); }
  [[nodiscard]] int percent() const { return *q_.client.auto_enroll; }
  [[nodiscard]] std::string fleet() const { return devices(clients_); }

  [[nodiscard]] std::string who_is_concerned(const Intervals& issued) const {
    const Intervals first = leading_to(q_, issued);
    Question anytime = q_;
    anytime.enrolled.reset();
    const bool later = leading_to(anytime, issued).contains(0);
    std::string text;
    if (first == Intervals(0, q_.ca_end() - 1)) {
      text = "Concerned is every device, on whichever day it was first enrolled.";
    } else if (!first.empty()) {
      text = fmt::format("Concerned are devices first enrolled on {}.", days(first));
      if (later) text += " From the second CA on, it is every device.";
    } else {
      text = "Concerned are all devices from the second CA on.";
    }
    return text;
  }

  void fix_percent(Finding& finding, const std::optional<int>& percent) const {
    if (!percent || *percent == q_.client.auto_enroll) return;
    const std::string regenerate = fleet_.first().trustpoint->regenerate ? " regenerate" : "";
    finding.fixes.push_back(
        fleet_fix(fleet_, "auto-enroll", fmt::format(" auto-enroll {}{}", *percent, regenerate)));
  }

  void without_auto_enroll() {
    const Offset end = q_.ca_end();
    const Offset lifetime = std::min<Offset>(q_.lifetime.count(), end);
    const Offset shadow = shadow_of_ca_alone(q_);
    std::string text = fmt::format(
        "Nothing renews these certificates by itself: {} goes dark {} after it was enrolled, and "
        "on "
        "{} at the latest, unless a person types `crypto pki enroll {}` on each before.",
        fleet(), span(lifetime), day(end), fleet_.first().trustpoint->name);
    if (clients_ != 1) {
      const auto at = text.find("goes dark");
      text.replace(at, 9, "go dark");
      const auto it = text.find("after it was");
      text.replace(it, 12, "after they were");
    }
    if (server_.server->auto_rollover) {
      text += fmt::format(
          " The next CA's certificate is fetched on {} (90 % of the CA's life); the {} from then "
          "on "
          "are what the person has for all of them.",
          day(shadow), span(end - shadow));
    }
    Finding& finding =
        findings_.of_fleet(fleet_, Grade::warning, "no-auto-enroll", "", std::move(text));
    q_.client.auto_enroll = 80;
    if (const auto percent = percent_that_holds(q_)) {
      finding.fixes.push_back(fleet_fix(fleet_, "", fmt::format(" auto-enroll {}", *percent)));
    }
    const Offset ready = end - server_.server->auto_rollover.value_or(Seconds{0}).count();
    if (!server_.server->auto_rollover || shadow >= ready) return;
    Finding& early = findings_.of_fleet(
        fleet_, Grade::warning, "shadow-too-early", "",
        fmt::format("Without auto-enroll the next CA is asked for at 90 % of the CA's life, on {}; "
                    "the server makes it on {} (auto-rollover {}). Until then {} ask in vain.",
                    day(shadow), day(ready), server_.server->auto_rollover_text, fleet()));
    fix_overlap(early, Seconds{end - shadow});
  }

  void fix_overlap(Finding& finding, Seconds needed) const {
    constexpr Days overlap_max{1825};
    // Whole days, and more than what is needed: the server makes its key in time, and clocks
    // differ.
    Days overlap = std::chrono::floor<Days>(needed) + Days{1};
    if (overlap > overlap_max || overlap >= server_.server->lifetime_ca_certificate) return;
    finding.fixes.push_back(
        server_fix(server_, "auto-rollover", fmt::format(" auto-rollover {}", overlap.count())));
  }

  void at_a_hundred_percent() {
    Finding& finding = findings_.of_fleet(
        fleet_, Grade::error, "renews-at-the-end", "auto-enroll",
        fmt::format("A certificate is renewed at 100 % of its life: when it is over. On {} the CA "
                    "has ended when {} for the next one, whose certificates it no longer knows how "
                    "to check: {} dark, until a person authenticates the CA and enrols by hand.",
                    day(q_.ca_end()), clients_ == 1 ? "the device asks" : "the devices ask",
                    fleet() + (clients_ == 1 ? " goes" : " go")));
    fix_percent(finding, percent_that_holds(q_));
  }

  /// Whether a person's grants reach the devices, an outage aside.
  bool grants_come_in_time() {
    if (proof_.grant == Wait::fetched && proof_.grant_in_outage == Wait::fetched) return true;
    const bool lost_in_outage = proof_.grant == Wait::fetched;
    const Wait how = lost_in_outage ? proof_.grant_in_outage : proof_.grant;
    const Grade grade = lost_in_outage ? Grade::warning : Grade::error;
    const Tries poll = polls(q_);
    std::string text = fmt::format("Requests wait for a person, who takes up to {}. ",
                                   span(q_.grant_within.count()));
    if (how == Wait::given_up) {
      text += fmt::format(
          "A device polls {} times, for the last time {} after its request, and then no more: what "
          "is granted later{} is never fetched, and {} dark when the certificate ends.",
          poll.after.size(), poll.after.empty() ? "0 seconds" : span(poll.after.back()),
          lost_in_outage ? ", or lost in an outage of " + span(q_.outage.count()) + "," : "",
          fleet() + (clients_ == 1 ? " goes" : " go"));
      Finding& finding = findings_.of_fleet(fleet_, grade, "polls-run-out",
                                            "enrollment retry count", std::move(text));
      finding.fixes.push_back(
          fleet_fix(fleet_, "enrollment retry count", " enrollment retry count 999"));
      return lost_in_outage;
    }
    Offset last = 0;
    for (const Offset after : poll.after) {
      if (after < q_.request_lifetime.count()) last = after;
    }
    const Offset needed =
        lost_in_outage ? proof_.grant_takes + q_.outage.count() : q_.grant_within.count();
    const auto fetched = poll.first_from(needed);
    const Offset wanted = fetched ? poll.after[*fetched] : 0;
    text += "Polls come further and further apart: ";
    text += lost_in_outage ? fmt::format(
                                 "the one {} after the request may fall into an outage of "
                                 "{}, and the next comes {} after it. ",
                                 span(proof_.grant_takes), span(q_.outage.count()), span(wanted))
                           : fmt::format("one {} after the request, the next {} after it. ",
                                         span(last), span(wanted));
    text += fmt::format(
        "By then the request has left the server's queue (lifetime enrollment-request, {}): the "
        "device is refused, asks no more, and is dark when its certificate ends.",
        span(q_.request_lifetime.count()));
    if (!lost_in_outage)
      text += fmt::format(" Only what is granted within {} arrives.", span(last));
    Finding& finding = findings_.of_fleet(fleet_, grade, "grant-too-late", "", std::move(text));
    constexpr Offset hours_max = 1000;
    const Offset hours = wanted / 3600 + 1;
    if (wanted > 0 && hours <= hours_max) {
      finding.fixes.push_back(server_fix(server_, "lifetime enrollment-request",
                                         fmt::format(" lifetime enrollment-request {}", hours)));
    }
    return lost_in_outage;
  }

  bool retries_outlast_the_outage() {
    const Tries tries = connect_retries(q_);
    if (!tries.ends || (!tries.after.empty() && tries.after.back() >= q_.outage.count()) ||
        q_.outage == Seconds{0})
      return true;
    const Offset last = tries.after.empty() ? 0 : tries.after.back();
    std::string text = fmt::format(
        "An outage of {} outlasts the retries: who asks at its beginning asks {} times, for the "
        "last time {} later. At SHADOW, between {} and {}, that device gives up and goes dark on "
        "{}, until it is authenticated and enrolled by hand.",
        span(q_.outage.count()), tries.after.size() + 1, span(last), day(proof_.shadow_first),
        day(proof_.shadow_last), day(q_.ca_end()));
    if (proof_.renews) text += " At RENEW it asks again only when its certificate has ended.";
    Finding& finding = findings_.of_fleet(fleet_, Grade::error, "retries-run-out",
                                          "enrollment retry count", std::move(text));
    finding.fixes.push_back(
        fleet_fix(fleet_, "enrollment retry count", " enrollment retry count 999"));
    return false;
  }

  void early_shadow() {
    const Offset ready = proof_.rollover_at;
    const bool gives_up = !proof_.gives_up.empty();
    const Intervals lost = gives_up ? proof_.gives_up : proof_.dark.within(proof_.early);
    const bool dark = !lost.empty();
    const Offset issued = dark ? lost.first() : proof_.early.first();
    const Offset shadow = shadow_of(q_, issued).value_or(proof_.shadow_first);
    std::string text = fmt::format(
        "SHADOW comes before there is a next CA. A certificate issued on {} ends with the CA on {} "
        "and asks for the next one at {} % of its life, on {}; the server makes it on {} "
        "(auto-rollover {}): {} too early. ",
        day(issued), day(q_.ca_end()), percent(), day(shadow), day(ready),
        server_.server->auto_rollover_text, span(ready - shadow));
    if (gives_up) {
      const Tries tries = connect_retries(q_);
      text += fmt::format(
          "The device asks {} times, for the last time {} later, gives up, and goes dark on {}: it "
          "must be authenticated and enrolled by hand. {}",
          tries.after.size() + 1, span(tries.after.empty() ? 0 : tries.after.back()),
          day(q_.ca_end()), who_is_concerned(lost));
    } else if (dark) {
      text += fmt::format(
          "Its tries come further and further apart, and the one that finds the next CA leaves too "
          "little time: it goes dark on {}. {}",
          day(q_.ca_end()), who_is_concerned(lost));
    } else {
      text += fmt::format(
          "They ask in vain for up to {} ({} tries), have the next CA on {} at the latest, and "
          "nobody goes dark by it alone. {}",
          span(proof_.vain_most), proof_.vain_tries, day(proof_.vain_until),
          who_is_concerned(proof_.early));
      if (!proof_.dark_in_outage.within(proof_.early).empty()) {
        text += fmt::format(" With an outage of {} at the worst moment, some do.",
                            span(q_.outage.count()));
      }
    }
    Finding& finding = findings_.of_fleet(fleet_, dark ? Grade::error : Grade::warning,
                                          "shadow-too-early", "auto-enroll", std::move(text));
    fix_overlap(finding, overlap_needed(q_));
    Question patient = q_;
    if (gives_up) {
      patient.client.retry_count = 999;
      finding.fixes.push_back(
          fleet_fix(fleet_, "enrollment retry count", " enrollment retry count 999"));
    }
    fix_percent(finding, percent_needed(patient));
  }

  void renewals() {
    if (!proof_.renews || !proof_.renewal_dark_in_outage) return;
    const Offset renew = proof_.renewal_after;
    std::string text =
        fmt::format("RENEW comes {} after a certificate's issue ({} % of {}) and leaves {}. ",
                    span(renew), percent(), span(q_.lifetime.count()), span(proof_.renewal_left));
    if (proof_.renewal_dark) {
      text += fmt::format(
          "A person grants within {}, which the device learns after up to {}: it is "
          "dark in between, at each renewal. ",
          span(q_.grant_within.count()), span(proof_.grant_takes));
    } else {
      text += fmt::format(
          "An outage of {} that begins with it is over too late: {} dark on the day "
          "the certificate ends. ",
          span(q_.outage.count()), fleet() + (clients_ == 1 ? " goes" : " go"));
    }
    Finding& finding = findings_.of_fleet(fleet_, Grade::error, "renewal-too-late", "auto-enroll",
                                          std::move(text));
    finding.text.pop_back();
    fix_percent(finding, percent_that_holds(q_));
  }

  /// Who enrols in the CA's last days has little time for the shadow certificate.
  void late_starters() {
    const Intervals& calm = proof_.dark;
    const Intervals late = proof_.dark_in_outage.without(proof_.early);
    if (late.empty()) return;
    const Offset from = late.first();
    const Offset left = q_.ca_end() - from;
    constexpr Offset inevitable = 600;  // nobody plans by minutes
    if (left <= inevitable) return;
    const bool in_overlap = from >= proof_.rollover_at;
    const bool without_outage =
        !calm.within(late).empty() && q_.ca_end() - calm.within(late).first() > inevitable;
    std::string text = fmt::format(
        "A certificate issued after {} leaves too little time between SHADOW and the CA's end on "
        "{}",
        day(from), day(q_.ca_end()));
    if (q_.pends_again) {
      text +=
          fmt::format(" for a person who grants within {}, which a device learns after up to {}",
                      span(q_.grant_within.count()), span(proof_.grant_takes));
      if (q_.outage > Seconds{0})
        text += fmt::format(", and for an outage of {}", span(q_.outage.count()));
    } else {
      text += fmt::format(" for an outage of {} at the worst moment", span(q_.outage.count()));
    }
    text += fmt::format(": such a device is then dark from {} on. ", day(q_.ca_end()));
    if (in_overlap) {
      text += fmt::format("That is the last {} of the CA: {}", span(left),
                          q_.pends_again ? "grant shadow requests faster then, or enrol nobody new."
                                         : "enrol nobody new, or watch the server more closely.");
    } else {
      text += who_is_concerned(late);
    }
    const Grade grade = !in_overlap ? Grade::error : without_outage ? Grade::warning : Grade::note;
    Finding& finding =
        findings_.of_fleet(fleet_, grade, "late-starters", "auto-enroll", std::move(text));
    if (!in_overlap) fix_percent(finding, percent_that_holds(q_));
  }

  /// A device acts by its own clock, the server by its.
  void clocks_apart() {
    const Offset error = findings_.options().clock_error.count();
    if (!proof_.last_issued.empty() && proof_.margin() < error) {
      Finding& finding = findings_.of_fleet(
          fleet_, Grade::warning, "clocks-apart", "auto-enroll",
          fmt::format("SHADOW falls {} after the server makes the next CA, on {}. A device whose "
                      "clock is ahead of the server's by {} asks before there is one.",
                      span(proof_.margin()), day(proof_.rollover_at), span(error)));
      finding.fixes.push_back(server_fix(
          server_, "auto-rollover",
          fmt::format(" auto-rollover {}", ios_days(overlap_needed(q_) + Seconds{error}))));
    }
    if (proof_.renews && proof_.renewal_left <= error) {
      findings_.of_fleet(
          fleet_, Grade::warning, "clocks-apart", "auto-enroll",
          fmt::format("RENEW leaves {} of a certificate's life. A device whose clock is behind by "
                      "{} renews one that has ended for everybody else.",
                      span(proof_.renewal_left), span(error)));
    }
  }

  void waits_for_a_person() {
    std::string text = fmt::format(
        "Every renewal waits for a person: {}, each {} days or so, and all shadow requests between "
        "{} and {}. With a separate trustpoint that is authenticated to this CA, `grant auto "
        "trustpoint NAME` grants what a valid certificate of this CA has signed, and leaves only "
        "strangers waiting.",
        fleet(), number_of_day(std::max<Offset>(proof_.renewal_after, 0)), day(proof_.shadow_first),
        day(proof_.shadow_last));
    if (!proof_.renews) {
      text = fmt::format(
          "All shadow requests, between {} and {}, wait for a person. `grant auto trustpoint NAME` "
          "grants what a valid certificate of this CA has signed.",
          day(proof_.shadow_first), day(proof_.shadow_last));
    }
    Finding& finding =
        findings_.of_fleet(fleet_, Grade::warning, "waits-for-a-person", "auto-enroll", text);
    finding.fixes.push_back(server_fix(server_, "grant", " grant auto trustpoint NAME"));
  }

  void proved() {
    const Seconds least = overlap_needed(q_);
    const auto lowest = percent_needed(q_);
    std::string text = fmt::format(
        "Proved for {}: SHADOW falls between {} and {}, and the next CA is there from {}: {} to "
        "spare. ",
        q_.enrolled
            ? "first enrolments on " + days(Intervals(q_.enrolled->first, q_.enrolled->last))
            : "every day of first enrolment and every chain of renewals",
        day(proof_.shadow_first), day(proof_.shadow_last), day(proof_.rollover_at),
        span(proof_.margin()));
    text += fmt::format("It would hold down to auto-rollover {}", ios_days(least));
    if (lowest && *lowest < percent()) text += fmt::format(", or down to auto-enroll {}", *lowest);
    text += ".";
    if (proof_.renews) text += fmt::format(" RENEW leaves {}.", span(proof_.renewal_left));
    findings_.of_fleet(fleet_, Grade::note, "rollover-proved", "auto-enroll", std::move(text));
  }

  const Fleet& fleet_;
  const ServerAt& server_;
  std::size_t clients_;
  Findings& findings_;
  Question q_;
  Proof proof_;
};

}  // namespace

void check_fleet(const Fleet& fleet, const Pairing& pairing, std::size_t clients,
                 Findings& findings) {
  FleetRules(fleet, pairing, clients, findings).run();
}

}  // namespace umbra::plan
