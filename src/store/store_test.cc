#include "store/store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "store/store_lab_test.h"

namespace umbra::store {
namespace {

TEST_F(StoreTest, EveryKindOfRowComesBackAsItWas) {
  EXPECT_FALSE(*store->server("CA"));
  EnrollmentRequest request;
  request.server = "CA";
  request.id = 7;
  request.transaction_id = "T";
  request.request = Bytes(3000, 0x30);
  request.signer = Bytes{9};
  request.received_at = now;
  request.renewal = true;
  request.granted_serial = x509::Serial(5);
  request.state = RequestState::granted;
  TrustpointRow trustpoint;
  trustpoint.name = "Root-CA";
  trustpoint.ca_certificate = Bytes{1};
  trustpoint.rollover_ra_certificates = Bytes{9, 8};
  trustpoint.capabilities = "Renewal\n";
  trustpoint.capabilities_known = true;
  trustpoint.sealed_key = Bytes{2, 0, 2};
  trustpoint.phase = 4;
  trustpoint.since = now;
  trustpoint.tries = 3;
  trustpoint.failing = true;
  trustpoint.announced = "A B - -";
  trustpoint.enrollment_url = "http://10.0.0.2";
  trustpoint.exportable = true;
  trustpoint.held_since = "AB 5\n";
  trustpoint.previous_ca_certificate = Bytes{7, 6};
  ASSERT_TRUE(store->commit({PutServer{{.server = "CA",
                                        .last_serial = 5,
                                        .serial_lease = 32,
                                        .next_request_id = 8,
                                        .crl_number = 2,
                                        .rollover_cancelled = true,
                                        .last_generation = 1,
                                        .serial_start = 4,
                                        .random_serial = x509::Serial(0xABC)}},
                             PutGeneration{generation(1, GenerationStatus::active)},
                             InsertCertificate{certificate(5)}, PutRequest{request},
                             PutCrl{{"CA", 1, 2, now, now + Seconds{60}, Bytes{7, 7}}},
                             PutTrustpoint{trustpoint}, PutKeyPair{{"K", Bytes{1}, false, now}},
                             PutKeyPair{{"L", Bytes{4, 5}, true, now}}, DropKeyPair{"K"}}));
  open();
  const auto server = **store->server("CA");
  EXPECT_EQ(server.last_serial, 5U);
  EXPECT_EQ(server.serial_lease, 32U);
  EXPECT_EQ(server.next_request_id, 8U);
  EXPECT_TRUE(server.rollover_cancelled);
  EXPECT_EQ(server.serial_start, 4U);
  EXPECT_EQ(server.random_serial, x509::Serial(0xABC));
  ASSERT_EQ(store->generations("CA")->size(), 1U);
  EXPECT_EQ(store->generations("CA")->front().sealed_key, (Bytes{4, 5}));
  EXPECT_EQ(store->generations("CA")->front().exchange_certificate, (Bytes{6, 7}));
  EXPECT_EQ(store->generations("CA")->front().sealed_exchange_key, (Bytes{8, 9}));
  const auto got = **store->certificate("CA", x509::Serial(5));
  EXPECT_EQ(got.certificate, certificate(5).certificate);
  EXPECT_EQ(got.subject, certificate(5).subject);
  EXPECT_EQ(got.not_after, now + Days{365});
  EXPECT_FALSE(got.revoked_at);
  const auto known = *store->known({"CA", "T", certificate(5).request_digest, x509::Serial(5)});
  EXPECT_EQ(known.issued.value().serial, x509::Serial(5));
  EXPECT_EQ(known.queued.value().id, 7U);
  EXPECT_EQ(known.signer.value().certificate, certificate(5).certificate);
  const auto less = *store->known({"CA", "T", Bytes(32, 1)});
  EXPECT_FALSE(less.issued) << "the same transaction, another content";
  EXPECT_TRUE(less.queued);
  EXPECT_FALSE(less.signer) << "nobody asked";
  const auto nothing = *store->known({"CA", "U", Bytes(32, 1), x509::Serial(6)});
  EXPECT_FALSE(nothing.issued || nothing.queued || nothing.signer || nothing.answer_revoked);
  const auto request_back = **store->request_of("CA", "T");
  EXPECT_EQ(request_back.id, 7U);
  EXPECT_EQ(request_back.request.size(), 3000U);
  EXPECT_EQ(request_back.granted_serial, x509::Serial(5));
  EXPECT_EQ((*store->request("CA", 7))->signer, Bytes{9});
  EXPECT_EQ((*store->crl("CA", 1))->crl, (Bytes{7, 7}));
  const auto tp = **store->trustpoint("Root-CA");
  EXPECT_EQ(tp.sealed_key, (Bytes{2, 0, 2}));
  EXPECT_EQ(tp.rollover_ra_certificates, (Bytes{9, 8}));
  EXPECT_EQ(tp.since, now);
  EXPECT_TRUE(tp.failing && tp.capabilities_known);
  EXPECT_EQ(tp.announced, "A B - -");
  EXPECT_EQ(tp.previous_ca_certificate, (Bytes{7, 6}));
  EXPECT_EQ(tp.enrollment_url, "http://10.0.0.2");
  EXPECT_TRUE(tp.exportable);
  EXPECT_EQ(tp.held_since, "AB 5\n");
  const auto pairs = *store->key_pairs();
  ASSERT_EQ(pairs.size(), 1U);
  EXPECT_EQ(pairs[0].label, "L");
  EXPECT_EQ(pairs[0].sealed_key, (Bytes{4, 5}));
  EXPECT_TRUE(pairs[0].exportable);
  EXPECT_EQ(pairs[0].created_at, now);
  EXPECT_TRUE(tp.identity.empty());
}

TEST_F(StoreTest, ASerialIsUsedOnceAndAConflictLeavesNothing) {
  ASSERT_TRUE(store->commit({InsertCertificate{certificate(1)}}));
  const auto twice = store->commit(
      {PutServer{{"CA", 9, 9, 9, 9, false}}, InsertCertificate{certificate(1, "other")}});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, Errc::conflict);
  EXPECT_FALSE(*store->server("CA")) << "all of a batch or nothing";
  EXPECT_TRUE(store->commit({InsertCertificate{certificate(2)}})) << "and the next batch goes on";
}

TEST_F(StoreTest, TheNewestCertificateOfATransactionIsTheOneStoredLast) {
  const Bytes same(32, 3);
  for (const std::uint64_t serial : {5U, 9U, 2U, 7U, 1U}) {
    auto row = certificate(serial);
    row.request_digest = same;
    ASSERT_TRUE(store->commit({InsertCertificate{row}}));
    const auto newest = store->known({"CA", row.transaction_id, same})->issued;
    ASSERT_TRUE(newest);
    EXPECT_EQ(newest->serial, x509::Serial(serial)) << "drawn serials do not grow";
  }
}

TEST_F(StoreTest, HoldsAtMostOneActiveAndOneRolloverCa) {
  ASSERT_TRUE(store->commit({PutGeneration{generation(1, GenerationStatus::active)},
                             PutGeneration{generation(2, GenerationStatus::rollover)}}));
  EXPECT_EQ(store->commit({PutGeneration{generation(3, GenerationStatus::rollover)}}).error().code,
            Errc::conflict);
  EXPECT_EQ(store->commit({PutGeneration{generation(3, GenerationStatus::active)}}).error().code,
            Errc::conflict);
  EXPECT_TRUE(store->commit({PutGeneration{generation(1, GenerationStatus::retired)},
                             PutGeneration{generation(2, GenerationStatus::active)}}));
  EXPECT_TRUE(store->commit({PutGeneration{generation(3, GenerationStatus::rollover)}}));
  EXPECT_TRUE(store->commit({DropGeneration{"CA", 3}}));
  EXPECT_EQ(store->generations("CA")->size(), 2U);
}

TEST_F(StoreTest, RevocationIsKeptPerGenerationUntilExpiry) {
  ASSERT_TRUE(store->commit({InsertCertificate{certificate(1)}, InsertCertificate{certificate(2)},
                             InsertCertificate{certificate(3, "T", 2)}}));
  ASSERT_TRUE(store->commit(
      {RevokeCertificate{"CA", x509::Serial(1), now, x509::RevocationReason::key_compromise},
       RevokeCertificate{"CA", x509::Serial(3), now, x509::RevocationReason::none}}));
  const auto answer_revoked = [&](const char* server, std::uint64_t serial) {
    return store->known({server, "another", certificate(serial).request_digest})->answer_revoked;
  };
  EXPECT_TRUE(answer_revoked("CA", 1));
  EXPECT_FALSE(answer_revoked("CA", 2));
  EXPECT_FALSE(answer_revoked("other", 1));
  ASSERT_EQ(store->revoked("CA", 1, now)->size(), 1U);
  EXPECT_EQ(store->revoked("CA", 1, now)->front().reason, x509::RevocationReason::key_compromise);
  EXPECT_EQ(store->revoked("CA", 2, now)->size(), 1U);
  EXPECT_TRUE(store->revoked("CA", 1, now + Days{366})->empty());
}

TEST_F(StoreTest, ACrlOfPartsIsReadWholeAndCountsFromItsRowOn) {
  const auto part = [](std::uint64_t number, std::uint32_t place, std::uint8_t octet) {
    return Change{PutCrlPart{"CA", 1, number, place, Bytes(7, octet)}};
  };
  const auto whole = [&] { return to_hex((*store->crl("CA", 1))->crl); };
  ASSERT_TRUE(store->commit({PutCrl{{"CA", 1, 1, now, now, Bytes{1}}}}));
  ASSERT_TRUE(store->commit({part(2, 0, 0xA0)}));
  ASSERT_TRUE(store->commit({part(2, 1, 0xA1)}));
  EXPECT_EQ(whole(), "01") << "parts alone are no CRL";
  ASSERT_TRUE(store->commit({PutCrl{{"CA", 1, 2, now, now, Bytes{2}}, 2}}));
  EXPECT_EQ(whole(), "A0A0A0A0A0A0A0A1A1A1A1A1A1A102");
  // An attempt that died, and after it a shorter one, under the same number.
  ASSERT_TRUE(store->commit({part(3, 0, 0xB0)}));
  ASSERT_TRUE(store->commit({part(3, 1, 0xB1)}));
  ASSERT_TRUE(store->commit({part(3, 0, 0xC0)}));
  EXPECT_EQ(whole(), "A0A0A0A0A0A0A0A1A1A1A1A1A1A102");
  ASSERT_TRUE(store->commit({PutCrl{{"CA", 1, 3, now, now, Bytes{3}}, 1}}));
  EXPECT_EQ(whole(), "C0C0C0C0C0C0C003");
  ASSERT_TRUE(store->commit({part(4, 0, 0xD0)}));
  ASSERT_TRUE(store->commit({PutCrl{{"CA", 1, 4, now, now, Bytes{4}}}}));
  EXPECT_EQ(whole(), "04") << "one without parts has none, whatever was left";
  open();
  EXPECT_EQ(whole(), "04");
}

TEST_F(StoreTest, TheQueueIsNewestFirstAndCountsWhatIsPending) {
  for (std::uint64_t id = 1; id <= 3; ++id) {
    EnrollmentRequest request;
    request.server = "CA";
    request.id = id;
    request.transaction_id = id == 3 ? "A" : "B";
    request.state = id == 1 ? RequestState::rejected : RequestState::pending;
    request.received_at = now;
    ASSERT_TRUE(store->commit({PutRequest{request}}));
  }
  EXPECT_EQ(store->requests("CA")->front().id, 3U);
  EXPECT_EQ((*store->request_of("CA", "B"))->id, 2U);
  EXPECT_EQ(*store->pending_count("CA"), 2U);
  ASSERT_TRUE(store->commit({DropRequest{"CA", 2}}));
  EXPECT_EQ(*store->pending_count("CA"), 1U);
}

TEST_F(StoreTest, IsReadableByItsOwnerAlone) {
  struct stat info {};
  ASSERT_TRUE(store->commit({InsertCertificate{certificate(1)}}));
  for (const char* suffix : {"", "-wal"}) {
    ASSERT_EQ(::stat((path + suffix).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U) << suffix;
  }
}

TEST_F(StoreTest, RefusesADatabaseOfANewerVersion) {
  store.reset();
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &raw), SQLITE_OK);
  sqlite3_stmt* query = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(raw, "PRAGMA user_version", -1, &query, nullptr), SQLITE_OK);
  ASSERT_EQ(sqlite3_step(query), SQLITE_ROW);
  const std::string ours = "PRAGMA user_version=" + std::to_string(sqlite3_column_int(query, 0));
  sqlite3_finalize(query);
  sqlite3_exec(raw, "PRAGMA user_version=99", nullptr, nullptr, nullptr);
  sqlite3_close(raw);
  const auto refused = open_sqlite(path);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("newer version"), std::string::npos);
  ASSERT_EQ(sqlite3_open(path.c_str(), &raw), SQLITE_OK);
  sqlite3_exec(raw, ours.c_str(), nullptr, nullptr, nullptr);
  sqlite3_close(raw);
  EXPECT_TRUE(open_sqlite(path));
}

