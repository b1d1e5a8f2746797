// A real server's store, sound and then tampered with: what is found, and that nothing else is.

#include "verify/verify.h"

#include <gmock/gmock.h>
#include <sqlite3.h>

#include "lab_passphrase.h"
#include "server/lab_test.h"
#include "store/examiner.h"

namespace umbra::server {
namespace {

using lab::day;
using lab::Device;
using lab::zero;

class VerifyTest : public lab::ServerTest {
 protected:
  /// Three devices, one of them revoked; one that waits; the next CA, and a shadow certificate.
  void live() {
    configuration.grant = config::Grant::automatic;
    start();
    granted(enroll(Device("CN=a")));
    go_to(day(660));  // 3 is the next CA
    granted(enroll(Device("CN=b")));
    granted(enroll(Device("CN=c")));
    ASSERT_TRUE(server->revoke(x509::Serial(5), x509::RevocationReason::key_compromise));
    configuration.grant = config::Grant::manual;
    start();
    EXPECT_EQ(enroll(Device("CN=d")).reply.status, scep::PkiStatus::pending);
    ASSERT_TRUE(server->status().rollover);
  }
  void leave() {
    server.reset();
    store.reset();
  }
  void keep() { std::filesystem::copy_file(path(), path() + ".sound"); }
  void tamper(const std::string& sql) {
    std::filesystem::copy_file(path() + ".sound", path(),
                               std::filesystem::copy_options::overwrite_existing);
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
    char* why = nullptr;
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &why), SQLITE_OK) << why;
    EXPECT_GT(sqlite3_total_changes(database), 0) << "it changes something: " << sql;
    sqlite3_close(database);
  }
  [[nodiscard]] std::string path() const { return directory + "/umbra.db"; }
  [[nodiscard]] verify::Report check(std::optional<std::string> passphrase = lab_passphrase) const {
    const auto examiner = store::Examiner::open(path(), false);
    EXPECT_TRUE(examiner) << examiner.error().detail;
    return verify::verify(**examiner, {std::move(passphrase), 2});
  }
};

TEST_F(VerifyTest, ASoundStoreIsSilentThroughoutItsLife) {
  live();
  leave();
  const auto before = std::filesystem::last_write_time(path());
  auto report = check();
  EXPECT_EQ(verify::to_text(report, "S"),
            "S: 1 certificate server, 5 certificates, 1 request, 0 trustpoints, 2 keys opened; "
            "sound\n");
  EXPECT_EQ(std::filesystem::last_write_time(path()), before);
  EXPECT_FALSE(std::filesystem::exists(path() + "-shm")) << "it is read without a trace";
  EXPECT_THAT(verify::to_json(report, "S"), testing::HasSubstr("\"sound\": true"));
  start();
  go_to(day(735));  // the next CA has taken over
  EXPECT_EQ(enroll(Device("CN=e")).reply.status, scep::PkiStatus::pending);
  ASSERT_TRUE(server->grant(std::nullopt));
  granted(poll(Device("CN=e")));
  leave();
  EXPECT_EQ(check().findings.size(), 0U) << verify::to_text(check(), "S");
}

TEST_F(VerifyTest, AServerWithAnEllipticKeyAndSerialsByChanceIsSoundToo) {
  configuration.ec_bits = 256;
  configuration.serial_random = true;
  start();
  leave();
  const auto report = check();
  EXPECT_EQ(report.findings.size(), 0U) << verify::to_text(report, "S");
  EXPECT_EQ(report.keys, 2U) << "the CA's, and the one SCEP needs";
}

TEST_F(VerifyTest, WhatAProcessThatDiedLeftInItsLogIsSeen) {
  start();
  granted(enroll(Device("CN=a")));
  // As it lies on the disk while the process has it open.
  const std::string copy = directory + "/copy.db";
  std::filesystem::copy_file(path(), copy);
  std::filesystem::copy_file(path() + "-wal", copy + "-wal");
  const auto examiner = store::Examiner::open(copy, false);
  ASSERT_TRUE(examiner) << examiner.error().detail;
  const auto report = verify::verify(**examiner, {lab_passphrase, 1});
  EXPECT_EQ(report.findings.size(), 0U) << verify::to_text(report, "S");
  EXPECT_EQ(report.certificates, 2U);
  // And beside a process that writes.
  const auto beside = store::Examiner::open(path(), true);
  ASSERT_TRUE(beside);
  granted(enroll(Device("CN=b")));
  EXPECT_EQ(verify::verify(**beside, {lab_passphrase, 1}).certificates, 2U) << "one moment's";
}

struct Damage {
  const char* sql;
  const char* rule;
  const char* where;
  const char* what;
};

