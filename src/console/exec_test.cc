#include "console/exec.h"

#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/reference.h"
#include "console/exec_table.h"
#include "console/lab_test.h"
#include "golden.h"

namespace umbra::console {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// One server and one trustpoint that note what is done to them.
class ExecTest : public ::testing::Test {
 protected:
  ExecTest() : clock_(lab::at("2017-07-10T12:14:46Z"), 820), exec_(environment()) {}

  ExecEnvironment environment() {
    ExecEnvironment e{clock_, lab::cet, "0.1.0", "hub", "!\nhostname hub\n!\n", {}, {}, {}, {}, {}};
    const auto note = [this](const std::string& what) {
      return [this, what](std::optional<std::uint64_t> id) -> Result<void> {
        done_.push_back(what + " " + (id ? std::to_string(*id) : "all"));
        if (id == 99) return fail(Errc::not_found, "there is no request 99");
        return {};
      };
    };
    const auto simple = [this](const std::string& what) {
      return [this, what]() -> Result<void> {
        done_.push_back(what);
        return {};
      };
    };
    ServerControl server;
    server.name = "ROOTCA";
    server.status = [] { return lab::root_ca(); };
    server.requests = [] { return lab::requests(); };
    server.grant = [this, noted = note("grant")](
                       std::optional<std::uint64_t> id) -> Result<server::GrantReport> {
      UMBRA_CHECK(noted(id));
      server::GrantReport report;
      if (by_hand_) report.by_hand = {lab::certificate("guide/ca-01.hex")};
      if (sub_ca_waits_) report.left_pending = {3, 9};
      if (one_fails_) report.failed = {"request 4: it is signed by a revoked certificate"};
      return report;
    };
    server.keys = [] { return std::vector<x509::KeyLine>(); };
    server.reject = note("reject");
    server.remove = note("remove");
    server.rollover = simple("rollover");
    server.rollover_cancel = [this](bool force) -> Result<server::OverlapReport> {
      done_.emplace_back(force ? "cancel force" : "cancel");
      if (force) return lab::overlap();
      return fail(Errc::conflict, "1 client(s) hold a certificate of it");
    };
    server.overlap = [] { return lab::overlap(); };
    server.revoke = [this](const x509::Serial& serial, x509::RevocationReason why) {
      done_.push_back("revoke " + serial.to_hex() + " " + std::to_string(static_cast<int>(why)));
      return Result<server::OnCrl>(seen_on_);
    };
    server.unrevoke = [this](const x509::Serial& serial) {
      done_.push_back("unrevoke " + serial.to_hex());
      return Result<void>();
    };
    server.crl = [] { return lab::crl(); };
    server.generate_password = [this](std::chrono::minutes valid) -> Result<std::string> {
      done_.push_back("password " + std::to_string(valid.count()));
      return "0123456789ABCDEF0123";
    };
    server.request_pkcs10 = [this](ByteView der) -> Result<server::HandRequest> {
      UMBRA_TRY(const auto request, x509::Request::from_der(der));
      done_.push_back("pkcs10 " + request.subject().joined());
      if (by_hand_) return server::HandRequest{7, lab::certificate("guide/ca-01.hex")};
      return server::HandRequest{7, {}};
    };
    server.start = simple("start");
    server.stop = simple("stop");
    e.servers.push_back(std::move(server));
    e.fetch = [](const std::string& url, const std::function<void(Result<Bytes>)>& done) {
      if (url == "unix:/tmp/box.csr") {
        done(to_bytes(lab::request().der()));
      } else {
        done(fail(Errc::not_found, url + ": no such file"));
      }
    };
    e.destroy_server = [this](const std::string& name) -> Result<void> {
      done_.push_back("destroy " + name);
      return {};
    };
    e.trustpoints.push_back(
        {"Root-CA", [] { return lab::spoke(); },
         [this](const std::function<void(Result<x509::Certificate>)>& done) {
           if (unreachable_) {
             done(fail(Errc::unreachable, "connection refused"));
           } else {
             done(lab::certificate(offered_));
           }
         },
         [this](const x509::Certificate& ca, const std::function<void(Result<void>)>& done) {
           done_.push_back("accept " + ca.serial().to_hex_octets());
           done({});
         },
         simple("enroll")});
    return e;
  }

