#include <nlohmann/json.hpp>

#include "rehearse/report.h"

namespace umbra::rehearse {
namespace {

using Json = nlohmann::ordered_json;

class Writer {
 public:
  Writer(const Scenario& scenario, const plan::Calendar& calendar)
      : scenario_(scenario), calendar_(calendar) {}

  [[nodiscard]] Json authority(const AuthorityOutcome& of) const {
    Json out = {{"name", of.name},
                {"devices", of.devices},
                {"enrolled", of.enrolled},
                {"dark", of.dark},
                {"dark_at_the_end", of.still},
                {"crl_out_of_date_seconds", of.crl_stale}};
    for (const Generation& one : of.generations) {
      Json generation = {{"made", when(one.made)},
                         {"begins", when(offset(one.validity.not_before))},
                         {"ends", when(offset(one.validity.not_after))}};
      if (one.cancelled != never) generation["cancelled"] = when(one.cancelled);
      out["generations"].push_back(generation);
    }
    out["causes"] = Json::array();
    for (const CauseRow& row : of.causes) {
      out["causes"].push_back({{"cause", to_string(row.cause)},
                               {"text", in_words(row.cause)},
                               {"devices", row.devices},
                               {"first", when(row.first)},
                               {"longest_seconds", row.longest}});
    }
    out["dark_devices"] = Json::array();
    for (const DarkDevice& one : of.worst) {
      out["dark_devices"].push_back({{"device", one.number},
                                     {"kind", scenario_.kinds[one.kind].name},
                                     {"from", when(one.from)},
                                     {"seconds", one.dark_for},
                                     {"times", one.episodes},
                                     {"cause", to_string(one.cause)},
                                     {"at_the_end", one.still}});
    }
    out["load"] = load(of);
    for (std::size_t s = 0; s < states; ++s) {
      Json days = Json::array();
      for (const auto& day : of.days) days.push_back(day[s]);
      out["states_by_day"][to_string(static_cast<State>(s))] = std::move(days);
    }
    return out;
  }

  [[nodiscard]] std::string when(Offset offset) const {
    return to_rfc3339(*calendar_.start + Seconds{offset});
  }

 private:
  [[nodiscard]] Json load(const AuthorityOutcome& of) const {
    Json out = {{"certificates", of.tally.certificates},
                {"refused", of.tally.refusals},
                {"out_of_reach", of.tally.unanswered},
                {"lost", of.tally.lost},
                {"busiest_second", {{"requests", of.second.count}, {"at", when(of.second.at)}}},
                {"busiest_hour", {{"requests", of.hour.count}, {"at", when(of.hour.at)}}},
                {"most_waiting", {{"requests", of.waiting.count}, {"at", when(of.waiting.at)}}}};
    for (std::size_t i = 0; i < operations; ++i)
      out["requests"][to_string(static_cast<Operation>(i))] = of.tally.requests[i];
    out["requests_by_day"] = requests_by_day(of);
    return out;
  }

  const Scenario& scenario_;
  const plan::Calendar& calendar_;
};

}  // namespace

std::string to_json(const Scenario& scenario, const Outcome& outcome,
                    const Circumstances& circumstances) {
  const Writer writer(scenario, circumstances.calendar);
  Json out = {{"devices", scenario.devices}, {"kinds", scenario.kinds.size()},
              {"from", writer.when(0)},      {"to", writer.when(scenario.until)},
              {"seed", scenario.seed},       {"faults", circumstances.faults},
              {"notes", scenario.notes},     {"dark", outcome.dark()}};
  for (const AuthorityOutcome& of : outcome.authorities)
    out["certificate_servers"].push_back(writer.authority(of));
  out["defects"] = outcome.broken_servers;
  for (const Broken& one : outcome.broken) {
    out["defects"].push_back("device " + std::to_string(one.device) + ", " + writer.when(one.at) +
                             ": " + one.what);
  }
  // Names of devices are whatever a file says.
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace umbra::rehearse
