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

/// What `crypto pki export` may take along. Everything in it is for the caller to keep, the key
/// too.
struct Exported {
  x509::Certificate ca;
  std::optional<x509::Certificate> identity;
  std::optional<x509::PrivateKey> key;  ///< only if it is exportable
  std::string label;
};

/// What `revocation-check` came to for one certificate. Source: the order of the configured
/// methods; `crl` is RFC 5280 6.3, `ocsp` RFC 6960.
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

/// A certificate and its key, to sign with. They belong together.
struct Credential {
  x509::Certificate certificate;
  x509::PrivateKey key;
};

/// What a trustpoint has from the outside. All of it is used from the trustpoint's strand, but for
/// the store, the clock, the log and the counters, which any thread may use.
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
  /// Tells the driver that deadlines() may have changed. From the strand; may be empty.
  std::function<void()> changed;
  std::string key_passphrase;    ///< seals and opens the keys in the store
  std::string fqdn;              ///< of the device: in its subjects, and its key's name
  std::string board_serial;      ///< what `serial-number` puts into the subject
  Counters* counters = nullptr;  ///< of the process; may be null
  /// Of another trustpoint of this name, if it has one (`enrollment credential`). From any thread.
  std::function<std::optional<Credential>(const std::string& trustpoint)> credential{};
  /// The IPv4 address that an interface of this host has now (`ip-address INTERFACE`), in dotted
  /// decimal. May be empty: there are no interfaces. Errors: not_found.
  std::function<Result<std::string>(const std::string& interface)> address_of{};
  /// The names of all trustpoints in the store: what these have written is not somebody else's.
  /// From any thread. May be empty: there is this one alone.
  std::function<std::vector<std::string>()> trustpoints{};
};

/// One `crypto pki trustpoint` in its life: authenticate, enrol, RENEW, SHADOW, switch. Public
/// calls are thread-safe and do not block: what they begin happens on the strand that
/// Environment::post gives, and `done` is called there, once, also if the trustpoint ends before
/// (conflict). Times are UTC, in seconds.
/// Source: RFC 8894, and IOS where it differs: see client/enrollment.h; the timers are
/// lifecycle/trustpoint.h's.
///
/// Every change of state is committed before anything follows from it: the key, the PKCS #10 and
/// the transaction id before the first octet is sent, the certificate before it is published. A
/// process that starts anew goes on from there, with the same request and the same key. What the
/// store refuses has not happened; it is tried again after one, two, four ... retry periods, an
/// hour at most.
///
/// The CA certificate is taken once, from a person or for its fingerprint, and followed by its
/// rollovers alone. What comes beside it, RAs and exchange certificates, nobody has signed for:
/// while nobody is known whom a request can be enveloped for, GetCACert is asked again for these
/// before the request is sent, as CONNECT RETRY and POLL say.
///
/// With a CA that is not the one of the configured fingerprint, nor has come from it by rollover,
/// nothing is asked and nothing installed until that is put right (status().contradicts_pin). How
/// the CA came is not known of databases of old: then nothing contradicts.
///
/// A clock that was ahead leaves nothing behind once it has stepped back: what was put off is not
/// put off until then; what was begun, given up, or rejected because of it begins anew; a switch
/// that it made too early is undone.
///
/// A new certificate is announced (files, `on change exec`) after its commit. What the command was
/// told last is stored once it has ended well: a process that died in between announces it after
/// its start, and what failed is tried again after one, two, four ... retry periods. A file server
/// that does not answer holds up the files, the command and `zeroize` of who writes there, and
/// nothing else; it is said after ten seconds.
class Trustpoint {
 public:
  /// Reads what the store has; sends nothing yet. Cost: a key derivation for each stored key.
  /// Errors: storage, malformed (what is stored does not parse), crypto (wrong passphrase, key and
  /// certificate differ).
  [[nodiscard]] static Result<std::shared_ptr<Trustpoint>> open(
      const config::Trustpoint& configuration, Environment environment);
  ~Trustpoint();

  /// Starts what is due now (also at start-up: continues a request under way with the same key and
  /// transaction). Nothing is due while the clock is not authoritative. To be called at the soonest
  /// deadline, and whenever the clock has stepped; more often does no harm.
  void run_due();
  /// When run_due is to be called, soonest first; what lies in the past is due now. None while the
  /// clock is not authoritative.
  [[nodiscard]] std::vector<lifecycle::Deadline> deadlines() const;
  /// Copied at one moment, from any thread: never a half-made change.
  [[nodiscard]] Status status() const;
  [[nodiscard]] const std::string& name() const;
  /// As in status(), for whoever asks often.
  [[nodiscard]] bool contradicts_pin() const;
  /// Whether an archive is one that it has made, as far as it knows now. To be asked from any
  /// thread, also when it has ended.
  [[nodiscard]] IsOurs made() const;
  /// Its identity and the key behind it, while there is one.
  [[nodiscard]] std::optional<Credential> credential() const;

