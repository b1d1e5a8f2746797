// The guide's own lab: its two real CA certificates in a real store, the clock at each of the
// guide's instants, and the screens as the guide prints them. The guide does not print its CA's
// private key, and a server without its key is disabled and arms nothing: `with_its_key` says what
// the same server would be with it, by the lifecycle's own rules.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "config/config.h"
#include "console/exec.h"
#include "golden.h"
#include "lab_passphrase.h"
#include "lifecycle/ca.h"
#include "server/certificate_server.h"
#include "sim/virtual_clock.h"
#include "store/store.h"
#include "vectors.h"

namespace umbra {
namespace {

Time at(std::string_view text) { return from_rfc3339(text).value(); }

class LabClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return now_; }
  [[nodiscard]] bool authoritative() const override { return true; }
  [[nodiscard]] std::string source() const override { return "NTP"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant) const override { return {}; }
  void set(std::string_view second, int milliseconds) {
    now_ = Instant(at(second)) + std::chrono::milliseconds{milliseconds};
  }

 private:
  Instant now_;
};

class NoLog final : public Log {
 public:
  void event(const LogEvent&) override {}
  void debug(std::string_view, std::string_view) override {}
};

class NoFiles final : public server::FileSink {
 public:
  server::Delivery deliver(const config::FilePlace&,
                           const std::vector<server::PublishedFile>& files,
                           const std::atomic<bool>&) override {
    return {0, Error{Errc::storage, "nothing is to be written: " + files.front().name}};
  }
};

class GuideScreens : public testing::Test {
 protected:
  GuideScreens() {
    std::string shape = (std::filesystem::temp_directory_path() / "umbra-guide-XXXXXX").string();
    directory_ = ::mkdtemp(shape.data());
    store_ = store::open_sqlite(directory_ + "/umbra.db").value();
    const auto parsed = config::parse("clock timezone CET 1 0\nip http server\n" +
                                      vectors::text("config/guide-server.txt") + " no shutdown\n");
    EXPECT_TRUE(parsed.faults.empty());
    configuration_ = parsed.configuration;
    put(store::PutServer{{.server = "ROOTCA", .last_serial = 1, .serial_lease = 1}});
    generation(1, store::GenerationStatus::active, "guide/ca-01.hex", "2015-10-09T12:14:16Z");
    crl("2015-10-09T12:14:16Z");
    console::ExecEnvironment environment{.clock = clock_,
                                         .zone = configuration_.zone,
                                         .version = "1",
                                         .hostname = "hub",
                                         .running_config = parsed.running_config,
                                         .servers = {},
                                         .trustpoints = {},
                                         .load = {}};
    console::ServerControl control;
    control.name = "ROOTCA";
    control.status = [this] { return with_its_key(server_->status()); };
    environment.servers = {control};
    exec_ = std::make_unique<console::Exec>(std::move(environment));
    say("terminal exec prompt timestamp");
  }
  ~GuideScreens() override {
    exec_.reset();
    server_.reset();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  void put(store::Change change) { ASSERT_TRUE(store_->commit(store::Batch{std::move(change)})); }
  void generation(std::uint32_t number, store::GenerationStatus status, const std::string& vector,
                  std::string_view created) {
    put(store::PutGeneration{{.server = "ROOTCA",
                              .number = number,
                              .status = status,
                              .certificate = vectors::hex(vector),
                              .sealed_key = {},
                              .created_at = at(created)}});
  }
  void crl(std::string_view this_update) {
    put(store::PutCrl{{.server = "ROOTCA",
                       .generation = 1,
                       .number = 1,
                       .this_update = at(this_update),
                       .next_update = at(this_update) + Seconds{6 * 3600},
                       .crl = {}}});
  }
  /// As after a start of the process at this instant.
  void open() {
    server_.reset();
    auto opened =
        server::CertificateServer::open(configuration_.servers.front(), true,
                                        {*store_, clock_, random_, log_, files_, lab_passphrase});
    ASSERT_TRUE(opened) << opened.error().detail;
    server_ = *std::move(opened);
  }
  [[nodiscard]] server::Status with_its_key(server::Status status) const {
    const auto& ca = configuration_.servers.front();
    lifecycle::CaFacts facts;
    facts.active = {status.ca->not_before(), status.ca->not_after()};
    if (status.rollover)
      facts.rollover = {status.rollover->not_before(), status.rollover->not_after()};
    facts.crl_next_update = status.crl_next_update;
    EXPECT_EQ(status.status, "disabled");
    status.status = status.state = "enabled";
    status.deadlines = lifecycle::deadlines(
        {ca.lifetime_ca_certificate, ca.lifetime_crl, ca.auto_rollover}, facts);
    return status;
  }
  std::string say(const std::string& line) {
    std::string output;
    exec_->execute(line, [&](const console::ExecResult& result) {
      EXPECT_TRUE(result.ok) << line << ": " << result.output;
      output = result.output;
    });
    return output;
  }

  std::string directory_;
  LabClock clock_;
  sim::SeededRandom random_{1};
  NoLog log_;
  NoFiles files_;
  std::unique_ptr<store::Store> store_;
  config::Configuration configuration_;
  std::unique_ptr<server::CertificateServer> server_;
  std::unique_ptr<console::Exec> exec_;
};

TEST_F(GuideScreens, FiveMinutesAfterTheServerWasEnabled) {
  clock_.set("2015-10-09T12:19:58Z", 946);
  open();
  vectors::expect_golden("screens/guide-timers-initial.txt", say("show crypto pki timers"));
  say("terminal no exec prompt timestamp");
  vectors::expect_golden("screens/guide-certificates-initial.txt",
                         say("show crypto pki certificates"));
}

TEST_F(GuideScreens, HalfAMinuteAfterTheShadowCaWasMade) {
  clock_.set("2017-07-10T12:00:00Z", 0);
  open();
  say("write memory");
  generation(2, store::GenerationStatus::rollover, "guide/ca-rollover-03.hex",
             "2017-07-10T12:14:18Z");
  put(store::PutServer{{.server = "ROOTCA", .last_serial = 6, .serial_lease = 6}});
  crl("2017-07-10T12:11:54Z");
  clock_.set("2017-07-10T12:14:46Z", 820);
  configuration_.servers.front().grant = config::Grant::manual;
  configuration_.servers.front().database.url = "unix:/iosca-root/";
  open();
  vectors::expect_golden("screens/guide-certificates-rollover.txt",
                         say("show crypto pki certificates"));
  say("terminal no exec prompt timestamp");
  vectors::expect_golden("screens/guide-server-rollover.txt", say("show crypto pki server"));
  EXPECT_THAT(say("show running-config"),
              testing::HasSubstr(vectors::text("config/guide-chain.txt")));
}

TEST_F(GuideScreens, AServerWithoutItsKeyIsDisabledAndArmsNothing) {
  clock_.set("2015-10-09T12:19:58Z", 946);
  open();
  ASSERT_TRUE(server_->run_due());
  EXPECT_EQ(server_->status().status, "disabled, CA key is missing");
  EXPECT_TRUE(server_->deadlines().empty());
}

}  // namespace
}  // namespace umbra
