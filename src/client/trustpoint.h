#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/log.h"
#include "base/random.h"
#include "base/time.h"
#include "client/status.h"
#include "config/model.h"
#include "lifecycle/deadline.h"
#include "store/store.h"

namespace umbra::client {

/// What other programs see: PEM files and a command. The driver does the writing and the running.
struct PemSet {
  std::string ca;    ///< the CA certificate
  std::string cert;  ///< the identity
  std::string
      key;  ///< its key, PKCS #8, not encrypted: the operator asked for it with `storage pem`
  std::string chain;  ///< identity, then CA
};
class Outlet {
 public:
  virtual ~Outlet() = default;
  /// Replaces the four files as a set, atomically: a reader sees all old or all new ones. Key 0600.
  [[nodiscard]] virtual Result<void> publish(const std::string& directory, const PemSet& set) = 0;
  /// `on change exec`; does not wait for it.
  virtual void run(const std::string& command, const std::string& trustpoint) = 0;
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
  std::string board_serial;  ///< what `serial-number` puts into the subject
};

/// One `crypto pki trustpoint` in its life: authenticate, enrol, RENEW, SHADOW, switch. Public
/// calls are thread-safe.
class Trustpoint : public std::enable_shared_from_this<Trustpoint> {
 public:
  /// Reads what the store has; sends nothing yet. Errors: storage, crypto (wrong passphrase, key
  /// and certificate differ).
  [[nodiscard]] static Result<std::shared_ptr<Trustpoint>> open(
      const config::Trustpoint& configuration, Environment environment);
  ~Trustpoint();

  /// Starts what is due now (also at start-up: continues a request under way with the same key and
  /// transaction).
  void run_due();
  [[nodiscard]] std::vector<lifecycle::Deadline> deadlines() const;
  [[nodiscard]] Status status() const;

  /// Step 1 of `crypto pki authenticate`: fetches the CA certificate and shows it. `done` gets it
  /// or the error.
  void fetch_ca(std::function<void(Result<x509::Certificate>)> done);
  /// Step 2: accepts exactly this certificate (fingerprint as shown), fetches the capabilities.
  void accept_ca(const x509::Certificate& certificate, std::function<void(Result<void>)> done);
  /// `crypto pki enroll`: first enrolment, or RENEW or SHADOW by hand. Errors: conflict (not
  /// authenticated, request under way).
  [[nodiscard]] Result<void> enroll();

 private:
  struct Impl;
  explicit Trustpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace umbra::client
