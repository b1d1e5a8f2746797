#include <gmock/gmock.h>

#include "client/keys.h"
#include "client/lab_test.h"
#include "x509/request.h"

namespace umbra::client {
namespace {

using std::chrono::minutes;
using testing::HasSubstr;
using testing::IsEmpty;

class HandTest : public Lab {
 protected:
  /// Nobody is reached: people carry requests and certificates.
  void by_hand() {
    spoke.enrollment_url.clear();
    spoke.terminal = true;
    start();
    accept_ca();
  }
  void accept_ca() {
    trustpoint->accept_ca(*server->status().ca, [](const Result<void>& accepted) {
      EXPECT_TRUE(accepted) << accepted.error().detail;
    });
    settle();
  }
  Result<x509::Request> request() {
    Result<x509::Request> made = fail(Errc::conflict, "not called");
    trustpoint->request_by_hand([&](Result<x509::Request> got) { made = std::move(got); });
    settle();
    return made;
  }
  x509::Certificate granted(const x509::Request& asked) {
    return *server->request_pkcs10(asked.der())->certificate;
  }
  Result<void> import(const x509::Certificate& certificate) {
    return done([&](auto answered) { trustpoint->import_certificate({certificate}, answered); });
  }
  Result<void> import(const x509::Archive& archive, bool exportable = false) {
    return done([&](auto answered) { trustpoint->import_archive(archive, exportable, answered); });
  }
  Result<void> cancel() {
    return done([&](auto answered) { trustpoint->cancel(answered); });
  }
  Result<std::vector<std::string>> zeroize() {
    Result<std::vector<std::string>> came = fail(Errc::conflict, "not called");
    trustpoint->zeroize([&](auto result) { came = std::move(result); });
    settle();
    return came;
  }
  Exported exported() {
    std::optional<Exported> out;
    trustpoint->exported([&](Result<Exported> got) { out = *std::move(got); });
    settle();
    return *out;
  }
  template <class Call>
  Result<void> done(Call call) {
    Result<void> came = fail(Errc::conflict, "not called");
    call([&](Result<void> result) { came = std::move(result); });
    settle();
    return came;
  }
  /// Key and certificate of somebody whom the lab's CA has certified by hand.
  x509::Archive somebody() {
    auto key = *x509::PrivateKey::generate_rsa(2048);
    const auto asked = *x509::sign_request({*x509::Name::from_ios("CN=somebody"), {}, {}}, key,
                                           x509::Digest::sha256);
    return {key, granted(asked), {*server->status().ca}};
  }
};

TEST_F(HandTest, PeopleCarryTheRequestThereAndTheCertificateBack) {
  by_hand();
  const auto asked = request();
  ASSERT_TRUE(asked) << asked.error().detail;
  EXPECT_EQ(status().last_enrollment_status, "Pending");
  EXPECT_EQ(status().pending->fingerprint(x509::Digest::sha256),
            asked->fingerprint(x509::Digest::sha256));
  start_spoke();  // the key and the request are in the database
  ASSERT_TRUE(import(granted(*asked)));
  EXPECT_EQ(status().identity->public_key(), asked->public_key());
  EXPECT_FALSE(status().pending);
  EXPECT_EQ(status().last_enrollment_status, "Granted");
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
  EXPECT_EQ(outlet.told("UMBRA_EVENT"), "enrolled");

  spoke.regenerate = true;
  start_spoke();
  clock.set(day(10));
  const auto next = request();
  ASSERT_TRUE(next);
  EXPECT_FALSE(next->public_key() == asked->public_key());
  EXPECT_EQ(status().identity->public_key(), asked->public_key()) << "in use until then";
  ASSERT_TRUE(import(granted(*next)));
  EXPECT_EQ(status().identity->public_key(), next->public_key());
  EXPECT_EQ(outlet.told("UMBRA_EVENT"), "renewed");
  EXPECT_THAT(sent, IsEmpty());
}

TEST_F(HandTest, OnlyTheCertificateThatWasAskedForIsTaken) {
  by_hand();
  EXPECT_EQ(import(*server->status().ca).error().code, Errc::not_found) << "nothing was asked for";
  ASSERT_TRUE(request());
  EXPECT_EQ(import(somebody().certificate).error().code, Errc::crypto) << "another key";
  const auto asked = *status().pending;
  const auto stranger = *x509::PrivateKey::generate_rsa(2048);
  const auto forged = *x509::sign_certificate({.serial = x509::Serial(7),
                                               .issuer = server->status().ca->subject(),
                                               .subject = asked.subject(),
                                               .not_before = zero,
                                               .not_after = day(100),
                                               .spki = to_bytes(asked.public_key().spki()),
                                               .extensions = {}},
                                              stranger, x509::Digest::sha256);
  EXPECT_EQ(import(forged).error().code, Errc::crypto) << "another CA";
  const auto late = granted(asked);
  clock.set(day(366));
  EXPECT_EQ(import(late).error().code, Errc::conflict) << "over";
  EXPECT_FALSE(status().identity);
  EXPECT_TRUE(status().pending);
}

TEST_F(HandTest, ARequestThatWaitsIsCancelledAndNothingIsAskedUntilSomebodyEnrols) {
  ca.grant = config::Grant::manual;
  start();
  authenticate();
  EXPECT_EQ(armed().substr(0, 4), "POLL");
  ASSERT_TRUE(cancel());
  EXPECT_EQ(armed(), "");
  EXPECT_FALSE(status().pending);
  EXPECT_EQ(status().last_enrollment_status, "Cancelled");
  const std::size_t before = sent.size();
  start_spoke();
  run_until(day(30));
  EXPECT_EQ(sent.size(), before);
  EXPECT_EQ(cancel().error().code, Errc::not_found);
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_EQ(sent.size(), before + 1);
}

TEST_F(HandTest, WhatThePendingRequestAskedForMayComeByHand) {
  ca.grant = config::Grant::manual;
  start();
  authenticate();
  const auto asked = *status().pending;
  ASSERT_TRUE(server->grant(std::nullopt));
  const auto all = issued();
  const auto certificate = *x509::Certificate::from_der(all.back().certificate);
  ASSERT_TRUE(import(certificate));
  EXPECT_EQ(*status().identity, certificate);
  EXPECT_EQ(armed().substr(0, 5), "RENEW");
}

TEST_F(HandTest, ASelfSignedCertificateNeedsNobodyAndRenewsItself) {
  spoke.enrollment_url.clear();
  spoke.selfsigned = true;
  spoke.auto_enroll = 50;
  spoke.alt_names = {{x509::AltNameKind::dns, "box.example.net"}};
  start();
  ASSERT_TRUE(status().identity);
  const auto first = *status().identity;
  EXPECT_EQ(*status().ca, first);
  EXPECT_TRUE(first.verify_signed_by(first.public_key()));
  EXPECT_EQ(first.not_after(), zero + Days{3650});
  const auto names = x509::subject_alt_names(spoke.alt_names);
  EXPECT_TRUE(std::any_of(first.extensions().begin(), first.extensions().end(),
                          [&](const auto& one) { return one.value == names.value; }));
  EXPECT_EQ(armed(), "RENEW Root-CA " + to_rfc3339(zero + Days{1825}));
  clock.set(zero + Days{1825});
  run_due();
  EXPECT_FALSE(*status().identity == first);
  EXPECT_EQ(status().identity->not_before(), zero + Days{1825});
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
  EXPECT_THAT(sent, IsEmpty());
}

TEST_F(HandTest, AGeneratedKeyWaitsForItsTrustpointAndTellsWhetherItMayLeave) {
  start_server();
  store = std::make_unique<LabStore>(directory + "/spoke.db");
  KeyRing ring(*store, clock, log, spoke_passphrase);
  EXPECT_EQ(ring.generate({"spoke-1-RSA", false, 1024, true}).error().code, Errc::unsupported);
  ASSERT_TRUE(ring.generate({"spoke-1-RSA", false, 2048, true}));
  ASSERT_TRUE(ring.generate({"other", false, 2048, true}));
  const auto made = (*store->key_pairs())[1].sealed_key;
  start_spoke();
  authenticate();
  EXPECT_EQ(row().sealed_key, made);
  EXPECT_TRUE(exported().key);
  EXPECT_EQ(exported().label, "spoke-1-RSA");
  ASSERT_EQ(store->key_pairs()->size(), 1U) << "it is the trustpoint's now";
  EXPECT_EQ(store->key_pairs()->front().label, "other");
}

TEST_F(HandTest, AKeyThatItMadeForItselfStays) {
  start();
  authenticate();
  EXPECT_FALSE(exported().key);
  EXPECT_TRUE(exported().identity);
}

TEST_F(HandTest, AnEcKeyIsNotAskedForByScepAndDoesItByHand) {
  start_server();
  store = std::make_unique<LabStore>(directory + "/spoke.db");
  ASSERT_TRUE(
      KeyRing(*store, clock, log, spoke_passphrase).generate({"spoke-1-RSA", true, 256, true}));
  start_spoke();
  authenticate();
  EXPECT_GT(log.count("the key named spoke-1-RSA is no RSA key"), 0U);
  EXPECT_FALSE(status().pending);
  spoke.enrollment_url.clear();
  spoke.terminal = true;
  start_spoke();
  const auto asked = request();
  ASSERT_TRUE(asked) << asked.error().detail;
  EXPECT_EQ(asked->public_key().algorithm(), x509::KeyAlgorithm::ec);
  EXPECT_TRUE(asked->verify());
}

TEST_F(HandTest, AnEllipticKeyIsMadeWhereOneIsConfigured) {
  spoke.ec_key = true;
  by_hand();
  const auto asked = request();
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->public_key().algorithm(), x509::KeyAlgorithm::ec);
  ASSERT_TRUE(import(granted(*asked)));
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, status().identity->to_pem());
}

