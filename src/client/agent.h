#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/enrollment.h"
#include "client/state.h"
#include "client/trustpoint.h"

namespace umbra::client {

/// What an event brought with it, on its way to the store.
struct Arrival {
  std::optional<x509::Certificate> certificate;  ///< granted, or the next CA
  bool by_hand = false;
  std::vector<x509::Certificate> ras{};  ///< of the next CA
  std::uint32_t polls = 0;               ///< made in vain, where polling ends
};

/// What runs on the trustpoint's strand: takes events, asks lifecycle::step, commits what follows,
/// then acts. Only `snapshot_` is read from other threads.
class Trustpoint::Agent : public std::enable_shared_from_this<Agent> {
 public:
  Agent(config::Trustpoint configuration, Environment environment, State state);

  /// Runs `task` on the strand, if the trustpoint is still there by then.
  void post(std::function<void(Agent&)> task);

  // On the strand.
  void run_due();
  void fetch_ca(std::function<void(Result<x509::Certificate>)> done,
                Seconds spread = Seconds::zero());
  void accept_ca(const x509::Certificate& certificate, std::function<void(Result<void>)> done);
  void enroll_by_hand();
  /// `until` is let go when nothing more is done in the places it has left.
  void reconfigure(const config::Trustpoint& configuration, const std::string& fqdn,
                   std::shared_ptr<void> until);
  void retire(std::shared_ptr<void> until);

  // agent_hand.cc, on the strand too.
  [[nodiscard]] Result<void> cancel();
  [[nodiscard]] Result<x509::Request> request_by_hand();
  [[nodiscard]] Result<void> import_certificate(const std::vector<x509::Certificate>& received);
  [[nodiscard]] Result<void> import_archive(const x509::Archive& archive, bool exportable);
  [[nodiscard]] Result<Exported> exported() const;

  // agent_files.cc, on the strand too.
  void zeroize(std::function<void(Result<std::vector<std::string>>)> done);
  /// What is there is looked at, and put right.
  void look_at_files_anew();
  /// When what is being written has been, or is said to take long; now, if nothing is.
  void after_files(std::function<void()> then);

  // agent_revocation.cc, on the strand too.
  void request_crl(std::function<void(Result<x509::CrlFacts>)> done);
  void validate(std::function<void(Result<Validation>)> done);

  // agent_status.cc, from any thread.
  [[nodiscard]] std::vector<lifecycle::Deadline> deadlines() const;
  [[nodiscard]] Status status() const;
  [[nodiscard]] Result<void> may_enroll() const;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::optional<Credential> credential() const;
  [[nodiscard]] bool contradicts_pin() const;
  [[nodiscard]] IsOurs made() const;

 private:
  using Event = lifecycle::TrustpointEvent;
  using Action = lifecycle::TrustpointAction;
  struct Snapshot {
    State state;
    std::optional<Time> held_until;
    bool asking_capabilities = false;
    std::optional<Time> announce_at;
    std::optional<HeldCrl> crl;
    std::optional<Time> come_again;
    bool switch_failed = false;
    bool contradicts_pin = false;
    std::optional<Outdated> outdated;
    std::optional<Time> slow_at;
    std::optional<Time> announce_from;
  };

  [[nodiscard]] Time now() const { return to_time(environment_.clock.now()); }
  [[nodiscard]] bool clock_is_set();
  /// Between accepting a CA and its answer to GetCACaps nothing else is asked of it.
  [[nodiscard]] bool wants_capabilities(const State& state) const;

  // agent.cc: what follows from an event.

  /// One event through the lifecycle, into the store, and out into the world. False if nothing
  /// follows from it, or if it could not be stored and so has not happened.
  bool take(const Event& event, const Arrival& arrival = {});
  /// What the event itself changes in the row.
  void note(store::TrustpointRow& row, const Event& event, const Arrival& arrival) const;
  /// What an action changes in the row before it is acted on.
  [[nodiscard]] Result<void> prepare(store::TrustpointRow& row, Action action,
                                     lifecycle::RequestKind kind, const Arrival& arrival) const;
  void act(Action action, const Arrival& arrival);
  /// Nothing more happens by itself, and there is a certificate that ends.
  void wants_a_person() const;
  [[nodiscard]] Result<void> commit(store::TrustpointRow row);
  /// On its second, whatever else is held: peers are given the next CA's certificates from then on.
  void switch_over_if_due();
  /// A clock that has stepped back since shows that it was ahead: a device goes on with what it had
  /// before, as long as that is valid.
  void switch_back_if_too_early();
  /// What was put off by a clock that has stepped back since is not put off until then.
  void forget_what_was_put_off_ahead();
  /// Nothing is tried again before one, two, four ... retry periods have passed, an hour at most.
  void hold(const Error& error);
  /// Nor before a CA that is busy has asked for it.
  void hold_until(Time at, const Error& error);
  void hold(const Error& error, const Result<HttpReply>& answer);
  void forget_call() { ++newest_call_; }

