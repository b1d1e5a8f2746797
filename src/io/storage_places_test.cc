#include "io/storage_places.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "io/scratch_test.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StoragePlacesTest : public ScratchTest {
 protected:
  StoragePlacesTest() {
    fs::create_directories(path("data/nvram"));
    fs::create_directories(path("etc"));
    std::ofstream(path("etc/umbra.conf")) << "hostname h\n";
    std::ofstream(path("etc/passphrase")) << "0123\n";
  }
  static std::string pem(const std::string& name, const std::string& place) {
    return "crypto pki trustpoint " + name + "\n storage pem " + place + "\n";
  }
  static std::string pkcs12(const std::string& name, const std::string& place) {
    return "crypto pki trustpoint " + name + "\n storage pkcs12 " + place +
           " password 0 between-us\n";
  }
  static std::string server(const std::string& name, const std::string& lines) {
    return "crypto pki server " + name + "\n database archive pkcs12 password 0 between-us\n" +
           lines;
  }
  static std::string url(const std::string& folder) {
    return " database url unix:" + folder + "\n";
  }
  std::vector<config::Fault> faults(const std::string& text, const std::string& before = "") const {
    const auto parsed = config::parse(text);
    EXPECT_THAT(parsed.faults, IsEmpty()) << text;
    const auto old = config::parse(before);
    return misplaced(parsed, own, before.empty() ? nullptr : &old.configuration).all();
  }
  /// What is wrong with it, in the form it is printed in; one thing.
  std::string fault(const std::string& text, const std::string& before = "") const {
    const auto all = faults(text, before);
    EXPECT_EQ(all.size(), 1U) << text;
    return all.size() == 1 ? config::to_string(all.front(), "F") : "";
  }
  OwnPlaces own{path("data"), path("etc/umbra.conf"), path("etc/passphrase"), path("etc/socket")};
};

TEST_F(StoragePlacesTest, WhatIsElsewhereIsAnybodysToName) {
  fs::create_directories(path("web"));
  EXPECT_THAT(
      faults(pem("A", path("web")) + pkcs12("B", path("b.p12")) + pem("C", path("not/there/yet")) +
             pkcs12("C", path("not/there/yet/c.p12")) + pem("D", path("data-of-d"))),
      IsEmpty());
}

TEST_F(StoragePlacesTest, UmbradsDataDirectoryIsNoPlaceForFilesHoweverItIsNamed) {
  fs::create_directory_symlink(path("data"), path("link"));
  for (const char* place :
       {"data", "data/web", "data/nvram/web/x", "etc/../data/web", "link/web"}) {
    EXPECT_THAT(fault("hostname h\n" + pem("A", path(place))),
                AllOf(HasSubstr("F:3:"), HasSubstr("in umbrad's data directory " + path("data")),
                      HasSubstr("expected: a directory elsewhere")))
        << place;
  }
  EXPECT_THAT(fault(pkcs12("A", path("data/umbra.db"))), HasSubstr("in umbrad's data directory"));
  fs::create_symlink(path("elsewhere.p12"), path("data/a.p12"));
  EXPECT_THAT(fault(pkcs12("A", path("data/a.p12"))), HasSubstr("in umbrad's data directory"));
  own.data_directory = path("link/");
  EXPECT_THAT(fault(pem("A", path("data/web"))), HasSubstr("in umbrad's data directory"));
  own.data_directory = path("later");
  EXPECT_THAT(fault(pem("A", path("later/web"))), HasSubstr("in umbrad's data directory"))
      << "also before its first start";
  own.data_directory.clear();
  EXPECT_THAT(faults(pem("A", path("data/web"))), IsEmpty()) << "nobody has said where it is";
}

TEST_F(StoragePlacesTest, WhatAHostHasComeToIsToldApartFromWhatWouldEndUmbradsOwn) {
  fs::create_directories(path("web.p12"));
  const auto parsed = config::parse(pem("A", path("data/web")) + pkcs12("B", path("web.p12")));
  const Misplaced found = misplaced(parsed, own);
  ASSERT_EQ(found.own.size(), 1U);
  EXPECT_THAT(found.own[0].what, HasSubstr("in umbrad's data directory"));
  ASSERT_EQ(found.unusable.size(), 1U);
  EXPECT_THAT(found.unusable[0].what, HasSubstr("web.p12 is a directory"));
  EXPECT_EQ(found.all().size(), 2U);
}