TEST_F(HandTest, AnImportedKeyAndCertificateLiveOnAsIfEnrolled) {
  spoke.subject_name = "CN=somebody";
  spoke.fqdn_none = true;
  start();
  const auto mine = somebody();
  ASSERT_TRUE(import(mine, true));
  EXPECT_EQ(*status().identity, mine.certificate);
  EXPECT_EQ(*status().ca, *server->status().ca);
  EXPECT_TRUE(exported().key);
  EXPECT_EQ(outlet.published.at("/etc/spoke").cert, mine.certificate.to_pem());
  settle();
  EXPECT_EQ(armed().substr(0, 5), "RENEW");
  run_until(day(292));
  EXPECT_EQ(status().identity->not_before(), day(292)) << "renewed by the CA";
  EXPECT_EQ(status().identity->public_key(), mine.key.public_key());
}

TEST_F(HandTest, WhatDoesNotBelongIsNotImported) {
  start_server();
  spoke.auto_enroll.reset();
  start_spoke();
  auto mine = somebody();
  auto orphan = mine;
  orphan.others.clear();
  EXPECT_THAT(import(orphan).error().detail, HasSubstr("authenticate the trustpoint first"));
  spoke.fingerprint = std::string(64, 'A');
  start_spoke();
  EXPECT_EQ(import(mine).error().code, Errc::crypto) << "not the pinned CA";
  spoke.fingerprint.clear();
  spoke.role = config::Role::ra;
  start_spoke();
  EXPECT_THAT(import(mine).error().detail, HasSubstr("a certificate server's own"));
  spoke.role = config::Role::device;
  start_spoke();
  clock.set(day(400));
  EXPECT_THAT(import(mine).error().detail, HasSubstr("expired"));
  clock.set(zero);
  const auto stranger = *x509::PrivateKey::generate_rsa(2048);
  const auto name = *x509::Name::from_ios("CN=another");
  const auto other = *x509::self_signed_signer(name, zero, stranger, x509::Digest::sha256);
  EXPECT_TRUE(import({stranger, other, {}}).error().code == Errc::conflict) << "its own CA";
  accept_ca();
  EXPECT_THAT(import({stranger, other, {}}).error().detail,
              HasSubstr("not one of this trustpoint's CA"));
  EXPECT_FALSE(status().identity);
  ASSERT_TRUE(import(orphan));
  EXPECT_THAT(import(mine).error().detail, HasSubstr("a key pair named spoke-1-RSA already"));
}

