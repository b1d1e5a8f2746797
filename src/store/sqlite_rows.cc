#include "store/sqlite_rows.h"

#include "store/sqlite_crl_rows.h"
#include "store/sqlite_outbox_rows.h"
#include "store/sqlite_service_rows.h"
#include "store/sqlite_values.h"
#include "store/sqlite_verb.h"

#include <algorithm>

#include <soci/soci.h>

namespace umbra::store {

x509::Serial serial(const std::string& hex) {
  const auto parsed = x509::Serial::from_hex(hex);
  if (!parsed) throw soci::soci_error("a column is no serial number: the database is damaged");
  return *parsed;
}

namespace {

using soci::into;
using soci::use;

std::string text(const x509::Serial& serial) {
  // A CA's serials have at most 20 octets: 40 digits, which sort as the numbers do. A longer one
  // can only be asked for; it is looked up whole, and not found.
  constexpr std::size_t ca_serial_octets = 20;
  const ByteView all = serial.big_endian();
  const bool longer = std::any_of(all.begin(), all.end() - ca_serial_octets,
                                  [](std::uint8_t octet) { return octet != 0; });
  return to_hex(longer ? all : all.last(ca_serial_octets));
}
std::string text(const Bytes& bytes) { return to_base64(bytes); }
/// What is in our tables we wrote: text that does not decode is a damaged database.
Bytes bytes(const std::string& base64) {
  auto decoded = from_base64(base64);
  if (!decoded) throw soci::soci_error("a column is not base64: the database is damaged");
  return *std::move(decoded);
}

constexpr const char* certificate_columns =
    "SELECT serial, generation, certificate, subject, not_before, not_after, transaction_id, "
    "request_digest, issued_at,"
    " revoked_at, reason, class FROM certificate ";
constexpr const char* request_columns =
    "SELECT id, class, state, transaction_id, request_digest, request, signer, generation, "
    "renewal, received_at,"
    " granted_serial, refusal_text, signed_by, certificate, fail_info FROM request ";

/// The columns of a certificate as SOCI exchanges them.
struct CertificateColumns {
  std::string server, serial, certificate, subject, transaction_id, request_digest;
  Integer generation = 0, not_before = 0, not_after = 0, issued_at = 0, revoked_at = 0, reason = 0,
          granted_as = 0;

  void take(const IssuedCertificate& row) {
    server = row.server;
    serial = text(row.serial);
    generation = row.generation;
    certificate = text(row.certificate);
    subject = row.subject;
    not_before = seconds(row.not_before);
    not_after = seconds(row.not_after);
    transaction_id = row.transaction_id;
    request_digest = to_hex(row.request_digest);
    issued_at = seconds(row.issued_at);
    revoked_at = row.revoked_at ? seconds(*row.revoked_at) : 0;
    reason = static_cast<Integer>(row.reason);
    granted_as = static_cast<Integer>(row.granted_as);
  }
  [[nodiscard]] IssuedCertificate give(const std::string& of) const {
    IssuedCertificate row;
    row.server = of;
    row.serial = store::serial(serial);
    row.generation = static_cast<std::uint32_t>(generation);
    row.certificate = bytes(certificate);
    row.subject = subject;
    row.not_before = time(not_before);
    row.not_after = time(not_after);
    row.transaction_id = transaction_id;
    row.request_digest = from_hex(request_digest).value_or(Bytes{});
    row.issued_at = time(issued_at);
    if (revoked_at != 0) row.revoked_at = time(revoked_at);
    row.reason = static_cast<x509::RevocationReason>(reason);
    row.granted_as = static_cast<RequestClass>(granted_as);
    return row;
  }
  void exchange_into(soci::statement& statement) {
    statement.exchange(into(serial));
    statement.exchange(into(generation));
    statement.exchange(into(certificate));
    statement.exchange(into(subject));
    statement.exchange(into(not_before));
    statement.exchange(into(not_after));
    statement.exchange(into(transaction_id));
    statement.exchange(into(request_digest));
    statement.exchange(into(issued_at));
    statement.exchange(into(revoked_at));
    statement.exchange(into(reason));
    statement.exchange(into(granted_as));
  }
};

struct RequestColumns {
  Integer id = 0, request_class = 0, state = 0, generation = 0, renewal = 0, received_at = 0,
          signed_by = 0, fail_info = 0;
  std::string transaction_id, request_digest, request, signer, granted_serial, refusal_text,
      certificate;

