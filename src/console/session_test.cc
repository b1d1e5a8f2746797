#include "console/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "config/command_table.h"
#include "console/exec_table.h"
#include "console/lab_test.h"

namespace umbra::console {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Notes what it is told to change.
class Notes final : public Configurator {
 public:
  void edit(Edit edit, std::function<void(EditResult)> done) override {
    std::string line = edit.by + "|" + edit.section + "|";
    for (const auto& one : edit.lines) line += one + ";";
    lines.push_back(line);
    EditResult result;
    result.ok = !refuse;
    if (refuse) result.output = "% refused\n";
    done(result);
  }
  void left(const std::string& by) override { lines.push_back("left " + by); }
  [[nodiscard]] std::string running() const override { return ""; }
  void reload(std::string /*by*/, std::function<void(Result<std::string>)> done) override {
    done(std::string());
  }
  [[nodiscard]] Result<std::string> startup() const override { return std::string(); }
  [[nodiscard]] Result<std::string> differences() const override { return std::string(); }
  void save(std::string /*by*/, std::function<void(Result<std::string>)> done) override {
    done(std::string());
  }
  bool refuse = false;
  std::vector<std::string> lines;
};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() : clock_(lab::at("2017-07-10T12:14:46Z"), 820) {
    auto e = std::make_shared<ExecEnvironment>(
        ExecEnvironment{clock_, lab::cet, "0.1.0", "hub", "", {}, {}, {}, {}, {}});
    e->configurator = &notes;
    environment_ = std::move(e);
    sit(Privilege::full);
  }
  void sit(Privilege privilege) {
    session = std::make_shared<Session>([this] { return environment_; }, privilege, "alice");
  }
  std::string say(const std::string& line) {
    std::string out;
    session->say(line, {}, [&out](const ExecResult& result) { out = result.output; });
    return out;
  }

  lab::FixedClock clock_;
  std::shared_ptr<const ExecEnvironment> environment_;
  Notes notes;
  std::shared_ptr<Session> session;
};

TEST_F(SessionTest, GoesThroughTheModesAsOnIos) {
  EXPECT_EQ(session->prompt(), "hub#");
  EXPECT_THAT(say("conf t"), HasSubstr("one per line"));
  EXPECT_EQ(session->prompt(), "hub(config)#");
  say("crypto pki trustpoint SPOKE");
  EXPECT_EQ(session->prompt(), "hub(ca-trustpoint)#");
  say("enrollment url http://10.1.1.1");
  say("crypto pki server ROOTCA");
  EXPECT_EQ(session->prompt(), "hub(cs-server)#");
  say("grant auto");
  say("no grant auto");
  say("exit");
  EXPECT_EQ(session->prompt(), "hub(config)#");
  say("crypto pki server ROOTCA");
  say("hostname hub");
  EXPECT_EQ(session->prompt(), "hub(config)#") << "a global command leaves the submode";
  say("end");
  EXPECT_EQ(session->prompt(), "hub#");
  EXPECT_THAT(
      notes.lines,
      ElementsAre("alice||crypto pki trustpoint SPOKE;",
                  "alice|crypto pki trustpoint SPOKE|enrollment url http://10.1.1.1;",
                  "alice||crypto pki server ROOTCA;", "alice|crypto pki server ROOTCA|grant auto;",
                  "alice|crypto pki server ROOTCA|no grant auto;",
                  "alice||crypto pki server ROOTCA;", "alice||hostname hub;", "left alice"));
  say("exit");
  EXPECT_TRUE(session->over());
  EXPECT_THAT(say("show clock"), HasSubstr("over"));
}

TEST_F(SessionTest, EverySubmodeOfTheTableHasItsPromptAndItsCommands) {
  std::set<std::string> prompts;
  std::size_t submodes = 0;
  for (const auto& row : config::command_table()) {
    if (!(row.flags & config::Command::opens)) continue;
    ++submodes;
    sit(Privilege::full);
    say("configure terminal");
    const std::string global = session->help("");
    say(std::string(row.key) + " NAME");
    EXPECT_THAT(session->prompt(), HasSubstr("hub(c")) << row.key;
    prompts.insert(session->prompt());
    EXPECT_NE(session->help(""), global) << row.key;
    say("exit");
    EXPECT_EQ(session->prompt(), "hub(config)#");
  }
  EXPECT_EQ(prompts.size(), submodes) << "one is taken for another";
  EXPECT_GE(submodes, 4U);
}