TEST_F(HandTest, AnEcKeyIsNotImportedWhereScepWouldHaveToRenewIt) {
  start();
  const auto key = *x509::PrivateKey::generate_ec(256);
  const auto asked = *x509::sign_request({*x509::Name::from_ios("CN=somebody"), {}, {}}, key,
                                         x509::Digest::sha256);
  const x509::Archive mine{key, granted(asked), {*server->status().ca}};
  const auto imported = import(mine);
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().code, Errc::unsupported);
  EXPECT_THAT(imported.error().detail, HasSubstr("no RSA key"));
  EXPECT_FALSE(status().ca);
  spoke.enrollment_url.clear();
  spoke.terminal = true;
  start_spoke();
  ASSERT_TRUE(import(mine));
  EXPECT_EQ(*status().identity, mine.certificate);
}

TEST_F(HandTest, ZeroizedKeysTakeTheirCertificatesAlong) {
  start();
  authenticate();
  ASSERT_TRUE(zeroize());
  EXPECT_FALSE(status().identity);
  EXPECT_FALSE(status().keys_generated);
  EXPECT_TRUE(row().sealed_key.empty());
  EXPECT_TRUE(status().ca);
  const std::size_t before = sent.size();
  run_until(day(30));
  EXPECT_EQ(sent.size(), before) << "nothing by itself";
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_TRUE(status().identity);
}

