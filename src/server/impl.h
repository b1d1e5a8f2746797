#pragma once

#include <atomic>
#include <concepts>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include "ca/authority.h"
#include "ca/ledger.h"
#include "lifecycle/ca.h"
#include "policy/decide.h"
#include "scep/ca_messages.h"
#include "server/certificate_server.h"
#include "server/guesses.h"
#include "server/publisher.h"
#include "server/uplink.h"

/// The inside of CertificateServer, shared by its .cc files.
namespace umbra::server {

/// The CA above a registration authority, as its trustpoint knows it at one moment.
struct CaAbove {
  x509::Certificate ca;
  std::optional<x509::Certificate> next;
  std::vector<x509::Certificate> ras{};  ///< whom the CA has its messages enveloped for, if others
  std::vector<x509::Certificate> next_ras{};
  scep::Capabilities capabilities{};
  Bytes source{};  ///< all that it was read from

  /// Which of the two CAs has issued it; null if neither.
  [[nodiscard]] const x509::Certificate* issuer_of(const x509::Certificate& certificate) const;
  /// Whom messages to this one of the two are enveloped for.
  [[nodiscard]] const x509::Certificate& recipient(const x509::Certificate& which) const;
  /// Whose signatures on its answers count.
  [[nodiscard]] std::vector<x509::Certificate> signers() const;
  /// Errors: malformed. Nothing: the trustpoint has no CA.
  [[nodiscard]] static Result<std::shared_ptr<const CaAbove>> read(
      const std::optional<store::TrustpointRow>& row);
};

/// The CRL of the CA above a registration authority.
struct CrlAbove {
  x509::Certificate ca;  ///< that has signed it
  Time asked;
  Bytes der;
  x509::CrlFacts facts;  ///< by serial number
};

/// The CA certificates and keys at one moment: of a registration authority, its own. Immutable: a
/// request keeps the one it began with.
struct Generations {
  std::optional<ca::Authority> active;
  std::optional<ca::Authority> rollover;
  std::vector<ca::Authority> retired;
  /// Whoever a request may be enveloped for, and which generation that is, index by index.
  std::vector<scep::Recipient> recipients;
  std::vector<std::uint32_t> recipient_generations;
  std::shared_ptr<const CaAbove> above;  ///< of a registration authority

  [[nodiscard]] const ca::Authority* find(std::uint32_t generation) const;
  [[nodiscard]] std::uint32_t next_number() const;
  [[nodiscard]] std::vector<const ca::Authority*> authorities() const;
};
/// Whom SCEP's messages to a CA are enveloped for and who signs its own: the CA, or the exchange
/// certificate beside it. Nothing without the CA's key.
[[nodiscard]] std::optional<scep::Recipient> scep_party(const ca::Authority& authority);
/// What is known of the CA above.
struct UpperCa {
  std::optional<x509::Certificate> certificate;  ///< that issued the certificate asked about
  std::string waiting;                           ///< what is awaited of it; empty = nothing
};
using GenerationsPtr = std::shared_ptr<const Generations>;

/// From the store's rows. Errors: crypto (wrong passphrase, key and certificate differ), malformed.
[[nodiscard]] Result<GenerationsPtr> load_generations(const std::vector<store::CaGeneration>& rows,
                                                      const std::string& passphrase);

/// Waits for somebody: an administrator, or the CA above.
/// A column of a trustpoint's row: empty if there is none. Errors: malformed.
[[nodiscard]] Result<std::optional<x509::Certificate>> certificate_of_column(const Bytes& der);
[[nodiscard]] bool is_open(store::RequestState state);
[[nodiscard]] HttpReply text_reply(unsigned status, const std::string& text);
/// What came with such a status is no answer.
[[nodiscard]] Result<HttpReply> not_200(unsigned status);
[[nodiscard]] const scep::Capabilities& announced();
[[nodiscard]] x509::Digest digest_of(config::HashName name);

/// The stored number of a class.
[[nodiscard]] store::RequestClass class_in_store(policy::Class one);

/// Answers that are the same for everybody, as octets, and of which moment they are.
struct KeptAnswers {
  GenerationsPtr of;
  std::shared_ptr<const Bytes> ca_cert;  ///< to GetCACert; its type follows from `of`
  std::shared_ptr<const Bytes> next_ca;  ///< to GetNextCACert, without `ra`
  Time next_ca_signed{};
};

struct CertificateServer::Impl {
  Impl(const config::Server& server, bool http, Environment environment);

