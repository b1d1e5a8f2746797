#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "x509/crl.h"
#include "x509/serial.h"

/// What must survive. One decision = one Batch = one transaction; concurrent batches share a commit
/// (group commit). The store knows rows, not rules. Private keys arrive here sealed (encrypted PKCS
/// #8) and leave so.
namespace umbra::store {

// Stored numbers: never renumber.
enum class GenerationStatus : std::uint8_t { rollover = 1, active = 2, retired = 3 };
enum class RequestState : std::uint8_t {
  pending = 2,
  granted = 3,
  rejected = 4,
  authorized = 5,  ///< at an RA: granted here, and to be asked for above
  forwarded = 6,   ///< at an RA: pending above
};
enum class RequestClass : std::uint8_t { subordinate_ca = 1, ra = 2, router = 3 };

/// One CA key and certificate of a certificate server.
struct CaGeneration {
  std::string server;
  std::uint32_t number = 1;  ///< 1, 2, ... in order of generation
  GenerationStatus status = GenerationStatus::active;
  Bytes certificate;  ///< DER
  Bytes sealed_key;   ///< encrypted PKCS #8
  Time created_at;
  Bytes exchange_certificate{};  ///< DER; of the RSA key that SCEP needs beside another kind
  Bytes sealed_exchange_key{};
};

/// What a certificate server remembers besides its rows.
struct ServerRow {
  std::string server;
  std::uint64_t last_serial = 0;  ///< newest serial that is in a certificate
  std::uint64_t serial_lease =
      0;  ///< serials up to here may have been signed by a process that died: never used again
  std::uint64_t next_request_id = 1;
  std::uint64_t crl_number = 0;
  bool rollover_cancelled = false;
  std::uint32_t last_generation = 0;  ///< highest number a CA of this server ever had
  std::uint64_t serial_start = 0;     ///< `serial-number N` as it was when the CA began
  x509::Serial random_serial{};  ///< of the newest certificate, if it was drawn and not counted
};

struct IssuedCertificate {
  std::string server;
  x509::Serial serial;
  std::uint32_t generation = 1;
  Bytes certificate;    ///< DER
  std::string subject;  ///< screen form, for listings
  Time not_before;
  Time not_after;
  std::string transaction_id;
  /// SHA-256 of what was asked: the PKCS #10, the CA generation it was enveloped for, and for a
  /// renewal the certificate that signs it (a renewal that keeps its key may repeat its PKCS #10
  /// bit for bit). The same transaction and the same content get the same certificate.
  Bytes request_digest;
  Time issued_at;
  std::optional<Time> revoked_at;
  x509::RevocationReason reason = x509::RevocationReason::none;
  RequestClass granted_as = RequestClass::router;  ///< who may act as an RA is told by this alone
};

/// An entry of the enrolment request database.
struct EnrollmentRequest {
  std::string server;
  std::uint64_t id = 0;  ///< ReqID
  RequestClass request_class = RequestClass::router;
  RequestState state = RequestState::pending;
  std::string transaction_id;
  Bytes request_digest;
  Bytes request;                 ///< PKCS #10 DER
  Bytes signer;                  ///< certificate DER: whom the answer is enveloped for
  std::uint32_t generation = 1;  ///< which CA generation it was enveloped for
  bool renewal = false;
  Time received_at;
  std::optional<x509::Serial> granted_serial;
  std::string refusal_text;
  // At an RA only:
  std::uint32_t signed_by = 0;              ///< which of its certificates asks above
  Bytes certificate{};                      ///< DER: granted above
  std::optional<std::uint8_t> fail_info{};  ///< rejected above
};

struct CrlRow {
  std::string server;
  std::uint32_t generation = 1;
  std::uint64_t number = 0;
  Time this_update;
  Time next_update;
  Bytes crl;  ///< DER
};

/// `password generate`: the newest one-time password, and nothing that tells what it is.
struct OneTimePassword {
  std::string server;
  Bytes
      digest;  ///< SHA-256: what is hashed is random enough that guessing it backwards is hopeless
  Time expires_at;
};

/// Who asked for a rollover CA certificate first when.
struct NextCaFetch {
  std::string server;
  std::uint32_t generation = 1;  ///< the rollover CA's
  std::string address;
  Time first_at;
};

/// One name that holds certificates of a CA, and how far it is with the next CA.
struct Holder {
  std::string subject;                 ///< screen form
  Time not_after;                      ///< of its last certificate that still counts
  std::optional<x509::Serial> shadow;  ///< serial of its newest shadow certificate
};

/// A trustpoint's memory: what RFC 8894 2.5.1 and the guide need after a restart. Empty bytes = not
/// there yet. DER for certificates and requests, encrypted PKCS #8 for keys.
struct TrustpointRow {
  std::string name;
  Bytes ca_certificate;
  Bytes ra_certificates;  ///< DER one after another: the RA certificates GetCACert brought, if any
  std::string capabilities;  ///< GetCACaps' answer as it came
  bool capabilities_known = false;
  Bytes identity;
  Bytes sealed_key;  ///< LABEL
  Bytes rollover_ca_certificate;
  Bytes rollover_ra_certificates;  ///< as ra_certificates, of the next CA
  Bytes rollover_identity;
  Bytes sealed_shadow_key;  ///< LABEL#
  // The request under way; the numbers are lifecycle's enumerators.
  std::uint8_t phase = 0;
  std::uint8_t request_kind = 0;
  std::string transaction_id;
  Bytes request;         ///< PKCS #10
  Bytes request_signer;  ///< the certificate it is signed with, which the answer is enveloped for
  std::optional<Time> since;
  std::uint32_t tries = 0;
  bool failing = false;
  std::string last_status;        ///< "Granted", "Pending", "Rejected", for the screens
  Bytes previous_ca_certificate;  ///< after a switch, until the next change
  std::string announced;          ///< the certificates that `on change exec` was last told of
  std::string enrollment_url;     ///< of several, the one in use; empty = the first
  bool exportable = false;        ///< the keys may leave the database by `crypto pki export`
  std::string held_since;         ///< when each certificate and key came, and its CAs (lineage.h)
};

/// `crypto key generate`: a key that waits for the trustpoint that names it.
struct KeyPairRow {
  std::string label;
  Bytes sealed_key;  ///< encrypted PKCS #8
  bool exportable = false;
  Time created_at;
};

/// The last line of the audit log that is on the disk: a log that was cut off before it is found.
struct AuditHead {
  std::uint64_t number = 0;
  std::string hash;
};

/// A certificate's file that has not arrived yet where it is published. Its content is made when it
/// is sent.
struct OutboxRow {
  std::string server;
  std::uint8_t slot = 0;       ///< which of the certificate's files; the server's numbers
  std::uint64_t sequence = 0;  ///< files leave a slot in this order
  x509::Serial serial;
};

/// A file that is replaced from time to time, as it last arrived.
struct PublishedRow {
  std::string server;
  std::uint8_t slot = 0;
  std::string name;
  std::string place;
  std::string version;
};

// What a batch may hold.
struct PutServer {
  ServerRow row;
};
struct PutGeneration {
  CaGeneration row;
};  ///< insert, or replace the row of this server and number
struct DropGeneration {
  std::string server;
  std::uint32_t number;
};
struct InsertCertificate {
  IssuedCertificate row;
};  ///< conflict if the serial exists for this server
struct RevokeCertificate {
  std::string server;
  x509::Serial serial;
  Time at;
  x509::RevocationReason reason;
};
/// Every certificate of one CA that is not revoked yet, the CA's own included.
struct RevokeGeneration {
  std::string server;
  std::uint32_t number;
  Time at;
  x509::RevocationReason reason;
};
/// Takes a revocation back.
struct RestoreCertificate {
  std::string server;
  x509::Serial serial;
};
struct PutRequest {
  EnrollmentRequest row;
};
struct DropRequest {
  std::string server;
  std::uint64_t id;
};
/// Replaces the CRL of this generation: by the parts of its number, if there are any, and the row's
/// octets behind them.
struct PutCrl {
  CrlRow row;
  std::uint32_t parts = 0;
};
/// A piece of a CRL that is too large for one commit, on which everybody else would wait: 0, 1, 2
/// ... They count from the PutCrl of their number on. The first one takes away what an attempt
/// before it left.
struct PutCrlPart {
  std::string server;
  std::uint32_t generation;
  std::uint64_t number;
  std::uint32_t part;
  Bytes octets;
};
struct PutTrustpoint {
  TrustpointRow row;
};
/// Conflict unless this CA generation is (still) there: with it, nothing is stored of a CA that was
/// taken back meanwhile.
struct RequireGeneration {
  std::string server;
  std::uint32_t number;
};
/// Replaces the server's one-time password.
struct PutOneTimePassword {
  OneTimePassword row;
};
/// Conflict unless this is the server's one-time password; gone afterwards.
struct SpendOneTimePassword {
  std::string server;
  Bytes digest;
};
/// Remembers the first time; later ones change nothing.
struct PutNextCaFetch {
  NextCaFetch row;
};
/// All that is kept of one certificate server.
struct DropServer {
  std::string server;
};
struct InsertOutbox {
  OutboxRow row;
};
struct DropOutbox {
  OutboxRow row;
};
struct PutPublished {
  PublishedRow row;
};
/// Replaces the key of this label.
struct PutKeyPair {
  KeyPairRow row;
};
struct DropKeyPair {
  std::string label;
};
/// Replaces how far the audit log reaches.
struct PutAuditHead {
  AuditHead row;
};
using Change =
    std::variant<PutServer, PutGeneration, DropGeneration, InsertCertificate, RevokeCertificate,
                 RestoreCertificate, PutRequest, DropRequest, PutCrl, PutTrustpoint,
                 RequireGeneration, PutOneTimePassword, SpendOneTimePassword, PutNextCaFetch,
                 DropServer, RevokeGeneration, InsertOutbox, DropOutbox, PutPublished, PutCrlPart,
                 PutKeyPair, DropKeyPair, PutAuditHead>;
using Batch = std::vector<Change>;
using Committed = std::function<void(Result<void>)>;
/// Whether the store's thread is woken for a batch.
enum class Wake : std::uint8_t {
  yes,
  not_yet,  ///< who commits calls write_what_waits() next, and may find that it is his to write
};

/// What an enrolment is asked about before it is decided.
struct Asked {
  std::string server;
  std::string transaction_id;
  Bytes request_digest;
  std::optional<x509::Serial> signer{};  ///< of whose certificate it was signed with, if ours
};
struct Known {
  std::optional<IssuedCertificate> issued;  ///< newest of the transaction with exactly this content
  std::optional<EnrollmentRequest> queued;  ///< newest entry of the transaction
  std::optional<IssuedCertificate> signer;
  /// A certificate that was made for exactly this content, in whatever transaction, is revoked.
  bool answer_revoked = false;
};

class Store {
 public:
  virtual ~Store() = default;
  /// Durable when `done` is called: all of the batch or nothing of it. Called exactly once, from
  /// the thread that writes. Batches become durable in the order given. Errors: conflict (a serial
  /// twice), storage.
  virtual void commit(Batch batch, Committed done, Wake wake) = 0;
  /// With Wake::yes.
  void commit(Batch batch, Committed done);
  /// The same, waiting for it.
  [[nodiscard]] Result<void> commit(Batch batch);
  /// Follows on what was committed with Wake::not_yet: before anything is waited for, and without a
  /// lock that some `done` may want. What waits is written by the calling thread, if the store's
  /// own is at rest and hardly anybody is under way; else that one writes it. So for a request that
  /// is alone no other thread is woken. Does nothing inside a `done`. Thread-safe; the store
  /// outlives the call.
  virtual void write_what_waits() = 0;
  /// How many are under way that may soon be committed, those included whose batch is being handed
  /// in: a commit waits a few milliseconds for a share of them. Thread-safe; a hint, and nothing
  /// hangs on it.
  virtual void expect(std::size_t under_way) = 0;

