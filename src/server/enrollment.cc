#include <fmt/format.h>

#include <algorithm>

#include "server/conversation.h"
#include "server/impl.h"
#include "x509/weak_key.h"

namespace umbra::server {
namespace {

constexpr std::size_t waiting_of_one_transaction = 16;
/// By which a clock may be put back without anybody asking for another certificate.
constexpr std::chrono::seconds clock_correction_max{300};

HttpReply unavailable() {
  return {503, "text/plain",
          to_bytes(as_bytes("the request could not be stored; nothing was issued, try again\n"))};
}

policy::Class class_of(store::RequestClass one) {
  switch (one) {
    case store::RequestClass::subordinate_ca:
      return policy::Class::subordinate_ca;
    case store::RequestClass::ra:
      return policy::Class::ra;
    case store::RequestClass::router:
      return policy::Class::router;
  }
  return policy::Class::router;
}

/// An Error where a decision was expected: what the peer is told. The inner detail goes to the log
/// alone.
scep::Refusal cannot() {
  return {scep::FailInfo::bad_request, "the certificate could not be issued; see the server's log"};
}

}  // namespace

void CertificateServer::Impl::reply(const Conversation& conversation,
                                    const scep::Answer& answer) const {
  conversation.done(made_reply(conversation, answer));
}

HttpReply CertificateServer::Impl::made_reply(const Conversation& conversation,
                                              const scep::Answer& answer) const {
  const Generations& all = *conversation.generations;
  // The next CA's requests are answered by the active one, whom every client can already trust; a
  // CA that has ended answers for itself, since its clients know no other.
  const ca::Authority* signer = &*all.active;
  for (const auto& one : all.retired) {
    if (one.generation == conversation.generation) signer = &one;
  }
  // Whoever knows an RA's next certificate may know none of those between it and his first one.
  if (is_ra() && all.rollover && all.rollover->generation == conversation.generation)
    signer = &*all.rollover;
  const auto party = scep_party(*signer);
  if (!party) return unavailable();
  const scep::ReplyContext context{.request = conversation.envelope,
                                   .cipher = conversation.cipher,
                                   .no_content = conversation.no_content,
                                   .now = conversation.now};
  auto body = scep::cert_rep(answer, context, *party, environment.random);
  if (!body && body.error().code == Errc::unsupported) {
    body = scep::cert_rep(
        scep::Refusal{
            scep::FailInfo::bad_alg,
            "the answer cannot be enveloped for the request's signer; it needs an RSA key"},
        context, *party, environment.random);
  }
  if (!body) {
    log(Severity::error, "CS_REPLY", "an answer could not be made: " + body.error().detail);
    return unavailable();
  }
  if (environment.log.debugs("CRYPTO_PKI/messages")) {
    environment.log.debug("CRYPTO_PKI/messages",
                          fmt::format("Sending msg of {} bytes", body->size()));
  }
  HttpReply made{200, std::string(scep::type_pki_message), *std::move(body)};
  // What is wrong with an envelope shows in how long it takes to find out.
  const auto* const refusal = std::get_if<scep::Refusal>(&answer);
  made.unhurried = refusal != nullptr && refusal->info == scep::FailInfo::bad_message_check;
  return made;
}

void CertificateServer::Impl::refuse(const Conversation& conversation,
                                     scep::Refusal refusal) const {
  const std::string subject = conversation.request
                                  ? conversation.request->subject().joined()
                                  : conversation.envelope.signer.subject().joined();
  log(Severity::notice, "CS_REFUSED",
      fmt::format("{} from \"{}\", transaction {}: {} ({})",
                  scep::to_string(conversation.envelope.type), subject,
                  conversation.envelope.transaction_id, scep::to_string(refusal.info),
                  refusal.text));
  reply(conversation, std::move(refusal));
}

/// Two requests of one transaction are decided one after the other, so that the second finds what
/// the first was given. It waits without a thread: who sends one thing a thousand times takes
/// nobody else's.
void CertificateServer::Impl::enroll(std::shared_ptr<Conversation> conversation) {
  {
    std::unique_lock lock(transactions_mutex);
    const std::string& id = conversation->envelope.transaction_id;
    const auto [under_way, first] = transactions.try_emplace(id);
    if (!first) {
      auto& waiting = under_way->second;
      if (environment.post && waiting.size() < waiting_of_one_transaction) {
        waiting.push_back(std::move(conversation));
        return;
      }
      if (environment.post) {
        lock.unlock();
        HttpReply again = text_reply(503, "this transaction is under way; try again");
        again.retry_after = Seconds{1};
        return conversation->done(std::move(again));
      }
      transaction_done.wait(lock, [&] { return transactions.try_emplace(id).second; });
    }
  }
  enroll_in_turn(conversation);
}

void CertificateServer::Impl::enroll_in_turn(const std::shared_ptr<Conversation>& conversation) {
  // An RA lets go of the transaction before it answers.
  const auto after_its_turn =
      is_ra() ? std::make_shared<const Conversation>(*conversation) : nullptr;
  // The reply ends the transaction, whichever way it leaves.
  conversation->done = [this, id = conversation->envelope.transaction_id,
                        answered = std::move(conversation->done)](HttpReply reply) {
    end_transaction(id);
    answered(std::move(reply));
  };
  if (after_its_turn) return enroll_at_ra(conversation, after_its_turn);
  enroll_once(conversation);
}

void CertificateServer::Impl::end_transaction(const std::string& id) {
  std::shared_ptr<Conversation> next;
  {
    const std::lock_guard lock(transactions_mutex);
    const auto ended = transactions.find(id);
    if (ended == transactions.end()) return;
    if (ended->second.empty()) {
      transactions.erase(ended);
    } else {
      next = std::move(ended->second.front());
      ended->second.pop_front();
    }
  }
  if (!next) return transaction_done.notify_all();
  // Not here: this may be the thread that commits.
  environment.post([this, next] { enroll_in_turn(next); });
}

void CertificateServer::Impl::enroll_once(const std::shared_ptr<const Conversation>& conversation) {
  if (is_by_hand(conversation->envelope.transaction_id)) {
    return refuse(*conversation,
                  {scep::FailInfo::bad_request, "this transaction id is the administrator's"});
  }
  debug("received an enrollment request");
  const auto known = known_of(*conversation);
  if (!known) {
    log(Severity::error, "CS_STORAGE", "a request could not be judged: " + known.error().detail);
    return conversation->done(unavailable());
  }
  if (const auto answer = answer_from_store(*conversation, *known))
    return reply(*conversation, *answer);
  const ca::Authority* authority = conversation->generations->find(conversation->generation);
  const bool retired =
      authority != nullptr && authority != &*conversation->generations->active &&
      !(conversation->generations->rollover && authority == &*conversation->generations->rollover);
  const policy::RequestFacts facts = facts_of(*conversation, *known);
  const auto addressee = authority == nullptr ? lifecycle::Addressee::nobody
                         : retired            ? lifecycle::Addressee::retired
                         : authority == &*conversation->generations->active
                             ? lifecycle::Addressee::active
                             : lifecycle::Addressee::rollover;
  const auto reception =
      lifecycle::reception(this->facts(*conversation->generations), addressee,
                           facts.signer == policy::Signer::late, conversation->now);
  if (reception == lifecycle::Reception::refused) {
    return refuse(
        *conversation,
        {scep::FailInfo::bad_request,
         "the CA certificate this was enveloped for has ended; fetch the new one with GetCACert"});
  }
  if (reception == lifecycle::Reception::try_again) {
    return conversation->done(
        {503, "text/plain", to_bytes(as_bytes("the next CA is taking over; try again\n"))});
  }
  if (reception == lifecycle::Reception::by_active) authority = &*conversation->generations->active;
  debug([&] {
    return fmt::format("checking policy for enrollment request, trans id - {}",
                       conversation->envelope.transaction_id);
  });
  if (!may_try(*conversation, facts)) return;
  auto decision = policy::decide(facts, rules());
  std::optional<store::OneTimePassword> spent;
  if (const auto* grant = std::get_if<policy::Grant>(&decision); grant && grant->spends_password) {
    spent = claim_password(facts.challenge, conversation->now);
    if (!spent) {  // another request was faster
      policy::RequestFacts without = facts;
      without.one_time_password = false;
      decision = policy::decide(without, rules());
    }
  }
  if (const auto* refusal = std::get_if<scep::Refusal>(&decision))
    return refuse(*conversation, *refusal);
  if (std::holds_alternative<policy::Pend>(decision))
    return pend(conversation, facts, authority->generation);
  if (facts.signer == policy::Signer::late) {
    log(Severity::notice, "CS_LATE_RENEWAL",
        fmt::format(
            "renewal of \"{}\" granted {} days after its certificate 0x{} ended (renewal "
            "grace)",
            conversation->request->subject().joined(),
            std::chrono::floor<Days>(conversation->now - conversation->envelope.signer.not_after())
                .count(),
            conversation->envelope.signer.serial().to_hex()));
  }
  grant_now(conversation, *authority, class_in_store(facts.asked), spent);
}

/// A request that was decided before: the same certificate, or the same state. Nothing = this one
/// is new.
std::optional<scep::Answer> CertificateServer::Impl::answer_from_store(
    const Conversation& conversation, const store::Known& known) {
  if (known.issued && !known.issued->revoked_at) {
    auto certificate = x509::Certificate::from_der(known.issued->certificate);
    const auto& next = conversation.generations->rollover;
    const auto is_shadow = [&] {
      return next && certificate->not_before() >= next->certificate.not_before();
    };
    // One that a clock which was ahead has dated is of no use to anybody until then.
    if (certificate && certificate->not_after() > conversation.now &&
        (certificate->not_before() <= conversation.now + clock_correction_max || is_shadow()))
      return scep::Granted{{*std::move(certificate)}};
  }
  const auto& entry = known.queued;
  if (!entry || entry->request_digest != conversation.digest) return std::nullopt;
  switch (entry->state) {
    case store::RequestState::pending:
      return scep::Pending{};
    case store::RequestState::rejected:
      return scep::Refusal{scep::FailInfo::bad_request, entry->refusal_text};
    case store::RequestState::granted:
    case store::RequestState::authorized:
    case store::RequestState::forwarded:
      return std::nullopt;
  }
  return std::nullopt;
}

Result<store::Known> CertificateServer::Impl::known_of(const Conversation& conversation) const {
  store::Asked asked{configuration.name, conversation.envelope.transaction_id, conversation.digest};
  if (conversation.signed_by_us) asked.signer = conversation.envelope.signer.serial();
  return environment.store.known(asked);
}

policy::RequestFacts CertificateServer::Impl::facts_of(const Conversation& conversation,
                                                       const store::Known& known) const {
  policy::RequestFacts facts = facts_without_trust(conversation, known.signer);
  facts.answer_revoked = known.answer_revoked;
  facts.signer_trusted = trusted_signer(conversation, facts.signer);
  return facts;
}

/// What can be told from the request alone.
policy::RequestFacts CertificateServer::Impl::facts_of_request(const x509::Request& request,
                                                               const Generations& all) const {
  policy::RequestFacts facts;
  facts.subject_empty = request.subject().empty();
  facts.subject_has_nul = request.subject().has_nul();
  facts.subject_is_the_ca = request.subject() == all.active->certificate.subject();
  facts.asked = policy::class_of(request);
  facts.key_algorithm = request.public_key().algorithm();
  facts.key_bits = request.public_key().bits();
  facts.key_weakness = x509::weakness_of(request.public_key());
  facts.challenge = request.challenge_password();
  for (const auto* one : all.authorities()) {
    if (one->certificate.public_key() == request.public_key() ||
        (one->exchange && one->exchange->key.public_key() == request.public_key())) {
      facts.key_is_a_ca_key = true;
    }
  }
  return facts;
}

void CertificateServer::Impl::look_at_signer(const Conversation& conversation,
                                             policy::RequestFacts& facts) {
  const x509::Certificate& signer = conversation.envelope.signer;
  facts.key_is_signers = conversation.request->public_key() == signer.public_key();
  facts.signer_self_issued = signer.self_issued();
  if (signer.public_key().algorithm() == x509::KeyAlgorithm::rsa)
    facts.signer_rsa_bits = signer.public_key().bits();
  facts.subject_matches_signer = conversation.request->subject() == signer.subject();
}

bool CertificateServer::Impl::signed_by_one_of(const Generations& all,
                                               const x509::Certificate& certificate) const {
  const auto& algorithm = certificate.signature_algorithm();
  if (!algorithm || (algorithm->digest == x509::Digest::md5 && !configuration.allow_md5))
    return false;
  const auto authorities = all.authorities();
  return std::any_of(authorities.begin(), authorities.end(), [&](const ca::Authority* one) {
    return one->certificate.subject() == certificate.issuer() &&
           certificate.verify_signed_by(one->certificate.public_key()).has_value();
  });
}

policy::RequestFacts CertificateServer::Impl::facts_without_trust(
    const Conversation& conversation, const std::optional<store::IssuedCertificate>& row) const {
  const x509::Request& request = *conversation.request;
  const x509::Certificate& signer = conversation.envelope.signer;
  policy::RequestFacts facts = facts_of_request(request, *conversation.generations);
  facts.shadow = conversation.generations->rollover &&
                 conversation.generation == conversation.generations->rollover->generation;
  facts.type = conversation.envelope.type;
  look_at_signer(conversation, facts);
  facts.one_time_password = is_one_time_password(facts.challenge, conversation.now);
  // Issued here means: in our database, octet for octet. A name and a serial prove nothing. What an
  // import knows by its number alone was issued here if one of our keys has signed it.
  if (!conversation.signed_by_us || !row) return facts;
  if (row->certificate.empty() ? !signed_by_one_of(*conversation.generations, signer)
                               : !equal(row->certificate, signer.der()))
    return facts;
  facts.signer_class =
      row->certificate.empty() ? policy::class_of(signer) : class_of(row->granted_as);
  if (row->revoked_at) {
    facts.signer = policy::Signer::revoked;
  } else if (conversation.now < signer.not_before()) {
    facts.signer = policy::Signer::not_yet_valid;
  } else if (conversation.now >= signer.not_after()) {
    facts.signer = conversation.now < signer.not_after() + configuration.renewal_grace
                       ? policy::Signer::late
                       : policy::Signer::expired;
  } else {
    facts.signer = policy::Signer::ours;
  }
  const Bytes names = ca::alt_names_of(request.extensions());
  facts.new_alt_names = configuration.copy_alt_names && !names.empty() &&
                        names != ca::alt_names_of(signer.extensions());
  return facts;
}

Result<lifecycle::Validity> CertificateServer::Impl::validity_from(const ca::Authority& authority,
                                                                   const Generations& all,
                                                                   store::RequestClass as,
                                                                   Time now) const {
  const Seconds lifetime =
      as == store::RequestClass::subordinate_ca
          ? configuration.lifetime_subordinate_ca.value_or(configuration.lifetime_certificate)
          : configuration.lifetime_certificate;
  const lifecycle::Validity ca{authority.certificate.not_before(),
                               authority.certificate.not_after()};
  if (all.rollover && authority.generation == all.rollover->generation) {
    // A subordinate's next certificate may have begun when the upper CA granted it; it takes over
    // at the end of the active one all the same.
    const Time takes_over = std::max(ca.not_before, all.active->certificate.not_after());
    return lifecycle::shadow_validity(lifetime, {takes_over, ca.not_after});
  }
  const auto validity = lifecycle::issued_validity(now, lifetime, ca);
  if (!validity) return fail(Errc::conflict, "the CA certificate is not valid now");
  return *validity;
}

void CertificateServer::Impl::grant_now(const std::shared_ptr<const Conversation>& conversation,
                                        const ca::Authority& authority, store::RequestClass as,
                                        const std::optional<store::OneTimePassword>& spent) {
  const std::shared_lock inside(gate);
  if (!serving) {
    if (spent) give_back(*spent);
    return conversation->done(text_reply(503, "the certificate server is stopped"));
  }
  debug([&] {
    return fmt::format("request has been authorized, transaction id={}",
                       conversation->envelope.transaction_id);
  });
  const auto issue = [&]() -> Result<x509::Certificate> {
    UMBRA_TRY(const auto validity,
              validity_from(authority, *conversation->generations, as, conversation->now));
    UMBRA_TRY(const auto serial, ledger->take_serial());
    debug([&] {
      return fmt::format("Validity: {}-{}", to_ios_time(validity.not_before, {}),
                         to_ios_time(validity.not_after, {}));
    });
    debug([&] { return fmt::format("writing serial number 0x{}.", serial.to_hex()); });
    return ca::issue(authority, *conversation->request, serial, validity, profile(as));
  };
  const auto certificate = issue();
  if (!certificate) {
    if (spent) give_back(*spent);
    log(Severity::error, "CS_ISSUE",
        "a certificate could not be issued: " + certificate.error().detail);
    if (certificate.error().code == Errc::storage) return conversation->done(unavailable());
    return refuse(*conversation, cannot());
  }
  // The answer is made before the commit, so that nothing is left to do after it but to send: no
  // thread waits for another that waits for the disk, and what leaves is what was stored.
  auto prepared =
      std::make_shared<HttpReply>(made_reply(*conversation, scep::Granted{{*certificate}}));
  const x509::Serial serial = certificate->serial();
  // A rollover CA may be taken back while this is under way: then nothing of it is handed out.
  store::Batch batch = {
      store::RequireGeneration{configuration.name, authority.generation},
      store::InsertCertificate{ca::row_of(configuration.name, authority.generation, *certificate,
                                          conversation->envelope.transaction_id,
                                          conversation->digest, conversation->now, as)}};
  if (spent) batch.emplace_back(store::SpendOneTimePassword{spent->server, spent->digest});
  ledger->commit(
      std::move(batch), [serial](store::ServerRow& row) { ca::count_issued(row, serial); },
      [this, conversation, prepared, serial, spent](Result<void> committed) {
        if (!committed) {
          if (spent) give_back(*spent);
          log(Severity::critical, "CS_CRIT_STORAGE",
              "a certificate was not stored and is withheld: " + committed.error().detail);
          return conversation->done(unavailable());
        }
        debug([&] {
          return fmt::format("request granted, serial {}, trans id - {}", serial.to_hex(),
                             conversation->envelope.transaction_id);
        });
        debug("Certificate generated and sent to requestor");
        conversation->done(std::move(*prepared));
      },
      environment.writes_afterwards ? store::Wake::not_yet : store::Wake::yes);
}

void CertificateServer::Impl::pend(const std::shared_ptr<const Conversation>& conversation,
                                   const policy::RequestFacts& facts, std::uint32_t generation) {
  const std::shared_lock inside(gate);
  if (!serving) return conversation->done(text_reply(503, "the certificate server is stopped"));
  if (const auto room = room_in_queue(conversation->request->der().size() +
                                      conversation->envelope.signer.der().size());
      !room) {
    if (room.error().code != Errc::storage)
      return refuse(*conversation, {scep::FailInfo::bad_request, room.error().detail});
    // No FailInfo: whoever filled the queue is not to have a no said to all the others.
    HttpReply full = text_reply(503, room.error().detail);
    full.retry_after = Seconds{60};
    return conversation->done(std::move(full));
  }
  store::EnrollmentRequest entry;
  entry.server = configuration.name;
  entry.id = ledger->take_request_id();
  entry.transaction_id = conversation->envelope.transaction_id;
  entry.request_digest = conversation->digest;
  entry.request = to_bytes(conversation->request->der());
  entry.signer = to_bytes(conversation->envelope.signer.der());
  entry.generation = generation;
  entry.request_class = class_in_store(facts.asked);
  entry.renewal = policy::is_renewal(facts);
  entry.received_at = conversation->now;
  // A switch-over or a cancel meanwhile has looked at the queue already.
  store::Batch batch = {store::RequireGeneration{configuration.name, generation},
                        store::PutRequest{entry}};
  // A new content under the id of an entry that still waits replaces it.
  std::uint64_t replaced = 0;
  const auto old = environment.store.request_of(configuration.name, entry.transaction_id);
  if (auto refusal = no_successor(*conversation, old.value_or(std::nullopt)))
    return refuse(*conversation, *std::move(refusal));
  if (old && *old && is_open((*old)->state)) {
    replaced = (*old)->id;
    batch.emplace_back(store::DropRequest{configuration.name, replaced});
  }
  ledger->commit(
      std::move(batch), [](store::ServerRow&) {},
      [this, conversation, replaced, id = entry.id,
       received = entry.received_at](Result<void> committed) {
        if (!committed) {
          log(Severity::error, "CS_STORAGE",
              "a request was not stored: " + committed.error().detail);
          return conversation->done(unavailable());
        }
        {
          const std::lock_guard lock(state_mutex);
          pending.erase(replaced);
          pending.emplace(id, received);
        }
        debug(fmt::format("reqID={} pending, trans id - {}", id,
                          conversation->envelope.transaction_id));
        reply(*conversation, scep::Pending{});
      });
}

/// Transaction ids travel in the clear: nobody takes another's place in the queue with one, nor
/// hides an entry that was granted and that its owner has not fetched yet.
std::optional<scep::Refusal> CertificateServer::Impl::no_successor(
    const Conversation& conversation, const std::optional<store::EnrollmentRequest>& old) const {
  if (!old || old->state == store::RequestState::rejected) return std::nullopt;
  const auto known = x509::Request::from_der(old->request);
  if (known && known->public_key() == conversation.request->public_key()) return std::nullopt;
  return scep::Refusal{scep::FailInfo::bad_request,
                       "a request of another key has this transaction id"};
}

std::optional<scep::Refusal> CertificateServer::Impl::no_poll(
    const Conversation& conversation, const std::optional<store::EnrollmentRequest>& entry) const {
  if (!entry)
    return scep::Refusal{scep::FailInfo::bad_cert_id, "no request of this transaction waits here"};
  const auto request = x509::Request::from_der(entry->request);
  const auto signer = x509::Certificate::from_der(entry->signer);
  const x509::PublicKey& asking = conversation.envelope.signer.public_key();
  if (!request || !signer || !(asking == signer->public_key() || asking == request->public_key())) {
    return scep::Refusal{scep::FailInfo::bad_request,
                         "the request of this transaction was signed by another key"};
  }
  return std::nullopt;
}

scep::Answer CertificateServer::Impl::poll(const Conversation& conversation) const {
  const auto entry =
      environment.store.request_of(configuration.name, conversation.envelope.transaction_id);
  if (auto refusal = no_poll(conversation, entry.value_or(std::nullopt)))
    return *std::move(refusal);
  switch ((*entry)->state) {
    case store::RequestState::pending:
    case store::RequestState::authorized:
    case store::RequestState::forwarded:
      return scep::Pending{};
    case store::RequestState::rejected:
      return scep::Refusal{scep::FailInfo::bad_request, (*entry)->refusal_text};
    case store::RequestState::granted: {
      const auto row = environment.store.certificate(
          configuration.name, (*entry)->granted_serial.value_or(x509::Serial()));
      if (row && *row) {
        auto certificate = x509::Certificate::from_der((*row)->certificate);
        if (certificate) return scep::Granted{{*std::move(certificate)}};
      }
      return scep::Refusal{scep::FailInfo::bad_cert_id,
                           "the certificate of this transaction is not here"};
    }
  }
  return scep::Refusal{scep::FailInfo::bad_cert_id, ""};
}

}  // namespace umbra::server
