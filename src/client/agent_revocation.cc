#include <fmt/format.h>

#include <algorithm>

#include "client/agent.h"
#include "x509/ocsp.h"
#include "x509/pem.h"

/// `revocation-check`: what the CA says of certificates it has issued.
namespace umbra::client {
namespace {

// 200,000 entries.
constexpr std::size_t crl_octets_max = std::size_t{8} << 20;
constexpr Seconds clocks_apart = std::chrono::minutes{5};
constexpr Seconds kept_without_end = Days{1};
constexpr std::size_t nonce_octets = 16;
constexpr std::string_view scheme = "http://";

Bytes fingerprint_of(const x509::Certificate& certificate) {
  return certificate.fingerprint(x509::Digest::sha256);
}

bool issued_by(const x509::Certificate& certificate, const x509::Certificate& ca) {
  return certificate.issuer() == ca.subject() &&
         certificate.verify_signed_by(ca.public_key()).has_value();
}

/// Of one certificate: its time, and who has signed it.
std::string fault_of(const x509::Certificate& certificate,
                     const std::optional<x509::Certificate>& issuer, Time now, bool rollover) {
  if (issuer && !issued_by(certificate, *issuer)) return "it is not signed by its CA";
  if (now >= certificate.not_after())
    return "it has expired at " + to_rfc3339(certificate.not_after());
  if (!rollover && now < certificate.not_before())
    return "it is not valid before " + to_rfc3339(certificate.not_before());
  return {};
}

}  // namespace

void Trustpoint::Agent::check(const x509::Certificate& certificate, std::size_t method,
                              std::string before, CheckDone done) {
  const auto& methods = configuration_.revocation_check;
  if (method >= methods.size())
    return done(*this, {Checked::Verdict::unknown, before.empty() ? "not checked" : before});
  const auto next = [certificate, method, before, done](Agent& agent, Checked checked) {
    const std::string so_far = before.empty() ? checked.how : before + "; " + checked.how;
    if (checked.verdict == Checked::Verdict::revoked) {
      agent.log(Severity::error, "CERTIFICATE_REVOKED",
                fmt::format("Certificate chain validation has failed.  The certificate (SN: {}) is "
                            "revoked",
                            certificate.serial().to_hex_octets()));
    }
    if (checked.verdict != Checked::Verdict::unknown) return done(agent, {checked.verdict, so_far});
    agent.check(certificate, method + 1, so_far, done);
  };
  const std::string& word = methods[method];
  if (word == "crl") return check_by_crl(certificate, next);
  if (word == "ocsp") return check_by_ocsp(certificate, next);
  if (environment_.counters) ++environment_.counters->bypassed;
  next(*this, {Checked::Verdict::good, "not checked for revocation (none)"});
}

void Trustpoint::Agent::check_by_crl(const x509::Certificate& certificate, CheckDone done) {
  if (!state_.ca || !issued_by(certificate, *state_.ca))
    return done(*this, {Checked::Verdict::unknown, "CRL: it is another CA's certificate"});
  with_crl(certificate.crl_urls(), false,
           [certificate, done](Agent& agent, const Result<x509::CrlFacts>& crl) {
             if (!crl)
               return done(agent, {Checked::Verdict::unknown, "CRL: " + crl.error().detail});
             if (agent.environment_.counters) ++agent.environment_.counters->crls_checked;
             const auto entry =
                 std::find_if(crl->revoked.begin(), crl->revoked.end(),
                              [&](const auto& one) { return one.serial == certificate.serial(); });
             const std::string of = "CRL of " + to_rfc3339(crl->this_update);
             if (entry == crl->revoked.end())
               return done(agent, {Checked::Verdict::good, of + ": not revoked"});
             done(agent, {Checked::Verdict::revoked,
                          fmt::format("{}: revoked at {}", of, to_rfc3339(entry->revoked_at))});
           });
}

void Trustpoint::Agent::check_by_ocsp(const x509::Certificate& certificate, CheckDone done) {
  if (!state_.ca || !issued_by(certificate, *state_.ca))
    return done(*this, {Checked::Verdict::unknown, "OCSP: it is another CA's certificate"});
  std::string url = configuration_.ocsp_url;
  for (const auto& named : certificate.ocsp_urls()) {
    if (url.empty() && named.starts_with(scheme)) url = named;
  }
  if (url.empty())
    return done(*this, {Checked::Verdict::unknown, "OCSP: no http responder is named"});
  Bytes nonce(nonce_octets);
  environment_.random.fill(nonce);
  auto question = x509::ocsp_request(certificate, *state_.ca, nonce);
  if (!question)
    return done(*this, {Checked::Verdict::unknown, "OCSP: " + question.error().detail});
  HttpCall call;
  call.method = "POST";
  call.url = url;
  call.content_type = "application/ocsp-request";
  call.body = *std::move(question);
  call.source = configuration_.from.source;
  call.vrf = configuration_.from.vrf;
  environment_.transport.send(
      std::move(call), [weak = weak_from_this(), certificate, ca = *state_.ca, nonce,
                        done = std::move(done)](const Result<HttpReply>& reply) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([certificate, ca, nonce, done, reply](Agent& agent) {
          const auto unknown = [&](const std::string& why) {
            done(agent, {Checked::Verdict::unknown, "OCSP: " + why});
          };
          if (!reply) return unknown(reply.error().detail);
          if (reply->status != http_ok)
            return unknown(fmt::format("HTTP status {}", reply->status));
          const auto status =
              x509::read_ocsp_response(reply->content(), certificate, ca, nonce, agent.now());
          if (!status) return unknown(status.error().detail);
          if (*status == x509::OcspStatus::unknown)
            return unknown("the responder does not know the certificate");
          const bool good = *status == x509::OcspStatus::good;
          done(agent, {good ? Checked::Verdict::good : Checked::Verdict::revoked,
                       good ? "OCSP: not revoked" : "OCSP: revoked"});
        });
      });
}