TEST(Store, SaysWhereItCannotBeOpened) {
  const auto refused = open_sqlite("/nonexistent/umbra.db");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::storage);
  EXPECT_NE(refused.error().detail.find("/nonexistent/umbra.db"), std::string::npos);
}

TEST_F(StoreTest, ADatabaseOfTheFirstVersionIsUpgraded) {
  store.reset();
  std::filesystem::remove(path);
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &raw), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(
          raw,
          "CREATE TABLE server (name TEXT PRIMARY KEY, last_serial INTEGER NOT NULL, serial_lease "
          "INTEGER NOT NULL, next_request_id INTEGER NOT NULL, crl_number INTEGER NOT NULL, "
          "rollover_cancelled INTEGER NOT NULL);"
          "CREATE TABLE generation (server TEXT NOT NULL, number INTEGER NOT NULL, status INTEGER "
          "NOT NULL, certificate TEXT NOT NULL, sealed_key TEXT NOT NULL, created_at INTEGER NOT "
          "NULL, PRIMARY KEY (server, number));"
          "CREATE TABLE certificate (server TEXT NOT NULL, serial TEXT NOT NULL, generation "
          "INTEGER NOT NULL, certificate TEXT NOT NULL, subject TEXT NOT NULL, not_before INTEGER "
          "NOT NULL, not_after INTEGER NOT NULL, transaction_id TEXT NOT NULL, request_digest TEXT "
          "NOT NULL, issued_at INTEGER NOT NULL, revoked_at INTEGER NOT NULL, reason INTEGER NOT "
          "NULL, PRIMARY KEY (server, serial));"
          "CREATE INDEX certificate_content ON certificate (server, transaction_id, "
          "request_digest, serial);"
          "CREATE TABLE request (server TEXT NOT NULL, id INTEGER NOT NULL, class INTEGER NOT "
          "NULL, state INTEGER NOT NULL, transaction_id TEXT NOT NULL, request_digest TEXT NOT "
          "NULL, request TEXT NOT NULL, signer TEXT NOT NULL, generation INTEGER NOT NULL, renewal "
          "INTEGER NOT NULL, received_at INTEGER NOT NULL, granted_serial TEXT NOT NULL, "
          "refusal_text TEXT NOT NULL, PRIMARY KEY (server, id));"
          "CREATE TABLE trustpoint (name TEXT PRIMARY KEY, ca_certificate TEXT NOT NULL, "
          "ra_certificates TEXT NOT NULL, capabilities TEXT NOT NULL, capabilities_known INTEGER "
          "NOT NULL, identity TEXT NOT NULL, sealed_key TEXT NOT NULL, rollover_ca_certificate "
          "TEXT NOT NULL, rollover_identity TEXT NOT NULL, sealed_shadow_key TEXT NOT NULL, phase "
          "INTEGER NOT NULL, request_kind INTEGER NOT NULL, transaction_id TEXT NOT NULL, request "
          "TEXT NOT NULL, request_signer TEXT NOT NULL, since INTEGER NOT NULL, tries INTEGER NOT "
          "NULL, failing INTEGER NOT NULL, last_status TEXT NOT NULL);"
          "INSERT INTO trustpoint VALUES ('T', 'AA==', '', '', 0, '', '', '', '', '', 0, 0, '', "
          "'', "
          "'', 0, 0, 0, 'Granted');"
          "INSERT INTO server VALUES ('CA', 41, 64, 3, 9, 0);"
          "INSERT INTO generation VALUES ('CA', 1, 3, '', '', 0), ('CA', 2, 2, '', '', 0);"
          "PRAGMA user_version=1",
          nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(raw);
  open();
  const auto row = *store->server("CA");
  ASSERT_TRUE(row);
  EXPECT_EQ(row->last_serial, 41U);
  EXPECT_EQ(row->crl_number, 9U);
  EXPECT_EQ(row->last_generation, 2U) << "numbers that were used stay used";
  EXPECT_EQ((*store->trustpoint("T"))->last_status, "Granted");
  EXPECT_TRUE((*store->trustpoint("T"))->rollover_ra_certificates.empty());
  EXPECT_TRUE(store->generations("CA")->front().exchange_certificate.empty());
  EXPECT_FALSE(*store->one_time_password("CA"));
  EXPECT_EQ(*store->servers(), std::vector<std::string>{"CA"});
}