  ExecResult run(std::string_view line, const std::optional<std::string>& input = {}) {
    std::optional<ExecResult> result;
    exec_.execute(line, input, [&](ExecResult r) { result = std::move(r); });
    EXPECT_TRUE(result) << line;
    return result.value_or(ExecResult{false, "no answer"});
  }
  std::string good(std::string_view line) {
    const ExecResult result = run(line);
    EXPECT_TRUE(result.ok) << result.output;
    return result.output;
  }
  std::string bad(std::string_view line) {
    const ExecResult result = run(line);
    EXPECT_FALSE(result.ok) << line;
    return result.output;
  }

  lab::FixedClock clock_;
  bool unreachable_ = false;
  std::string offered_ = "guide/ca-01.hex";
  bool by_hand_ = false;
  bool sub_ca_waits_ = false;
  bool one_fails_ = false;
  server::OnCrl seen_on_ = server::OnCrl::now;
  std::vector<std::string> done_;
  Exec exec_;
};

TEST_F(ExecTest, ShowsTheScreens) {
  EXPECT_EQ(good("show crypto pki server"), server_screen({lab::root_ca()}, lab::cet));
  EXPECT_EQ(good("sh cr pki serv ROOTCA"), server_screen({lab::root_ca()}, lab::cet));
  EXPECT_EQ(good("show crypto pki server ROOTCA requests"), requests_screen(lab::requests()));
  EXPECT_EQ(good("crypto pki server ROOTCA info requests"), requests_screen(lab::requests()));
  EXPECT_EQ(good("show crypto pki timers detail"),
            timers_screen({lab::root_ca()}, {lab::spoke()}, clock_, true));
  EXPECT_EQ(good("show crypto pki trustpoints status"),
            trustpoints_status_screen({lab::root_ca()}, {lab::spoke()}));
  EXPECT_THAT(good("show crypto pki certificates Root-CA"), StartsWith("Certificate\n"));
  EXPECT_THAT(good("show crypto pki certificates verbose"), HasSubstr("  Version: 3\n"));
  EXPECT_THAT(good("show running-config"), HasSubstr("hostname hub\n"));
  EXPECT_EQ(good("show clock"), "13:14:46.820 CET Mon Jul 10 2017\n");
  EXPECT_THAT(good("show version"), HasSubstr("version 0.1.0"));
}

TEST_F(ExecTest, GrantsRejectsAndRemovesRequests) {
  EXPECT_EQ(good("crypto pki server ROOTCA grant all"), "");
  good("crypto pki server ROOTCA grant 12");
  good("cry pki ser ROOTCA reject 3");
  good("crypto pki server ROOTCA remove all");
  EXPECT_EQ(bad("crypto pki server ROOTCA grant 99"), "% there is no request 99\n");
  EXPECT_THAT(done_, ElementsAre("grant all", "grant 12", "reject 3", "remove all", "grant 99"));
}

TEST_F(ExecTest, MakesAndCancelsTheRollover) {
  good("crypto pki server ROOTCA rollover");
  good("crypto pki server ROOTCA rollover cancel force");
  EXPECT_THAT(done_, ElementsAre("rollover", "cancel force"));
}

TEST_F(ExecTest, AuthenticateShowsFingerprintsAndAsks) {
  const std::string line = "crypto pki authenticate Root-CA";
  auto shown = run(line);
  EXPECT_EQ(shown.ask, Ask::line);
  EXPECT_THAT(shown.output,
              StartsWith("Certificate has the following attributes:\n"
                         "       Fingerprint MD5: CC748544 A0AB7832 935D8CD0 214A152E "
                         "\n      Fingerprint SHA1: "));
  EXPECT_THAT(shown.output, HasSubstr("% Do you accept this certificate? [yes/no]: "));
  EXPECT_EQ(run(line, "no\n").output, "% Certificate not accepted.\n");
  EXPECT_EQ(run(line, "").output, "% Certificate not accepted.\n");
  EXPECT_FALSE(run(line, "yes\n").ok) << "nothing is shown any more";
  EXPECT_THAT(done_, ElementsAre());
  run(line);
  EXPECT_THAT(run(line, "yes\n").output, HasSubstr("\nTrustpoint CA certificate accepted.\n"));
  EXPECT_THAT(done_, ElementsAre("accept 01"));
}

TEST_F(ExecTest, YesAndNoAreReadAsOnIosAndAskedForAgainWhileTheAnswerIsNeither) {
  const std::string line = "crypto pki authenticate Root-CA";
  for (const char* yes : {"yes\n", "YES\n", "Yes\r\n", "y\n", "Y\n", "ye\n", " yes \n", "yes"}) {
    run(line);
    EXPECT_THAT(run(line, yes).output, HasSubstr("certificate accepted.")) << yes;
  }
  EXPECT_EQ(done_.size(), 8U);
  for (const char* no : {"no\n", "NO\n", "n\n", "N\r\n", "\tno\n", ""}) {
    run(line);
    EXPECT_EQ(run(line, no).output, "% Certificate not accepted.\n") << no;
  }
  EXPECT_EQ(done_.size(), 8U);
  run(line);
  for (const char* neither :
       {"\n", "maybe\n", "yess\n", "yes no\n", "1\n", "j\n", " \n", "\r\n", "\xD1\x83\n", "? \n"}) {
    const auto again = run(line, neither);
    EXPECT_EQ(again.output,
              "% Please answer 'yes' or 'no'.\n% Do you accept this certificate? [yes/no]: ")
        << neither;
    EXPECT_EQ(again.ask, Ask::line) << neither;
  }
  EXPECT_EQ(done_.size(), 8U);
  EXPECT_THAT(run(line, "Y\n").output, HasSubstr("certificate accepted."))
      << "what was shown waits on";
  EXPECT_EQ(
      run("no crypto pki server OLD", "?\n").output,
      "% Please answer 'yes' or 'no'.\n% CA certificate, Keypair, CRL and database files will "
      "be deleted. Do you wish to continue? [yes/no]: ");
  EXPECT_TRUE(run("no crypto pki server OLD", "YES\n").ok);
  EXPECT_EQ(done_.back(), "destroy OLD");
}

TEST_F(ExecTest, AuthenticateAcceptsNothingThatSomebodyElseWasShownMeanwhile) {
  const std::string line = "crypto pki authenticate Root-CA";
  run(line);
  offered_ = "lab/lab-ca-01.hex";
  run(line);
  const auto answered = run(line, "yes\n");
  EXPECT_FALSE(answered.ok);
  EXPECT_THAT(answered.output, HasSubstr("Another one has been shown meanwhile"));
  EXPECT_THAT(done_, ElementsAre());
}

TEST_F(ExecTest, AKeyThatATrustpointHasIsNotReplacedAndNoneIsMadeWithoutAPlaceForIt) {
  EXPECT_EQ(bad("crypto key generate rsa label x"), "% Keys cannot be made from here\n");
  EXPECT_EQ(bad("crypto key zeroize rsa x"), "% Keys cannot be removed from here\n");
  EXPECT_THAT(bad("crypto pki export Root-CA pem terminal aes secret"), HasSubstr("by hand"));
}

TEST_F(ExecTest, AuthenticateTakesAFingerprintWithBlanksAndRefusesAWrongOne) {
  EXPECT_THAT(
      good("crypto pki authenticate Root-CA fingerprint cc748544 a0ab7832 935d8cd0 214a152e"),
      HasSubstr("% Warning: an MD5 fingerprint can be forged; compare the SHA256 one\n"));
  EXPECT_THAT(bad("crypto pki authenticate Root-CA fingerprint CC748544A0AB7832935D8CD0214A152F"),
              HasSubstr("not accepted"));
  EXPECT_THAT(bad("crypto pki authenticate Root-CA fingerprint CC74"), HasSubstr("not accepted"));
  EXPECT_THAT(done_, ElementsAre("accept 01"));
}

TEST_F(ExecTest, AuthenticateSaysWhenTheServerIsNotReached) {
  unreachable_ = true;
  EXPECT_EQ(bad("crypto pki authenticate Root-CA"),
            "% Error in receiving Certificate Authority certificate: status = FAIL, cert length = "
            "0\n% connection refused\n");
}

TEST_F(ExecTest, Enrolls) {
  EXPECT_THAT(good("crypto pki enroll Root-CA"),
              HasSubstr("% Certificate request sent to Certificate Authority\n"));
  EXPECT_THAT(done_, ElementsAre("enroll"));
}

TEST_F(ExecTest, NamesWhatIsNotThere) {
  EXPECT_EQ(bad("show crypto pki server NONE"), "% There is no certificate server NONE\n");
  EXPECT_EQ(bad("crypto pki server NONE grant all"), "% There is no certificate server NONE\n");
  EXPECT_EQ(bad("crypto pki enroll NONE"), "% There is no trustpoint NONE\n");
  EXPECT_EQ(bad("show crypto pki certificates NONE"), "% There is no trustpoint NONE\n");
  EXPECT_EQ(bad("show crypto key mypubkey rsa NONE"), "% There is no key named NONE\n");
  EXPECT_EQ(bad("show crypto key mypubkey rsa NONE | json"), "% There is no key named NONE\n");
}

TEST_F(ExecTest, AnswersMistakesAsIosDoes) {
  EXPECT_EQ(bad("show crypto pkx server"),
            "show crypto pkx server\n            ^\n% Invalid input detected at '^' marker.\n");
  EXPECT_EQ(bad("show crypto pki"), "% Incomplete command.\n");
  EXPECT_EQ(bad("show crypto pki t"), "% Ambiguous command:  \"show crypto pki t\"\n");
  EXPECT_EQ(bad("crypto pki server ROOTCA grant 0"),
            "crypto pki server ROOTCA grant 0\n                               ^\n"
            "% Invalid input detected at '^' marker.\n");
  EXPECT_THAT(bad("show clock extra"), HasSubstr("Invalid input"));
  EXPECT_THAT(bad("show \xD0\xB0"), HasSubstr("ASCII"));
  EXPECT_THAT(bad(std::string(2000, 'x')), HasSubstr("1024"));
  EXPECT_EQ(good(""), "");
  EXPECT_EQ(good("! a comment"), "");
}

TEST_F(ExecTest, TimestampsScreensWhenAsked) {
  good("terminal exec prompt timestamp");
  EXPECT_EQ(good("show clock"),
            "Load for five secs: 0%/0%; one minute: 0%; five minutes: 0%\n"
            "Time source is NTP, 13:14:46.820 CET Mon Jul 10 2017\n\n"
            "13:14:46.820 CET Mon Jul 10 2017\n");
  good("terminal no exec prompt timestamp");
  EXPECT_EQ(good("show clock"), "13:14:46.820 CET Mon Jul 10 2017\n");
}

TEST_F(ExecTest, CertificatesHaveAStorageLineOnceTheyAreSaved) {
  EXPECT_EQ(good("show crypto pki certificates ROOTCA"),
            vectors::text("screens/guide-certificates-initial.txt"));
  EXPECT_EQ(good("write memory"), "Building configuration...\n[OK]\n");
  EXPECT_THAT(good("show crypto pki certificates ROOTCA"),
              HasSubstr("  Storage: nvram:RootCA#1CA.cer\n"));
}

TEST_F(ExecTest, RevokesByDecimalOrHexSerialWithAReason) {
  EXPECT_EQ(good("crypto pki server ROOTCA revoke 16"),
            "% Certificate 0x10 is revoked; a new CRL has been made\n");
  good("cry pki ser ROOTCA revoke 0x1f key");
  EXPECT_EQ(good("crypto pki server ROOTCA unrevoke 0x10"),
            "% Certificate 0x10 is no longer revoked\n");
  EXPECT_THAT(done_, ElementsAre("revoke 10 255", "revoke 1F 1", "unrevoke 10"));
  for (const char* wrong : {"x", "0x", "0xZZ", "-1", "1.5", "99999999999999999999x"})
    EXPECT_THAT(bad(std::string("crypto pki server ROOTCA revoke ") + wrong),
                HasSubstr("is no serial number"))
        << wrong;
  seen_on_ = server::OnCrl::at_switch_over;
  EXPECT_EQ(good("crypto pki server ROOTCA revoke 17"),
            "% Certificate 0x11 is revoked; the rollover CA issued it, whose first CRL lists it, "
            "made when that CA becomes active\n");
  seen_on_ = server::OnCrl::never;
  EXPECT_EQ(good("crypto pki server ROOTCA revoke 18"),
            "% Certificate 0x12 is revoked; the CA that issued it has ended and signs no more "
            "CRLs; it renews nothing here\n");
  bad("crypto pki server ROOTCA revoke");
  bad("crypto pki server NOBODY revoke 1");
  EXPECT_EQ(done_.size(), 5U);
}

TEST_F(ExecTest, ShowsTheCrl) {
  vectors::expect_golden("screens/crl.txt", good("crypto pki server ROOTCA info crl"));
  EXPECT_EQ(good("show crypto pki server ROOTCA crl"), good("cry pki ser ROOTCA info crl"));
}

TEST_F(ExecTest, FiltersLines) {
  EXPECT_EQ(good("show crypto pki server | include State"), "    State: enabled\n");
  EXPECT_EQ(good("show crypto pki trustpoints | section Trustpoint Root-CA"),
            trustpoints_screen({}, {lab::spoke()}));
  EXPECT_THAT(good("show running-config | begin hostname"), StartsWith("hostname hub\n"));
  EXPECT_EQ(good("show crypto pki timers | ex \\|"), "PKI Timers\n\nCS Timers\n");
  EXPECT_THAT(bad("show clock | redirect x"), HasSubstr("Invalid input"));
  EXPECT_THAT(bad("crypto pki enroll Root-CA | include x"), HasSubstr("Invalid input"));
  EXPECT_THAT(done_, ElementsAre());
}

TEST_F(ExecTest, TellsWhatMayStandHere) {
  EXPECT_THAT(good("show ?"), AllOf(HasSubstr("  clock           The time\n"),
                                    HasSubstr("  crypto          Encryption\n"),
                                    HasSubstr("  version         The version of this program\n")));
  EXPECT_EQ(good("show run?"),
            "  running-config  The configuration that is in force, with the certificates held\n");
  EXPECT_EQ(good("show crypto pki t?"),
            "  timers       What will happen when\n  trustpoints  Trustpoints\n");
  EXPECT_EQ(good("show clock ?"),
            "  detail  And where it comes from\n  |       Chooses lines of it, or gives it as "
            "JSON\n  <cr>\n");
  EXPECT_EQ(bad("show x?"), "% Unrecognized command\n");
  EXPECT_THAT(good("?"), HasSubstr("  show "));
}

TEST_F(ExecTest, ShowsWhatTheConfigurationWillComeTo) {
  ExecEnvironment e = environment();
  e.plan = "0 errors\n";
  e.plan_json = "{}\n";
  Exec exec(std::move(e));
  std::string said;
  const auto keep = [&said](const ExecResult& result) {
    EXPECT_TRUE(result.ok);
    said += result.output;
  };
  exec.execute("show crypto pki plan", keep);
  exec.execute("show crypto pki plan | json", keep);
  EXPECT_EQ(said, "0 errors\n{}\n");
}

TEST(ExecTable, EveryWordHasItsHelp) {
  std::size_t rows = 0;
  for (const auto& compiled : session_grammar().commands()) {
    const config::Command& command = *compiled.command;
    ++rows;
    const auto bars = std::count(command.help.begin(), command.help.end(), '|');
    EXPECT_EQ(static_cast<std::size_t>(bars + 1), config::words_of(command).size())
        << command.syntax;
    for (const config::Word& word : config::words_of(command))
      EXPECT_FALSE(word.help.empty()) << command.syntax;
  }
  EXPECT_GE(rows, exec_table().size());
}

TEST_F(ExecTest, EveryCommandIsFoundWordByWordWithItsHelp) {
  // `?` behind each of its words lists the next one with the table's text.
  for (const config::Command& command : exec_table()) {
    std::string typed;
    for (const config::Word& word : config::words_of(command)) {
      const ExecResult shown = run(typed + "?");
      EXPECT_TRUE(shown.ok) << typed << "?: " << shown.output;
      const bool number = word.kind == config::WordKind::number;
      const std::string name = number ? fmt::format("<{}-{}>", word.low, word.high) : word.text;
      EXPECT_THAT(shown.output, HasSubstr("  " + name + " ")) << typed << "?";
      if (word.kind != config::WordKind::keyword ||
          command.syntax.find_first_of("[{") != std::string_view::npos)
        break;  // what stands behind a choice depends on it
      typed += word.text + " ";
    }
  }
}

TEST(ExecTable, IsTheCommandReference) {
  const std::string path = std::string(UMBRA_SOURCE_DIR) + "/docs/exec.md";
  if (std::getenv("UPDATE_GOLDEN")) std::ofstream(path) << exec_reference();
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), exec_reference()) << "UPDATE_GOLDEN=1 rewrites docs/exec.md";
}

