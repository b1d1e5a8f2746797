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

}  // namespace
}  // namespace umbra::io
