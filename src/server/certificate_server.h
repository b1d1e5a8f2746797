#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "base/http.h"
#include "base/log.h"
#include "base/random.h"
#include "base/time.h"
#include "config/model.h"
#include "lifecycle/deadline.h"
#include "server/publication.h"
#include "server/status.h"
#include "store/store.h"
#include "x509/key_line.h"

namespace umbra::server {

/// A CA whose certificates vouch for requests (`grant auto trustpoint`).
struct TrustedCa {
  std::optional<x509::Certificate> certificate;  ///< nothing: the trustpoint has none yet
  bool unchecked = false;  ///< `revocation-check none`: its certificates count without a CRL
};

struct Environment {
  store::Store& store;
  const Clock& clock;
  Random& random;
  Log& log;
  FileSink& files;
  std::string key_passphrase;  ///< seals CA keys in the store
  /// The CA of the trustpoint of this name. May be empty: nobody vouches then. Thread-safe.
  std::function<TrustedCa(const std::string& trustpoint)> trusted_ca = {};
  /// There is something to publish: every place's `publish` should be called. From any thread.
  std::function<void()> publish = {};
  /// `crypto pki enroll` of this trustpoint: how a server that is no root asks for its next
  /// certificate by hand. Errors: as client::Trustpoint::enroll.
  std::function<Result<void>(const std::string& trustpoint)> enroll = {};
  /// A registration authority's way to the CA above it. Nothing: for servers that are none.
  HttpTransport* transport = nullptr;
  /// Runs what an RA does with the answers of the CA above. From any thread.
  std::function<void(std::function<void()>)> post = {};
  Counters* counters = nullptr;  ///< of the process; may be null
  /// Whether the CA of the trustpoint of this name is another one than its `fingerprint` says. May
  /// be empty: it is not. Thread-safe.
  std::function<bool(const std::string& trustpoint)> contradicts_pin = {};
  /// Whoever runs handle(), and what `post` is given, calls store.write_what_waits() afterwards.
  /// Not so: the store's thread is woken for every commit.
  bool writes_afterwards = false;
};

/// Destroys all that is kept of a certificate server: CA keys, certificates, CRLs, requests. For
/// one that is configured no more. Errors: not_found, storage.
[[nodiscard]] Result<void> destroy(store::Store& store, const std::string& name);

/// One `crypto pki server`. Thread-safe: requests run in parallel, deadlines and exec commands one
/// at a time.
class CertificateServer {
 public:
  /// Reads what the store has; makes nothing yet. `http_enabled`: `ip http server` is configured.
  /// Errors: storage; crypto (wrong passphrase); conflict (stored key and certificate do not
  /// match, or what is stored is an RA's and `mode` says a CA, or the other way round).
  [[nodiscard]] static Result<std::unique_ptr<CertificateServer>> open(
      const config::Server& configuration, bool http_enabled, Environment environment);
  ~CertificateServer();

  /// Carries out everything that is due now, step by step: first enable (key, CA certificate,
  /// archive, CRL), catch-up after downtime, shadow generation, switch-over, CRL, expiry of queued
  /// requests. Does nothing while the clock is not authoritative. Errors: what could not be done,
  /// already logged; call again at the next deadline or when the cause is gone.
  [[nodiscard]] Result<void> run_due();
  /// Soonest first; empty while shut or without an authoritative clock.
  [[nodiscard]] std::vector<lifecycle::Deadline> deadlines() const;

  /// The trustpoint of this server's name has changed: run_due is due, and takes from the store
  /// what the upper CA has granted. Any thread.
  void upstream_changed();

  /// Answers one SCEP request (any of our paths). `done` is called once, after whatever the answer
  /// promises is durable, perhaps from the thread that writes: Store::write_what_waits().
  void handle(const HttpRequest& request, HttpDone done);
  /// The answer to a GET or HEAD that asks for what is the same for everybody (GetCACaps,
  /// GetCACert, GetNextCACert, the CRL), if it is at hand: does not block, signs nothing and asks
  /// no database. Nothing: `handle` has it, and keeps it for the next one.
  [[nodiscard]] std::optional<HttpReply> at_hand(std::string_view path, std::string_view query,
                                                 const std::string& address) const;
  /// True if an envelope addressed to this issuer and serial is for one of this server's
  /// generations.
  [[nodiscard]] bool owns(const x509::Name& issuer, const x509::Serial& serial) const;
  [[nodiscard]] const std::string& name() const;
  /// True if a certificate of this issuer that ends then would be one of ours, or of the CA above
  /// an RA, and could still be renewed here. A name proves nothing: see `vouches_for`.
  [[nodiscard]] bool may_renew(ByteView issuer, Time not_after) const;
  /// True if one of our CAs, or of the CA above an RA, has signed this certificate. Cost: one
  /// verification; no private key is used.
  [[nodiscard]] bool vouches_for(const x509::Certificate& certificate) const;

