#include "console/screens.h"

#include <algorithm>

#include <fmt/format.h>

#include "console/expiring.h"

namespace umbra::console {
namespace {

std::string source_line(const Clock& clock, const TimeZone& zone) {
  const std::string now = to_ios_clock(clock.now(), zone);
  return clock.authoritative() ? fmt::format("Time source is {}, {}\n", clock.source(), now)
                               : fmt::format("No time source, *{}\n", now);
}

std::string_view level_text(std::string_view level) {
  if (level == "complete") return "Complete - all issued certs written as <serialnum>.cer";
  if (level == "names") return "Names - subject name data written as <serialnum>.cnm";
  return "Minimum - no cert data written to storage";
}

/// `90 days`, `0 days 0 hours 20 minutes`, from the figures as typed.
std::string overlap_text(std::string_view typed) {
  static constexpr std::string_view units[] = {"days", "hours", "minutes"};
  std::string out;
  for (const std::string_view unit : units) {
    if (typed.empty()) break;
    const std::size_t end = std::min(typed.find(' '), typed.size());
    if (!out.empty()) out += ' ';
    out += fmt::format("{} {}", typed.substr(0, end), unit);
    typed.remove_prefix(std::min(end + 1, typed.size()));
  }
  return out;
}

void add_server(std::string& out, const server::Status& s, const TimeZone& zone) {
  const auto line = [&](std::string_view text) { out += fmt::format("    {}\n", text); };
  out += fmt::format("Certificate Server {}:\n", s.name);
  line("Status: " + s.status);
  line("State: " + s.state);
  if (!s.clock_authoritative) line("Clock is not authoritative: no timer is armed");
  if (!s.shut) line("Server's configuration is locked  (enter \"shut\" to unlock it)");
  line("Issuer name: " + s.issuer_name);
  line("CA cert fingerprint: " +
       (s.ca ? fingerprint(*s.ca, x509::Digest::md5) : std::string("-Not found-")));
  if (s.upper) line("Upper CA cert fingerprint: " + fingerprint(*s.upper, x509::Digest::md5));
  const bool is_ra = s.mode == config::ServerMode::ra;
  const bool transparent = s.mode == config::ServerMode::ra_transparent;
  if (is_ra || transparent)
    line(fmt::format("Server configured in RA mode{}", transparent ? ", transparent" : ""));
  if (is_ra) {
    line("RA cert fingerprint: " +
         (s.ra ? fingerprint(*s.ra, x509::Digest::md5) : std::string("-Not found-")));
  }
  if (!s.awaited.empty()) line("Upper CA: " + s.awaited);
  if (!transparent) line("Granting mode is: " + s.granting);
  const bool issues = !is_ra && !transparent;
  if (issues)
    line(fmt::format("Last certificate issued serial number (hex): {}", s.last_serial.to_hex()));
  if (s.ca && issues)
    line("CA certificate expiration timer: " + to_ios_time(s.ca->not_after(), zone));
  if (s.crl_next_update) line("CRL NextUpdate timer: " + to_ios_time(*s.crl_next_update, zone));
  line("Current primary storage dir: " + s.database_url);
  for (const auto& [type, url] : s.database_urls_of)
    line(fmt::format("Current storage dir for .{} files: {}", type, url));
  line(fmt::format("Database Level: {}", level_text(s.database_level)));
  for (const server::Backlog& one : s.backlog) {
    line(fmt::format("Files waiting for {}: {} since {}{}{}", one.url, one.waiting,
                     to_ios_time(one.since, zone), one.error.empty() ? "" : ": ",
                     printable(one.error)));
  }
  for (const server::ScarceRoom& one : s.scarce)
    line(fmt::format("Storage is nearly full: {} KiB left on {}", one.octets / 1024, one.url));
  if (s.rollover) {
    line("Rollover status: available for rollover");
    line("Rollover CA certificate fingerprint: " + fingerprint(*s.rollover, x509::Digest::md5));
    line("Rollover CA certificate expiration time: " + to_ios_time(s.rollover->not_after(), zone));
  }
  if (s.ra_rollover)
    line("Rollover RA certificate fingerprint: " + fingerprint(*s.ra_rollover, x509::Digest::md5));
  if (!s.auto_rollover_text.empty()) {
    line("Auto-Rollover configured, overlap period " + overlap_text(s.auto_rollover_text));
    if (s.autorollover_at && !s.rollover) {
      line("Autorollover timer: " + to_ios_time(*s.autorollover_at, zone));
    }
  }
}

/// Soonest first, under a heading and the soonest one's time.
void add_timers(std::string& out, std::string_view heading, std::vector<ShownTimer> timers,
                Instant now, bool detail) {
  if (timers.empty()) return;
  std::stable_sort(timers.begin(), timers.end(),
                   [](const ShownTimer& a, const ShownTimer& b) { return a.at < b.at; });
  if (!out.empty() && !detail) out += '\n';
  out += fmt::format("{}\n", heading);
  const auto time = [&](Time at) {
    const std::string span = to_ios_span(Instant(at) - now);
    return detail ? fmt::format("{}  ({})", span, to_rfc3339(at)) : span;
  };
  out += fmt::format("|{}\n", time(timers.front().at));
  for (const ShownTimer& one : timers)
    out += fmt::format("  |{}{}{}\n", time(one.at), detail ? " " : "  ", one.label);
}

std::string_view why_authoritative(std::string_view source) {
  if (source == "NTP") return "the kernel says that it is synchronised";
  if (source == "hardware calendar") return "\"clock calendar-valid\" is configured";
  return "it was given at the start";
}

}  // namespace

std::string fingerprint(const x509::Certificate& certificate, x509::Digest digest) {
  return to_hex_groups(certificate.fingerprint(digest));
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet < 0x20 || octet == 0x7F) {
      out += fmt::format("\\x{:02X}", octet);
    } else {
      out += c;
    }
  }
  return out;
}

