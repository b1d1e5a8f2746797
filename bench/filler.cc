#include "filler.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "process.h"

namespace umbra::bench {
namespace {

class Database {
 public:
  explicit Database(const std::string& path) {
    if (sqlite3_open(path.c_str(), &database_) != SQLITE_OK) stop("cannot open " + path);
  }
  ~Database() { sqlite3_close(database_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void run(const std::string& statement) const {
    if (sqlite3_exec(database_, statement.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
      stop(statement + ": " + sqlite3_errmsg(database_));
  }
  [[nodiscard]] std::vector<std::string> column(const std::string& query) const {
    std::vector<std::string> out;
    sqlite3_stmt* const statement = prepared(query);
    while (sqlite3_step(statement) == SQLITE_ROW)
      out.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
    sqlite3_finalize(statement);
    return out;
  }
  [[nodiscard]] sqlite3_stmt* prepared(const std::string& query) const {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(database_, query.c_str(), -1, &statement, nullptr) != SQLITE_OK)
      stop(query + ": " + sqlite3_errmsg(database_));
    return statement;
  }
  [[nodiscard]] std::string error() const { return sqlite3_errmsg(database_); }

 private:
  sqlite3* database_ = nullptr;
};

/// Digits of the name that is replaced in each copy.
constexpr std::string_view digits = "0000000000";

/// What a device of the CA has, signed by nobody who counts.
Bytes template_certificate(const x509::Certificate& ca, std::uint64_t serial) {
  const auto key = must(x509::PrivateKey::generate_rsa(2048), "key");
  return to_bytes(
      must(x509::sign_certificate(
               {.serial = x509::Serial(serial),
                .issuer = ca.subject(),
                .subject =
                    must(x509::Name::from_ios(fmt::format("CN=device-{},O=Umbra", digits)), "name"),
                .not_before = ca.not_before(),
                .not_after = ca.not_before() + Days{365},
                .spki = to_bytes(key.public_key().spki()),
                .extensions = {x509::key_usage({0xA0, true})}},
               key, x509::Digest::sha256),
           "template")
          .der());
}

std::size_t place_of(const Bytes& in, ByteView what) {
  const auto found = std::search(in.begin(), in.end(), what.begin(), what.end());
  if (found == in.end()) stop("the template is not what it should be");
  return static_cast<std::size_t>(found - in.begin());
}

/// Like what clients send, and in no order: SHA-256's octets for numbers in a row.
Bytes scattered(std::uint64_t number) {
  return x509::hash(x509::Digest::sha256, as_bytes(std::to_string(number)));
}

void insert_all(const Database& database, const x509::Certificate& ca, std::uint64_t first,
                std::size_t count, bool revoked) {
  // Eight octets, and the first of them not zero: every copy has the length of the first.
  Bytes certificate = template_certificate(ca, first);
  const auto octets = [](std::uint64_t number) {
    Bytes out;
    for (int shift = 56; shift >= 0; shift -= 8)
      out.push_back(static_cast<std::uint8_t>(number >> shift));
    return out;
  };
  const std::size_t serial_at = place_of(certificate, octets(first));
  const std::size_t name_at = place_of(certificate, as_bytes(digits));
  sqlite3_stmt* const insert = database.prepared(
      "INSERT INTO certificate (server, serial, generation, certificate, subject, not_before, "
      "not_after, transaction_id, request_digest, issued_at, revoked_at, reason, class) "
      "VALUES ('BENCH', ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 3)");
  const auto text = [&](int column, const std::string& value) {
    sqlite3_bind_text(insert, column, value.c_str(), static_cast<int>(value.size()),
                      SQLITE_TRANSIENT);
  };
  const auto begins = ca.not_before().time_since_epoch().count();
  for (std::size_t i = 0; i < count; ++i) {
    const auto serial = octets(first + i);
    const std::string number = fmt::format("{:0{}}", i, digits.size());
    std::copy(serial.begin(), serial.end(),
              certificate.begin() + static_cast<std::ptrdiff_t>(serial_at));
    std::copy(number.begin(), number.end(),
              certificate.begin() + static_cast<std::ptrdiff_t>(name_at));
    const Bytes digest = scattered(i);
    text(1, std::string(24, '0') + to_hex(serial));
    text(2, to_base64(certificate));
    text(3, fmt::format("cn=device-{},o=Umbra", number));
    sqlite3_bind_int64(insert, 4, begins);
    sqlite3_bind_int64(insert, 5, begins + 365 * 86400);
    text(6, to_hex(digest).substr(0, 40));
    text(7, to_hex(digest));
    sqlite3_bind_int64(insert, 8, begins);
    sqlite3_bind_int64(insert, 9, revoked ? begins + static_cast<long>(i % 86400) : 0);
    sqlite3_bind_int64(insert, 10, revoked && i % 4 == 0 ? 1 : 0);  // keyCompromise
    if (sqlite3_step(insert) != SQLITE_DONE) stop("filling the store: " + database.error());
    sqlite3_reset(insert);
  }
  sqlite3_finalize(insert);
}

}  // namespace

Filled fill(const std::string& path, const x509::Certificate& ca, std::size_t count, bool revoked) {
  const auto begun = Clock::now();
  const std::uint64_t first = std::uint64_t{1} << 56;
  {
    const Database database(path);
    // Nobody minds if this database is lost half-way.
    for (const char* pragma : {"PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF",
                               "PRAGMA cache_size=-262144", "PRAGMA temp_store=FILE"})
      database.run(pragma);
    const std::string of_certificates = "type='index' AND tbl_name='certificate' AND sql NOT NULL";
    const auto names = database.column("SELECT name FROM sqlite_master WHERE " + of_certificates);
    const auto indices = database.column("SELECT sql FROM sqlite_master WHERE " + of_certificates);
    // Built at the end, and sorted, they cost a tenth.
    for (const auto& name : names) database.run("DROP INDEX " + name);
    database.run("BEGIN");
    insert_all(database, ca, first, count, revoked);
    database.run(
        fmt::format("UPDATE server SET last_serial={0}, serial_lease={0}", first + count - 1));
    database.run("COMMIT");
    for (const auto& index : indices) database.run(index);
    database.run("PRAGMA journal_mode=WAL");
  }
  // Gigabytes on their way to the disk would be in the way of what is measured then.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 || ::fsync(file) != 0) stop("cannot write " + path + " to the disk");
  ::close(file);
  return {seconds_since(begun), static_cast<double>(std::filesystem::file_size(path)) / 1e9};
}

}  // namespace umbra::bench
