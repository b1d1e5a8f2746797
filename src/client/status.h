#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/held_since.h"
#include "config/model.h"
#include "lifecycle/deadline.h"
#include "x509/certificate.h"
#include "x509/key_line.h"
#include "x509/request.h"

namespace umbra::client {

/// A CRL that is held in memory (`show crypto pki crls`).
struct HeldCrl {
  std::string issuer;
  Time this_update;
  std::optional<Time> next_update;
  std::size_t octets = 0;
  Time fetched_at;
  std::string source;  ///< its URL; empty = by SCEP
};

/// What other programs have while what is newer does not reach them.
struct Outdated {
  bool known = false;             ///< whether anybody can tell
  std::optional<Time> not_after;  ///< of their certificate; nothing = they have none
  /// Theirs is another's: the key in it is none of this trustpoint's, nor was.
  bool anothers = false;
};

/// What the screens show of a trustpoint: a copy taken at one moment.
struct Status {
  std::string name;
  config::Role role = config::Role::device;
  std::optional<x509::Certificate> ca;
  std::optional<x509::Certificate> identity;
  std::optional<x509::Certificate> rollover_ca;
  std::optional<x509::Certificate> rollover_identity;
  std::optional<Time> renew_at;  ///< `renew date`: with auto-enroll, when RENEW or SHADOW fires
  std::optional<x509::Request> pending;  ///< the request under way
  std::string fqdn;                      ///< "Name:" of a pending request
  bool keys_generated = false;
  bool exportable = false;
  bool by_hand = false;     ///< requests and certificates are carried by people
  bool ca_by_hand = false;  ///< the CA certificate is
  bool pinned = false;      ///< a fingerprint is configured
  bool pinned_by_md5 = false;
  /// The fingerprint that is configured is another CA's than the one it has: nothing is asked of
  /// that one, and nothing of it installed.
  bool contradicts_pin = false;
  bool ca_tells_next = false;   ///< the CA announces GetNextCACert
  bool awaits_next_ca = false;  ///< and is being asked for it
  bool auto_enroll = false;     ///< it is to be renewed by itself
  bool asking = false;          ///< for that or for a certificate, and nothing has failed yet
  std::string key_label;
  std::string last_enrollment_status;  ///< "Granted", "Pending", "Rejected", or empty
  std::string enrollment_url;          ///< with the path IOS shows: http://10.1.255.12:80/cgi-bin
  std::vector<lifecycle::Deadline> deadlines;
  std::optional<HeldCrl> crl;
  std::vector<x509::KeyLine> keys;  ///< LABEL, and LABEL# while there is one
  HeldSince held_since;
  /// From when files or "on change exec" failed until they have not.
  std::optional<Outdated> outdated;
  std::optional<Time> announced_again_at;  ///< the next try
};

}  // namespace umbra::client
