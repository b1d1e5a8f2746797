// What the configuration is shown as, and what is said of its commands.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "config/lab_test.h"
#include "config/reference.h"

namespace umbra::config {
namespace {

TEST(Config, RunningConfigurationIsInOrderWithoutDefaultsAndWithObscuredSecrets) {
  const Parsed parsed = good(
      "ip http port 8080\nip http server\n"
      "crypto pki trustpoint T\n auto-enroll 080\n enrollment url http://h\n password 0 hush\n"
      "crypto pki server S\n no shutdown\n lifetime crl 6 0\n lifetime certificate 10 0 0\n"
      " grant auto\n issuer-name CN=S\n database level complete\n challenge password hush\n"
      "hostname here\n");
  EXPECT_EQ(
      parsed.running_config,
      "!\nhostname here\n!\ncrypto pki server S\n database level complete\n"
      " issuer-name CN=S\n grant auto\n lifetime certificate 10\n"
      " challenge password 7 " +
          encode_type7("hush", 'h' + 'u' + 's' + 'h') +
          "\n no shutdown\n!\ncrypto pki trustpoint T\n enrollment url http://h\n password 7 " +
          encode_type7("hush", 'h' + 'u' + 's' + 'h') +
          "\n auto-enroll 80\n!\nip http server\nip http port 8080\n!\n");
}

TEST(Config, ReadsItsOwnRunningConfigurationBack) {
  for (const std::string& text : {file("guide-server.txt"), file("guide-client.txt"),
                                  file("guide-chain.txt"), file("everything.txt")}) {
    const Parsed once = good(text);
    const Parsed again = good(once.running_config);
    EXPECT_EQ(again.configuration, once.configuration);
    EXPECT_EQ(again.chains, once.chains);
    EXPECT_EQ(again.running_config, once.running_config);
  }
}

TEST(Config, EverythingMatchesItsGoldenText) {
  vectors::expect_golden("config/everything-running.txt",
                         good(file("everything.txt")).running_config);
}

TEST(Chain, IsPrintedAsTheRouterPrintsIt) {
  const std::string text = file("guide-chain.txt");
  const auto chain = parse_chain(text);
  ASSERT_TRUE(chain) << chain.error().detail;
  ASSERT_EQ(chain->certificates.size(), 2U);
  EXPECT_EQ(chain->certificates[0].kind, ChainKind::ca_rollover);
  EXPECT_EQ(chain->certificates[0].serial, "03");
  EXPECT_EQ(chain->certificates[1].der.size(), 571U);
  EXPECT_EQ(to_string(*chain), text);
}

TEST(CommandTable, EveryWordHasItsHelp) {
  for (const Command& command : command_table()) {
    const auto bars = std::count(command.help.begin(), command.help.end(), '|');
    EXPECT_EQ(static_cast<std::size_t>(bars + 1), words_of(command).size()) << command.syntax;
    for (const Word& word : words_of(command)) EXPECT_FALSE(word.help.empty()) << command.syntax;
  }
}

TEST(CommandTable, DefaultsAreCommandsOfTheirOwnMode) {
  for (const Command& command : command_table()) {
    if (command.otherwise.starts_with('[')) continue;
    const Outcome outcome =
        grammar(command.mode).match(command.otherwise, tokenize(command.otherwise));
    ASSERT_EQ(outcome.verdict, Verdict::matched) << command.otherwise;
    EXPECT_EQ(outcome.match.command->key, command.key);
  }
}

TEST(CommandTable, IsTheCommandReference) {
  const std::string path = std::string(UMBRA_SOURCE_DIR) + "/docs/commands.md";
  if (std::getenv("UPDATE_GOLDEN")) std::ofstream(path) << command_reference();
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), command_reference()) << "UPDATE_GOLDEN=1 rewrites docs/commands.md";
}

TEST(Type7, IsDecodedAndEncodedAsOnTheRouter) {
  EXPECT_EQ(decode_type7("01100F175804575D72").value_or("?"), "cisco123");
  EXPECT_EQ(encode_type7("cisco123", 1), "01100F175804575D72");
  const std::string long_one(120, 'x');
  for (unsigned salt = 0; salt < 20; ++salt) {
    EXPECT_EQ(decode_type7(encode_type7(long_one, salt)).value_or("?"), long_one);
  }
  for (const char* text : {"", "01", "0", "99AA", "01G0", "0110 0F", "011"}) {
    EXPECT_FALSE(decode_type7(text)) << text;
  }
}

}  // namespace
}  // namespace umbra::config
