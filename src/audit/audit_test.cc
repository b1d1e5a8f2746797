// The audit log of a real server, as it is written and as somebody changed it.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "audit/check.h"
#include "audit/events.h"
#include "lab_passphrase.h"
#include "server/lab_test.h"
#include "store/forwarding_store.h"

namespace umbra::audit {
namespace {

const Instant now = Instant{*from_rfc3339("2026-03-01T00:00:00Z")};

struct Log {
  Head head;
  std::vector<std::string> lines;
  void add(const Event& event) {
    std::string line = next_line(head, now, event);
    line.pop_back();
    lines.push_back(std::move(line));
  }
};

const x509::PrivateKey& ca_key() {
  static const auto key = *x509::PrivateKey::generate_ec(256);
  return key;
}
const x509::Certificate& ca() {
  static const auto made = *x509::self_signed_signer(*x509::Name::from_ios("CN=CA"), to_time(now),
                                                     ca_key(), x509::Digest::sha256);
  return made;
}

void sign(Log& log) {
  const std::string what = statement(log.head);
  log.add(signed_event({"CA", 1, *ca_key().sign(x509::Digest::sha256, as_bytes(what))}));
}

/// Ten lines, the fifth and the last of them signatures.
Log sound() {
  Log log;
  for (int i = 1; i <= 8; ++i) {
    log.add(
        {"ISSUE", {{"server", "CA"}, {"serial", fmt::format("0x{:X}", i)}, {"subject", "cn=a"}}});
    if (i % 4 == 0) sign(log);
  }
  return log;
}

Report check(const std::vector<std::string>& lines, std::optional<Head> anchor = std::nullopt) {
  Checker checker(
      [](const std::string& server, std::uint32_t generation) {
        return server == "CA" && generation == 1 ? &ca() : nullptr;
      },
      std::move(anchor));
  for (const std::string& line : lines) checker.take(line, true);
  checker.finish();
  return checker.report();
}

std::string rules(const Report& report) {
  std::string out;
  for (const auto& one : report.faults) out += fmt::format("{}@{} ", one.rule, one.row);
  return out;
}

TEST(Audit, ASoundLogIsUnbrokenAndSignedToItsEnd) {
  const Log log = sound();
  const Report report = check(log.lines, log.head);
  EXPECT_EQ(rules(report), "");
  EXPECT_EQ(report.lines, 10U);
  EXPECT_EQ(report.signatures, 2U);
  EXPECT_EQ(report.signed_to, 9U);
  EXPECT_THAT(to_text(report, "F"), testing::EndsWith("up to line 9; unbroken\n"));
  EXPECT_THAT(to_json(report, "F"), testing::HasSubstr("\"unbroken\": true"));
}

TEST(Audit, EveryChangedRemovedMovedOrAddedLineIsNamed) {
  const Log log = sound();
  for (std::size_t i = 0; i < log.lines.size(); ++i) {
    auto lines = log.lines;
    const std::size_t at = lines[i].find(i == 4 || i == 9 ? "SIGN" : "cn=a") + 3;
    lines[i][at] = 'b';
    EXPECT_THAT(rules(check(lines)), testing::HasSubstr(fmt::format("changed@{} ", i + 1)));
    lines = log.lines;
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(i));
    const Report removed = check(lines, log.head);
    EXPECT_THAT(rules(removed),
                testing::StartsWith(i + 1 == log.lines.size() ? "cut-off@0 "
                                                              : fmt::format("missing@{} ", i + 1)));
    EXPECT_THAT(removed.faults[0].what, testing::HasSubstr(fmt::format("line {}", i + 1)));
    if (i + 1 == log.lines.size()) continue;
    lines = log.lines;
    std::swap(lines[i], lines[i + 1]);
    EXPECT_GE(check(lines).count, 1U) << i;
    lines = log.lines;
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(i), log.lines[i]);
    EXPECT_THAT(rules(check(lines)), testing::StartsWith(fmt::format("order@{} ", i + 2)));
  }
  auto lines = log.lines;
  lines[3] = "something else";
  EXPECT_THAT(rules(check(lines)), testing::HasSubstr("unreadable@4 "));
}

// Who can compute hashes and has no key of the CA.
TEST(Audit, AChainThatWasMadeAnewFailsAtTheNextSignature) {
  Log forged;
  for (const std::string& line : sound().lines) {
    Event event = parse(line)->event;
    if (event.name == "ISSUE") event.fields[2].second = "cn=evil";
    forged.add(event);
  }
  EXPECT_EQ(rules(check(forged.lines)), "signature@5 signature@10 ");
  EXPECT_THAT(rules(check(forged.lines, sound().head)), testing::HasSubstr("changed@10 "))
      << "and at what the database knows";
}

TEST(Audit, ASignatureOfACaThatWasDestroyedIsNotedAndAnyOtherIsAFault) {
  Log log;
  log.add({"START"});
  log.add(signed_event({"CA", 1, Bytes(64, 1)}));
  log.add(signed_event({"GONE", 1, Bytes(64, 1)}));
  EXPECT_EQ(rules(check(log.lines)), "signature@2 signature@3 ");
  log.add({"DESTROY", {{"server", "GONE"}}});
  const Report report = check(log.lines);
  EXPECT_EQ(rules(report), "signature@2 ");
  EXPECT_EQ(report.notes.size(), 1U);
}