TEST_F(HandTest, ZeroizedKeysAreWithdrawnFromTheFilesAndComeBackAsSomethingNew) {
  spoke.storage_pkcs12.path = "/etc/spoke.p12";
  spoke.pkcs12_password = "between us";
  start();
  authenticate();
  ASSERT_TRUE(outlet.published.contains("/etc/spoke"));
  ASSERT_TRUE(outlet.archives.contains("/etc/spoke.p12"));
  ASSERT_TRUE(zeroize());
  EXPECT_FALSE(outlet.published.contains("/etc/spoke"));
  EXPECT_FALSE(outlet.archives.contains("/etc/spoke.p12"));
  start_spoke();
  EXPECT_FALSE(outlet.published.contains("/etc/spoke")) << "nor does a start bring them back";
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  EXPECT_TRUE(outlet.published.contains("/etc/spoke"));
  EXPECT_TRUE(outlet.archives.contains("/etc/spoke.p12"));
  EXPECT_EQ(outlet.told("UMBRA_EVENT"), "enrolled");
}

TEST_F(HandTest, AnArchiveOfSomebodyElsesStaysWhenKeysAreZeroized) {
  spoke.storage_pkcs12.path = "/etc/spoke.p12";
  spoke.pkcs12_password = "between us";
  start();
  authenticate();
  const Bytes others = to_bytes(as_bytes("somebody else's"));
  outlet.archives["/etc/spoke.p12"] = others;
  outlet.kept.insert("/etc/spoke");
  const auto staying = zeroize();
  ASSERT_TRUE(staying);
  EXPECT_THAT(*staying, ::testing::ElementsAre(HasSubstr("/etc/spoke/kept is not umbrad's"),
                                               HasSubstr("/etc/spoke.p12 is somebody else's")))
      << "and whoever zeroizes is told what he has to remove himself";
  EXPECT_EQ(outlet.archives["/etc/spoke.p12"], others);
  EXPECT_EQ(log.count("%UMBRA-4-STORAGE: Trustpoint Root-CA: /etc/spoke.p12"), 1U);
}