TEST_F(StoreTest, AOneTimePasswordIsSpentOnce) {
  const Bytes first(32, 1), second(32, 2);
  ASSERT_TRUE(store->commit({PutOneTimePassword{{"CA", first, now}}}));
  ASSERT_TRUE(store->commit({PutOneTimePassword{{"CA", second, now + Days{1}}}}));
  EXPECT_EQ((*store->one_time_password("CA"))->digest, second) << "only the newest counts";
  EXPECT_EQ((*store->one_time_password("CA"))->expires_at, now + Days{1});
  auto spend = [&](const Bytes& digest, std::uint64_t serial) {
    return store->commit(
        {SpendOneTimePassword{"CA", digest}, InsertCertificate{certificate(serial)}});
  };
  EXPECT_EQ(spend(first, 5).error().code, Errc::conflict);
  EXPECT_TRUE(spend(second, 6));
  EXPECT_EQ(spend(second, 7).error().code, Errc::conflict);
  EXPECT_FALSE(*store->certificate("CA", x509::Serial(7))) << "all of a batch or nothing";
  open();
  EXPECT_FALSE(*store->one_time_password("CA"));
}

TEST_F(StoreTest, NothingIsStoredOfACaThatWasTakenBack) {
  ASSERT_TRUE(store->commit({PutGeneration{generation(1, GenerationStatus::active)},
                             PutGeneration{generation(2, GenerationStatus::rollover)}}));
  const auto insert = [&](std::uint64_t serial) {
    return store->commit(
        {RequireGeneration{"CA", 2}, InsertCertificate{certificate(serial, "T", 2)}});
  };
  EXPECT_TRUE(insert(5));
  ASSERT_TRUE(store->commit({DropGeneration{"CA", 2}}));
  EXPECT_EQ(insert(6).error().code, Errc::conflict);
  EXPECT_FALSE(*store->certificate("CA", x509::Serial(6)));
}

