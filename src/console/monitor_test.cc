#include "console/monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "golden.h"

namespace umbra::console {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Monitor, KeepsTheNewestLines) {
  const auto monitor = Monitor::make();
  monitor->add("Jul 10 13:14:16.510: %PKI-6-CS_ENABLED: Certificate server now enabled.");
  monitor->add("Jul 10 13:14:16.510: CRYPTO_CS: shadow generation timer fired.");
  const auto subscription = monitor->subscribe({});
  vectors::expect_golden("screens/logging.txt", logging_screen(monitor->kept()));

  const std::string line(1000, 'x');
  for (int i = 0; i < 1000; ++i) monitor->add(line);
  const auto kept = monitor->kept();
  EXPECT_EQ(kept.logged, 1002U);
  EXPECT_THAT(kept.lines, SizeIs(Monitor::octets_max / 1001));
  EXPECT_EQ(kept.dropped, kept.logged - kept.lines.size());
}

TEST(Monitor, ASessionIsGivenWhatComesWhileItListens) {
  const auto monitor = Monitor::make();
  monitor->add("before");
  int ready = 0;
  auto subscription = monitor->subscribe([&ready] { ++ready; });
  EXPECT_THAT(subscription->take(), IsEmpty());
  monitor->add("one");
  monitor->add("two");
  EXPECT_EQ(ready, 1) << "once for all that waits";
  EXPECT_THAT(subscription->take(), ElementsAre("one", "two"));
  monitor->add("three");
  EXPECT_EQ(ready, 2);
  subscription.reset();
  monitor->add("four");
  EXPECT_EQ(ready, 2);
  EXPECT_EQ(monitor->kept().sessions, 0U);
}

TEST(Monitor, ASessionThatDoesNotKeepUpIsTold) {
  const auto monitor = Monitor::make();
  const auto subscription = monitor->subscribe({});
  for (std::size_t i = 0; i < Monitor::waiting_max + 7; ++i) monitor->add(std::to_string(i));
  const auto lines = subscription->take();
  ASSERT_THAT(lines, SizeIs(Monitor::waiting_max + 1));
  EXPECT_EQ(lines[0], "% 7 lines of the log were lost here");
  EXPECT_EQ(lines[1], "7");
}

TEST(Monitor, SessionsComeAndGoWhileOthersLog) {
  const auto monitor = Monitor::make();
  std::thread logging([&] {
    for (int i = 0; i < 2000; ++i) monitor->add("line");
  });
  for (int i = 0; i < 200; ++i) static_cast<void>(monitor->subscribe([] {})->take());
  logging.join();
  EXPECT_EQ(monitor->kept().logged, 2000U);
}

TEST(Monitor, DebugsWhatIsSwitchedOn) {
  const auto monitor = Monitor::make();
  EXPECT_EQ(debugging_screen(*monitor), "");
  monitor->set_debug(DebugTopic::scep, true);
  monitor->set_debug(DebugTopic::server, true);
  EXPECT_EQ(debugging_screen(*monitor),
            "PKI:\n  Crypto PKI Server debugging is on\n  Crypto PKI Scep debugging is on\n");
  EXPECT_TRUE(monitor->debugs(topic_of("CRYPTO_CS")));
  EXPECT_TRUE(monitor->debugs(topic_of("CRYPTO_PKI_SCEP")));
  EXPECT_FALSE(monitor->debugs(topic_of("CRYPTO_PKI")));
  EXPECT_FALSE(monitor->debugs(topic_of("CRYPTO_PKI/messages")));
}

}  // namespace
}  // namespace umbra::console