  // certificate_server.cc: what is asked
  void handle(const HttpRequest& request, HttpDone done);
  void pki_operation(ByteView message, bool by_get, const std::string& address, HttpDone done);
  [[nodiscard]] scep::Answer get_cert(const scep::IssuerAndSerial& wanted) const;
  [[nodiscard]] scep::Answer get_crl(const scep::IssuerAndSerial& wanted,
                                     const Generations& generations) const;
  // kept.cc: what is the same for everybody
  [[nodiscard]] std::optional<HttpReply> at_hand(std::string_view path, std::string_view query,
                                                 const std::string& address) const;
  [[nodiscard]] HttpReply ca_caps() const;
  [[nodiscard]] HttpReply ca_cert(const GenerationsPtr& all) const;
  [[nodiscard]] HttpReply crl_file(std::string_view path, const Generations& all) const;
  [[nodiscard]] std::optional<HttpReply> kept_ca_cert(const GenerationsPtr& all) const;
  [[nodiscard]] std::optional<HttpReply> kept_next_ca(const GenerationsPtr& all, Time now) const;
  void keep_next_ca(const GenerationsPtr& all, std::shared_ptr<const Bytes> body, Time now) const;
  [[nodiscard]] bool has_fetched(const std::string& address) const;

  [[nodiscard]] GenerationsPtr generations() const;
  void set_generations(GenerationsPtr next);

  // locked.cc: what a changed file does not change
  void name_what_is_locked() const;
  /// Errors: conflict if `serial-number` is configured for a CA that began elsewhere.
  [[nodiscard]] Result<void> start_serials();
  /// Errors: conflict if what is kept is a CA's and `mode` says RA, or the other way round.
  [[nodiscard]] Result<void> mode_is_kept() const;

  // enrollment.cc: a request for a certificate, and polls for it
  struct Conversation;
  void enroll(std::shared_ptr<Conversation> conversation);
  void enroll_in_turn(const std::shared_ptr<Conversation>& conversation);
  void enroll_once(const std::shared_ptr<const Conversation>& conversation);
  void grant_now(const std::shared_ptr<const Conversation>& conversation,
                 const ca::Authority& authority, store::RequestClass as,
                 const std::optional<store::OneTimePassword>& spent);
  void pend(const std::shared_ptr<const Conversation>& conversation,
            const policy::RequestFacts& facts, std::uint32_t generation);
  [[nodiscard]] scep::Answer poll(const Conversation& conversation) const;
  /// Why a poll for this entry is refused, if it is.
  [[nodiscard]] std::optional<scep::Refusal> no_poll(
      const Conversation& conversation, const std::optional<store::EnrollmentRequest>& entry) const;
  /// Why a request is not taken in place of this entry of its transaction, if it is not.
  [[nodiscard]] std::optional<scep::Refusal> no_successor(
      const Conversation& conversation, const std::optional<store::EnrollmentRequest>& old) const;
  /// What the store knows of it. Errors: storage.
  [[nodiscard]] Result<store::Known> known_of(const Conversation& conversation) const;
  [[nodiscard]] static std::optional<scep::Answer> answer_from_store(
      const Conversation& conversation, const store::Known& known);
  [[nodiscard]] policy::RequestFacts facts_of(const Conversation& conversation,
                                              const store::Known& known) const;
  [[nodiscard]] policy::RequestFacts facts_of_request(const x509::Request& request,
                                                      const Generations& all) const;
  /// What anybody can tell of who signs, and of whom he asks for.
  static void look_at_signer(const Conversation& conversation, policy::RequestFacts& facts);
  [[nodiscard]] bool signed_by_one_of(const Generations& all,
                                      const x509::Certificate& certificate) const;
  [[nodiscard]] policy::RequestFacts facts_without_trust(
      const Conversation& conversation, const std::optional<store::IssuedCertificate>& row) const;
  // granting.cc: what lets a request through besides an administrator
  [[nodiscard]] policy::Rules rules() const;
  [[nodiscard]] bool trusted_signer(const Conversation& conversation, policy::Signer judged) const;
  /// Whether the challenge password of this request may be looked at; counts a wrong one. False: it
  /// has been answered.
  [[nodiscard]] bool may_try(const Conversation& conversation, const policy::RequestFacts& facts);
  [[nodiscard]] bool is_one_time_password(const std::optional<std::string>& challenge,
                                          Time now) const;
  [[nodiscard]] bool is_live(ByteView given, Time now) const;
  /// Takes it away from everybody else; whoever cannot use it gives it back.
  [[nodiscard]] std::optional<store::OneTimePassword> claim_password(
      const std::optional<std::string>& challenge, Time now);
  void give_back(const store::OneTimePassword& password);