TEST_F(SessionTest, ARefusedChangeMovesNobody) {
  say("configure terminal");
  notes.refuse = true;
  EXPECT_EQ(say("crypto pki server ROOTCA"), "% refused\n");
  EXPECT_EQ(session->prompt(), "hub(config)#");
}

TEST_F(SessionTest, ACertificateIsOneChange) {
  say("configure terminal");
  say("crypto pki certificate chain SPOKE");
  EXPECT_EQ(session->prompt(), "hub(config-cert-chain)#");
  notes.lines.clear();
  say("certificate ca 01");
  EXPECT_EQ(session->prompt(), "hub(config-pubkey)#");
  say("  30030101");
  say("00");
  EXPECT_THAT(notes.lines, IsEmpty());
  say("quit");
  EXPECT_THAT(notes.lines, ElementsAre("alice|crypto pki certificate chain SPOKE|certificate ca "
                                       "01;  30030101;00;quit;"));
  EXPECT_EQ(session->prompt(), "hub(config-cert-chain)#");
  notes.lines.clear();
  say("no certificate ca 01");
  EXPECT_THAT(notes.lines,
              ElementsAre("alice|crypto pki certificate chain SPOKE|no certificate ca 01;"));
}

TEST_F(SessionTest, WhatIsNoPartOfACertificateIsSaidAtOnce) {
  say("configure terminal");
  say("crypto pki certificate chain SPOKE");
  notes.lines.clear();
  for (const char* way_out : {"end", "exit"}) {
    say("certificate ca 01");
    EXPECT_THAT(say("3082 zz"), HasSubstr("hexadecimal")) << "and the line is left out";
    EXPECT_THAT(say("show clock"), HasSubstr("hexadecimal"));
    EXPECT_EQ(session->prompt(), "hub(config-pubkey)#");
    EXPECT_THAT(say(way_out), HasSubstr("nothing was changed"));
    EXPECT_EQ(session->prompt(), "hub(config-cert-chain)#");
  }
  EXPECT_THAT(notes.lines, IsEmpty());
}

TEST_F(SessionTest, AWordShortForSeveralIsAmbiguousWhereverItIsSaid) {
  say("configure terminal");
  for (const char* line : {"e", "en", "d", "E"}) {
    EXPECT_THAT(say(line), HasSubstr("% Ambiguous command:")) << line;
    EXPECT_EQ(session->prompt(), "hub(config)#") << line;
  }
  say("crypto pki server A");
  say("ex");
  EXPECT_EQ(session->prompt(), "hub(config)#");
  say("end");
  EXPECT_EQ(session->prompt(), "hub#");
}

TEST_F(SessionTest, QuestionMarkBehindHalfAnArgumentNamesIt) {
  EXPECT_THAT(session->help("show crypto pki server ROOT"), HasSubstr("NAME"));
  EXPECT_THAT(session->help("crypto pki server A grant 1"), HasSubstr("<1-2147483647>"));
  EXPECT_EQ(session->help("crypto pki server A grant x"), "% Unrecognized command\n");
  say("configure terminal");
  say("crypto pki server ROOTCA");
  EXPECT_THAT(session->help("lifetime crl 2"), HasSubstr("<"));
  EXPECT_EQ(session->help("lifetime crl 99999"), "% Unrecognized command\n");
  EXPECT_THAT(session->help("issuer-name CN="), HasSubstr("DN"));
  EXPECT_THAT(session->help("issuer-name CN=a, O=b"), HasSubstr("DN"));
  EXPECT_THAT(session->help("database url f"), HasSubstr("URL"));
  EXPECT_EQ(session->completion("lifetime crl 2"), "");
}