TEST_F(StoreTest, WhoIsReadyForTheNextCaIsCountedByName) {
  const auto put = [&](std::uint64_t serial, const std::string& subject, std::uint32_t of,
                       Time ends, const std::string& transaction = "T") {
    auto row = certificate(serial, transaction, of);
    row.subject = subject;
    row.not_after = ends;
    ASSERT_TRUE(store->commit({InsertCertificate{row}}));
  };
  put(1, "cn=CA", 1, now + Days{9}, "");
  put(2, "cn=a", 1, now + Days{5});
  put(3, "cn=a", 1, now + Days{7});
  put(4, "cn=b", 1, now + Days{6});
  put(5, "cn=b", 2, now + Days{60});
  put(6, "cn=gone", 1, now);
  put(7, "cn=revoked", 1, now + Days{5});
  ASSERT_TRUE(store->commit(
      {RevokeCertificate{"CA", x509::Serial(7), now, x509::RevocationReason::superseded}}));
  const auto holders = *store->holders("CA", 1, 2, now);
  ASSERT_EQ(holders.size(), 2U);
  EXPECT_EQ(holders[0].subject, "cn=a");
  EXPECT_EQ(holders[0].not_after, now + Days{7});
  EXPECT_FALSE(holders[0].shadow);
  EXPECT_EQ(holders[1].subject, "cn=b");
  EXPECT_EQ(holders[1].shadow, x509::Serial(5));

  ASSERT_TRUE(store->commit({PutNextCaFetch{{"CA", 2, "192.0.2.1", now}}}));
  ASSERT_TRUE(store->commit({PutNextCaFetch{{"CA", 2, "192.0.2.1", now + Days{1}}}}));
  ASSERT_EQ(store->next_ca_fetches("CA", 2)->size(), 1U);
  EXPECT_EQ(store->next_ca_fetches("CA", 2)->front().first_at, now);
  EXPECT_TRUE(store->next_ca_fetches("CA", 1)->empty());
}

