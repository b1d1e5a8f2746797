#include "server/ios_import.h"

#include "config/config.h"
#include "lab_passphrase.h"
#include "server/lab_test.h"

/// What a server published, and what became of it on the way, read into a new store.
namespace umbra::server::lab {
namespace {

class IosImport : public ServerTest {
 protected:
  IosImport() {
    configuration.database_level = config::DatabaseLevel::complete;
    configuration.grant = config::Grant::manual;
    configuration.grant_ra_auto = true;
    configuration.grant_rollover_ca_cert = true;
  }
  /// Publishes all, and ends.
  void end() {
    publish();
    server.reset();
    store.reset();
    std::filesystem::remove_all(directory);
    std::filesystem::create_directory(directory);
  }
  Result<Import> import() {
    std::vector<PublishedFile> found;
    for (const auto& [name, content] : files.files) found.push_back({name, content});
    return import_ios(found, {.passphrase = *configuration.archive_password,
                              .names = {},
                              .without_crl = false,
                              .last_serial = {},
                              .seal = lab_passphrase,
                              .now = to_time(clock.now())});
  }
  void go_on_from(Import import) {
    {
      const auto fresh = *store::open_sqlite(directory + "/umbra.db");
      ASSERT_TRUE(fresh->commit(std::move(import.servers.at(0).rows)));
    }
    start();
  }
  void put(const std::string& name, std::string_view content) {
    files.files[name] = to_bytes(as_bytes(content));
  }
};

TEST_F(IosImport, RasAndSubordinatesGoOnBeingIt) {
  const std::vector<x509::Extension> of_a_ca = {x509::basic_constraints_ca(),
                                                x509::key_usage({0x86, true})};
  Device ra("CN=ra,OU=ioscs RA");
  Device sub("CN=SubCA");
  start();
  EXPECT_EQ(enroll(ra).reply.status, PkiStatus::pending);
  ASSERT_TRUE(server->grant(1));
  ra.signer = granted(poll(ra));
  EXPECT_EQ(send(sub, MessageType::pkcs_req, csr(sub, of_a_ca).der(), ca()).reply.status,
            PkiStatus::pending);
  ASSERT_TRUE(server->grant(2));
  sub.signer = granted(poll(sub));
  end();
  put("ROOTCA.ser", "last_serial = 0x3");  // as at the end of a process
  const auto all = files.files;
  for (const bool by_number_alone : {false, true}) {
    files.files = all;
    if (by_number_alone) {
      std::erase_if(files.files, [](const auto& one) {
        return one.first.ends_with(".crt") || one.first.ends_with(".cnm");
      });
    }
    SCOPED_TRACE(by_number_alone);
    const auto imported = import();
    ASSERT_TRUE(imported) << imported.error().detail;
    const auto& found = imported->servers.at(0).found;
    const auto told = [&](const std::string& line) {
      return std::find(found.begin(), found.end(), line) != found.end();
    };
    EXPECT_EQ(told("2.crt: certificate 0x2 makes cn=ra,ou=ioscs RA a registration authority"),
              !by_number_alone);
    EXPECT_EQ(told("3.crt: certificate 0x3 makes cn=SubCA a subordinate CA"), !by_number_alone);
    go_on_from(*imported);
    const Device client("CN=client");
    EXPECT_EQ(granted(send(ra, MessageType::pkcs_req, csr(client).der(), ca())).subject(),
              client.name);
    ASSERT_TRUE(server->rollover());
    SCOPED_TRACE("the subordinate");
    EXPECT_TRUE(granted(send(sub, MessageType::pkcs_req, csr(sub, of_a_ca).der(),
                             *server->status().rollover))
                    .is_ca());
    files.files.clear();
    end();
  }
}

TEST_F(IosImport, TheConfigurationItSuggestsIsReadAndNamesTheSameCa) {
  configuration.issuer_name = "CN=Root\\+CA,O=\"Cisco Systems, Inc.\"";
  start();
  end();
  const auto imported = import();
  ASSERT_TRUE(imported) << imported.error().detail;
  std::string text;
  for (const auto& line : imported->servers.at(0).configuration) text += line + "\n";
  const auto parsed = config::parse(text);
  ASSERT_TRUE(parsed.faults.empty()) << text;
  EXPECT_EQ(*x509::Name::from_ios(parsed.configuration.servers.at(0).issuer_name),
            *x509::Name::from_ios(configuration.issuer_name));
}

TEST_F(IosImport, NumbersThatLeaveNoneToIssueAreRefused) {
  start();
  end();
  for (const char* text :
       {"last_serial = 0xFFFFFFFFFFFFFFFF", "last_serial = 0x7FFFFFFFFFFFFFFF"}) {
    put("ROOTCA.ser", text);
    const auto refused = import();
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().detail.find("ROOTCA.ser: serial numbers go up to"),
              std::string::npos);
  }
  put("ROOTCA.ser", "last_serial = 0x2");
  put("ffffffffffffffff.cnm", "subjectname_str = cn=a, expiration = 00:00:00 UTC Jan 1 2030");
  EXPECT_FALSE(import()) << "a name file is nobody's signature";
  files.files.erase("ffffffffffffffff.cnm");
  EXPECT_TRUE(import());
}

TEST_F(IosImport, NumbersBelowTheCasOwnWereNeverGiven) {
  configuration.serial_start = 1000;
  start();
  end();
  put("ROOTCA.ser", "last_serial = 0x3EB");  // 1003; the CA has 1001
  const auto imported = import();
  ASSERT_TRUE(imported) << imported.error().detail;
  EXPECT_TRUE(imported->servers.at(0).warnings.at(0).starts_with("of 2 certificates nothing"));
}

TEST_F(IosImport, NamesBecomeClientsAndAreFitForAScreen) {
  start();
  end();
  put("ROOTCA.ser", "last_serial = 0x9");
  put("8.cnm", "subjectname_str = cn=a\x1b[2J\xff, expiration = 00:00:00 UTC Jan 1 2016");
  put("9.cnm", "subjectname_str = cn=spoke-9,o=Cisco, expiration = 00:00:00 UTC Jan 1 2016");
  auto imported = import();
  ASSERT_TRUE(imported) << imported.error().detail;
  go_on_from(*std::move(imported));
  const auto report = server->overlap();
  ASSERT_TRUE(report);
  ASSERT_EQ(report->holders.size(), 2U) << "and not the CA, which has a name file too";
  EXPECT_EQ(report->holders[0].subject, "cn=a\\1B[2J\\FF");
  EXPECT_EQ(report->holders[1].subject, "cn=spoke-9,o=Cisco");
}

TEST_F(IosImport, WhatNoServerCanBeCalledIsNone) {
  start();
  end();
  const auto own = files.files;
  for (const std::string name : {"a b", ".", "x\n crypto", "-x", "\x1b[2J"}) {
    files.files = own;
    files.files[name + ".p12"] = own.at("ROOTCA.p12");
    files.files[name + ".ser"] = own.at("ROOTCA.ser");
    const auto imported = import();
    ASSERT_TRUE(imported) << imported.error().detail;
    ASSERT_EQ(imported->servers.size(), 1U) << name;
    ASSERT_EQ(imported->ignored.size(), 2U);
    EXPECT_EQ(imported->ignored[0],
              x509::printable(name + ".p12") + ": no certificate server can be called so");
    files.files.erase("ROOTCA.p12");
    files.files.erase("ROOTCA.ser");
    files.files.erase("ROOTCA.crl");
    EXPECT_EQ(import().error().code, Errc::not_found);
  }
}

}  // namespace
}  // namespace umbra::server::lab