TEST_F(SessionTest, TheOlderSpellingIsRead) {
  for (const std::string line :
       {"show crypto ca trustpoints status", "sh cry ca trustp st",
        "sh cr CA timers | count Timers", "crypto ca enroll NONE", "show crypto ca server CA",
        "debug crypto ca server", "no debug crypto ca server", "undebug cry ca server"}) {
    std::string today = line;
    const auto at = config::lower(line).find(" ca ");
    today.replace(at, 4, " pki ");
    EXPECT_EQ(say(line), say(today)) << line;
    EXPECT_THAT(say(line), Not(HasSubstr("marker"))) << line;
  }
  EXPECT_EQ(say("show crypto ca nonsense"),
            "                ^\n% Invalid input detected at '^' marker.\n");
  EXPECT_EQ(say("show c ca timers"), "% Ambiguous command:  \"show c ca timers\"\n");
}

TEST_F(SessionTest, DoSaysAnExecCommand) {
  say("configure terminal");
  EXPECT_THAT(say("do show clock"), HasSubstr("13:14:46.820 CET"));
  EXPECT_THAT(say("do sh cl | i nothing"), IsEmpty());
  EXPECT_EQ(say("do"), "% Incomplete command.\n");
  EXPECT_EQ(session->prompt(), "hub(config)#");
}

TEST_F(SessionTest, FiltersAndBlanksAreWhatATextHas) {
  auto e = std::make_shared<ExecEnvironment>(*environment_);
  e->running_config = "!\ncrypto pki server CA\n issuer-name CN=Z\xC3\xBCrich\n!\n";
  environment_ = std::move(e);
  EXPECT_EQ(say("show running-config | include Z\xC3\xBC"), " issuer-name CN=Z\xC3\xBCrich\n");
  EXPECT_EQ(say("show running-config | count Z.rich"), "Number of lines which match regexp = 1\n")
      << "a character is one, not its octets";
  EXPECT_EQ(say("show\trunning-config | include\tissuer"), " issuer-name CN=Z\xC3\xBCrich\n");
  EXPECT_EQ(say("show running-config | include rr?ich"), " issuer-name CN=Z\xC3\xBCrich\n");
  EXPECT_EQ(say("show running-config | include Zx?"), " issuer-name CN=Z\xC3\xBCrich\n")
      << "no question, within an expression";
  EXPECT_THAT(say("show running-config | include ?"), HasSubstr("REGEX"));
  EXPECT_THAT(say("show running-config | inc?"), HasSubstr("include"));
  EXPECT_THAT(say("show running-config | include \xC3"), HasSubstr("regular expression"));
}

TEST_F(SessionTest, TheCaretStandsUnderTheWordBehindThePrompt) {
  EXPECT_EQ(say("show foo"), "         ^\n% Invalid input detected at '^' marker.\n");
  EXPECT_EQ(say("show cr pki ti extra"),
            "                   ^\n% Invalid input detected at '^' marker.\n");
  say("conf t");
  EXPECT_EQ(say("do show foo"), "                    ^\n% Invalid input detected at '^' marker.\n");
  EXPECT_EQ(say("no nonsense"), "               ^\n% Invalid input detected at '^' marker.\n");
  EXPECT_EQ(say("crypto pki"), "% Incomplete command.\n");
  EXPECT_THAT(say("c"), HasSubstr("% Ambiguous command:  \"c\""));
}

TEST_F(SessionTest, QuestionMarkAndTabComeFromTheTables) {
  EXPECT_THAT(session->help("show crypto pki ti"), HasSubstr("timers"));
  EXPECT_THAT(session->help("show clock | "), HasSubstr("section"));
  EXPECT_THAT(session->help("terminal length "), HasSubstr("<0-512>"));
  EXPECT_EQ(session->completion("sh"), "ow ");
  EXPECT_EQ(session->completion("show crypto pki tr"), "ustpoints ");
  EXPECT_EQ(session->completion("show clock | inc"), "lude ");
  EXPECT_EQ(session->completion("conf"), "igure ");
  EXPECT_EQ(session->completion("show c"), "") << "clock or crypto";
  EXPECT_EQ(session->completion("nonsense x"), "");
  say("conf t");
  EXPECT_EQ(session->completion("crypto pki trust"), "point ");
  EXPECT_EQ(session->completion("do sh"), "ow ");
  EXPECT_THAT(session->help(""), HasSubstr("exit"));
  say("crypto pki server ROOTCA");
  EXPECT_THAT(session->help("gr"), HasSubstr("grant"));
  EXPECT_EQ(session->completion("no gr"), "ant ");
  EXPECT_EQ(session->completion("hostn"), "") << "not of this mode, as on IOS";
}

