#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "client/status.h"
#include "config/chain.h"
#include "console/held_screens.h"
#include "server/status.h"

/// The `show` screens: pure functions of what servers and trustpoints say of themselves. The layout
/// is IOS's to the blank: other programs read these screens. Every screen ends with a newline, or
/// is empty.
namespace umbra::console {

/// Figures of the line `Load for five secs: ...`, in percent.
struct Load {
  int five_seconds = 0;
  int interrupts = 0;
  int one_minute = 0;
  int five_minutes = 0;
};
/// What `terminal exec prompt timestamp` puts above each screen, with the empty line behind it.
[[nodiscard]] std::string timestamp(const Load& load, const Clock& clock, const TimeZone& zone);
/// `show clock`: an asterisk in front of a time that is not authoritative.
[[nodiscard]] std::string clock_screen(const Clock& clock, const TimeZone& zone, bool detail);

/// `show crypto pki server`, several separated by an empty line.
[[nodiscard]] std::string server_screen(const std::vector<server::Status>& servers,
                                        const TimeZone& zone);
/// `show crypto pki server NAME requests`: newest first in each of the three tables.
[[nodiscard]] std::string requests_screen(std::vector<server::RequestLine> requests);
/// `crypto pki server NAME info crl`.
[[nodiscard]] std::string crl_screen(const server::CrlView& crl, const TimeZone& zone);
/// `show crypto pki server NAME rollover`, for people and for programs: `| json`, names stable,
/// times in RFC 3339, serial numbers in hexadecimal digits, null for what is not there.
[[nodiscard]] std::string overlap_screen(const server::OverlapReport& report, const TimeZone& zone);
[[nodiscard]] std::string overlap_json(const server::OverlapReport& report);
/// `show crypto pki timers [detail]`. As on IOS, where older releases have the one and newer ones
/// the other: the detail has expiry alerts and the ends of CRLs besides.
[[nodiscard]] std::string timers_screen(const std::vector<server::Status>& servers,
                                        const std::vector<client::Status>& trustpoints,
                                        const Clock& clock, bool detail,
                                        const std::vector<HeldCrl>& crls = {});
/// A timer that is shown and not armed by what owns it.
struct ShownTimer {
  Time at;
  std::string label;
};
[[nodiscard]] std::vector<ShownTimer> alert_timers(const std::vector<server::Status>& servers,
                                                   const std::vector<client::Status>& trustpoints,
                                                   const Clock& clock);
[[nodiscard]] std::vector<ShownTimer> crl_timers(const std::vector<HeldCrl>& crls,
                                                 const Clock& clock);

struct CertificatesOptions {
  std::string trustpoint;  ///< this one only; empty = all
  bool verbose = false;
  /// Whether the configuration was saved since the certificate came: then it has a `Storage:` line.
  std::function<bool(const x509::Certificate&)> saved;
  /// When it came; nothing: it was not recorded.
  std::function<std::optional<Time>(const x509::Certificate&)> installed;
};
/// What is shown trustpoint by trustpoint: a root server stands for its own; one with a CA above it
/// is its trustpoint, with the certificates that the server uses.
struct ByTrustpoint {
  std::vector<server::Status> servers;
  std::vector<client::Status> trustpoints;
};
[[nodiscard]] ByTrustpoint by_trustpoint(std::vector<server::Status> servers,
                                         std::vector<client::Status> trustpoints);
/// It has signed its own certificate.
[[nodiscard]] bool is_self_signed(const client::Status& trustpoint);
/// `show crypto pki certificates [verbose] [NAME]`.
[[nodiscard]] std::string certificates_screen(const std::vector<server::Status>& servers,
                                              const std::vector<client::Status>& trustpoints,
                                              const TimeZone& zone,
                                              const CertificatesOptions& options);

/// `show crypto pki trustpoints`.
[[nodiscard]] std::string trustpoints_screen(const std::vector<server::Status>& servers,
                                             const std::vector<client::Status>& trustpoints);
/// `show crypto pki trustpoints status`.
[[nodiscard]] std::string trustpoints_status_screen(const std::vector<server::Status>& servers,
                                                    const std::vector<client::Status>& trustpoints);

/// `show running-config`: the configuration with the certificates that are held right now.
[[nodiscard]] std::string running_config_screen(std::string_view running_config,
                                                const std::vector<server::Status>& servers,
                                                const std::vector<client::Status>& trustpoints);
/// The section `crypto pki certificate chain NAME` of what is held: rollover above active, identity
/// above CA.
[[nodiscard]] config::Chain chain_of(const server::Status& server);
[[nodiscard]] config::Chain chain_of(const client::Status& trustpoint);

/// `show` in a submode: what is set below `header` in the running configuration.
[[nodiscard]] std::string settings_screen(std::string_view running_config, std::string_view header);
/// `show` in a certificate server's submode, with what holds by default.
[[nodiscard]] std::string server_settings_screen(std::string_view running_config,
                                                 std::string_view name,
                                                 const x509::Serial& last_serial);

/// Text that a peer chose, with control characters as \xNN: it must not forge a line of a screen.
[[nodiscard]] std::string printable(std::string_view text);

/// CC748544 A0AB7832 935D8CD0 214A152E and a blank.
[[nodiscard]] std::string fingerprint(const x509::Certificate& certificate, x509::Digest digest);

}  // namespace umbra::console