void Trustpoint::Agent::with_crl(std::vector<std::string> urls, bool fresh, CrlDone done) {
  if (!state_.ca) return done(*this, fail(Errc::conflict, "the CA is not authenticated"));
  const bool of_this_ca = crl_ && crl_issuer_ == fingerprint_of(*state_.ca);
  if (!of_this_ca) hold_no_crl();
  if (crl_ && !fresh) {
    Time until = crl_->next_update ? *crl_->next_update + configuration_.crl_cache_extend
                                   : crl_fetched_ + kept_without_end;
    if (configuration_.crl_cache_max)
      until = std::min(until, crl_fetched_ + *configuration_.crl_cache_max);
    if (now() < until) return done(*this, *crl_);
    hold_no_crl();
  }
  fetch_crl(std::move(urls), "", std::move(done));
}

void Trustpoint::Agent::fetch_crl(std::vector<std::string> urls, std::string before, CrlDone done) {
  const auto more = [](const std::string& so_far, const std::string& why) {
    return so_far.empty() ? why : so_far + "; " + why;
  };
  if (urls.empty()) return fetch_crl_by_scep(std::move(before), std::move(done));
  const std::string url = urls.front();
  urls.erase(urls.begin());
  if (!url.starts_with(scheme))
    return fetch_crl(std::move(urls), more(before, url + ": only http is spoken"), std::move(done));
  if (environment_.counters) ++environment_.counters->crl_fetches;
  HttpCall call;
  call.url = url;
  call.reply_octets_max = crl_octets_max;
  call.source = configuration_.from.source;
  call.vrf = configuration_.from.vrf;
  environment_.transport.send(
      std::move(call), [weak = weak_from_this(), url, urls = std::move(urls), before, more,
                        done = std::move(done)](const Result<HttpReply>& reply) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([url, urls, before, more, done, reply](Agent& agent) {
          auto crl =
              !reply ? tl::unexpected(reply.error())
              : reply->status == http_ok
                  ? agent.take_crl(reply->content(), url)
                  : fail(Errc::unreachable, fmt::format("{}: HTTP status {}", url, reply->status));
          if (crl) return done(agent, *std::move(crl));
          if (agent.environment_.counters) ++agent.environment_.counters->crl_failures;
          agent.fetch_crl(urls, more(before, crl.error().detail), done);
        });
      });
}

