#include "server/certificate_server.h"

#include <fmt/format.h>

#include "base/assert.h"
#include "config/rules.h"
#include "server/conversation.h"
#include "server/impl.h"

namespace umbra::server {
namespace {

std::string granting(const config::Server& server) {
  switch (server.grant) {
    case config::Grant::manual:
      return "manual";
    case config::Grant::automatic:
      return "auto";
    case config::Grant::none:
      return "none";
    case config::Grant::trustpoints:
      return fmt::format("auto for trustpoint {}, manual else",
                         fmt::join(server.grant_trustpoints, ", "));
  }
  return "";
}

std::string level(config::DatabaseLevel database_level) {
  switch (database_level) {
    case config::DatabaseLevel::minimum:
      return "minimum";
    case config::DatabaseLevel::names:
      return "names";
    case config::DatabaseLevel::complete:
      return "complete";
  }
  return "";
}

}  // namespace

HttpReply text_reply(unsigned status, const std::string& text) {
  return {status, "text/plain", to_bytes(as_bytes(text + "\n"))};
}

const scep::Capabilities& announced() {
  static const scep::Capabilities all{.get_next_ca_cert = true,
                                      .post_pki_operation = true,
                                      .renewal = true,
                                      .sha1 = true,
                                      .sha256 = true,
                                      .sha384 = true,
                                      .sha512 = true,
                                      .aes = true,
                                      .des3 = true,
                                      .scep_standard = true};
  return all;
}

CertificateServer::Impl::Impl(const config::Server& server, bool http, Environment where)
    : configuration(server),
      http_enabled(http),
      environment(std::move(where)),
      settings(config::ca_settings(server)),
      stopped(server.shutdown) {
  if (!is_ra()) return;
  UMBRA_ENSURE(server.upstream && environment.transport != nullptr && environment.post,
               "a registration authority has a way to the CA above");
  uplink = std::make_unique<Uplink>(*server.upstream, *environment.transport, environment.post);
}

GenerationsPtr CertificateServer::Impl::generations() const {
  const std::lock_guard lock(state_mutex);
  return current;
}

void CertificateServer::Impl::set_generations(GenerationsPtr next) {
  const std::lock_guard lock(state_mutex);
  current = std::move(next);
  kept = {};  // it would keep the keys of a CA that is no more
}

scep::Legacy CertificateServer::Impl::legacy() const {
  return {.des = configuration.allow_des,
          .md5 = configuration.allow_md5,
          .sha1 = configuration.allow_sha1};
}

x509::Digest CertificateServer::Impl::digest() const { return digest_of(configuration.hash); }

x509::Digest digest_of(config::HashName name) {
  switch (name) {
    case config::HashName::md5:
      return x509::Digest::md5;
    case config::HashName::sha1:
      return x509::Digest::sha1;
    case config::HashName::sha256:
      return x509::Digest::sha256;
    case config::HashName::sha384:
      return x509::Digest::sha384;
    case config::HashName::sha512:
      return x509::Digest::sha512;
  }
  return x509::Digest::sha256;
}

ca::Profile CertificateServer::Impl::profile(store::RequestClass as) const {
  return {.digest = digest(),
          .cdp_url = configuration.cdp_url,
          .subordinate_ca = as == store::RequestClass::subordinate_ca,
          .key_purposes = configuration.eku,
          .copy_alt_names = configuration.copy_alt_names};
}

void CertificateServer::Impl::handle(const HttpRequest& request, HttpDone done) {
  const std::size_t mark = std::min(request.target.find('?'), request.target.size());
  const std::string_view path = std::string_view(request.target).substr(0, mark);
  const std::string_view query =
      std::string_view(request.target).substr(std::min(mark + 1, request.target.size()));
  const auto all = generations();
  if (!serving || (!all->active && !transparent()) || !publisher->accessible())
    return done(text_reply(503, "the certificate server is not enabled"));
  if (is_ra()) return handle_at_ra(request, query, all, std::move(done));
  const Time now = to_time(environment.clock.now());

  if (path.starts_with("/crl/")) return done(crl_file(path, *all));
  // The address that `cdp-url` gives IOS clients for SCEP. They ask with a message; everybody else
  // gets the file.
  if (query == "operation=GetCRL") return done(crl_file("", *all));
  const auto operation = scep::parse_query(query);
  if (!operation) return done(text_reply(400, operation.error().detail));
  switch (operation->operation) {
    case scep::Operation::get_ca_caps:
      return done(ca_caps());
    case scep::Operation::get_ca_cert:
      return done(ca_cert(all));
    case scep::Operation::get_next_ca_cert:
      debug_scep("CS received SCEP GetNextCACert request");
      return done(get_next_ca_cert(all, request.address, operation->ra, now));
    case scep::Operation::pki_operation: {
      if (request.method == "POST")
        return pki_operation(request.body, false, request.address, std::move(done));
      const auto message = scep::parse_get_message(operation->message);
      if (!message) return done(text_reply(400, "message= is not base64"));
      return pki_operation(*message, true, request.address, std::move(done));
    }
  }
}

void CertificateServer::Impl::pki_operation(ByteView message, bool by_get,
                                            const std::string& address, HttpDone done) {
  if (const auto session = counted_session(environment.counters))
    done = [session, done = std::move(done)](HttpReply reply) { done(std::move(reply)); };
  auto opened = scep::open_envelope(message, legacy());
  count(opened && !opened->refused ? &Counters::validated : &Counters::refused);
  if (!opened) {
    debug("a message that cannot be answered: " + opened.error().detail);
    // What OpenSSL says of a signature is for the log alone.
    const std::string why = opened.error().code == Errc::crypto ? "its signature does not match"
                                                                : opened.error().detail;
    return done(text_reply(400, "not a SCEP message that can be answered: " + why));
  }
  debug("received a SCEP request");
  debug([&] { return fmt::format("scep msg type - {}", static_cast<int>(opened->envelope.type)); });
  debug([&] { return fmt::format("trans id - {}", opened->envelope.transaction_id); });
  if (environment.log.debugs("CRYPTO_PKI/messages")) {
    environment.log.debug(
        "CRYPTO_PKI/messages",
        fmt::format("received msg of {} bytes, {}, signing cert: issuer {} serial {}",
                    message.size(), by_get ? "by GET" : "by POST",
                    opened->envelope.signer.issuer().joined(),
                    opened->envelope.signer.serial().to_hex()));
  }
  auto conversation = std::make_shared<Conversation>(Conversation{
      .envelope = std::move(opened->envelope),
      .cipher = scep::Cipher::aes128_cbc,
      .request = std::nullopt,
      .digest = {},
      .no_content = by_get ? scep::NoContent::empty_octet_string : scep::NoContent::absent,
      .generations = generations(),
      .now = to_time(environment.clock.now()),
      .done = std::move(done),
      .address = address});
  if (!conversation->generations->active || (is_ra() && !conversation->generations->above))
    return conversation->done(text_reply(503, "the certificate server is not enabled"));
  if (opened->refused) return refuse(*conversation, *opened->refused);
  if (conversation->envelope.type == scep::MessageType::cert_rep)
    return refuse(*conversation, {scep::FailInfo::bad_request, "a CertRep is no request"});
  auto request =
      scep::open_request(conversation->envelope, conversation->generations->recipients, legacy());
  if (!request) return refuse(*conversation, request.error());
  conversation->cipher = request->cipher;
  conversation->generation = conversation->generations->recipient_generations[request->recipient];
  const auto& above = conversation->generations->above;
  const x509::Certificate& issuer =
      above ? above->ca : conversation->generations->active->certificate;
  conversation->signed_by_us = conversation->envelope.signer.issuer() == issuer.subject() &&
                               !conversation->envelope.signer.self_issued();
  switch (conversation->envelope.type) {
    case scep::MessageType::pkcs_req:
    case scep::MessageType::renewal_req: {
      // Before anything is issued that could not be handed over.
      if (conversation->envelope.signer.public_key().algorithm() != x509::KeyAlgorithm::rsa) {
        return refuse(
            *conversation,
            {scep::FailInfo::bad_alg,
             "the answer is enveloped for the key that signs the request, which takes RSA; "
             "sign with an RSA key, or have the PKCS #10 granted by hand"});
      }
      conversation->request = std::get<x509::Request>(std::move(request->body));
      Bytes content = to_bytes(conversation->request->der());
      // A first enrolment is its PKCS #10; clients make a new self-signed certificate for every
      // try. A renewal that keeps its key repeats the PKCS #10 of the last one, and differs in its
      // signer alone. What an RA signs is its device's: the same by whichever of its certificates.
      if (conversation->signed_by_us &&
          conversation->request->subject() == conversation->envelope.signer.subject()) {
        const ByteView signer = conversation->envelope.signer.der();
        content.insert(content.end(), signer.begin(), signer.end());
      }
      // The same content to another CA is another request: its answer is another certificate.
      const std::string generation = std::to_string(conversation->generation);
      content.insert(content.end(), generation.begin(), generation.end());
      conversation->digest = x509::hash(x509::Digest::sha256, content);
      if (is_ra() && conversation->signed_by_us && configuration.upstream->unchecked)
        count(&Counters::bypassed);
      if (is_ra() && conversation->signed_by_us && !configuration.upstream->unchecked) {
        return with_crl(conversation->generations, [this, conversation](const auto& crl) {
          if (!crl) return conversation->done(text_reply(503, "the CA above cannot be reached"));
          conversation->crl = *crl;
          enroll(conversation);
        });
      }
      return enroll(std::move(conversation));
    }
    case scep::MessageType::cert_poll:
      if (is_ra()) return poll_at_ra(conversation);
      return reply(*conversation, poll(*conversation));
    case scep::MessageType::get_cert:
      if (is_ra())
        return ask_for_client(conversation, std::get<scep::IssuerAndSerial>(request->body));
      return reply(*conversation, get_cert(std::get<scep::IssuerAndSerial>(request->body)));
    case scep::MessageType::get_crl:
      if (is_ra())
        return ask_for_client(conversation, std::get<scep::IssuerAndSerial>(request->body));
      return reply(*conversation, get_crl(std::get<scep::IssuerAndSerial>(request->body),
                                          *conversation->generations));
    case scep::MessageType::cert_rep:
      break;  // has been refused
  }
}

scep::Answer CertificateServer::Impl::get_cert(const scep::IssuerAndSerial& wanted) const {
  const auto found = environment.store.certificate(configuration.name, wanted.serial);
  if (found && *found) {
    auto certificate = x509::Certificate::from_der((*found)->certificate);
    if (certificate && certificate->issuer() == wanted.issuer)
      return scep::Granted{{*std::move(certificate)}};
  }
  return scep::Refusal{scep::FailInfo::bad_cert_id,
                       "no certificate with this issuer and serial number was issued here"};
}

scep::Answer CertificateServer::Impl::get_crl(const scep::IssuerAndSerial& wanted,
                                              const Generations& all) const {
  // The certificate's own generation has the CRL; a CA certificate's serial means that CA.
  std::uint32_t generation = all.active->generation;
  if (!(wanted.issuer == all.active->certificate.subject())) {
    return scep::Refusal{scep::FailInfo::bad_cert_id, "this server has no CRL of that issuer"};
  }
  const auto certificate = environment.store.certificate(configuration.name, wanted.serial);
  if (certificate && *certificate) generation = (*certificate)->generation;
  const auto row = environment.store.crl(configuration.name, generation);
  if (!row || !*row) return scep::Refusal{scep::FailInfo::bad_cert_id, "this CA has no CRL yet"};
  return scep::CrlFound{(*row)->crl};
}

Result<void> destroy(store::Store& store, const std::string& name) {
  UMBRA_TRY(const auto names, store.servers());
  if (std::find(names.begin(), names.end(), name) == names.end())
    return fail(Errc::not_found, fmt::format("nothing is kept of a certificate server {}", name));
  return store.commit({store::DropServer{name}});
}

CertificateServer::CertificateServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CertificateServer::~CertificateServer() = default;

Result<std::unique_ptr<CertificateServer>> CertificateServer::open(
    const config::Server& configuration, bool http_enabled, Environment environment) {
  UMBRA_CHECK(x509::Name::from_ios(configuration.issuer_name));
  auto impl = std::make_unique<Impl>(configuration, http_enabled, std::move(environment));
  UMBRA_TRY(impl->ledger,
            ca::Ledger::open(impl->environment.store, configuration.name,
                             configuration.serial_random ? &impl->environment.random : nullptr));
  UMBRA_CHECK(impl->reload());
  UMBRA_CHECK(impl->mode_is_kept());
  UMBRA_TRY(impl->publisher,
            Publisher::open(configuration,
                            {.store = impl->environment.store,
                             .files = impl->environment.files,
                             .log = impl->environment.log,
                             .clock = impl->environment.clock,
                             .counters = [inside = impl.get()] { return inside->ledger->row(); },
                             .generations =
                                 [inside = impl.get()] {
                                   // An RA's key opens letters: what is lost with it is asked for
                                   // again.
                                   return inside->is_ra() ? std::make_shared<const Generations>()
                                                          : inside->generations();
                                 },
                             .wake = impl->environment.publish ? impl->environment.publish
                                                               : std::function<void()>([] {})}));
  impl->ledger->follow(impl->publisher->follower());
  UMBRA_CHECK(impl->start_serials());
  UMBRA_CHECK(impl->load_queue());
  impl->name_what_is_locked();
  UMBRA_TRY(impl->one_time_password, impl->environment.store.one_time_password(configuration.name));
  return std::unique_ptr<CertificateServer>(new CertificateServer(std::move(impl)));
}

void CertificateServer::handle(const HttpRequest& request, HttpDone done) {
  impl_->handle(request, std::move(done));
}

std::optional<HttpReply> CertificateServer::at_hand(std::string_view path, std::string_view query,
                                                    const std::string& address) const {
  return impl_->at_hand(path, query, address);
}

bool CertificateServer::owns(const x509::Name& issuer, const x509::Serial& serial) const {
  for (const auto& recipient : impl_->generations()->recipients) {
    if (recipient.certificate.serial() == serial && recipient.certificate.issuer() == issuer)
      return true;
  }
  if (!impl_->transparent()) return false;
  const auto above = impl_->generations()->above;
  const auto theirs = above ? above->signers() : std::vector<x509::Certificate>{};
  return std::any_of(theirs.begin(), theirs.end(), [&](const auto& one) {
    return one.serial() == serial && one.issuer() == issuer;
  });
}

bool CertificateServer::may_renew(ByteView issuer, Time not_after) const {
  if (to_time(impl_->environment.clock.now()) >= not_after + impl_->configuration.renewal_grace)
    return false;
  const auto all = impl_->generations();
  const auto issues = [&](const x509::Certificate& one) {
    return equal(one.subject().der(), issuer);
  };
  if (impl_->is_ra()) return all->above && issues(all->above->ca);
  const auto authorities = all->authorities();
  return std::any_of(authorities.begin(), authorities.end(),
                     [&](const auto* one) { return issues(one->certificate); });
}

bool CertificateServer::vouches_for(const x509::Certificate& certificate) const {
  const auto all = impl_->generations();
  if (impl_->is_ra()) return all->above && all->above->issuer_of(certificate) != nullptr;
  return impl_->signed_by_one_of(*all, certificate);
}

const std::string& CertificateServer::name() const { return impl_->configuration.name; }
Result<void> CertificateServer::run_due() {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  return impl_->run_due();
}

std::vector<lifecycle::Deadline> CertificateServer::deadlines() const {
  const auto all = impl_->generations();
  if (impl_->stopped || !impl_->environment.clock.authoritative()) return {};
  if (impl_->behind) return {{Time{}, lifecycle::Timer::cs_crl_update, ""}};
  if (impl_->upstream_moved) {
    // Another one each time: a driver is in no hurry with one that it has just run for.
    return {{Time{}, lifecycle::Timer::cs_shadow_cert_generation,
             std::to_string(impl_->upstream_changes)}};
  }
  if (impl_->is_ra()) return impl_->ra_deadlines(*all);
  if (!all->active) {
    // Not enabled for the first time yet: that is due now, or when the upper CA has granted it.
    if (!impl_->is_root()) return {};
    return {{Time{}, lifecycle::Timer::cs_crl_update, ""}};
  }
  const lifecycle::CaFacts facts = impl_->facts(*all);
  const std::lock_guard lock(impl_->state_mutex);
  if (!all->active->key) return {};
  if (impl_->expired) {
    // For good, unless the clock was wrong and has been put back: then everything is due again.
    if (to_time(impl_->environment.clock.now()) >= all->active->certificate.not_after()) return {};
    return {{Time{}, lifecycle::Timer::cs_crl_update, ""}};
  }
  auto list = lifecycle::deadlines(impl_->settings, facts);
  for (const auto& [id, received] : impl_->pending) {
    list.push_back({received + impl_->configuration.lifetime_enrollment_request,
                    lifecycle::Timer::er_expire, std::to_string(id)});
  }
  std::sort(list.begin(), list.end());
  return list;
}

Status CertificateServer::status() const {
  const auto all = impl_->generations();
  const config::Server& configuration = impl_->configuration;
  Status status;
  status.name = configuration.name;
  status.mode = configuration.mode;
  status.shut = impl_->stopped;
  status.issuer_name = configuration.issuer_name;
  status.granting = granting(configuration);
  status.database_url = configuration.database.url;
  const store::ServerRow counters = impl_->ledger->row();
  status.last_serial = counters.random_serial == x509::Serial() ? x509::Serial(counters.last_serial)
                                                                : counters.random_serial;
  status.database_level = level(configuration.database_level);
  for (const auto& [type, place] : configuration.database_of)
    status.database_urls_of.emplace_back(suffix_of(type), place.url);
  status.backlog = impl_->publisher->backlog();
  status.scarce = impl_->publisher->scarce();
  status.auto_rollover_text = configuration.auto_rollover_text;
  status.clock_authoritative = impl_->environment.clock.authoritative();
  if (impl_->is_ra()) {
    impl_->ra_status(*all, status);
  } else if (all->active) {
    const auto name = x509::Name::from_ios(configuration.issuer_name);
    if (!name || !(*name == all->active->certificate.subject()))
      status.issuer_name = all->active->certificate.subject().joined();
    status.ca = all->active->certificate;
    status.autorollover_at = lifecycle::shadow_generation_at(impl_->settings, impl_->facts(*all));
  }
  if (all->rollover && !impl_->is_ra()) status.rollover = all->rollover->certificate;
  if (configuration.mode == config::ServerMode::subordinate) {
    const UpperCa upper = impl_->upper_ca(status.ca);
    status.upper = upper.certificate;
    status.awaited = upper.waiting;
  }
  status.deadlines = deadlines();
  // What is cleared away then waits for nobody.
  std::erase_if(status.deadlines, [](const lifecycle::Deadline& one) {
    return one.timer == lifecycle::Timer::er_expire && one.owner.empty();
  });
  const std::lock_guard lock(impl_->state_mutex);
  status.status = impl_->status;
  status.state = impl_->state;
  if (impl_->serving && !impl_->publisher->accessible()) {
    status.status = "disabled, storage is inaccessible";
    status.state = "check failed";
  }
  status.crl_next_update = impl_->crl_next_update;
  return status;
}

Result<void> CertificateServer::start() {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  if (!impl_->stopped.exchange(false)) return fail(Errc::conflict, "it runs already");
  return impl_->run_due();
}

Result<void> CertificateServer::stop() {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  if (impl_->stopped.exchange(true)) return fail(Errc::conflict, "it is shut already");
  impl_->serving = false;
  // Who was let in before has handed his batch over when the gate is free, and it is kept when one
  // after it is; whoever comes to the gate later finds it shut.
  { const std::unique_lock nobody_inside(impl_->gate); }
  static_cast<void>(impl_->environment.store.commit(store::Batch{}));
  impl_->set_state("disabled", "disabled");
  impl_->log(Severity::informational, "CS_DISABLED", "Certificate server now disabled.");
  return {};
}

void CertificateServer::set_http(bool enabled) {
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  if (impl_->http_enabled.exchange(enabled) == enabled || !impl_->serving) return;
  if (enabled) {
    impl_->set_state("enabled", "enabled");
    impl_->log(Severity::informational, "CS_ENABLED", "Certificate server now enabled.");
  } else {
    impl_->set_state("disabled, HTTP Server is disabled", "check failed");
    impl_->log(Severity::informational, "CS_DISABLED", "Certificate server now disabled.");
  }
}

std::size_t CertificateServer::places() const { return impl_->publisher->places(); }
std::optional<Time> CertificateServer::publish(std::size_t place) {
  return impl_->publisher->work(place);
}

void CertificateServer::stop_publishing() { impl_->publisher->give_up(); }

Result<void> CertificateServer::retire() {
  static_cast<void>(stop());  // an error: it is shut already
  const std::lock_guard one_at_a_time(impl_->life_mutex);
  const auto closed = impl_->ledger->close();
  static_cast<void>(impl_->environment.store.commit(store::Batch{}));
  return closed;
}

Result<void> CertificateServer::close() {
  const auto closed = impl_->ledger->close();
  for (std::size_t place = 0; place < impl_->publisher->places(); ++place)
    static_cast<void>(impl_->publisher->work(place, true));
  return closed;
}

}  // namespace umbra::server