/// A line that matches this command: its keywords, the first of each choice, and an argument of
/// each kind.
std::string line_of(const config::Command& command) {
  std::string line;
  int optional = 0;
  for (const char c : command.syntax) {
    if (c == '[') ++optional;
    if (optional == 0) line += c;
    if (c == ']') --optional;
  }
  for (std::size_t at = 0; (at = line.find('{')) != std::string::npos;) {
    const std::size_t end = line.find('}', at);
    const std::string first = line.substr(at + 1, line.find_first_of("|}", at) - at - 1);
    line.replace(at, end - at + 1, first);
  }
  std::string out;
  for (const config::Token& word : config::tokenize(line)) {
    const auto colon = word.text.find(':');
    if (!out.empty()) out += ' ';
    out += colon == std::string_view::npos     ? std::string(word.text)
           : word.text.substr(colon) == ":url" ? "unix:/nowhere"
                                               : "7";
  }
  return out;
}

TEST_F(SessionTest, QuestionMarkInConfigurationModeListsTheExecCommandsThatIosHasThere) {
  say("conf t");
  const auto words = [this](const std::string& line) {
    std::string all;
    const std::string screen = session->help(line);
    for (std::size_t at = 0; at < screen.size(); at = screen.find('\n', at) + 1)
      all += screen.substr(at + 2, screen.find_first_of(" \n", at + 2) - at - 2) + " ";
    return all;
  };
  const std::string pki =
      "authenticate certificate crl enroll export import profile server trustpoint ";
  EXPECT_EQ(words("crypto pki "), pki);
  EXPECT_EQ(words("crypto ca "),
            "authenticate certificate crl enroll export import profile trustpoint ");
  EXPECT_EQ(words("crypto pki e"), "enroll export ");
  EXPECT_EQ(words("crypto pki certificate "), "chain validate ");
  EXPECT_EQ(words("crypto pki crl "), "request ");
  EXPECT_EQ(words("crypto pki import T "), "certificate pem pkcs12 ");
  EXPECT_EQ(words("crypto ca export T "), "pem pkcs12 ");
  EXPECT_EQ(words("crypto pki server CA "),
            "grant info password reject remove request revoke rollover start stop unrevoke <cr> ");
  EXPECT_EQ(words("crypto key "), "generate zeroize ");
  EXPECT_EQ(words("crypto key generate rsa "), "exportable general-keys label modulus <cr> ");
  EXPECT_EQ(words("no crypto pki "), "certificate enroll profile server trustpoint ");
  EXPECT_EQ(words("default crypto pki "), "certificate profile server trustpoint ");
  EXPECT_EQ(session->completion("crypto pki imp"), "ort ");
  EXPECT_EQ(session->completion("crypto pki e"), "") << "enroll or export";
  // From a submode too.
  say("crypto pki trustpoint T");
  EXPECT_EQ(words("crypto pki "), pki);
  for (const char* line : {"crypto pki e T", "crypto pki c", "crypto ca e T"}) {
    EXPECT_THAT(say(line), HasSubstr("% Ambiguous command:")) << line;
    EXPECT_EQ(session->prompt(), "hub(ca-trustpoint)#") << line;
  }
  EXPECT_EQ(say("crypto pki export T nonsense"),
            std::string(std::string("hub(ca-trustpoint)#crypto pki export T ").size(), ' ') +
                "^\n% Invalid input detected at '^' marker.\n");
  EXPECT_EQ(say("crypto pki import T"), "% Incomplete command.\n");
  EXPECT_EQ(say("no crypto pki enroll T"), "% There is no trustpoint T\n");
  // Every word that `?` lists is one that can be said.
  for (const auto& row : exec_table()) {
    if (!row.key.starts_with("crypto ")) continue;
    EXPECT_THAT(say(line_of(row)), Not(HasSubstr("marker"))) << row.key;
  }
}

