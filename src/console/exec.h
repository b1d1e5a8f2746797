#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "base/result.h"
#include "base/time.h"
#include "client/keys.h"
#include "client/trustpoint.h"
#include "config/grammar.h"
#include "console/configurator.h"
#include "console/held_screens.h"
#include "console/monitor.h"
#include "console/reading.h"
#include "console/screens.h"
#include "server/certificate_server.h"

namespace umbra::console {

/// What exec commands can do to one certificate server.
struct ServerControl {
  std::string name;
  std::function<server::Status()> status;
  std::function<Result<std::vector<server::RequestLine>>()> requests;
  /// Nothing = all.
  std::function<Result<server::GrantReport>(std::optional<std::uint64_t>)> grant;
  std::function<Result<void>(std::optional<std::uint64_t>)> reject;
  std::function<Result<void>(std::optional<std::uint64_t>)> remove;
  std::function<Result<void>()> rollover;
  std::function<Result<server::OverlapReport>(bool force)> rollover_cancel;
  std::function<Result<server::OverlapReport>()> overlap;
  std::function<Result<server::OnCrl>(const x509::Serial&, x509::RevocationReason)> revoke;
  std::function<Result<void>(const x509::Serial&)> unrevoke;
  std::function<Result<server::CrlView>()> crl;
  std::function<Result<void>(const std::function<bool(const server::CertificateLine&)>&)>
      each_certificate = {};
  std::function<Result<std::vector<x509::KeyLine>>()> keys = {};
  std::function<std::optional<server::CrlAboveView>()> crl_above = {};
  std::function<Result<std::string>(std::chrono::minutes)> generate_password;
  std::function<Result<server::HandRequest>(ByteView)> request_pkcs10;
  std::function<Result<void>()> start;
  std::function<Result<void>()> stop;
};
[[nodiscard]] inline ServerControl control(const std::shared_ptr<server::CertificateServer>& s) {
  ServerControl c;
  c.name = s->name();
  c.status = [s] { return s->status(); };
  c.requests = [s] { return s->requests(); };
  c.grant = [s](std::optional<std::uint64_t> id) { return s->grant(id); };
  c.reject = [s](std::optional<std::uint64_t> id) { return s->reject(id); };
  c.remove = [s](std::optional<std::uint64_t> id) { return s->remove(id); };
  c.rollover = [s] { return s->rollover(); };
  c.rollover_cancel = [s](bool force) { return s->rollover_cancel(force); };
  c.overlap = [s] { return s->overlap(); };
  c.revoke = [s](const x509::Serial& serial, x509::RevocationReason reason) {
    return s->revoke(serial, reason);
  };
  c.unrevoke = [s](const x509::Serial& serial) { return s->unrevoke(serial); };
  c.crl = [s] { return s->crl(); };
  c.each_certificate = [s](const auto& take) { return s->each_certificate(take); };
  c.keys = [s] { return s->keys(); };
  c.crl_above = [s] { return s->crl_above(); };
  c.generate_password = [s](std::chrono::minutes valid) { return s->generate_password(valid); };
  c.request_pkcs10 = [s](ByteView der) { return s->request_pkcs10(der); };
  c.start = [s] { return s->start(); };
  c.stop = [s] { return s->stop(); };
  return c;
}

/// What exec commands can do to one trustpoint.
struct TrustpointControl {
  std::string name;
  std::function<client::Status()> status;
  std::function<void(std::function<void(Result<x509::Certificate>)>)> fetch_ca;
  std::function<void(const x509::Certificate&, std::function<void(Result<void>)>)> accept_ca;
  std::function<Result<void>()> enroll;
  /// What is done by hand alone.
  std::shared_ptr<client::Trustpoint> hand = {};
};
[[nodiscard]] inline TrustpointControl control(const std::shared_ptr<client::Trustpoint>& t) {
  return {
      t->status().name,
      [t] { return t->status(); },
      [t](std::function<void(Result<x509::Certificate>)> done) { t->fetch_ca(std::move(done)); },
      [t](const x509::Certificate& ca, std::function<void(Result<void>)> done) {
        t->accept_ca(ca, std::move(done));
      },
      [t] { return t->enroll(); },
      t};
}

/// The certificates and keys that there were when the configuration was saved last: they have a
/// Storage line on the screens. Thread-safe.
class SavedCertificates {
 public:
  void replace(std::set<Bytes> fingerprints) {
    const std::lock_guard lock(mutex_);
    all_ = std::move(fingerprints);
  }
  [[nodiscard]] bool contains(const x509::Certificate& certificate) const {
    const std::lock_guard lock(mutex_);
    return all_.contains(certificate.fingerprint(x509::Digest::sha256));
  }
  [[nodiscard]] bool contains(const x509::PublicKey& key) const {
    const std::lock_guard lock(mutex_);
    return all_.contains(x509::hash(x509::Digest::sha256, key.spki()));
  }

