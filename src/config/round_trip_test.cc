#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "config/command_table.h"
#include "config/config.h"

/// What `show running-config` prints is read back as what it was printed from, whatever stands in
/// it: every command of the table, with words drawn by chance that its syntax allows.
namespace umbra::config {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int tries = 200;

class Sampler {
 public:
  explicit Sampler(std::uint32_t seed) : chance_(seed) {}

  /// A line that the syntax allows.
  std::string line(const Grammar::Compiled& command) {
    std::string out;
    for (std::size_t at = pick(command.first);;) {
      out += (out.empty() ? "" : " ") + value(*command.words[at]);
      const auto& follow = command.follow[at];
      if (command.last[at] && (follow.empty() || draw(2) == 0)) return out;
      at = pick(follow);
    }
  }

 private:
  std::size_t draw(std::size_t below) { return chance_() % below; }
  std::size_t pick(const std::vector<std::size_t>& from) { return from[draw(from.size())]; }
  std::string one_of(std::initializer_list<const char*> all) {
    return std::data(all)[draw(all.size())];
  }

  std::string value(const Word& word) {
    switch (word.kind) {
      case WordKind::keyword:
        return word.text;
      case WordKind::number: {
        const auto span =
            static_cast<std::uint64_t>(static_cast<std::int64_t>(word.high) - word.low);
        switch (draw(3)) {
          case 0:
            return std::to_string(word.low);
          case 1:
            return std::to_string(word.high);
          default:
            return std::to_string(word.low + static_cast<std::int64_t>(chance_() % (span + 1)));
        }
      }
      case WordKind::word:
        return one_of({"W1", "W1", "/var/lib/x", "0600", "640", "0x2A", "17", "host.example.org"});
      case WordKind::line:
        return one_of({"a  b c", "/usr/bin/true -x \"y z\"", "x"});
      case WordKind::secret:
        return one_of({"s3cret!pass", "0123456789", "a|b?c#d*e"});
      case WordKind::secret_line:
        return one_of({"open  sesame now", "0x", "7-of-9 is a name"});
      case WordKind::url:
        return one_of(
            {"http://192.0.2.1", "http://ca.example.org:8080/x", "nvram:", "unix:/srv/ca"});
      case WordKind::hex:
        return one_of({"0A", "12345678"});
      case WordKind::hex_line:
        return one_of({"00112233 44556677 8899AABB CCDDEEFF 00112233",
                       "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"});
      case WordKind::dn:
        return one_of({"CN=x", "CN=Root CA, OU=TAC,O=Cis\\,co", "cn=\xC3\xA4,o=B\xC3\xBCro"});
      case WordKind::ip:
        return one_of({"192.0.2.7", "10.255.0.1"});
    }
    return "";
  }

  std::mt19937 chance_;
};

/// Where a line may stand so that what it needs of others is there.
std::vector<std::string> contexts(Mode mode) {
  const std::string vouching = "crypto pki trustpoint W1\n enrollment url http://192.0.2.9\n";
  const std::string weak = " allow legacy md5\n allow legacy rsa-1024\n";
  const std::string profile =
      "crypto pki profile enrollment W1\n authentication url http://192.0.2.1\n"
      " enrollment url http://192.0.2.1\n";
  switch (mode) {
    case Mode::server:
      return {vouching + "crypto pki server CA\n" + weak,
              vouching + "crypto pki trustpoint CA\n enrollment url http://192.0.2.8\n" +
                  "crypto pki server CA\n" + weak};
    case Mode::trustpoint:
      // With a way to enrol, and without: a trustpoint has one.
      return {"crypto pki trustpoint TP\n enrollment url http://192.0.2.1\n" + weak,
              profile + "crypto pki trustpoint TP\n" + weak};
    case Mode::profile:
      return {"crypto pki profile enrollment P\n"};
    case Mode::chain:
      return {"crypto pki certificate chain TP\n"};
    case Mode::global:
    case Mode::exec:
      break;
  }
  return {""};
}

/// Reads it back. Out: false if the text has faults. Chance draws short lines many times: a text
/// says nothing new then.
bool comes_back(const std::string& text) {
  static std::map<std::string, bool> read;
  const auto [known, is_new] = read.try_emplace(text, false);
  if (!is_new) return known->second;
  const Parsed parsed = parse(text);
  if (!parsed.faults.empty()) return false;
  const Parsed again = parse(parsed.running_config);
  EXPECT_THAT(again.faults, IsEmpty()) << text << "printed as\n" << parsed.running_config;
  EXPECT_TRUE(again.configuration == parsed.configuration) << text << "printed as\n"
                                                           << parsed.running_config;
  EXPECT_TRUE(again.chains == parsed.chains) << text;
  EXPECT_EQ(again.running_config, parsed.running_config) << text;
  known->second = true;
  return true;
}

TEST(RunningConfig, OfEveryCommandIsReadBackAsWhatItWas) {
  Sampler sampler(20151009);
  for (const Mode mode :
       {Mode::global, Mode::server, Mode::trustpoint, Mode::profile, Mode::chain}) {
    for (const auto& compiled : grammar(mode).commands()) {
      const Command& command = *compiled.command;
      if (command.flags & (Command::action | Command::passed | Command::opens)) continue;
      int good = 0;
      for (int i = 0; i < tries; ++i) {
        const std::string line = sampler.line(compiled);
        const std::string tail = mode == Mode::chain && line.find(':') == std::string::npos
                                     ? "\n  30030101 FF\n  quit"
                                     : "";
        for (const std::string& context : contexts(mode)) {
          good += comes_back(context + " " + line + tail + "\n") ? 1 : 0;
          if (command.flags & Command::default_on)
            good += comes_back(context + " no " + line + "\n") ? 1 : 0;
        }
        if (HasFailure()) return;  // one example says enough
      }
      EXPECT_GT(good, 0) << "no line of \"" << command.syntax << "\" was accepted";
    }
  }
}

TEST(RunningConfig, OfManyCommandsTogetherIsReadBackAsWhatItWas) {
  Sampler sampler(20170710);
  int good = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string text;
    for (const Mode mode : {Mode::global, Mode::trustpoint, Mode::profile, Mode::server}) {
      text += contexts(mode).front();
      const auto& commands = grammar(mode).commands();
      for (int n = 0; n < 3; ++n) {
        const auto& compiled =
            commands[static_cast<std::size_t>(i * 31 + n * 17) % commands.size()];
        if (compiled.command->flags & (Command::action | Command::passed | Command::opens))
          continue;
        text += " " + sampler.line(compiled) + "\n";
      }
    }
    good += comes_back(text) ? 1 : 0;
    if (HasFailure()) return;
  }
  EXPECT_GT(good, 100);
}

}  // namespace
}  // namespace umbra::config
