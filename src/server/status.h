#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "config/model.h"
#include "lifecycle/deadline.h"
#include "x509/certificate.h"
#include "x509/crl.h"
#include "x509/serial.h"

namespace umbra::server {

/// A place that does not get its files in time.
struct Backlog {
  std::string url;
  std::uint64_t waiting = 0;
  Time since;
  std::string error;  ///< empty while they are being sent
};
/// A place that is nearly full.
struct ScarceRoom {
  std::string url;
  std::uint64_t octets = 0;
};

/// What the screens show of a certificate server: a copy taken at one moment.
struct Status {
  std::string name;
  config::ServerMode mode = config::ServerMode::root;
  std::string status;  ///< "enabled", "disabled", "disabled, HTTP Server is disabled" ...
  std::string state;   ///< "enabled", "disabled", "check failed"
  bool shut = false;
  std::string issuer_name;   ///< as typed
  std::string granting;      ///< "auto", "manual", "none"
  x509::Serial last_serial;  ///< of the certificate that was issued last
  std::string database_url;
  std::string database_level;  ///< "minimum", "names", "complete"
  std::vector<std::pair<std::string, std::string>> database_urls_of;  ///< type and URL
  std::vector<Backlog> backlog;
  std::vector<ScarceRoom> scarce;
  std::optional<x509::Certificate> ca;  ///< of an RA: the CA above
  std::optional<x509::Certificate> rollover;
  std::optional<x509::Certificate> ra;           ///< `mode ra`: its own
  std::optional<x509::Certificate> ra_rollover;  ///< and the next one
  std::optional<x509::Certificate> upper;        ///< `mode sub-cs`: the CA that issued `ca`
  std::string awaited;                           ///< of the upper CA; empty = nothing
  bool above_is_silent = false;                  ///< an RA asks in vain
  std::optional<Time> crl_next_update;
  std::string auto_rollover_text;       ///< as typed; empty = off
  std::optional<Time> autorollover_at;  ///< no rollover yet and auto-rollover set
  std::vector<lifecycle::Deadline> deadlines;
  bool clock_authoritative = true;
};

/// One line of `info requests`.
struct RequestLine {
  std::uint64_t id = 0;
  int request_class = 3;    ///< 1 subordinate CA, 2 RA, 3 router
  std::string state;        ///< "pending", "granted", "rejected"; of an RA also "authorized" and
                            ///< "forwarded", to and by the CA above
  std::string fingerprint;  ///< MD5 of the PKCS #10, 32 hex digits
  std::string subject;
};

/// What `grant` did besides granting.
struct GrantReport {
  /// Certificates of requests that were made by hand, whose askers poll for nothing.
  std::vector<x509::Certificate> by_hand;
  /// `grant all` makes nobody a CA or an RA: these still wait, to be granted one by one.
  std::vector<std::uint64_t> left_pending;
  /// `grant all`: what could not be granted, and why; the others were.
  std::vector<std::string> failed;
};

/// What became of `request pkcs10`.
struct HandRequest {
  std::uint64_t id = 0;
  std::optional<x509::Certificate> certificate;  ///< nothing: it waits to be granted
};

/// How far clients are with the rollover CA (`show crypto pki server NAME rollover`).
struct OverlapReport {
  struct Fetch {
    std::string address;
    Time first_at;
  };
  struct Holder {
    std::string subject;
    Time not_after;                      ///< of the last certificate it holds
    std::optional<x509::Serial> shadow;  ///< its newest shadow certificate
  };
  std::string name;
  std::optional<x509::Certificate> active;
  std::optional<x509::Certificate> rollover;  ///< nothing: none exists yet
  std::optional<Time> made_at;                ///< when it is made, if auto-rollover will
  std::vector<Fetch> fetches;                 ///< oldest first; GetNextCACert names nobody
  std::vector<Holder> holders;                ///< soonest end first
};

/// Where others see that a certificate is revoked.
enum class OnCrl {
  now,             ///< on the CRL that has just been made
  at_switch_over,  ///< of the rollover CA: on its first CRL
  never,           ///< of a CA that has ended: it signs none any more
};

/// One line of `show crypto pki server NAME certificates`.
struct CertificateLine {
  x509::Serial serial;
  Time not_before;
  Time not_after;
  std::string subject;
  std::optional<Time> revoked_at;
};

/// The CRL of the CA above that a registration authority holds.
struct CrlAboveView {
  std::string issuer;
  Time this_update;
  std::optional<Time> next_update;
  std::size_t octets = 0;
  Time fetched_at;
};

/// What `info crl` shows.
struct CrlView {
  std::string issuer;
  Time this_update;
  Time next_update;
  std::size_t octets = 0;
  std::vector<x509::RevokedEntry> revoked;  ///< in the order of the CRL
};

}  // namespace umbra::server
