#include <fmt/format.h>

#include "config/rules.h"
#include "server/conversation.h"
#include "server/impl.h"

/// What lets a request through besides an administrator: trusted signers and one-time passwords.
namespace umbra::server {
namespace {

/// 80 bits: what is hashed in the store cannot be found by trying, and can still be typed.
constexpr std::size_t password_octets = 10;

Bytes digest_of(std::string_view password) {
  return x509::hash(x509::Digest::sha256, as_bytes(password));
}

}  // namespace

store::RequestClass class_in_store(policy::Class one) {
  switch (one) {
    case policy::Class::router:
      return store::RequestClass::router;
    case policy::Class::ra:
      return store::RequestClass::ra;
    case policy::Class::subordinate_ca:
      return store::RequestClass::subordinate_ca;
  }
  return store::RequestClass::router;
}

policy::Rules CertificateServer::Impl::rules() const { return config::grant_rules(configuration); }

bool CertificateServer::Impl::trusted_signer(const Conversation& conversation,
                                             policy::Signer judged) const {
  const x509::Certificate& signer = conversation.envelope.signer;
  for (const std::string& name : configuration.grant_trustpoints) {
    const TrustedCa trusted = environment.trusted_ca ? environment.trusted_ca(name) : TrustedCa{};
    if (!trusted.certificate) {
      debug(fmt::format("trustpoint {} has no CA certificate yet and vouches for nobody", name));
      continue;
    }
    const x509::Certificate& ca = *trusted.certificate;
    const auto own = conversation.generations->authorities();
    const auto& above = conversation.generations->above;
    const bool is_this_ca =
        above ? above->ca == ca
              : std::any_of(own.begin(), own.end(),
                            [&](const ca::Authority* one) { return one->certificate == ca; });
    if (is_this_ca) {
      // Our own certificates are judged by our own database, whichever of our CAs made them.
      if (judged == policy::Signer::ours || judged == policy::Signer::late) return true;
      continue;
    }
    const auto valid = [&](const x509::Certificate& one) {
      return conversation.now >= one.not_before() && conversation.now < one.not_after();
    };
    if (!(signer.issuer() == ca.subject()) || signer.self_issued() || !ca.is_ca() ||
        !valid(signer) || !valid(ca)) {
      continue;
    }
    const auto& algorithm = signer.signature_algorithm();
    const bool weak = !algorithm ||
                      (algorithm->digest == x509::Digest::md5 && !configuration.allow_md5) ||
                      (algorithm->digest == x509::Digest::sha1 && !configuration.allow_sha1);
    if (weak || !signer.verify_signed_by(ca.public_key())) continue;
    if (!trusted.unchecked) {
      log(Severity::notice, "CS_TRUST",
          fmt::format("\"{}\" is vouched for by trustpoint {}, but whether its certificate is "
                      "revoked cannot be checked; the request waits (\"revocation-check none\" in "
                      "that trustpoint grants it)",
                      signer.subject().joined(), name));
      continue;
    }
    return true;
  }
  return false;
}

bool CertificateServer::Impl::may_try(const Conversation& conversation,
                                      const policy::RequestFacts& facts) {
  const policy::Rules all = rules();
  if (!facts.challenge || !policy::hangs_on_challenge(facts, all)) return true;
  if (guesses.begin(conversation.address, conversation.now) == Guesses::Verdict::locked) {
    // No FailInfo: a device takes that for a no, and this is none.
    HttpReply reply = text_reply(503, "too many wrong challenge passwords; try again later");
    reply.retry_after = Seconds{60};
    conversation.done(std::move(reply));
    return false;
  }
  if (policy::challenge_matches(facts.challenge, *all.challenge)) {
    guesses.right(conversation.address, conversation.now);
    return true;
  }
  switch (guesses.wrong(conversation.address, conversation.now)) {
    case Guesses::Locks::nothing:
      break;
    case Guesses::Locks::address:
      log(Severity::warning, "CS_CHALLENGE",
          fmt::format("too many wrong challenge passwords from {}: those from there are not looked "
                      "at for a minute",
                      conversation.address));
      break;
    case Guesses::Locks::all:
      log(Severity::alert, "CS_CHALLENGE",
          "too many wrong challenge passwords from many addresses: they are looked at from those "
          "alone that have had it right; change it, or use one-time passwords");
      break;
  }
  return true;
}

bool CertificateServer::Impl::is_one_time_password(const std::optional<std::string>& challenge,
                                                   Time now) const {
  {
    const std::lock_guard lock(state_mutex);
    if (!one_time_password || !challenge) return false;
  }
  const Bytes given = digest_of(*challenge);
  const std::lock_guard lock(state_mutex);
  return is_live(given, now);
}

/// With state_mutex held.
bool CertificateServer::Impl::is_live(ByteView given, Time now) const {
  return one_time_password && now < one_time_password->expires_at &&
         equal_constant_time(given, one_time_password->digest);
}

std::optional<store::OneTimePassword> CertificateServer::Impl::claim_password(
    const std::optional<std::string>& challenge, Time now) {
  const Bytes given = digest_of(challenge.value_or(""));
  // Compared and taken under one lock: else it could be a newer one that is taken.
  const std::lock_guard lock(state_mutex);
  if (!is_live(given, now) || !challenge) return std::nullopt;
  return std::exchange(one_time_password, std::nullopt);
}

void CertificateServer::Impl::give_back(const store::OneTimePassword& password) {
  const std::lock_guard lock(state_mutex);
  // A newer one may have been made meanwhile; then this one is no longer valid anyway.
  if (!one_time_password) one_time_password = password;
}

Result<std::string> CertificateServer::generate_password(std::chrono::minutes valid_for) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  if (!impl_->serving) return fail(Errc::conflict, "the certificate server is not enabled");
  Bytes octets(password_octets);
  impl_->environment.random.fill(octets);
  const std::string password = to_hex(octets);
  const Time now = to_time(impl_->environment.clock.now());
  const store::OneTimePassword row{impl_->configuration.name, digest_of(password), now + valid_for};
  UMBRA_CHECK(impl_->environment.store.commit({store::PutOneTimePassword{row}}));
  const std::lock_guard lock(impl_->state_mutex);
  impl_->one_time_password = row;
  return password;
}

}  // namespace umbra::server