TEST_F(ExecTest, ACancelNamesWhoHoldsTheNextCaAndAsksForForce) {
  const std::string text = bad("crypto pki server ROOTCA rollover cancel");
  EXPECT_THAT(text, HasSubstr("% 1 client(s) hold a certificate of it\n"));
  EXPECT_THAT(text, HasSubstr("  cn=spoke-1.cisco.com (0x5)\n"));
  EXPECT_THAT(text, HasSubstr("  crypto pki server ROOTCA rollover cancel force\n"));
  EXPECT_THAT(good("crypto pki server ROOTCA rollover cancel force"),
              AllOf(HasSubstr("  cn=spoke-1.cisco.com (0x5)\n"), HasSubstr("  192.0.2.7\n")));
  EXPECT_THAT(done_, ElementsAre("cancel", "cancel force"));
}

TEST_F(ExecTest, ShowsTheOverlapToPeopleAndToPrograms) {
  EXPECT_EQ(good("show crypto pki server ROOTCA rollover"),
            overlap_screen(lab::overlap(), lab::cet));
  EXPECT_EQ(good("show crypto pki server ROOTCA rollover | json"), overlap_json(lab::overlap()));
}

TEST_F(ExecTest, MakesOneTimePasswords) {
  EXPECT_EQ(good("crypto pki server ROOTCA password generate"),
            "% New password is 0123456789ABCDEF0123, valid for 60 minutes\n");
  good("crypto pki server ROOTCA password generate 5");
  EXPECT_THAT(done_, ElementsAre("password 60", "password 5"));
  EXPECT_THAT(bad("crypto pki server ROOTCA password generate 1441"), HasSubstr("^"));
}