  [[nodiscard]] Result<lifecycle::Validity> validity_from(const ca::Authority& authority,
                                                          const Generations& all,
                                                          store::RequestClass as, Time now) const;
  [[nodiscard]] ca::Profile profile(store::RequestClass as) const;
  /// Out: 503 if it cannot be made.
  [[nodiscard]] HttpReply made_reply(const Conversation& conversation,
                                     const scep::Answer& answer) const;
  void reply(const Conversation& conversation, const scep::Answer& answer) const;
  void refuse(const Conversation& conversation, scep::Refusal refusal) const;

  // queue.cc: what waits for an administrator
  [[nodiscard]] Result<x509::Certificate> grant_entry(const store::EnrollmentRequest& entry);
  /// The same, stored when `done` says so; called only if a certificate is returned.
  [[nodiscard]] Result<x509::Certificate> grant_entry(const store::EnrollmentRequest& entry,
                                                      store::Committed done);
  [[nodiscard]] Result<void> signer_still_good(const store::EnrollmentRequest& entry) const;
  /// Errors: conflict, for a request of so many octets with its signer.
  [[nodiscard]] Result<void> room_in_queue(std::size_t octets) const;
  [[nodiscard]] Result<void> take_from_queue(store::Batch batch,
                                             const std::vector<std::uint64_t>& ids,
                                             std::string_view how);
  [[nodiscard]] Result<void> for_each_pending(
      std::optional<std::uint64_t> id,
      const std::function<Result<void>(const store::EnrollmentRequest&)>& act);
  [[nodiscard]] Result<void> expire_queue(Time now);
  [[nodiscard]] Result<void> load_queue();

  // by_hand.cc: requests that came by no network
  [[nodiscard]] static bool is_by_hand(std::string_view transaction_id);
  [[nodiscard]] static bool by_hand(const store::EnrollmentRequest& entry);
  [[nodiscard]] Result<x509::Certificate> certificate_of(
      const store::EnrollmentRequest& entry) const;

  // revocation.cc
  /// What a CRL has that the store has not, or lacks that it has: entries by serial, or nothing.
  using CrlChanges = std::map<x509::Serial, std::optional<x509::RevokedEntry>>;
  /// A revocation, or one taken back, on its way.
  struct Revocation {
    x509::Serial serial;
    std::optional<x509::RevocationReason> to;  ///< nothing = taken back
    OnCrl seen = OnCrl::now;
    std::optional<Result<OnCrl>> result;  ///< guarded by crl_mutex
  };
  [[nodiscard]] Result<OnCrl> change_revocation(const x509::Serial& serial,
                                                std::optional<x509::RevocationReason> to);
  void change_together(const std::vector<std::shared_ptr<Revocation>>& together);
  [[nodiscard]] Result<void> publish_crl(Time now);
  // With crl_mutex held.
  [[nodiscard]] Result<void> publish_crl(Time now, const CrlChanges& changes, store::Batch cause);
  /// Signs the CRL, and stores all of it but what goes into the row, which the caller commits.
  [[nodiscard]] Result<store::PutCrl> make_crl(const ca::Authority& authority, Time now,
                                               const lifecycle::Validity& validity,
                                               const CrlChanges& changes);
  [[nodiscard]] Result<store::IssuedCertificate> revocable(const x509::Serial& serial) const;

  // overlap.cc: the rollover CA before its day
  [[nodiscard]] HttpReply get_next_ca_cert(const GenerationsPtr& generations,
                                           const std::string& address, const std::string& for_ra,
                                           Time now) const;
  /// The next certificate of this RA, if it is one: by its serial number, in hexadecimal.
  [[nodiscard]] std::optional<x509::Certificate> next_ra(const Generations& generations,
                                                         const std::string& serial) const;
  void note_fetch(const Generations& all, const std::string& address, Time now) const;
  [[nodiscard]] Result<void> load_fetchers();
  [[nodiscard]] Result<OverlapReport> overlap() const;
  [[nodiscard]] Result<OverlapReport> cancel_rollover(bool force);

  // upstream.cc: what a server that is no root has from its upper CA
  [[nodiscard]] bool is_root() const { return configuration.mode == config::ServerMode::root; }
  [[nodiscard]] bool is_ra() const {
    return configuration.mode == config::ServerMode::ra || transparent();
  }
  [[nodiscard]] bool transparent() const {
    return configuration.mode == config::ServerMode::ra_transparent;
  }
  [[nodiscard]] Result<void> adopt(Time now);
  [[nodiscard]] Result<void> adopt_one(const x509::Certificate& certificate,
                                       const store::TrustpointRow& row, Time now);
  void set_pending();
  [[nodiscard]] UpperCa upper_ca(const std::optional<x509::Certificate>& own) const;

