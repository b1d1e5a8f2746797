#include "policy/decide.h"

#include <gtest/gtest.h>

namespace umbra::policy {
namespace {

using scep::FailInfo;
using scep::MessageType;

const Rules automatic{.grant = GrantMode::automatic, .challenge = {}, .rsa_bits_min = 2048};
const Rules manual{.grant = GrantMode::manual, .challenge = {}, .rsa_bits_min = 2048};
const Rules with_challenge{
    .grant = GrantMode::automatic, .challenge = "secret", .rsa_bits_min = 2048};

RequestFacts first() { return {}; }
RequestFacts renewal() {
  RequestFacts facts;
  facts.type = MessageType::renewal_req;
  facts.signer = Signer::ours;
  facts.subject_matches_signer = true;
  return facts;
}
std::string outcome(const RequestFacts& facts, const Rules& rules) {
  const auto decision = decide(facts, rules);
  if (std::holds_alternative<Grant>(decision)) return "grant";
  if (std::holds_alternative<Pend>(decision)) return "pend";
  return std::string(to_string(std::get<scep::Refusal>(decision).info));
}

TEST(Policy, TheGrantModeDecidesOrdinaryRequests) {
  EXPECT_EQ(outcome(first(), automatic), "grant");
  EXPECT_EQ(outcome(first(), manual), "pend");
  EXPECT_EQ(outcome(first(), {.grant = GrantMode::none, .challenge = {}}), "badRequest");
  EXPECT_EQ(outcome(renewal(), automatic), "grant");
  EXPECT_EQ(outcome(renewal(), manual), "pend");
}

TEST(Policy, AChallengeGuardsFirstEnrolmentsAndNotRenewals) {
  auto facts = first();
  EXPECT_EQ(outcome(facts, with_challenge), "badRequest");
  for (const char* wrong : {"", "Secret", "secret ", "secre"}) {
    facts.challenge = wrong;
    EXPECT_EQ(outcome(facts, with_challenge), "badRequest") << wrong;
  }
  facts.challenge = "secret";
  EXPECT_EQ(outcome(facts, with_challenge), "grant");
  EXPECT_EQ(outcome(renewal(), with_challenge), "grant");
}

TEST(Policy, AnEmptyConfiguredChallengeIsNotMetByAbsence) {
  EXPECT_EQ(outcome(first(), {.grant = GrantMode::automatic, .challenge = ""}), "badRequest");
}

TEST(Policy, ARenewalTakesNoOtherNameWithoutTheChallenge) {
  auto facts = renewal();
  facts.new_alt_names = true;
  EXPECT_EQ(outcome(facts, with_challenge), "badRequest");
  EXPECT_EQ(outcome(facts, automatic), "grant") << "where anybody may have any name";
  EXPECT_EQ(outcome(facts, manual), "pend") << "an administrator decides";
  facts.challenge = "secret";
  EXPECT_EQ(outcome(facts, with_challenge), "grant");
}

TEST(Policy, ARenewalIsJudgedByItsSigner) {
  auto facts = renewal();
  facts.type = MessageType::pkcs_req;  // as IOS and certmonger renew
  EXPECT_EQ(outcome(facts, automatic), "grant");
  facts.signer = Signer::revoked;
  EXPECT_EQ(outcome(facts, automatic), "badRequest");
  EXPECT_EQ(outcome(facts, manual), "badRequest");
  facts.signer = Signer::late;
  EXPECT_EQ(outcome(facts, automatic), "grant");
  facts.signer = Signer::expired;
  EXPECT_EQ(outcome(facts, automatic), "badTime");
  facts.signer = Signer::not_yet_valid;
  EXPECT_EQ(outcome(facts, automatic), "badTime");
  facts = renewal();
  facts.subject_matches_signer = false;
  EXPECT_EQ(outcome(facts, automatic), "badRequest");
  facts = renewal();
  facts.signer = Signer::stranger;
  EXPECT_EQ(outcome(facts, automatic), "badRequest") << "a RenewalReq by a stranger is no renewal";
}

TEST(Policy, WhatIsWeakOrDangerousIsRefusedInEveryMode) {
  for (const auto& rules : {automatic, manual}) {
    auto facts = first();
    facts.key_bits = 1024;
    EXPECT_EQ(outcome(facts, rules), "badAlg");
    facts = first();
    facts.key_is_a_ca_key = true;
    EXPECT_EQ(outcome(facts, rules), "badRequest");
    facts = first();
    facts.subject_is_the_ca = true;
    EXPECT_EQ(outcome(facts, rules), "badRequest");
    facts = first();
    facts.subject_empty = true;
    EXPECT_EQ(outcome(facts, rules), "badRequest");
    facts = first();
    facts.subject_has_nul = true;
    EXPECT_EQ(outcome(facts, rules), "badRequest");
  }
  auto facts = first();
  facts.key_bits = 1024;
  EXPECT_EQ(outcome(facts, {.grant = GrantMode::automatic, .challenge = {}, .rsa_bits_min = 1024}),
            "grant");
  facts.key_bits = 768;
  EXPECT_EQ(outcome(facts, {.grant = GrantMode::automatic, .challenge = {}, .rsa_bits_min = 1024}),
            "badAlg");
  facts = first();
  facts.key_algorithm = x509::KeyAlgorithm::ec;
  facts.key_bits = 256;
  EXPECT_EQ(outcome(facts, automatic), "grant");
}

TEST(Policy, ATrustedSignerIsGrantedAndTheRestWaits) {
  const Rules trusted{.grant = GrantMode::trusted, .challenge = {}, .rsa_bits_min = 2048};
  EXPECT_EQ(outcome(first(), trusted), "pend");
  EXPECT_EQ(outcome(renewal(), trusted), "pend") << "ours, but not of a trustpoint named";
  auto facts = first();
  facts.signer_trusted = true;
  EXPECT_EQ(outcome(facts, trusted), "grant") << "another CA's certificate vouches for it";
  EXPECT_EQ(outcome(facts, manual), "pend") << "trust counts in its own mode alone";
  facts = renewal();
  facts.signer_trusted = true;
  EXPECT_EQ(outcome(facts, trusted), "grant");
  facts.new_alt_names = true;
  EXPECT_EQ(outcome(facts, trusted), "pend") << "a name it did not have";
  facts = renewal();
  facts.signer_trusted = true;
  facts.signer = Signer::revoked;
  EXPECT_EQ(outcome(facts, trusted), "badRequest");
  facts = renewal();
  facts.signer_trusted = true;
  facts.subject_matches_signer = false;
  EXPECT_EQ(outcome(facts, trusted), "badRequest");
}

TEST(Policy, AOneTimePasswordIsSpentWhereNothingElseWouldDo) {
  const auto spends = [](const RequestFacts& facts, const Rules& rules) {
    const auto decision = decide(facts, rules);
    const auto* const grant = std::get_if<Grant>(&decision);
    return grant ? (grant->spends_password ? "spends it" : "without it") : "no grant";
  };
  auto facts = first();
  facts.challenge = "anything";
  facts.one_time_password = true;
  EXPECT_STREQ(spends(facts, manual), "spends it");
  EXPECT_STREQ(spends(facts, with_challenge), "spends it");
  EXPECT_STREQ(spends(facts, automatic), "without it") << "everybody is granted here";
  EXPECT_STREQ(spends(facts, {.grant = GrantMode::none, .challenge = {}}), "no grant");
  facts.challenge = "secret";
  EXPECT_STREQ(spends(facts, with_challenge), "without it");
  facts = renewal();
  facts.one_time_password = true;
  EXPECT_STREQ(spends(facts, with_challenge), "without it");
  EXPECT_STREQ(spends(facts, manual), "spends it");
  facts = first();
  facts.one_time_password = true;
  facts.asked = Class::subordinate_ca;
  EXPECT_STREQ(spends(facts, manual), "no grant") << "no password opens what is refused to all";
}

TEST(Policy, ARequestWhoseCertificateIsRevokedWaitsForAPerson) {
  auto facts = first();
  facts.answer_revoked = true;
  facts.challenge = "secret";
  facts.one_time_password = true;
  facts.signer_trusted = true;
  for (const auto mode : {GrantMode::manual, GrantMode::automatic, GrantMode::trusted})
    EXPECT_EQ(outcome(facts, {.grant = mode, .challenge = {}}), "pend");
  EXPECT_EQ(outcome(facts, with_challenge), "pend");
  EXPECT_EQ(outcome(facts, {.grant = GrantMode::none, .challenge = {}}), "badRequest");
  facts.challenge = "wrong";
  facts.one_time_password = false;
  EXPECT_EQ(outcome(facts, with_challenge), "badRequest");
}

/// Everything on that ever lets a request through.
Rules everything_on(GrantMode mode) {
  return {.grant = mode,
          .ra_auto = true,
          .rollover_ca_cert = true,
          .rollover_ra_cert = true,
          .challenge = {},
          .rsa_bits_min = 2048};
}
constexpr GrantMode granting_modes[] = {GrantMode::manual, GrantMode::automatic,
                                        GrantMode::trusted};

TEST(Policy, NobodyBecomesACaOrAnRaWithoutAPerson) {
  for (const auto mode : granting_modes) {
    for (const auto asked : {Class::subordinate_ca, Class::ra}) {
      const Rules rules = everything_on(mode);
      auto facts = first();
      facts.asked = asked;
      facts.one_time_password = true;
      facts.signer_trusted = true;
      EXPECT_EQ(outcome(facts, rules), "pend") << "a stranger, whatever it knows";
      facts.shadow = true;
      EXPECT_EQ(outcome(facts, rules), "pend") << "a stranger at the next CA";
      facts = renewal();
      facts.asked = asked;
      facts.shadow = true;
      EXPECT_EQ(outcome(facts, rules), "badRequest") << "a device's renewal that wants to be more";
      facts.type = MessageType::pkcs_req;
      facts.subject_matches_signer = false;
      facts.signer_class = Class::ra;
      EXPECT_EQ(outcome(facts, rules), "pend") << "what an RA passes on";
    }
  }
}

TEST(Policy, GrantAutoRolloverGrantsShadowRequestsOfTheSameNameAndClass) {
  for (const auto mode : granting_modes) {
    for (const auto asked : {Class::subordinate_ca, Class::ra}) {
      auto facts = renewal();
      facts.asked = facts.signer_class = asked;
      facts.shadow = true;
      EXPECT_EQ(outcome(facts, everything_on(mode)), "grant");
      Rules only = everything_on(mode);
      (asked == Class::ra ? only.rollover_ra_cert : only.rollover_ca_cert) = false;
      EXPECT_EQ(outcome(facts, only), "pend") << "the other keyword is about others";

      const Rules rules = everything_on(mode);
      auto other = facts;
      other.shadow = false;
      EXPECT_EQ(outcome(other, rules), "pend") << "the active CA's certificates wait";
      other = facts;
      other.signer = Signer::late;
      EXPECT_EQ(outcome(other, rules), "pend");
      other = facts;
      other.new_alt_names = true;
      EXPECT_EQ(outcome(other, rules), "pend");
      other = facts;
      other.signer = Signer::revoked;
      EXPECT_EQ(outcome(other, rules), "badRequest");
      other = facts;
      other.signer_class = asked == Class::ra ? Class::subordinate_ca : Class::ra;
      EXPECT_EQ(outcome(other, rules), "badRequest");
      if (asked == Class::subordinate_ca) {
        other = facts;
        other.subject_matches_signer = false;
        EXPECT_EQ(outcome(other, rules), "badRequest") << "a CA asks for itself alone";
      }
    }
  }
}

TEST(Policy, RaAutoGrantsWhatAnRaOfOursSigned) {
  Rules rules = manual;
  rules.ra_auto = true;
  auto facts = renewal();
  facts.type = MessageType::pkcs_req;
  facts.signer_class = Class::ra;
  facts.subject_matches_signer = false;
  EXPECT_EQ(outcome(facts, rules), "grant");
  facts.new_alt_names = true;
  EXPECT_EQ(outcome(facts, rules), "grant") << "the names are the device's, which the RA knows";
  EXPECT_EQ(outcome(facts, manual), "pend");
  EXPECT_EQ(outcome(facts, with_challenge), "badRequest") << "as a stranger's";
  facts.signer = Signer::late;
  EXPECT_EQ(outcome(facts, rules), "pend");
  facts.signer = Signer::expired;
  EXPECT_EQ(outcome(facts, rules), "badTime");
  facts.signer = Signer::revoked;
  EXPECT_EQ(outcome(facts, rules), "badRequest");
  facts.signer = Signer::ours;
  facts.signer_class = Class::router;
  EXPECT_EQ(outcome(facts, rules), "badRequest") << "a device vouches for nobody";
}

TEST(Policy, AnRaAsksForNobodyWhoWantsToBeMoreThanADevice) {
  for (const GrantMode mode : {GrantMode::automatic, GrantMode::manual, GrantMode::trusted}) {
    const Rules rules{
        .grant = mode, .rollover_ca_cert = true, .rollover_ra_cert = true, .devices_only = true};
    for (const Class asked : {Class::ra, Class::subordinate_ca}) {
      RequestFacts facts;
      facts.asked = asked;
      facts.signer_trusted = true;
      EXPECT_EQ(outcome(facts, rules), "badRequest");
      facts.signer = Signer::ours;
      facts.signer_class = asked;
      facts.subject_matches_signer = true;
      facts.shadow = true;
      EXPECT_EQ(outcome(facts, rules), "badRequest");
    }
  }
}

TEST(Policy, ARenewalWhoseSignerNobodyCouldCheckWaits) {
  const Rules rules{.grant = GrantMode::automatic};
  RequestFacts facts;
  facts.signer = Signer::ours;
  facts.subject_matches_signer = true;
  EXPECT_EQ(outcome(facts, rules), "grant");
  facts.signer_unchecked = true;
  EXPECT_EQ(outcome(facts, rules), "pend");
}

TEST(Policy, ARequestsClassIsWhatItAsksForAndNotWhatItSays) {
  const auto key = *x509::PrivateKey::generate_rsa(2048);
  const auto asked = [&](const char* name, std::vector<x509::Extension> extensions) {
    return class_of(*x509::sign_request({*x509::Name::from_ios(name), {}, std::move(extensions)},
                                        key, x509::Digest::sha256));
  };
  EXPECT_EQ(asked("CN=spoke", {}), Class::router);
  EXPECT_EQ(asked("CN=ra,OU=ioscs RA,O=Cisco", {}), Class::ra);
  EXPECT_EQ(asked("CN=ra,OU=IOSCS  ra", {}), Class::ra);
  EXPECT_EQ(asked("CN=ioscs RA", {}), Class::ra);
  EXPECT_EQ(asked("CN=ra,O=ioscs RA", {}), Class::router);
  EXPECT_EQ(asked("CN=sub,OU=ioscs RA", {x509::basic_constraints_ca()}), Class::subordinate_ca);
  EXPECT_EQ(asked("CN=sub", {x509::key_usage({0x04, false})}), Class::subordinate_ca);
}

}  // namespace
}  // namespace umbra::policy