TEST_F(SessionTest, WhoMayLookMayNotChange) {
  sit(Privilege::view);
  EXPECT_EQ(session->prompt(), "hub>");
  EXPECT_THAT(say("show clock"), HasSubstr("2017"));
  for (const char* line :
       {"configure terminal", "write memory", "show running-config", "show startup-config",
        "show archive config differences", "crypto pki server ROOTCA rollover", "undebug all"}) {
    EXPECT_THAT(say(line), HasSubstr("may look")) << line;
    std::string out;
    session->execute(line, {}, [&out](const ExecResult& result) { out = result.output; });
    EXPECT_THAT(out, Not(IsEmpty())) << line;
    EXPECT_THAT(out, Not(HasSubstr("hostname"))) << line;
  }
  EXPECT_EQ(session->prompt(), "hub>");
  EXPECT_THAT(notes.lines, IsEmpty());
}

TEST_F(SessionTest, NoOctetAroundAPrivilegedCommandGetsItRun) {
  auto e = std::make_shared<ExecEnvironment>(*environment_);
  std::vector<std::string> ran;
  e->audit = [&ran](const std::string& /*by*/, const std::string& line) {
    ran.push_back(line);
    return Result<void>();
  };
  ServerControl server;
  server.name = "7";
  server.stop = [&ran] {
    ran.emplace_back("stopped");
    return Result<void>();
  };
  e->servers.push_back(server);
  environment_ = std::move(e);
  std::size_t privileged = 0;
  for (const config::Command& row : exec_table()) {
    const bool looks = row.key.starts_with("show ") && !row.key.ends_with("-config") &&
                       !row.key.starts_with("show archive");
    if (looks || row.key.starts_with("terminal ")) continue;
    ++privileged;
    const std::string line = line_of(row);
    ASSERT_EQ(exec_grammar().match(line, config::tokenize(line)).verdict, config::Verdict::matched)
        << line;
    for (const Privilege privilege : {Privilege::view, Privilege::none}) {
      sit(privilege);
      for (const std::string around : {"", "\n", "\r", "\r\n", "\n\n", " ", "\t", " \n", "\n ",
                                       "\v", "\f", "\x1f", "\x7f", " |", " | json\n"}) {
        // An empty command with a filter is none, and nothing happens.
        const std::string before = around.starts_with(" |") ? "" : around;
        for (const std::string& said : {line + around, before + line, before + line + around}) {
          for (const bool typed : {false, true}) {
            ExecResult got;
            const ExecDone done = [&got](const ExecResult& result) { got = result; };
            if (typed)
              session->say(said, "yes\n", done);
            else
              session->execute(said, "yes\n", done);
            EXPECT_FALSE(got.ok) << '"' << said << '"';
            EXPECT_EQ(got.ask, Ask::nothing) << '"' << said << '"';
          }
        }
      }
    }
  }
  EXPECT_GE(privileged, 30U);
  EXPECT_THAT(ran, IsEmpty());
  sit(Privilege::full);
  session->execute("crypto pki server 7 stop\n", {}, [](const ExecResult&) {});
  EXPECT_THAT(ran, ElementsAre("crypto pki server 7 stop", "stopped"));
}

TEST_F(SessionTest, PagesAndBadInput) {
  EXPECT_EQ(session->length(), std::nullopt);
  say("terminal length 0");
  EXPECT_EQ(session->length(), 0);
  say("terminal no length");
  EXPECT_EQ(session->length(), std::nullopt);
  EXPECT_THAT(say("show \x1b[2J"), HasSubstr("one line of text"));
  EXPECT_THAT(say(std::string(5000, 'x')), HasSubstr("4096"));
  EXPECT_EQ(say(""), "");
  EXPECT_EQ(say("! a comment"), "");
}

