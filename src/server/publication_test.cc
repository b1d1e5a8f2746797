#include "server/publication.h"

#include <gmock/gmock.h>

#include "server/lab_test.h"
#include "x509/crl.h"

namespace umbra::server {
namespace {

using namespace lab;
using config::FilePlace;
using config::FileType;
using testing::ElementsAre;
using testing::HasSubstr;

// -- names and contents ---------------------------------------------------------------------------

TEST(Publication, NamesAreIos) {
  EXPECT_EQ(ser_name("ROOTCA"), "ROOTCA.ser");
  EXPECT_EQ(crl_name("ROOTCA"), "ROOTCA.crl");
  EXPECT_EQ(archive_name("ROOTCA", 1, config::ArchiveFormat::pkcs12), "ROOTCA.p12");
  EXPECT_EQ(archive_name("ROOTCA", 2, config::ArchiveFormat::pkcs12), "ROOTCA_00001.p12");
  EXPECT_EQ(archive_name("ROOTCA", 13, config::ArchiveFormat::pem), "ROOTCA_00012.pem");
  EXPECT_EQ(certificate_file_name(x509::Serial(0x2A), FileType::crt), "2a.crt");
  EXPECT_EQ(certificate_file_name(x509::Serial(1), FileType::cnm), "1.cnm");
  EXPECT_EQ(shown_name({"ftp://10.1.1.1/DB/ROOTCA/", "", {}}, "A.p12"),
            "ftp://10.1.1.1/DB/ROOTCA/A.p12");
  EXPECT_EQ(shown_name({"unix:/srv", "", {}}, "A.p12"), "unix:/srv/A.p12");
  EXPECT_EQ(shown_name({"nvram:", "", {}}, "A.p12"), "nvram:A.p12");
}

TEST(Publication, TheSerialFileHasThe32OctetsIosShows) {
  EXPECT_EQ(ser_text(x509::Serial(2)), "db_version = 1\nlast_serial = 0x2");
  EXPECT_EQ(ser_text(x509::Serial(2)).size(), 32U);
  EXPECT_EQ(*parse_ser(ser_text(x509::Serial(0xABC))), x509::Serial(0xABC));
  EXPECT_EQ(*parse_ser("db_version = 1\r\nlast_serial = 0x1f\r\n"), x509::Serial(0x1F));
  EXPECT_FALSE(parse_ser("db_version = 1\n"));
  EXPECT_FALSE(parse_ser("last_serial = \n"));
  EXPECT_FALSE(parse_ser("last_serial = many"));
}

TEST(Publication, ANameFileIsReadBackWhateverTheSubjectSays) {
  const Time end = *from_rfc3339("2017-10-08T12:14:16Z");
  EXPECT_EQ(cnm_text("cn=spoke-1,o=Cisco", end),
            "subjectname_str = cn=spoke-1,o=Cisco, expiration = 12:14:16 UTC Oct 8 2017\n");
  for (const std::string subject :
       {"cn=spoke-1,o=Cisco", "", "cn=a, expiration = 00:00:00 UTC Jan 1 1970,o=b"}) {
    const auto facts = parse_cnm(cnm_text(subject, end));
    ASSERT_TRUE(facts) << subject;
    EXPECT_EQ(facts->subject, subject);
    EXPECT_EQ(facts->not_after, end);
  }
  EXPECT_EQ(
      parse_cnm("subjectname_str = \"cn=a\"\nexpiration = \"2017-10-08T12:14:16Z\"\n")->subject,
      "cn=a");
  EXPECT_EQ(parse_cnm("subjectname_str = cn=a, expiration = soon")->not_after, std::nullopt);
  EXPECT_EQ(parse_cnm("subjectname_str = cn=a, expiration = 12:14:16 UTC Feb 30 2017")->not_after,
            std::nullopt);
  EXPECT_FALSE(parse_cnm("nothing of the kind"));
}

// -- places ---------------------------------------------------------------------------------------

TEST(Publication, EachPlaceStandsOnceWithAllThatIsKeptThere) {
  config::Server server;
  server.archive_password = "p";
  server.database_level = config::DatabaseLevel::complete;
  server.database.url = "ftp://h/a";
  server.database_username = "u";
  server.database_of[FileType::ser] = {"unix:/s", "", std::nullopt};
  server.database_of[FileType::crl] = {"unix:/s", "", std::nullopt};
  server.database_copies[FileType::crl] = {"http://h/x", "w", "secret"};
  server.database_copies[FileType::crt] = {"ftp://h/a", "", std::nullopt};  // it is there anyway
  const auto places = places_of(server);
  ASSERT_EQ(places.size(), 3U);
  EXPECT_EQ(places[0].where, (FilePlace{"ftp://h/a", "u", std::nullopt}));
  EXPECT_THAT(places[0].slots, ElementsAre(Slot{FileType::p12, false}, Slot{FileType::cnm, false},
                                           Slot{FileType::crt, false}));
  EXPECT_THAT(places[1].slots, ElementsAre(Slot{FileType::ser, false}, Slot{FileType::crl, false}));
  EXPECT_EQ(places[2].where, (FilePlace{"http://h/x", "w", "secret"}));
  EXPECT_FALSE(places[2].keeps_originals());
  EXPECT_THAT(slots_of_certificate(server),
              ElementsAre(Slot{FileType::cnm, false}, Slot{FileType::crt, false}));
  server.database_level = config::DatabaseLevel::minimum;
  EXPECT_TRUE(slots_of_certificate(server).empty());
  EXPECT_TRUE(places_of(server)[0].has({FileType::crt, false})) << "what waits is sent";
}

TEST(Publication, ThePauseDoublesAndStaysBounded) {
  PlaceFate fate;
  fate.last_try = zero;
  const Seconds most = std::chrono::minutes{5};
  std::vector<std::int64_t> waits;
  for (fate.failures = 1; fate.failures <= 9; ++fate.failures)
    waits.push_back((next_try(fate, most) - zero).count());
  EXPECT_THAT(waits, ElementsAre(5, 10, 20, 40, 80, 160, 300, 300, 300));
  fate.failures = 4'000'000'000;
  EXPECT_EQ(next_try(fate, most) - zero, most);
}

TEST(Publication, ABacklogIsToldOfAtEachPowerOfTen) {
  EXPECT_EQ(backlog_step(0), 0U);
  EXPECT_EQ(backlog_step(99), 0U);
  EXPECT_EQ(backlog_step(100), 100U);
  EXPECT_EQ(backlog_step(99'999), 10'000U);
  EXPECT_EQ(backlog_step(12'345'678), 10'000'000U);
}

// -- what arrives, and when -----------------------------------------------------------------------

class PublishingTest : public ServerTest {
 protected:
  /// Seconds later, with everything that is due by then, second by second.
  void wait(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      clock.set(now() + Seconds{1});
      publish();
    }
  }
  Time now() { return to_time(clock.now()); }
  std::size_t count(const std::string& file) {
    return static_cast<std::size_t>(
        std::count(files.deliveries.begin(), files.deliveries.end(), "nvram: " + file));
  }
  std::string ser() { return std::string(as_text(files.files.at("ROOTCA.ser"))).substr(15); }
  x509::Serial new_device(const std::string& name) {
    return granted(enroll(Device("CN=" + name))).serial();
  }
};

TEST_F(PublishingTest, AtLevelMinimumNothingIsWrittenOfACertificateAndTheSerialRests) {
  start();
  files.deliveries.clear();
  for (int i = 0; i < 20; ++i) {
    new_device("a" + std::to_string(i));
    publish();
  }
  EXPECT_TRUE(files.deliveries.empty()) << "the first one was written less than 10 s ago";
  EXPECT_TRUE(store->outbox_size("ROOTCA")->waiting.empty());
  wait(10);
  EXPECT_THAT(files.deliveries, ElementsAre("nvram: ROOTCA.ser"));
  EXPECT_EQ(ser(), "last_serial = 0x15");
  wait(60);
  EXPECT_EQ(files.deliveries.size(), 1U) << "nothing has changed";
  new_device("b");
  ASSERT_TRUE(server->close());
  EXPECT_EQ(ser(), "last_serial = 0x16") << "what rests is written before the end";
}

TEST_F(PublishingTest, NamesAloneOrAllOfEachCertificate) {
  configuration.database_level = config::DatabaseLevel::names;
  start();
  new_device("spoke-1");
  publish();
  EXPECT_FALSE(files.files.contains("2.crt"));
  EXPECT_THAT(std::string(as_text(files.files.at("2.cnm"))),
              HasSubstr("subjectname_str = cn=spoke-1, expiration = 12:14:16 UTC Oct 8 2016"));
  configuration.database_level = config::DatabaseLevel::complete;
  start();
  const x509::Serial serial = new_device("spoke-2");
  publish();
  EXPECT_TRUE(files.files.contains(certificate_file_name(serial, FileType::cnm)));
  EXPECT_EQ(files.files.at(certificate_file_name(serial, FileType::crt)),
            (*store->certificate("ROOTCA", serial))->certificate);
}

TEST_F(PublishingTest, HoursWithoutThePlaceLoseNothingAndKeepTheOrder) {
  configuration.database_level = config::DatabaseLevel::complete;
  start();
  files.deliveries.clear();
  files.full = true;
  std::vector<std::string> wanted = {"nvram: ROOTCA.crl", "nvram: ROOTCA.ser"};
  for (int i = 0; i < 80; ++i) {
    const x509::Serial serial = new_device("a" + std::to_string(i));
    wanted.push_back("nvram: " + certificate_file_name(serial, FileType::cnm));
    wanted.push_back("nvram: " + certificate_file_name(serial, FileType::crt));
    wait(1);
    if (i == 40) start();  // a death and a start in the middle
  }
  for (int hour = 1; hour <= 13; ++hour) go_to(zero + hours{hour});  // two CRLs come and go
  EXPECT_TRUE(log.has(" files of ROOTCA wait for nvram: since"));
  EXPECT_EQ(server->status().backlog.at(0).waiting, 162U) << "with CRL and serial";
  EXPECT_TRUE(files.deliveries.empty());
  files.full = false;
  wait(301);
  EXPECT_EQ(files.deliveries, wanted) << "the newest CRL once; every certificate, as issued";
  EXPECT_TRUE(server->status().backlog.empty());
  EXPECT_GE(x509::parse_crl(files.files.at("ROOTCA.crl"))->this_update, zero + hours{12});
  EXPECT_TRUE(log.has("%PKI-5-CS_PUBLISHED: all that ROOTCA had kept for nvram: since"));
}

TEST_F(PublishingTest, WhatArrivedIsNotSentAgainAfterAStartExceptTheSerial) {
  configuration.database_level = config::DatabaseLevel::complete;
  start();
  new_device("a");
  publish();
  files.deliveries.clear();
  start();
  EXPECT_THAT(files.deliveries, ElementsAre("nvram: ROOTCA.ser"));
}

TEST_F(PublishingTest, AnotherPlaceGetsWhatStandsAnew) {
  start();
  files.deliveries.clear();
  configuration.database.url = "unix:/srv";
  start();
  EXPECT_THAT(files.deliveries,
              ElementsAre("unix:/srv ROOTCA.p12", "unix:/srv ROOTCA.crl", "unix:/srv ROOTCA.ser"));
  EXPECT_TRUE(
      log.has("%PKI-5-CS_DATABASE_URL: Server database url was changed from nvram: to "
              "unix:/srv."));
}

TEST_F(PublishingTest, CopiesThatAreTakenBackAreNotSentElsewhere) {
  configuration.database_level = config::DatabaseLevel::names;
  configuration.database_copies[FileType::cnm] = {"unix:/readers", "", std::nullopt};
  files.full = true;
  start();
  configuration.database_copies.clear();
  files.full = false;
  clock.set(zero + Seconds{5});
  start();
  EXPECT_EQ(count("1.cnm"), 1U);
  EXPECT_TRUE(store->outbox_size("ROOTCA")->waiting.empty());
  EXPECT_TRUE(log.has("%PKI-5-CS_PUBLISH_DROPPED: 1 file of ROOTCA"));
}

TEST_F(PublishingTest, ARevocationIsPublishedAtOnceHoweverLongTheQueue) {
  configuration.database_level = config::DatabaseLevel::complete;
  start();
  new_device("a");
  publish();
  files.deliveries.clear();
  for (int i = 0; i < 70; ++i) new_device("b" + std::to_string(i));
  ASSERT_TRUE(server->revoke(x509::Serial(2), x509::RevocationReason::none));
  publish();
  EXPECT_EQ(files.deliveries.front(), "nvram: ROOTCA.crl");
  EXPECT_EQ(files.deliveries.size(), 141U);
}

TEST_F(PublishingTest, TheArchiveOfAnOlderCaIsMadeWhenAPasswordIsConfigured) {
  configuration.archive_password.reset();
  start();
  EXPECT_FALSE(files.files.contains("ROOTCA.p12"));
  EXPECT_TRUE(log.has("%PKI-4-CS_NO_ARCHIVE"));
  configuration.archive_password = "later";
  configuration.archive_format = config::ArchiveFormat::pem;
  start();
  EXPECT_THAT(std::string(as_text(files.files.at("ROOTCA.pem"))),
              testing::AllOf(testing::StartsWith("-----BEGIN CERTIFICATE-----"),
                             HasSubstr("-----BEGIN ENCRYPTED PRIVATE KEY-----")));
}

TEST_F(PublishingTest, SerialsByChanceAreNotCountedAndStillNotUsedWhileNothingCanBeWritten) {
  configuration.serial_random = true;
  configuration.database_strict = true;
  configuration.database_level = config::DatabaseLevel::complete;
  start();
  EXPECT_EQ(ser(), "last_serial = 0x0");
  const x509::Serial serial = new_device("a");
  publish();
  EXPECT_TRUE(files.files.contains(certificate_file_name(serial, FileType::crt)));
  files.full = true;
  EXPECT_EQ(enroll(Device("CN=b")).http_status, 503U);
}

TEST_F(PublishingTest, ALongQueueIsWorkedOffInSteps) {
  configuration.database_level = config::DatabaseLevel::names;
  start();
  store::Batch batch;
  for (std::uint64_t i = 1; i <= 5000; ++i)
    batch.emplace_back(store::InsertOutbox{
        {"ROOTCA", number_of({FileType::cnm, false}), i + 10, x509::Serial(1)}});
  ASSERT_TRUE(store->commit(std::move(batch)));
  files.deliveries.clear();
  EXPECT_EQ(server->publish(0), now()) << "there is more";
  EXPECT_EQ(files.deliveries.size(), 4096U);
  EXPECT_EQ(server->publish(0), std::nullopt);
  EXPECT_EQ(files.deliveries.size(), 5000U);
}

TEST_F(PublishingTest, LittleRoomIsToldOnceAndShownUntilThereIsMore) {
  files.room = 1 << 20;
  start();
  EXPECT_TRUE(log.has("%PKI-2-CS_ROOM: nvram: is nearly full: 1024 KiB are left"));
  ASSERT_EQ(server->status().scarce.size(), 1U);
  EXPECT_EQ(server->status().scarce[0].octets, 1U << 20);
  files.room = std::uint64_t{1} << 30;
  wait(61);
  EXPECT_TRUE(server->status().scarce.empty());
  EXPECT_TRUE(log.has("%PKI-5-CS_ROOM: nvram: has room again"));
}

}  // namespace
}  // namespace umbra::server