TEST(Audit, ALogThatWasCutOffIsFoundByWhatTheDatabaseKnows) {
  const Log log = sound();
  auto lines = log.lines;
  lines.resize(5);  // up to a signature
  EXPECT_EQ(rules(check(lines)), "");
  EXPECT_EQ(rules(check(lines, log.head)), "cut-off@0 ");
  EXPECT_EQ(rules(check({}, log.head)), "cut-off@0 ");
}

TEST(Audit, AHalfLineAtTheEndIsAProcessThatDied) {
  const Log log = sound();
  Checker checker([](const auto&, auto) { return &ca(); }, std::nullopt);
  for (const std::string& line : log.lines) checker.take(line, true);
  checker.take(log.lines[0].substr(0, 40), false);
  checker.finish();
  EXPECT_EQ(checker.report().count, 0U);
  EXPECT_EQ(checker.report().notes.size(), 1U);
}

TEST(Audit, ACertificateThatNoLineTellsOfIsFound) {
  Checker checker([](const auto&, auto) { return &ca(); }, std::nullopt);
  for (const std::string& line : sound().lines) checker.take(line, true);
  checker.finish();
  checker.stored("CA", x509::Serial(3), to_time(now));
  checker.stored("CA", x509::Serial(99), to_time(now) - Seconds{1});  // before the log
  EXPECT_EQ(checker.report().count, 0U);
  checker.stored("CA", x509::Serial(9), to_time(now));
  checker.stored("OTHER", x509::Serial(3), to_time(now));
  EXPECT_EQ(rules(checker.report()), "unrecorded@0 unrecorded@0 ");
}

TEST(Audit, NoNameForgesALineOrAField) {
  std::string every;
  for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
  for (const std::string& name :
       {every, std::string("x\n9 2026-03-01T00:00:00Z ISSUE"), std::string("x\" serial=\"0x9"),
        std::string("\\"), std::string("\x1B[2J"), std::string()}) {
    Log log;
    log.add({"ISSUE", {{"server", name}, {"serial", "0x1"}}});
    const std::string& line = log.lines[0];
    for (const char c : line) {
      EXPECT_GE(c, 0x20);
      EXPECT_LT(c, 0x7F);
    }
    const auto parsed = parse(line);
    ASSERT_TRUE(parsed) << line;
    EXPECT_EQ(parsed->event.fields.size(), 2U);
    EXPECT_EQ(*parsed->find("server"), name);
    EXPECT_EQ(*parsed->find("serial"), "0x1");
    EXPECT_EQ(rules(check(log.lines)), "");
  }
  // Whatever a line is cut to, it is read or refused.
  const std::string line = sound().lines[0];
  for (std::size_t i = 0; i < line.size(); ++i) EXPECT_FALSE(parse(line.substr(0, i)));
}

class AuditedServer : public server::lab::ServerTest {};

TEST_F(AuditedServer, WhatAServerDoesIsToldAndNothingSecret) {
  class Telling final : public store::ForwardingStore {
   public:
    Telling(std::unique_ptr<store::Store> real, std::vector<Event>& events)
        : ForwardingStore(std::move(real)), events_(events) {}
    using Store::commit;
    void commit(store::Batch batch, store::Committed done, store::Wake wake) override {
      const auto more = events_of(batch);
      events_.insert(events_.end(), more.begin(), more.end());
      switches_ = switches_ || switches(batch);
      real_->commit(std::move(batch), std::move(done), wake);
    }
    bool switches_ = false;

   private:
    std::vector<Event>& events_;
  };
  using namespace server;
  std::vector<Event> events;
  configuration.grant = config::Grant::manual;
  auto telling = std::make_unique<Telling>(*store::open_sqlite(directory + "/umbra.db"), events);
  Telling& watch = *telling;
  store = std::move(telling);
  server = *CertificateServer::open(
      configuration, true, {*store, clock, random, log, files, lab_passphrase, trusted_ca});
  ASSERT_TRUE(server->run_due());
  const std::string password = *server->generate_password(std::chrono::minutes{5});
  lab::Device first("CN=first");
  first.challenge = password;
  granted(enroll(first));
  enroll(lab::Device("CN=second"));
  ASSERT_TRUE(server->grant(std::nullopt));
  enroll(lab::Device("CN=third"));
  ASSERT_TRUE(server->reject(std::nullopt));
  ASSERT_TRUE(server->revoke(x509::Serial(2), x509::RevocationReason::key_compromise));
  ASSERT_TRUE(server->unrevoke(x509::Serial(2)));
  EXPECT_FALSE(watch.switches_);
  go_to(lab::day(650));
  go_to(lab::day(731));
  EXPECT_TRUE(watch.switches_);
  EXPECT_EQ(server->signing_keys(false).size(), 1U);
  EXPECT_EQ(server->signing_keys(true).size(), 2U);
  EXPECT_EQ(server->signing_keys(true)[0].generation, 1U) << "the older one first";
  std::string names, everything;
  for (const Event& event : events) {
    names += event.name + " ";
    for (const auto& [key, value] : event.fields) everything += value + "\n";
  }
  EXPECT_EQ(names,
            "CA-ACTIVE ISSUE PASSWORD ISSUE PASSWORD-USED PEND ISSUE GRANT PEND REJECT REVOKE "
            "UNREVOKE CA-NEXT ISSUE REMOVE REMOVE CA-RETIRED CA-ACTIVE ");
  EXPECT_EQ(everything.find(password), std::string::npos);
  EXPECT_EQ(everything.find("archive pass"), std::string::npos);
}

}  // namespace
}  // namespace umbra::audit