  // agent_status.cc: what others see.

  [[nodiscard]] std::vector<lifecycle::Deadline> deadlines_of(const Snapshot& snapshot) const;
  /// After each change that they are to see.
  void publish_snapshot();

  // agent_ca.cc: which CA it has, and who reads for it.

  /// Whether the CA that is held is the one that is configured has to be looked at anew.
  void look_at_pin();
  /// As configured, or what that one has led to by rollover and is held.
  [[nodiscard]] bool has_configured_fingerprint(const x509::Certificate& ca) const;
  /// `enrollment selfsigned` of before is no CA to enrol with, now that one is named: it is
  /// authenticated. The certificate serves until another one has come.
  void forget_what_it_signed_itself();
  /// In the log, once for each fingerprint and CA.
  void say_if_pin_contradicts();
  void say_if_pin_cannot_be_followed();
  /// Nothing is asked of a CA that is not the one configured. Errors: conflict.
  [[nodiscard]] Result<void> trusted_ca(bool contradicts_pin) const;
  [[nodiscard]] Result<void> accept(const Offer& offer);
  void say_who_reads(const std::vector<x509::Certificate>& ras) const;
  void fetch_and_accept_pinned();
  /// GetCACert brought none.
  void on_no_ca(const Error& error);
  /// What GetCACert brought. Errors: unreachable, malformed, conflict (no RA where there must be
  /// one).
  [[nodiscard]] Result<Offer> offer_in(Result<HttpReply> answer) const;
  /// Nobody is known, or not the right one, whom the request under way can be enveloped for: what
  /// came beside the CA certificate is signed by nobody, and what is damaged of it is dropped.
  [[nodiscard]] bool lacks_recipient() const;
  /// GetCACert once more, for what comes beside the CA certificate alone; then the message.
  void look_for_recipient(Message message, Seconds spread);
  /// Errors: conflict (of another CA), storage.
  [[nodiscard]] Result<void> take_ras(const Offer& offer);

  // agent_hand.cc: what an administrator does, and what needs no network.

  [[nodiscard]] Result<void> no_server_of_ours() const;
  /// The keys, and what was issued for them.
  [[nodiscard]] Result<void> forget_keys();
  /// Puts a new request into the row, with the key it is for.
  [[nodiscard]] Result<void> ask_for(store::TrustpointRow& row, lifecycle::RequestKind kind) const;
  /// `enrollment selfsigned`: another certificate that it signs itself.
  void sign_for_itself();
  [[nodiscard]] Result<void> install_self_signed();

  // agent_revocation.cc: what the CA says of certificates it has issued.

  using CheckDone = std::function<void(Agent&, Checked)>;
  /// `revocation-check`, method after method: the first one that knows an answer tells it.
  void check(const x509::Certificate& certificate, std::size_t method, std::string before,
             CheckDone done);
  void check_by_crl(const x509::Certificate& certificate, CheckDone done);
  void check_by_ocsp(const x509::Certificate& certificate, CheckDone done);
  using CrlDone = std::function<void(Agent&, Result<x509::CrlFacts>)>;
  /// The CRL that is held, or another one.
  void with_crl(std::vector<std::string> urls, bool fresh, CrlDone done);
  void fetch_crl(std::vector<std::string> urls, std::string before, CrlDone done);
  void fetch_crl_by_scep(std::string before, CrlDone done);
  void hold_no_crl();
  /// In: where it is from, as in HeldCrl.
  [[nodiscard]] Result<x509::CrlFacts> take_crl(ByteView body, const std::string& source);
  void check_each(std::deque<std::pair<std::string, x509::Certificate>> left, Validation validation,
                  std::function<void(Result<Validation>)> done);
  void say_if_of_another_time(const x509::Certificate& certificate, bool rollover) const;
  /// An RA whose certificate is revoked is not listened to.
  void believe(const scep::CertRep& reply);