TEST_F(ExecTest, TakesARequestByHand) {
  const auto asked = run("crypto pki server ROOTCA request pkcs10 terminal");
  EXPECT_EQ(asked.ask, Ask::text);
  EXPECT_THAT(asked.output, HasSubstr("% End with a blank line or \"quit\""));
  EXPECT_THAT(done_, ElementsAre()) << "nothing is done before it is told";
  const std::string base64 = to_base64(lab::request().der());
  EXPECT_EQ(run("crypto pki server ROOTCA request pkcs10 terminal", base64).output,
            "% Enrollment request pending, reqId=7\n");
  by_hand_ = true;
  EXPECT_THAT(run("crypto pki server ROOTCA request pkcs10 terminal pem",
                  "-----BEGIN CERTIFICATE REQUEST-----\n" + base64 +
                      "\n-----END CERTIFICATE REQUEST-----\n")
                  .output,
              StartsWith("% Granted certificate:\n-----BEGIN CERTIFICATE-----\n"));
  EXPECT_THAT(good("crypto pki server ROOTCA request pkcs10 unix:/tmp/box.csr"),
              StartsWith("% Granted certificate:\nMII"));
  EXPECT_THAT(bad("crypto pki server ROOTCA request pkcs10 unix:/tmp/none"),
              HasSubstr("no such file"));
  EXPECT_THAT(run("crypto pki server ROOTCA request pkcs10 terminal", "rubbish!").output,
              HasSubstr("no PKCS #10 request"));
  EXPECT_THAT(good("crypto pki server ROOTCA grant 7"), StartsWith("% Granted certificate:\nMII"));
}

