#include "io/live_configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "io/clock.h"
#include "io/driver.h"
#include "io/expiry_watch.h"
#include "io/file_places.h"
#include "io/files.h"
#include "io/http_client.h"
#include "io/outlet.h"
#include "io/random.h"
#include "lab_passphrase.h"
#include "scep/message.h"

namespace umbra::io {
namespace {

namespace asio = boost::asio;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class Lines final : public Log {
 public:
  void event(const LogEvent& event) override {
    const std::lock_guard lock(mutex_);
    lines_.push_back(to_string(event));
  }
  void debug(std::string_view, std::string_view) override {}
  std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

std::uint16_t free_port() {
  asio::io_context loop;
  asio::ip::tcp::acceptor probe(loop, {asio::ip::address_v4::loopback(), 0});
  return probe.local_endpoint().port();
}

/// What a daemon is made of, on loopback, with real files and threads.
class LiveConfigurationTest : public testing::Test {
 protected:
  LiveConfigurationTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "umbra-live-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    path_ = directory_ + "/umbra.conf";
    text_ = fmt_text();
    write(text_);
    store_ = store::open_sqlite(directory_ + "/umbra.db").value();
    files_ = std::make_unique<FilePlaces>(directory_);
    door_ = std::make_unique<HttpDoor>(loop_, log_, [this](const auto& request, HttpDone done) {
      asio::post(workers_, [this, request, done = std::move(done)]() mutable {
        const RosterPtr all = site_->roster();
        all->router.handle(
            *request, [all, done = std::move(done)](HttpReply reply) { done(std::move(reply)); });
        store_->write_what_waits();
      });
    });
    site_ = std::make_unique<Site>(
        Surroundings{.store = *store_,
                     .clock = clock_,
                     .random = random_,
                     .log = log_,
                     .files = *files_,
                     .transport = transport_,
                     .outlet = outlet_,
                     .publishing = publishing_,
                     .door = *door_,
                     .workers = workers_,
                     .life = life_,
                     .key_passphrase = lab_passphrase,
                     .board_serial = "12345678",
                     .moved =
                         [this](const std::string& trustpoint) {
                           if (const auto driver = this->driver()) driver->changed(trustpoint);
                         },
                     .replaced = [this](const RosterPtr& roster) { follow(roster); }});
    auto parsed = std::make_shared<const config::Parsed>(config::parse(text_));
    EXPECT_TRUE(parsed->faults.empty());
    EXPECT_TRUE(site_->open(parsed, std::make_shared<const plan::Report>()));
    live_ = std::make_unique<LiveConfiguration>(*site_, log_, life_, path_, text_,
                                                OwnPlaces{directory_ + "/data", path_, "", ""});
    watch_ = std::make_unique<ExpiryWatch>(
        clock_, log_, [] { return std::vector<server::Status>(); },
        [] { return std::vector<client::Status>(); });
    EXPECT_TRUE(door_->open(parsed->configuration, false));
    thread_ = std::thread([this] { loop_.run(); });
    follow(site_->roster());
  }

