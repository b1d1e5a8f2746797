#include <fmt/format.h>

#include <algorithm>

#include "server/conversation.h"
#include "server/question.h"

/// What a registration authority asks the CA above for itself and on behalf of clients, and what it
/// believes of their signatures.
namespace umbra::server {
namespace {

constexpr std::size_t crl_octets_max = std::size_t{32} << 20;
constexpr Seconds crl_is_fresh_for = std::chrono::hours{1};
constexpr std::size_t transaction_octets = 16;

HttpReply silent() { return text_reply(503, "the CA above cannot be asked now; try again"); }

std::string fresh_transaction(Random& random) {
  Bytes octets(transaction_octets);
  random.fill(octets);
  return to_hex(octets);
}

}  // namespace

Result<CertificateServer::Impl::Question> CertificateServer::Impl::make_question(
    scep::MessageType type, std::string transaction_id, ByteView body, const x509::Certificate& to,
    const ca::Authority& signer, const CaAbove& above) {
  if (!signer.key) return fail(Errc::not_found, "the RA's key is not here");
  const scep::RequestContext context{
      .type = type,
      .transaction_id = std::move(transaction_id),
      .sender_nonce = scep::make_nonce(environment.random),
      .recipient = above.recipient(to),
      .signer = signer.certificate,
      .cipher = scep::best_cipher(above.capabilities),
      .digest = scep::best_digest(above.capabilities, digest_of(configuration.upstream->hash))};
  UMBRA_TRY(Bytes message, scep::request(body, context, *signer.key, environment.random));
  return Question{
      .message = std::move(message),
      .by_post = above.capabilities.post_pki_operation || above.capabilities.scep_standard,
      .expected = {.transaction_id = context.transaction_id,
                   .sender_nonce = context.sender_nonce,
                   .signers = above.signers(),
                   .recipient = context.signer},
      .key = *signer.key,
      .ca = to};
}

bool CertificateServer::Impl::ask(const Question& question, Uplink::Answered answered) {
  if (distrusts_above()) return false;
  return uplink->send(
      [&](const std::string& url) {
        HttpCall call;
        call.reply_octets_max = question.reply_octets_max;
        if (!question.by_post) {
          call.url = scep::pki_operation_get_url(url, question.message);
          return call;
        }
        call.method = "POST";
        call.url = scep::operation_url(url, scep::Operation::pki_operation);
        call.content_type = std::string(scep::type_pki_message);
        call.body = question.message;
        return call;
      },
      std::move(answered));
}

/// GetCert and GetCRL: the RA asks, and passes on what it is told. A CRL may be large, and is the
/// same for all who ask: it is kept for them.
void CertificateServer::Impl::ask_for_client(
    const std::shared_ptr<const Conversation>& conversation, const scep::IssuerAndSerial& wanted) {
  const Generations& all = *conversation->generations;
  if (!(wanted.issuer == all.above->ca.subject())) {
    return refuse(*conversation,
                  {scep::FailInfo::bad_cert_id, "the CA above this RA is not that issuer"});
  }
  if (conversation->envelope.type == scep::MessageType::get_crl) {
    return with_crl(conversation->generations, [this, conversation](const auto& crl) {
      if (!crl) return conversation->done(silent());
      if (*crl) return reply(*conversation, scep::CrlFound{(*crl)->der});
      reply(*conversation,
            scep::Refusal{scep::FailInfo::bad_cert_id, "the CA above has no CRL that can be used"});
    });
  }
  auto question = make_question(conversation->envelope.type, fresh_transaction(environment.random),
                                scep::to_der(wanted), all.above->ca, *all.active, *all.above);
  if (!question) {
    return refuse(*conversation, {scep::FailInfo::bad_request, "the CA above cannot be asked"});
  }
  const auto shared = std::make_shared<const Question>(*std::move(question));
  const bool sent = ask(*shared, [this, conversation, shared](const Result<HttpReply>& answer) {
    const auto told = opened(*shared, answer);
    if (!told) return conversation->done(silent());
    if (told->status == scep::PkiStatus::success && !told->certificates.empty())
      return reply(*conversation, scep::Granted{{told->certificates.front()}});
    reply(*conversation, scep::Refusal{told->fail_info.value_or(scep::FailInfo::bad_cert_id),
                                       told->fail_info_text});
  });
  if (!sent) conversation->done(silent());
}

policy::RequestFacts CertificateServer::Impl::facts_at_ra(const Conversation& conversation) const {
  const x509::Request& request = *conversation.request;
  const x509::Certificate& signer = conversation.envelope.signer;
  const Generations& all = *conversation.generations;
  const CaAbove& above = *all.above;
  policy::RequestFacts facts = facts_of_request(request, all);
  for (const auto& one : above.signers()) {
    facts.subject_is_the_ca = facts.subject_is_the_ca || request.subject() == one.subject();
    facts.key_is_a_ca_key = facts.key_is_a_ca_key || request.public_key() == one.public_key();
  }
  const ca::Authority* const addressed = all.find(conversation.generation);
  facts.shadow =
      addressed != nullptr && above.next && above.issuer_of(addressed->certificate) == &*above.next;
  facts.type = conversation.envelope.type;
  look_at_signer(conversation, facts);
  facts.one_time_password = is_one_time_password(facts.challenge, conversation.now);
  if (!conversation.signed_by_us) return facts;
  const auto& algorithm = signer.signature_algorithm();
  const bool weak = !algorithm ||
                    (algorithm->digest == x509::Digest::md5 && !configuration.allow_md5) ||
                    (algorithm->digest == x509::Digest::sha1 && !configuration.allow_sha1);
  if (weak || above.issuer_of(signer) == nullptr) return facts;
  // What it was granted as is in the CA's database alone. A device's certificate is what can be
  // told from it; another RA's for somebody else is then a renewal under a false name.
  facts.signer_class = signer.is_ca() ? policy::Class::subordinate_ca : policy::Class::router;
  const auto& crl = conversation.crl;
  const auto listed = [&] {
    const auto at =
        std::lower_bound(crl->facts.revoked.begin(), crl->facts.revoked.end(), signer.serial(),
                         [](const x509::RevokedEntry& one, const x509::Serial& serial) {
                           return one.serial < serial;
                         });
    return at != crl->facts.revoked.end() && at->serial == signer.serial();
  };
  if (crl) count(&Counters::crls_checked);
  if (crl && listed()) {
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
  facts.signer_unchecked = !crl && !configuration.upstream->unchecked;
  const Bytes names = ca::alt_names_of(request.extensions());
  facts.new_alt_names = !names.empty() && names != ca::alt_names_of(signer.extensions());
  return facts;
}

void CertificateServer::Impl::with_crl(const GenerationsPtr& all, CrlWanted then) {
  const Time now = to_time(environment.clock.now());
  const x509::Certificate& ca = all->above->ca;
  {
    std::unique_lock lock(crl_above_mutex);
    const bool fresh = crl_above && crl_above->ca == ca && now < *crl_above->facts.next_update &&
                       now >= crl_above->asked && now < crl_above->asked + crl_is_fresh_for;
    if (fresh) {
      const auto have = crl_above;
      lock.unlock();
      return then(have);
    }
    crl_above_wanted.push_back(std::move(then));
    count(&Counters::pending);
    if (std::exchange(crl_above_under_way, true)) return;
  }
  const auto told = [this](const Result<std::shared_ptr<const CrlAbove>>& crl) {
    std::vector<CrlWanted> all_of_them;
    {
      const std::lock_guard lock(crl_above_mutex);
      crl_above_under_way = false;
      all_of_them.swap(crl_above_wanted);
      crl_above = crl ? *crl : nullptr;
    }
    if (!crl || !*crl) count(&Counters::crl_failures);
    if (environment.counters != nullptr) environment.counters->pending -= all_of_them.size();
    for (const auto& one : all_of_them) one(crl);
  };
  auto question =
      make_question(scep::MessageType::get_crl, fresh_transaction(environment.random),
                    scep::to_der(scep::IssuerAndSerial{all->active->certificate.issuer(),
                                                       all->active->certificate.serial()}),
                    ca, *all->active, *all->above);
  if (!question) return told(fail(Errc::unreachable, question.error().detail));
  question->reply_octets_max = crl_octets_max;
  count(&Counters::crl_fetches);
  const auto shared = std::make_shared<const Question>(*std::move(question));
  const bool sent = ask(*shared, [this, shared, told, now](const Result<HttpReply>& answer) {
    told(crl_in(*shared, answer, now));
  });
  if (sent) return;
  count(&Counters::crl_busy);
  told(fail(Errc::unreachable, "too many calls are under way"));
}

Result<std::shared_ptr<const CrlAbove>> CertificateServer::Impl::crl_in(
    const Question& question, const Result<HttpReply>& answer, Time now) {
  auto told = opened(question, answer);
  if (!told) return fail(Errc::unreachable, told.error().detail);
  const auto without = [&](const std::string& why) -> std::shared_ptr<const CrlAbove> {
    log(Severity::warning, "RA_NO_CRL",
        fmt::format("The CA above {} has no CRL that can be used ({}): renewals wait to be granted "
                    "by hand. \"revocation-check none\" in its trustpoint takes them unchecked",
                    configuration.name, why));
    return nullptr;
  };
  if (told->crls.empty()) return without(told->fail_info_text);
  Bytes& der = told->crls.front();
  auto facts = x509::parse_crl(der);
  if (!facts) return without(facts.error().detail);
  if (const auto verified = x509::verify_crl(der, question.ca); !verified)
    return without(verified.error().detail);
  if (!facts->next_update || now >= *facts->next_update) return without("it has ended");
  std::sort(facts->revoked.begin(), facts->revoked.end(),
            [](const auto& a, const auto& b) { return a.serial < b.serial; });
  return std::make_shared<const CrlAbove>(
      CrlAbove{question.ca, now, std::move(der), *std::move(facts)});
}

}  // namespace umbra::server