TEST_F(StoreTest, OneServerGoesAndTheOthersStay) {
  ASSERT_TRUE(store->commit({PutServer{{.server = "CA"}}, PutServer{{.server = "B"}},
                             PutGeneration{generation(1, GenerationStatus::active)},
                             InsertCertificate{certificate(1)},
                             PutOneTimePassword{{"CA", Bytes(32, 1), now}}}));
  ASSERT_TRUE(store->commit({DropServer{"CA"}}));
  EXPECT_EQ(*store->servers(), std::vector<std::string>{"B"});
  EXPECT_TRUE(store->generations("CA")->empty());
  EXPECT_FALSE(*store->certificate("CA", x509::Serial(1)));
  EXPECT_FALSE(*store->one_time_password("CA"));
}

TEST_F(StoreTest, TheOutboxIsReadInOrderSlotByServer) {
  const auto row = [](std::uint8_t slot, std::uint64_t sequence, const char* server = "CA") {
    return OutboxRow{server, slot, sequence, x509::Serial(sequence * 16)};
  };
  ASSERT_TRUE(
      store->commit({InsertOutbox{row(4, 2)}, InsertOutbox{row(0, 1)}, InsertOutbox{row(0, 3)},
                     InsertOutbox{row(1, 4)}, InsertOutbox{row(0, 9, "B")}}));
  const auto rows = *store->outbox("CA", {0, 4}, 10);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].sequence, 1U);
  EXPECT_EQ(rows[1].slot, 4U);
  EXPECT_EQ(rows[1].serial, x509::Serial(32));
  EXPECT_EQ(rows[2].sequence, 3U);
  EXPECT_EQ(store->outbox("CA", {0, 4}, 2)->size(), 2U);
  const auto size = *store->outbox_size("CA");
  EXPECT_EQ(size.waiting, (std::map<std::uint8_t, std::uint64_t>{{0, 2}, {1, 1}, {4, 1}}));
  EXPECT_EQ(size.last_sequence, 4U);
  ASSERT_TRUE(store->commit({DropOutbox{rows[0]}}));
  EXPECT_EQ(store->outbox("CA", {0}, 10)->front().sequence, 3U);
  EXPECT_EQ(store->commit({InsertOutbox{row(0, 3)}}).error().code, Errc::conflict);

  ASSERT_TRUE(store->commit({PutPublished{{"CA", 2, "CA.crl", "nvram:", "1/7"}}}));
  ASSERT_TRUE(store->commit({PutPublished{{"CA", 2, "CA.crl", "unix:/x", "1/8"}}}));
  ASSERT_EQ(store->published("CA")->size(), 1U);
  EXPECT_EQ(store->published("CA")->front().place, "unix:/x");
  EXPECT_EQ(store->published("CA")->front().version, "1/8");
  ASSERT_TRUE(store->commit({DropServer{"CA"}}));
  EXPECT_TRUE(store->published("CA")->empty());
  EXPECT_TRUE(store->outbox_size("CA")->waiting.empty());
  EXPECT_EQ(store->outbox_size("B")->last_sequence, 9U);
}

}  // namespace
}  // namespace umbra::store