 private:
  mutable std::mutex mutex_;
  std::set<Bytes> all_;  ///< SHA-256
};

/// The CA certificates that `crypto pki authenticate` has shown, and that wait for a yes or no: of
/// all consoles, for a question and its answer may come by two connections. Thread-safe.
struct ShownAuthorities {
  std::mutex mutex;
  std::map<std::string, std::vector<x509::Certificate>> waiting;  ///< by trustpoint
};

struct ExecEnvironment {
  const Clock& clock;
  TimeZone zone;
  std::string version;  ///< such as 0.1.0
  std::string hostname;
  std::string running_config;  ///< of config::Parsed
  std::vector<ServerControl> servers;
  std::vector<TrustpointControl> trustpoints;
  std::function<Load()> load;  ///< may be empty: then the timestamp shows zeros
  /// What stands at unix:/PATH or http://...; a few KiB. May be empty: then there is nothing.
  std::function<void(const std::string& url, std::function<void(Result<Bytes>)>)> fetch = {};
  std::string fqdn = {};  ///< names keys that nobody names
  /// Puts a new file at unix:/PATH, for its owner alone. Errors: also if there is one. May be
  /// empty.
  std::function<Result<void>(const std::string& url, ByteView content)> write = {};
  std::shared_ptr<ShownAuthorities> shown = std::make_shared<ShownAuthorities>();
  /// May be empty: then there is nothing to keep keys in.
  std::shared_ptr<client::KeyRing> keys = {};
  /// Destroys what is kept of a server that is not configured. May be empty.
  std::function<Result<void>(const std::string& name)> destroy_server = {};
  std::string plan = {};       ///< `show crypto pki plan`: what the configuration will come to
  std::string plan_json = {};  ///< the same for `| json`
  /// How the configuration is changed and saved. May be null: it cannot be, then.
  Configurator* configurator = nullptr;
  /// Every session's.
  std::shared_ptr<SavedCertificates> saved = std::make_shared<SavedCertificates>();
  /// The newest lines of the log, and what is debugged.
  std::shared_ptr<Monitor> monitor = Monitor::make();
  std::shared_ptr<const Counters> counters = std::make_shared<const Counters>();
  std::optional<Time> started_at = {};
  std::string config_file = {};  ///< the path of the configuration
  /// Called before a command that changes something, with secrets taken out. Errors: then it is not
  /// carried out. May be empty.
  std::function<Result<void>(const std::string& by, const std::string& line)> audit = {};
};

/// What a command still has to be told before it does anything.
enum class Ask {
  nothing,
  line,   ///< yes or no
  text,   ///< lines up to an empty one, or one that says `quit`
  lines,  ///< lines up to one that says `quit`; empty ones are a part of them
};

/// What a command came to. `umbra exec` prints the output and exits with 0 if it is ok.
struct ExecResult {
  bool ok = true;
  std::string output;      ///< whole lines, or empty
  Ask ask = Ask::nothing;  ///< then `output` is the question: say the same line again, with input
};
using ExecDone = std::function<void(ExecResult)>;

/// The exec side of the console: one line in, text out. Not thread-safe: one line at a time, on one
/// thread; `done` is called once, before `execute` returns or, where the network is asked, later
/// and on the trustpoint's own thread.
class Exec {
 public:
  explicit Exec(ExecEnvironment environment)
      : environment_(std::make_shared<const ExecEnvironment>(std::move(environment))) {}
  /// `source`: what there is when a line is said, which a changed configuration changes.
  explicit Exec(std::function<std::shared_ptr<const ExecEnvironment>()> source)
      : source_(std::move(source)), environment_(source_()) {}
  void execute(std::string_view line, const ExecDone& done) { execute(line, std::nullopt, done); }
  /// `input`: what the command asked for when it was said before.
  void execute(std::string_view line, const std::optional<std::string>& input,
               const ExecDone& done);
  /// Who says these lines, as the log names him: "console by alice".
  void speak_for(std::string by) { by_ = std::move(by); }
  /// Asked about the very match that is to be run: false, and it is not. Empty: everything may.
  void allow(std::function<bool(const config::Match&)> may) { may_ = std::move(may); }