TEST_F(SessionTest, MonitorsTheLogWhileItIsAskedTo) {
  std::vector<std::string> got;
  int woken = 0;
  session->wake_by([&woken] { ++woken; });
  const auto listen = [&] {
    session->log_lines([&got](std::vector<std::string> lines) {
      got.insert(got.end(), lines.begin(), lines.end());
    });
  };
  listen();
  environment_->monitor->add("before");
  EXPECT_THAT(session->help("terminal "), HasSubstr("monitor"));
  say("term mon");
  environment_->monitor->add("one");
  EXPECT_EQ(woken, 1);
  EXPECT_THAT(got, IsEmpty()) << "on the session's own thread";
  session->deliver();
  EXPECT_THAT(got, ElementsAre("one"));
  environment_->monitor->add("two");
  environment_->monitor->add("three");
  session->deliver();
  EXPECT_THAT(got, ElementsAre("one")) << "the peer has not read the last ones yet";
  listen();
  EXPECT_THAT(got, ElementsAre("one", "two", "three"));
  listen();
  say("terminal no monitor");
  environment_->monitor->add("four");
  session->deliver();
  EXPECT_EQ(got.size(), 3U);
  EXPECT_EQ(environment_->monitor->kept().sessions, 0U);
  say("terminal monitor");
  session->close();
  EXPECT_EQ(environment_->monitor->kept().sessions, 0U);
}

TEST_F(SessionTest, WhatIosHasInConfigurationModeIsSaidThere) {
  auto e = std::make_shared<ExecEnvironment>(*environment_);
  e->running_config =
      "!\ncrypto pki server CA\n lifetime crl 3\n!\ncrypto pki trustpoint T\n"
      " auto-enroll 70\n!\n";
  e->trustpoints.push_back(
      {"Root-CA", [] { return lab::spoke(); },
       [](const std::function<void(Result<x509::Certificate>)>& done) {
         done(lab::certificate("guide/ca-01.hex"));
       },
       [this](const x509::Certificate& ca, const std::function<void(Result<void>)>& done) {
         notes.lines.push_back("accepted " + ca.serial().to_hex());
         done({});
       },
       [] { return Result<void>(); }});
  environment_ = std::move(e);
  say("configure terminal");
  for (const char* line : {"crypto pki authenticate Root-CA", "cry ca auth Root-CA",
                           "do crypto pki authenticate Root-CA"}) {
    EXPECT_THAT(say(line), HasSubstr("[yes/no]: ")) << line;
    std::string out;
    session->say(line, "yes\n", [&out](const ExecResult& result) { out = result.output; });
    EXPECT_THAT(out, HasSubstr("Trustpoint CA certificate accepted.")) << line;
  }
  EXPECT_THAT(notes.lines, ElementsAre("accepted 1", "accepted 1", "accepted 1"));
  EXPECT_EQ(say("write memory"), "Building configuration...\n[OK]\n");
  EXPECT_THAT(say("crypto pki import Root-CA certificate"), Not(HasSubstr("Invalid")));
  EXPECT_THAT(say("show clock"), HasSubstr("% Invalid input")) << "behind `do`, as on IOS";
  say("crypto pki server CA");
  EXPECT_THAT(say("show"), HasSubstr(" serial-number 0x0\n database level minimum\n"));
  EXPECT_THAT(say("show"), HasSubstr(" lifetime crl 3\n lifetime certificate 365\n"));
  say("crypto pki trustpoint T");
  EXPECT_EQ(say("show"), " auto-enroll 70\n");
}

TEST_F(SessionTest, AClosedSessionHoldsNothing) {
  const std::weak_ptr<const ExecEnvironment> seen = environment_;
  say("show clock");
  environment_.reset();
  session->close();
  EXPECT_TRUE(seen.expired());
  EXPECT_THAT(say("show clock"), HasSubstr("over"));
}

}  // namespace
}  // namespace umbra::console