TEST_F(StoragePlacesTest, OtherFilesOfUmbradsAreNoneEither) {
  fs::create_directory_symlink(path("etc"), path("link"));
  fs::create_symlink(path("etc/umbra.conf"), path("alias.p12"));
  for (const char* place : {"etc/umbra.conf", "link/umbra.conf", "alias.p12"})
    EXPECT_THAT(fault(pkcs12("A", path(place))), HasSubstr("is the configuration file")) << place;
  EXPECT_THAT(fault(pem("A", path("etc/umbra.conf"))), HasSubstr("is the configuration file"));
  EXPECT_THAT(fault(pkcs12("A", path("etc/umbra.conf~"))), HasSubstr("\"write memory\""));
  own.config_file = path("alias.p12");
  EXPECT_THAT(fault(pkcs12("A", path("etc/umbra.conf"))), HasSubstr("is the configuration file"));
  EXPECT_THAT(fault(pkcs12("A", path("etc/umbra.conf~"))), HasSubstr("\"write memory\""));
  EXPECT_THAT(fault(pkcs12("A", path("etc/passphrase"))), HasSubstr("the passphrase"));
  EXPECT_THAT(fault(pkcs12("A", path("etc/socket"))), HasSubstr("socket"));
}

TEST_F(StoragePlacesTest, AFileIsNoDirectoryAndADirectoryNoFile) {
  fs::create_directories(path("web"));
  std::ofstream(path("file")) << "x";
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(fault(pem("A", path("file"))), HasSubstr("is no directory"));
  EXPECT_THAT(fault(pem("A", path("file/web"))), HasSubstr(path("file") + ", above"));
  EXPECT_THAT(fault(pkcs12("A", path("file/below/a.p12"))), HasSubstr(path("file") + ", above"));
  EXPECT_THAT(fault(pkcs12("A", path("web"))),
              AllOf(HasSubstr("is a directory"), HasSubstr("such as " + path("web/A.p12"))));
  EXPECT_THAT(fault(pkcs12("A", path("pipe"))), HasSubstr("no regular file"));
  EXPECT_THAT(faults(pkcs12("A", path("file"))), IsEmpty()) << "what it holds is looked at later";
}

TEST_F(StoragePlacesTest, OnePlaceUnderTwoNamesIsOne) {
  fs::create_directories(path("web"));
  fs::create_directory_symlink(path("web"), path("link"));
  EXPECT_THAT(fault(pem("A", path("web")) + pem("B", path("link"))),
              AllOf(HasSubstr("F:4:"), HasSubstr("where trustpoint A writes, " + path("web"))));
  EXPECT_THAT(fault(pem("A", path("web/below")) + pem("B", path("link/below"))),
              HasSubstr("where trustpoint A writes"))
      << "though it is not there yet";
  EXPECT_THAT(fault(pkcs12("A", path("web/a.p12")) + pkcs12("B", path("link/a.p12"))),
              HasSubstr("where trustpoint A writes"));
  EXPECT_THAT(fault(pem("A", path("web")) + pkcs12("B", path("link/b.p12"))),
              HasSubstr("within the directory of trustpoint A"));
  EXPECT_THAT(fault(pem("A", path("web")) + pkcs12("A", path("link/key.pem"))),
              HasSubstr("within the directory of trustpoint A"));
  EXPECT_THAT(faults(pem("A", path("web")) + pkcs12("A", path("link/a.p12"))), IsEmpty());
}

TEST_F(StoragePlacesTest, WhatWasConfiguredBeforeIsNotQuestionedByAnotherChange) {
  std::ofstream(path("file")) << "in the way since";
  const std::string before = pem("A", path("file"));
  EXPECT_THAT(faults(before + pem("B", path("b")), before), IsEmpty());
  EXPECT_THAT(fault(before + pem("B", path("data/b")), before), HasSubstr("F:4:"));
  fs::create_directories(path("web"));
  fs::create_directory_symlink(path("web"), path("link"));
  EXPECT_THAT(fault(pem("A", path("web")) + pem("B", path("link")), pem("B", path("link"))),
              AllOf(HasSubstr("F:2:"), HasSubstr("where trustpoint B writes")))
      << "it is the new one's line that is wrong";
}