  // registration.cc: the life of a registration authority, and what it says in the clear
  [[nodiscard]] Result<void> adopt_ra(const store::TrustpointRow& row, Time now);
  [[nodiscard]] Result<void> end_requests_of_ended_cas(const CaAbove* above,
                                                       store::Batch& batch) const;
  [[nodiscard]] Result<void> run_ra(Time now);
  /// Errors: conflict, at an RA: it issues nothing, and has nothing that hangs on that.
  [[nodiscard]] Result<void> issues() const;
  [[nodiscard]] std::vector<lifecycle::Deadline> ra_deadlines(const Generations& all) const;
  void ra_status(const Generations& all, Status& status) const;
  /// The CA above is another one than the configured fingerprint's: nothing is asked of it, and
  /// nobody is told of it. Said in the log when that begins, and when it ends.
  [[nodiscard]] bool distrusts_above();
  void handle_at_ra(const HttpRequest& request, std::string_view query, const GenerationsPtr& all,
                    HttpDone done);
  void next_ca_at_ra(const GenerationsPtr& all, HttpDone done);
  [[nodiscard]] HttpReply next_ca_from_above(const Generations& all, const HttpReply& reply) const;
  /// To the CA as it came, and back as it comes.
  void pass_on(const HttpRequest& request, const std::string& query, HttpDone done);

  // forwarding.cc: requests that go to the CA above, and what comes back
  struct Question;
  using CrlWanted = std::function<void(const Result<std::shared_ptr<const CrlAbove>>&)>;
  void enroll_at_ra(const std::shared_ptr<const Conversation>& conversation,
                    const std::shared_ptr<const Conversation>& after_its_turn);
  [[nodiscard]] Result<store::EnrollmentRequest> authorize(
      const Conversation& conversation, std::optional<store::EnrollmentRequest> old,
      const std::optional<store::OneTimePassword>& spent, bool renewal);
  [[nodiscard]] bool is_of_our_own(const std::string& transaction_id) const;
  /// Granted by hand.
  [[nodiscard]] Result<void> authorize(const store::EnrollmentRequest& entry);
  void forward(store::EnrollmentRequest entry, std::shared_ptr<const Conversation> asking);
  [[nodiscard]] Result<Question> question_of(store::EnrollmentRequest& entry,
                                             const Generations& all);
  void forwarded(store::EnrollmentRequest entry, const Question& question,
                 const std::shared_ptr<const Conversation>& asking,
                 const Result<HttpReply>& answer);
  [[nodiscard]] std::optional<x509::Certificate> certificate_for(
      const store::EnrollmentRequest& entry, const Question& question,
      const std::vector<x509::Certificate>& received) const;
  [[nodiscard]] Result<scep::CertRep> opened(const Question& question,
                                             const Result<HttpReply>& answer);
  void say_whether_above_answers(const Result<HttpReply>& answer);
  void finish_forwarding(std::uint64_t id);
  void poll_at_ra(const std::shared_ptr<const Conversation>& conversation);

  // above.cc: what an RA asks the CA above for itself
  [[nodiscard]] Result<Question> make_question(scep::MessageType type, std::string transaction_id,
                                               ByteView body, const x509::Certificate& to,
                                               const ca::Authority& signer, const CaAbove& above);
  /// False: nothing was sent, and `answered` is not called. Too many calls are under way, or the CA
  /// above is not the one it is to be.
  [[nodiscard]] bool ask(const Question& question, Uplink::Answered answered);
  void ask_for_client(const std::shared_ptr<const Conversation>& conversation,
                      const scep::IssuerAndSerial& wanted);
  [[nodiscard]] policy::RequestFacts facts_at_ra(const Conversation& conversation) const;
  /// The CRL of the CA above, asked for unless it is at hand; null if that CA has none that can be
  /// used. Errors: unreachable.
  void with_crl(const GenerationsPtr& all, CrlWanted then);
  [[nodiscard]] Result<std::shared_ptr<const CrlAbove>> crl_in(const Question& question,
                                                               const Result<HttpReply>& answer,
                                                               Time now);