std::string timestamp(const Load& load, const Clock& clock, const TimeZone& zone) {
  return fmt::format("Load for five secs: {}%/{}%; one minute: {}%; five minutes: {}%\n",
                     load.five_seconds, load.interrupts, load.one_minute, load.five_minutes) +
         source_line(clock, zone) + "\n";
}

std::string clock_screen(const Clock& clock, const TimeZone& zone, bool detail) {
  std::string out = clock.authoritative() ? "" : "*";
  out += to_ios_clock(clock.now(), zone) + "\n";
  if (detail) {
    out +=
        clock.authoritative()
            ? fmt::format("Time source is {0}\nThe time is authoritative: {1}\n", clock.source(),
                          why_authoritative(clock.source()))
            : "No time source\nThe time is not authoritative: the system's clock is not "
              "synchronised, and there is no \"clock calendar-valid\"; PKI timers are not armed, "
              "and nothing is issued\n";
  }
  return out;
}

std::string server_screen(const std::vector<server::Status>& servers, const TimeZone& zone) {
  std::string out;
  for (const server::Status& server : servers) {
    if (!out.empty()) out += '\n';
    add_server(out, server, zone);
  }
  return out;
}

std::string requests_screen(std::vector<server::RequestLine> requests) {
  struct Table {
    int request_class;
    std::string_view title;
  };
  static constexpr Table tables[] = {{1, "Subordinate CA certificate requests:"},
                                     {2, "RA certificate requests:"},
                                     {3, "Router certificates requests:"}};
  std::sort(requests.begin(), requests.end(),
            [](const auto& a, const auto& b) { return a.id > b.id; });
  std::string out = "Enrollment Request Database:\n";
  for (const Table& table : tables) {
    out += fmt::format("\n{}\n", table.title);
    out += "ReqID  State      Fingerprint                      SubjectName\n";
    out += std::string(62, '-') + "\n";
    for (const server::RequestLine& one : requests) {
      if (one.request_class != table.request_class) continue;
      out += fmt::format("{:<7}{:<11}{:<33}{}\n", one.id, one.state, one.fingerprint,
                         printable(one.subject));
    }
  }
  return out;
}

std::string crl_screen(const server::CrlView& crl, const TimeZone& zone) {
  std::string out = "Certificate Revocation List:\n";
  out += fmt::format("    Issuer: {}\n", printable(crl.issuer));
  out += fmt::format("    This Update: {}\n", to_ios_time(crl.this_update, zone));
  out += fmt::format("    Next Update: {}\n", to_ios_time(crl.next_update, zone));
  out += fmt::format("    Number of CRL entries: {}\n", crl.revoked.size());
  out += fmt::format("    CRL size: {} bytes\n", crl.octets);
  for (const auto& entry : crl.revoked) {
    out += fmt::format("    Serial Number (hex): {}\n", entry.serial.to_hex_octets());
    out += fmt::format("    Revocation Date: {}\n", to_ios_time(entry.revoked_at, zone));
  }
  return out;
}

std::string timers_screen(const std::vector<server::Status>& servers,
                          const std::vector<client::Status>& trustpoints, const Clock& clock,
                          bool detail, const std::vector<HeldCrl>& crls) {
  if (!clock.authoritative()) return "% Clock is not authoritative: no timer is armed\n";
  std::vector<ShownTimer> pki;
  std::vector<ShownTimer> cs;
  const auto sort_in = [&](std::vector<lifecycle::Deadline> deadlines) {
    std::stable_sort(deadlines.begin(), deadlines.end());
    for (const lifecycle::Deadline& one : deadlines)
      (lifecycle::is_cs_timer(one.timer) ? cs : pki).push_back({one.at, lifecycle::label(one)});
  };
  for (const client::Status& trustpoint : trustpoints) sort_in(trustpoint.deadlines);
  for (const server::Status& server : servers) sort_in(server.deadlines);
  std::string out;
  const Instant now = clock.now();
  add_timers(out, "PKI Timers", std::move(pki), now, detail);
  if (detail) {
    add_timers(out, "Expiry Alert Timers", alert_timers(servers, trustpoints, clock), now, detail);
    add_timers(out, "CRL Timers", crl_timers(crls, clock), now, detail);
  }
  add_timers(out, "CS Timers", std::move(cs), now, detail);
  return out;
}

std::vector<ShownTimer> alert_timers(const std::vector<server::Status>& servers,
                                     const std::vector<client::Status>& trustpoints,
                                     const Clock& clock) {
  const Time now = to_time(clock.now());
  std::vector<ShownTimer> timers;
  for (const Expiring& one : expiring(servers, trustpoints)) {
    if (const auto at = lifecycle::next_alert(one.facts, now); at && *at > now)
      timers.push_back({*at, one.timer});
  }
  return timers;
}

std::vector<ShownTimer> crl_timers(const std::vector<HeldCrl>& crls, const Clock& clock) {
  const Time now = to_time(clock.now());
  std::vector<ShownTimer> timers;
  for (const HeldCrl& one : crls) {
    if (one.fetched_at && one.next_update && *one.next_update > now)
      timers.push_back({*one.next_update, "CRL EXPIRE " + printable(one.issuer)});
  }
  return timers;
}

}  // namespace umbra::console
