#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "server/impl.h"

/// `mode ra`: a registration authority has a certificate of the CA above it, which its trustpoint
/// asks for, and issues none. Its generations are its own certificates: the active one answers, the
/// rollover one is what shadow requests are enveloped for, the retired ones still open what devices
/// that know no newer one send. They follow the trustpoint.
///
/// `mode ra transparent` has none, and passes everything on as it comes.
namespace umbra::server {
namespace {

HttpReply unreachable() {
  return text_reply(503, "the CA above this RA cannot be reached now; try again");
}

HttpReply distrusted() {
  constexpr Seconds wait{60};
  HttpReply reply = text_reply(503,
                               "the CA above this RA is not the one that is configured; an "
                               "administrator has to look at it");
  reply.retry_after = wait;
  return reply;
}

bool issued_by(const x509::Certificate& certificate, const x509::Certificate& ca) {
  return certificate.issuer() == ca.subject() &&
         certificate.verify_signed_by(ca.public_key()).has_value();
}

constexpr std::uint8_t usage_key_encipherment = 0x20;

}  // namespace

const x509::Certificate* CaAbove::issuer_of(const x509::Certificate& certificate) const {
  if (issued_by(certificate, ca)) return &ca;
  if (next && issued_by(certificate, *next)) return &*next;
  return nullptr;
}

const x509::Certificate& CaAbove::recipient(const x509::Certificate& which) const {
  for (const auto& one : which == ca ? ras : next_ras) {
    const auto usage = one.key_usage();
    if (!usage || (usage->bits & usage_key_encipherment) != 0) return one;
  }
  return which;
}

std::vector<x509::Certificate> CaAbove::signers() const {
  std::vector<x509::Certificate> all = {ca};
  all.insert(all.end(), ras.begin(), ras.end());
  if (next) all.push_back(*next);
  all.insert(all.end(), next_ras.begin(), next_ras.end());
  return all;
}

Result<std::shared_ptr<const CaAbove>> CaAbove::read(
    const std::optional<store::TrustpointRow>& row) {
  if (!row || row->ca_certificate.empty()) return nullptr;
  UMBRA_TRY(auto ca, x509::Certificate::from_der(row->ca_certificate));
  CaAbove above{std::move(ca), std::nullopt};
  UMBRA_TRY(above.next, certificate_of_column(row->rollover_ca_certificate));
  UMBRA_TRY(above.ras, x509::Certificate::all_from_der(row->ra_certificates));
  UMBRA_TRY(above.next_ras, x509::Certificate::all_from_der(row->rollover_ra_certificates));
  above.capabilities = scep::parse_capabilities(row->capabilities);
  for (const Bytes* part : {&row->ca_certificate, &row->ra_certificates,
                            &row->rollover_ca_certificate, &row->rollover_ra_certificates})
    above.source.insert(above.source.end(), part->begin(), part->end());
  above.source.insert(above.source.end(), row->capabilities.begin(), row->capabilities.end());
  return std::make_shared<const CaAbove>(std::move(above));
}

Result<void> CertificateServer::Impl::issues() const {
  if (!is_ra()) return {};
  return fail(Errc::conflict,
              fmt::format("{} is a registration authority: that is for the CA above "
                          "it",
                          configuration.name));
}

/// What the trustpoint has is what the RA has: its identity is active, its rollover identity the
/// next one, and all others are retired.
Result<void> CertificateServer::Impl::adopt_ra(const store::TrustpointRow& row, Time now) {
  UMBRA_TRY(const auto identity, certificate_of_column(row.identity));
  UMBRA_TRY(const auto next, certificate_of_column(row.rollover_identity));
  UMBRA_TRY(const auto rows, environment.store.generations(configuration.name));
  using As = store::GenerationStatus;
  const auto wanted = [&](ByteView der) {
    if (identity && equal(identity->der(), der)) return As::active;
    return next && equal(next->der(), der) ? As::rollover : As::retired;
  };
  std::vector<store::CaGeneration> changed;
  std::set<std::uint32_t> fresh;
  std::uint32_t number = ledger->row().last_generation;
  for (const auto& have : rows) {
    number = std::max(number, have.number);
    store::CaGeneration now_is = have;
    now_is.status = wanted(have.certificate);
    if (now_is.status != have.status) changed.push_back(std::move(now_is));
  }
  for (const auto& certificate : {identity, next}) {
    if (transparent() || !certificate) continue;
    const bool known = std::any_of(rows.begin(), rows.end(), [&](const auto& have) {
      return equal(have.certificate, certificate->der());
    });
    if (known) continue;
    store::CaGeneration made{configuration.name,           ++number, wanted(certificate->der()),
                             to_bytes(certificate->der()), {},       now};
    for (const Bytes* sealed : {&row.sealed_key, &row.sealed_shadow_key}) {
      if (sealed->empty() || !made.sealed_key.empty()) continue;
      UMBRA_TRY(const auto key, x509::PrivateKey::unseal(*sealed, environment.key_passphrase));
      if (key.public_key() == certificate->public_key()) made.sealed_key = *sealed;
    }
    if (made.sealed_key.empty()) {
      return fail(Errc::conflict,
                  "the key of the certificate that the CA above has granted is not stored");
    }
    fresh.insert(made.number);
    changed.push_back(std::move(made));
  }
  UMBRA_TRY(const auto above, CaAbove::read(row));
  const auto before = generations()->above;
  if (changed.empty() && (before ? above && above->source == before->source : !above)) return {};
  // Never two active ones, not even within the transaction: whoever leaves a place goes first.
  std::stable_sort(changed.begin(), changed.end(), [](const auto& a, const auto& b) {
    const auto rank = [](As one) { return one == As::retired ? 0 : one == As::active ? 1 : 2; };
    return rank(a.status) < rank(b.status);
  });
  store::Batch batch;
  for (const auto& one : changed) batch.emplace_back(store::PutGeneration{one});
  UMBRA_CHECK(end_requests_of_ended_cas(above.get(), batch));
  if (!batch.empty()) {
    UMBRA_CHECK(ledger->commit(std::move(batch), [number](store::ServerRow& counters) {
      counters.last_generation = number;
    }));
  }
  UMBRA_CHECK(follow_store());
  for (const auto& one : changed) {
    UMBRA_TRY(const auto certificate, x509::Certificate::from_der(one.certificate));
    if (one.status == As::retired) continue;
    log(Severity::notice,
        one.status == As::rollover   ? "RA_ROLLOVER"
        : fresh.contains(one.number) ? "RA_CERTIFIED"
                                     : "RA_SWITCHOVER",
        fmt::format(
            "RA certificate {} of {} {} until {}.", certificate.serial().to_hex_octets(),
            configuration.name,
            one.status == As::rollover ? "waits for the next CA, and is valid" : "is active",
            to_rfc3339(certificate.not_after())));
  }
  return {};
}

/// What was asked of a CA that has ended is not asked of the next one.
Result<void> CertificateServer::Impl::end_requests_of_ended_cas(const CaAbove* above,
                                                                store::Batch& batch) const {
  UMBRA_TRY(const auto waiting, environment.store.requests(configuration.name));
  const auto all = generations();
  for (store::EnrollmentRequest entry : waiting) {
    if (!is_open(entry.state) || above == nullptr) continue;
    const ca::Authority* const opened_by = all->find(entry.generation);
    if (opened_by == nullptr || above->issuer_of(opened_by->certificate) != nullptr) continue;
    entry.state = store::RequestState::rejected;
    entry.refusal_text =
        "the CA certificate this request was made to has ended; fetch the new one with GetCACert "
        "and enrol again";
    batch.emplace_back(store::PutRequest{std::move(entry)});
  }
  return {};
}

Result<void> CertificateServer::Impl::run_ra(Time now) {
  const auto all = generations();
  if (transparent() ? !all->above : !all->active) {
    set_pending();
    return {};
  }
  if (!transparent() && now >= all->active->certificate.not_after()) {
    serving = false;
    if (all->rollover) {
      // Its trustpoint is about to change to that one, in this second.
      set_state("disabled, the next CA is taking over", "pending");
      return {};
    }
    const bool said = [this] {
      const std::lock_guard lock(state_mutex);
      return std::exchange(expired, true);
    }();
    if (!said) log(Severity::alert, "RA_EXPIRED", "The RA certificate has ended; server disabled.");
    set_state("disabled, RA certificate has expired", "check failed");
    return {};
  }
  {
    const std::lock_guard lock(state_mutex);
    expired = false;
  }
  UMBRA_CHECK(expire_queue(now));
  enabled();
  return {};
}

std::vector<lifecycle::Deadline> CertificateServer::Impl::ra_deadlines(
    const Generations& all) const {
  std::vector<lifecycle::Deadline> list;
  if (!all.active) return list;
  const std::lock_guard lock(state_mutex);
  if (!expired) {
    list.push_back({all.active->certificate.not_after(), lifecycle::Timer::cs_cert_expire, ""});
  }
  for (const auto& [id, received] : pending) {
    list.push_back({received + configuration.lifetime_enrollment_request,
                    lifecycle::Timer::er_expire, std::to_string(id)});
  }
  if (oldest_closed) {
    list.push_back({*oldest_closed + configuration.lifetime_enrollment_request,
                    lifecycle::Timer::er_expire, ""});
  }
  std::sort(list.begin(), list.end());
  return list;
}

void CertificateServer::Impl::ra_status(const Generations& all, Status& into) const {
  if (all.above) {
    into.ca = all.above->ca;
    into.rollover = all.above->next;
  }
  if (all.active) into.ra = all.active->certificate;
  if (all.rollover) into.ra_rollover = all.rollover->certificate;
  into.above_is_silent = above_is_silent;
  into.awaited = upper_ca(std::nullopt).waiting;
  if (into.awaited.empty() && above_is_silent)
    into.awaited = "does not answer; what is authorized waits";
  if (distrust_is_said) into.awaited = "is another one than its fingerprint says; nothing is asked";
}

// -- what an RA says in the clear -----------------------------------------------------------------

bool CertificateServer::Impl::distrusts_above() {
  const bool distrusted =
      environment.contradicts_pin && environment.contradicts_pin(configuration.name);
  if (distrust_is_said.exchange(distrusted) == distrusted) return distrusted;
  const std::string& name = configuration.name;
  if (distrusted) {
    log(Severity::warning, "RA_FINGERPRINT",
        fmt::format("{} passes nothing on: the fingerprint configured for trustpoint {} is another "
                    "CA's than the one it has. Devices are told to come again until \"crypto pki "
                    "authenticate {}\", or until the fingerprint is corrected",
                    name, name, name));
  } else {
    log(Severity::notice, "RA_FINGERPRINT",
        fmt::format("{} goes on: the fingerprint configured for trustpoint {} is no other CA's any "
                    "more",
                    name, name));
  }
  return distrusted;
}

void CertificateServer::Impl::handle_at_ra(const HttpRequest& request, std::string_view query,
                                           const GenerationsPtr& all, HttpDone done) {
  if (!all->above) return done(unreachable());
  if (distrusts_above()) return done(distrusted());
  const auto operation = scep::parse_query(query);
  const bool plain_crl = query == "operation=GetCRL";
  if (transparent() && (operation || plain_crl))
    return pass_on(request, std::string(query), std::move(done));
  if (plain_crl) {
    return with_crl(all, [done](const auto& crl) {
      if (!crl) return done(unreachable());
      done(*crl ? HttpReply{200, "application/pkix-crl", (*crl)->der}
                : text_reply(404, "the CA above has no CRL"));
    });
  }
  if (!operation) return done(text_reply(400, operation.error().detail));
  switch (operation->operation) {
    case scep::Operation::get_ca_caps: {
      // What it does itself; and the next CA is the CA's to tell.
      scep::Capabilities capabilities = announced();
      capabilities.sha1 = configuration.allow_sha1;
      capabilities.get_next_ca_cert = all->above->capabilities.get_next_ca_cert;
      return done({200, "text/plain", to_bytes(as_bytes(scep::to_text(capabilities)))});
    }
    case scep::Operation::get_ca_cert:
      return done({200, std::string(scep::type_ca_ra_cert),
                   scep::certs_only({all->above->ca, all->active->certificate})});
    case scep::Operation::get_next_ca_cert:
      return next_ca_at_ra(all, std::move(done));
    case scep::Operation::pki_operation: {
      if (request.method == "POST")
        return pki_operation(request.body, false, request.address, std::move(done));
      const auto message = scep::parse_get_message(operation->message);
      if (!message) return done(text_reply(400, "message= is not base64"));
      return pki_operation(*message, true, request.address, std::move(done));
    }
  }
}

/// The CA's own signature over the next CA, and over the RA's next certificate, which it is asked
/// to name: a device that enveloped for the next CA alone could not be understood here.
void CertificateServer::Impl::next_ca_at_ra(const GenerationsPtr& all, HttpDone done) {
  if (!all->above->next || !all->rollover)
    return done(text_reply(404, "this RA has no certificate of a next CA yet"));
  const std::string serial = all->rollover->certificate.serial().to_hex();
  const auto call = [&](const std::string& url) {
    HttpCall made;
    made.url = scep::operation_url(url, scep::Operation::get_next_ca_cert, configuration.name) +
               "&ra=" + serial;
    return made;
  };
  const auto answered = [this, all, done](const Result<HttpReply>& reply) {
    if (!reply) return done(unreachable());
    done(next_ca_from_above(*all, *reply));
  };
  if (!uplink->send(call, answered)) done(unreachable());
}

HttpReply CertificateServer::Impl::next_ca_from_above(const Generations& all,
                                                      const HttpReply& reply) const {
  if (reply.status != 200)
    return text_reply(reply.status == 404 ? 404 : 503, "the CA has no next CA certificate");
  const auto next = scep::parse_next_ca_cert(
      reply.body, {all.above->ca},
      {.legacy = {.des = false, .md5 = configuration.upstream->allow_md5, .sha1 = true}});
  const auto has = [&](const x509::Certificate& one) {
    return next && std::find(next->begin(), next->end(), one) != next->end();
  };
  if (!next || !has(*all.above->next)) {
    log(Severity::error, "RA_NEXT_CA",
        fmt::format("What the CA above {} answers to GetNextCACert is not signed by it, or is not "
                    "the next CA that this RA has its certificate of{}{}",
                    configuration.name, next ? "" : ": ", next ? "" : next.error().detail));
    return text_reply(503, "the CA's answer is not usable");
  }
  if (has(all.rollover->certificate))
    return {200, std::string(scep::type_next_ca_cert), reply.body};
  // A CA that does not know of the question. Clients of draft-nourse-scep take an RA's word.
  debug("the CA above names no RA in GetNextCACert: this RA signs the answer itself");
  auto own = scep::next_ca_cert({*all.above->next, all.rollover->certificate},
                                {all.active->certificate, *all.active->key},
                                to_time(environment.clock.now()));
  if (!own) return text_reply(500, "the next CA certificate could not be signed");
  return {200, std::string(scep::type_next_ca_cert), *std::move(own)};
}

void CertificateServer::Impl::pass_on(const HttpRequest& request, const std::string& query,
                                      HttpDone done) {
  const auto call = [&](const std::string& url) {
    HttpCall made;
    made.url = url + "?" + query;
    if (request.method == "POST") {
      made.method = "POST";
      made.content_type = std::string(scep::type_pki_message);
      made.body = request.body;
    }
    return made;
  };
  const auto answered = [this, done](Result<HttpReply> reply) {
    constexpr unsigned trouble = 500;
    say_whether_above_answers(reply && reply->status >= trouble ? not_200(reply->status) : reply);
    done(reply ? *std::move(reply) : unreachable());
  };
  if (!uplink->send(call, answered)) done(unreachable());
}

}  // namespace umbra::server