void Trustpoint::Agent::fetch_crl_by_scep(std::string before, CrlDone done) {
  const bool can_ask = state_.identity && state_.key && !configuration_.enrollment_url.empty();
  if (!can_ask) {
    if (before.empty()) before = "no certificate says where it is, and there is none to ask with";
    return done(*this, fail(Errc::not_found, before));
  }
  auto prepared = make_crl_exchange(state_, configuration_, environment_.random);
  if (!prepared) return done(*this, tl::unexpected(prepared.error()));
  if (environment_.counters) ++environment_.counters->crl_fetches;
  send(std::move(prepared->call),
       [expected = std::move(prepared->expected), before, done = std::move(done)](
           Agent& agent, const Result<HttpReply>& reply) {
         const auto failed = [&](const std::string& why) {
           const std::string scep = "GetCRL: " + why;
           if (agent.environment_.counters) ++agent.environment_.counters->crl_failures;
           done(agent, fail(Errc::unreachable, before.empty() ? scep : before + "; " + scep));
         };
         if (!reply) return failed(reply.error().detail);
         if (reply->status != http_ok) return failed(fmt::format("HTTP status {}", reply->status));
         if (!agent.state_.key) return failed("the key is gone");
         const auto opened = scep::open_cert_rep(reply->content(), expected, *agent.state_.key,
                                                 legacy_of(agent.configuration_));
         if (!opened) return failed(opened.error().detail);
         if (opened->crls.empty()) return failed("the CA gives none");
         auto crl = agent.take_crl(opened->crls.front(), "");
         if (!crl) return failed(crl.error().detail);
         done(agent, *std::move(crl));
       });
}

void Trustpoint::Agent::hold_no_crl() {
  crl_.reset();
  shown_crl_.reset();
}

Result<x509::CrlFacts> Trustpoint::Agent::take_crl(ByteView body, const std::string& source) {
  constexpr std::uint8_t sequence = 0x30;
  Bytes der = to_bytes(body);
  if (!der.empty() && der.front() != sequence) {
    UMBRA_TRY(der, x509::pem_to_der(as_text(body), "X509 CRL"));
  }
  if (!state_.ca) return fail(Errc::conflict, "the CA is not authenticated");
  UMBRA_TRY(auto crl, x509::parse_crl(der));
  if (!(crl.issuer == state_.ca->subject())) return fail(Errc::crypto, "it is another CA's CRL");
  UMBRA_CHECK(x509::verify_crl(der, *state_.ca));
  if (crl.partial) {
    return fail(Errc::unsupported,
                "the CRL has a critical extension that is not known: it may not be all of it");
  }
  if (crl.this_update > now() + clocks_apart)
    return fail(Errc::conflict, "the CRL is of the future");
  if (crl.next_update && *crl.next_update + configuration_.crl_cache_extend <= now())
    return fail(Errc::conflict, "the CRL has ended at " + to_rfc3339(*crl.next_update));
  // Somebody in between may replay one that does not list yet what is revoked by now. What is not
  // held any more has been seen all the same.
  const Bytes issuer = fingerprint_of(*state_.ca);
  if (crl_seen_ && crl_seen_->issuer == issuer && now() < crl_seen_->counts_until &&
      crl.this_update < crl_seen_->this_update)
    return fail(Errc::conflict, "the CRL is older than the last one");
  crl_seen_ = {issuer, crl.this_update,
               crl.next_update ? *crl.next_update + configuration_.crl_cache_extend
                               : now() + kept_without_end};
  hold_no_crl();
  if (configuration_.crl_cache_max != Seconds{0}) {
    crl_ = crl;
    crl_issuer_ = issuer;
    crl_fetched_ = now();
    shown_crl_ = {.issuer = crl.issuer.joined(),
                  .this_update = crl.this_update,
                  .next_update = crl.next_update,
                  .octets = der.size(),
                  .fetched_at = crl_fetched_,
                  .source = source};
  }
  publish_snapshot();
  return crl;
}

void Trustpoint::Agent::request_crl(std::function<void(Result<x509::CrlFacts>)> done) {
  if (auto trusted = trusted_ca(contradicts_pin_); !trusted)
    return done(tl::unexpected(std::move(trusted).error()));
  std::vector<std::string> urls;
  if (state_.identity) urls = state_.identity->crl_urls();
  with_crl(std::move(urls), true, [done = std::move(done)](Agent& agent, auto crl) {
    if (!crl) {
      agent.log(Severity::error, "CRL_FETCH_FAIL",
                fmt::format("CRL fetch for trustpoint {} failed: {}", agent.configuration_.name,
                            crl.error().detail));
    }
    done(std::move(crl));
  });
}