// Written as whoever has the file and a SQLite shell could.
const Damage damages[] = {
    {"UPDATE certificate SET certificate=(SELECT certificate FROM certificate WHERE serial LIKE "
     "'%4') WHERE serial LIKE '%2'",
     "row", "certificate 0x2 of ROOTCA", "0x4"},
    {"UPDATE certificate SET certificate=substr(certificate, 1, 40) WHERE serial LIKE '%4'",
     "certificate-unreadable", "certificate 0x4 of ROOTCA", "no certificate"},
    {"UPDATE certificate SET certificate='!' || certificate WHERE serial LIKE '%4'", "damage",
     "4 of ROOTCA", "its certificate is not base64"},
    {"UPDATE certificate SET certificate=substr(certificate, 1, length(certificate)-20) || 'AAAA' "
     "|| "
     "substr(certificate, length(certificate)-15) WHERE serial LIKE '%4'",
     "chain", "certificate 0x4 of ROOTCA", "CA generation 1 has not signed it"},
    {"UPDATE certificate SET not_after=not_after+1 WHERE serial LIKE '%4'", "row",
     "certificate 0x4 of ROOTCA", "another certificate"},
    {"UPDATE certificate SET subject='cn=nobody' WHERE serial LIKE '%4'", "row",
     "certificate 0x4 of ROOTCA", "cn=b"},
    {"UPDATE certificate SET generation=7 WHERE serial LIKE '%4'", "chain",
     "certificate 0x4 of ROOTCA", "generation 7, which is not there"},
    {"UPDATE certificate SET generation=2 WHERE serial LIKE '%4'", "chain",
     "certificate 0x4 of ROOTCA", "CA generation 2 has not signed it"},
    {"UPDATE certificate SET revoked_at=0 WHERE serial LIKE '%5'", "not-revoked",
     "certificate 0x5 of ROOTCA", "the database does not"},
    {"UPDATE certificate SET revoked_at=issued_at WHERE serial LIKE '%4'", "not-on-crl",
     "certificate 0x4 of ROOTCA", "does not say so"},
    {"DELETE FROM certificate WHERE revoked_at<>0", "certificate-missing",
     "certificate 0x5 of ROOTCA", "not in the database"},
    {"UPDATE server SET last_serial=2, serial_lease=3", "serial-lease", "certificate 0x5 of ROOTCA",
     "above 0x3"},
    {"UPDATE server SET crl_number=0", "counters", "CRL", "go back"},
    {"UPDATE server SET last_generation=1", "counters", "ROOTCA", "counts 1 CAs and has number 2"},
    {"UPDATE server SET next_request_id=1", "counters", "request 1 of ROOTCA", "stands at 1"},
    {"DELETE FROM server", "counters", "ROOTCA", "no row"},
    {"UPDATE generation SET status=3 WHERE status=2", "one-active", "ROOTCA", "0 active CAs"},
    {"UPDATE generation SET sealed_key=(SELECT sealed_key FROM generation WHERE number=2) WHERE "
     "number=1",
     "key", "generation 1 of ROOTCA", "not the one in its certificate"},
    {"UPDATE generation SET sealed_key='' WHERE number=1", "key", "generation 1 of ROOTCA",
     "no key"},
    {"UPDATE generation SET certificate=substr(certificate, 1, length(certificate)-20) || 'AAAA' "
     "|| "
     "substr(certificate, length(certificate)-15) WHERE number=2",
     "chain", "generation 2 of ROOTCA", "not signed by its own key"},
    {"UPDATE generation SET sealed_key='#' WHERE number=2", "damage", "generation 2 of ROOTCA",
     "sealed_key is not base64"},
    {"UPDATE crl SET crl=substr(crl, 1, length(crl)-20) || 'AAAA' || substr(crl, length(crl)-15)",
     "crl-signature", "of generation 1 of ROOTCA", "has not signed it"},
    {"UPDATE crl SET crl=substr(crl, 1, 80)", "crl-unreadable", "of generation 1 of ROOTCA",
     "it is none"},
    {"UPDATE crl SET this_update=this_update+1", "crl-unreadable", "of generation 1 of ROOTCA",
     "another one"},
    {"DELETE FROM crl", "crl-missing", "generation 1 of ROOTCA", "no CRL"},
    {"UPDATE request SET request=substr(request, 1, 80)", "request-unreadable",
     "request 1 of ROOTCA", "no PKCS #10"},
    {"UPDATE request SET signer='MAA='", "request-unreadable", "request 1 of ROOTCA",
     "who signed it"},
    {"UPDATE request SET generation=9", "request-unreadable", "request 1 of ROOTCA",
     "generation 9, which is not there"},
    {"UPDATE request SET state=3, granted_serial='0000000000000000000000000000000000000099'",
     "certificate-missing", "request 1 of ROOTCA", "0x99"},
    {"INSERT INTO outbox VALUES ('ROOTCA', 1, 77, '99')", "certificate-missing",
     "file 77 in the outbox of ROOTCA", "0x99"},
    {"INSERT INTO trustpoint SELECT 'TP', '', '', '', 0, 'MAA=', '', '', '', '', 0, 0, '', '', '', "
     "0, 0, 0, '', '', '', '', '', 0, ''",
     "certificate-unreadable", "trustpoint TP", "no certificate"},
    {"INSERT INTO trustpoint SELECT 'TP', (SELECT certificate FROM generation WHERE number=2), '', "
     "'', 0, certificate, (SELECT sealed_key FROM generation WHERE number=1), '', '', '', 0, 0, "
     "'', "
     "'', '', 0, 0, 0, '', '', '', '', '', 0, '' FROM certificate WHERE serial LIKE '%1'",
     "chain", "trustpoint TP", "not signed by its CA"},
    {"INSERT INTO key_pair VALUES ('K', 'MAA=', 0, 0)", "key", "key pair K", "cannot be opened"},
    {"CREATE TABLE other AS SELECT * FROM certificate; DROP TABLE certificate; ALTER TABLE other "
     "RENAME TO certificate; INSERT INTO certificate SELECT * FROM certificate WHERE serial LIKE "
     "'%4'",
     "serial-twice", "4 of ROOTCA", "two certificates"},
};