  // Reading sees every commit that was reported. Errors: storage; absence is an empty optional.
  // Thread-safe.
  [[nodiscard]] virtual Result<std::optional<ServerRow>> server(const std::string& server) = 0;
  [[nodiscard]] virtual Result<std::vector<CaGeneration>> generations(
      const std::string& server) = 0;
  [[nodiscard]] virtual Result<std::optional<IssuedCertificate>> certificate(
      const std::string& server, const x509::Serial& serial) = 0;
  /// All of it as it was at one moment.
  [[nodiscard]] virtual Result<Known> known(const Asked& asked) = 0;
  /// In order of serial, at most `limit` after `after`.
  [[nodiscard]] virtual Result<std::vector<IssuedCertificate>> certificates(
      const std::string& server, const x509::Serial& after, std::size_t limit) = 0;
  /// What a generation has revoked and what has not expired, in order of serial, one at a time:
  /// there may be millions. `take` runs inside the reading, and asks the store nothing.
  [[nodiscard]] virtual Result<void> each_revoked(
      const std::string& server, std::uint32_t generation, Time unexpired_at,
      const std::function<void(const x509::RevokedEntry&)>& take) = 0;
  /// The same as a list.
  [[nodiscard]] Result<std::vector<x509::RevokedEntry>> revoked(const std::string& server,
                                                                std::uint32_t generation,
                                                                Time unexpired_at);
  /// Newest first. The newest entry of a transaction is what a poll means.
  [[nodiscard]] virtual Result<std::vector<EnrollmentRequest>> requests(
      const std::string& server) = 0;
  [[nodiscard]] virtual Result<std::optional<EnrollmentRequest>> request(const std::string& server,
                                                                         std::uint64_t id) = 0;
  [[nodiscard]] virtual Result<std::optional<EnrollmentRequest>> request_of(
      const std::string& server, const std::string& transaction_id) = 0;
  [[nodiscard]] virtual Result<std::size_t> pending_count(const std::string& server) = 0;
  [[nodiscard]] virtual Result<std::optional<CrlRow>> crl(const std::string& server,
                                                          std::uint32_t generation) = 0;
  [[nodiscard]] virtual Result<std::optional<TrustpointRow>> trustpoint(
      const std::string& name) = 0;
  /// By label.
  [[nodiscard]] virtual Result<std::vector<KeyPairRow>> key_pairs() = 0;
  /// The first `limit` of these slots together, in order of sequence.
  [[nodiscard]] virtual Result<std::vector<OutboxRow>> outbox(
      const std::string& server, const std::vector<std::uint8_t>& slots, std::size_t limit) = 0;
  /// How many wait in each slot, and the highest sequence number of all.
  struct OutboxSize {
    std::map<std::uint8_t, std::uint64_t> waiting;
    std::uint64_t last_sequence = 0;
  };
  /// Cost: reads all that wait.
  [[nodiscard]] virtual Result<OutboxSize> outbox_size(const std::string& server) = 0;
  [[nodiscard]] virtual Result<std::vector<PublishedRow>> published(const std::string& server) = 0;
  [[nodiscard]] virtual Result<std::optional<AuditHead>> audit_head() = 0;
  /// Names of all certificate servers that anything is kept of.
  [[nodiscard]] virtual Result<std::vector<std::string>> servers() = 0;
  [[nodiscard]] virtual Result<std::optional<OneTimePassword>> one_time_password(
      const std::string& server) = 0;
  /// Oldest first.
  [[nodiscard]] virtual Result<std::vector<NextCaFetch>> next_ca_fetches(
      const std::string& server, std::uint32_t generation) = 0;
  /// Everybody with an unrevoked certificate of `active` or of `rollover` that ends after `now`,
  /// by name; CA certificates left out (those have no transaction). Reads the whole table.
  [[nodiscard]] virtual Result<std::vector<Holder>> holders(const std::string& server,
                                                            std::uint32_t active,
                                                            std::uint32_t rollover, Time now) = 0;
};

/// Runs what writes all that waits; one at a time, and none after the store has gone.
using Turns = std::function<void(std::function<void()>)>;

/// SQLite through SOCI, WAL, synchronous=FULL; one thread at a time writes and groups commits,
/// readers in parallel. In:     path of the database file, made with mode 0600 if missing; refuses
/// a schema newer than it knows. `turns` = instead of a thread of its own: who repeats a run
/// decides when it writes. Errors: storage, with the path and what to do.
[[nodiscard]] Result<std::unique_ptr<Store>> open_sqlite(const std::string& path, Turns turns = {});

}  // namespace umbra::store
