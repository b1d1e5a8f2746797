#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "console/screens.h"

namespace umbra::console {
namespace {

std::size_t ready(const server::OverlapReport& report) {
  return static_cast<std::size_t>(
      std::count_if(report.holders.begin(), report.holders.end(),
                    [](const auto& h) { return h.shadow.has_value(); }));
}

}  // namespace

std::string overlap_screen(const server::OverlapReport& report, const TimeZone& zone) {
  std::string out = fmt::format("Certificate Server {} rollover:\n", report.name);
  if (report.rollover) {
    out += fmt::format("    Rollover CA certificate: {}, becomes active at {}\n",
                       report.rollover->serial().to_hex_octets(),
                       to_ios_time(report.rollover->not_before(), zone));
  } else if (report.made_at) {
    out += fmt::format("    Rollover CA certificate: not available, made at {}\n",
                       to_ios_time(*report.made_at, zone));
  } else {
    out += "    Rollover CA certificate: not available, and auto-rollover makes none\n";
  }
  out += fmt::format("    Clients with a shadow certificate: {} of {}\n", ready(report),
                     report.holders.size());
  for (const auto& holder : report.holders) {
    if (holder.shadow)
      out += fmt::format("      {}  (serial {})\n", printable(holder.subject),
                         holder.shadow->to_hex_octets());
  }
  out += fmt::format("    Clients without: {}\n", report.holders.size() - ready(report));
  for (const auto& holder : report.holders) {
    if (!holder.shadow)
      out += fmt::format("      {}  (certificate ends {})\n", printable(holder.subject),
                         to_ios_time(holder.not_after, zone));
  }
  out += fmt::format("    Addresses that fetched the rollover CA certificate: {}\n",
                     report.fetches.size());
  for (const auto& fetch : report.fetches)
    out += fmt::format("      {}  (first {})\n", fetch.address, to_ios_time(fetch.first_at, zone));
  return out;
}

std::string overlap_json(const server::OverlapReport& report) {
  using nlohmann::json;
  json out;
  out["server"] = report.name;
  out["rollover"] = nullptr;
  if (report.rollover) {
    out["rollover"] = {{"serial", report.rollover->serial().to_hex()},
                       {"not_before", to_rfc3339(report.rollover->not_before())},
                       {"not_after", to_rfc3339(report.rollover->not_after())},
                       {"sha256", to_hex(report.rollover->fingerprint(x509::Digest::sha256))}};
  }
  out["rollover_made_at"] = report.made_at ? json(to_rfc3339(*report.made_at)) : json(nullptr);
  out["clients_total"] = report.holders.size();
  out["clients_ready"] = ready(report);
  out["clients"] = json::array();
  for (const auto& holder : report.holders) {
    out["clients"].push_back(
        {{"subject", holder.subject},
         {"not_after", to_rfc3339(holder.not_after)},
         {"shadow_serial", holder.shadow ? json(holder.shadow->to_hex()) : json(nullptr)}});
  }
  out["fetches"] = json::array();
  for (const auto& fetch : report.fetches)
    out["fetches"].push_back(
        {{"address", fetch.address}, {"first_at", to_rfc3339(fetch.first_at)}});
  // Peers' names may hold octets that are no UTF-8.
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace umbra::console