TEST_F(VerifyTest, EveryKindOfTamperingIsNamedWithItsPlaceAndRemedy) {
  live();
  leave();
  keep();
  for (const Damage& damage : damages) {
    SCOPED_TRACE(damage.sql);
    tamper(damage.sql);
    // Opening keys is what takes time.
    const bool of_a_key = std::string_view(damage.rule) == "key";
    const auto report = check(of_a_key ? std::optional<std::string>(lab_passphrase) : std::nullopt);
    const auto found =
        std::find_if(report.findings.begin(), report.findings.end(), [&](const auto& one) {
          return one.rule == damage.rule && one.where.find(damage.where) != std::string::npos &&
                 one.what.find(damage.what) != std::string::npos;
        });
    EXPECT_NE(found, report.findings.end()) << verify::to_text(report, "S");
    EXPECT_GT(report.errors + report.warnings, 0U);
    for (const auto& one : report.findings) EXPECT_FALSE(one.remedy.empty()) << one.rule;
  }
}

TEST_F(VerifyTest, AWrongPassphraseAndNoneAreToldApart) {
  live();
  leave();
  const auto wrong = check("not it");
  EXPECT_EQ(wrong.errors, 2U);
  EXPECT_EQ(wrong.findings.front().rule, "key");
  EXPECT_THAT(wrong.findings.front().what, testing::HasSubstr("does not open"));
  const auto none = check(std::nullopt);
  EXPECT_EQ(none.errors, 0U);
  EXPECT_THAT(verify::to_text(none, "S"), testing::HasSubstr("keys not opened (no passphrase)"));
}

TEST_F(VerifyTest, AnOverwrittenPageIsFound) {
  live();
  leave();
  keep();
  constexpr std::size_t page = 4096;
  const auto pages = std::filesystem::file_size(path()) / page;
  std::size_t found = 0;
  std::size_t tried = 0;
  for (std::size_t at = 1; at < pages; ++at) {
    std::filesystem::copy_file(path() + ".sound", path(),
                               std::filesystem::copy_options::overwrite_existing);
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at * page));
    file << std::string(page, '\xA5');
    file.close();
    ++tried;
    const auto examiner = store::Examiner::open(path(), false);
    if (!examiner || verify::verify(**examiner, {std::nullopt, 1}).errors != 0) ++found;
  }
  EXPECT_GT(tried, 10U);
  EXPECT_EQ(found, tried);
}

TEST_F(VerifyTest, WhatIsNoStoreOrAnotherVersionsIsSaid) {
  const auto missing = store::Examiner::open(directory + "/nothing.db", false);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().detail, testing::HasSubstr("there is no such database"));
  std::ofstream(path()) << std::string(10000, 'x');
  EXPECT_FALSE(store::Examiner::open(path(), false));
  std::filesystem::remove(path());
  start();
  leave();
  keep();
  tamper("INSERT INTO key_pair VALUES ('x', '', 0, 0); PRAGMA user_version=9999");
  const auto newer = store::Examiner::open(path(), false);
  ASSERT_FALSE(newer);
  EXPECT_THAT(newer.error().detail, testing::HasSubstr("written by a newer one"));
}

TEST_F(VerifyTest, FindingsWithoutEndAreCountedAndNamesAreNoTerminalCommands) {
  live();
  leave();
  keep();
  tamper(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100) INSERT INTO "
      "outbox "
      "SELECT 'ROOTCA', 1, i, '99' FROM n; UPDATE server SET name=char(27) || '[2J'");
  const auto report = check();
  EXPECT_GE(report.errors, 100U);
  EXPECT_GE(report.left_out, 80U);
  EXPECT_LE(report.findings.size(), 60U);
  EXPECT_EQ(verify::to_text(report, "S").find('\x1B'), std::string::npos);
}

}  // namespace
}  // namespace umbra::server