  ~LiveConfigurationTest() override {
    door_->stop();
    driver()->stop();
    work_.reset();
    loop_.stop();
    thread_.join();
    transport_.stop();
    workers_.join();
    life_.join();
    publishing_.stop();
    site_->close();
    driver_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string fmt_text() const {
    return "! of the test\nhostname hub\nclock calendar-valid\nip http server\n"
           "ip http address 127.0.0.1\nip http port " +
           std::to_string(port_) + "\n";
  }
  void write(const std::string& text) const { std::ofstream(path_) << text; }

  std::shared_ptr<Driver> driver() const {
    const std::lock_guard lock(mutex_);
    return driver_;
  }
  void follow(const RosterPtr& roster) {
    const auto next = std::make_shared<Driver>(loop_, life_, clock_, roster->servers,
                                               roster->trustpoints, *watch_);
    std::shared_ptr<Driver> before;
    {
      const std::lock_guard lock(mutex_);
      before = std::exchange(driver_, next);
    }
    if (before) before->stop();
    next->start();
  }

  console::EditResult edit(const std::string& section, std::vector<std::string> lines) {
    std::promise<console::EditResult> promise;
    auto answer = promise.get_future();
    live_->edit({"console by alice", section, std::move(lines)},
                [&promise](console::EditResult result) { promise.set_value(std::move(result)); });
    return answer.get();
  }
  void good(const std::string& section, std::vector<std::string> lines) {
    const auto result = edit(section, std::move(lines));
    EXPECT_TRUE(result.ok) << result.output;
  }
  Result<std::string> reload() {
    std::promise<Result<std::string>> promise;
    live_->reload("the test", [&](Result<std::string> r) { promise.set_value(std::move(r)); });
    return promise.get_future().get();
  }
  Result<std::string> save() {
    std::promise<Result<std::string>> promise;
    live_->save("the test", [&](Result<std::string> r) { promise.set_value(std::move(r)); });
    return promise.get_future().get();
  }

  void start_server() {
    good("crypto pki server CA",
         {"allow legacy rsa-1024", "modulus 1024", "grant auto", "no shutdown"});
  }
  std::string status() const { return site_->roster()->server("CA")->status().status; }
  x509::Certificate ca() const { return site_->roster()->server("CA")->status().ca.value(); }
  std::vector<std::string> spoke_lines() const {
    return {"enrollment url http://127.0.0.1:" + std::to_string(port_),
            "fingerprint " + to_hex(ca().fingerprint(x509::Digest::sha256)),
            "allow legacy rsa-1024", "rsakeypair KEY 1024", "auto-enroll 80"};
  }
  /// Real time, for real threads and sockets.
  static bool soon(const std::function<bool()>& condition) {
    for (int i = 0; i < 3000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    return false;
  }
  bool enrolled(const std::string& name) const {
    const auto trustpoint = site_->roster()->trustpoint(name);
    return trustpoint && trustpoint->status().identity;
  }
  bool answers(std::uint16_t port) {
    std::promise<bool> promise;
    transport_.send(
        {"GET",
         "http://127.0.0.1:" + std::to_string(port) + "/cgi-bin/pkiclient.exe?operation=GetCACaps",
         "",
         {},
         std::chrono::seconds{5}},
        [&](const Result<HttpReply>& r) { promise.set_value(r && r->status == 200); });
    return promise.get_future().get();
  }

  std::string directory_;
  std::string path_;
  std::uint16_t port_ = free_port();
  std::string text_;
  SystemClock clock_{true};
  Lines log_;
  OsRandom random_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<FilePlaces> files_;
  Publishing publishing_{clock_};
  asio::thread_pool workers_{2};
  asio::thread_pool life_{2};
  asio::io_context loop_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{loop_.get_executor()};
  CurlTransport transport_;
  FileOutlet outlet_{loop_, log_};
  std::unique_ptr<HttpDoor> door_;
  std::unique_ptr<Site> site_;
  std::unique_ptr<LiveConfiguration> live_;
  std::unique_ptr<ExpiryWatch> watch_;
  mutable std::mutex mutex_;
  std::shared_ptr<Driver> driver_;
  std::thread thread_;
};

/// Several at once of one transaction, each asking for something else: all but the first have their
/// turn by `post`, and no later request is there whose commit would take theirs along.
TEST_F(LiveConfigurationTest, WhoWaitsForHisTransactionIsAnsweredWithoutAnybodyElse) {
  start_server();
  ASSERT_TRUE(soon([&] { return status() == "enabled"; }));
  const auto key = x509::PrivateKey::generate_rsa(1024).value();
  const auto authority = ca();
  constexpr int at_once = 4;
  for (int round = 0; round < 10 && !HasFailure(); ++round) {
    std::vector<std::promise<unsigned>> answers(at_once);
    for (int i = 0; i < at_once; ++i) {
      const auto subject = x509::Name::from_ios("CN=device-" + std::to_string(i)).value();
      const scep::RequestContext context{
          scep::MessageType::pkcs_req, "round-" + std::to_string(round), scep::make_nonce(random_),
          authority,
          x509::self_signed_signer(subject, authority.not_before(), key, x509::Digest::sha256)
              .value()};
      const auto request =
          x509::sign_request({subject, std::nullopt, {}}, key, x509::Digest::sha256).value();
      transport_.send(
          {"POST", "http://127.0.0.1:" + std::to_string(port_) + "/scep?operation=PKIOperation",
           "application/x-pki-message", scep::request(request.der(), context, key, random_).value(),
           std::chrono::seconds{20}},
          [&answers, i](const Result<HttpReply>& reply) {
            answers[static_cast<std::size_t>(i)].set_value(reply ? reply->status : 0);
          });
    }
    for (auto& answer : answers) EXPECT_EQ(answer.get_future().get(), 200U) << "round " << round;
  }
  EXPECT_GE(store_->certificates("CA", x509::Serial(), 100)->size(), 10U * at_once);
}

TEST_F(LiveConfigurationTest, AServerAndItsClientsComeAndGoWhileItRuns) {
  EXPECT_FALSE(answers(port_)) << "nobody to serve yet";
  start_server();
  EXPECT_EQ(status(), "enabled");
  EXPECT_TRUE(answers(port_));
  good("crypto pki trustpoint SPOKE-1", spoke_lines());
  EXPECT_TRUE(soon([&] { return enrolled("SPOKE-1"); }));
  const auto first = ca();

  // Everybody else goes on while others come, change and go.
  const auto identity = site_->roster()->trustpoint("SPOKE-1")->status().identity;
  good("crypto pki trustpoint SPOKE-2", spoke_lines());
  good("crypto pki trustpoint SPOKE-1", {"auto-enroll 70", "enrollment retry count 5"});
  good("", {"hostname centre", "ip domain name example.org"});
  EXPECT_TRUE(soon([&] { return enrolled("SPOKE-2"); }));
  EXPECT_EQ(site_->roster()->trustpoint("SPOKE-1")->status().identity, identity);
  EXPECT_EQ(site_->roster()->trustpoint("SPOKE-1")->status().fqdn, "centre.example.org");

  // What is kept of a server is there again when it is.
  const auto removed = edit("", {"no crypto pki server CA", "no crypto pki trustpoint SPOKE-2"});
  EXPECT_TRUE(removed.ok);
  EXPECT_THAT(removed.output, AllOf(HasSubstr("are kept"), HasSubstr("Trustpoint SPOKE-2")));
  EXPECT_EQ(site_->roster()->server("CA"), nullptr);
  EXPECT_TRUE(soon([&] { return !answers(port_); }));
  start_server();
  EXPECT_EQ(ca(), first);
  EXPECT_EQ(status(), "enabled");
  good("crypto pki trustpoint SPOKE-2", spoke_lines());
  EXPECT_TRUE(enrolled("SPOKE-2")) << "from the store, without asking again";
  EXPECT_EQ(*site_->roster()->server("CA")->status().last_serial.to_uint64(), 3U)
      << "the CA and one for each spoke: nobody enrolled twice";

  live_->left("console by alice");
  EXPECT_THAT(log_.all(), Contains("%SYS-5-CONFIG_I: Configured from console by alice"));
  EXPECT_THAT(log_.all(), Contains("%PARSER-5-CFGLOG_LOGGEDCMD: User:console by alice  logged "
                                   "command:hostname centre"));
}

TEST_F(LiveConfigurationTest, AnEnabledServerIsLockedUntilItIsShut) {
  start_server();
  const std::string before = live_->running();
  const auto refused = edit("crypto pki server CA", {"lifetime crl 3"});
  EXPECT_FALSE(refused.ok);
  EXPECT_THAT(refused.output,
              HasSubstr("Server's configuration is locked  (enter \"shut\" to unlock it)"));
  ASSERT_EQ(refused.faults.size(), 1U);
  EXPECT_EQ(refused.faults[0].line, 1U);
  EXPECT_EQ(live_->running(), before);

  good("crypto pki server CA", {"shutdown"});
  EXPECT_EQ(status(), "disabled");
  EXPECT_FALSE(answers(port_));
  good("crypto pki server CA", {"lifetime crl 3"});
  good("crypto pki server CA", {"no shutdown"});
  EXPECT_EQ(status(), "enabled");
  EXPECT_TRUE(answers(port_));

  good("crypto pki server CA", {"shutdown", "lifetime crl 4", "no shutdown"});
  EXPECT_EQ(status(), "enabled");
  EXPECT_FALSE(edit("crypto pki server CA", {"lifetime crl 5", "shutdown"}).ok);
  good("crypto pki server CA", {"shutdown"});
  const auto settled = edit("crypto pki server CA", {"issuer-name CN=other"});
  EXPECT_FALSE(settled.ok);
  EXPECT_THAT(settled.output, HasSubstr("cannot be changed after CA certificate generation"));
}

TEST_F(LiveConfigurationTest, TheFirstNoShutdownSaysWhatIosSays) {
  good("", {"crypto pki server CA"});
  good("crypto pki server CA", {"allow legacy rsa-1024", "modulus 1024"});
  const auto said = [this](const char* line) {
    const auto result = edit("crypto pki server CA", {line});
    EXPECT_TRUE(result.ok) << result.output;
    return result.output;
  };
  good("crypto pki server CA", {"database archive pkcs12 password correct-horse"});
  EXPECT_EQ(said("no shutdown"),
            "%Some server settings cannot be changed after CA certificate generation.\n"
            "% Exporting Certificate Server signing certificate and keys...\n\n"
            "% Certificate Server enabled.\n");
  EXPECT_EQ(said("shutdown"), "Certificate server 'shut' event has been queued for processing.\n");
  EXPECT_EQ(said("no shutdown"),
            "Certificate server 'no shut' event has been queued for processing.\n");
  good("", {"no crypto pki server CA"});
}

TEST_F(LiveConfigurationTest, WhatIsRefusedLeavesNothingBehind) {
  start_server();
  const std::string before = live_->running();
  const auto roster = site_->roster();
  const auto wrong = edit("crypto pki trustpoint NEW", {"serial-number", "enrolment url http://x"});
  EXPECT_FALSE(wrong.ok);
  ASSERT_EQ(wrong.faults.size(), 1U);
  EXPECT_EQ(wrong.faults[0].line, 2U);
  EXPECT_THAT(wrong.output, HasSubstr("did you mean \"enrollment\""));

  // A check over the whole: the fault is in the edit's first line, or in a line there before.
  EXPECT_EQ(edit("crypto pki trustpoint NEW", {"auto-enroll 80"}).faults[0].line, 1U);
  const auto port = edit("", {"ip http port 70"});
  EXPECT_THAT(port.output, HasSubstr("out of range"));
  EXPECT_FALSE(edit("", {"hostname a\nhostname b"}).ok);

  asio::io_context loop;
  asio::ip::tcp::acceptor taken(loop, {asio::ip::address_v4::loopback(), 0});
  const auto there = edit(
      "", {"hostname elsewhere", "ip http port " + std::to_string(taken.local_endpoint().port())});
  EXPECT_FALSE(there.ok);
  EXPECT_THAT(there.output, HasSubstr("bind"));
  EXPECT_EQ(site_->roster(), roster);
  EXPECT_EQ(live_->running(), before);
  EXPECT_TRUE(answers(port_));

  const std::uint16_t free = free_port();
  good("", {"ip http port " + std::to_string(free)});
  EXPECT_TRUE(answers(free));
  EXPECT_TRUE(soon([&] { return !answers(port_); })) << "an open connection ends with its reply";
  good("", {"no ip http address"});
  EXPECT_TRUE(answers(free)) << "the same port at all addresses";
  good("", {"no ip http server"});
  EXPECT_EQ(status(), "disabled, HTTP Server is disabled");
  EXPECT_TRUE(soon([&] { return !answers(free); }));
  good("", {"ip http server"});
  EXPECT_EQ(status(), "enabled");

  // Of a line that was there before, what it says stands in front of what is wrong with it.
  good("crypto pki profile enrollment P", {"enrollment url http://h"});
  good("crypto pki trustpoint P", {"enrollment profile P"});
  EXPECT_THAT(edit("", {"no crypto pki profile enrollment P"}).output,
              HasSubstr("% enrollment profile P: there is no enrollment profile P\n"));
  good("", {"no crypto pki trustpoint P", "no crypto pki profile enrollment P"});
}

TEST_F(LiveConfigurationTest, PlacesThatCannotBeATrustpointsAreRefused) {
  const auto within = edit("crypto pki trustpoint T",
                           {"subject-name CN=t", "storage pem " + directory_ + "/data/web"});
  ASSERT_FALSE(within.ok);
  EXPECT_THAT(within.output, AllOf(HasSubstr("in umbrad's data directory"),
                                   HasSubstr("expected: a directory elsewhere")));
  ASSERT_EQ(within.faults.size(), 1U);
  EXPECT_EQ(within.faults.front().line, 2U);
  EXPECT_FALSE(site_->roster()->trustpoint("T"));
  EXPECT_FALSE(
      edit("crypto pki trustpoint T", {"storage pkcs12 " + path_ + " password 0 sealed"}).ok);
  write(text_ + "crypto pki trustpoint T\n storage pem " + path_ + "\n");
  EXPECT_FALSE(reload());
  EXPECT_THAT(log_.all(), Contains(HasSubstr("is the configuration file")));
  EXPECT_FALSE(site_->roster()->trustpoint("T"));
  write(text_);
  good("crypto pki trustpoint T", {"subject-name CN=t", "storage pem " + directory_ + "/web"});
  std::ofstream(directory_ + "/web") << "in the way since";
  good("crypto pki trustpoint U", {"subject-name CN=u"});
}

TEST_F(LiveConfigurationTest, WhatAnotherConsoleHasTakenOutIsNotMadeAnewByWhoIsStillInIt) {
  const auto inside = [this](const std::string& section, const std::string& line) {
    std::promise<console::EditResult> promise;
    live_->edit({"console by alice", section, {line}, true},
                [&promise](console::EditResult result) { promise.set_value(std::move(result)); });
    return promise.get_future().get();
  };
  for (const std::string section :
       {"crypto pki server LATE", "cry pki trustp LATE", "crypto pki profile enrollment LATE"}) {
    const std::string before = live_->running();
    good("", {section});
    const std::string line =
        section.find("server") != std::string::npos ? "grant auto" : "enrollment url http://h";
    EXPECT_TRUE(inside(section, line).ok) << section;
    EXPECT_TRUE(inside(section, "no " + line).ok) << section;
    good("", {"no " + section});
    const auto refused = inside(section, line);
    EXPECT_FALSE(refused.ok) << section;
    EXPECT_THAT(refused.output, HasSubstr("\"" + section + "\" is not configured any more"));
    EXPECT_EQ(live_->running(), before);
  }
}

TEST_F(LiveConfigurationTest, AFileIsReadAgainAsAWhole) {
  start_server();
  const std::string before = live_->running();
  write(text_ + "crypto pki server CA\n lifetme crl 3\n");
  const auto wrong = reload();
  ASSERT_FALSE(wrong);
  EXPECT_EQ(live_->running(), before);
  EXPECT_THAT(log_.all(), Contains(AllOf(HasSubstr(":8:2:"), HasSubstr("lifetme"))));

  // A file says how everything is to be: whoever wrote it has not to shut what it changes.
  write(
      text_ +
      "crypto pki server CA\n allow legacy rsa-1024\n modulus 1024\n grant auto\n lifetime crl 3\n"
      " no shutdown\n");
  const auto changed = reload();
  ASSERT_TRUE(changed) << changed.error().detail;
  EXPECT_EQ(*changed, "certificate server CA is changed\n");
  EXPECT_EQ(status(), "enabled");
  EXPECT_THAT(live_->running(), HasSubstr(" lifetime crl 3\n"));
  EXPECT_EQ(*reload(), path_ + " says what is in force\n");

  write(text_);
  EXPECT_TRUE(reload());
  EXPECT_EQ(site_->roster()->server("CA"), nullptr);
}

TEST_F(LiveConfigurationTest, WhereKeysStayOfATrustpointThatIsTakenOutIsSaid) {
  start_server();
  const std::string pem = directory_ + "/web";
  const std::string pkcs12 = directory_ + "/web.p12";
  auto lines = spoke_lines();
  lines.push_back("storage pem " + pem);
  lines.push_back("storage pkcs12 " + pkcs12 + " password 0 between-us");
  const auto has_key = [&] { return std::filesystem::exists(pem + "/key.pem"); };
  const auto come = [&] {
    good("crypto pki trustpoint SPOKE", lines);
    EXPECT_TRUE(soon([&] { return has_key() && std::filesystem::exists(pkcs12); }));
  };
  come();
  const std::string stays = "key and certificate of trustpoint SPOKE stay in ";
  EXPECT_THAT(edit("", {"no crypto pki trustpoint SPOKE"}).output,
              AllOf(HasSubstr("% " + stays + pem + " and " + pkcs12 + ", where it writes no more"),
                    HasSubstr("say \"crypto key zeroize rsa KEY\" before it is taken out\n")));
  EXPECT_TRUE(has_key());
  EXPECT_THAT(log_.all(), Contains(HasSubstr("%UMBRA-4-STORAGE: " + stays + pem)));

  come();
  write(text_);
  EXPECT_THAT(reload().value(),
              AllOf(HasSubstr("trustpoint SPOKE is gone"), HasSubstr(stays + pem)));

  // Of a key that is in use, no zeroizing is advised.
  come();
  const std::string link = directory_ + "/link";
  std::filesystem::create_directory_symlink(pem, link);
  EXPECT_THAT(edit("crypto pki trustpoint SPOKE", {"storage pem " + link}).output,
              Not(HasSubstr(stays)))
      << "it is the same place";
  EXPECT_THAT(edit("crypto pki trustpoint SPOKE", {"storage pem " + directory_ + "/moved"}).output,
              HasSubstr(stays + link + ", where it writes no more: remove them by hand\n"));

  std::promise<Result<std::vector<std::string>>> gone;
  site_->roster()->trustpoint("SPOKE")->zeroize(
      [&](Result<std::vector<std::string>> r) { gone.set_value(std::move(r)); });
  ASSERT_TRUE(gone.get_future().get());
  EXPECT_THAT(edit("", {"no crypto pki trustpoint SPOKE"}).output, Not(HasSubstr(stays)))
      << "they were withdrawn";
}

TEST_F(LiveConfigurationTest, IsWrittenToItsFileWhichIsKept) {
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  good("", {"hostname centre"});
  good("crypto pki trustpoint SPOKE", {"password s3cret"});
  EXPECT_EQ(
      *live_->differences(), "+hostname centre\n+crypto pki trustpoint SPOKE\n +password 7 " + [&] {
        const std::string text = live_->running();
        const auto at = text.find("password 7 ") + 11;
        return text.substr(at, text.find('\n', at) - at);
      }() + "\n-hostname hub\n");
  const auto saved = save();
  ASSERT_TRUE(saved) << saved.error().detail;
  EXPECT_THAT(*saved, HasSubstr("1 line(s) of comment"));
  EXPECT_EQ(*live_->startup(), live_->running() + "end\n");
  EXPECT_EQ(as_text(*read_file(path_ + "~", 1 << 20)), text_);
  EXPECT_EQ(config::parse(*live_->startup()).configuration, site_->roster()->configuration());
  EXPECT_EQ(*live_->differences(), "");
  struct stat found {};
  ASSERT_EQ(::stat(path_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0640U);
  EXPECT_EQ(*save(), "") << "nothing to remark";
  write("hostname by-hand\n");
  EXPECT_THAT(*save(), HasSubstr("had been changed since it was read"));
  EXPECT_EQ(as_text(*read_file(path_ + "~", 1 << 20)), "hostname by-hand\n");
  for (const std::string& line : log_.all()) EXPECT_THAT(line, Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace umbra::io
