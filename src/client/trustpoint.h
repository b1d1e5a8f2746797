#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/http.h"
#include "base/log.h"
#include "base/random.h"
#include "base/time.h"
#include "client/outlet.h"
#include "client/status.h"
#include "config/model.h"
#include "lifecycle/deadline.h"
#include "store/store.h"
#include "x509/crl.h"
#include "x509/pkcs12.h"
#include "x509/request.h"

namespace umbra::client {

/// What `crypto pki export` may take along.
struct Exported {
  x509::Certificate ca;
  std::optional<x509::Certificate> identity;
  std::optional<x509::PrivateKey> key;  ///< only if it is exportable
  std::string label;
};

/// What `revocation-check` came to for one certificate.
struct Checked {
  enum class Verdict : std::uint8_t { good, revoked, unknown };
  Verdict verdict = Verdict::unknown;
  std::string how;  ///< what was asked, and what it said, for people
};
/// `crypto pki certificate validate`: each certificate of the trustpoint, and what it is worth.
struct Validation {
  struct Line {
    std::string what;
    bool good = false;
    std::string why;
  };
  std::vector<Line> lines;
};

/// A certificate and its key, to sign with.
struct Credential {
  x509::Certificate certificate;
  x509::PrivateKey key;
};

struct Environment {
  store::Store& store;
  const Clock& clock;
  Random& random;
  Log& log;
  HttpTransport& transport;
  Outlet& outlet;
  /// Runs slow work (RSA keys) and every continuation of one trustpoint, one after another; the
  /// driver gives a strand.
  std::function<void(std::function<void()>)> post;
  /// Tells the driver that deadlines() may have changed.
  std::function<void()> changed;
  std::string key_passphrase;
  std::string fqdn;
  std::string board_serial;      ///< what `serial-number` puts into the subject
  Counters* counters = nullptr;  ///< of the process; may be null
  /// Of another trustpoint of this name, if it has one (`enrollment credential`). From any thread.
  std::function<std::optional<Credential>(const std::string& trustpoint)> credential{};
  /// The IPv4 address that an interface of this host has now (`ip-address INTERFACE`).
  /// Errors: not_found.
  std::function<Result<std::string>(const std::string& interface)> address_of{};
};

/// One `crypto pki trustpoint` in its life: authenticate, enrol, RENEW, SHADOW, switch. Public
/// calls are thread-safe.
///
/// Every change of state is committed before anything follows from it: the key, the PKCS #10 and
/// the transaction id before the first octet is sent, the certificate before it is published. A
/// process that starts anew goes on from there, with the same request and the same key. What the
/// store refuses has not happened; it is tried again one retry period later.
///
/// A new certificate is announced (files, `on change exec`) after its commit. What the command was
/// told last is stored once it has ended well: a process that died in between announces it after
/// its start, and what failed is tried again after one, two, four ... retry periods.
class Trustpoint {
 public:
  /// Reads what the store has; sends nothing yet. Errors: storage, crypto (wrong passphrase, key
  /// and certificate differ).
  [[nodiscard]] static Result<std::shared_ptr<Trustpoint>> open(
      const config::Trustpoint& configuration, Environment environment);
  ~Trustpoint();

  /// Starts what is due now (also at start-up: continues a request under way with the same key and
  /// transaction). Nothing is due while the clock is not authoritative.
  void run_due();
  /// Soonest first; none while the clock is not authoritative.
  [[nodiscard]] std::vector<lifecycle::Deadline> deadlines() const;
  [[nodiscard]] Status status() const;
  [[nodiscard]] const std::string& name() const;
  /// Its identity and the key behind it, while there is one.
  [[nodiscard]] std::optional<Credential> credential() const;

  /// Goes on under another configuration of the same name: what is under way stays under way, with
  /// the same key and transaction; from another URL it is asked again at once. `done` is called
  /// when that is so, or if the trustpoint ends before.
  void reconfigure(config::Trustpoint configuration, std::string fqdn, std::function<void()> done);
  /// Ends it: nothing is sent, stored or run any more, whoever still holds it. What is stored
  /// stays.
  void retire(std::function<void()> done);

  /// Step 1 of `crypto pki authenticate`: fetches the CA certificate and shows it. `done` gets it
  /// or the error (unreachable; malformed; crypto if it has not the configured fingerprint).
  void fetch_ca(std::function<void(Result<x509::Certificate>)> done);
  /// Step 2: accepts exactly this certificate (fingerprint as shown), fetches the capabilities.
  /// Another CA than before ends what the old one issued. `done` is called when the certificate is
  /// stored and the capabilities were answered; a CA that cannot be reached for them is asked again
  /// by CONNECT RETRY. Errors: crypto (not the configured fingerprint), conflict (expired),
  /// storage.
  void accept_ca(const x509::Certificate& certificate, std::function<void(Result<void>)> done);
  /// `crypto pki enroll`: first enrolment, or RENEW or SHADOW by hand. Errors: conflict (not
  /// authenticated, no URL, no authoritative clock, request under way).
  [[nodiscard]] Result<void> enroll();

  // By hand; each `done` is called once, on the trustpoint's strand.

  /// `crypto pki enroll` where people carry requests: makes one, for the CA that is authenticated.
  /// A renewal while there is an identity.
  void request_by_hand(std::function<void(Result<x509::Request>)> done);
  /// The certificate that was asked for, among these. Errors: not_found (nothing was asked for),
  /// and those of choose_granted.
  void import_certificate(std::vector<x509::Certificate> received,
                          std::function<void(Result<void>)> done);
  /// Somebody's key and certificate become this trustpoint's. Errors: conflict (it has a key; the
  /// CA is another, or not there; something has expired), crypto (not the pinned CA).
  void import_archive(x509::Archive archive, bool exportable,
                      std::function<void(Result<void>)> done);
  void exported(std::function<void(Result<Exported>)> done);
  /// `no crypto pki enroll`: forgets the request under way, and asks for nothing by itself.
  void cancel(std::function<void(Result<void>)> done);
  /// The keys go, what was issued for them, and the files that were written of it. Errors: conflict
  /// (a certificate server's own), storage: nothing has happened then.
  void zeroize(std::function<void(Result<void>)> done);
  /// `crypto pki crl request`: fetches the CA's CRL, also if one is held. Errors: unreachable,
  /// crypto (not this CA's), conflict (ended), not_found (nobody says where it is).
  void request_crl(std::function<void(Result<x509::CrlFacts>)> done);
  /// `crypto pki certificate validate`.
  void validate(std::function<void(Result<Validation>)> done);

 private:
  class Agent;
  explicit Trustpoint(std::shared_ptr<Agent> agent);
  std::shared_ptr<Agent> agent_;  ///< replies and posted tasks hold it weakly
};

}  // namespace umbra::client