  [[nodiscard]] Status status() const;
  [[nodiscard]] Result<std::vector<RequestLine>> requests() const;
  /// Nothing = all. Errors: not_found, conflict (not pending), storage.
  [[nodiscard]] Result<GrantReport> grant(std::optional<std::uint64_t> id);
  [[nodiscard]] Result<void> reject(std::optional<std::uint64_t> id);
  [[nodiscard]] Result<void> remove(std::optional<std::uint64_t> id);
  /// `request pkcs10`: queued, or granted at once under `grant auto`; the same request again is
  /// the same entry. In: PKCS #10 DER. Errors: malformed, crypto (not signed with its own key),
  /// conflict (refused, and why), storage.
  [[nodiscard]] Result<HandRequest> request_pkcs10(ByteView der);
  /// `crypto pki server NAME revoke SERIAL [REASON]`: the CRL that says so is committed with it.
  /// Errors: not_found (no such certificate), conflict (revoked already, or a CA's own), storage.
  [[nodiscard]] Result<OnCrl> revoke(const x509::Serial& serial, x509::RevocationReason reason);
  /// Takes a revocation back. Errors: not_found, conflict (not revoked), storage.
  [[nodiscard]] Result<void> unrevoke(const x509::Serial& serial);
  /// Everything that was issued, in order of serial; `take` says whether to go on. Errors: storage.
  [[nodiscard]] Result<void> each_certificate(
      const std::function<bool(const CertificateLine&)>& take) const;
  /// The active CA's key and the next one's: NAME and NAME#; what SCEP needs beside them is
  /// NAME.exchange. Errors: storage.
  [[nodiscard]] Result<std::vector<x509::KeyLine>> keys() const;
  /// What speaks for this server in the audit log: the active CA's key; `before`: and that of the
  /// CA before it.
  struct SigningKey {
    std::uint32_t generation;
    x509::PrivateKey key;
  };
  [[nodiscard]] std::vector<SigningKey> signing_keys(bool before) const;
  /// The CRL that a registration authority holds of the CA above, if any.
  [[nodiscard]] std::optional<CrlAboveView> crl_above() const;
  /// `info crl`: the active CA's. Errors: not_found before the first one.
  [[nodiscard]] Result<CrlView> crl() const;
  /// `crypto pki server NAME password generate [MINUTES]`: a first enrolment that carries it as its
  /// challenge is granted, once. The one before it counts no more. Errors: conflict, storage.
  [[nodiscard]] Result<std::string> generate_password(std::chrono::minutes valid_for);
  /// `crypto pki server NAME rollover`. Errors: conflict if there is one already.
  [[nodiscard]] Result<void> rollover();
  /// Without `force` refused if anybody has the rollover CA or a certificate of it. Out: who held
  /// one; those certificates are revoked. Errors: conflict, storage.
  [[nodiscard]] Result<OverlapReport> rollover_cancel(bool force);
  /// `show crypto pki server NAME rollover`. Reads every certificate. Errors: conflict, storage.
  [[nodiscard]] Result<OverlapReport> overlap() const;
  /// `crypto pki server NAME start|stop`: until the next start of the process, whose configuration
  /// says `shutdown` or not. A server that is stopped answers 503 and has no timers. Errors:
  /// conflict (so already), what run_due gives.
  [[nodiscard]] Result<void> start();
  [[nodiscard]] Result<void> stop();
  /// `ip http server` has been switched on or off.
  void set_http(bool enabled);
  /// How many places files are published at. Each is worked off by itself: one that hangs holds up
  /// no other.
  [[nodiscard]] std::size_t places() const;
  /// Sends what one place lacks, as far as it can be sent now. Blocks. Out: when to call again;
  /// nothing = when Environment::publish is called. What fails is in the log.
  std::optional<Time> publish(std::size_t place);
  /// Breaks off what `publish` is sending; what is left waits for the server that takes the place
  /// of this one.
  void stop_publishing();
  /// Gives back the unused part of the serial lease, and publishes what rested. Errors: storage
  /// (harmless: the serials are skipped).
  [[nodiscard]] Result<void> close();
  /// Stops it for good: another one of this name may be opened from the store, and whoever still
  /// holds this one gets nothing of it any more. Who was let in before has been answered, and what
  /// he was promised is on the disk. What is not published yet the next one publishes. Errors: as
  /// close.
  [[nodiscard]] Result<void> retire();

 private:
  struct Impl;
  explicit CertificateServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace umbra::server