  // renewal_of_ca.cc: the CA's own life
  [[nodiscard]] Result<void> run_due();
  void enabled();
  [[nodiscard]] Result<void> first_enable(Time now);
  [[nodiscard]] Result<void> generate_rollover(Time now);
  [[nodiscard]] Result<void> switch_over(Time now);
  /// Nothing for an RSA CA, which needs none.
  [[nodiscard]] Result<std::optional<ca::Exchange>> make_exchange(const x509::Certificate& ca,
                                                                  const x509::PrivateKey& key);
  /// For CAs that came without: imported ones.
  [[nodiscard]] Result<void> complete_exchange();
  [[nodiscard]] Result<store::CaGeneration> generation_row(const ca::Authority& authority,
                                                           store::GenerationStatus as,
                                                           Time now) const;
  [[nodiscard]] Result<void> archive(const ca::Authority& authority);
  [[nodiscard]] Result<void> reload();
  /// After a commit: what is in memory follows the store. If that cannot be read now, run_due does
  /// nothing else before it can. Errors: already logged.
  Result<void> follow_store();
  [[nodiscard]] lifecycle::CaFacts facts(const Generations& all) const;
  void set_state(std::string status, std::string state);

  [[nodiscard]] scep::Legacy legacy() const;
  [[nodiscard]] x509::Digest digest() const;
  [[nodiscard]] ca::Profile profile() const;
  void log(Severity severity, std::string_view mnemonic, std::string text) const {
    environment.log.event({severity, mnemonic, std::move(text)});
  }
  void count(Counters::Count Counters::*which) const {
    if (environment.counters != nullptr) ++(environment.counters->*which);
  }
  /// SCEP as it passes by: `debug crypto pki scep`.
  void debug_scep(const std::string& text) const { environment.log.debug("CRYPTO_PKI_SCEP", text); }
  void debug(std::string_view text) const { environment.log.debug("CRYPTO_CS", text); }
  /// Of what every request comes by: `text` makes it, if anybody reads it.
  template <std::invocable Text>
  void debug(const Text& text) const {
    if (environment.log.debugs("CRYPTO_CS")) debug(std::string_view(text()));
  }

  const config::Server configuration;
  std::atomic<bool> http_enabled;
  const Environment environment;
  const lifecycle::CaSettings settings;
  std::unique_ptr<ca::Ledger> ledger;
  std::unique_ptr<Publisher> publisher;

  /// Deadlines and exec commands, one at a time. Never taken by a request.
  std::mutex life_mutex;
  /// From reading what is revoked until the CRL of it is committed. Taken after life_mutex, which
  /// nobody who revokes takes: deadlines and grants wait for no CRL but their own.
  std::mutex crl_mutex;

  mutable std::mutex state_mutex;  ///< guards what follows; held for copies alone
  GenerationsPtr current = std::make_shared<const Generations>();
  std::string status = "disabled";
  std::string state = "disabled";
  std::optional<Time> crl_next_update;
  std::uint64_t crl_epoch = 0;  ///< counts the commits that may have brought another CRL
  mutable std::shared_ptr<const Bytes> kept_crl;  ///< as crl_file read it last, of this epoch
  mutable std::uint32_t kept_crl_generation = 0;
  mutable KeptAnswers kept;
  std::vector<std::shared_ptr<Revocation>> revocations;  ///< that wait for a CRL
  std::map<std::uint64_t, Time> pending;  ///< open ones: received at, by request number
  std::optional<Time> oldest_closed;      ///< at an RA: of what is kept for whoever asks again
  bool expired = false;
  std::optional<store::OneTimePassword> one_time_password;
  mutable std::set<std::string> fetchers;        ///< addresses that asked for the rollover CA
  std::optional<store::TrustpointRow> upstream;  ///< as last read

  Guesses guesses;

  std::mutex transactions_mutex;
  std::condition_variable transaction_done;
  /// Being decided or committed, and who waits for that.
  std::map<std::string, std::deque<std::shared_ptr<Conversation>>> transactions;
  void end_transaction(const std::string& id);
  std::set<std::uint64_t> forwarding;  ///< requests that the CA above is being asked about

  std::unique_ptr<Uplink> uplink;  ///< of a registration authority
  std::atomic<bool> above_is_silent = false;
  std::atomic<bool> distrust_is_said = false;

  std::mutex crl_above_mutex;  ///< guards what follows
  std::shared_ptr<const CrlAbove> crl_above;
  bool crl_above_under_way = false;
  std::vector<CrlWanted> crl_above_wanted;

  std::atomic<bool> serving = false;
  /// Held shared from seeing that the server serves to handing over what is stored of that.
  std::shared_mutex gate;
  std::atomic<bool> stopped;         ///< `shutdown`, or `stop` since
  std::atomic<bool> behind = false;  ///< the store has what memory has not: see follow_store
  std::atomic<bool> upstream_moved = false;
  std::atomic<std::uint64_t> upstream_changes = 0;
  bool warned_clock = false;
};

}  // namespace umbra::server