  [[nodiscard]] EnrollmentRequest give(const std::string& of) const {
    EnrollmentRequest row;
    row.server = of;
    row.id = static_cast<std::uint64_t>(id);
    row.request_class = static_cast<RequestClass>(request_class);
    row.state = static_cast<RequestState>(state);
    row.transaction_id = transaction_id;
    row.request_digest = from_hex(request_digest).value_or(Bytes{});
    row.request = bytes(request);
    row.signer = bytes(signer);
    row.generation = static_cast<std::uint32_t>(generation);
    row.renewal = renewal != 0;
    row.received_at = time(received_at);
    if (!granted_serial.empty()) row.granted_serial = serial(granted_serial);
    row.refusal_text = refusal_text;
    row.signed_by = static_cast<std::uint32_t>(signed_by);
    row.certificate = bytes(certificate);
    if (fail_info >= 0) row.fail_info = static_cast<std::uint8_t>(fail_info);
    return row;
  }
  void exchange_into(soci::statement& statement) {
    statement.exchange(into(id));
    statement.exchange(into(request_class));
    statement.exchange(into(state));
    statement.exchange(into(transaction_id));
    statement.exchange(into(request_digest));
    statement.exchange(into(request));
    statement.exchange(into(signer));
    statement.exchange(into(generation));
    statement.exchange(into(renewal));
    statement.exchange(into(received_at));
    statement.exchange(into(granted_serial));
    statement.exchange(into(refusal_text));
    statement.exchange(into(signed_by));
    statement.exchange(into(certificate));
    statement.exchange(into(fail_info));
  }
};

struct FlagColumn {
  int value = 0;

  [[nodiscard]] bool give(const std::string&) const { return value != 0; }
  void exchange_into(soci::statement& statement) { statement.exchange(into(value)); }
};

/// A query whose text is prepared once, whose inputs and outputs are members.
template <class Columns>
struct Query {
  Query(soci::session& sql, const std::string& query, std::initializer_list<std::string*> inputs)
      : statement(sql) {
    for (std::string* input : inputs) statement.exchange(use(*input));
    columns.exchange_into(statement);
    statement.alloc();
    statement.prepare(query);
    statement.define_and_bind();
  }
  /// The first row; the rest is read away, since a statement that still has rows keeps its old view
  /// of the database.
  template <class Row>
  std::optional<Row> first(const std::string& server) {
    std::optional<Row> found;
    statement.execute(false);
    while (statement.fetch()) {
      if (!found) found = columns.give(server);
    }
    return found;
  }
  Columns columns;
  soci::statement statement;
};

template <class Columns, class Row>
std::vector<Row> all_rows(soci::session& sql, const std::string& server, const std::string& query,
                          std::initializer_list<std::string*> inputs) {
  Query<Columns> prepared(sql, query, inputs);
  std::vector<Row> rows;
  prepared.statement.execute(false);
  while (prepared.statement.fetch()) rows.push_back(prepared.columns.give(server));
  return rows;
}

}  // namespace

struct RowWriter::Prepared {
  explicit Prepared(soci::session& sql)
      : insert(sql), put_server(sql), require_generation(sql), outbox(sql) {
    CertificateColumns& c = certificate;
    for (auto* field : {&c.server, &c.serial}) insert.exchange(use(*field));
    insert.exchange(use(c.generation));
    for (auto* field : {&c.certificate, &c.subject}) insert.exchange(use(*field));
    for (auto* field : {&c.not_before, &c.not_after}) insert.exchange(use(*field));
    for (auto* field : {&c.transaction_id, &c.request_digest}) insert.exchange(use(*field));
    for (auto* field : {&c.issued_at, &c.revoked_at, &c.reason, &c.granted_as})
      insert.exchange(use(*field));
    insert.alloc();
    insert.prepare("INSERT INTO certificate VALUES (:a,:b,:c,:d,:e,:f,:g,:h,:i,:j,:k,:l,:m)");
    insert.define_and_bind();
    put_server.exchange(use(name));
    for (auto* field : {&last_serial, &serial_lease, &next_request_id, &crl_number, &cancelled,
                        &last_generation, &serial_start})
      put_server.exchange(use(*field));
    put_server.exchange(use(random_serial));
    put_server.alloc();
    // Not INSERT OR REPLACE, which takes the row out of its index and puts it in again.
    put_server.prepare(
        "INSERT INTO server VALUES (:a,:b,:c,:d,:e,:f,:g,:h,:i) ON CONFLICT (name) DO UPDATE SET "
        "last_serial=excluded.last_serial, serial_lease=excluded.serial_lease, "
        "next_request_id=excluded.next_request_id, crl_number=excluded.crl_number, "
        "rollover_cancelled=excluded.rollover_cancelled, "
        "last_generation=excluded.last_generation, serial_start=excluded.serial_start, "
        "random_serial=excluded.random_serial");
    put_server.define_and_bind();
    require_generation.exchange(use(name));
    require_generation.exchange(use(generation));
    require_generation.exchange(into(found));
    require_generation.alloc();
    require_generation.prepare("SELECT count(*) FROM generation WHERE server=:a AND number=:b");
    require_generation.define_and_bind();
  }
  CertificateColumns certificate;
  soci::statement insert;
  std::string name, random_serial;
  Integer last_serial = 0, serial_lease = 0, next_request_id = 0, crl_number = 0, cancelled = 0,
          last_generation = 0, serial_start = 0;
  soci::statement put_server;
  Integer generation = 0, found = 0;
  soci::statement require_generation;
  OutboxWriter outbox;
};

RowWriter::RowWriter(soci::session& sql) : sql_(sql), prepared_(std::make_unique<Prepared>(sql)) {}
RowWriter::~RowWriter() = default;

namespace {

struct Writer {
  soci::session& sql;