 private:
  void run(const config::Match& match, const std::optional<std::string>& input,
           const ExecDone& done);
  [[nodiscard]] Result<void> tell(std::string_view line, const config::Match& match) const;
  [[nodiscard]] ExecResult show(const config::Match& match) const;
  [[nodiscard]] ExecResult status(const config::Match& match) const;
  // json_commands.cc
  /// `| json`.
  [[nodiscard]] ExecResult json(const config::Match& match) const;
  [[nodiscard]] ExecResult json_of_pki(const config::Match& match) const;
  [[nodiscard]] ExecResult json_of_server(const config::Match& match) const;
  [[nodiscard]] ExecResult json_of_health(const config::Match& match) const;
  // server_commands.cc
  void server_command(const config::Match& match, const std::optional<std::string>& input,
                      const ExecDone& done) const;
  [[nodiscard]] ExecResult grant(const ServerControl& server, const config::Match& match) const;
  [[nodiscard]] ExecResult cancel_rollover(const ServerControl& server,
                                           const config::Match& match) const;
  void request_pkcs10(const ServerControl& server, const config::Match& match,
                      const std::optional<std::string>& input, const ExecDone& done) const;
  [[nodiscard]] ExecResult destroy_server(const std::string& name,
                                          const std::optional<std::string>& input) const;
  [[nodiscard]] ExecResult revocation(const ServerControl& server,
                                      const config::Match& match) const;
  // trustpoint_commands.cc; false if it is no command of a trustpoint or a key.
  bool trustpoint_command(const config::Match& match, const std::optional<std::string>& input,
                          const ExecDone& done) const;
  void authenticate(const TrustpointControl& found, const config::Match& match,
                    const std::optional<std::string>& input, const ExecDone& done) const;
  void enroll(const TrustpointControl& found, const ExecDone& done) const;
  void export_keys(const TrustpointControl& found, const config::Match& match,
                   const ExecDone& done) const;
  void import_keys(const TrustpointControl& found, const config::Match& match,
                   const std::optional<std::string>& input, const ExecDone& done) const;
  [[nodiscard]] ExecResult generate_key(const config::Match& match,
                                        const std::optional<std::string>& input) const;
  void zeroize(const config::Match& match, const std::optional<std::string>& input,
               const ExecDone& done) const;
  // held_commands.cc
  [[nodiscard]] ExecResult issued(const config::Match& match) const;
  [[nodiscard]] Result<std::vector<ShownKey>> held_keys(const config::Match& match) const;
  [[nodiscard]] std::vector<HeldCrl> held_crls() const;
  /// Those of others among them.
  [[nodiscard]] std::vector<HeldCrl> fetched_crls() const;
  /// When a certificate came, as far as it is known.
  [[nodiscard]] std::function<std::optional<Time>(const x509::Certificate&)> installed(
      const std::vector<client::Status>& trustpoints) const;
  [[nodiscard]] ExecResult version() const;
  // debug_commands.cc
  [[nodiscard]] ExecResult debug(const config::Match& match) const;
  // configuration_commands.cc
  [[nodiscard]] ExecResult show_configuration(std::string_view key) const;
  void save(const ExecDone& done) const;
  void replace_configuration(const ExecDone& done) const;
  /// What SavedCertificates are to be once the configuration is saved.
  [[nodiscard]] std::set<Bytes> held() const;
  [[nodiscard]] const ServerControl* server(std::string_view name) const;
  [[nodiscard]] const TrustpointControl* trustpoint(std::string_view name) const;
  [[nodiscard]] std::vector<server::Status> server_statuses() const;
  [[nodiscard]] std::vector<client::Status> trustpoint_statuses() const;

  std::function<std::shared_ptr<const ExecEnvironment>()> source_;
  std::shared_ptr<const ExecEnvironment> environment_;
  std::string by_ = "console";
  std::function<bool(const config::Match&)> may_;
  bool timestamps_ = false;
};

/// The command, and what stands behind the first ` |`; nothing: it has none.
[[nodiscard]] std::pair<std::string_view, std::optional<std::string_view>> split_filter(
    std::string_view line);
/// `?` and Tab at the end of an exec line, filters and all.
[[nodiscard]] Choices exec_choices(const config::Grammar& grammar, std::string_view line);

}  // namespace umbra::console