  /// Goes on under another configuration of the same name: what is under way stays under way, with
  /// the same key and transaction; from another URL it is asked again at once. `done` is called
  /// when that is so and nothing more is done in the places it has left, or if the trustpoint ends
  /// before; from any thread, and late where a file server does not answer.
  void reconfigure(config::Trustpoint configuration, std::string fqdn, std::function<void()> done);
  /// Ends it: nothing is sent, stored or run any more, whoever still holds it. What is stored
  /// stays. `done` is called as above.
  void retire(std::function<void()> done);
  /// Files that somebody has changed or taken away are put there again.
  void look_at_files();

  /// Step 1 of `crypto pki authenticate`: fetches the CA certificate and shows it; nothing is
  /// stored. Errors: unreachable, malformed, crypto (not the configured fingerprint, nor come from
  /// it by rollover), conflict (no URL; no RA, where `enrollment mode ra` wants one).
  void fetch_ca(std::function<void(Result<x509::Certificate>)> done);
  /// Step 2: accepts exactly this certificate (fingerprint as shown), fetches the capabilities.
  /// Another CA than before ends what the old one issued. The RAs that fetch_ca brought with it are
  /// taken too, and named in the log. `done` is called when the certificate is stored and the
  /// capabilities were answered; a CA that cannot be reached for them is asked again by CONNECT
  /// RETRY. Errors: crypto (not the configured fingerprint), conflict (expired), storage.
  void accept_ca(const x509::Certificate& certificate, std::function<void(Result<void>)> done);
  /// `crypto pki enroll`: first enrolment, or RENEW or SHADOW by hand; begun when it returns, and
  /// what becomes of it is in status(). Errors: conflict (not authenticated, or another CA than the
  /// fingerprint's, no URL, capabilities not told yet, no authoritative clock, request under way).
  [[nodiscard]] Result<void> enroll();

  // By hand; each `done` is called once, on the trustpoint's strand.

  /// `crypto pki enroll` where people carry requests: makes one, for the CA that is authenticated.
  /// A renewal while there is an identity. Errors: conflict (not authenticated, or another CA than
  /// the fingerprint's; no authoritative clock), storage, and those of prepare_request.
  void request_by_hand(std::function<void(Result<x509::Request>)> done);
  /// The certificate that was asked for, among these. `done` is called when the files are there,
  /// unless their place does not answer. Errors: not_found (nothing was asked for),
  /// conflict (another CA than the fingerprint's), storage, and those of choose_granted.
  void import_certificate(std::vector<x509::Certificate> received,
                          std::function<void(Result<void>)> done);
  /// Somebody's key and certificate become this trustpoint's. `done` is called as above. Errors:
  /// conflict (it has a key; the CA is another, or not there; something has expired; a certificate
  /// server's own), crypto (not the pinned CA), unsupported (no RSA key, where SCEP is to renew
  /// it), storage.
  void import_archive(x509::Archive archive, bool exportable,
                      std::function<void(Result<void>)> done);
  /// Errors: not_found (not authenticated).
  void exported(std::function<void(Result<Exported>)> done);
  /// `no crypto pki enroll`: forgets the request under way, and asks for nothing by itself until
  /// `enroll`, whatever the clock does. Errors: not_found (nothing is under way), storage.
  void cancel(std::function<void(Result<void>)> done);
  /// The keys go, what was issued for them, and the files that were written of it. Out: remarks
  /// on those in their places, or kept beside them, that are somebody else's and stay. Errors:
  /// conflict (a certificate server's own), storage: nothing has happened then.
  void zeroize(std::function<void(Result<std::vector<std::string>>)> done);
  /// `crypto pki crl request`: fetches the CA's CRL, also if one is held. Errors: unreachable,
  /// crypto (not this CA's), conflict (ended, or older than one that was taken; another CA than the
  /// fingerprint's), not_found (nobody says where it is).
  void request_crl(std::function<void(Result<x509::CrlFacts>)> done);
  /// `crypto pki certificate validate`: the CA and the identity, each with its validity and what
  /// `revocation-check` says. Errors: conflict (not authenticated, or another CA than the
  /// fingerprint's; no authoritative clock).
  void validate(std::function<void(Result<Validation>)> done);

 private:
  class Agent;
  explicit Trustpoint(std::shared_ptr<Agent> agent);
  std::shared_ptr<Agent> agent_;  ///< replies and posted tasks hold it weakly
};

}  // namespace umbra::client