TEST_F(HandTest, KeysWhoseFilesCannotBeWithdrawnStay) {
  start();
  authenticate();
  outlet.refuse = true;
  EXPECT_EQ(zeroize().error().code, Errc::storage);
  EXPECT_TRUE(status().identity);
  EXPECT_TRUE(outlet.published.contains("/etc/spoke"));
  outlet.refuse = false;
  store->refuse = true;
  EXPECT_EQ(zeroize().error().code, Errc::storage);
  EXPECT_TRUE(status().identity);
  EXPECT_TRUE(outlet.published.contains("/etc/spoke")) << "they were put back";
}

TEST_F(HandTest, WhatWaitedToBeAnnouncedIsForgottenWithTheKeys) {
  outlet.failing = true;
  start();
  authenticate();
  EXPECT_THAT(armed(), HasSubstr("ANNOUNCE"));
  ASSERT_TRUE(zeroize());
  EXPECT_EQ(armed(), "");
  outlet.failing = false;
  outlet.hangs = true;
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  ASSERT_EQ(outlet.waiting.size(), 1U);
  ASSERT_TRUE(zeroize());
  outlet.waiting.front()(fail(Errc::unreachable, "ended with status 1"));
  settle();
  EXPECT_EQ(armed(), "") << "of what is gone, nothing is tried again";
}

TEST_F(HandTest, ACommandThatEndsAfterWhatItToldWasWithdrawnHasToldNothing) {
  outlet.hangs = true;
  start();
  authenticate();
  ASSERT_EQ(outlet.waiting.size(), 1U);
  const auto told = status().identity->serial().to_hex_octets();
  ASSERT_EQ(outlet.told("UMBRA_SERIAL"), told);
  ASSERT_TRUE(zeroize());
  ASSERT_TRUE(trustpoint->enroll());
  settle();
  ASSERT_NE(status().identity->serial().to_hex_octets(), told);
  ASSERT_EQ(outlet.waiting.size(), 1U) << "one command at a time";
  outlet.waiting.front()({});
  settle();
  EXPECT_EQ(row().announced, "") << "what others have now, nobody has been told of";
  ASSERT_EQ(outlet.waiting.size(), 2U);
  EXPECT_EQ(outlet.told("UMBRA_EVENT"), "enrolled");
  EXPECT_EQ(outlet.told("UMBRA_SERIAL"), status().identity->serial().to_hex_octets());
  outlet.waiting.back()({});
  settle();
  EXPECT_NE(row().announced, "");
  EXPECT_EQ(outlet.waiting.size(), 2U);
}

TEST_F(HandTest, KeysThatCouldNotBeWithdrawnAreToldOfAllTheSame) {
  outlet.hangs = true;
  start();
  authenticate();
  store->refuse = true;
  EXPECT_EQ(zeroize().error().code, Errc::storage);
  store->refuse = false;
  outlet.waiting.front()({});
  settle();
  EXPECT_NE(row().announced, "");
  EXPECT_EQ(outlet.waiting.size(), 1U);
}

TEST_F(HandTest, WhatTheStoreRefusesHasNotHappened) {
  by_hand();
  const auto asked = *request();
  const auto certificate = granted(asked);
  store->refuse = true;
  EXPECT_EQ(import(certificate).error().code, Errc::storage);
  EXPECT_EQ(zeroize().error().code, Errc::storage);
  EXPECT_EQ(cancel().error().code, Errc::storage);
  EXPECT_FALSE(status().identity);
  EXPECT_TRUE(status().pending);
  store->refuse = false;
  ASSERT_TRUE(import(certificate));
  EXPECT_TRUE(status().identity);
}

}  // namespace
}  // namespace umbra::client
