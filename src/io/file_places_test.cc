#include "io/file_places.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "io/scratch_test.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;
using server::PublishedFile;
using testing::HasSubstr;

class FilePlacesTest : public ScratchTest {
 protected:
  static config::FilePlace at(const std::string& url) { return {url, "", std::nullopt}; }
  static PublishedFile file(const std::string& name, const std::string& content) {
    return {name, to_bytes(as_bytes(content))};
  }
  std::size_t entries(const std::string& name) const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path(name)), fs::directory_iterator()));
  }
  FilePlaces places{directory + "/data"};
};

TEST_F(FilePlacesTest, ADeviceIsAFolderOfTheDataDirectoryForItsOwnerAlone) {
  const auto delivery =
      places.deliver(at("nvram:"), {file("A.ser", "1"), file("A.crl", "2"), file("A.p12", "3")});
  EXPECT_FALSE(delivery.error);
  EXPECT_EQ(delivery.done, 3U);
  EXPECT_EQ(text(path("data/nvram/A.crl")), "2");
  EXPECT_EQ(mode(path("data/nvram")), 0700U);
  EXPECT_EQ(mode(path("data/nvram/A.crl")), 0600U);
  for (const char* url : {"flash:/CA", "flash:CA", "FLASH:/CA/"}) {
    EXPECT_FALSE(places.deliver(at(url), {file("A.ser", url)}).error) << url;
    EXPECT_EQ(text(path("data/flash/CA/A.ser")), url);
  }
}

TEST_F(FilePlacesTest, AFolderOfTheMachineIsForReadersExceptForArchives) {
  fs::create_directory(path("srv"));
  ASSERT_EQ(
      places.deliver(at("unix:" + path("srv")), {file("A.crl", "old"), file("A.pem", "key")}).done,
      2U);
  ASSERT_EQ(places.deliver(at("unix:" + path("srv") + "/"), {file("A.crl", "new")}).done, 1U);
  EXPECT_EQ(text(path("srv/A.crl")), "new");
  EXPECT_EQ(mode(path("srv/A.crl")) & 0600U, 0600U);
  EXPECT_EQ(mode(path("srv/A.pem")), 0600U);
  EXPECT_EQ(entries("srv"), 2U) << "nothing else is left there";
}

TEST_F(FilePlacesTest, AVolumeThatIsNotMountedIsNotWrittenBeneath) {
  const auto delivery = places.deliver(at("unix:" + path("srv/db")), {file("A.crl", "1")});
  EXPECT_EQ(delivery.done, 0U);
  EXPECT_THAT(delivery.error->detail, HasSubstr("srv/db/A.crl.new: No such file or directory"));
  EXPECT_FALSE(fs::exists(path("srv")));
}

TEST_F(FilePlacesTest, TheFirstThatFailsEndsADeliveryAndNoneBehindItArrives) {
  fs::create_directories(path("srv/2.crt"));  // in the way of a file
  const auto delivery = places.deliver(
      at("unix:" + path("srv")), {file("1.crt", "1"), file("2.crt", "2"), file("3.crt", "3")});
  EXPECT_EQ(delivery.done, 1U);
  EXPECT_THAT(delivery.error->detail, HasSubstr("cannot replace"));
  EXPECT_EQ(text(path("srv/1.crt")), "1");
  EXPECT_FALSE(fs::exists(path("srv/3.crt")));
  EXPECT_EQ(entries("srv"), 2U) << "no draft is left behind";
}

TEST_F(FilePlacesTest, ALinkInTheWayOfADraftIsNotFollowed) {
  fs::create_directory(path("srv"));
  fs::create_symlink(path("elsewhere"), path("srv/A.crl.new"));
  EXPECT_EQ(places.deliver(at("unix:" + path("srv")), {file("A.crl", "1")}).done, 1U);
  EXPECT_FALSE(fs::exists(path("elsewhere")));
  EXPECT_TRUE(fs::is_regular_file(path("srv/A.crl")));
}

TEST_F(FilePlacesTest, RoomIsKnownOfFoldersAlone) {
  fs::create_directory(path("data"));
  EXPECT_TRUE(places.free_octets(at("nvram:")));
  EXPECT_TRUE(places.free_octets(at("unix:" + directory)));
  EXPECT_FALSE(places.free_octets(at("unix:" + path("nowhere"))));
  EXPECT_FALSE(places.free_octets(at("ftp://127.0.0.1/db")));
}

TEST_F(FilePlacesTest, NothingIsSentToOtherMachinesAfterTheEnd) {
  places.finish_within(std::chrono::seconds{0});
  const auto delivery = places.deliver(at("ftp://127.0.0.1:1/db"), {file("A.crl", "1")});
  EXPECT_EQ(delivery.done, 0U);
  EXPECT_EQ(delivery.error->code, Errc::unreachable);
}

}  // namespace
}  // namespace umbra::io