TEST_F(ExecTest, SaysWhatGrantAllLeftPending) {
  sub_ca_waits_ = true;
  EXPECT_THAT(bad("crypto pki server ROOTCA grant all"), HasSubstr("still pending: 3, 9; "));
}

TEST_F(ExecTest, SaysWhatGrantAllCouldNotGrant) {
  one_fails_ = true;
  EXPECT_EQ(bad("crypto pki server ROOTCA grant all"),
            "% request 4: it is signed by a revoked certificate\n");
}

TEST_F(ExecTest, StartsAndStopsAServer) {
  good("crypto pki server ROOTCA stop");
  EXPECT_EQ(good("crypto pki server ROOTCA start"), "% Certificate server ROOTCA is started\n");
  EXPECT_THAT(done_, ElementsAre("stop", "start"));
}

TEST_F(ExecTest, DestroysAServerOnlyIfItIsConfiguredNoMoreAndAfterAQuestion) {
  EXPECT_THAT(bad("no crypto pki server ROOTCA"), HasSubstr("ROOTCA is configured"));
  const auto asked = run("no crypto pki server OLD");
  EXPECT_EQ(asked.ask, Ask::line);
  EXPECT_THAT(asked.output, HasSubstr("Do you wish to continue? [yes/no]: "));
  EXPECT_EQ(run("no crypto pki server OLD", "no").output, "% Nothing was deleted\n");
  EXPECT_EQ(run("no crypto pki server OLD", "").output, "% Nothing was deleted\n");
  EXPECT_THAT(done_, ElementsAre());
  EXPECT_TRUE(run("no crypto pki server OLD", "yes\n").ok);
  EXPECT_THAT(done_, ElementsAre("destroy OLD"));
}

}  // namespace
}  // namespace umbra::console