  void put(const CaGeneration& row) const {
    const Integer number = row.number;
    const auto status = static_cast<Integer>(row.status);
    const std::string certificate = text(row.certificate);
    const std::string key = text(row.sealed_key);
    const Integer created = seconds(row.created_at);
    const std::string exchange = text(row.exchange_certificate);
    const std::string exchange_key = text(row.sealed_exchange_key);
    // Not INSERT OR REPLACE: that would silently push out another generation of the same status.
    sql << "INSERT INTO generation VALUES (:a,:b,:c,:d,:e,:f,:g,:h) ON CONFLICT (server, number) "
           "DO "
           "UPDATE SET status=excluded.status, certificate=excluded.certificate, "
           "sealed_key=excluded.sealed_key, created_at=excluded.created_at, "
           "exchange_certificate=excluded.exchange_certificate, "
           "sealed_exchange_key=excluded.sealed_exchange_key",
        use(row.server), use(number), use(status), use(certificate), use(key), use(created),
        use(exchange), use(exchange_key);
  }
  void put(const EnrollmentRequest& row) const {
    const auto id = static_cast<Integer>(row.id);
    const auto request_class = static_cast<Integer>(row.request_class);
    const auto state = static_cast<Integer>(row.state);
    const std::string digest = to_hex(row.request_digest);
    const std::string request = text(row.request);
    const std::string signer = text(row.signer);
    const Integer generation = row.generation;
    const Integer renewal = row.renewal ? 1 : 0;
    const Integer received = seconds(row.received_at);
    const std::string granted = row.granted_serial ? text(*row.granted_serial) : "";
    const Integer signed_by = row.signed_by;
    const std::string certificate = text(row.certificate);
    const Integer fail_info = row.fail_info ? Integer{*row.fail_info} : -1;
    sql << "INSERT OR REPLACE INTO request VALUES "
           "(:a,:b,:c,:d,:e,:f,:g,:h,:i,:j,:k,:l,:m,:n,:o,:p)",
        use(row.server), use(id), use(request_class), use(state), use(row.transaction_id),
        use(digest), use(request), use(signer), use(generation), use(renewal), use(received),
        use(granted), use(row.refusal_text), use(signed_by), use(certificate), use(fail_info);
  }
  void put(const TrustpointRow& row) const {
    const std::string ca = text(row.ca_certificate), ra = text(row.ra_certificates),
                      identity = text(row.identity), key = text(row.sealed_key),
                      rollover_ca = text(row.rollover_ca_certificate),
                      rollover_ra = text(row.rollover_ra_certificates),
                      rollover_identity = text(row.rollover_identity),
                      shadow_key = text(row.sealed_shadow_key), request = text(row.request),
                      signer = text(row.request_signer),
                      previous = text(row.previous_ca_certificate);
    const Integer known = row.capabilities_known ? 1 : 0, phase = row.phase,
                  kind = row.request_kind, since = row.since ? seconds(*row.since) : 0,
                  tries = row.tries, failing = row.failing ? 1 : 0,
                  exportable = row.exportable ? 1 : 0;
    sql << "INSERT OR REPLACE INTO trustpoint VALUES "
           "(:a,:b,:c,:d,:e,:f,:g,:h,:i,:j,:k,:l,:m,:n,:o,:p,:q,:r,:s,:t,:u,:v,:w,:x,:y)",
        use(row.name), use(ca), use(ra), use(row.capabilities), use(known), use(identity), use(key),
        use(rollover_ca), use(rollover_identity), use(shadow_key), use(phase), use(kind),
        use(row.transaction_id), use(request), use(signer), use(since), use(tries), use(failing),
        use(row.last_status), use(rollover_ra), use(row.announced), use(previous),
        use(row.enrollment_url), use(exportable), use(row.held_since);
  }
};

}  // namespace

void RowWriter::apply(const Change& change) {
  const Writer writer{sql_};
  if (const auto* put_server = std::get_if<PutServer>(&change)) {
    Prepared& p = *prepared_;
    p.name = put_server->row.server;
    p.last_serial = static_cast<Integer>(put_server->row.last_serial);
    p.serial_lease = static_cast<Integer>(put_server->row.serial_lease);
    p.next_request_id = static_cast<Integer>(put_server->row.next_request_id);
    p.crl_number = static_cast<Integer>(put_server->row.crl_number);
    p.cancelled = put_server->row.rollover_cancelled ? 1 : 0;
    p.last_generation = put_server->row.last_generation;
    p.serial_start = static_cast<Integer>(put_server->row.serial_start);
    p.random_serial =
        put_server->row.random_serial == x509::Serial() ? "" : text(put_server->row.random_serial);
    p.put_server.execute(true);
  } else if (const auto* insert = std::get_if<InsertCertificate>(&change)) {
    prepared_->certificate.take(insert->row);
    prepared_->insert.execute(true);
  } else if (const auto* generation = std::get_if<PutGeneration>(&change)) {
    writer.put(generation->row);
  } else if (const auto* drop = std::get_if<DropGeneration>(&change)) {
    const Integer number = drop->number;
    sql_ << "DELETE FROM generation WHERE server=:a AND number=:b", use(drop->server), use(number);
  } else if (const auto* revoke = std::get_if<RevokeCertificate>(&change)) {
    const std::string serial = text(revoke->serial);
    const Integer at = seconds(revoke->at);
    const auto reason = static_cast<Integer>(revoke->reason);
    sql_ << "UPDATE certificate SET revoked_at=:a, reason=:b WHERE server=:c AND serial=:d AND "
            "revoked_at=0",
        use(at), use(reason), use(revoke->server), use(serial);
  } else if (const auto* restore = std::get_if<RestoreCertificate>(&change)) {
    const std::string serial = text(restore->serial);
    sql_ << "UPDATE certificate SET revoked_at=0, reason=0 WHERE server=:a AND serial=:b",
        use(restore->server), use(serial);
  } else if (const auto* request = std::get_if<PutRequest>(&change)) {
    writer.put(request->row);
  } else if (const auto* drop_request = std::get_if<DropRequest>(&change)) {
    const auto id = static_cast<Integer>(drop_request->id);
    sql_ << "DELETE FROM request WHERE server=:a AND id=:b", use(drop_request->server), use(id);
  } else if (const auto* crl = std::get_if<PutCrl>(&change)) {
    put_crl(sql_, *crl);
  } else if (const auto* part = std::get_if<PutCrlPart>(&change)) {
    put_crl_part(sql_, *part);
  } else if (const auto* require = std::get_if<RequireGeneration>(&change)) {
    Prepared& p = *prepared_;
    p.name = require->server;
    p.generation = require->number;
    p.require_generation.execute(true);
    const bool there = p.found != 0;
    while (p.require_generation.fetch()) {
    }
    if (!there) throw Contradiction("the CA this was issued by has been taken back");
  } else if (const auto* trustpoint = std::get_if<PutTrustpoint>(&change)) {
    writer.put(trustpoint->row);
  } else if (!prepared_->outbox.apply(change)) {
    apply_service(sql_, change);
  }
}

struct RowReader::Prepared {
  explicit Prepared(soci::session& sql)
      : by_serial(sql, std::string(certificate_columns) + "WHERE server=:a AND serial=:b",
                  {&server, &key}),
        by_content(sql,
                   std::string(certificate_columns) +
                       "WHERE server=:a AND transaction_id=:b AND request_digest=:c ORDER BY "
                       "rowid DESC LIMIT 1",
                   {&server, &key, &digest}),
        by_transaction(sql,
                       std::string(request_columns) +
                           "WHERE server=:a AND transaction_id=:b ORDER BY id DESC LIMIT 1",
                       {&server, &key}),
        revoked(sql,
                "SELECT EXISTS (SELECT 1 FROM certificate WHERE server=:a AND request_digest=:b "
                "AND revoked_at<>0)",
                {&server, &digest}),
        anything(sql,
                 "SELECT EXISTS (SELECT 1 FROM certificate WHERE server=?1 AND transaction_id=?2 "
                 "AND request_digest=?3) "
                 "OR EXISTS (SELECT 1 FROM request WHERE server=?1 AND transaction_id=?2) "
                 "OR EXISTS (SELECT 1 FROM certificate WHERE server=?1 AND request_digest=?3 AND "
                 "revoked_at<>0)"),
        begin(sql, "BEGIN"),
        end(sql, "COMMIT") {}
  std::string server, key, digest;
  Query<CertificateColumns> by_serial;
  Query<CertificateColumns> by_content;
  Query<RequestColumns> by_transaction;
  Query<FlagColumn> revoked;
  Probe anything;  ///< of what `known` is asked for, but for the signer
  Verb begin, end;
};

RowReader::RowReader(soci::session& sql) : sql_(sql), prepared_(std::make_unique<Prepared>(sql)) {}
RowReader::~RowReader() = default;

std::optional<ServerRow> RowReader::server(const std::string& server) {
  Integer last = 0, lease = 0, next = 0, crl_number = 0, cancelled = 0, last_generation = 0,
          start = 0;
  std::string drawn;
  sql_ << "SELECT last_serial, serial_lease, next_request_id, crl_number, rollover_cancelled, "
          "last_generation, serial_start, random_serial FROM server WHERE name=:a",
      use(server), into(last), into(lease), into(next), into(crl_number), into(cancelled),
      into(last_generation), into(start), into(drawn);
  if (!sql_.got_data()) return std::nullopt;
  return ServerRow{server,
                   static_cast<std::uint64_t>(last),
                   static_cast<std::uint64_t>(lease),
                   static_cast<std::uint64_t>(next),
                   static_cast<std::uint64_t>(crl_number),
                   cancelled != 0,
                   static_cast<std::uint32_t>(last_generation),
                   static_cast<std::uint64_t>(start),
                   drawn.empty() ? x509::Serial() : serial(drawn)};
}

std::vector<CaGeneration> RowReader::generations(const std::string& server) {
  std::vector<CaGeneration> rows;
  Integer number = 0, status = 0, created = 0;
  std::string certificate, key, exchange, exchange_key;
  soci::statement statement =
      (sql_.prepare << "SELECT number, status, certificate, sealed_key, created_at, "
                       "exchange_certificate, sealed_exchange_key FROM generation WHERE server=:a "
                       "ORDER BY number",
       use(server), into(number), into(status), into(certificate), into(key), into(created),
       into(exchange), into(exchange_key));
  statement.execute();
  while (statement.fetch()) {
    rows.push_back({server, static_cast<std::uint32_t>(number),
                    static_cast<GenerationStatus>(status), bytes(certificate), bytes(key),
                    time(created), bytes(exchange), bytes(exchange_key)});
  }
  return rows;
}

std::optional<IssuedCertificate> RowReader::certificate(const std::string& server,
                                                        const x509::Serial& serial) {
  prepared_->server = server;
  prepared_->key = text(serial);
  return prepared_->by_serial.first<IssuedCertificate>(server);
}

Known RowReader::known(const Asked& asked) {
  Prepared& p = *prepared_;
  p.server = asked.server;
  p.key = asked.transaction_id;
  p.digest = to_hex(asked.request_digest);
  Known known;
  // As nearly always. All of it is asked for again where there is something: at one moment.
  if (!p.anything({p.server, p.key, p.digest})) {
    if (asked.signer) known.signer = certificate(asked.server, *asked.signer);
    return known;
  }
  p.begin();
  known.issued = p.by_content.first<IssuedCertificate>(asked.server);
  known.queued = p.by_transaction.first<EnrollmentRequest>(asked.server);
  known.answer_revoked = p.revoked.first<bool>(asked.server).value_or(false);
  if (asked.signer) known.signer = certificate(asked.server, *asked.signer);
  p.end();
  return known;
}

std::vector<IssuedCertificate> RowReader::certificates(const std::string& server,
                                                       const x509::Serial& after,
                                                       std::size_t limit) {
  std::string name = server;
  std::string key = text(after);
  return all_rows<CertificateColumns, IssuedCertificate>(
      sql_, server,
      std::string(certificate_columns) + "WHERE server=:a AND serial>:b ORDER BY serial LIMIT " +
          std::to_string(limit),
      {&name, &key});
}

std::vector<EnrollmentRequest> RowReader::requests(const std::string& server) {
  std::string name = server;
  return all_rows<RequestColumns, EnrollmentRequest>(
      sql_, server, std::string(request_columns) + "WHERE server=:a ORDER BY id DESC", {&name});
}

std::optional<EnrollmentRequest> RowReader::request(const std::string& server, std::uint64_t id) {
  std::string name = server;
  const auto rows = all_rows<RequestColumns, EnrollmentRequest>(
      sql_, server, std::string(request_columns) + "WHERE server=:a AND id=" + std::to_string(id),
      {&name});
  if (rows.empty()) return std::nullopt;
  return rows.front();
}

std::optional<EnrollmentRequest> RowReader::request_of(const std::string& server,
                                                       const std::string& transaction_id) {
  prepared_->server = server;
  prepared_->key = transaction_id;
  return prepared_->by_transaction.first<EnrollmentRequest>(server);
}

std::size_t RowReader::pending_count(const std::string& server) {
  Integer count = 0;
  sql_ << "SELECT count(*) FROM request WHERE server=:a AND state=2", use(server), into(count);
  return static_cast<std::size_t>(count);
}

std::optional<TrustpointRow> RowReader::trustpoint(const std::string& name) {
  TrustpointRow row;
  std::string ca, ra, rollover_ra, identity, key, rollover_ca, rollover_identity, shadow_key,
      request, signer, previous;
  Integer known = 0, phase = 0, kind = 0, since = 0, tries = 0, failing = 0, exportable = 0;
  sql_ << "SELECT ca_certificate, ra_certificates, capabilities, capabilities_known, identity, "
          "sealed_key,"
          " rollover_ca_certificate, rollover_identity, sealed_shadow_key, phase, request_kind, "
          "transaction_id, request,"
          " request_signer, since, tries, failing, last_status, rollover_ra_certificates, "
          "announced, previous_ca_certificate, enrollment_url, exportable, held_since FROM "
          "trustpoint WHERE name=:a",
      use(name), into(ca), into(ra), into(row.capabilities), into(known), into(identity), into(key),
      into(rollover_ca), into(rollover_identity), into(shadow_key), into(phase), into(kind),
      into(row.transaction_id), into(request), into(signer), into(since), into(tries),
      into(failing), into(row.last_status), into(rollover_ra), into(row.announced), into(previous),
      into(row.enrollment_url), into(exportable), into(row.held_since);
  if (!sql_.got_data()) return std::nullopt;
  row.name = name;
  row.ca_certificate = bytes(ca);
  row.ra_certificates = bytes(ra);
  row.capabilities_known = known != 0;
  row.identity = bytes(identity);
  row.sealed_key = bytes(key);
  row.rollover_ca_certificate = bytes(rollover_ca);
  row.previous_ca_certificate = bytes(previous);
  row.rollover_ra_certificates = bytes(rollover_ra);
  row.rollover_identity = bytes(rollover_identity);
  row.sealed_shadow_key = bytes(shadow_key);
  row.phase = static_cast<std::uint8_t>(phase);
  row.request_kind = static_cast<std::uint8_t>(kind);
  row.request = bytes(request);
  row.request_signer = bytes(signer);
  if (since != 0) row.since = time(since);
  row.tries = static_cast<std::uint32_t>(tries);
  row.failing = failing != 0;
  row.exportable = exportable != 0;
  return row;
}

}  // namespace umbra::store