TEST_F(StoragePlacesTest, AFileThatACertificateServerPublishesIsNoTrustpoints) {
  fs::create_directories(path("ca"));
  fs::create_directory_symlink(path("ca"), path("link"));
  const std::string root = server("ROOT", url(path("ca")));
  EXPECT_THAT(fault(root + pkcs12("A", path("ca/ROOT.p12"))),
              AllOf(HasSubstr("F:5:17:"),
                    HasSubstr(path("ca/ROOT.p12") +
                              " is trustpoint A's, and certificate server "
                              "ROOT publishes ROOT.p12 to unix:" +
                              path("ca")),
                    HasSubstr("expected: a file elsewhere")));
  for (const char* name : {"ca/ROOT_00001.p12", "ca/ROOT.crl", "ca/ROOT.ser", "ca/2a.crt",
                           "ca/2a.cnm", "link/ROOT.p12", "ca/../ca/./ROOT.p12"})
    EXPECT_THAT(fault(root + pkcs12("A", path(name))), HasSubstr("publishes")) << name;
  for (const char* name : {"ca/A.p12", "ca/ROOT.pem", "ca/ROOT2.p12", "ca/ROOT_1.p12", "ca/2A.crt",
                           "ca/02a.crt", "ROOT.p12"})
    EXPECT_THAT(faults(root + pkcs12("A", path(name))), IsEmpty()) << name;
  std::ofstream(path("ca/ROOT.p12")) << "the CA's";
  fs::create_symlink(path("ca/ROOT.p12"), path("alias.p12"));
  EXPECT_THAT(fault(root + pkcs12("A", path("alias.p12"))), HasSubstr("publishes ROOT.p12"));
  EXPECT_THAT(fault(root + pem("A", path("ca/ROOT.crl"))),
              AllOf(HasSubstr("publishes ROOT.crl"), HasSubstr("expected: a directory elsewhere")));
  const auto found = misplaced(config::parse(root + pkcs12("A", path("ca/ROOT.p12"))), own);
  EXPECT_EQ(found.own.size(), 1U) << "what is lost is the CA's archive: umbrad does not start";
  EXPECT_THAT(fault(server("ROOT", url(path("later"))) + pkcs12("A", path("later/ROOT.p12"))),
              HasSubstr("publishes ROOT.p12"))
      << "though it is not there yet";
}

TEST_F(StoragePlacesTest, EachTypeOfFileHasThePlaceThatItIsPublishedTo) {
  const std::string root = server("ROOT", " database url p12 UNIX:" + path("archives") +
                                              "\n database url crl publish unix:" + path("web") +
                                              "\n database url " + "unix:" + path("ca") + "\n");
  EXPECT_THAT(fault(root + pkcs12("A", path("archives/ROOT.p12"))), HasSubstr("F:7:"));
  EXPECT_THAT(fault(root + pkcs12("A", path("web/ROOT.crl"))), HasSubstr("F:7:"));
  EXPECT_THAT(fault(root + pkcs12("A", path("ca/ROOT.crl"))), HasSubstr("F:7:"));
  EXPECT_THAT(faults(root + pkcs12("A", path("ca/ROOT.p12")) + pkcs12("B", path("web/ROOT.ser"))),
              IsEmpty());
  EXPECT_THAT(faults(server("ROOT", " database url ftp://192.0.2.1" + path("ca") + "\n") +
                     pkcs12("A", path("ca/ROOT.p12"))),
              IsEmpty())
      << "another host's";
}

TEST_F(StoragePlacesTest, ADirectoryOfSetsHasNoFilesOfACertificateServerUnderItsNames) {
  const std::string below = url(path("web"));
  EXPECT_THAT(faults(server("ROOT", below) + pem("A", path("web"))), IsEmpty());
  EXPECT_THAT(faults(server("ca", below) + pem("A", path("web"))), IsEmpty());
  EXPECT_THAT(fault("crypto pki server ca\n database archive pem password 0 between-us\n" + below +
                    pem("A", path("web"))),
              AllOf(HasSubstr("F:5:"), HasSubstr("server ca publishes ca.pem")));
  EXPECT_THAT(fault(server("ROOT", url(path("web/rollover"))) + pem("A", path("web"))),
              HasSubstr("publishes its files to unix:" + path("web/rollover")));
  EXPECT_THAT(faults(server("ROOT", url(path("web/published"))) + pem("A", path("web"))),
              IsEmpty());
}

TEST_F(StoragePlacesTest, AServerThatIsNewIsTheOneThatIsWrong) {
  const std::string before = pkcs12("A", path("ca/ROOT.p12"));
  const std::string root =
      server("ROOT", " database url crl publish unix:" + path("ca/crl") + "\n" + url(path("ca")));
  EXPECT_THAT(fault(root + before, before),
              AllOf(HasSubstr("F:4:15:"), HasSubstr("is trustpoint A's, and certificate server"),
                    HasSubstr("expected: a directory that no trustpoint writes to")));
  const std::string unsealed = "crypto pki server ROOT\n" + url(path("ca"));
  EXPECT_THAT(fault(root + before, unsealed + before), HasSubstr("F:4:"))
      << "the archive goes there since";
  EXPECT_THAT(faults(root + before + pem("B", path("b")), root + before), IsEmpty())
      << "nor is it asked again";
  EXPECT_THAT(faults(root + " grant auto\n" + before, root + before), IsEmpty());
}

}  // namespace
}  // namespace umbra::io
