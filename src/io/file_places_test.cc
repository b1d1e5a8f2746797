#include "io/file_places.h"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <future>

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
  server::Delivery deliver(const config::FilePlace& place,
                           const std::vector<PublishedFile>& files) {
    return places.deliver(place, files, give_up);
  }
  FilePlaces places{directory + "/data"};
  std::atomic<bool> give_up = false;
};

TEST_F(FilePlacesTest, ADeviceIsAFolderOfTheDataDirectoryForItsOwnerAlone) {
  const auto delivery =
      deliver(at("nvram:"), {file("A.ser", "1"), file("A.crl", "2"), file("A.p12", "3")});
  EXPECT_FALSE(delivery.error);
  EXPECT_EQ(delivery.done, 3U);
  EXPECT_EQ(text(path("data/nvram/A.crl")), "2");
  EXPECT_EQ(mode(path("data/nvram")), 0700U);
  EXPECT_EQ(mode(path("data/nvram/A.crl")), 0600U);
  for (const char* url : {"flash:/CA", "flash:CA", "FLASH:/CA/"}) {
    EXPECT_FALSE(deliver(at(url), {file("A.ser", url)}).error) << url;
    EXPECT_EQ(text(path("data/flash/CA/A.ser")), url);
  }
}

TEST_F(FilePlacesTest, AFolderOfTheMachineIsForReadersExceptForArchives) {
  fs::create_directory(path("srv"));
  ASSERT_EQ(deliver(at("unix:" + path("srv")), {file("A.crl", "old"), file("A.pem", "key")}).done,
            2U);
  ASSERT_EQ(deliver(at("unix:" + path("srv") + "/"), {file("A.crl", "new")}).done, 1U);
  EXPECT_EQ(text(path("srv/A.crl")), "new");
  EXPECT_EQ(mode(path("srv/A.crl")) & 0600U, 0600U);
  EXPECT_EQ(mode(path("srv/A.pem")), 0600U);
  EXPECT_EQ(entries("srv"), 2U) << "nothing else is left there";
}

TEST_F(FilePlacesTest, AVolumeThatIsNotMountedIsNotWrittenBeneath) {
  const auto delivery = deliver(at("unix:" + path("srv/db")), {file("A.crl", "1")});
  EXPECT_EQ(delivery.done, 0U);
  EXPECT_THAT(delivery.error->detail, HasSubstr("srv/db/A.crl: No such file or directory"));
  EXPECT_FALSE(fs::exists(path("srv")));
}

TEST_F(FilePlacesTest, TheFirstThatFailsEndsADeliveryAndNoneBehindItArrives) {
  fs::create_directories(path("srv/2.crt"));  // in the way of a file
  const auto delivery = deliver(at("unix:" + path("srv")),
                                {file("1.crt", "1"), file("2.crt", "2"), file("3.crt", "3")});
  EXPECT_EQ(delivery.done, 1U);
  EXPECT_THAT(delivery.error->detail, HasSubstr("cannot replace"));
  EXPECT_EQ(text(path("srv/1.crt")), "1");
  EXPECT_FALSE(fs::exists(path("srv/3.crt")));
  EXPECT_EQ(entries("srv"), 2U) << "no draft is left behind";
}

TEST_F(FilePlacesTest, DraftsOfAProcessThatDiedAreClearedAwayOnceAndNobodyElsesFiles) {
  fs::create_directory(path("srv"));
  ASSERT_TRUE(write_file(path("srv/A.crl.new"), as_bytes("somebody else's")));
  ASSERT_TRUE(write_file(path("srv/.B.crl.umbra-0123456789abcdef"), as_bytes("hal")));
  EXPECT_EQ(deliver(at("unix:" + path("srv")), {file("A.crl", "1")}).done, 1U);
  EXPECT_EQ(text(path("srv/A.crl.new")), "somebody else's");
  EXPECT_EQ(entries("srv"), 2U);
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
  const auto delivery = deliver(at("ftp://127.0.0.1:1/db"), {file("A.crl", "1")});
  EXPECT_EQ(delivery.done, 0U);
  EXPECT_EQ(delivery.error->code, Errc::unreachable);
}

/// Takes connections, and says nothing.
class Silence {
 public:
  Silence() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof here;
    auto* const address = reinterpret_cast<sockaddr*>(&here);
    EXPECT_EQ(::bind(listener_, address, size), 0);
    EXPECT_EQ(::listen(listener_, 4), 0);
    EXPECT_EQ(::getsockname(listener_, address, &size), 0);
    port = ntohs(here.sin_port);
  }
  ~Silence() { ::close(listener_); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
  std::uint16_t port = 0;

 private:
  int listener_;
};

TEST_F(FilePlacesTest, WhatHangsIsGivenUpAlsoByWhoWaitsForItsTurn) {
  const Silence silence;
  const auto place = at("http://127.0.0.1:" + std::to_string(silence.port) + "/db");
  std::atomic<bool> second_gives_up = false;
  auto first = std::async(std::launch::async, [&] { return deliver(place, {file("A.crl", "1")}); });
  auto second = std::async(std::launch::async, [&] {
    return places.deliver(place, {file("B.crl", "1")}, second_gives_up);
  });
  EXPECT_EQ(first.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  second_gives_up = give_up = true;
  for (auto* const one : {&first, &second}) {
    ASSERT_EQ(one->wait_for(std::chrono::seconds(5)), std::future_status::ready);
    const auto delivery = one->get();
    EXPECT_EQ(delivery.done, 0U);
    EXPECT_TRUE(delivery.error);
  }
}

}  // namespace
}  // namespace umbra::io
