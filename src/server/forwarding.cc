#include <fmt/format.h>

#include <algorithm>

#include "server/conversation.h"
#include "server/question.h"

/// Requests at a registration authority. What it grants is stored as authorized, and then asked for
/// above, signed by the RA, under the device's own transaction id and with the device's own PKCS
/// #10; what the CA says is stored before the device hears it. Whoever dies in between asks again
/// with the same words, and the CA answers the same.
///
/// Nothing is asked but when a device asks, or an administrator grants: no queue of the RA's own
/// can grow, and a CA that is away finds nothing piled up.
namespace umbra::server {
namespace {

constexpr std::size_t refusal_text_max = 255;

HttpReply unstored() {
  return text_reply(503, "the request could not be stored; nothing was asked for, try again");
}

/// What the CA says of the RA's message, and not of the device's request.
bool is_about_us(scep::FailInfo info) {
  return info == scep::FailInfo::bad_time || info == scep::FailInfo::bad_message_check;
}

/// Of several servers of the CA, a poll may reach another one than the request did.
bool is_unknown_to_this_server(const store::EnrollmentRequest& entry, const scep::CertRep& told,
                               const config::Upstream& upstream) {
  return entry.state == store::RequestState::forwarded && !upstream.more_urls.empty() &&
         told.fail_info == scep::FailInfo::bad_cert_id;
}

scep::Refusal refusal_of(const store::EnrollmentRequest& entry) {
  const auto info =
      entry.fail_info ? static_cast<scep::FailInfo>(*entry.fail_info) : scep::FailInfo::bad_request;
  return {info, entry.refusal_text};
}

/// The device's own transaction above, too. A renewal that keeps its key repeats the PKCS #10 and
/// the transaction id of the last one, and what tells them apart, the certificate that signs it,
/// does not reach the CA: so it has an id of its own there.
std::string transaction_above(const store::EnrollmentRequest& entry) {
  if (!entry.renewal) return entry.transaction_id;
  constexpr std::size_t octets = 16;
  Bytes all = to_bytes(as_bytes(entry.transaction_id));
  all.insert(all.end(), entry.request_digest.begin(), entry.request_digest.end());
  const Bytes digest = x509::hash(x509::Digest::sha256, all);
  return to_hex(ByteView(digest).first(octets));
}

scep::Answer granted(const store::EnrollmentRequest& entry) {
  auto certificate = x509::Certificate::from_der(entry.certificate);
  if (!certificate)
    return scep::Refusal{scep::FailInfo::bad_cert_id, "the certificate is not here"};
  return scep::Granted{{*std::move(certificate)}};
}

}  // namespace

void CertificateServer::Impl::enroll_at_ra(
    const std::shared_ptr<const Conversation>& conversation,
    const std::shared_ptr<const Conversation>& after_its_turn) {
  const std::string& transaction = conversation->envelope.transaction_id;
  if (is_by_hand(transaction)) {
    return refuse(*conversation,
                  {scep::FailInfo::bad_request, "this transaction id is the administrator's"});
  }
  if (is_of_our_own(transaction)) {
    return refuse(*conversation,
                  {scep::FailInfo::bad_request, "this transaction id is the RA's own"});
  }
  const auto found = environment.store.request_of(configuration.name, transaction);
  if (!found) return conversation->done(unstored());
  const auto& known = *found;
  if (known && known->request_digest == conversation->digest) {
    switch (known->state) {
      case store::RequestState::pending:
        return reply(*conversation, scep::Pending{});
      case store::RequestState::authorized:
      case store::RequestState::forwarded:
        end_transaction(transaction);
        return forward(*known, after_its_turn);
      case store::RequestState::granted: {
        const auto certificate = x509::Certificate::from_der(known->certificate);
        if (certificate && certificate->not_after() > conversation->now)
          return reply(*conversation, scep::Granted{{*certificate}});
        break;
      }
      case store::RequestState::rejected:
        // What the CA has rejected may be asked for again, as of the CA itself.
        if (!known->fail_info) return reply(*conversation, refusal_of(*known));
        break;
    }
  }
  const Generations& all = *conversation->generations;
  const ca::Authority* const addressed = all.find(conversation->generation);
  const x509::Certificate* const ca =
      addressed != nullptr ? all.above->issuer_of(addressed->certificate) : nullptr;
  if (ca == nullptr) {
    return refuse(*conversation,
                  {scep::FailInfo::bad_request,
                   "the CA whose RA certificate this was enveloped for has ended; fetch the new "
                   "ones with GetCACert"});
  }
  if (conversation->now >= ca->not_after())
    return conversation->done(text_reply(503, "the next CA is taking over; try again"));
  const policy::RequestFacts facts = facts_at_ra(*conversation);
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
    return pend(conversation, facts, conversation->generation);
  if (auto refusal = no_successor(*conversation, known)) {
    if (spent) give_back(*spent);
    return refuse(*conversation, *std::move(refusal));
  }
  auto entry = authorize(*conversation, known, spent, policy::is_renewal(facts));
  if (!entry) {
    // A full queue too: while the CA is away, nobody is to hear a no that it has not said.
    if (spent) give_back(*spent);
    log(Severity::error, "CS_STORAGE", "a request was not stored: " + entry.error().detail);
    return conversation->done(unstored());
  }
  end_transaction(transaction);
  forward(*std::move(entry), after_its_turn);
}

/// The RA's own enrolment, and nobody else's, has its key's id: else it could be held up above.
bool CertificateServer::Impl::is_of_our_own(const std::string& transaction_id) const {
  std::optional<store::TrustpointRow> row;
  {
    const std::lock_guard lock(state_mutex);
    row = upstream;
  }
  if (row && row->transaction_id == transaction_id) return true;
  const auto all = generations();
  const auto own = all->authorities();
  return std::any_of(own.begin(), own.end(), [&](const ca::Authority* one) {
    return scep::transaction_id(one->certificate.public_key()) == transaction_id;
  });
}

/// Stored before it is asked for: with whose signature too, so that it is asked for in the same
/// words by whoever lives then.
Result<store::EnrollmentRequest> CertificateServer::Impl::authorize(
    const Conversation& conversation, std::optional<store::EnrollmentRequest> old,
    const std::optional<store::OneTimePassword>& spent, bool renewal) {
  const std::shared_lock inside(gate);
  if (!serving) return fail(Errc::storage, "the certificate server is stopped");
  UMBRA_CHECK(room_in_queue(conversation.request->der().size() +
                            conversation.envelope.signer.der().size()));
  store::EnrollmentRequest entry;
  entry.server = configuration.name;
  entry.id = ledger->take_request_id();
  entry.transaction_id = conversation.envelope.transaction_id;
  entry.request_digest = conversation.digest;
  entry.request = to_bytes(conversation.request->der());
  entry.signer = to_bytes(conversation.envelope.signer.der());
  entry.generation = conversation.generation;
  entry.state = store::RequestState::authorized;
  entry.signed_by = conversation.generations->active->generation;
  entry.renewal = renewal;
  entry.received_at = conversation.now;
  store::Batch batch = {store::RequireGeneration{configuration.name, entry.generation},
                        store::PutRequest{entry}};
  const bool replaces = old && is_open(old->state);
  if (replaces) batch.emplace_back(store::DropRequest{configuration.name, old->id});
  if (spent) batch.emplace_back(store::SpendOneTimePassword{spent->server, spent->digest});
  UMBRA_CHECK(ledger->commit(std::move(batch), [](store::ServerRow&) {}));
  const std::lock_guard lock(state_mutex);
  if (replaces) pending.erase(old->id);
  pending.emplace(entry.id, entry.received_at);
  return entry;
}

Result<void> CertificateServer::Impl::authorize(const store::EnrollmentRequest& entry) {
  store::EnrollmentRequest authorized = entry;
  authorized.state = store::RequestState::authorized;
  const auto all = generations();
  if (!all->active) return fail(Errc::conflict, "this RA has no certificate");
  authorized.signed_by = all->active->generation;
  UMBRA_CHECK(environment.store.commit({store::PutRequest{authorized}}));
  debug(fmt::format("reqID={} authorized", entry.id));
  environment.post([this, authorized = std::move(authorized)] { forward(authorized, nullptr); });
  return {};
}

void CertificateServer::Impl::finish_forwarding(std::uint64_t id) {
  const std::lock_guard lock(transactions_mutex);
  forwarding.erase(id);
}

/// Asks the CA above for what is authorized, or how it stands with what is pending there. Whoever
/// comes while it is being asked, or when it cannot be, is told to come again.
void CertificateServer::Impl::forward(store::EnrollmentRequest entry,
                                      std::shared_ptr<const Conversation> asking) {
  const auto come_again = [this, asking] {
    if (asking) reply(*asking, scep::Pending{});
  };
  {
    const std::lock_guard lock(transactions_mutex);
    if (!forwarding.insert(entry.id).second) return come_again();
  }
  const std::uint64_t id = entry.id;
  auto question = question_of(entry, *generations());
  if (!question) {
    finish_forwarding(id);
    log(Severity::error, "RA_FORWARD",
        fmt::format("request {} cannot be forwarded: {}", id, question.error().detail));
    return come_again();
  }
  const auto shared = std::make_shared<const Question>(*std::move(question));
  const bool sent = ask(
      *shared, [this, entry = std::move(entry), asking, shared](const Result<HttpReply>& answer) {
        forwarded(entry, *shared, asking, answer);
      });
  if (sent) return;
  finish_forwarding(id);
  come_again();
}

Result<CertificateServer::Impl::Question> CertificateServer::Impl::question_of(
    store::EnrollmentRequest& entry, const Generations& all) {
  const ca::Authority* const addressed = all.find(entry.generation);
  if (addressed == nullptr || !all.above) return fail(Errc::conflict, "the CA above is unknown");
  const x509::Certificate* const ca = all.above->issuer_of(addressed->certificate);
  if (ca == nullptr) return fail(Errc::conflict, "the CA it was made to has ended");
  const ca::Authority* signer = all.find(entry.signed_by);
  const Time now = to_time(environment.clock.now());
  const bool to_be_sent = entry.state == store::RequestState::authorized;
  if (signer == nullptr || (to_be_sent && now >= signer->certificate.not_after())) {
    // Nobody above takes that signature any more.
    if (!all.active) return fail(Errc::conflict, "this RA has no certificate");
    signer = &*all.active;
    entry.signed_by = signer->generation;
    UMBRA_CHECK(environment.store.commit({store::PutRequest{entry}}));
  }
  UMBRA_TRY(const auto request, x509::Request::from_der(entry.request));
  // PKCSReq for renewals too: it is the RA that signs, and it asks for others.
  return to_be_sent
             ? make_question(scep::MessageType::pkcs_req, transaction_above(entry), request.der(),
                             *ca, *signer, *all.above)
             : make_question(scep::MessageType::cert_poll, transaction_above(entry),
                             scep::to_der(scep::IssuerAndSubject{ca->subject(), request.subject()}),
                             *ca, *signer, *all.above);
}

/// A certificate for this key from this CA, and none that makes its holder more than a device.
std::optional<x509::Certificate> CertificateServer::Impl::certificate_for(
    const store::EnrollmentRequest& entry, const Question& question,
    const std::vector<x509::Certificate>& received) const {
  const auto request = x509::Request::from_der(entry.request);
  for (const auto& one : received) {
    if (request && one.public_key() == request->public_key() && !one.is_ca() &&
        one.issuer() == question.ca.subject() &&
        one.verify_signed_by(question.ca.public_key()).has_value())
      return one;
  }
  return std::nullopt;
}

void CertificateServer::Impl::forwarded(store::EnrollmentRequest entry, const Question& question,
                                        const std::shared_ptr<const Conversation>& asking,
                                        const Result<HttpReply>& answer) {
  const auto told = opened(question, answer);
  scep::Answer tell = scep::Pending{};
  const auto was = entry.state;
  if (!told) {
    debug(fmt::format("no usable answer from the CA above to request {}: {}", entry.id,
                      told.error().detail));
  } else if (told->status == scep::PkiStatus::pending) {
    entry.state = store::RequestState::forwarded;
  } else if (told->status == scep::PkiStatus::success) {
    if (const auto certificate = certificate_for(entry, question, told->certificates)) {
      entry.state = store::RequestState::granted;
      entry.certificate = to_bytes(certificate->der());
      entry.granted_serial = certificate->serial();
      tell = scep::Granted{{*certificate}};
    } else {
      log(Severity::error, "RA_CERTIFICATE",
          fmt::format("The CA above has answered request {} with no device's certificate for its "
                      "key; nothing is handed out",
                      entry.id));
    }
  } else if (is_unknown_to_this_server(entry, *told, *configuration.upstream)) {
    entry.state = store::RequestState::authorized;
    debug(
        fmt::format("the server of the CA above that is in use now does not know request {}; it "
                    "is sent there with the next poll",
                    entry.id));
  } else if (const auto info = told->fail_info.value_or(scep::FailInfo::bad_request);
             is_about_us(info)) {
    log(Severity::error, "RA_REFUSED",
        fmt::format("The CA above refuses what {} signs: {} ({}); request {} waits",
                    configuration.name, scep::to_string(info), told->fail_info_text, entry.id));
  } else {
    entry.state = store::RequestState::rejected;
    entry.fail_info = static_cast<std::uint8_t>(info);
    entry.refusal_text = told->fail_info_text.substr(0, refusal_text_max);
    tell = refusal_of(entry);
    log(Severity::notice, "RA_REJECTED",
        fmt::format("The CA above has rejected request {}: {} ({})", entry.id,
                    scep::to_string(info), entry.refusal_text));
  }
  Result<void> stored;
  if (entry.state != was) {
    const auto still = environment.store.request(configuration.name, entry.id);
    if (!still || !*still || !is_open((*still)->state)) {
      stored = still ? fail(Errc::not_found, "the request was removed here meanwhile")
                     : Result<void>(tl::unexpected(still.error()));
    } else {
      stored = environment.store.commit({store::PutRequest{entry}});
    }
    if (stored && !is_open(entry.state)) {
      const std::lock_guard lock(state_mutex);
      pending.erase(entry.id);
      oldest_closed = std::min(oldest_closed.value_or(entry.received_at), entry.received_at);
    }
  }
  finish_forwarding(entry.id);
  if (!stored) {
    log(Severity::error, "CS_STORAGE",
        fmt::format("what the CA above said of request {} was not stored: {}", entry.id,
                    stored.error().detail));
    if (asking) asking->done(unstored());
    return;
  }
  if (asking) reply(*asking, tell);
}

Result<HttpReply> not_200(unsigned status) {
  return fail(Errc::unreachable, fmt::format("HTTP status {}", status));
}

Result<scep::CertRep> CertificateServer::Impl::opened(const Question& question,
                                                      const Result<HttpReply>& answer) {
  const auto usable = answer && answer->status != 200 ? not_200(answer->status) : answer;
  say_whether_above_answers(usable);
  if (!usable) return tl::unexpected(usable.error());
  const config::Upstream& upper = *configuration.upstream;
  return scep::open_cert_rep(usable->body, question.expected, question.key,
                             {.des = upper.allow_des, .md5 = upper.allow_md5, .sha1 = true});
}

/// Once for each time it goes away, and once when it is back.
void CertificateServer::Impl::say_whether_above_answers(const Result<HttpReply>& answer) {
  const bool silent = !answer;
  if (above_is_silent.exchange(silent) == silent) return;
  if (silent) {
    log(Severity::warning, "RA_CA_SILENT",
        fmt::format("The CA above {} does not answer ({}); devices are told to come again",
                    configuration.name, answer.error().detail));
  } else {
    log(Severity::notice, "RA_CA_ANSWERS",
        fmt::format("The CA above {} answers again", configuration.name));
  }
}

void CertificateServer::Impl::poll_at_ra(const std::shared_ptr<const Conversation>& conversation) {
  const auto found =
      environment.store.request_of(configuration.name, conversation->envelope.transaction_id);
  if (!found) return conversation->done(unstored());
  const auto& entry = *found;
  if (auto refusal = no_poll(*conversation, entry)) return reply(*conversation, *refusal);
  switch (entry->state) {
    case store::RequestState::pending:
      return reply(*conversation, scep::Pending{});
    case store::RequestState::authorized:
    case store::RequestState::forwarded:
      return forward(*entry, conversation);
    case store::RequestState::granted:
      return reply(*conversation, granted(*entry));
    case store::RequestState::rejected:
      return reply(*conversation, refusal_of(*entry));
  }
}

}  // namespace umbra::server
