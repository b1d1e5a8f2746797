#include <gmock/gmock.h>

#include "client/lab_test.h"
#include "console/exec.h"

namespace umbra::console {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// Keeps the files of one trustpoint.
class KeepingOutlet final : public client::NoOutlet {
 public:
  Result<void> withdraw_pem(std::string_view trustpoint, const config::Storage& storage,
                            const client::IsOurs&) override {
    if (trustpoint == kept_of) return fail(Errc::storage, "cannot remove " + storage.path);
    published.erase(storage.path);
    return {};
  }
  std::vector<std::string> kept_keys(const config::Storage& storage, bool archive) override {
    if (archive || !with_strangers.contains(storage.path)) return {};
    return {storage.path + "/kept"};
  }
  std::string kept_of;
  std::set<std::string> published;
  std::set<std::string> with_strangers;  ///< places with somebody else's key
};

class KeepingStore final : public store::ForwardingStore {
 public:
  explicit KeepingStore(const std::string& path) : ForwardingStore(*store::open_sqlite(path)) {}
  using store::Store::commit;
  void commit(store::Batch batch, store::Committed done, store::Wake wake) override {
    if (keeps_key_pairs && std::holds_alternative<store::DropKeyPair>(batch.front()))
      return done(fail(Errc::storage, "disk full"));
    real_->commit(std::move(batch), std::move(done), wake);
  }
  bool keeps_key_pairs = false;
};

class Nobody final : public HttpTransport {
 public:
  void send(HttpCall, HttpAnswered answered) override {
    answered(fail(Errc::unreachable, "connection refused"));
  }
};

/// Trustpoints A, B and C with a key of one name, and one of that name which nobody has taken.
class ZeroizeTest : public ::testing::Test {
 protected:
  ZeroizeTest() {
    std::string shape = (std::filesystem::temp_directory_path() / "umbra-zeroize-XXXXXX").string();
    directory_ = ::mkdtemp(shape.data());
    store_ = std::make_unique<KeepingStore>(directory_ + "/umbra.db");
    keys_ = std::make_shared<client::KeyRing>(*store_, clock_, log_, client::spoke_passphrase);
    EXPECT_TRUE(keys_->generate({"shared", true, 256, false}));
    for (const std::string name : {"A", "B", "C"}) add(name);
  }
  ~ZeroizeTest() override {
    trustpoints_.clear();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  void add(const std::string& name) {
    store::TrustpointRow row;
    row.name = name;
    row.sealed_key = store_->key_pairs()->front().sealed_key;
    ASSERT_TRUE(store_->commit({store::PutTrustpoint{row}}));
    config::Trustpoint configuration;
    configuration.name = name;
    configuration.key_label = "shared";
    configuration.storage_pem.path = "/etc/" + name;
    outlet_.published.insert("/etc/" + name);
    auto opened = client::Trustpoint::open(
        configuration, {.store = *store_,
                        .clock = clock_,
                        .random = random_,
                        .log = log_,
                        .transport = nobody_,
                        .outlet = outlet_,
                        .post = [](const std::function<void()>& task) { task(); },
                        .changed = [] {},
                        .key_passphrase = client::spoke_passphrase,
                        .fqdn = "spoke.lab",
                        .board_serial = "67109104"});
    ASSERT_TRUE(opened) << opened.error().detail;
    trustpoints_.push_back(*opened);
  }
  ExecResult zeroize() {
    ExecEnvironment environment{clock_, TimeZone{}, "0.1.0", "hub", "!\nhostname hub\n!\n",
                                {},     {},         {},      {},    {}};
    environment.keys = keys_;
    for (const auto& one : trustpoints_) environment.trustpoints.push_back(control(one));
    std::optional<ExecResult> result;
    Exec(std::move(environment)).execute("crypto key zeroize rsa shared", "yes", [&](ExecResult r) {
      EXPECT_FALSE(result) << "it answers once";
      result = std::move(r);
    });
    EXPECT_TRUE(result);
    return result.value_or(ExecResult{false, "no answer"});
  }
  /// Of those that still have a key.
  std::string names() const {
    std::string all;
    for (const auto& one : trustpoints_) {
      const bool there = one->status().keys_generated;
      EXPECT_EQ(outlet_.published.contains("/etc/" + one->name()), there);
      if (there) all += one->name();
    }
    return all;
  }

  std::string directory_;
  client::LabClock clock_;
  client::LabRandom random_;
  client::LabLog log_;
  KeepingOutlet outlet_;
  Nobody nobody_;
  std::unique_ptr<KeepingStore> store_;
  std::shared_ptr<client::KeyRing> keys_;
  std::vector<std::shared_ptr<client::Trustpoint>> trustpoints_;
};

TEST_F(ZeroizeTest, RemovesAKeyFromAllThatHaveIt) {
  const ExecResult result = zeroize();
  EXPECT_TRUE(result.ok);
  EXPECT_EQ(result.output,
            "% Keys and certificates are removed, and withdrawn from the files of \"storage\"\n");
  EXPECT_EQ(names(), "");
  EXPECT_TRUE(store_->key_pairs()->empty());
}

TEST_F(ZeroizeTest, WhatFailsForOneTrustpointIsSaidAndTheOthersGoOn) {
  outlet_.kept_of = "B";
  outlet_.with_strangers = {"/etc/A", "/etc/C"};
  const ExecResult result = zeroize();
  EXPECT_FALSE(result.ok);
  EXPECT_EQ(result.output,
            "% Not removed: keys and certificates of trustpoint B: cannot remove /etc/B\n"
            "% Removed: the key pair that no trustpoint has\n"
            "% Removed: keys and certificates of trustpoint A\n"
            "% Removed: keys and certificates of trustpoint C\n"
            "% /etc/A/kept is not umbrad's, may hold a key, and stays: it is yours to remove\n"
            "% /etc/C/kept is not umbrad's, may hold a key, and stays: it is yours to remove\n");
  EXPECT_EQ(names(), "B");
  EXPECT_TRUE(store_->key_pairs()->empty());
  outlet_.kept_of.clear();
  EXPECT_TRUE(zeroize().ok) << "said again, it is for what is left";
  EXPECT_EQ(names(), "");
}

TEST_F(ZeroizeTest, AKeyPairThatWaitsAndStaysKeepsNoTrustpointsKeys) {
  store_->keeps_key_pairs = true;
  const ExecResult result = zeroize();
  EXPECT_FALSE(result.ok);
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("% Not removed: the key pair that no trustpoint has: disk full\n"),
                    HasSubstr("% Removed: keys and certificates of trustpoint C\n"),
                    Not(HasSubstr("% Keys and certificates are removed"))));
  EXPECT_EQ(names(), "");
  EXPECT_EQ(store_->key_pairs()->size(), 1U);
}

}  // namespace
}  // namespace umbra::console