  // agent_announce.cc: files and command for other programs.

  /// Puts the files in place if the certificates in them have changed, and runs the command if it
  /// was not told of them. What fails is tried again.
  void announce();
  /// In: `withdrawals`: as many as there had been when it was run.
  void on_hook_ended(const std::string& event, const std::string& certificates,
                     const std::string& announcement, std::uint64_t withdrawals,
                     const Result<void>& ran);
  void announce_later(std::string_view mnemonic, const Error& error,
                      const std::string& certificates);
  /// Nothing waits to be announced; `told`: nor is anybody being told.
  void announced(bool told = true);

  // agent_files.cc: what is done away from the strand, and what follows from it.

  struct Publication;
  struct Withdrawal;
  /// Something that is away from the strand.
  struct Waits {
    Time since;
    bool said = false;  ///< that it takes long
  };
  void away(std::function<void(Outlet&)> work, std::function<void(Agent&)> then);
  /// It announces again when they are there, or could not be put there.
  void publish_files();
  /// What there is when it comes to it: ten thousand that wait for their turn hold nothing.
  /// From any thread.
  void fill(Publication& job) const;
  /// Unless it is there as it would be written.
  void publish_archive(const std::shared_ptr<Publication>& job);
  void on_archive_there(const Publication& job);
  void on_published(const Publication& job);
  void go_on_after_files();
  /// Once for each, and once more after each change.
  void say_if_slow();
  /// When what failed is tried again; nothing while it is, or cannot be.
  [[nodiscard]] std::optional<Time> next_try() const;
  /// When that will be, if nothing has answered by then.
  [[nodiscard]] std::optional<Time> slow_at() const;
  /// Whether it has made an archive.
  [[nodiscard]] static IsOurs is_ours(std::shared_ptr<const State> state,
                                      const config::Trustpoint& configuration);
  /// Whether another trustpoint of this database has.
  [[nodiscard]] IsOurs is_a_neighbours() const;
  /// What other programs find where the files could not be replaced.
  static void look_at_files(Outlet& outlet, Publication& job);
  /// Of what the files hold, nothing is there any more: they go too.
  static void withdraw(Outlet& outlet, const std::string& name, const config::Trustpoint& from,
                       const std::shared_ptr<const State>& state, Withdrawal& job);
  void on_withdrawn(const Withdrawal& job,
                    const std::function<void(Result<std::vector<std::string>>)>& done);
  /// Nothing more is written where `next`, or nobody, writes any more.
  void leave_places(const config::Trustpoint* next, std::shared_ptr<void> until) const;
  /// What is in the files is not known any more, nor what was to be told of it.
  void forget_published();

  // agent_exchange.cc: what is said to the CA.

  using Answered = std::function<void(Agent&, Result<HttpReply>)>;
  /// One URL that a call may be made to.
  struct Way {
    std::string server;  ///< the `enrollment url`
    bool exact = false;  ///< used as given, for servers that are not IOS's
  };
  /// The `enrollment url` in use; empty without any.
  [[nodiscard]] std::string server_in_use() const;
  /// Where the CA certificate is asked for, and the fingerprint it must have.
  [[nodiscard]] std::string asked_where() const;
  /// What is to be tried in this order: the server in use, then the others, each with both its
  /// paths. A request that is pending is known to its own server alone.
  [[nodiscard]] std::vector<Way> ways() const;
  [[nodiscard]] std::vector<Way> ways_to(const std::string& url) const;
  /// `answered` runs on the strand. `call.url` is the query alone. A path that is not there is
  /// tried once more as the URL was given; a server that does not answer, or not with 200, is
  /// followed by the next.
  void send(HttpCall call, Answered answered);
  /// The same for the one exchange of the request under way: an answer that a newer call, or a new
  /// state, has overtaken is dropped.
  void send_newest(HttpCall call, Answered answered);
  void go(const HttpCall& call, std::vector<Way> ways, std::optional<std::uint64_t> number,
          std::optional<Result<HttpReply>> best, const Answered& answered);
  /// There is somebody, under this path; with `well`, he is asked first from now on.
  void answered_by(const Way& way, bool well);
  /// What this server says is of no use: the next one is asked the next time.
  void turn_to_next();
  [[nodiscard]] HttpCall get(scep::Operation operation, Seconds spread) const;
  /// What a call that a timer has made may wait before it leaves (`enrollment spread`): a tenth of
  /// what is left at most.
  [[nodiscard]] Seconds spread() const;
  /// The same of a POLL: the next one overtakes it and drops its answer, so it leaves in the first
  /// half of the time between the two.
  [[nodiscard]] Seconds spread_of_poll() const;
  void fetch_capabilities(std::function<void(Result<void>)> done, Seconds spread);
  /// Somebody's page instead of keywords. Once for each such answer.
  void say_if_no_capabilities(const HttpReply& reply);
  void fetch_next_ca();
  void exchange(Message message, Seconds spread);
  void send_message(Message message, Seconds spread);
  /// Who signs the request under way instead of its own key; nothing: nobody.
  [[nodiscard]] Result<std::optional<Credential>> signs_instead() const;
  void on_cert_rep(const scep::CertRep& reply);
  void on_no_answer(const Error& error);
  /// The same of an answer that is none: one that says when to come again (RFC 9110 10.2.3) is
  /// obeyed.
  void on_no_answer(const Error& error, const Result<HttpReply>& answer);
  /// In the log, whatever the peer has said or not said.
  void no_answer(const Error& error) const;