void Trustpoint::Agent::say_if_of_another_time(const x509::Certificate& certificate,
                                               bool rollover) const {
  const std::string head =
      fmt::format("Certificate chain validation has failed.  The certificate (SN: {}) ",
                  certificate.serial().to_hex_octets());
  if (now() >= certificate.not_after()) {
    log(Severity::error, "CERTIFICATE_INVALID_EXPIRED",
        head + "has expired.    Validity period ended on " + to_rfc3339(certificate.not_after()));
  } else if (!rollover && now() < certificate.not_before()) {
    log(Severity::error, "CERTIFICATE_INVALID_NOT_YET_VALID",
        head + "is not yet valid   Validity period starts on " +
            to_rfc3339(certificate.not_before()));
  }
}

void Trustpoint::Agent::validate(std::function<void(Result<Validation>)> done) {
  if (!state_.ca) return done(fail(Errc::conflict, "the CA is not authenticated"));
  if (auto trusted = trusted_ca(contradicts_pin_); !trusted)
    return done(tl::unexpected(std::move(trusted).error()));
  if (!clock_is_set()) return done(fail(Errc::conflict, "the clock is not authoritative"));
  Validation validation;
  std::deque<std::pair<std::string, x509::Certificate>> to_check;
  const auto look = [&](const std::string& what, const x509::Certificate& certificate,
                        const std::optional<x509::Certificate>& issuer, bool rollover) {
    const std::string fault = fault_of(certificate, issuer, now(), rollover);
    say_if_of_another_time(certificate, rollover);
    if (fault.empty() && !certificate.is_ca() && !rollover) {
      to_check.emplace_back(what, certificate);
      return;
    }
    const bool above = fault.empty() && !certificate.self_issued() && !rollover;
    validation.lines.push_back({what, fault.empty(),
                                !fault.empty() ? fault
                                : above
                                    ? "accepted by its fingerprint; the CA above it is not known"
                                    : "valid"});
  };
  const auto root = [](const x509::Certificate& ca) {
    return ca.self_issued() ? std::optional(ca) : std::nullopt;
  };
  look("CA certificate", *state_.ca, root(*state_.ca), false);
  for (const auto& ra : state_.ras) look("RA certificate", ra, state_.ca, false);
  if (state_.identity) look("Certificate", *state_.identity, state_.ca, false);
  if (state_.rollover_ca)
    look("CA certificate (rollover)", *state_.rollover_ca, root(*state_.rollover_ca), true);
  if (state_.rollover_identity)
    look("Certificate (rollover)", *state_.rollover_identity, state_.rollover_ca, true);
  check_each(std::move(to_check), std::move(validation), std::move(done));
}

void Trustpoint::Agent::check_each(std::deque<std::pair<std::string, x509::Certificate>> left,
                                   Validation validation,
                                   std::function<void(Result<Validation>)> done) {
  if (left.empty()) return done(std::move(validation));
  auto [what, certificate] = std::move(left.front());
  left.pop_front();
  check(
      certificate, 0, "",
      [what = std::move(what), left = std::move(left), validation = std::move(validation),
       done = std::move(done)](Agent& agent, const Checked& checked) mutable {
        validation.lines.push_back({what, checked.verdict == Checked::Verdict::good, checked.how});
        agent.check_each(std::move(left), std::move(validation), std::move(done));
      });
}

void Trustpoint::Agent::believe(const scep::CertRep& reply) {
  // A refusal too: it stops the trustpoint until an administrator acts.
  const bool by_ra = reply.signer && !reply.signer->is_ca();
  if (!by_ra) return on_cert_rep(reply);
  // Where nobody else is named who would know, the RA itself would have to be asked.
  const bool can_be_known = crl_ || !configuration_.ocsp_url.empty() ||
                            !reply.signer->crl_urls().empty() || !reply.signer->ocsp_urls().empty();
  if (!can_be_known) return on_cert_rep(reply);
  check(*reply.signer, 0, "", [reply, number = newest_call_](Agent& agent, const Checked& checked) {
    if (number != agent.newest_call_) return;
    if (checked.verdict == Checked::Verdict::revoked) {
      return agent.on_no_answer(
          {Errc::crypto,
           "it is signed by an RA whose certificate is revoked (" + checked.how + ")"});
    }
    if (checked.verdict == Checked::Verdict::unknown) {
      agent.log(Severity::warning, "REVOCATION",
                fmt::format("Trustpoint {}: whether the RA's certificate is revoked is not known "
                            "({})",
                            agent.configuration_.name, checked.how),
                "UMBRA");
    }
    agent.on_cert_rep(reply);
  });
}

}  // namespace umbra::client