  void log(Severity severity, std::string_view mnemonic, std::string text,
           std::string_view facility = "PKI") const;
  void debug(std::string_view text) const;
  /// SCEP as it passes by, and what its messages are like.
  void debug_scep(std::string_view text) const;
  void debug_message(std::string_view text) const;

  const std::string name_;
  const Environment environment_;

  // Changed on the strand alone, under mutex_; read under mutex_ elsewhere.
  config::Trustpoint configuration_;
  Device device_;
  lifecycle::TrustpointSettings settings_;

  // The strand's.
  bool retired_ = false;
  State state_;
  std::optional<Offer> offer_;  ///< what GetCACert brought last
  /// The last answer was signed by nobody that is known; since the start, and no RA is known.
  bool stranger_answered_ = false;
  std::optional<Time> held_until_;
  Time held_at_{};  ///< when that was decided
  std::uint32_t holds_ = 0;
  bool switch_failed_ = false;      ///< the store refused it: it is held too
  std::optional<Time> come_again_;  ///< as lifecycle has it of this
  std::uint64_t newest_call_ = 0;
  bool asking_ca_ = false;
  std::optional<Time> ca_come_again_;  ///< what the last answer to GetCACert asked for
  bool asking_capabilities_ = false;
  std::uint64_t newest_capabilities_call_ = 0;
  std::string odd_capabilities_;  ///< the last answer to GetCACaps, if it was none
  std::string server_;  ///< the one of several URLs that is in use; if any other, the first
  std::set<std::string> exact_;  ///< the URLs that are wanted as given
  bool started_ = false;
  bool contradicts_pin_ = false;
  std::string pin_complained_of_;  ///< the fingerprint, and that of the CA
  std::string pin_not_followed_;   ///< the same, where it cannot be told
  bool clock_complained_ = false;
  std::optional<x509::CrlFacts> crl_;  ///< of the active CA, verified
  std::optional<HeldCrl> shown_crl_;   ///< what is shown of it
  Bytes crl_issuer_;                   ///< SHA-256 of the CA certificate it was verified with
  Time crl_fetched_{};
  /// The newest CRL that was taken, held or not: none that is older is taken before its end.
  struct SeenCrl {
    Bytes issuer;  ///< as crl_issuer_
    Time this_update;
    Time counts_until;
  };
  std::optional<SeenCrl> crl_seen_;
  std::string published_;  ///< the certificates in the files, since the start
  std::optional<Waits> publishing_;
  std::optional<Waits> withdrawing_;
  std::uint64_t newest_publication_ = 0;
  std::vector<std::function<void()>> after_files_;
  bool hook_runs_ = false;
  std::uint64_t withdrawals_ = 0;      ///< of what others were told: zeroized so often
  std::optional<Time> announce_from_;  ///< when the certificate is valid
  std::optional<Time> announce_at_;    ///< the next try, where one failed
  Time announce_failed_at_{};
  std::string announce_failed_;  ///< of these certificates
  std::uint32_t announce_tries_ = 0;
  Bytes archive_on_its_way_;          ///< tried again as it is while nothing in it has changed
  std::optional<Outdated> outdated_;  ///< what others have instead, where one failed

  mutable std::mutex mutex_;
  Snapshot snapshot_;
};

}  // namespace umbra::client
